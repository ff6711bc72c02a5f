"""A rule as SQL has it: the call that makes it, and the one that removes it."""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, List, Optional, Sequence, Tuple, Union

Statement = Tuple[str, List[str]]


@dataclass(frozen=True)
class Rule:
    """The arguments of inval_track; the relation is an SQL identifier."""

    relation: str
    key: str
    field: Optional[str] = None
    action: str = "delete"
    delivery: str = "commit"
    changes: Optional[Sequence[str]] = None
    via: Optional[str] = None
    ttl: Optional[timedelta] = None
    publish: Optional[str] = None
    stream: Optional[str] = None
    fence: bool = False
    repeat_after: Optional[timedelta] = None
    refill: Optional[str] = None
    targets: Sequence[str] = ("default",)
    state: str = "on"

    def track(self, prefix: str = "") -> Statement:
        """SELECT inval_track(…), with the options that are not the default; and its parameters, all of them text."""
        params = [self.relation]
        arguments = ["%s::regclass"]
        for option in fields(self)[1:]:
            value = getattr(self, option.name)
            if value == option.default:
                continue
            marker, text = _literal(value)
            arguments.append(f"{option.name} => {marker}")
            params.extend(text)
        return f"SELECT {prefix}inval_track({', '.join(arguments)})", params

    def untrack(self, prefix: str = "") -> Statement:
        """Removes this rule and no other: not one for the same key with another field or action."""
        if self.via is not None:
            # The query is kept in another spelling than it was given in; inval_track knows the rule that it means.
            track, params = self.track(prefix)
            return track.replace("SELECT ", f"SELECT {prefix}inval_untrack_rule(", 1) + ")", params
        params = [self.relation, self.key, self.action]
        if self.field is not None:
            params.append(self.field)
        field = "IS NULL" if self.field is None else "= %s"
        return (
            f"SELECT {prefix}inval_untrack_rule(id) FROM {prefix}inval_rule "
            f"WHERE relation = %s::regclass AND key = %s AND action = %s AND field {field} AND via IS NULL",
            params,
        )


def _literal(value: Union[str, bool, timedelta, Sequence[str], None]) -> Tuple[str, List[str]]:
    """How a value is written in SQL, and its parameters.

    Text only, and casts: sqlmigrate prints it, and each version of psycopg quotes it in the same way.
    """
    if value is None:
        return "NULL", []
    if isinstance(value, bool):
        return ("true" if value else "false"), []
    if isinstance(value, str):
        return "%s", [value]
    if isinstance(value, timedelta):
        return "%s::interval", [interval_text(value)]
    return "%s::text[]", [array_text(value)]


def interval_text(value: timedelta) -> str:
    """A timedelta as PostgreSQL reads it, exact to the microsecond."""
    seconds = value.days * 86400 + value.seconds
    if value.microseconds == 0:
        return f"{seconds} s"
    return f"{seconds * 1000000 + value.microseconds} us"


def array_text(values: Sequence[str]) -> str:
    """A list as PostgreSQL reads a text[]."""
    return "{%s}" % ",".join('"%s"' % value.replace("\\", "\\\\").replace('"', '\\"') for value in values)


def literal_key(text: str) -> str:
    """The template that gives this text: braces are doubled."""
    return text.replace("{", "{{").replace("}", "}}")


def relation_of(model: Any) -> str:
    """A model's table as an SQL identifier, as Django writes it in its own statements.

    It doubles no quotes, which is how projects name a table of another schema: db_table = 'schema"."table'.
    """
    table: str = model._meta.db_table
    if table.startswith('"') and table.endswith('"'):
        return table
    return f'"{table}"'
