"""The rules that a database has."""

from django.db import connection

COLUMNS = (
    "relation::text", "key", "field", "action", "delivery", "changes", "via", "ttl", "publish", "stream", "fence",
    "repeat_after", "refill", "targets", "state",
)


def all_rules():
    """All of them, but for their numbers, as comparable text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_extension WHERE extname = 'inval'")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM inval_rule ORDER BY relation::text, key, field, action, via")
        return [repr(row) for row in cursor.fetchall()]


def keys(relation):
    """The keys of a table's rules."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM inval_rule WHERE relation = %s::regclass ORDER BY key", [relation])
        return [row[0] for row in cursor.fetchall()]
