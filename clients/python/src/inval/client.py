"""The cache for threads."""
from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

from . import steps
from .base import DOWN, BaseCache, Call, check_load, refuse_decoding
from .entry import Entry, EntryDecorator
from .errors import Unavailable
from .fill import Fill
from .flights import Flight, Flights
from .flow import get_or_set
from .flow_many import get_or_set_many
from .functions import FAILURES, RedisBackend, Trouble, check_replies, trouble_of
from .policy import Policy, Result
from .ready import check_ready
from .url import client_of
from .values import UNREADABLE, read

BACKGROUND_THREADS = 4
BACKGROUND_QUEUE = 32


class Cache(BaseCache):
    """Reads through Redis: what is there, or what a function loads.

    client        of redis-py: Redis, a master_for() of Sentinel, or RedisCluster; without
                  decode_responses
    name          in logs and metrics
    policy        what calls and entries use unless they say otherwise
    vars          values of {$name} in key templates: text, or a function that gives it
    serializer    "json", "auto" (JSON, or pickle where JSON is not exact: only where nobody
                  else writes to this Redis), "raw" (bytes), or an object with dumps and loads
    namespace     every key must start with it; it is never put in front
    functions     "auto": with a Redis before 7 use plain GET and SET; "require": never store
                  without a lease
    on_error      when Redis does not answer: "load", or "raise" Unavailable
    max_loads     so many loads at a time while Redis does not answer
    breaker       when to stop asking, and for how long
    local         a first level, LocalCache(feed=PublishFeed("channel"))
    observer      is told what happens: observer(event, entry, seconds)
    may_store     tells whether what is read now may be stored for others; False within a
                  transaction that has written, or has an old snapshot
    """

    def __init__(self, client: Any, **settings: Any) -> None:
        super().__init__(**settings)
        refuse_decoding(client)
        self.client = client
        self._backend: Any = self._make_backend(client)
        self._restart()
        if self.local is not None:
            self.local.start(client)

    def _make_backend(self, client: Any) -> Any:
        return RedisBackend(client, self._events.functions)

    def _restart(self) -> None:
        self._flights = Flights()
        self._pool: Optional[ThreadPoolExecutor] = None
        self._pool_lock = threading.Lock()
        self._pool_room = threading.BoundedSemaphore(BACKGROUND_QUEUE)
        self._loads = threading.BoundedSemaphore(self.max_loads) if self.max_loads else None

    def _after_fork(self) -> None:
        super()._after_fork()
        self._restart()
        if self.local is not None:
            self.local.start(self.client)

    @classmethod
    def from_url(cls, url: str, *, connect_timeout: float = 0.25, read_timeout: float = 0.5,
                 **settings: Any) -> "Cache":
        """A cache with a client of its own; URLs are those of the extension. Timeouts are in
        seconds: a call never takes longer than both, and its load."""
        return cls(client_of(url, connect_timeout, read_timeout), **settings)

    def close(self) -> None:
        """Ends background loads and the feed, and closes the connections."""
        if self._pool is not None:
            self._pool.shutdown()
        if self.local is not None:
            self.local.close()
        self.client.close()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def check(self) -> int:
        """The version of the function library; NotReady says what is missing, and what to do."""
        return check_ready(self._backend.version, self.functions)

    # Reads

    def get(self, key: str, default: Any = None) -> Any:
        """What a plain GET gives: takes no lease, never loads; default on any error."""
        data = self._perform(steps.Call("get", (self._check_key(key),)))
        value = UNREADABLE if isinstance(data, Trouble) else read(self.serializer, data)
        return default if value is UNREADABLE else value

    def get_or_set(self, key: str, load: Callable[[], Any], *, policy: Optional[Policy] = None,
                   depends: Iterable[str] = (), **policy_fields: Any) -> Any:
        """The value at key; or what load() gives, stored under a lease.

        depends are keys of sets that list this key before load is called, for rules with
        the action members. policy_fields change single fields of the policy. Raises what
        load raises, NotCacheable, and nothing because of Redis (but see on_error)."""
        return self._fetch(key, load, policy, policy_fields, depends).value

    def fetch(self, key: str, load: Callable[[], Any], *, policy: Optional[Policy] = None,
              depends: Iterable[str] = (), **policy_fields: Any) -> Result:
        """As get_or_set, with where the value came from, and its etag."""
        return self._with_data(self._fetch(key, load, policy, policy_fields, depends))

    def refresh(self, key: str, load: Callable[[], Any], *, policy: Optional[Policy] = None,
                depends: Iterable[str] = (), **policy_fields: Any) -> Any:
        """Loads although there is a value, unless somebody else is doing so."""
        return self._fetch(key, load, policy, policy_fields, depends, refresh=True).value

    def _fetch(self, key: str, load: Callable[[], Any], policy: Optional[Policy],
               fields: Mapping[str, Any], depends: Iterable[str] = (), *, entry: str = "",
               refresh: bool = False) -> Result:
        check_load(load)
        call = self._call(key, policy, fields, depends, entry, refresh)
        result = None
        try:
            if self._is_bypassed(key):
                result = Result(self._run_load(steps.Load(), load, call), "bypass")
            else:
                result = self._from_local(call) or self._drive(get_or_set(call.request), load, call)
            return result
        finally:
            self._finish(call, result)

    def get_or_set_many(self, keys: Iterable[str], load_many: Callable[[List[str]], Mapping[str, Any]],
                        *, policy: Optional[Policy] = None, **policy_fields: Any) -> Dict[str, Any]:
        """The values of many keys, by key. load_many(keys that are missing) gives a mapping;
        what is not in it is None. One round trip where all is there."""
        return self._fetch_many(keys, load_many, policy, policy_fields)

    def _fetch_many(self, keys: Iterable[str], load_many: Callable[[List[str]], Mapping[str, Any]],
                    policy: Optional[Policy], fields: Mapping[str, Any], *,
                    entry: str = "") -> Dict[str, Any]:
        check_load(load_many, "load_many")
        names = list(dict.fromkeys(keys))
        if not names:
            return {}
        calls = [self._call(key, policy, fields, (), entry) for key in names]
        results: Dict[str, Result] = {}
        try:
            for call in calls:
                found = None if self._is_bypassed(call.request.key) else self._from_local(call)
                if found is not None:
                    results[call.request.key] = found
            left = [call for call in calls if call.request.key not in results]
            lone = [c.request.key for c in left if self._is_bypassed(c.request.key)]
            asked = [c.request for c in left if c.request.key not in lone]
            if lone:
                loaded = self._run_load(steps.Load(keys=tuple(lone)), load_many, calls[0])
                results.update((key, Result(loaded.get(key), "bypass")) for key in lone)
            if asked:
                results.update(self._drive(get_or_set_many(asked), load_many, calls[0]))
            return {key: results[key].value for key in names}
        finally:
            for call in calls:
                self._finish(call, results.get(call.request.key))

    def fill(self, key: str, *, policy: Optional[Policy] = None, **policy_fields: Any) -> Fill:
        """For loads that are no function:

            with cache.fill(key) as fill:
                if not fill.hit:
                    fill.store(read())
                return fill.value
        """
        return Fill(self, self._call(key, policy, policy_fields))

    def entry(self, template: str, *, tables: Iterable[str] = (), name: str = "",
              policy: Optional[Policy] = None, **policy_fields: Any) -> EntryDecorator:
        """A decorator: the function's value is cached at the template's key."""
        return EntryDecorator(self, Entry, template, tables, name, policy, policy_fields)

    # Without leases

    def version(self, *keys: str) -> Tuple[int, ...]:
        """The numbers at the keys of rules with the action version; a missing one starts from
        the clock. To be called before the database is read. Raises redis-py's errors: without
        the number there is no key."""
        names = [self._check_key(key) for key in keys]
        found = self._backend.mget(names)
        missing = [key for key, value in zip(names, found) if value is None]
        if missing:
            start = int(time.time() * 1_000_000)
            check_replies(self._backend.many([("SET", key, start, "NX") for key in missing]))
            found = self._backend.mget(names)
        return tuple(int(value) for value in found)

    def hget_or_set(self, key: str, field: str, load: Callable[[], Any], ttl: float) -> Any:
        """A field of a hash, by plain HGET and HSET: there are no leases on fields, so an old
        value can be written back, for at most ttl seconds (repeat_after shortens that). The
        hash as a whole lives for ttl after its last store."""
        check_load(load)
        self._check_key(key)
        data = None if self._in("bypass") else self._perform(steps.Call("hget", (key, field)))
        if not isinstance(data, Trouble):
            value = read(self.serializer, data)
            if value is not UNREADABLE:
                return value
        value = load()
        modes = self._in("bypass") or self._in("read_only")
        if not isinstance(data, Trouble) and not modes and self._is_clean():
            self._perform(steps.Call("hset", (key, field, self.serializer.dumps(value), int(ttl * 1000))))
        return value

    def set(self, key: str, value: Any, ttl: float) -> bool:
        """A plain SET, for keys that no row feeds: for others it can write back an old value.
        False if Redis did not take it."""
        data = self.serializer.dumps(value)
        return not isinstance(self._perform(steps.Call(
            "put", (self._check_key(key), data, max(1, int(ttl * 1000))))), Trouble)

    def delete(self, *keys: str) -> int:
        """A plain UNLINK, for keys that no row feeds; how many there were. What rows feed is
        removed by changing them, or by inval_touch(). Raises redis-py's errors."""
        names = [self._check_key(key) for key in keys]
        replies = self._backend.many([("UNLINK", name) for name in names]) if names else []
        check_replies(replies)
        if self.local is not None:
            for name in names:
                self.local.drop(name)
        return sum(replies)

    # Driving the flow

    def _driver(self, load: Callable[..., Any], call: Call) -> "_Driver":
        return _Driver(self, load, call)

    def _drive(self, flow: steps.Flow, load: Callable[..., Any], call: Call) -> Any:
        driver = self._driver(load, call)
        try:
            answer: Any = None
            error: Optional[BaseException] = None
            while True:
                try:
                    step = flow.send(answer) if error is None else flow.throw(error)
                except StopIteration as stop:
                    return stop.value
                answer, error = None, None
                try:
                    answer = driver.take(step)
                except BaseException as problem:
                    error = problem
        finally:
            driver.end()

    def _perform(self, step: steps.Call) -> Any:
        """A command of the backend, if the breaker allows it; a failure as a Trouble."""
        probe = self._circuit.enter()
        if probe is None:
            return DOWN
        try:
            outcome = getattr(self._backend, step.name)(*step.args)
        except FAILURES as error:
            outcome = trouble_of(error)
        return self._answered(outcome, probe)

    def _run_load(self, step: steps.Load, load: Callable[..., Any], call: Call) -> Any:
        keys = step.keys or (call.request.key,)
        bound = self._loads if step.bounded else None
        if bound is not None and not bound.acquire(timeout=call.request.policy.wait):
            raise Unavailable(f"Redis does not answer, and {self.max_loads} loads (max_loads) "
                              "are under way")
        start = time.perf_counter()
        try:
            with self._loading(*keys):
                value = load(list(keys)) if step.keys else load()
            if hasattr(value, "__await__"):
                if hasattr(value, "close"):
                    value.close()
                raise TypeError("load gave a coroutine: use AsyncCache for async functions")
            return value
        finally:
            self._events.note("load", call.entry, time.perf_counter() - start)
            if bound is not None:
                bound.release()

    def _is_clean(self) -> bool:
        return self._may_store is None or bool(self._may_store())

    def _detach(self, rest: steps.Flow, load: Callable[..., Any], call: Call) -> bool:
        room = self._pool_room
        if not room.acquire(blocking=False):
            return False
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(BACKGROUND_THREADS, f"inval {self.name}")

        def work() -> None:
            try:
                self._drive(rest, load, call)
            except Exception as error:
                self._events.warn(call.entry, f"a load in the background failed: {error!r}")
            finally:
                room.release()

        try:
            self._pool.submit(contextvars.copy_context().run, work)
        except RuntimeError:  # the cache is closed
            room.release()
            return False
        return True


