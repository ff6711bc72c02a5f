"""System checks: does the database invalidate what this project reads?

Those that ask the database or Redis are run by `manage.py check --database default`, and by migrate before it begins.
So that a migration can mend what they find, they say nothing while there are migrations to be run.
"""

from fnmatch import fnmatchcase
from typing import Any, Callable, Iterable, List, Optional

from django.conf import settings
from django.core.cache import caches
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from .conf import conf, inval_caches, inval_databases, load_databases, primary_of
from .database import REQUIRED, find_extension, is_available, is_older, missing, query
from .entries import all_entries, problems

_DJANGO_KEYS = "django.core.cache.backends.base.default_key_func"


@register(Tags.caches)
def check_settings(app_configs: Any = None, **_: Any) -> List[CheckMessage]:
    """W001, and whether INVAL can be read at all."""
    try:
        conf()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="inval.E000")]
    found: List[CheckMessage] = []
    for alias in inval_caches():
        function = settings.CACHES[alias].get("KEY_FUNCTION")
        if callable(function):
            function = f"{function.__module__}.{function.__qualname__}"
        if function == _DJANGO_KEYS:
            found.append(
                Warning(
                    f"CACHES[{alias!r}]['KEY_FUNCTION'] is Django's, which makes :1:book:7 of book:7: rules would have to "
                    "name such keys.",
                    hint="Leave KEY_FUNCTION out: keys are then KEY_PREFIX and the key.",
                    id="inval.W001",
                )
            )
    return found


@register(Tags.database)
def check_databases(app_configs: Any = None, databases: Optional[Iterable[str]] = None, **_: Any) -> List[CheckMessage]:
    """E001 to E004 for each database that has the extension, or should have it."""
    if not _is_readable():
        return []
    found: List[CheckMessage] = []
    for alias in inval_databases():
        if alias not in (databases or ()):
            continue
        connection = connections[alias]
        try:
            if _is_migrating(connection):
                continue
            extension = find_extension(connection)
        except DatabaseError as error:
            found.append(Error(f"Database {alias!r} cannot be asked: {error}", id="inval.E001"))
            continue
        if extension is None:
            if not (conf().optional and not is_available(connection)):
                found.append(Error(f"Database {alias!r}: {missing(connection)}.", id="inval.E001"))
        elif is_older(extension.version, REQUIRED):
            found.append(
                Error(
                    f"Database {alias!r} has version {extension.version} of inval, which is older than {REQUIRED}.",
                    hint="ALTER EXTENSION inval UPDATE",
                    id="inval.E001",
                )
            )
        else:
            found += [*_check_coverage(connection), *_check_entries(connection), *_check_variables(connection)]
    return found


@register(Tags.database)
def check_targets(app_configs: Any = None, databases: Optional[Iterable[str]] = None, **_: Any) -> List[CheckMessage]:
    """W002 to W004 for each cache that is loaded from one of these databases."""
    if not _is_readable():
        return []
    found: List[CheckMessage] = []
    for cache in inval_caches():
        aliases = [alias for alias in load_databases(cache) if alias in (databases or ()) and alias in settings.DATABASES]
        if not aliases:
            continue
        found += _check_library(cache)
        for alias in aliases:
            primary = connections[primary_of(alias)]
            try:
                if primary.vendor != "postgresql" or _is_migrating(primary) or find_extension(primary) is None:
                    continue
            except DatabaseError:
                continue  # E001 says so
            found += _tried(_check_location, cache, primary)
            found += _tried(_check_replica, cache, alias)
    return found


def _is_readable() -> bool:
    """Whether settings.INVAL is; E000 says so if it is not."""
    try:
        conf()
    except ImproperlyConfigured:
        return False
    return True


