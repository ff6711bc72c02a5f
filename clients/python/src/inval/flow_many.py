"""get_or_set of many keys at once, without I/O: one round trip for each thing that is done.

Those that this call may fill come first, and others wait for nobody meanwhile; then it
waits for what others fill.
"""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .errors import Unavailable
from .flow import GET_WILL_DO, PAUSE, Request, life_ms, milliseconds
from .functions import Answer, Kind, Trouble
from .policy import Result
from .steps import Call, Flow, Hopeless, Load, MayStore, Note, Unstorable, Wait
from .values import UNREADABLE, read


class _Batch:
    """What becomes of each key; source: how one ends that is loaded without being stored."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = {request.key: request for request in requests}
        self.results: Dict[str, Result] = {}
        self.waiting: List[str] = []
        self.leases: Dict[str, Answer] = {}
        self.lone: Dict[str, str] = {}
        self.by_get: Dict[str, Kind] = {}
        self.waited = False


def get_or_set_many(requests: Sequence[Request]) -> Flow:
    """A dict of Results by key. All requests have the same policy but for their keys."""
    first = requests[0]
    batch = _Batch(requests)
    deadline = first.clock() + first.policy.wait
    asked = list(batch.requests)
    if first.read_only:
        batch.by_get = {key: Kind.READ_ONLY for key in asked}
        asked = []
    while True:
        if asked:
            yield from _ask(batch, asked, milliseconds(first.policy.early))
        yield from _get(batch)
        yield from _fill(batch)
        if not batch.waiting:
            return batch.results
        left = deadline - first.clock()
        if left <= 0:
            batch.lone.update((key, "unstored") for key in batch.waiting)
            yield from _fill(batch)
            return batch.results
        asked, batch.waiting, batch.waited = batch.waiting, [], True
        pause = min(left, PAUSE[0] + first.chance() * PAUSE[1])
        yield Wait(pause, 0)


def _ask(batch: _Batch, keys: Sequence[str], early_ms: int) -> Flow:
    first = batch.requests[keys[0]]
    lease_ms = milliseconds(first.policy.lease)
    answers = yield Call("ask_many", (tuple(keys), lease_ms, early_ms))
    if isinstance(answers, Trouble):
        answers = [answers] * len(keys)
    unreadable = []
    for key, answer in zip(keys, answers):
        if isinstance(answer, Trouble):
            yield from _troubled(batch, key, answer)
            continue
        value = read(first.serializer, answer.value)
        if answer.word == "bypass":
            batch.lone[key] = "bypass"
        elif answer.word == "fill":
            batch.leases[key] = answer
        elif answer.word == "hit" and value is not UNREADABLE:
            batch.results[key] = Result(value, "waited" if batch.waited else "hit", answer.value)
        elif answer.word == "hit" and early_ms == -1:
            batch.lone[key] = "unstored"
        elif answer.word == "hit":
            yield Note("unreadable")
            unreadable.append(key)
        elif value is not UNREADABLE and not first.policy.strict:
            batch.results[key] = Result(value, "stale", answer.value)
        elif (yield Hopeless(key)):
            batch.lone[key] = "unstored"
        else:
            batch.waiting.append(key)
    if unreadable:
        yield from _ask(batch, unreadable, -1)


def _troubled(batch: _Batch, key: str, trouble: Trouble) -> Flow:
    request = batch.requests[key]
    if trouble.kind is Kind.DOWN:
        _down(batch, key, trouble)
    elif trouble.kind in GET_WILL_DO and not request.policy.strict:
        batch.by_get[key] = trouble.kind
    else:
        if trouble.kind not in GET_WILL_DO:
            yield Note("failed", f"{trouble.kind.value} ({trouble.error}): values are loaded and "
                                 "not stored")
        batch.lone[key] = "unstored"


def _down(batch: _Batch, key: str, trouble: Trouble) -> None:
    if batch.requests[key].on_error == "raise":
        raise Unavailable(f"Redis does not answer: {trouble.error or 'the breaker is open'}"
                          ) from trouble.error
    batch.lone[key] = "down"


def _get(batch: _Batch) -> Flow:
    """By plain GET, where no lease can be had."""
    keys = list(batch.by_get)
    kinds, batch.by_get = batch.by_get, {}
    if keys and batch.requests[keys[0]].policy.strict:
        batch.lone.update((key, "unstored") for key in keys)
        return
    if not keys:
        return
    values = yield Call("get_many", (tuple(keys),))
    if isinstance(values, Trouble):
        values = [values] * len(keys)
    for key, data in zip(keys, values):
        if isinstance(data, Trouble):
            if data.kind is Kind.DOWN:
                _down(batch, key, data)
            else:
                batch.lone[key] = "unstored"
            continue
        request = batch.requests[key]
        value = read(request.serializer, data)
        if value is not UNREADABLE:
            batch.results[key] = Result(value, "hit", data)
        elif kinds[key] is Kind.NO_COMMAND and request.functions == "auto":
            batch.leases[key] = Answer("put")
        else:
            batch.lone[key] = "unstored"


def _fill(batch: _Batch) -> Flow:
    """Loads what this call may fill or has to read by itself, and stores the former."""
    leases, batch.leases = batch.leases, {}
    lone, batch.lone = batch.lone, {}
    if not leases and not lone:
        return
    try:
        if leases and not (yield MayStore()):
            yield Note("dirty")
            yield from _release(leases)
            lone.update((key, "unstored") for key in leases)
            leases = {}
        bounded = all(source == "down" for source in lone.values()) and not leases
        loaded: Mapping[str, Any] = yield Load(bounded, tuple([*leases, *lone]))
        stores = [] if not leases else (yield from _stores(batch, leases, loaded))
    except GeneratorExit:
        raise
    except BaseException as error:
        yield Note("load_failed")
        yield from _release(leases)
        stale = {} if lone or not isinstance(error, Exception) else _stale_results(batch, leases)
        if len(stale) < len(leases) or not stale:
            raise
        batch.results.update(stale)
        return
    for key, source in lone.items():
        batch.results[key] = Result(loaded.get(key), source)
    if stores and not (yield MayStore()):
        yield Note("dirty")
        yield from _release({key: leases[key] for key, *_ in stores})
        stores = []
    if stores:
        outcomes = yield Call("store_many", (tuple(stores),))
        if isinstance(outcomes, Trouble):
            outcomes = [outcomes] * len(stores)
        for (key, _, data, _, _), outcome in zip(stores, outcomes):
            stored = outcome is True
            yield Note("stored" if stored else "refused" if outcome is False else "failed")
            if stored:
                batch.results[key] = Result(batch.results[key].value, "filled", data)
        unused = {store[0]: leases[store[0]] for store, outcome in zip(stores, outcomes)
                  if isinstance(outcome, Trouble) and outcome.kind is not Kind.DOWN}
        for key in unused:
            yield Unstorable(key)
        yield from _release(unused)


def _stale_results(batch: _Batch, leases: Mapping[str, Answer]) -> Dict[str, Result]:
    """The stale values that came with leases, for a load that has failed."""
    results = {}
    for key, lease in leases.items():
        request = batch.requests[key]
        value = read(request.serializer, lease.value)
        if value is not UNREADABLE and not request.policy.strict:
            results[key] = Result(value, "stale", lease.value)
    return results


def _stores(batch: _Batch, leases: Mapping[str, Answer], loaded: Mapping[str, Any]) -> Flow:
    """What to store, after each key got its result; gives up the other leases."""
    stores: List[Tuple[str, Any, bytes, int, int]] = []
    unused = {}
    for key, lease in leases.items():
        request = batch.requests[key]
        value = loaded.get(key)
        data = request.serializer.dumps(value)
        batch.results[key] = Result(value, "unstored", data)
        ttl_ms = life_ms(request, value)
        if ttl_ms and len(data) <= request.policy.max_bytes:
            stale_ms = 0 if request.policy.strict else milliseconds(request.policy.stale)
            stores.append((key, lease.token, data, ttl_ms, stale_ms))
            continue
        if ttl_ms:
            yield Note("too_big")
        yield Unstorable(key)
        unused[key] = lease
    yield from _release(unused)
    return stores


def _release(leases: Mapping[str, Answer]) -> Flow:
    """Gives up leases; those of a Redis without functions are none."""
    held = tuple((key, lease.token) for key, lease in leases.items() if lease.word == "fill")
    if held:
        yield Call("release_many", (held,))
