"""The bookkeeping of one read of many keys."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping

from .policy import Result

if TYPE_CHECKING:
    from .base import BaseCache, Call


class Many:
    """calls by key; lone: keys to be loaded past the cache; asked: what Redis is asked."""

    def __init__(self, cache: "BaseCache", calls: "List[Call]") -> None:
        self._cache = cache
        self.calls = calls
        self.results: Dict[str, Result] = {}
        lone = []
        self.asked = []
        for call in calls:
            key = call.request.key
            if cache._is_bypassed(key):
                lone.append(key)
                continue
            found = cache._from_local(call)
            if found is not None:
                self.results[key] = found
            else:
                self.asked.append(call.request)
        self.lone = tuple(lone)

    def take_lone(self, loaded: Mapping[str, Any]) -> None:
        self.results.update((key, Result(loaded.get(key), "bypass")) for key in self.lone)

    def values(self) -> Dict[str, Any]:
        return {call.request.key: self.results[call.request.key].value for call in self.calls}

    def finish(self) -> None:
        for call in self.calls:
            self._cache._finish(call, self.results.get(call.request.key))
