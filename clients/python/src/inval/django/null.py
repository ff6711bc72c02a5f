"""NullCache: a backend that keeps nothing, for tests where there is no Redis."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.utils.functional import cached_property

from inval import Cache
from inval.testing import AsyncNullCache
from inval.testing import NullCache as _NullCore

from .backend import InvalCache
from .conf import conf
from .plain import Plain


class _NullPlain(Plain):
    """Nothing is there, and nothing stays."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def run_many(self, commands: Sequence[Any], default: Any = None) -> List[Any]:
        return [default] * len(commands)


class NullCache(InvalCache):
    """Has all methods of InvalCache: each read loads, also of entries, and tests see the database.

    CACHES = {"default": {"BACKEND": "inval.django.NullCache"}}     LOCATION does not matter
    """

    is_null = True

    def __init__(self, location: Any, params: Mapping[str, Any]) -> None:
        super().__init__("redis://nowhere", params)

    def _settings(self) -> Dict[str, Any]:
        return {"vars": conf().vars, "policy": self.config.policy, "serializer": self.config.serializer}

    @cached_property
    def _plain(self) -> Plain:
        return _NullPlain(_NullCore(**self._settings()))

    @property
    def ainval(self) -> Any:
        return AsyncNullCache(**self._settings())

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> bool:
        """True: there was none."""
        return True

    def set_many(self, data: Mapping[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> List[str]:
        """No key failed."""
        return []

    def clear(self) -> None:
        """There is nothing to be removed."""
