"""What a cache tells: to its observer, and to the log `inval`.

An observer is called as observer(event, entry, seconds). entry is the entry's name, '' of
a call without one: never a key, of which there are too many. Events:

    local hit filled waited stale bypass unstored down   how a read ended; seconds: all of it
    load load_failed                                     seconds: the load
    stored refused failed too_big dirty unreadable       what became of a value
    breaker_open breaker_closed                          seconds: 0
"""
from __future__ import annotations

import logging
import threading
from typing import Callable, Optional, Set, Tuple

from .policy import Result

Observer = Callable[[str, str, float], None]

log = logging.getLogger("inval")
RESULTS = ("local", "hit", "filled", "waited", "stale", "bypass", "unstored", "down")


class Events:
    def __init__(self, cache: str, observer: Optional[Observer]) -> None:
        if observer is not None and not callable(observer):
            raise TypeError("observer is a function of event, entry and seconds")
        self._cache = cache
        self._observer = observer
        self.after_fork()
        self._warned: Set[Tuple[str, str]] = set()

    def after_fork(self) -> None:
        """At the beginning, and in a child: there another thread may have held the lock."""
        self._lock = threading.Lock()

    def note(self, event: str, entry: str = "", seconds: float = 0.0) -> None:
        if self._observer is None:
            return
        try:
            self._observer(event, entry, seconds)
        except Exception:
            log.warning("cache %s: its observer failed at %s", self._cache, event, exc_info=True)

    def result(self, result: Result, entry: str, seconds: float) -> None:
        self.note(result.source, entry, seconds)

    def warn(self, entry: str, text: str) -> None:
        """Once for each entry and text."""
        with self._lock:
            if (entry, text) in self._warned or len(self._warned) > 1000:
                return
            self._warned.add((entry, text))
        log.warning("cache %s%s: %s", self._cache, f", entry {entry}" if entry else "", text)

    def breaker(self, is_open: bool) -> None:
        if is_open:
            log.warning("cache %s: Redis does not answer; reads load from their source",
                        self._cache)
        else:
            log.warning("cache %s: Redis answers again", self._cache)
        self.note("breaker_open" if is_open else "breaker_closed")

    def functions(self, missing: str) -> None:
        """missing: why there are none; '' if there are again."""
        if missing:
            log.warning("cache %s: %s; see functions= and `python3 -m inval load`",
                        self._cache, missing)
        else:
            log.warning("cache %s: the functions are there again", self._cache)
