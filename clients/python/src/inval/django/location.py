"""Is a cache's LOCATION the address of a target?"""

import socket
from typing import Any, FrozenSet, NamedTuple, Optional
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

_SCHEMES = ("redis", "rediss", "valkey", "valkeys")


class Address(NamedTuple):
    hosts: FrozenSet[str]  # names and numbers; a path, for a Unix socket
    port: int
    db: int


def parse(url: Any) -> Optional[Address]:
    """The address in a URL of one server; None for others, such as clusters, of which it says too little."""
    if not isinstance(url, str):
        return None
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            return Address(frozenset([unquote(parts.path)]), 0, int(parse_qs(parts.query).get("db", ["0"])[0]))
        if parts.scheme in _SCHEMES:
            db = parse_qs(parts.query).get("db", [parts.path.strip("/") or "0"])[0]
            return Address(_names(parts.hostname or "localhost"), parts.port or 6379, int(db))
    except ValueError:
        pass
    return None


def is_address_of(location: Any, address: str) -> bool:
    """Whether both are one server and database, as far as it can be told: what cannot be compared may be.

    location  a URL of redis-py
    address   as inval_target_status has it
    """
    ours, theirs = parse(location), parse(address)
    if ours is None or theirs is None:
        return True
    return ours.port == theirs.port and ours.db == theirs.db and bool(ours.hosts & theirs.hosts)


def with_db(url: str, db: int) -> str:
    """The URL with another number of a database.

    Raises ValueError for a URL that has no such number.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix":
        others = [one for one in parts.query.split("&") if one and not one.startswith("db=")]
        return f"unix://{parts.path}?{'&'.join([*others, f'db={db}'])}"
    if parts.scheme in _SCHEMES:
        others = "&".join(one for one in parts.query.split("&") if one and not one.startswith("db="))
        return urlunsplit((parts.scheme, parts.netloc, f"/{db}", others, ""))
    raise ValueError(f"tests need a LOCATION of one server, redis://host:port/db or unix://path?db=0, not {url!r}")


def _names(host: str) -> FrozenSet[str]:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        found = set()
    if found & {"127.0.0.1", "::1"}:
        found |= {"127.0.0.1", "::1"}
    return frozenset({host, *found})