class _Driver:
    """Takes the steps of one run."""

    def __init__(self, cache: Cache, load: Callable[..., Any], call: Call) -> None:
        self._cache = cache
        self._load = load
        self._call = call
        self._flight: Optional[Flight] = None

    def take(self, step: Any) -> Any:
        cache, kind = self._cache, type(step)
        if kind is steps.Call:
            return self._perform(step)
        if kind is steps.Load:
            return cache._run_load(step, self._load, self._call)
        if kind is steps.MayStore:
            return cache._is_clean()
        if kind is steps.Wait:
            flight = cache._flights.current(self._call.request.key)
            if flight is not None:
                return cache._flights.wait(flight, step.most)
            time.sleep(step.pause)
            return None
        if kind is steps.Lead:
            self._flight = cache._flights.lead(self._call.request.key)
            return self._flight is not None
        if kind is steps.Detach:
            return cache._detach(step.rest, self._load, self._call)
        if step.warning:
            cache._events.warn(self._call.entry, step.warning)
        cache._events.note(step.event, self._call.entry)
        return None

    def _perform(self, step: steps.Call) -> Any:
        flight = self._flight
        if flight is not None and step.name in ("store", "put"):
            flight.sealed = True
        outcome = self._cache._perform(step)
        if step.name == "ask" and not isinstance(outcome, Trouble) and outcome.word == "fill":
            self.end()
            self._flight = self._cache._flights.begin(step.args[0])
        if flight is not None and step.name == "store" and outcome is True:
            flight.data = step.args[2]
        return outcome

    def end(self) -> None:
        if self._flight is not None:
            self._cache._flights.end(self._flight)
            self._flight = None
