"""The first level: values in this process, as long as a feed tells of invalidations.

It has the bytes, so that callers cannot change what others get. Nothing is served unless
the feed is known to live, and whatever makes that doubtful empties it.
"""
from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional

if TYPE_CHECKING:
    from .feed import Feed


class _Kept(NamedTuple):
    data: bytes
    until: float


class Ticket:
    """Says that a read is under way; void once the key was invalidated meanwhile."""

    __slots__ = ("key", "void")

    def __init__(self, key: str) -> None:
        self.key = key
        self.void = False


class LocalCache:
    """max_entries, max_bytes: at most so much, what was used last stays.
    feed: who tells of invalidations, a PublishFeed or a TrackingFeed."""

    def __init__(self, max_entries: int = 10_000, max_bytes: int = 64 << 20, *, feed: "Feed",
                 clock: Callable[[], float] = time.monotonic) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise ValueError("a first level has at least one entry, and one byte")
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self.feed = feed
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._kept: "OrderedDict[str, _Kept]" = OrderedDict()
        self._bytes = 0
        self._expected: Dict[str, List[Ticket]] = {}

    def start(self, client: Any) -> None:
        """Starts the feed; client is of redis-py and not asynchronous."""
        self.feed.start(client, self.drop, self.flush)

    def close(self) -> None:
        self.feed.close()
        self.flush()

    def after_fork(self) -> None:
        """In the child: threads, so the feed, are gone."""
        self._reset()
        self.feed.after_fork()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Optional[bytes]:
        if not self.feed.lives():
            return None
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            if kept.until <= self._clock():
                self._remove(key)
                return None
            self._kept.move_to_end(key)
            return kept.data

    def expect(self, key: str) -> Ticket:
        """To be called before Redis is asked, and followed by keep()."""
        ticket = Ticket(key)
        with self._lock:
            self._expected.setdefault(key, []).append(ticket)
        return ticket

    def keep(self, ticket: Ticket, data: Optional[bytes], seconds: float) -> None:
        """Keeps what Redis had, unless the key was invalidated since expect(); None: there
        was nothing to keep."""
        with self._lock:
            self._forget(ticket)
            if data is None or ticket.void or len(data) > self._max_bytes:
                return
            self._remove(ticket.key)
            self._kept[ticket.key] = _Kept(data, self._clock() + seconds)
            self._bytes += len(data)
            while len(self._kept) > self._max_entries or self._bytes > self._max_bytes:
                self._remove(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        """The key was invalidated."""
        with self._lock:
            for ticket in self._expected.get(key, ()):
                ticket.void = True
            self._remove(key)

    def flush(self) -> None:
        """All keys may have been."""
        with self._lock:
            for tickets in self._expected.values():
                for ticket in tickets:
                    ticket.void = True
            self._kept.clear()
            self._bytes = 0

    def _forget(self, ticket: Ticket) -> None:
        tickets = self._expected.get(ticket.key, [])
        if ticket in tickets:
            tickets.remove(ticket)
        if not tickets:
            self._expected.pop(ticket.key, None)

    def _remove(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.data)
