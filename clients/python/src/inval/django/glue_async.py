"""The AsyncCache for Django: as DjangoCache, but the transactions are those of another thread."""

from typing import Any, Tuple

from asgiref.sync import sync_to_async

from inval.aio import AsyncCache

from .transactions import may_serve, may_store


class DjangoAsyncCache(AsyncCache):
    """Django runs what is synchronous, the database included, in one thread: there it has to be asked."""

    def __init__(self, databases: Tuple[str, ...], client: Any, **settings: Any) -> None:
        self._databases = databases
        super().__init__(client, may_store=self._may_store_there, **settings)

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

    async def _may_serve(self) -> bool:
        return bool(await sync_to_async(may_serve, thread_sensitive=True)(self._databases))
