"""May a value be stored, or served, in the transaction that is under way?

Not stored, if the transaction has written: others would be given what is not committed, and perhaps never will be.
Nor from a snapshot that may be older than the lease.  PostgreSQL knows both exactly.

Not served either, if it has written: the cache has the state before that, until the commit removes it.  To ask about
that before each hit would cost every request under ATOMIC_REQUESTS a round trip, so a hint comes first: has this
connection run something else than a SELECT since it was last found clean?  As the hint is only about whether to ask,
it can be wrong in one direction without harm, and nothing can get stuck.
"""

import re
from typing import Any, Callable, Iterable

from django.db import Error, connections

_ASK = "SELECT pg_current_xact_id_if_assigned() IS NULL, current_setting('transaction_isolation') = 'read committed'"

# What changes no row: not EXPLAIN, which can ANALYZE an UPDATE.  One with a semicolon may be several statements.
_READS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*"
    r"(?:SELECT|SHOW|SET|RESET|FETCH|MOVE|DECLARE|CLOSE|VALUES|TABLE|SAVEPOINT|RELEASE|ROLLBACK|BEGIN|START)\b[^;]*;?\s*",
    re.IGNORECASE | re.DOTALL,
)


class _Watch:
    """An execute wrapper of a connection that notices statements which may write, in transactions."""

    def __init__(self) -> None:
        # What was run before the watch began is not known.
        self.may_have_written = True

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        if _in_transaction(context["connection"]) and not (isinstance(sql, str) and _READS.fullmatch(sql)):
            self.may_have_written = True
        return execute(sql, params, many, context)


def _watch(connection: Any) -> _Watch:
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, _Watch):
            return wrapper
    watch = _Watch()
    # In front: connection.execute_wrapper() takes away the last one when it ends, whoever has added it.
    connection.execute_wrappers.insert(0, watch)
    return watch


def may_store(aliases: Iterable[str]) -> bool:
    """Whether what is read from these databases now is committed, and newer than any lease: exact.

    Costs a round trip to each that is inside of atomic(), else nothing.
    """
    return all(_is_clean(connections[alias], fresh=True) for alias in aliases)


def may_serve(aliases: Iterable[str]) -> bool:
    """Whether a cached value shows all that these transactions have written themselves.

    Costs nothing as long as only SELECTs were run inside of atomic().  What such a SELECT writes, by a function that it
    calls, is not noticed here; nor is what goes to the driver's cursor directly (copy_expert, callproc).
    """
    for alias in aliases:
        connection = connections[alias]
        if not _in_transaction(connection):
            continue
        watch = _watch(connection)
        if watch.may_have_written:
            if not _is_clean(connection, fresh=False):
                return False
            watch.may_have_written = False
    return True


def _is_clean(connection: Any, fresh: bool) -> bool:
    if not _in_transaction(connection):
        return True
    if connection.vendor != "postgresql":
        return False
    try:
        # To the driver's cursor: it is no query of the project, which counts its own (assertNumQueries, toolbars).
        with connection.cursor() as cursor, connection.wrap_database_errors:
            cursor.cursor.execute(_ASK)
            unwritten, read_committed = cursor.cursor.fetchone()
    except Error:
        return False
    return bool(unwritten and (read_committed or not fresh))


def _in_transaction(connection: Any) -> bool:
    if connection.in_atomic_block:
        return True
    # Without a connection its attribute says nothing yet; and it is not for us to open one.
    autocommit = connection.settings_dict["AUTOCOMMIT"] if connection.connection is None else connection.autocommit
    return not autocommit
