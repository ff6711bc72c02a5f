"""Is a cache's LOCATION the address of a target?"""

import socket
from typing import Any, FrozenSet, NamedTuple, Optional

from inval.url import parse

class Place(NamedTuple):
    hosts: FrozenSet[str]  # names and numbers; a path, for a Unix socket
    port: int
    db: int


def place_of(url: Any) -> Optional[Place]:
    """The one server that a URL means; None for others, such as clusters, of which it says too little."""
    try:
        address = parse(url)
    except (AttributeError, ValueError):
        return None
    if address.kind == "unix":
        return Place(frozenset([address.path]), 0, address.db)
    if address.kind in ("redis", "rediss"):
        host, port = address.hosts[0]
        return Place(_names(host), port, address.db)
    return None


def is_address_of(location: Any, address: str) -> bool:
    """Whether both are one server and database, as far as it can be told: what cannot be compared may be.

    location  a URL of redis-py
    address   as inval_target_status has it
    """
    ours, theirs = place_of(location), place_of(address)
    if ours is None or theirs is None:
        return True
    return ours.port == theirs.port and ours.db == theirs.db and bool(ours.hosts & theirs.hosts)


def with_db(url: str, db: int) -> str:
    """The URL with another number of a database.

    Raises ValueError for a URL that has no such number.
    """
    if place_of(url) is None:
        raise ValueError(f"tests need a LOCATION of one server, redis://host:port/db or unix://path?db=0, not {url!r}")
    front, _, query = url.partition("?")
    options = [one for one in query.split("&") if one and not one.startswith("db=")]
    if front.startswith("unix:"):
        options.append(f"db={db}")
    else:
        scheme, _, rest = front.partition("://")
        front = f"{scheme}://{rest.split('/')[0]}/{db}"
    return "?".join([front, "&".join(options)]) if options else front


def _names(host: str) -> FrozenSet[str]:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        found = set()
    if found & {"127.0.0.1", "::1"}:
        found |= {"127.0.0.1", "::1"}
    return frozenset({host, *found})
