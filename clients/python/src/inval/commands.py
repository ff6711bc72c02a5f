"""What is sent to Redis: the commands of each step, and what is made of their replies.

A plan is a pair: a list of commands for one round trip, and a function that takes the list
of their replies, errors of the server among them. So it is the same for threads and for
asyncio, and for the memory of testing.py.
"""
from __future__ import annotations

import time
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple

from redis import exceptions as errors

from .functions import Availability, answer_of, trouble_of

Command = Tuple[Any, ...]
Plan = Tuple[List[Command], Callable[[List[Any]], Any]]


def plan(name: str, args: Sequence[Any], availability: Availability) -> Plan:
    """The plan of a step; availability tells whether there are functions to be asked."""
    if name == "ask" or name == "ask_many":
        key, lease_ms, early_ms = args
        keys = (key,) if name == "ask" else key
        missing = availability.current()
        if missing is not None:
            troubles: List[Any] = [missing] * len(keys)
            return [], lambda replies: troubles if name == "ask_many" else missing
        commands: List[Command] = [("FCALL", "inval_get", 1, key, lease_ms, early_ms) for key in keys]

        def parse(replies: List[Any]) -> Any:
            answers = availability.note(list(map(answer_of, replies)))
            return answers if name == "ask_many" else answers[0]

        return commands, parse
    return _PLANS[name](*args)


def _store(*store: Any) -> Plan:
    return [_store_command(*store)], lambda replies: _checked(replies)[0] == 1


def _store_many(stores: Sequence[Any]) -> Plan:
    return [_store_command(*store) for store in stores], lambda replies: [
        trouble_of(r) if isinstance(r, BaseException) else r in (1, True) for r in replies]


def _store_command(key: str, token: Any, data: bytes, ttl_ms: int, stale_ms: int) -> Command:
    if token is None:  # a Redis without functions
        return ("SET", key, data, "PX", ttl_ms)
    return ("FCALL", "inval_set", 1, key, token, data, ttl_ms, stale_ms)


def _release(key: str, token: bytes) -> Plan:
    return [("FCALL", "inval_release", 1, key, token)], _checked


def _release_many(leases: Sequence[Tuple[str, bytes]]) -> Plan:
    return [("FCALL", "inval_release", 1, key, token) for key, token in leases], _checked


def _get(key: str) -> Plan:
    return [("GET", key)], _first


def _get_many(keys: Sequence[str]) -> Plan:
    return [("GET", key) for key in keys], lambda replies: [
        trouble_of(r) if isinstance(r, BaseException) else r for r in replies]


def _numbers(keys: Sequence[str]) -> Plan:
    return [("GET", key) for key in keys], _checked


def _seed(keys: Sequence[str], start: int) -> Plan:
    return [("SET", key, start, "NX") for key in keys], _checked


def _put(key: str, data: bytes, ttl_ms: int) -> Plan:
    return [("SET", key, data, "PX", ttl_ms)], _first


def _delete(keys: Sequence[str]) -> Plan:
    return [("UNLINK", key) for key in keys], lambda replies: sum(_checked(replies))


def _hget(key: str, field: str) -> Plan:
    return [("HGET", key, field)], _first


def _hset(key: str, field: str, data: bytes, ttl_ms: int) -> Plan:
    return [("HSET", key, field, data), ("PEXPIRE", key, ttl_ms)], _first


def _register(sets: Iterable[str], key: str, life_ms: int) -> Plan:
    # GT alone leaves a new set without an end: what has none counts as infinite.
    return [command for name in sets for command in (
        ("SADD", name, key), ("PEXPIRE", name, life_ms, "NX"),
        ("PEXPIRE", name, life_ms, "GT"))], _checked


def _version() -> Plan:
    return [("FCALL", "inval_version", 0)], lambda replies: int(_first(replies))


_PLANS: Dict[str, Callable[..., Plan]] = {
    "store": _store, "store_many": _store_many, "release": _release,
    "release_many": _release_many, "get": _get, "get_many": _get_many, "numbers": _numbers,
    "seed": _seed, "put": _put, "delete": _delete, "hget": _hget, "hset": _hset,
    "register": _register, "version": _version}


def _checked(replies: List[Any]) -> List[Any]:
    for reply in replies:
        if isinstance(reply, BaseException):
            raise reply
    return replies


def _first(replies: List[Any]) -> Any:
    return _checked(replies)[0]


RECONNECT = 1.0  # seconds between looks whether the name leads to another server by now


class Backend:
    """Runs plans. many(commands) gives replies, errors of the server among them, and
    raises when there is no answer at all."""

    _reconnected = 0.0

    def __init__(self, availability: Availability) -> None:
        self.availability = availability

    def many(self, commands: Sequence[Command]) -> List[Any]:
        raise NotImplementedError

    def run(self, name: str, *args: Any) -> Any:
        commands, parse = plan(name, args, self.availability)
        return parse(self.many(commands) if commands else [])

    def pool_of_replica(self, error: Any) -> Any:
        """The pool whose connections are to be closed, for a server that says it is a replica:
        after a failover its name may be that of another one. None: there is nothing to do."""
        if not isinstance(error, errors.ReadOnlyError):
            return None
        now = time.monotonic()
        if now - self._reconnected < RECONNECT:
            return None
        self._reconnected = now
        return getattr(getattr(self, "client", None), "connection_pool", None)

    def forget_connections(self) -> None:
        """Drops those of another process, or of an event loop that has ended, as they are."""


class RedisBackend(Backend):
    """Of a client of redis-py."""

    def __init__(self, client: Any, availability: Availability) -> None:
        super().__init__(availability)
        self.client = client
        self.is_cluster = is_cluster(client)

    def many(self, commands: Sequence[Command]) -> List[Any]:
        """In one round trip; on a Cluster in one for each."""
        if self.is_cluster or len(commands) == 1:
            return [self._one(command) for command in commands]
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute(raise_on_error=False))

    def _one(self, command: Command) -> Any:
        try:
            return self.client.execute_command(*command)
        except errors.ResponseError as error:
            return error


def is_cluster(client: Any) -> bool:
    return hasattr(client, "get_primaries")
