"""Commands without leases: what Django calls a cache, beside get_or_set."""

from typing import Any, List, Optional, Sequence

from redis.exceptions import ResponseError

from inval import Cache, Unavailable
from inval.functions import FAILURES, Kind, Trouble, trouble_of
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
        replies = self._send(commands)
        if isinstance(replies, Trouble):
            if self._config.on_error == "raise":
                raise Unavailable(f"Redis does not answer: {replies.error or replies.kind.value}")
            return [default] * len(commands)
        return [self._checked(reply, default) for reply in replies]

    def _send(self, commands: Sequence[Command]) -> Any:
        """The replies, errors of the server among them; a Trouble if there are none.  By the breaker of the leases."""
        cache = self.cache
        probe = cache._circuit.enter()
        if probe is None:
            return Trouble(Kind.DOWN)
        try:
            replies: Any = send(cache.client, commands)
        except FAILURES as error:
            replies = trouble_of(error)
        return cache._answered(replies, probe)

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
        replies = send(self.cache.client, [("UNLINK", key) for key in batch]) if batch else []
        batch.clear()
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply

    def _checked(self, reply: Any, default: Any) -> Any:
        if not isinstance(reply, BaseException):
            return reply
        if trouble_of(reply).kind in (Kind.OTHER, Kind.NO_COMMAND):
            raise reply
        return default


def send(client: Any, commands: Sequence[Command]) -> List[Any]:
    """The replies, errors of the server among them: in one round trip; on a Cluster in one for each."""
    if hasattr(client, "get_primaries") or len(commands) == 1:
        replies = []
        for command in commands:
            try:
                replies.append(client.execute_command(*command))
            except ResponseError as error:
                replies.append(error)
        return replies
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(pipeline.execute(raise_on_error=False))
