"""Whether a Redis is ready for readers."""
from __future__ import annotations

from typing import Callable

from .errors import NotReady
from .functions import FAILURES, Kind, trouble_of

VERSION = 2  # of the function library that this package was written for
RIGHTS = "+fcall +get +set +unlink +exists +pttl +time +zremrangebyscore, on its keys (~ns:*)"


def check_ready(version: Callable[[], int], functions: str) -> int:
    """The version of the library; 0 if there can be none and functions is not "require"."""
    try:
        found = version()
    except FAILURES as error:
        return explain(error, functions)
    return check_version(found)


def check_version(found: int) -> int:
    if found < VERSION:
        raise NotReady(f"the function library in Redis has version {found}, and {VERSION} is "
                       "needed: update the extension, whose worker loads it")
    return found


def explain(error: BaseException, functions: str) -> int:
    """Raises what to do about an error; returns 0 where it does not matter."""
    kind = trouble_of(error).kind
    if kind is Kind.NO_COMMAND:
        if functions != "require":
            return 0
        raise NotReady("this Redis has no functions: version 7 or later is needed") from error
    if kind is Kind.NO_FUNCTION:
        raise NotReady("the function library is not in Redis: the extension's worker loads it "
                       "(shared_preload_libraries = 'inval', inval.load_library), or "
                       "`python3 -m inval load URL`") from error
    if kind is Kind.DENIED:
        raise NotReady(f"Redis does not let this user call the functions ({error}): readers need "
                       f"{RIGHTS}") from error
    raise NotReady(f"Redis does not answer: {error}") from error
