"""For tests of applications: caches without a Redis.

NullCache always loads, so that tests see the database. MemoryCache keeps values in this
process, under the same leases as Redis would, and can be told to invalidate.
"""
from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from redis.exceptions import ResponseError

from .aio import AsyncCache
from .client import Cache
from .commands import Backend, Command
from .functions import Availability
from .ready import VERSION


class Memory:
    """Replies to the commands of readers as a Redis with the function library does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._granted = 0
        self._values: Dict[str, Tuple[Any, float]] = {}
        self._leases: Dict[str, Tuple[bytes, float]] = {}
        self._stale: Dict[str, int] = {}

    def reply(self, command: Command) -> Any:
        with self._lock:
            name = command[0] if command[0] != "FCALL" else command[1]
            arguments = command[3:] if command[0] == "FCALL" else command[1:]
            method = getattr(self, "_" + str(name).lower(), None)
            if method is None:
                return ResponseError(f"the memory cache has no {name}")
            return method(*arguments)

    def invalidate(self, *keys: str) -> None:
        """What a rule with a fence does: the key goes, and whoever is filling it is refused."""
        with self._lock:
            for key in keys:
                self._leases.pop(key, None)
                self._unlink(key)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._leases.clear()
            self._stale.clear()

    def keys(self) -> List[str]:
        with self._lock:
            return [key for key in list(self._values) if self._get(key) is not None]

    # Each is called under the lock.

    def _get(self, key: str) -> Any:
        value, until = self._values.get(key, (None, 0.0))
        if value is not None and until <= time.monotonic():
            self._unlink(key)
            return None
        return value

    def _fresh_ms(self, key: str) -> float:
        left = (self._values[key][1] - time.monotonic()) * 1000
        return left - self._stale.get(key, 0)

    def _inval_get(self, key: str, lease_ms: int, early_ms: int) -> Any:
        value = self._get(key)
        left = -1.0 if value is None else self._fresh_ms(key)
        if left >= 0 and early_ms >= 0 and left >= early_ms:
            return [b"hit", value]
        now = time.monotonic()
        if self._leases.get(key, (b"", 0.0))[1] <= now:
            self._granted += 1
            token = b"%d" % self._granted
            self._leases[key] = (token, now + lease_ms / 1000)
            return [b"fill", token, value]
        return [b"hit", value] if left >= 0 else [b"wait", value]

    def _inval_set(self, key: str, token: bytes, data: bytes, ttl_ms: int, stale_ms: int) -> int:
        if not self._holds(key, token):
            return 0
        self._set(key, data, "PX", ttl_ms + stale_ms)
        del self._leases[key]
        self._stale[key] = stale_ms
        return 1

    def _inval_release(self, key: str, token: bytes) -> int:
        if not self._holds(key, token):
            return 0
        del self._leases[key]
        return 1

    def _holds(self, key: str, token: bytes) -> bool:
        held, until = self._leases.get(key, (b"", 0.0))
        return held == token and until > time.monotonic()

    def _inval_version(self) -> int:
        return VERSION

    def _set(self, key: str, data: Any, *options: Any) -> Optional[bool]:
        if "NX" in options and self._get(key) is not None:
            return None
        if not isinstance(data, bytes):
            data = str(data).encode()
        life = options[1] / 1000 if options[:1] == ("PX",) else 1e9
        self._stale.pop(key, None)
        self._values[key] = (data, time.monotonic() + life)
        return True

    def _unlink(self, key: str) -> int:
        self._stale.pop(key, None)
        return int(self._values.pop(key, None) is not None)

    def _hash(self, key: str) -> Dict[str, Any]:
        if not isinstance(self._get(key), dict):
            self._values[key] = ({}, time.monotonic() + 1e9)
        found: Dict[str, Any] = self._values[key][0]
        return found

    def _hget(self, key: str, field: str) -> Optional[bytes]:
        return self._hash(key).get(field)

    def _hset(self, key: str, field: str, data: bytes) -> int:
        self._hash(key)[field] = data
        return 1

    def _sadd(self, key: str, member: str) -> int:
        self._hash(key)[member] = b""
        return 1

    def _pexpire(self, key: str, life_ms: int, *options: Any) -> int:
        if key in self._values and not options:
            self._values[key] = (self._values[key][0], time.monotonic() + life_ms / 1000)
        return 1


class _MemoryBackend(Backend):
    def __init__(self, memory: Memory) -> None:
        super().__init__(Availability(lambda missing: None))
        self._memory = memory

    def many(self, commands: Sequence[Command]) -> List[Any]:
        return [self._memory.reply(command) for command in commands]

    async def many_async(self, commands: Sequence[Command]) -> List[Any]:
        await asyncio.sleep(0)
        return self.many(commands)

    async def run_async(self, name: str, *args: Any) -> Any:
        await asyncio.sleep(0)
        return self.run(name, *args)


class _NoEncoder:
    decode_responses = False


class _NoClient:
    """Stands where a client of redis-py would."""

    def get_encoder(self) -> Any:
        return _NoEncoder()


class _SyncClient(_NoClient):
    def close(self) -> None:
        pass


class _AsyncClient(_NoClient):
    async def close(self) -> None:
        pass


class MemoryCache(Cache):
    """A Cache whose values are in this process. memory.invalidate(key) does what a change of
    a row would do, memory.clear() forgets all."""

    def __init__(self, client: Any = None, *, memory: Optional[Memory] = None,
                 **settings: Any) -> None:
        self.memory = memory or Memory()
        super().__init__(_SyncClient(), **settings)

    def _make_backend(self, client: Any) -> Any:
        return _MemoryBackend(self.memory)


class AsyncMemoryCache(AsyncCache):
    """An AsyncCache whose values are in this process."""

    def __init__(self, client: Any = None, *, memory: Optional[Memory] = None,
                 **settings: Any) -> None:
        self.memory = memory or Memory()
        super().__init__(_AsyncClient(), **settings)

    def _make_backend(self, client: Any) -> Any:
        return _MemoryBackend(self.memory)


class NullCache(MemoryCache):
    """A Cache that always loads and stores nothing."""

    def _in(self, what: str) -> bool:
        return what == "bypass" or super()._in(what)

    def get(self, key: str, default: Any = None) -> Any:
        self._check_key(key)
        return default

    def set(self, key: str, value: Any, ttl: float) -> bool:
        self._check_key(key)
        return False


class AsyncNullCache(AsyncMemoryCache):
    """An AsyncCache that always loads and stores nothing."""

    def _in(self, what: str) -> bool:
        return what == "bypass" or super()._in(what)

    async def get(self, key: str, default: Any = None) -> Any:
        self._check_key(key)
        return default

    async def set(self, key: str, value: Any, ttl: float) -> bool:
        self._check_key(key)
        return False
