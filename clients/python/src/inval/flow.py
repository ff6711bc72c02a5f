"""get_or_set, written once, without I/O.

A generator that yields steps (steps.py) and returns a Result. client.py and aio.py
drive it. The order is what makes it right: first the lease, then the snapshot; what
is stored is stored under the lease; whatever goes wrong, load and store nothing.
"""
from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any, Callable, Optional, Tuple

from .errors import NotStored, Unavailable
from .functions import Answer, Kind, Trouble
from .policy import Policy, Result
from .steps import (Call, Detach, Flow, Hopeless, Lead, Load, MayStore, Note, Unstorable,
                    Wait)
from .values import UNREADABLE, Serializer, read

PAUSE = (0.010, 0.040)  # seconds, and at most so many more, between looks for what somebody else fills
GET_WILL_DO = (Kind.NO_COMMAND, Kind.NO_FUNCTION, Kind.READ_ONLY)


@dataclass
class Request:
    """What one call is about; functions and on_error as in Cache."""

    key: str
    policy: Policy
    serializer: Serializer
    clock: Callable[[], float]
    depends: Tuple[str, ...] = ()
    functions: str = "auto"
    on_error: str = "load"
    read_only: bool = False
    refresh: bool = False
    chance: Callable[[], float] = random.random


def milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def life_ms(request: Request, value: Any) -> int:
    """How long to keep a value, with jitter; 0: not at all."""
    policy = request.policy
    ttl = policy.ttl
    if value is None and policy.none_ttl is not None:
        ttl = policy.none_ttl
    return milliseconds(ttl * (1 - request.chance() * policy.jitter))


def register_life_ms(policy: Policy) -> int:
    """How long a dependency set must outlive the moment at which it lists a key."""
    return milliseconds(policy.lease + max(policy.ttl, policy.none_ttl or 0) + policy.stale)


def get_or_set(request: Request) -> Flow:
    """The value of a key: Redis', or loaded and, if that may be, stored."""
    policy = request.policy
    if request.read_only:
        return (yield from _without_lease(request, Kind.READ_ONLY, None))
    early_ms = -1 if request.refresh else milliseconds(policy.early)
    deadline = request.clock() + policy.wait
    waited = False
    while True:
        answer = yield Call("ask", (request.key, milliseconds(policy.lease), early_ms))
        if isinstance(answer, Trouble):
            return (yield from _without_lease(request, answer.kind, answer.error, waited))
        if answer.word == "bypass":
            return (yield from _load_only("bypass"))
        value = read(request.serializer, answer.value)
        if answer.word == "hit":
            if value is not UNREADABLE:
                return Result(value, "waited" if waited else "hit", answer.value)
            if early_ms == -1:  # somebody else is about to replace it
                return (yield from _load_only("unstored"))
            yield Note("unreadable")
            early_ms = -1
        elif answer.word == "fill":
            stale = _stale_result(policy, value, answer.value)
            rest = _fill(request, answer, stale)
            if stale is not None and policy.background and (yield Detach(rest)):
                return stale
            return (yield from rest)
        else:
            stale = _stale_result(policy, value, answer.value)
            if stale is not None:
                return stale
            left = deadline - request.clock()
            if left <= 0 or (yield Hopeless(request.key)):
                return (yield from _load_only("unstored"))
            waited = True
            data = yield Wait(min(left, PAUSE[0] + request.chance() * PAUSE[1]), left)
            value = read(request.serializer, data)
            if value is not UNREADABLE:
                return Result(value, "waited", data)


def _stale_result(policy: Policy, value: Any, data: Optional[bytes]) -> Optional[Result]:
    return None if value is UNREADABLE or policy.strict else Result(value, "stale", data)


def _load_only(source: str) -> Flow:
    return Result((yield Load(bounded=source == "down")), source)


