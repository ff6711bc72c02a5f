"""The cache for threads."""
from __future__ import annotations

import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from . import steps
from .base import BaseCache, check_load, refuse_decoding, sentinels_of, whole_ms
from .driver import Runner
from .entry import Entry, EntryDecorator
from .fill import Fill
from .flow import get_or_set
from .flow_many import get_or_set_many
from .commands import RedisBackend
from .functions import Availability, Trouble
from .policy import Policy, Result
from .ready import check_ready
from .url import client_of
from .values import UNREADABLE, read


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
        self._runner = self._make_runner()
        if self.local is not None:
            self.local.start(client)
        self._follow_forks()

    def _make_backend(self, client: Any) -> Any:
        return RedisBackend(client, Availability(self._events.functions))

    def _make_runner(self) -> Runner:
        return Runner(self, self._make_backend(self.client))

    def _after_fork(self) -> None:
        super()._after_fork()
        self._runner = self._make_runner()
        if self.local is not None:
            self.local.start(self.client)

    @classmethod
    def from_url(cls, url: str, *, connect_timeout: float = 0.25, read_timeout: float = 0.5,
                 **settings: Any) -> "Cache":
        """A cache with a client of its own; URLs are those of the extension. Timeouts are in
        seconds: a call never takes longer than both, and its load."""
        cache = cls(client_of(url, connect_timeout, read_timeout), **settings)
        cache._owns_client = True
        return cache

    def close(self) -> None:
        """Ends background loads and the feed; a client that from_url made is closed too."""
        self._runner.close()
        if self.local is not None:
            self.local.close()
        if self._owns_client:
            for one in (self.client, *sentinels_of(self.client)):
                one.close()
                pool = getattr(one, "connection_pool", None)
                if pool is not None:  # which redis-py 4 leaves open
                    pool.disconnect()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def check(self) -> int:
        """The version of the function library; NotReady says what is missing, and what to do."""
        return check_ready(lambda: int(self._runner.backend.run("version")), self.functions)

    # Reads

    def get(self, key: str, default: Any = None) -> Any:
        """What a plain GET gives: takes no lease, never loads; default on any error."""
        data = self._runner.perform("get", self._check_key(key))
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
                result = Result(self._runner.load(steps.Load(), load, call), "bypass")
            else:
                result = self._from_local(call) or self._runner.drive(get_or_set(call.request), load, call)
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
        many = self._many(keys, policy, fields, entry)
        try:
            if many.lone:
                many.take_lone(self._runner.load(steps.Load(keys=many.lone), load_many, many.calls[0]))
            if many.asked:
                many.results.update(self._runner.drive(
                    get_or_set_many(many.asked), load_many, many.calls[0]))
            return many.values()
        finally:
            many.finish()

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

    def send(self, commands: Sequence[Sequence[Any]]) -> Union[List[Any], Trouble]:
        """Commands of one's own, in one round trip (on a Cluster in one for each), by the breaker.

        Their replies, errors of the server among them; a Trouble (inval.functions) if there is no
        answer. Keys are not looked at.
        """
        plain = [tuple(command) for command in commands]
        replies: Union[List[Any], Trouble] = self._runner.guarded(
            lambda: self._runner.backend.many(plain))
        return replies

    def use(self, client: Any) -> None:
        """Another server from now on, also for entries that were made before: for tests."""
        refuse_decoding(client)
        self.client = client
        self._runner = self._make_runner()

    def version(self, *keys: str) -> Tuple[int, ...]:
        """The numbers at the keys of rules with the action version; a missing one starts from
        the clock. To be called before the database is read. Raises redis-py's errors, and
        Unavailable while the breaker is open: without the number there is no key."""
        names = [self._check_key(key) for key in keys]
        run = self._runner.demand
        found = run("numbers", names)
        missing = [key for key, value in zip(names, found) if value is None]
        if missing:
            run("seed", missing, int(time.time() * 1_000_000))
            found = run("numbers", names)
        return tuple(int(value) for value in found)

    def hget_or_set(self, key: str, field: str, load: Callable[[], Any], ttl: float) -> Any:
        """A field of a hash, by plain HGET and HSET: there are no leases on fields, so an old
        value can be written back, for at most ttl seconds (repeat_after shortens that). The
        hash as a whole lives for ttl after its last store."""
        check_load(load)
        self._check_key(key)
        data = None if self._in("bypass") else self._runner.perform("hget", key, field)
        if not isinstance(data, Trouble):
            value = read(self.serializer, data)
            if value is not UNREADABLE:
                return value
        value = load()
        if not isinstance(data, Trouble) and self._may_put() and self._is_clean():
            self._runner.perform("hset", key, field, self.serializer.dumps(value), whole_ms(ttl))
        return value

    def set(self, key: str, value: Any, ttl: float) -> bool:
        """A plain SET, for keys that no row feeds: for others it can write back an old value.
        False if Redis did not take it."""
        data = self.serializer.dumps(value)
        return not isinstance(self._runner.perform(
            "put", self._check_key(key), data, whole_ms(ttl)), Trouble)

    def delete(self, *keys: str) -> int:
        """A plain UNLINK, for keys that no row feeds; how many there were. What rows feed is
        removed by changing them, or by inval_touch(). Raises as version()."""
        names = [self._check_key(key) for key in keys]
        gone = int(self._runner.demand("delete", names)) if names else 0
        if self.local is not None:
            for name in names:
                self.local.drop(name)
        return gone
