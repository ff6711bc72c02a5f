"""drain, pause, resume, purge, touch, deploy: each is one call of SQL."""

import time
from datetime import timedelta
from typing import Any, List

from django.db import transaction

from ..conf import conf
from ..database import query
from ..rules import array_text, interval_text
from .report import Failed, Report


def drain(connection: Any, options: Any) -> Report:
    """What the worker has in hand is neither delivered here nor gone yet: look again until the time is over."""
    if not 0 <= options["timeout"] <= 86400:
        raise Failed("--timeout is a number of seconds from 0 to 86400")
    deadline, confirmed = time.monotonic() + options["timeout"], 0
    while True:
        timeout = interval_text(timedelta(seconds=max(deadline - time.monotonic(), 0.001)))
        confirmed += query(connection, "SELECT {inval}inval_drain(%s::interval) AS confirmed", [timeout])[0]["confirmed"]
        left = query(connection, "SELECT count(*) AS left FROM {inval}inval_queue")[0]["left"]
        if left == 0 or time.monotonic() >= deadline:
            break
        time.sleep(0.05)
    problem = f"{left} are left in the queue: manage.py inval queue" if left else None
    return Report([{"confirmed": confirmed, "left": left}], problem=problem)


def pause(connection: Any, options: Any) -> Report:
    query(connection, "SELECT {inval}inval_pause(%s)", [options["target"]])
    return Report(summary=f"Target {options['target']} is paused; queueing goes on.")


def resume(connection: Any, options: Any) -> Report:
    query(connection, "SELECT {inval}inval_resume(%s)", [options["target"]])
    return Report(summary=f"Target {options['target']} is resumed.")


def purge(connection: Any, options: Any) -> Report:
    rows = query(
        connection,
        "SELECT {inval}inval_purge(%s, %s, %s) AS removed",
        [options["pattern"], options["reason"], options["target"]],
    )
    return Report(rows)


def touch(connection: Any, options: Any) -> Report:
    query(
        connection,
        "SELECT {inval}inval_touch(%s, %s, field => %s, target => %s)",
        [options["key"], options["action"], options["field"], options["target"]],
    )
    return Report(summary=f"Done: {options['action']} {options['key']}")


def deploy(connection: Any, options: Any) -> Report:
    """Before a release begins to run its value is added; once the last process of the old one is gone, --finish."""
    name, value = _variable(options), options["value"]
    with transaction.atomic(using=connection.alias):
        # Two deploys at a time: each adds to what the other has left.
        query(connection, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"inval deploy {name}"])
        found = query(connection, 'SELECT "values" FROM {inval}inval_var WHERE name = %s', [name])
        current: List[str] = found[0]["values"] if found else []
        if options["finish"] and value not in current:
            raise Failed(f"{value!r} is not among the values of {name!r} ({', '.join(current) or 'none'}): deploy it first")
        values = [value] if options["finish"] else [*(one for one in current if one != value), value]
        if values != current:
            query(
                connection, "SELECT {inval}inval_set_var(%s, VARIADIC %s::text[])", [name, array_text(values)]
            )
    return Report([{"variable": name, "values": values}])


def _variable(options: Any) -> str:
    if options["var"] is not None:
        return str(options["var"])
    names = list(conf().vars)
    if len(names) != 1:
        raise Failed(f"say which variable: --var NAME (INVAL['VARS'] has {', '.join(names) or 'none'})")
    return names[0]


def _drain_arguments(parser: Any) -> None:
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="default 60")


def _target_arguments(parser: Any) -> None:
    parser.add_argument("--target", default="default", help="name of the target (default: default)")


def _purge_arguments(parser: Any) -> None:
    parser.add_argument("pattern", help="a glob pattern of Redis that begins with literal text")
    parser.add_argument("--reason", required=True, help="why; inval_purge_log keeps it")
    _target_arguments(parser)


def _touch_arguments(parser: Any) -> None:
    parser.add_argument("key", help="the key as it is in Redis")
    parser.add_argument("--action", default="delete", choices=["delete", "version", "members"], help="default: delete")
    parser.add_argument("--field", help="a field of the hash at the key")
    _target_arguments(parser)


def _deploy_arguments(parser: Any) -> None:
    parser.add_argument("value", help="what {$name} stands for in the new release, such as its git sha")
    parser.add_argument("--var", help="the variable (default: the one in INVAL['VARS'])")
    parser.add_argument("--finish", action="store_true", help="the old release is gone: its values go too")


SUBCOMMANDS = {
    "drain": (drain, "Delivers what is queued, in this session; exit status 1 if something is left.", _drain_arguments),
    "pause": (pause, "Stops sending to a target.", _target_arguments),
    "resume": (resume, "Goes on sending to a target.", _target_arguments),
    "purge": (purge, "Removes the keys that a pattern matches.", _purge_arguments),
    "touch": (touch, "Invalidates one key by hand, by a transaction.", _touch_arguments),
    "deploy": (deploy, "Adds a value of a variable of keys, while two releases run.", _deploy_arguments),
}