def _fill(request: Request, lease: Answer, stale: Optional[Result]) -> Flow:
    """Under a lease: load, store. Whatever happens the lease is used or given up."""
    release = Call("release", (request.key, lease.token))
    try:
        storable = yield from _may_begin(request)
        if storable:
            value, data = yield from _load_for_store(request, stale)
    except GeneratorExit:  # nobody drives it any more: the lease expires
        raise
    except BaseException:
        yield release
        raise
    if not storable:
        # Nobody needs to wait for a value that will not be stored.
        yield release
        return (yield from _load_only("unstored"))
    if value is UNREADABLE:
        yield release
        return stale
    ttl_ms = yield from _life_to_store(request, value, data)
    if not ttl_ms:
        yield release
        return Result(value, "unstored", data)
    stored = yield Call("store", (request.key, lease.token, data, ttl_ms,
                                  0 if request.policy.strict else milliseconds(request.policy.stale)))
    if stored is True:
        yield Note("stored")
        return Result(value, "filled", data)
    yield Note("refused" if stored is False else "failed")
    if isinstance(stored, Trouble) and stored.kind is not Kind.DOWN:
        yield Unstorable(request.key)  # a full server: nobody is to wait for that
        yield release
    return Result(value, "unstored", data)


def _load_for_store(request: Request, stale: Optional[Result]) -> Flow:
    """The value and its bytes; UNREADABLE if the load fails and a stale one will do."""
    try:
        value = yield Load()
    except NotStored:
        raise
    except Exception:
        yield Note("load_failed")
        if stale is None:
            raise
        return UNREADABLE, None
    return value, request.serializer.dumps(value)


def _may_begin(request: Request) -> Flow:
    """Before the load: whether the transaction is clean, and the sets list the key."""
    if not (yield MayStore()):
        yield Note("dirty")
        return False
    if request.depends:
        longest = register_life_ms(request.policy)
        if isinstance((yield Call("register", (request.depends, request.key, longest))), Trouble):
            yield Note("failed", "dependency sets cannot be written, so values that have some "
                                 "are not stored")
            return False
    return True


def _life_to_store(request: Request, value: Any, data: bytes) -> Flow:
    """After the load: for how many ms to store it; 0: not."""
    ttl_ms = life_ms(request, value)
    if not ttl_ms:
        yield Unstorable(request.key)
        return 0
    if len(data) > request.policy.max_bytes:
        yield Note("too_big")
        yield Unstorable(request.key)
        return 0
    if not (yield MayStore()):
        yield Note("dirty")
        return 0
    return ttl_ms


def _without_lease(request: Request, kind: Kind, error: Optional[BaseException],
                   waited: bool = False) -> Flow:
    """No lease can be had, or is wanted: what a plain GET gives, or load."""
    if kind is Kind.DOWN:
        return (yield from _down(request, error))
    if kind not in GET_WILL_DO:
        yield Note("failed", f"{kind.value} ({error}): values are loaded and not stored")
    elif request.refresh:  # of which a plain GET is none
        if kind is Kind.NO_COMMAND and request.functions == "auto" and not request.policy.strict:
            return (yield from _plain(request))
    elif not request.policy.strict:  # a plain GET sees what a fence hides
        data = yield Call("get", (request.key,))
        if isinstance(data, Trouble):
            if data.kind is Kind.DOWN:
                return (yield from _down(request, data.error))
        else:
            value = read(request.serializer, data)
            if value is not UNREADABLE:
                return Result(value, "waited" if waited else "hit", data)
            if kind is Kind.NO_COMMAND and request.functions == "auto":
                return (yield from _plain(request))
    return (yield from _load_only("unstored"))


def _down(request: Request, error: Optional[BaseException]) -> Flow:
    if request.on_error == "raise":
        raise Unavailable(f"Redis does not answer: {error or 'the breaker is open'}") from error
    return (yield from _load_only("down"))


def _plain(request: Request) -> Flow:
    """Of a Redis without functions (before 7): one load at a time in this process, plain SET."""
    deadline = request.clock() + request.policy.wait
    while not (yield Lead()):
        left = deadline - request.clock()
        if left <= 0:
            return (yield from _load_only("unstored"))
        yield Wait(min(left, PAUSE[0]), left)
        data = yield Call("get", (request.key,))
        value = UNREADABLE if isinstance(data, Trouble) else read(request.serializer, data)
        if value is not UNREADABLE:
            return Result(value, "waited", data)
    if not (yield MayStore()):
        yield Note("dirty")
        return (yield from _load_only("unstored"))
    value = yield Load()
    data = request.serializer.dumps(value)
    ttl_ms = yield from _life_to_store(request, value, data)
    if ttl_ms and not isinstance((yield Call("put", (request.key, data, ttl_ms))), Trouble):
        yield Note("stored")
        return Result(value, "filled", data)
    return Result(value, "unstored", data)
