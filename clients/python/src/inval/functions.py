"""What is asked of Redis, what it answers, and what its errors mean.

A Backend has the methods that steps.Call names. RedisBackend is the one of real servers,
its twin for asyncio is in aio.py, and testing.py has one in memory.
"""
from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import redis
from redis import exceptions as errors

PROBE = 1.0  # seconds between looks whether the function library is back


class Answer(NamedTuple):
    """Of inval_get: word is 'hit', 'fill', 'wait' or 'bypass'."""

    word: str
    token: Optional[bytes] = None
    value: Optional[bytes] = None


class Kind(enum.Enum):
    DOWN = "Redis does not answer"
    NO_COMMAND = "Redis has no functions"  # before 7: FCALL is unknown
    NO_FUNCTION = "the function library is missing"
    READ_ONLY = "Redis takes no writes"
    DENIED = "the user may not"
    WRONG_TYPE = "the key holds no string"
    OTHER = "an error"


WITHOUT_FUNCTIONS = (Kind.NO_COMMAND, Kind.NO_FUNCTION)


@dataclass(frozen=True)
class Trouble:
    kind: Kind
    error: Optional[BaseException] = None


_BY_CODE = {
    "OOM": Kind.READ_ONLY, "NOREPLICAS": Kind.READ_ONLY, "MISCONF": Kind.READ_ONLY,
    "READONLY": Kind.READ_ONLY, "WRONGTYPE": Kind.WRONG_TYPE, "NOPERM": Kind.DENIED,
    "NOAUTH": Kind.DENIED, "WRONGPASS": Kind.DENIED, "CLUSTERDOWN": Kind.DOWN,
    "LOADING": Kind.DOWN, "MASTERDOWN": Kind.DOWN, "TRYAGAIN": Kind.DOWN, "BUSY": Kind.DOWN,
}
_DOWN = (errors.ConnectionError, errors.TimeoutError, errors.BusyLoadingError,
         errors.ClusterDownError, errors.ClusterError, OSError)
_DENIED = (errors.NoPermissionError, errors.AuthenticationError, errors.AuthorizationError)
# What the flow takes for an answer; all else, as a TypeError, is a fault and is raised.
FAILURES = (redis.RedisError, OSError)


def trouble_of(error: BaseException) -> Trouble:
    """What an error of redis-py means for a reader."""
    text = str(error)
    code = text.split(" ", 1)[0]
    if isinstance(error, _DENIED):  # an AuthenticationError is a ConnectionError too
        return Trouble(Kind.DENIED, error)
    if code in _BY_CODE:
        return Trouble(_BY_CODE[code], error)
    if isinstance(error, errors.ReadOnlyError):
        return Trouble(Kind.READ_ONLY, error)
    if isinstance(error, _DOWN):
        return Trouble(Kind.DOWN, error)
    if "unction not found" in text:
        return Trouble(Kind.NO_FUNCTION, error)
    if "unknown command" in text:
        return Trouble(Kind.NO_COMMAND, error)
    # Errors of commands inside a function: the code is behind its name.
    for code, kind in _BY_CODE.items():
        if f"{code} " in text:
            return Trouble(kind, error)
    if "can't run this command" in text or "has no permissions" in text:
        return Trouble(Kind.DENIED, error)
    return Trouble(Kind.OTHER, error)


def answer_of(reply: Any) -> Union[Answer, Trouble]:
    """A reply of inval_get, or its error; one that ends early, at a nil, counts too."""
    if isinstance(reply, BaseException):
        return trouble_of(reply)
    if isinstance(reply, (list, tuple)) and reply:
        word = reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])
        rest = list(reply[1:]) + [None, None]
        if word == "hit" and isinstance(rest[0], bytes):
            return Answer("hit", None, rest[0])
        if word == "fill" and isinstance(rest[0], bytes):
            return Answer("fill", rest[0], rest[1])
        if word in ("wait", "bypass"):
            return Answer(word, None, rest[0])
    return Trouble(Kind.OTHER, errors.ResponseError(f"inval_get answered {reply!r:.100}"))


