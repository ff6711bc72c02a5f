"""Fills by hand, for loads that are no function: the flow is driven to its load, and on
from there when the caller has a value."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Tuple

from . import steps
from .errors import NotStored
from .flow import get_or_set, register_life_ms
from .functions import Answer, Trouble
from .policy import Result
from .values import UNREADABLE, read

if TYPE_CHECKING:
    from .base import BaseCache, Call


class BaseFill:
    """hit     whether there is a value: else load one, and store() it
    value   the value: Redis', or what was stored
    stale   a stale value, if there is one, else None
    result  how it ended, a Result; None before the end
    """

    def __init__(self, cache: "BaseCache", call: "Call") -> None:
        self._cache: Any = cache
        self._call = call
        self._flow: Optional[steps.Flow] = None
        self._run: Any = None
        self._mode: Any = None
        self._unstorable = False
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

    def _begin(self) -> bool:
        """Whether the flow is to be driven."""
        if self._cache._is_bypassed(self._call.request.key):
            return False
        self.result = self._cache._from_local(self._call)
        if self.result is not None:
            return False
        self._flow = get_or_set(self._call.request)
        return True

    def _enter_load(self) -> None:
        if self.result is None:
            self._mode = self._cache._loading(self._call.request.key)
            self._mode.__enter__()

    def _leave_load(self) -> None:
        if self._mode is not None:
            self._mode.__exit__(None, None, None)
            self._mode = None

    def _shortcut(self, step: Any) -> Tuple[bool, Any]:
        """Whether a step is answered here, and how: nothing can be detached."""
        if type(step) is steps.Detach or (type(step) is steps.MayStore and self._unstorable):
            return True, False
        return False, None

    def _look(self, answer: Any) -> None:
        """Takes the stale value out of an answer."""
        request = self._call.request
        if isinstance(answer, Answer) and answer.word == "fill" and not request.policy.strict:
            value = read(request.serializer, answer.value)
            self.stale = None if value is UNREADABLE else value

    def _sets(self, sets: Tuple[str, ...]) -> Tuple[Tuple[str, ...], str, int]:
        request = self._call.request
        return (tuple(map(self._cache._check_key, sets)), request.key,
                register_life_ms(request.policy))

    def _check_store(self) -> None:
        if self.result is not None:
            raise ValueError("there is a value already")

    def _is_stored(self) -> bool:
        return self.result is not None and self.result.source == "filled"


class Fill(BaseFill):
    """What Cache.fill() gives."""

    def __enter__(self) -> "Fill":
        if self._begin():
            self._run = self._cache._runner.new_run(None, self._call)
            self._step(None, None)
        self._enter_load()
        return self

    def depends_on(self, *sets: str) -> None:
        """Lists the key in these sets; to be called before what they stand for is read. If
        that fails nothing will be stored."""
        if isinstance(self._cache._runner.perform("register", *self._sets(sets)), Trouble):
            self._unstorable = True

    def store(self, value: Any) -> bool:
        """Stores the value under the lease; whether that was done. Once."""
        self._check_store()
        self._leave_load()
        if self._flow is None:
            self.result = Result(value, "bypass")
        else:
            self._step(value, None)
        return self._is_stored()

    def __exit__(self, kind: Any, error: Optional[BaseException], trace: Any) -> None:
        self._leave_load()
        try:
            if self._flow is not None and self.result is None:
                self._step(None, error or NotStored())
        except BaseException as raised:
            if raised is not error and not isinstance(raised, NotStored):
                raise
        finally:
            self._cache._finish(self._call, self.result)

    def _step(self, answer: Any, error: Optional[BaseException]) -> None:
        """On to the load, or to the end."""
        assert self._flow is not None
        try:
            while True:
                step = self._flow.send(answer) if error is None else self._flow.throw(error)
                answer, error = None, None
                if type(step) is steps.Load:
                    return
                taken, answer = self._shortcut(step)
                if taken:
                    continue
                try:
                    answer = self._run.take(step)
                except BaseException as problem:
                    error = problem
                self._look(answer)
        except StopIteration as stop:
            self.result = stop.value
            self._run.end()
        except BaseException:
            self._run.end()
            raise
