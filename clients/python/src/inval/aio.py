"""The cache for asyncio: the names of Cache, with await. One event loop at a time."""
from __future__ import annotations

import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from . import steps
from .aio_backend import AsyncRedisBackend
from .aio_driver import AsyncRunner
from .aio_entry import AsyncEntry
from .aio_fill import AsyncFill
from .base import BaseCache, check_load, refuse_decoding, sentinels_of, whole_ms
from .entry import EntryDecorator
from .flow import get_or_set
from .flow_many import get_or_set_many
from .functions import FAILURES, Availability, Trouble
from .policy import Policy, Result
from .ready import check_version, explain
from .url import client_of
from .values import UNREADABLE, read


class AsyncCache(BaseCache):
    """As Cache; client is of redis.asyncio, and load functions may be async. may_store too.
    When its event loop has been closed it may be used in another one.
    A first level's feed needs a client that is not asynchronous: from_url() makes one, else
    PublishFeed("channel", client=redis.Redis(...))."""

    def __init__(self, client: Any, **settings: Any) -> None:
        super().__init__(**settings)
        refuse_decoding(client)
        self.client = client
        self._runner = AsyncRunner(self, self._make_backend(client))
        if self.local is not None:
            self.local.start(None)
        self._follow_forks()

    def _make_backend(self, client: Any) -> Any:
        return AsyncRedisBackend(client, Availability(self._events.functions))

    def _after_fork(self) -> None:
        super()._after_fork()
        self._runner = AsyncRunner(self, self._runner.backend)
        self._runner.backend.forget_connections()
        if self.local is not None:
            self.local.start(None)

    @classmethod
    def from_url(cls, url: str, *, connect_timeout: float = 0.25, read_timeout: float = 0.5,
                 **settings: Any) -> "AsyncCache":
        """As Cache.from_url."""
        local = settings.get("local")
        if local is not None:
            local.feed.use(lambda: client_of(url, connect_timeout, read_timeout))
        cache = cls(client_of(url, connect_timeout, read_timeout, asynchronous=True), **settings)
        cache._owns_client = True
        return cache

    async def close(self) -> None:
        """As Cache.close."""
        await self._runner.close()
        if self.local is not None:
            self.local.close()
        if not self._owns_client:
            return
        for one in (self.client, *sentinels_of(self.client)):
            await getattr(one, "aclose", one.close)()  # redis-py 5 renamed it
            pool = getattr(one, "connection_pool", None)
            if pool is not None:  # which redis-py 4 leaves open
                await pool.disconnect()

    async def __aenter__(self) -> "AsyncCache":
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    async def check(self) -> int:
        """As Cache.check."""
        try:
            return check_version(int(await self._runner.command("version")))
        except FAILURES as error:
            return explain(error, self.functions)

    async def get(self, key: str, default: Any = None) -> Any:
        """As Cache.get."""
        data = await self._runner.perform("get", self._check_key(key))
        value = UNREADABLE if isinstance(data, Trouble) else read(self.serializer, data)
        return default if value is UNREADABLE else value

    async def get_or_set(self, key: str, load: Callable[[], Any], *,
                         policy: Optional[Policy] = None, depends: Iterable[str] = (),
                         **policy_fields: Any) -> Any:
        """As Cache.get_or_set."""
        return (await self._fetch(key, load, policy, policy_fields, depends)).value

    async def fetch(self, key: str, load: Callable[[], Any], *, policy: Optional[Policy] = None,
                    depends: Iterable[str] = (), **policy_fields: Any) -> Result:
        """As Cache.fetch."""
        return self._with_data(await self._fetch(key, load, policy, policy_fields, depends))

    async def refresh(self, key: str, load: Callable[[], Any], *,
                      policy: Optional[Policy] = None, depends: Iterable[str] = (),
                      **policy_fields: Any) -> Any:
        """As Cache.refresh."""
        return (await self._fetch(key, load, policy, policy_fields, depends, refresh=True)).value

    async def _fetch(self, key: str, load: Callable[[], Any], policy: Optional[Policy],
                     fields: Mapping[str, Any], depends: Iterable[str] = (), *, entry: str = "",
                     refresh: bool = False) -> Result:
        check_load(load)
        call = self._call(key, policy, fields, depends, entry, refresh)
        result = None
        try:
            if self._is_bypassed(key):
                result = Result(await self._runner.load(steps.Load(), load, call), "bypass")
            else:
                result = self._from_local(call) or await self._runner.drive(
                    get_or_set(call.request), load, call)
            return result
        finally:
            self._finish(call, result)

    async def get_or_set_many(self, keys: Iterable[str], load_many: Callable[[List[str]], Any], *,
                              policy: Optional[Policy] = None,
                              **policy_fields: Any) -> Dict[str, Any]:
        """As Cache.get_or_set_many."""
        return await self._fetch_many(keys, load_many, policy, policy_fields)

    async def _fetch_many(self, keys: Iterable[str], load_many: Callable[[List[str]], Any],
                          policy: Optional[Policy], fields: Mapping[str, Any], *,
                          entry: str = "") -> Dict[str, Any]:
        check_load(load_many, "load_many")
        many = self._many(keys, policy, fields, entry)
        try:
            if many.lone:
                loaded = await self._runner.load(steps.Load(keys=many.lone), load_many, many.calls[0])
                many.take_lone(loaded)
            if many.asked:
                many.results.update(await self._runner.drive(
                    get_or_set_many(many.asked), load_many, many.calls[0]))
            return many.values()
        finally:
            many.finish()

    def fill(self, key: str, *, policy: Optional[Policy] = None,
             **policy_fields: Any) -> AsyncFill:
        """As Cache.fill: async with cache.fill(key) as fill, await fill.store(value)."""
        return AsyncFill(self, self._call(key, policy, policy_fields))

    def entry(self, template: str, *, tables: Iterable[str] = (), name: str = "",
              policy: Optional[Policy] = None, **policy_fields: Any) -> EntryDecorator:
        """As Cache.entry: the decorated function is awaited."""
        return EntryDecorator(self, AsyncEntry, template, tables, name, policy, policy_fields)

    async def send(self, commands: Sequence[Sequence[Any]]) -> Union[List[Any], Trouble]:
        """As Cache.send."""
        plain = [tuple(command) for command in commands]
        replies: Union[List[Any], Trouble] = await self._runner.guarded(
            lambda: self._runner.backend.many_async(plain))
        return replies

    def use(self, client: Any) -> None:
        """As Cache.use."""
        refuse_decoding(client)
        self.client = client
        self._runner = AsyncRunner(self, self._make_backend(client))

    async def version(self, *keys: str) -> Tuple[int, ...]:
        """As Cache.version."""
        names = [self._check_key(key) for key in keys]
        run = self._runner.demand
        found = await run("numbers", names)
        missing = [key for key, value in zip(names, found) if value is None]
        if missing:
            await run("seed", missing, int(time.time() * 1_000_000))
            found = await run("numbers", names)
        return tuple(int(value) for value in found)

    async def hget_or_set(self, key: str, field: str, load: Callable[[], Any], ttl: float) -> Any:
        """As Cache.hget_or_set."""
        check_load(load)
        call = self._call(key, None, {})
        data = None if self._in("bypass") else await self._runner.perform("hget", key, field)
        if not isinstance(data, Trouble):
            value = read(self.serializer, data)
            if value is not UNREADABLE:
                return value
        value = await self._runner.load(steps.Load(), load, call)
        clean = self._is_clean()
        if hasattr(clean, "__await__"):
            clean = await clean
        if not isinstance(data, Trouble) and self._may_put() and clean:
            await self._runner.perform("hset", key, field, self.serializer.dumps(value),
                                       whole_ms(ttl))
        return value

    async def set(self, key: str, value: Any, ttl: float) -> bool:
        """As Cache.set."""
        data = self.serializer.dumps(value)
        return not isinstance(await self._runner.perform(
            "put", self._check_key(key), data, whole_ms(ttl)), Trouble)

    async def delete(self, *keys: str) -> int:
        """As Cache.delete."""
        names = [self._check_key(key) for key in keys]
        gone = int(await self._runner.demand("delete", names)) if names else 0
        if self.local is not None:
            for name in names:
                self.local.drop(name)
        return gone