class Availability:
    """Remembers that there are no functions, so that not every read asks in vain."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._trouble: Optional[Trouble] = None
        self._until = 0.0

    def current(self) -> Optional[Trouble]:
        """Why there are none, for a while."""
        trouble = self._trouble
        return None if trouble is None or time.monotonic() >= self._until else trouble

    def note(self, answers: List[Union[Answer, Trouble]]) -> List[Union[Answer, Trouble]]:
        for answer in answers:
            if isinstance(answer, Trouble) and answer.kind in WITHOUT_FUNCTIONS:
                self._until = time.monotonic() + PROBE
                if self._trouble is None:
                    self._changed(answer.kind.value)
                self._trouble = answer
                return answers
        if self._trouble is not None and any(isinstance(answer, Answer) for answer in answers):
            self._trouble = None
            self._changed("")
        return answers


Command = Tuple[Any, ...]


def ask_command(key: str, lease_ms: int, early_ms: int) -> Command:
    return ("FCALL", "inval_get", 1, key, lease_ms, early_ms)


def store_command(key: str, token: bytes, data: bytes, ttl_ms: int, stale_ms: int) -> Command:
    return ("FCALL", "inval_set", 1, key, token, data, ttl_ms, stale_ms)


def store_any_command(store: Command) -> Command:
    key, token, data, ttl_ms, stale_ms = store
    if token is None:  # a Redis without functions
        return ("SET", key, data, "PX", ttl_ms)
    return store_command(key, token, data, ttl_ms, stale_ms)


def release_command(key: str, token: bytes) -> Command:
    return ("FCALL", "inval_release", 1, key, token)


def register_commands(sets: Iterable[str], key: str, life_ms: int) -> List[Command]:
    # GT alone leaves a new set without an end: what has none counts as infinite.
    return [command for name in sets for command in (
        ("SADD", name, key), ("PEXPIRE", name, life_ms, "NX"), ("PEXPIRE", name, life_ms, "GT"))]


class Backend:
    """The commands that need nothing but many(), for threads.

    many(commands) gives replies, errors of the server among them; it raises when there is
    no answer at all.
    """

    def __init__(self, functions_changed: Callable[[str], None] = lambda missing: None) -> None:
        self.availability = Availability(functions_changed)

    def many(self, commands: Sequence[Command]) -> List[Any]:
        raise NotImplementedError

    def one(self, *command: Any) -> Any:
        reply = self.many([command])[0]
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def ask(self, key: str, lease_ms: int, early_ms: int) -> Union[Answer, Trouble]:
        return self.ask_many((key,), lease_ms, early_ms)[0]

    def ask_many(self, keys: Sequence[str], lease_ms: int,
                 early_ms: int) -> List[Union[Answer, Trouble]]:
        missing = self.availability.current()
        if missing is not None:
            return [missing] * len(keys)
        replies = self.many([ask_command(key, lease_ms, early_ms) for key in keys])
        return self.availability.note(list(map(answer_of, replies)))

    def store(self, *store: Any) -> bool:
        return bool(self.one(*store_command(*store)) == 1)

    def store_many(self, stores: Sequence[Any]) -> List[Any]:
        return stored(self.many(list(map(store_any_command, stores))))

    def release(self, key: str, token: bytes) -> None:
        self.one(*release_command(key, token))

    def release_many(self, leases: Sequence[Tuple[str, bytes]]) -> None:
        self.many([release_command(key, token) for key, token in leases])

    def get(self, key: str) -> Optional[bytes]:
        value: Optional[bytes] = self.one("GET", key)
        return value

    def get_many(self, keys: Sequence[str]) -> List[Any]:
        return troubles(self.many([("GET", key) for key in keys]))

    def mget(self, keys: Sequence[str]) -> List[Any]:
        replies = self.many([("GET", key) for key in keys])
        check_replies(replies)
        return replies

    def put(self, key: str, data: bytes, ttl_ms: int) -> None:
        self.one("SET", key, data, "PX", ttl_ms)

    def hget(self, key: str, field: str) -> Optional[bytes]:
        value: Optional[bytes] = self.one("HGET", key, field)
        return value

    def hset(self, key: str, field: str, data: bytes, ttl_ms: int) -> None:
        check_replies(self.many([("HSET", key, field, data), ("PEXPIRE", key, ttl_ms)]))

    def register(self, sets: Sequence[str], key: str, life_ms: int) -> None:
        check_replies(self.many(register_commands(sets, key, life_ms)))

    def version(self) -> int:
        return int(self.one("FCALL", "inval_version", 0))


class RedisBackend(Backend):
    """Of a client of redis-py."""

    def __init__(self, client: Any, functions_changed: Callable[[str], None]) -> None:
        super().__init__(functions_changed)
        self.client = client
        self.is_cluster = hasattr(client, "get_primaries")

    def many(self, commands: Sequence[Command]) -> List[Any]:
        """In one round trip; on a Cluster in one for each."""
        if self.is_cluster or len(commands) == 1:
            return [self._reply(command) for command in commands]
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute(raise_on_error=False))

    def _reply(self, command: Command) -> Any:
        try:
            return self.client.execute_command(*command)
        except errors.ResponseError as error:
            return error


def stored(replies: Iterable[Any]) -> List[Any]:
    return [trouble_of(r) if isinstance(r, BaseException) else r in (1, True) for r in replies]


def troubles(replies: Iterable[Any]) -> List[Any]:
    return [trouble_of(r) if isinstance(r, BaseException) else r for r in replies]


def check_replies(replies: Iterable[Any]) -> None:
    """Raises the first error among replies."""
    for reply in replies:
        if isinstance(reply, BaseException):
            raise reply
