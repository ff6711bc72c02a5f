"""Who in this process is filling which key, so that others wait for that one.

Somebody who waits may take what the filler has stored, if it was stored while he
waited: then no invalidation came in between, or it would have been refused. So a flight
is sealed before its value is sent; who comes later asks Redis.
"""
from __future__ import annotations

import threading
from typing import Dict, Optional


class Flight:
    def __init__(self, key: str) -> None:
        self.key = key
        self.landed = threading.Event()
        self.sealed = False
        self.data: Optional[bytes] = None


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
