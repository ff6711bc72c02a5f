"""Who in this process is filling which key, so that others wait for that one.

Somebody who waits may take what the filler has stored, if it was stored while he
waited: then no invalidation came in between, or it would have been refused. So a flight
is sealed before its value is sent; who comes later asks Redis.
"""
from __future__ import annotations

import threading
import time
from typing import Callable, Dict, Optional


class Flight:
    def __init__(self, key: str) -> None:
        self.key = key
        self.landed = threading.Event()
        self.sealed = False
        self.data: Optional[bytes] = None


class Unstorable:
    """Keys whose value could not be stored (too big, a None that is not kept, a full server):
    who waited for such a filler would only be the next to load, so readers of them would
    queue up. Remembered for a while, of so many keys."""

    SECONDS = 10.0
    MOST = 1000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: Dict[str, float] = {}

    def add(self, key: str) -> None:
        with self._lock:
            self._until.pop(key, None)
            self._until[key] = self._clock() + self.SECONDS
            if len(self._until) > self.MOST:
                del self._until[next(iter(self._until))]

    def discard(self, key: str) -> None:
        if key in self._until:
            with self._lock:
                self._until.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return self._until.get(key, 0.0) > self._clock()


class Flights:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: Dict[str, Flight] = {}

    def begin(self, key: str) -> Flight:
        """A new one; whoever was filling the key has lost his lease."""
        flight = Flight(key)
        with self._lock:
            self._flights[key] = flight
        return flight

    def lead(self, key: str) -> Optional[Flight]:
        """A new one, if there is none."""
        with self._lock:
            if key in self._flights:
                return None
            flight = self._flights[key] = Flight(key)
        return flight

    def end(self, flight: Flight) -> None:
        with self._lock:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
        flight.landed.set()

    def current(self, key: str) -> Optional[Flight]:
        return self._flights.get(key)

    @staticmethod
    def wait(flight: Flight, seconds: float) -> Optional[bytes]:
        sealed = flight.sealed
        if flight.landed.wait(seconds) and not sealed:
            return flight.data
        return None
