"""What Redis answers, and what its errors mean.

What errors and replies mean to the flow; commands.py has what is sent.
"""
from __future__ import annotations

import asyncio
import enum
import time
from dataclasses import dataclass
from typing import Any, Callable, List, NamedTuple, Optional, Union

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
         errors.ClusterDownError, errors.ClusterError, errors.TryAgainError, OSError,
         asyncio.TimeoutError)  # which is an OSError from Python 3.11 on
# redis-py 5 and later take the code from the text of those that have a class.
_READ_ONLY = (errors.ReadOnlyError, *(
    [errors.OutOfMemoryError] if hasattr(errors, "OutOfMemoryError") else []))
_DENIED = (errors.NoPermissionError, errors.AuthenticationError, errors.AuthorizationError)
# Inside a function: of Redis 7 (a command, a key), and of Valkey.
_DENIED_WORDS = ("can't run this command", "can't access at least one of the keys",
                 "has no permissions", "ACL failure in script")
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
    if isinstance(error, _READ_ONLY):
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
    if any(words in text for words in _DENIED_WORDS):
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
