"""Fixtures for pytest, which finds them by itself once the package is installed.

    def test_profile(inval_memory):             # a MemoryCache: no server needed
        ...

    def test_with_redis(inval_cache):           # a Cache of a Redis of these tests' own
        ...

    def test_write(inval_invalidates, connection):
        with inval_invalidates(connection, "user:7:profile"):
            connection.execute("UPDATE app_user SET name = 'x' WHERE id = 7")
"""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Callable, Iterator, List, Set, Tuple, Union

import pytest
import redis

from . import library
from .client import Cache
from .testing import MemoryCache

SECONDS = 30  # for a server to start
Key = Union[str, Tuple[str, str]]


@pytest.fixture
def inval_memory() -> Iterator[MemoryCache]:
    """A new MemoryCache: memory.invalidate(key) does what a change of a row would do."""
    cache = MemoryCache()
    yield cache
    cache.close()


@pytest.fixture(scope="session")
def inval_redis_url() -> Iterator[str]:
    """The URL of a Redis that has the function library, on a socket in a temporary directory; each
    process of a parallel run has its own. Skips where there is neither redis-server nor
    valkey-server."""
    program = shutil.which("redis-server") or shutil.which("valkey-server") or ""
    if not program:
        pytest.skip("no redis-server and no valkey-server in the PATH")
    with tempfile.TemporaryDirectory(prefix="inval", dir="/tmp") as directory:
        socket = os.path.join(directory, "socket")
        command: List[str] = [
            program, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
            "--dir", directory, "--logfile", os.path.join(directory, "log")]
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            with redis.Redis(unix_socket_path=socket) as client:
                _wait_for(client, server)
                library.load(client)
            yield f"unix://{socket}"
        finally:
            server.send_signal(signal.SIGKILL)  # it has nothing to save
            server.wait()


@pytest.fixture
def inval_cache(inval_redis_url: str) -> Iterator[Cache]:
    """A Cache of that Redis, which is empty when a test begins."""
    with Cache.from_url(inval_redis_url, connect_timeout=5, read_timeout=5) as cache:
        cache.client.flushall()
        yield cache


@pytest.fixture
def inval_invalidates() -> Callable[..., Any]:
    """inval_invalidates(connection, *keys, exact=False): the block owes the invalidation of these
    keys, (key, field) for a field of a hash; exact: and of nothing else. connection is of psycopg,
    or Django's, and in a transaction: nothing needs to be committed."""
    return _invalidates


@contextlib.contextmanager
def _invalidates(connection: Any, *keys: Key, exact: bool = False) -> Iterator[None]:
    before = _owed(connection)
    yield
    owed = _owed(connection) - before
    wanted = {(key, None) if isinstance(key, str) else key for key in keys}
    assert not wanted & before, f"owed before the block already: {wanted & before}"
    assert wanted <= owed, f"not invalidated: {wanted - owed}; these were: {owed or 'none'}"
    assert not exact or owed <= wanted, f"invalidated as well: {owed - wanted}"


def _owed(connection: Any) -> Set[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT key, field FROM inval_pending() WHERE key IS NOT NULL")
        return set(cursor.fetchall())


def _wait_for(client: Any, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            client.ping()
            return
        except redis.RedisError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
