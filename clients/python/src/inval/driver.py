"""Drives the flow, with threads."""
from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

from . import steps
from .base import DOWN, BaseCache, Call
from .errors import Unavailable
from .flights import Flight, Flights, Unstorable
from .functions import FAILURES, Trouble, trouble_of

OPEN = "Redis does not answer: the breaker is open"
BACKGROUND_THREADS = 4
BACKGROUND_QUEUE = 32


class Runner:
    """What the runs of one cache share: the backend, who is filling what, and limits."""

    def __init__(self, cache: BaseCache, backend: Any) -> None:
        self.cache = cache
        self.backend = backend
        self.flights = Flights()
        self.unstorable = Unstorable()
        self._pool: Optional[ThreadPoolExecutor] = None
        self._pool_lock = threading.Lock()
        self._pool_room = threading.BoundedSemaphore(BACKGROUND_QUEUE)
        self._loads = threading.BoundedSemaphore(cache.max_loads) if cache.max_loads else None

    def close(self) -> None:
        """Waits for loads in the background."""
        if self._pool is not None:
            self._pool.shutdown()

    def new_run(self, load: Any, call: Call) -> "Run":
        return Run(self, load, call)

    def drive(self, flow: steps.Flow, load: Callable[..., Any], call: Call) -> Any:
        """Runs a flow to its end, and returns what it gives."""
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
                    answer = run.take(step)
                except BaseException as problem:
                    error = problem
        finally:
            run.end()

    def perform(self, name: str, *args: Any) -> Any:
        """A command of the backend, if the breaker allows it; a failure as a Trouble."""
        return self.guarded(lambda: self.backend.run(name, *args))

    def guarded(self, function: Callable[[], Any]) -> Any:
        """What asks Redis, if the breaker allows it; a failure as a Trouble."""
        probe = self.cache._circuit.enter()
        if probe is None:
            return DOWN
        try:
            outcome = function()
        except FAILURES as error:
            outcome = trouble_of(error)
        if isinstance(outcome, Trouble):
            pool = self.backend.pool_of_replica(outcome.error)
            if pool is not None:
                pool.disconnect(inuse_connections=False)
        return self.cache._answered(outcome, probe)

    def demand(self, name: str, *args: Any) -> Any:
        """As perform, for what there is no doing without: its failure is raised, Unavailable if
        the breaker does not allow it."""
        circuit = self.cache._circuit
        probe = circuit.enter()
        if probe is None:
            raise Unavailable(OPEN)
        try:
            return self.cache._answered(self.backend.run(name, *args), probe)
        except FAILURES as error:
            self.cache._answered(trouble_of(error), probe)
            raise

    def load(self, step: steps.Load, load: Callable[..., Any], call: Call) -> Any:
        """Runs the caller's function."""
        cache = self.cache
        bound = self._loads if step.bounded else None
        if bound is not None and not bound.acquire(timeout=call.request.policy.wait):
            raise Unavailable(f"Redis does not answer, and {cache.max_loads} loads (max_loads) "
                              "are under way")
        start = time.perf_counter()
        try:
            with cache._loading(*(step.keys or (call.request.key,))):
                value = load(list(step.keys)) if step.keys else load()
            if hasattr(value, "__await__"):
                if hasattr(value, "close"):
                    value.close()  # else Python warns that it was never awaited
                raise TypeError("load gave a coroutine: use AsyncCache for async functions")
            return value
        finally:
            cache._events.note("load", call.entry, time.perf_counter() - start)
            if bound is not None:
                bound.release()

    def detach(self, rest: steps.Flow, load: Callable[..., Any], call: Call) -> bool:
        """Drives the rest of a flow in a pool; False if that is full, or closed."""
        room = self._pool_room
        if not room.acquire(blocking=False):
            return False
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(BACKGROUND_THREADS, f"inval {self.cache.name}")

        def work() -> None:
            try:
                self.drive(rest, load, call)
            except Exception as error:
                self.cache._events.warn(call.entry, f"a load in the background failed: {error!r}")
            finally:
                room.release()

        context = contextvars.copy_context()
        try:
            self._pool.submit(lambda: context.run(work))
        except RuntimeError:
            room.release()
            return False
        return True


class Run:
    """Takes the steps of one run."""

    def __init__(self, runner: Runner, load: Callable[..., Any], call: Call) -> None:
        self._runner = runner
        self._load = load
        self._call = call
        self._flight: Optional[Flight] = None

    def take(self, step: Any) -> Any:
        runner, kind = self._runner, type(step)
        if kind is steps.Call:
            return self._perform(step)
        if kind is steps.Load:
            return runner.load(step, self._load, self._call)
        if kind is steps.MayStore:
            return runner.cache._is_clean()
        if kind is steps.Wait:
            flight = runner.flights.current(self._call.request.key) if step.most else None
            if flight is not None:
                return runner.flights.wait(flight, step.most)
            time.sleep(step.pause)
            return None
        if kind is steps.Lead:
            self._flight = runner.flights.lead(self._call.request.key)
            return self._flight is not None
        if kind is steps.Detach:
            return runner.detach(step.rest, self._load, self._call)
        if kind is steps.Hopeless:
            return step.key in runner.unstorable
        if kind is steps.Unstorable:
            return runner.unstorable.add(step.key)
        runner.cache._take_note(step, self._call)
        return None

    def _perform(self, step: steps.Call) -> Any:
        flight = self._flight
        if flight is not None and step.name in ("store", "put"):
            flight.sealed = True
        outcome = self._runner.perform(step.name, *step.args)
        if step.name == "ask" and not isinstance(outcome, Trouble) and outcome.word == "fill":
            self.end()
            self._flight = self._runner.flights.begin(step.args[0])
        if step.name == "store" and outcome is True:
            self._runner.unstorable.discard(step.args[0])
            if flight is not None:
                flight.data = step.args[2]
        return outcome

    def end(self) -> None:
        """Lets those go on who wait for this one."""
        if self._flight is not None:
            self._runner.flights.end(self._flight)
            self._flight = None
