"""Commands without leases: what Django calls a cache, beside get_or_set."""

from typing import Any, List, Optional, Sequence

from redis.exceptions import ResponseError

from inval import Cache, Unavailable
from inval.functions import Kind, Trouble, trouble_of
from inval.values import UNREADABLE, read

from .config import CacheConfig
from .glue import Shared

Command = Sequence[Any]


class Plain:
    """Commands without leases, which fail as reads do: what Redis does not answer is not there."""

    ResponseError = ResponseError

    def __init__(self, shared: Shared, config: CacheConfig) -> None:
        self.cache: Cache = shared.cache
        self._config = config

    def run(self, default: Any, *command: Any) -> Any:
        """The reply; the default if Redis does not answer, or takes no writes.

        Raises ResponseError for what is wrong with the command, Unavailable where ON_ERROR says so.
        """
        return self.run_many([command], default)[0]

    def run_many(self, commands: Sequence[Command], default: Any = None) -> List[Any]:
        """The replies, as those of run; in one round trip."""
        if not commands:
            return []
        replies = self.cache.send(commands)
        if isinstance(replies, Trouble):
            if self._config.on_error == "raise":
                raise Unavailable(f"Redis does not answer: {replies.error or replies.kind.value}")
            return [default] * len(commands)
        return [self._checked(reply, default) for reply in replies]

    def get(self, key: str, default: Any) -> Any:
        return self.loads(self.run(None, "GET", key), default)

    def dumps(self, value: Any) -> bytes:
        return self.cache.serializer.dumps(value)

    def loads(self, data: Optional[bytes], default: Any) -> Any:
        """What cannot be read is not there: another release may have stored it."""
        value = read(self.cache.serializer, data)
        return default if value is UNREADABLE else value

    def flush(self) -> None:
        """FLUSHDB; on a cluster of all its primaries.  Raises errors of redis-py."""
        self.cache.client.flushdb()

    def remove_prefix(self, prefix: str, count: int) -> None:
        """Removes what begins with the prefix, by SCAN and UNLINK.  Raises errors of redis-py."""
        pattern = "".join("\\" + one if one in "*?[]^-\\" else one for one in prefix) + "*"
        batch: List[bytes] = []
        for key in self.cache.client.scan_iter(match=pattern, count=count):
            batch.append(key)
            if len(batch) == count:
                self._unlink(batch)
        self._unlink(batch)

    def _unlink(self, batch: List[bytes]) -> None:
        replies: Any = self.cache.send([("UNLINK", key) for key in batch]) if batch else []
        batch.clear()
        if isinstance(replies, Trouble):
            raise replies.error or Unavailable("Redis does not answer")
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply

    def _checked(self, reply: Any, default: Any) -> Any:
        if not isinstance(reply, BaseException):
            return reply
        if trouble_of(reply).kind in (Kind.OTHER, Kind.NO_COMMAND):
            raise reply
        return default
