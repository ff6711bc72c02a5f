"""A circuit breaker: a Redis that does not answer costs the timeout a few times, not always."""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Callable, Optional


@dataclass(frozen=True)
class Breaker:
    """failures   so many calls in a row that fail open it
    open_for   seconds for which it then refuses all; doubles with each probe that fails
    max_open   the most it doubles to, in seconds
    """

    failures: int = 3
    open_for: float = 1
    max_open: float = 30

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.open_for <= self.max_open:
            raise ValueError(f"{self}: give at least one failure, and 0 < open_for <= max_open")


class Circuit:
    """The state of a breaker, which threads share."""

    def __init__(self, breaker: Breaker, clock: Callable[[], float] = time.monotonic,
                 changed: Callable[[bool], None] = lambda is_open: None) -> None:
        self._breaker = breaker
        self._clock = clock
        self._changed = changed
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._failed = 0
        self._open_for = self._breaker.open_for
        self._refused_until = 0.0
        self.is_open = False

    def enter(self) -> Optional[bool]:
        """Whether a call may be made: None: no; True: as the probe, of which there is one
        at a time, the next one open_for later at the earliest; False: yes."""
        if not self.is_open:
            return False
        with self._lock:
            if not self.is_open:
                return False
            now = self._clock()
            if now < self._refused_until:
                return None
            self._refused_until = now + self._open_for
            return True

    def succeeded(self) -> None:
        if self._failed == 0:
            return
        with self._lock:
            was_open, self.is_open = self.is_open, False
            self._failed = 0
            self._open_for = self._breaker.open_for
        if was_open:
            self._changed(False)

    def failed(self, probe: bool) -> None:
        with self._lock:
            if self.is_open:
                # Those that were under way when it opened tell nothing new.
                if probe:
                    self._open_for = min(self._open_for * 2, self._breaker.max_open)
                    self._refused_until = self._clock() + self._open_for
                return
            self._failed += 1
            if self._failed < self._breaker.failures:
                return
            self.is_open = True
            self._refused_until = self._clock() + self._open_for
        self._changed(True)
