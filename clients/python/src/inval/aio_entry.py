"""Async functions whose values are cached."""
from __future__ import annotations

import inspect
from typing import Any, Dict, Iterable, List

from .entry import BaseEntry
from .policy import Result


class AsyncEntry(BaseEntry):
    """As Entry; all but key() are awaited."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key, load = self._bind(args, kwargs)
        return (await self.cache._fetch(key, load, self.policy, {}, entry=self.name)).value

    async def fetch(self, *args: Any, **kwargs: Any) -> Result:
        key, load = self._bind(args, kwargs)
        result: Result = self.cache._with_data(
            await self.cache._fetch(key, load, self.policy, {}, entry=self.name))
        return result

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        key, load = self._bind(args, kwargs)
        return (await self.cache._fetch(key, load, self.policy, {}, entry=self.name,
                                        refresh=True)).value

    async def many(self, many: Iterable[Any]) -> Dict[Any, Any]:
        arguments = self._keys_of(many)

        async def load_many(keys: List[str]) -> Dict[str, Any]:
            assert self._load_many is not None
            loaded = self._load_many([arguments[key] for key in keys])
            if inspect.isawaitable(loaded):
                loaded = await loaded
            return {key: loaded.get(arguments[key]) for key in keys}

        values = await self.cache._fetch_many(arguments, load_many, self.policy, {},
                                              entry=self.name)
        return {arguments[key]: value for key, value in values.items()}
