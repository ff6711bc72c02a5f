"""The extension as a database has it: where its functions are, and how they are called."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

# The version from which on there is all that this package calls
REQUIRED = "1.0"


class Extension(NamedTuple):
    version: str
    prefix: str  # of the names of its functions and views: '' if the search path finds them, else '"schema".'


def find_extension(connection: BaseDatabaseWrapper) -> Optional[Extension]:
    """The extension in this database, or None.  The name of its schema is quoted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.extversion, n.nspname, n.nspname = ANY (current_schemas(true))
            FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'inval'
            """
        )
        row = cursor.fetchone()
    if row is None:
        return None
    version, schema, visible = row
    return Extension(version, "" if visible else f"{quote_name(schema)}.")


def is_available(connection: BaseDatabaseWrapper) -> bool:
    """Whether the server has the extension's files, so that it can be created."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_catalog.pg_available_extensions WHERE name = 'inval'")
        return bool(cursor.fetchone()[0])


def is_older(version: str, than: str) -> bool:
    """Compares versions such as 1.10 by their numbers; what is no number counts as 0."""

    def numbers(text: str) -> List[int]:
        return [int(part) if part.isdigit() else 0 for part in text.split(".")]

    return numbers(version) < numbers(than)


def quote_name(name: str) -> str:
    """An SQL identifier, always in double quotes."""
    return '"%s"' % name.replace('"', '""')


def query(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any] = ()) -> List[Dict[str, Any]]:
    """The rows of a query, as dicts.  "{inval}" in it stands for the prefix of the extension's names.

    Raises LookupError if the database does not have the extension.
    """
    extension = find_extension(connection)
    if extension is None:
        raise LookupError(missing(connection))
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("{inval}", extension.prefix), params)
        if cursor.description is None:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def missing(connection: BaseDatabaseWrapper) -> str:
    """What to say of a database that does not have the extension."""
    name = connection.settings_dict["NAME"]
    return (
        f"the database {name!r} does not have the extension inval: put CreateInval() into a migration that comes first, "
        "or let a superuser run CREATE EXTENSION inval"
    )
