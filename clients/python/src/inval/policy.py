"""How long values live, and what a reader does who cannot have a fresh one."""
from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, fields
from typing import Any, Optional

LOCAL_MOST = 60.0  # seconds in the first level: what a lost message can cost
MOST = 10.0 * 366 * 86400  # seconds; with stale added it still has few enough digits


@dataclass(frozen=True)
class Policy:
    """All times are in seconds.

    ttl         upper bound of a value's life; each store gets ttl * (1 - random() * jitter)
    jitter      0 to 1; only ever shortens a life
    early       refresh this long before expiry, by one reader
    stale       keep a value this much longer: served while somebody refreshes it, or if
                load fails. Never after an invalidation, which leaves no stale value
    lease       how long a filler may take; after that somebody else may fill
    wait        how long to wait for another filler before loading without storing
    none_ttl    life of a None; None: as ttl; 0: a None is not stored
    local       life in the first level, at most 60; 0: it is not used
    max_bytes   larger values are returned, not stored, and counted
    strict      for rules with delivery 'strict': no plain GET in any fallback, no stale
                value, no first level
    background  a fill that has a stale value returns that, and loads in a bounded pool
    """

    ttl: float = 3600
    jitter: float = 0.1
    early: float = 0
    stale: float = 0
    lease: float = 10
    wait: float = 2
    none_ttl: Optional[float] = None
    local: float = 0
    max_bytes: int = 1 << 20
    strict: bool = False
    background: bool = False

    def __post_init__(self) -> None:
        self._check("ttl", 0.001)
        self._check("lease", 0.001)
        for name in ("jitter", "early", "stale", "wait", "local"):
            self._check(name, 0)
        if self.none_ttl is not None:
            self._check("none_ttl", 0)
        if self.jitter > 1:
            raise ValueError(f"jitter is {self.jitter!r}: give a share from 0 to 1")
        if self.local > LOCAL_MOST:
            raise ValueError(f"local is {self.local!r}: the first level keeps values for "
                             f"at most {LOCAL_MOST:.0f} seconds")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes is {self.max_bytes!r}: give a number of bytes")
        if self.early >= self.ttl:
            raise ValueError(f"early is {self.early!r} and ttl {self.ttl!r}: every read would "
                             "be a refresh; make early shorter than ttl")
        if self.strict and (self.stale > 0 or self.local > 0):
            raise ValueError("strict is for readers that must never see an old value: "
                             "leave out stale and local")

    def _check(self, name: str, least: float) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} is {value!r}: give a number of seconds")
        if not (math.isfinite(value) and least <= value <= MOST):
            raise ValueError(f"{name} is {value!r}: give seconds from {least:g} to {MOST:.0f}")

    def but(self, changes: "dict[str, Any]") -> "Policy":
        """This policy with other fields; a name that is none is a TypeError."""
        if not changes:
            return self
        names = [f.name for f in fields(self)]
        for name in changes:
            if name not in names:
                raise TypeError(f"a policy has no field {name!r}; it has {', '.join(names)}")
        return Policy(**{**{n: getattr(self, n) for n in names}, **changes})


@dataclass(frozen=True)
class Result:
    """A value and where it came from.

    source  'local'     the first level
            'hit'       Redis
            'filled'    loaded and stored by this call
            'waited'    stored by another reader, for whom this call waited
            'stale'     a value past its life, or about to reach its end
            'bypass'    loaded, not stored: a strict commit is under way, or bypass()
            'unstored'  loaded, not stored: refused, too big, nobody filled it in time,
                        a transaction that has written, ...
            'down'      loaded, not stored: Redis does not answer
    data    the value as it is in Redis
    """

    value: Any
    source: str
    data: Optional[bytes] = field(default=None, repr=False)

    @property
    def etag(self) -> str:
        """The first 16 hex digits of the SHA-256 of the value's bytes; '' without bytes."""
        return "" if self.data is None else hashlib.sha256(self.data).hexdigest()[:16]
