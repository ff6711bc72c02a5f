"""Who tells the first level what was invalidated.

A feed has a connection of its own, which never reconnects by itself: what is lost
with a connection is only known to be lost if that is noticed. A thread reads from it, and
when it ends, or no pong comes, all is forgotten and it starts anew.
"""
from __future__ import annotations

import threading
import time
from typing import Any, Callable, Iterable, Optional, Protocol, Tuple

from .functions import FAILURES
from .url import REDIS_PY

PING = 1.0  # seconds between pings
PONG = 5.0  # without one for so long, nothing is served
RETRY = (0.1, 5.0)  # seconds between tries to connect: the first and the longest pause


class Feed(Protocol):
    def start(self, client: Any, drop: Callable[[str], None], flush: Callable[[], None]) -> None: ...

    def lives(self) -> bool: ...

    def close(self) -> None: ...

    def after_fork(self) -> None: ...


class _ConnectionFeed:
    """client: of redis-py, not asynchronous; by default that of the cache."""

    def __init__(self, client: Any = None) -> None:
        self._client = client
        self._reset()

    def _reset(self) -> None:
        self._heard = 0.0  # when the connection was last known to be there; 0: it is not
        self._stop = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def use(self, make_client: Callable[[], Any]) -> None:
        """A client to use where none was given."""
        if self._client is None:
            self._client = make_client()

    def start(self, client: Any, drop: Callable[[str], None], flush: Callable[[], None]) -> None:
        """Starts the thread; drop(key) and flush() are called from it."""
        if self._thread is not None:
            raise ValueError("this feed has a cache already: make one for each")
        chosen = self._client or client
        if chosen is None:
            raise ValueError("give this feed a client that is not asynchronous: client=redis.Redis(...)")
        self._thread = threading.Thread(
            target=self._run, args=(chosen, drop, flush, self._stop), name="inval feed", daemon=True)
        self._thread.start()

    def lives(self) -> bool:
        """Whether nothing can have been missed, but for what is on its way."""
        return self._heard > 0 and time.monotonic() - self._heard < PONG

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._reset()

    def after_fork(self) -> None:
        self._reset()

    def _run(self, client: Any, drop: Callable[[str], None], flush: Callable[[], None],
             stop: threading.Event) -> None:
        pause = RETRY[0]
        while not stop.is_set():
            connection = None
            try:
                connection = _connection(client)
                self._subscribe(connection)
                flush()
                self._heard = time.monotonic()
                pause = RETRY[0]
                self._listen(connection, drop, flush, stop)
            except (*FAILURES, ValueError, AttributeError):  # a socket closed under way
                pass
            finally:
                self._heard = 0.0
                flush()
                if connection is not None:
                    connection.disconnect()
            stop.wait(pause)
            pause = min(pause * 2, RETRY[1])

    def _listen(self, connection: Any, drop: Callable[[str], None], flush: Callable[[], None],
                stop: threading.Event) -> None:
        pinged = 0.0
        while not stop.is_set() and time.monotonic() - self._heard < PONG:
            now = time.monotonic()
            if now - pinged >= PING:
                connection.send_command("PING", check_health=False)
                pinged = now
            if not connection.can_read(timeout=0.1):
                continue
            message = connection.read_response()
            self._heard = time.monotonic()
            if not isinstance(message, (list, tuple)) or not message:
                continue
            if message[0] in (b"message", "message"):
                self._take(message[2], drop, flush)

    def _subscribe(self, connection: Any) -> None:
        raise NotImplementedError

    def _take(self, payload: Any, drop: Callable[[str], None], flush: Callable[[], None]) -> None:
        raise NotImplementedError


class PublishFeed(_ConnectionFeed):
    """Rules publish each key (inval_track(..., publish => 'channel')) on this channel, or
    these channels. Also on a Cluster, where a message reaches all nodes."""

    def __init__(self, *channels: str, client: Any = None) -> None:
        if not channels:
            raise ValueError("name the channel on which the rules publish")
        super().__init__(client)
        self._channels = channels

    def _subscribe(self, connection: Any) -> None:
        _subscribe(connection, self._channels)

    def _take(self, payload: Any, drop: Callable[[str], None], flush: Callable[[], None]) -> None:
        drop(_text(payload))


class TrackingFeed(_ConnectionFeed):
    """The server tells of every change of keys that start with one of the prefixes, for
    rules that do not publish. It also tells of every fill, to every process. One server."""

    def __init__(self, prefixes: Iterable[str], *, client: Any = None) -> None:
        super().__init__(client)
        if isinstance(prefixes, str):
            raise TypeError("prefixes is a list, not a str")
        self._prefixes = list(prefixes)
        if not self._prefixes:
            raise ValueError("name the prefixes of the keys")

    def start(self, client: Any, drop: Callable[[str], None], flush: Callable[[], None]) -> None:
        if hasattr(self._client or client, "get_primaries"):
            raise ValueError("TrackingFeed is for one server: on a Cluster use PublishFeed")
        super().start(client, drop, flush)

    def _subscribe(self, connection: Any) -> None:
        number = _ask(connection, "CLIENT", "ID")
        prefixes = [word for prefix in self._prefixes for word in ("PREFIX", prefix)]
        _ask(connection, "CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", *prefixes)
        _subscribe(connection, ("__redis__:invalidate",))

    def _take(self, payload: Any, drop: Callable[[str], None], flush: Callable[[], None]) -> None:
        if payload is None:  # FLUSHALL, FLUSHDB
            flush()
            return
        for key in payload:
            drop(_text(key))


def _connection(client: Any) -> Any:
    """A connection outside the pool, with which nobody else's replies can be mixed up."""
    if hasattr(client, "get_primaries"):  # a Cluster: any node will do
        client = client.get_redis_connection(client.get_random_node())
    pool = client.connection_pool
    if REDIS_PY >= 5:  # whatever the client speaks: in RESP3 messages are no replies
        connection = pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})
    else:
        connection = pool.make_connection()
    connection.connect()
    return connection


def _ask(connection: Any, *command: Any) -> Any:
    connection.send_command(*command)
    return connection.read_response()


def _subscribe(connection: Any, channels: Tuple[str, ...]) -> None:
    connection.send_command("SUBSCRIBE", *channels)
    for _ in channels:
        connection.read_response()


def _text(key: Any) -> str:
    return key.decode(errors="surrogateescape") if isinstance(key, bytes) else str(key)


