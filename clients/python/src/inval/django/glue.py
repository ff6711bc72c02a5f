"""Where Django's backend meets the core: one Cache for a process, whatever Django makes of backends.

Django makes a backend for each thread.  What they share, so that a process asks and loads once (single flight, breaker,
connections), is kept here by the settings that it was made of.
"""

import asyncio
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from django.db import close_old_connections, connections

from inval import Cache, Result
from inval.driver import Runner
from inval.library import load
from inval.url import client_of

from .conf import conf
from .config import CacheConfig
from .transactions import may_serve, may_store


class _Vars(Mapping[str, str]):
    """INVAL["VARS"], as it is when a key is made."""

    def __getitem__(self, name: str) -> str:
        return conf().vars[name]

    def __iter__(self) -> Iterator[str]:
        return iter(conf().vars)

    def __len__(self) -> int:
        return len(conf().vars)


class DjangoCache(Cache):
    """A Cache that knows the transactions of these databases: entries and fills by hand keep to their rules as well."""

    def __init__(self, databases: Tuple[str, ...], client: Any, **settings: Any) -> None:
        self._databases = databases
        super().__init__(client, may_store=lambda: may_store(databases), **settings)

    def _make_runner(self) -> Runner:
        return _Runner(self, self._make_backend(self.client))

    def _is_bypassed(self, key: str) -> bool:
        return super()._is_bypassed(key) or not may_serve(self._databases)

    def _fetch_many(self, *args: Any, **kwargs: Any) -> Dict[str, Any]:
        with self._transaction():
            return super()._fetch_many(*args, **kwargs)

    def hget_or_set(self, *args: Any, **kwargs: Any) -> Any:
        with self._transaction():
            return super().hget_or_set(*args, **kwargs)

    def _transaction(self) -> "AbstractContextManager[None]":
        return nullcontext() if may_serve(self._databases) else self.bypass()


class _Runner(Runner):
    """A thread that loads in the background leaves no connection to the database behind."""

    def detach(self, rest: Any, load: Callable[..., Any], call: Any) -> bool:
        def run(*args: Any) -> Any:
            close_old_connections()
            try:
                return load(*args)
            finally:
                connections.close_all()

        return super().detach(rest, run, call)


class Shared:
    """The caches of one LOCATION with its OPTIONS: one for threads, one for each event loop."""

    def __init__(self, config: CacheConfig) -> None:
        self._config = config
        self._location = config.location
        self._lock = threading.Lock()
        self._by_loop: Dict[Any, Any] = {}
        self.cache = DjangoCache(config.databases, self._client(False), **self._settings())

    def asynchronous(self) -> Any:
        """That of the running event loop; its connections belong to it."""
        from .glue_async import DjangoAsyncCache, close_with_loop

        loop = asyncio.get_running_loop()
        with self._lock:
            cache = self._by_loop.get(loop)
            if cache is None:
                # What is left of loops that were closed without a word goes.
                self._by_loop = {one: kept for one, kept in self._by_loop.items() if not one.is_closed()}
                cache = DjangoAsyncCache(self._config.databases, self._client(True), **self._settings())
                self._by_loop[loop] = cache
                close_with_loop(cache, lambda: self._by_loop.pop(loop, None))
            return cache

    def after_fork(self) -> None:
        """Locks may be held, and event loops are gone, in the child."""
        self._lock = threading.Lock()
        self._by_loop = {}

    def caches(self) -> List[Any]:
        with self._lock:
            return [self.cache, *self._by_loop.values()]

    def move(self, location: str) -> None:
        """Uses another server or database from now on: also for entries that were made before."""
        self._location = location
        self.cache.use(self._client(False))
        with self._lock:
            self._by_loop.clear()

    def _client(self, asynchronous: bool) -> Any:
        return client_of(self._location, self._config.connect_timeout, self._config.read_timeout, asynchronous)

    def _settings(self) -> Dict[str, Any]:
        config = self._config
        return {
            "name": config.name, "policy": config.policy, "vars": _Vars(), "serializer": config.serializer,
            "functions": config.functions, "on_error": config.on_error, "max_loads": config.max_loads,
            "observer": config.observer,
        }


_lock = threading.Lock()
_shared: Dict[CacheConfig, Shared] = {}


def _after_fork() -> None:
    """In the child, where another thread may have held a lock."""
    global _lock
    _lock = threading.Lock()
    for shared in _shared.values():
        shared.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def shared_cache(config: CacheConfig) -> Shared:
    """What all backends with these settings share."""
    with _lock:
        found = _shared.get(config)
        if found is None:
            found = _shared[config] = Shared(config)
        return found


def move_shared(old: CacheConfig, new: CacheConfig) -> None:
    """What was made for the old settings is for the new ones from now on: for tests."""
    shared = shared_cache(old)
    shared.move(new.location)
    with _lock:
        _shared[new] = shared


def decorated_entries() -> Iterable[Any]:
    """Entries of the decorator @cache.entry: of the caches of settings.CACHES, those that name their tables."""
    with _lock:
        known = list(dict.fromkeys(_shared.values()))
    return [entry for shared in known for cache in shared.caches() for entry in cache.entries if entry.tables]


def library_problem(cache: Cache) -> Optional[str]:
    """What is wrong with the functions for readers at the cache's server; None if nothing."""
    try:
        cache.check()
    except Exception as error:  # NotReady says what, errors of redis-py that it cannot be reached
        return str(error)
    return None


def ensure_library(cache: Cache) -> None:
    """Loads the functions for readers if they are missing: for tests.  Raises errors of redis-py."""
    if library_problem(cache) is not None:
        load(cache.client)


def redis_client(cache: Cache) -> Any:
    """The client of redis-py that a cache uses."""
    return cache.client
