"""The AsyncCache for Django: as DjangoCache, but the transactions are those of another thread."""

from typing import Any, AsyncIterator, Callable, Optional, Tuple

from asgiref.sync import sync_to_async

from inval import Policy
from inval.aio import AsyncCache
from inval.aio_fill import AsyncFill

from .transactions import may_serve, may_store


class DjangoAsyncCache(AsyncCache):
    """Django runs what is synchronous, the database included, in one thread: there it has to be asked."""

    def __init__(self, databases: Tuple[str, ...], client: Any, **settings: Any) -> None:
        self._databases = databases
        self.end: Any = None
        super().__init__(client, may_store=self._may_store_there, **settings)
        self._owns_client = True  # to be closed with the loop

    async def _may_store_there(self) -> bool:
        return bool(await sync_to_async(may_store, thread_sensitive=True)(self._databases))

    async def _fetch(self, *args: Any, **kwargs: Any) -> Any:
        if await self._may_serve():
            return await super()._fetch(*args, **kwargs)
        with self.bypass():
            return await super()._fetch(*args, **kwargs)

    async def _fetch_many(self, *args: Any, **kwargs: Any) -> Any:
        if await self._may_serve():
            return await super()._fetch_many(*args, **kwargs)
        with self.bypass():
            return await super()._fetch_many(*args, **kwargs)

    async def hget_or_set(self, *args: Any, **kwargs: Any) -> Any:
        if await self._may_serve():
            return await super().hget_or_set(*args, **kwargs)
        with self.bypass():
            return await super().hget_or_set(*args, **kwargs)

    def fill(self, key: str, *, policy: Optional[Policy] = None, **policy_fields: Any) -> AsyncFill:
        return _Fill(self, self._call(key, policy, policy_fields))

    async def _may_serve(self) -> bool:
        return bool(await sync_to_async(may_serve, thread_sensitive=True)(self._databases))


class _Fill(AsyncFill):
    async def __aenter__(self) -> AsyncFill:
        if await self._cache._may_serve():
            return await super().__aenter__()
        with self._cache.bypass():
            return await super().__aenter__()


def close_with_loop(cache: DjangoAsyncCache, forget: Callable[[], Any]) -> None:
    """Closes the cache's connections when the running event loop ends: async_to_sync() makes one for each call.

    A loop that ends closes the asynchronous generators that have begun in it, and waits for them: this is one.
    """

    async def until_the_end() -> AsyncIterator[None]:
        try:
            yield
        finally:
            forget()
            await cache.close()

    generator = until_the_end()
    cache.end = generator  # else nobody would hold it
    try:
        # To the yield, where nothing has been awaited yet.
        generator.__anext__().__await__().__next__()
    except StopIteration:
        pass
