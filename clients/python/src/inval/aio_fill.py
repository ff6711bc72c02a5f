"""Fills by hand, with asyncio."""
from __future__ import annotations

from typing import Any, Optional

from . import steps
from .errors import NotStored
from .fill import BaseFill
from .functions import Trouble
from .policy import Result


class AsyncFill(BaseFill):
    """What AsyncCache.fill() gives; depends_on() and store() are awaited."""

    async def __aenter__(self) -> "AsyncFill":
        if self._begin():
            self._run = self._cache._runner.new_run(None, self._call)
            await self._step(None, None)
        self._enter_load()
        return self

    async def depends_on(self, *sets: str) -> None:
        """As Fill.depends_on."""
        if isinstance(await self._cache._runner.perform("register", *self._sets(sets)), Trouble):
            self._unstorable = True

    async def store(self, value: Any) -> bool:
        """As Fill.store."""
        self._check_store()
        self._leave_load()
        if self._flow is None:
            self.result = Result(value, "bypass")
        else:
            await self._step(value, None)
        return self._is_stored()

    async def __aexit__(self, kind: Any, error: Optional[BaseException], trace: Any) -> None:
        self._leave_load()
        try:
            if self._flow is not None and self.result is None:
                await self._step(None, error or NotStored())
        except BaseException as raised:
            if raised is not error and not isinstance(raised, NotStored):
                raise
        finally:
            self._cache._finish(self._call, self.result)

    async def _step(self, answer: Any, error: Optional[BaseException]) -> None:
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
                    answer = await self._run.take(step)
                except BaseException as problem:
                    error = problem
                self._look(answer)
        except StopIteration as stop:
            self.result = stop.value
            self._run.end()
        except BaseException:
            self._run.end()
            raise
