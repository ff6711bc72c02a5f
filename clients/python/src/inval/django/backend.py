"""InvalCache: a cache backend of Django's, whose get_or_set takes leases.

    CACHES = {"default": {
        "BACKEND": "inval.django.InvalCache",
        "LOCATION": "redis://127.0.0.1:6379/0",
        "TIMEOUT": 3600,
        "OPTIONS": {"EARLY": 30},
    }}

Keys go to Redis as they are, behind KEY_PREFIX: what a rule names.  get_or_set, get_or_set_many and fetch follow the
rules for readers; all else is plain Redis, as Django means it: get() and then set() can write an old value back.
"""

from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.utils.functional import cached_property

from inval import Cache, Result

from .config import LEAST, NEVER, CacheConfig
from .glue import shared_cache
from .plain import Plain

# Steps of clear()
_SCAN_COUNT = 1000


def default_key(key: str, key_prefix: str, version: int) -> str:
    """KEY_PREFIX and the key.  A version other than 1 comes between them, as in prefix2:key."""
    return f"{key_prefix}{key}" if version == 1 else f"{key_prefix}{version}:{key}"


class InvalCache(BaseCache):
    """LOCATION is a URL, in any form that inval.redis_url has.  OPTIONS, all of them optional, in seconds:

    EARLY, STALE, LEASE, WAIT, JITTER, NONE_TTL, MAX_BYTES, STRICT, BACKGROUND   as the fields of inval.Policy
    SERIALIZER   "auto" (default: JSON where it is exact, else pickle), "json", "raw", or an object or the path of one
    ON_ERROR     "load" (default) or "raise", if Redis does not answer
    FUNCTIONS    "auto" or "require"
    DATABASE     alias of the database that values are loaded from, or a list of them (default "default")
    CONNECT_TIMEOUT, READ_TIMEOUT   0.25 and 0.5
    MAX_LOADS    loads at a time while Redis is away
    OBSERVER     a function of event, entry and seconds, or its path
    CLEAR        "flushdb": clear() empties the Redis database; else it removes what begins with KEY_PREFIX

    Raises ImproperlyConfigured for options that it does not have.
    """

    is_null = False  # without a Redis

    def __init__(self, location: Any, params: Mapping[str, Any]) -> None:
        params = dict(params)
        if params.get("KEY_FUNCTION", params.get("key_function")) is None:
            params["KEY_FUNCTION"] = default_key
        super().__init__(params)
        self.config = CacheConfig.of(location, params.get("OPTIONS", {}), self.default_timeout)
        self.databases = self.config.databases

    @cached_property
    def _plain(self) -> Plain:
        return Plain(shared_cache(self.config), self.config)

    # What is under it

    @property
    def inval(self) -> Cache:
        """The inval.Cache: for decorators (.entry), fills by hand (.fill), version keys.  Its keys have no KEY_PREFIX of
        their own accord."""
        cache: Cache = self._plain.cache
        return cache

    @property
    def ainval(self) -> Any:
        """The inval.AsyncCache of the event loop that is running."""
        return shared_cache(self.config).asynchronous()

    # Leases

    def get_or_set(self, key: str, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None,
                   **policy: Any) -> Any:
        """The value, or what default gives, stored under a lease.

        default  a function without arguments; or a value, for what no row feeds: it was read before the lease
        timeout  seconds; 0: load and store nothing; None: ten years
        policy   other fields of inval.Policy, such as early=30

        Stores nothing in a transaction that has written, and serves nothing cached in it.
        """
        return self.fetch(key, default, timeout, version, **policy).value

    def fetch(self, key: str, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None,
              **policy: Any) -> Result:
        """As get_or_set; with where the value came from, and an ETag."""
        key = self.make_key(key, version=version)
        load = _loader(default)
        with self._stored(self.inval, self._fields(timeout, policy)) as fields:
            return self.inval.fetch(key, load, **fields)

    def get_or_set_many(self, keys: Iterable[str], load_many: Callable[[List[str]], Mapping[str, Any]],
                        timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None, **policy: Any) -> Dict[str, Any]:
        """Key -> value for all of these keys, in one round trip.

        load_many  gets the list of keys that are missing, and gives key -> value; what it leaves out is None
        """
        names = {self.make_key(key, version=version): key for key in keys}

        def load(missing: Sequence[str]) -> Dict[str, Any]:
            made = load_many([names[one] for one in missing])
            return {one: made.get(names[one]) for one in missing}

        with self._stored(self.inval, self._fields(timeout, policy)) as fields:
            found = self.inval.get_or_set_many(list(names), load, **fields)
        return {names[one]: found.get(one) for one in names}

    def refresh(self, key: str, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None,
                **policy: Any) -> Any:
        """Loads and stores anew although there is a value; the new one."""
        key = self.make_key(key, version=version)
        load = _loader(default)
        with self._stored(self.inval, self._fields(timeout, policy)) as fields:
            return self.inval.refresh(key, load, **fields)

    async def aget_or_set(self, key: str, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None,
                          **policy: Any) -> Any:
        """As get_or_set; default may be a coroutine function.  A connection pool for each event loop."""
        key = self.make_key(key, version=version)
        load = _async_loader(default)
        cache = self.ainval
        with self._stored(cache, self._fields(timeout, policy)) as fields:
            return await cache.get_or_set(key, load, **fields)

    def _fields(self, timeout: Any, policy: Dict[str, Any]) -> Dict[str, Any]:
        """Fields of the policy; with a ttl of 0, which no policy has, for what is not to be stored."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        ttl = NEVER if seconds is None else float(min(seconds, NEVER))
        ttl = max(ttl, LEAST) if ttl > 0 else 0.0
        fields = {**policy, "ttl": ttl}
        early = fields.get("early", self.config.policy.early)
        if 0 < ttl <= early:
            # What lives so short is refreshed in its last half.
            fields["early"] = ttl / 2
        return fields

    @contextmanager
    def _stored(self, cache: Any, fields: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
        """The fields; those of a timeout of 0 within bypass()."""
        if fields["ttl"] > 0:
            yield fields
            return
        with cache.bypass():
            yield {name: value for name, value in fields.items() if name != "ttl"}

    # Plain Redis

    def get(self, key: str, default: Any = None, version: Optional[int] = None) -> Any:
        return self._plain.get(self.make_key(key, version=version), default)

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> None:
        key = self.make_key(key, version=version)
        ttl = self._ttl_ms(timeout)
        if ttl == 0:
            self._plain.run(0, "UNLINK", key)
        else:
            self._plain.run(None, "SET", key, self._plain.dumps(value), *_px(ttl))

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> bool:
        key = self.make_key(key, version=version)
        ttl = self._ttl_ms(timeout)
        if ttl == 0:
            return not self._plain.run(1, "EXISTS", key)
        return bool(self._plain.run(None, "SET", key, self._plain.dumps(value), *_px(ttl), "NX"))

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> bool:
        key = self.make_key(key, version=version)
        ttl = self._ttl_ms(timeout)
        if ttl == 0:
            return bool(self._plain.run(0, "UNLINK", key))
        if ttl is None:
            self._plain.run(0, "PERSIST", key)
            return bool(self._plain.run(0, "EXISTS", key))
        return bool(self._plain.run(0, "PEXPIRE", key, ttl))

    def delete(self, key: str, version: Optional[int] = None) -> bool:
        return bool(self._plain.run(0, "UNLINK", self.make_key(key, version=version)))

    def has_key(self, key: str, version: Optional[int] = None) -> bool:
        return bool(self._plain.run(0, "EXISTS", self.make_key(key, version=version)))

    def incr(self, key: str, delta: int = 1, version: Optional[int] = None) -> int:
        """Raises ValueError if there is no such key, or no whole number at it."""
        name = self.make_key(key, version=version)
        if not self._plain.run(0, "EXISTS", name):
            raise ValueError(f"Key '{key}' not found")
        try:
            return int(self._plain.run(0, "INCRBY", name, delta))
        except self._plain.ResponseError as error:
            raise ValueError(f"Key '{key}' is no whole number: {error}") from None

    def get_many(self, keys: Iterable[str], version: Optional[int] = None) -> Dict[str, Any]:
        names = {self.make_key(key, version=version): key for key in keys}
        replies = self._plain.run_many([("GET", name) for name in names])
        found = {}
        for key, data in zip(names.values(), replies):
            value = self._plain.loads(data, self._missing_key)
            if value is not self._missing_key:
                found[key] = value
        return found

    def set_many(self, data: Mapping[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> List[str]:
        """The keys that could not be set."""
        ttl = self._ttl_ms(timeout)
        if ttl == 0:
            self.delete_many(data, version=version)
            return []
        replies = self._plain.run_many(
            [("SET", self.make_key(key, version=version), self._plain.dumps(value), *_px(ttl)) for key, value in data.items()]
        )
        return [key for key, reply in zip(data, replies) if not reply]

    def delete_many(self, keys: Iterable[str], version: Optional[int] = None) -> None:
        self._plain.run_many([("UNLINK", self.make_key(key, version=version)) for key in keys])

    def clear(self) -> None:
        """Removes what begins with KEY_PREFIX, in steps.

        Raises ValueError without a KEY_PREFIX, unless OPTIONS["CLEAR"] is "flushdb": other users of the database may
        have put there what they cannot make again.
        """
        if self.config.clear == "flushdb":
            self._plain.flush()
        elif not self.key_prefix:
            raise ValueError(
                'clear() would remove all that is in the Redis database: set KEY_PREFIX, or OPTIONS["CLEAR"] = "flushdb", '
                "which is for tests"
            )
        else:
            self._plain.remove_prefix(self.key_prefix, _SCAN_COUNT)

    def validate_key(self, key: str) -> None:
        """Any text is a key: the limits of memcached, of which Django warns, are not those of Redis."""

    def close(self, **kwargs: Any) -> None:
        """Nothing: connections outlive the request, at whose end Django calls this."""

    def _ttl_ms(self, timeout: Any) -> Optional[int]:
        """None for ever, 0 for what is not to be stored; at least a millisecond otherwise."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        if seconds is None:
            return None
        return max(int(min(seconds, NEVER) * 1000), 1) if seconds > 0 else 0


def _px(ttl: Optional[int]) -> Tuple[Any, ...]:
    return () if ttl is None else ("PX", ttl)


def _loader(default: Any) -> Callable[[], Any]:
    if callable(default):
        function: Callable[[], Any] = default
        return function
    return lambda: default


def _async_loader(default: Any) -> Callable[[], Any]:
    if callable(default):
        function: Callable[[], Any] = default
        return function

    async def load() -> Any:
        return default

    return load


__all__ = ["InvalCache", "default_key"]
