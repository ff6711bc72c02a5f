"""Fills by hand, for loads that are no function."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from . import steps
from .flow import get_or_set
from .functions import Trouble
from .policy import Result
from .values import UNREADABLE, read

if TYPE_CHECKING:
    from .base import Call
    from .client import Cache


class _NotStored(Exception):
    """Ends the flow where nothing was stored."""


class Fill:
    """What Cache.fill() gives.

    hit     whether there is a value: else load one, and store() it
    value   the value: Redis', or what was stored
    stale   a stale value, if there is one, else None
    result  how it ended, a Result; None before the end
    """

    def __init__(self, cache: "Cache", call: "Call") -> None:
        self._cache = cache
        self._call = call
        self._run: Any = None
        self._mode: Any = None
        self.result: Optional[Result] = None
        self.stale: Any = None

    @property
    def hit(self) -> bool:
        return self.result is not None

    @property
    def value(self) -> Any:
        if self.result is None:
            raise ValueError("there is no value: load one and store() it")
        return self.result.value

    def __enter__(self) -> "Fill":
        call, cache = self._call, self._cache
        if cache._is_bypassed(call.request.key):
            return self
        self.result = cache._from_local(call)
        if self.result is None:
            self._run = _UntilLoad(cache, call)
            self._run.step(None, None)
            self.result = self._run.result
            self.stale = self._run.stale
        if self.result is None:
            self._mode = cache._loading(call.request.key)
            self._mode.__enter__()
        return self

    def depends_on(self, *sets: str) -> None:
        """Lists the key in these sets; to be called before what they stand for is read. If
        that fails, nothing will be stored."""
        for name in sets:
            self._cache._check_key(name)
        policy = self._call.request.policy
        life = int((policy.lease + max(policy.ttl, policy.none_ttl or 0) + policy.stale) * 1000) + 1
        outcome = self._cache._perform(
            steps.Call("register", (sets, self._call.request.key, life)))
        if isinstance(outcome, Trouble) and self._run is not None:
            self._run.unstorable = True

    def store(self, value: Any) -> bool:
        """Stores the value under the lease; whether that was done. Once."""
        if self.result is not None:
            raise ValueError("there is a value already")
        if self._run is None:
            self.result = Result(value, "bypass")
            return False
        self._leave()
        self._run.step(value, None)
        self.result = self._run.result
        return bool(self.result is not None and self.result.source == "filled")

    def __exit__(self, kind: Any, error: Optional[BaseException], trace: Any) -> None:
        self._leave()
        if self._run is not None and self._run.result is None:
            try:
                self._run.step(None, error or _NotStored())
            except _NotStored:
                pass
            except BaseException as raised:
                if raised is not error:
                    raise
        self._cache._finish(self._call, self.result)

    def _leave(self) -> None:
        if self._mode is not None:
            self._mode.__exit__(None, None, None)
            self._mode = None


class _UntilLoad:
    """Drives the flow to its load, and from there to its end."""

    def __init__(self, cache: "Cache", call: "Call") -> None:
        self._flow = get_or_set(call.request)
        self._driver = cache._driver(_no_load, call)
        self.result: Optional[Result] = None
        self.stale: Any = None
        self.unstorable = False
        self._strict = call.request.policy.strict
        self._serializer = call.request.serializer

    def step(self, answer: Any, error: Optional[BaseException]) -> None:
        ended = True
        try:
            while True:
                step = self._flow.send(answer) if error is None else self._flow.throw(error)
                answer, error = None, None
                if type(step) is steps.Load:
                    ended = False
                    return
                if type(step) is steps.Detach:
                    answer = False
                    continue
                if type(step) is steps.MayStore and self.unstorable:
                    answer = False
                    continue
                try:
                    answer = self._driver.take(step)
                except BaseException as problem:
                    error = problem
                if type(step) is steps.Call and step.name == "ask" and \
                        not isinstance(answer, Trouble) and answer is not None and \
                        answer.word == "fill" and not self._strict:
                    value = read(self._serializer, answer.value)
                    self.stale = None if value is UNREADABLE else value
        except StopIteration as stop:
            self.result = stop.value
        finally:
            if ended:
                self._driver.end()

def _no_load() -> Any:
    raise AssertionError("the load of a fill by hand is the caller's")
