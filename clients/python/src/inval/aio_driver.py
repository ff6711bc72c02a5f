"""Drives the flow, with asyncio. What it does is what driver.py does."""
from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any, Callable, Dict, Optional, Set

from . import steps
from .base import DOWN, BaseCache, Call
from .driver import OPEN
from .errors import Unavailable
from .flights import Unstorable
from .functions import FAILURES, Trouble, trouble_of

BACKGROUND_TASKS = 32


class AsyncFlight:
    def __init__(self, key: str) -> None:
        self.key = key
        self.landed = asyncio.Event()
        self.sealed = False
        self.data: Optional[bytes] = None


class AsyncRunner:
    """What the runs of one cache share, in one event loop."""

    def __init__(self, cache: BaseCache, backend: Any) -> None:
        self.cache = cache
        self.backend = backend
        self.flights: Dict[str, AsyncFlight] = {}
        self.unstorable = Unstorable()
        self._background: Set["asyncio.Task[None]"] = set()
        self._loads = 0
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def _enter_loop(self) -> None:
        """Notices another event loop than before: what belongs to one that has ended is dropped."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None:
            if not self._loop.is_closed():
                raise RuntimeError("this AsyncCache is in use in another event loop: make one "
                                   "for each")
            self.flights.clear()
            self._background.clear()
            self._loads = 0
            self.backend.forget_connections()
        self._loop = loop

    async def close(self) -> None:
        """Waits for loads in the background."""
        if self._background:
            await asyncio.wait(self._background)

    def new_run(self, load: Any, call: Call) -> "AsyncRun":
        return AsyncRun(self, load, call)

    async def drive(self, flow: steps.Flow, load: Callable[..., Any], call: Call) -> Any:
        """Runs a flow to its end, and returns what it gives."""
        self._enter_loop()
        run = self.new_run(load, call)
        try:
            answer: Any = None
            error: Optional[BaseException] = None
            while True:
                try:
                    step = flow.send(answer) if error is None else flow.throw(error)
                except StopIteration as stop:
                    return stop.value
                answer, error = None, None
                try:
                    answer = await run.take(step)
                except BaseException as problem:
                    error = problem
        finally:
            run.end()

    async def perform(self, name: str, *args: Any) -> Any:
        """A command of the backend, if the breaker allows it; a failure as a Trouble."""
        return await self.guarded(lambda: self.backend.run_async(name, *args))

    async def guarded(self, function: Callable[[], Any]) -> Any:
        """What asks Redis, if the breaker allows it; a failure as a Trouble."""
        self._enter_loop()
        probe = self.cache._circuit.enter()
        if probe is None:
            return DOWN
        try:
            outcome = await function()
        except (*FAILURES, asyncio.TimeoutError) as error:
            outcome = trouble_of(error)
        if isinstance(outcome, Trouble):
            pool = self.backend.pool_of_replica(outcome.error)
            if pool is not None:
                await pool.disconnect(inuse_connections=False)
        return self.cache._answered(outcome, probe)

    async def command(self, name: str, *args: Any) -> Any:
        """A command of the backend, whatever the breaker says; its failure is raised."""
        self._enter_loop()
        return await self.backend.run_async(name, *args)

    async def demand(self, name: str, *args: Any) -> Any:
        """As perform, for what there is no doing without: its failure is raised, Unavailable if
        the breaker does not allow it."""
        probe = self.cache._circuit.enter()
        if probe is None:
            raise Unavailable(OPEN)
        try:
            return self.cache._answered(await self.command(name, *args), probe)
        except (*FAILURES, asyncio.TimeoutError) as error:
            self.cache._answered(trouble_of(error), probe)
            raise

    async def load(self, step: steps.Load, load: Callable[..., Any], call: Call) -> Any:
        """Runs the caller's function, async or not."""
        cache = self.cache
        bounded = step.bounded and cache.max_loads is not None
        if bounded:
            await self._enter_bounded(call.request.policy.wait)
        start = time.perf_counter()
        try:
            with cache._loading(*(step.keys or (call.request.key,))):
                value = load(list(step.keys)) if step.keys else load()
                return await value if inspect.isawaitable(value) else value
        finally:
            cache._events.note("load", call.entry, time.perf_counter() - start)
            self._loads -= bounded

    async def _enter_bounded(self, seconds: float) -> None:
        most = self.cache.max_loads or 0
        deadline = time.monotonic() + seconds
        while self._loads >= most:
            if time.monotonic() > deadline:
                raise Unavailable(f"Redis does not answer, and {most} loads (max_loads) are "
                                  "under way")
            await asyncio.sleep(0.01)
        self._loads += 1

    def detach(self, rest: steps.Flow, load: Callable[..., Any], call: Call) -> bool:
        """Drives the rest of a flow in a task; False if there are too many."""
        if len(self._background) >= BACKGROUND_TASKS:
            return False

        async def work() -> None:
            try:
                await self.drive(rest, load, call)
            except Exception as error:
                self.cache._events.warn(call.entry, f"a load in the background failed: {error!r}")

        task = asyncio.ensure_future(work())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return True


class AsyncRun:
    """Takes the steps of one run."""

    def __init__(self, runner: AsyncRunner, load: Callable[..., Any], call: Call) -> None:
        self._runner = runner
        self._load = load
        self._call = call
        self._flight: Optional[AsyncFlight] = None

    async def take(self, step: Any) -> Any:
        runner, kind, key = self._runner, type(step), self._call.request.key
        if kind is steps.Call:
            return await self._perform(step)
        if kind is steps.Load:
            return await runner.load(step, self._load, self._call)
        if kind is steps.MayStore:
            clean = runner.cache._is_clean()
            return bool(await clean if inspect.isawaitable(clean) else clean)
        if kind is steps.Wait:
            flight = runner.flights.get(key) if step.most else None
            if flight is not None:
                return await self._wait(flight, step.most)
            await asyncio.sleep(step.pause)
            return None
        if kind is steps.Lead:
            if key in runner.flights:
                return False
            self._begin(key)
            return True
        if kind is steps.Detach:
            return runner.detach(step.rest, self._load, self._call)
        if kind is steps.Hopeless:
            return step.key in runner.unstorable
        if kind is steps.Unstorable:
            return runner.unstorable.add(step.key)
        runner.cache._take_note(step, self._call)
        return None

    async def _wait(self, flight: AsyncFlight, seconds: float) -> Optional[bytes]:
        sealed = flight.sealed
        try:
            await asyncio.wait_for(flight.landed.wait(), seconds)
        except asyncio.TimeoutError:
            return None
        return None if sealed else flight.data

    async def _perform(self, step: steps.Call) -> Any:
        flight = self._flight
        if flight is not None and step.name in ("store", "put"):
            flight.sealed = True
        outcome = await self._runner.perform(step.name, *step.args)
        if step.name == "ask" and not isinstance(outcome, Trouble) and outcome.word == "fill":
            self.end()
            self._begin(step.args[0])
        if step.name == "store" and outcome is True:
            self._runner.unstorable.discard(step.args[0])
            if flight is not None:
                flight.data = step.args[2]
        return outcome

    def _begin(self, key: str) -> None:
        self._flight = self._runner.flights[key] = AsyncFlight(key)

    def end(self) -> None:
        """Lets those go on who wait for this one."""
        flight, self._flight = self._flight, None
        if flight is not None:
            if self._runner.flights.get(flight.key) is flight:
                del self._runner.flights[flight.key]
            flight.landed.set()