def _is_migrating(connection: Any) -> bool:
    """Whether there are migrations to be run: what is missing may be what they make."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def untracked(connection: Any, column: str, exempt: Iterable[str] = ()) -> List[str]:
    """What inval_coverage says of the tables that have the column and are not all tracked, a line for each."""
    patterns = tuple(exempt)
    rows = query(connection, "SELECT relation::text, verdict, detail FROM {inval}inval_coverage(%s)", [column])
    return [
        f"{row['relation']}: {row['verdict']} ({row['detail']})"
        for row in rows
        if row["verdict"] != "tracked" and not any(_matches(row["relation"], pattern) for pattern in patterns)
    ]


def _matches(relation: str, pattern: str) -> bool:
    return fnmatchcase(relation, pattern) or fnmatchcase(relation.strip('"'), pattern)


def _check_coverage(connection: Any) -> List[CheckMessage]:
    return [
        Error(
            f"Database {connection.alias!r}, tables with {column!r}: {line}.",
            hint="Track it in a migration, or name it in INVAL['EXEMPT'].",
            id="inval.E002",
        )
        for column in conf().coverage
        for line in untracked(connection, column, conf().exempt)
    ]


def _check_entries(connection: Any) -> List[CheckMessage]:
    return [
        Error(f"{one.entry.name} reads {one.table}: {one.text}.", hint=one.hint, id="inval.E003")
        for one in problems(connection, all_entries())
    ]


def _check_variables(connection: Any) -> List[CheckMessage]:
    current = {row["name"]: row["values"] for row in query(connection, 'SELECT name, "values" FROM {inval}inval_var')}
    return [
        Error(
            f"This process reads keys with {{${name}}} = {value!r}, which is not among its values in database "
            f"{connection.alias!r} ({', '.join(current.get(name, [])) or 'none'}): such keys are never removed.",
            hint=f"manage.py inval deploy {value} --var {name}",
            id="inval.E004",
        )
        for name, value in conf().vars.items()
        if value not in current.get(name, [])
    ]


def _check_location(cache: str, connection: Any) -> List[CheckMessage]:
    from .location import is_address_of

    rows = query(connection, "SELECT target, address FROM {inval}inval_target_status")
    location = settings.CACHES[cache].get("LOCATION", "")
    known = [row["address"] for row in rows if row["address"]]
    if not known or any(is_address_of(location, address) for address in known):
        return []
    return [
        Warning(
            f"CACHES[{cache!r}]['LOCATION'] is no target of database {connection.alias!r}, which removes keys at "
            f"{', '.join(known)}.",
            hint="Set inval.redis_url, or LOCATION; if both are names of one server, silence this check.",
            id="inval.W002",
        )
    ]


def _check_library(cache: str) -> List[CheckMessage]:
    from .glue import library_problem

    problem = library_problem(caches[cache].inval)
    if problem is None:
        return []
    return [
        Warning(
            f"CACHES[{cache!r}]: {problem}",
            hint="inval's worker loads the functions, if it is preloaded; else python3 -m inval load URL.",
            id="inval.W003",
        )
    ]


def _check_replica(cache: str, alias: str) -> List[CheckMessage]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        is_standby = cursor.fetchone()[0]
    if not is_standby:
        return []
    with connections[primary_of(alias)].cursor() as cursor:
        cursor.execute("SELECT current_setting('inval.repeat_after_replay', true)")
        if cursor.fetchone()[0] == "on":
            return []
    return [
        Warning(
            f"CACHES[{cache!r}] is loaded from {alias!r}, a standby: it may not show yet what a key was removed for, and "
            "the old value would be stored again.",
            hint="Set inval.repeat_after_replay on the primary (which DATABASES[…]['TEST']['MIRROR'] names), or load from it.",
            id="inval.W004",
        )
    ]


def _tried(check: Callable[[str, Any], List[CheckMessage]], cache: str, what: Any) -> List[CheckMessage]:
    """A check that takes the rights of pg_monitor: without them it has nothing to say."""
    try:
        return check(cache, what)
    except DatabaseError:
        return []
