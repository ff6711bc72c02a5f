"""Clients of redis-py for the URLs that the extension has (src/redis/url.c).

redis:// rediss:// unix:// redis+sentinel://h1,h2/master[/db] redis+cluster://h1,h2
rediss+cluster://, with ?cacert= cert= key= sni= passfile= sentinelpassfile=.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import parse_qsl, unquote

import redis

REDIS_PY = int(redis.__version__.split(".")[0])
REDIS_PORT = 6379
SENTINEL_PORT = 26379
_KINDS = {"://": "redis", "s://": "rediss", "+sentinel://": "sentinel",
          "+cluster://": "cluster", "s+cluster://": "cluster"}
_OPTIONS = {"redis": {"passfile"}, "rediss": {"passfile", "cacert", "cert", "key", "sni"},
            "sentinel": {"passfile", "sentinelpassfile"}, "cluster": {"passfile"},
            "unix": {"passfile", "db", "user", "password"}}


@dataclass
class Address:
    kind: str = "redis"
    tls: bool = False
    hosts: List[Tuple[str, int]] = field(default_factory=list)
    path: str = ""
    master: str = ""
    db: int = 0
    user: Optional[str] = None
    password: Optional[str] = None
    options: Dict[str, str] = field(default_factory=dict)

    def login(self) -> Dict[str, Any]:
        password = self.password
        if "passfile" in self.options:
            password = _first_line(self.options["passfile"])
        return {"username": self.user or None, "password": password or None}

    def tls_arguments(self) -> Dict[str, Any]:
        """Certificates are verified, names too, as the extension does."""
        if not self.tls:
            return {}
        return {"ssl_cert_reqs": "required", "ssl_check_hostname": True,
                "ssl_ca_certs": self.options.get("cacert"),
                "ssl_certfile": self.options.get("cert"), "ssl_keyfile": self.options.get("key")}


def parse(url: str) -> Address:
    """The parts of a URL; ValueError, which never repeats a password, if it is none."""
    scheme, colon, rest = url.partition("://")
    if scheme == "unix" and colon:
        return _parse_unix(rest)
    for name in ("redis", "valkey"):
        if scheme.startswith(name) and scheme[len(name):] + "://" in _KINDS:
            kind = _KINDS[scheme[len(name):] + "://"]
            break
    else:
        raise ValueError("the URL must start with redis://, rediss://, redis+sentinel://, "
                         "redis+cluster://, rediss+cluster:// or unix://")
    address = Address(kind, tls="s" in scheme[len(name):len(name) + 1])
    rest, _, query = rest.partition("?")
    login, at, rest = rest.rpartition("@")
    if at:
        user, _, password = login.partition(":")
        address.user, address.password = unquote(user), unquote(password)
    hosts, _, path = rest.partition("/")
    port = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
    listed = hosts.split(",") if kind in ("sentinel", "cluster") else [hosts]
    address.hosts = [_host(text, port) for text in listed]
    if kind == "sentinel":
        master, _, path = path.partition("/")
        address.master = unquote(master)
        if not address.master:
            raise ValueError("the URL names no master, as in redis+sentinel://host/master")
    if kind == "cluster" and path:
        raise ValueError("a Redis Cluster has no databases to choose from")
    address.db = _db(path)
    _options(address, query)
    return address


def _parse_unix(rest: str) -> Address:
    path, _, query = rest.partition("?")
    if not path.startswith("/"):
        raise ValueError("the path of a unix:// URL must be absolute, as in unix:///run/redis.sock")
    address = Address("unix", path=unquote(path))
    _options(address, query)
    address.db = _db(address.options.pop("db", ""))
    address.user = address.options.pop("user", None)
    address.password = address.options.pop("password", None)
    return address


def _host(text: str, port: int) -> Tuple[str, int]:
    if text.startswith("["):
        host, _, after = text[1:].partition("]")
        digits = after[1:] if after.startswith(":") else ""
    else:
        host, _, digits = text.partition(":")
    if not host:
        raise ValueError("the URL names no host")
    if digits and not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
        raise ValueError("the port of the URL must be a number from 1 to 65535")
    return unquote(host), int(digits or port)


def _db(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("the database of the URL must be a number")
    return int(text or 0)


def _options(address: Address, query: str) -> None:
    address.options = dict(parse_qsl(query, keep_blank_values=True))
    known = _OPTIONS["rediss" if address.tls else address.kind]
    for name in address.options:
        if name not in known:
            raise ValueError(f"the URL has the option {name!r}, which such a URL does not take: "
                             f"{', '.join(sorted(known))}")


def _first_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\r\n")


def client_of(url: str, connect_timeout: float, read_timeout: float,
              asynchronous: bool = False) -> Any:
    """A client whose every command ends within connect_timeout + read_timeout seconds: no
    retries, no health checks."""
    address = parse(url)
    arguments: Dict[str, Any] = {
        "socket_connect_timeout": connect_timeout, "socket_timeout": read_timeout,
        **address.login(), **_no_retry(asynchronous)}
    if REDIS_PY >= 5:
        arguments["protocol"] = 2  # the feeds of a first level read RESP2
    if asynchronous:
        from redis import asyncio as module
    else:
        module = redis
    if address.kind == "unix":
        return module.Redis(unix_socket_path=address.path, db=address.db, **arguments)
    if address.kind == "sentinel":
        return _sentinel(address, arguments, asynchronous)
    if address.tls:
        arguments.update(ssl=True, **address.tls_arguments())
    host, port = address.hosts[0]
    if address.kind == "cluster":
        return _cluster(address, arguments, asynchronous)
    client = module.Redis(host=host, port=port, db=address.db, **arguments)
    return client


def _no_retry(asynchronous: bool) -> Dict[str, Any]:
    # redis-py 6 and later retry unless told not to.
    return {"retry": _retry(asynchronous, 0)}


def _retry(asynchronous: bool, times: int) -> Any:
    from redis.backoff import NoBackoff
    if asynchronous:
        from redis.asyncio.retry import Retry
    else:
        from redis.retry import Retry
    return Retry(NoBackoff(), times)


def _sentinel(address: Address, arguments: Dict[str, Any], asynchronous: bool) -> Any:
    if asynchronous:
        from redis.asyncio.sentinel import Sentinel
    else:
        from redis.sentinel import Sentinel
    asking = {name: arguments[name] for name in ("socket_connect_timeout", "socket_timeout")}
    if "sentinelpassfile" in address.options:
        asking["password"] = _first_line(address.options["sentinelpassfile"])
    set_of = Sentinel(address.hosts, sentinel_kwargs=asking)
    return set_of.master_for(address.master, db=address.db, **arguments)


def _cluster(address: Address, arguments: Dict[str, Any], asynchronous: bool) -> Any:
    # One look for the new owner of a slot after an error, and no more.
    arguments = dict(arguments)
    if REDIS_PY < 6:
        arguments.pop("retry")
        arguments["cluster_error_retry_attempts"] = 1
    else:
        arguments["retry"] = _retry(asynchronous, 1)
    if asynchronous:
        from redis.asyncio.cluster import ClusterNode, RedisCluster
    else:
        from redis.cluster import ClusterNode, RedisCluster
    return RedisCluster(startup_nodes=[ClusterNode(*host) for host in address.hosts], **arguments)
