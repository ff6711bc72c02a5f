"""What Cache and AsyncCache share: settings, keys, policies, modes."""
from __future__ import annotations

import contextlib
import contextvars
import math
import os
import time
import weakref
from typing import (Any, Callable, FrozenSet, Iterable, Iterator, List, Mapping, Optional, Tuple,
                    Union)

from .breaker import Breaker, Circuit
from .errors import KeyOutsideNamespace
from .events import Events, Observer
from .flow import Request
from .functions import Kind, Trouble
from .local import LocalCache
from .many import Many
from .policy import MOST, Policy, Result
from .steps import Note
from .template import Vars, parse
from .values import UNREADABLE, Serializer, read, serializer_of

DOWN = Trouble(Kind.DOWN)

# (cache, what): 'bypass', 'read_only', or the key that is being loaded in this context.
_modes: contextvars.ContextVar[FrozenSet[Tuple[int, str]]] = contextvars.ContextVar(
    "inval modes", default=frozenset())


class Call:
    """One read: what is asked, and for whom."""

    __slots__ = ("request", "entry", "ticket", "start")

    def __init__(self, request: Request, entry: str) -> None:
        self.request = request
        self.entry = entry
        self.ticket: Any = None
        self.start = time.perf_counter()


class BaseCache:
    def __init__(self, *, name: str = "default", policy: Policy = Policy(),
                 vars: Optional[Vars] = None, serializer: Union[str, Serializer] = "json",
                 namespace: str = "", functions: str = "auto", on_error: str = "load",
                 max_loads: Optional[int] = None, breaker: Breaker = Breaker(),
                 local: Optional[LocalCache] = None, observer: Optional[Observer] = None,
                 may_store: Optional[Callable[[], Any]] = None) -> None:
        if functions not in ("auto", "require"):
            raise ValueError(f"functions is {functions!r}: 'auto' or 'require'")
        if on_error not in ("load", "raise"):
            raise ValueError(f"on_error is {on_error!r}: 'load' or 'raise'")
        if max_loads is not None and max_loads < 1:
            raise ValueError(f"max_loads is {max_loads!r}: give None or a number from 1")
        if may_store is not None and not callable(may_store):
            raise TypeError("may_store is a function that tells whether this transaction is clean")
        self.name = name
        self.policy = policy
        self.vars: Vars = vars or {}
        self.serializer = serializer_of(serializer)
        self.namespace = namespace
        self.functions = functions
        self.on_error = on_error
        self.max_loads = max_loads
        self.local = local
        self.entries: List[Any] = []
        self._may_store = may_store
        self._events = Events(name, observer)
        self._circuit = Circuit(breaker, changed=self._events.breaker)
        self._id = id(self)
        self._owns_client = False

    # Keys

    def key(self, template: str, **values: object) -> str:
        """The key of a template: the one that a rule with it invalidates."""
        return self._check_key(parse(template).render(values, self.vars))

    def _check_key(self, key: object) -> str:
        if not isinstance(key, str):
            raise TypeError(f"a key is a str, not {type(key).__name__}")
        if not key:
            raise ValueError("a key must not be empty")
        if not key.startswith(self.namespace):
            raise KeyOutsideNamespace(
                f"the key {key!r} does not start with the namespace {self.namespace!r} of cache "
                f"{self.name}: keys go out as they are given; write it in front")
        return key

    # Modes

    def bypass(self) -> "contextlib.AbstractContextManager[None]":
        """Within it this cache always loads, and stores nothing."""
        return self._mode("bypass")

    def read_only(self) -> "contextlib.AbstractContextManager[None]":
        """Within it nothing is stored: for who loads from a standby, or an old snapshot."""
        return self._mode("read_only")

    @contextlib.contextmanager
    def _mode(self, what: str) -> Iterator[None]:
        token = _modes.set(_modes.get() | {(self._id, what)})
        try:
            yield
        finally:
            _modes.reset(token)

    @contextlib.contextmanager
    def _loading(self, *keys: str) -> Iterator[None]:
        token = _modes.set(_modes.get().union((self._id, f"loading {key}") for key in keys))
        try:
            yield
        finally:
            _modes.reset(token)

    def _in(self, what: str) -> bool:
        modes = _modes.get()
        return bool(modes) and (self._id, what) in modes

    def _is_bypassed(self, key: str) -> bool:
        """By bypass(), or because it is this key that is being loaded."""
        return self._in("bypass") or self._in(f"loading {key}")

    def _may_put(self) -> bool:
        return not (self._in("bypass") or self._in("read_only"))

    # Reads

    def _call(self, key: str, policy: Optional[Policy], changes: Mapping[str, Any],
              depends: Iterable[str] = (), entry: str = "", refresh: bool = False) -> Call:
        chosen = policy or self.policy
        if changes:
            chosen = chosen.but(dict(changes))
        if isinstance(depends, str):
            raise TypeError("depends is a list of keys of sets, not a str")
        return Call(Request(
            key=self._check_key(key), policy=chosen, serializer=self.serializer,
            clock=time.monotonic, depends=tuple(map(self._check_key, depends)),
            functions=self.functions, on_error=self.on_error,
            read_only=self._in("read_only"), refresh=refresh), entry)

    def _many(self, keys: Iterable[str], policy: Optional[Policy], changes: Mapping[str, Any],
              entry: str) -> Many:
        return Many(self, [self._call(key, policy, changes, (), entry)
                           for key in dict.fromkeys(keys)])

    def _from_local(self, call: Call) -> Optional[Result]:
        """From the first level; else remembers that the key was not changed from here on."""
        policy = call.request.policy
        if self.local is None or not policy.local or policy.strict or call.request.refresh:
            return None
        data = self.local.get(call.request.key)
        value = read(self.serializer, data)
        if value is not UNREADABLE:
            return Result(value, "local", data)
        call.ticket = self.local.expect(call.request.key)
        return None

    def _finish(self, call: Call, result: Optional[Result]) -> None:
        if call.ticket is not None and self.local is not None:
            keep = result is not None and result.source in ("hit", "filled", "waited")
            self.local.keep(call.ticket, result.data if keep and result else None,
                            call.request.policy.local)
        if result is not None:
            self._events.note(result.source, call.entry, time.perf_counter() - call.start)

    def _with_data(self, result: Result) -> Result:
        """With bytes, so that it has an etag wherever it came from."""
        if result.data is not None:
            return result
        return Result(result.value, result.source, self.serializer.dumps(result.value))

    def _answered(self, outcome: Any, probe: bool) -> Any:
        """Tells the breaker what a command ended with."""
        if isinstance(outcome, Trouble) and outcome.kind is Kind.DOWN:
            self._circuit.failed(probe)
        else:
            self._circuit.succeeded()
        return outcome

    def _take_note(self, note: Note, call: Call) -> None:
        if note.warning:
            self._events.warn(call.entry, note.warning)
        self._events.note(note.event, call.entry)

    def _is_clean(self) -> Any:
        return self._may_store is None or self._may_store()

    # Forks

    def _follow_forks(self) -> None:
        """To be called when all else is there."""
        _after_fork_of(self)

    def _after_fork(self) -> None:
        self._circuit.reset()
        self._events.after_fork()
        if self.local is not None:
            self.local.after_fork()


