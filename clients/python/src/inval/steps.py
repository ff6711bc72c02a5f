"""What the flow asks of its driver: it does no I/O itself."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generator, Tuple


@dataclass
class Call:
    """A command of the backend; the answer is what it returns, or a Trouble."""

    name: str
    args: Tuple[Any, ...]


@dataclass
class Load:
    """Run the caller's function; what it raises is thrown into the flow. bounded: while
    Redis is down, under max_loads."""

    bounded: bool = False
    keys: Tuple[str, ...] = ()  # of a batch: what load_many is given


@dataclass
class MayStore:
    """Whether what is read in this transaction may be stored for others: a bool."""


@dataclass
class Wait:
    """Sleep; or, if somebody in this process is filling the key, until that has ended, at
    most so many seconds (0: sleep). The answer is what that one has stored, if it did so after this
    call began to wait, else None."""

    pause: float
    most: float


@dataclass
class Unstorable:
    """The value of this key cannot be stored: nobody is to wait for who loads it next."""

    key: str


@dataclass
class Hopeless:
    """Whether that was said of this key, not long ago: a bool."""

    key: str


@dataclass
class Lead:
    """Become the one of this process who loads the key without a lease: True; False if
    somebody is it already."""


@dataclass
class Detach:
    """Drive the rest in the background; False if there is no room for that."""

    rest: "Flow"


@dataclass
class Note:
    """Tell the observer; warn: once, to the log."""

    event: str
    warning: str = ""


Flow = Generator[Any, Any, Any]
