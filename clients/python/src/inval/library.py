"""The function library, for tests and for who loads it by hand."""
from __future__ import annotations

from importlib import resources
from typing import Any

from redis.exceptions import ResponseError


def source() -> str:
    """The text of the library, which is that of the extension."""
    return (resources.files(__package__) / "inval.lua").read_text(encoding="utf-8")


def load(client: Any) -> bool:
    """Loads the library into one server, or into each primary of a Cluster. One that is there
    is left alone: the extension's worker replaces it when it has a newer one. Returns whether
    any server lacked it."""
    servers = [client]
    if hasattr(client, "get_primaries"):
        servers = [client.get_redis_connection(node) for node in client.get_primaries()]
    lacked = False
    for server in servers:
        if not _has_it(server):
            lacked = _load_into(server) or lacked
    return lacked


def _load_into(server: Any) -> bool:
    try:
        server.execute_command("FUNCTION", "LOAD", source())
    except ResponseError as error:
        if "already exists" not in str(error):
            raise
        return False  # somebody else was faster
    return True


def _has_it(server: Any) -> bool:
    return bool(server.execute_command("FUNCTION", "LIST", "LIBRARYNAME", "inval"))