def _after_fork_of(cache: BaseCache) -> None:
    """Locks may be held, and threads are gone, in the child."""
    reference = weakref.ref(cache)

    def in_child() -> None:
        there = reference()
        if there is not None:
            there._after_fork()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)


def refuse_decoding(client: Any) -> None:
    """Values are bytes: a client that decodes would fail at the first pickle."""
    if client.get_encoder().decode_responses:
        raise ValueError("this client has decode_responses=True, but values are bytes: give one "
                         "that was made without it")


def sentinels_of(client: Any) -> List[Any]:
    """The clients by which a master_for() client asks its sentinels."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return list(manager.sentinels) if manager is not None else []


def check_load(load: Any, name: str = "load") -> None:
    if not callable(load):
        what = "a coroutine: pass the function itself, without calling it" if hasattr(
            load, "__await__") else f"{type(load).__name__}"
        if hasattr(load, "close") and hasattr(load, "cr_code"):
            load.close()  # else Python warns that it was never awaited
        raise TypeError(f"{name} is a function that gives the value, not {what}")


def whole_ms(seconds: float) -> int:
    """For commands that take a life; ValueError if that is none."""
    if not 0 < seconds <= MOST:
        raise ValueError(f"ttl is {seconds!r}: give seconds, more than 0")
    return math.ceil(seconds * 1000)
