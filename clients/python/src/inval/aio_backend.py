"""Sends the commands of plans (commands.py) with a client of redis.asyncio."""
from __future__ import annotations

import asyncio
from typing import Any, List, Sequence, Set

from redis import exceptions as errors

from .commands import Backend, Command, is_cluster, plan
from .functions import FAILURES, Answer, Availability, answer_of


class AsyncRedisBackend(Backend):
    """Of a client of redis.asyncio."""

    def __init__(self, client: Any, availability: Availability) -> None:
        super().__init__(availability)
        self.client = client
        self.is_cluster = is_cluster(client)
        self._released: Set["asyncio.Future[None]"] = set()

    async def run_async(self, name: str, *args: Any) -> Any:
        commands, parse = plan(name, args, self.availability)
        if not commands:
            return parse([])
        # A caller that is cancelled must not leave a connection with half a reply on it,
        # which the next one would take for its own: the command goes on by itself.
        task = asyncio.ensure_future(self._many(commands))
        try:
            return parse(await asyncio.shield(task))
        except asyncio.CancelledError:
            if name in ("ask", "ask_many"):
                task.add_done_callback(lambda done: self._give_up(done, commands))
            raise

    def _give_up(self, task: "asyncio.Task[List[Any]]", commands: Sequence[Command]) -> None:
        """Releases leases that were granted to somebody who is gone."""
        if task.cancelled() or task.exception() is not None:
            return
        held = [(command[3], answer.token) for command, answer in
                zip(commands, map(answer_of, task.result()))
                if isinstance(answer, Answer) and answer.word == "fill"]
        if held:
            released = asyncio.ensure_future(self._release(held))
            self._released.add(released)
            released.add_done_callback(self._released.discard)

    async def _release(self, held: Sequence[Any]) -> None:
        try:
            await self.run_async("release_many", held)
        except FAILURES:
            pass  # they expire

    def forget_connections(self) -> None:
        pool = getattr(self.client, "connection_pool", None)
        if pool is None:
            return
        for connection in (*pool._available_connections, *pool._in_use_connections):
            connection._reader = connection._writer = None  # else redis-py closes them in this loop
        pool.reset()

    async def many_async(self, commands: Sequence[Command]) -> List[Any]:
        """As many(), whatever becomes of the caller."""
        return await asyncio.shield(self._many(commands))

    async def _many(self, commands: Sequence[Command]) -> List[Any]:
        if self.is_cluster or len(commands) == 1:
            return [await self._one(command) for command in commands]
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=False))

    async def _one(self, command: Command) -> Any:
        try:
            return await self.client.execute_command(*command)
        except errors.ResponseError as error:
            return error
