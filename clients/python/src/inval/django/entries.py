"""What this process reads by entries, and whether a rule invalidates it."""

import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Tuple

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper

from .database import query, quote_name
from .glue import decorated_entries
from .names import shape_of

_PART = r'("([^"]|"")+"|[^\W\d][\w$]*)'
_NAME = re.compile(rf"{_PART}(\.{_PART})?")
# Actions that remove a value, or end its life
_REMOVING = ("delete", "expire", "prefix")


@dataclass(frozen=True)
class Entry:
    """An entry: of the decorator @cache.entry, or a CacheManager of a model.

    tables  what its value is made of: names of tables, quoted as SQL wants them, or models as "app.Model"
    exact   the key of the rule for the first of the tables, if it is known and not only its shape
    """

    name: str
    template: str
    tables: Tuple[str, ...]
    strict: bool = False
    exact: Optional[str] = None
    source: Any = None


@dataclass(frozen=True)
class Problem:
    entry: Entry
    table: str
    text: str
    hint: str


def all_entries() -> List[Entry]:
    """Every entry that has been imported, by name."""
    from .manager import manager_entries

    return sorted([*_decorated(), *manager_entries()], key=lambda entry: entry.name)


def _decorated() -> Iterable[Entry]:
    for entry in decorated_entries():
        yield Entry(
            name=entry.name if entry.name != entry.template else f"{entry.__module__}.{entry.__qualname__}",
            template=entry.template,
            tables=tuple(entry.tables),
            strict=entry.policy.strict,
            source=entry,
        )


def problems(connection: BaseDatabaseWrapper, entries: Iterable[Entry]) -> List[Problem]:
    """The tables of entries that no rule tracks as their readers need it.

    Raises LookupError if the database does not have the extension.
    """
    rules: Dict[int, List[Dict[str, Any]]] = {}
    for rule in query(
        connection,
        "SELECT relation::oid AS relation, key, field, action, delivery, via, fence, refill, state, broken FROM {inval}inval_rule",
    ):
        rules.setdefault(rule["relation"], []).append(rule)
    found = []
    for entry in entries:
        for number, table in enumerate(entry.tables):
            oid = _find_table(connection, table)
            if oid is None:
                found.append(Problem(entry, table, f"there is no table {table}", "Name tables as in the database, or 'app.Model'."))
                continue
            exact = entry.exact if number == 0 else None
            text = _problem(entry, exact, rules.get(oid, []))
            if text is not None:
                found.append(Problem(entry, table, text, _hint(entry, exact)))
    return found


def _problem(entry: Entry, exact: Optional[str], rules: List[Dict[str, Any]]) -> Optional[str]:
    feeding = [rule for rule in rules if _feeds(entry, exact, rule)]
    if not feeding:
        return f"no rule for keys like {entry.template}"
    faults = [_fault(entry, rule) for rule in feeding]
    return None if None in faults else faults[0]


def _fault(entry: Entry, rule: Dict[str, Any]) -> Optional[str]:
    if rule["state"] != "on":
        return f"the rule for {rule['key']} is {rule['state']}"
    if rule["broken"] is not None:
        return f"the rule for {rule['key']} is broken: {rule['broken']}"
    if entry.strict and rule["delivery"] != "strict":
        return f"the rule for {rule['key']} is not strict, the entry is"
    if not (rule["fence"] or rule["delivery"] == "strict" or rule["refill"] is not None):
        return f"the rule for {rule['key']} has no fence: a reader can write an old value back"
    return None


def _feeds(entry: Entry, exact: Optional[str], rule: Dict[str, Any]) -> bool:
    if rule["field"] is not None or rule["action"] not in _REMOVING:
        return False
    if exact is not None and rule["via"] is None and rule["action"] != "prefix":
        return bool(rule["key"] == exact)
    wanted, shape = shape_of(entry.template), shape_of(rule["key"])
    return wanted.startswith(shape) if rule["action"] == "prefix" else wanted == shape


def _hint(entry: Entry, exact: Optional[str]) -> str:
    options = ", delivery='strict'" if entry.strict else ""
    key = exact if exact is not None else entry.template
    return f"In a migration: Track(model, key={key!r}{options}), with the placeholders named as the model's fields."


def _find_table(connection: BaseDatabaseWrapper, table: str) -> Optional[int]:
    """The oid of a table by its name, quoted or not, or by its model."""
    names = [table, quote_name(table)]
    if "." in table and '"' not in table:
        try:
            names.insert(0, quote_name(apps.get_model(table)._meta.db_table))
        except (LookupError, ValueError):
            pass
    with connection.cursor() as cursor:
        for name in names:
            if not _NAME.fullmatch(name):
                continue  # to_regclass would raise, and end the transaction
            cursor.execute("SELECT to_regclass(%s)::oid", [name])
            oid = cursor.fetchone()[0]
            if oid is not None:
                return int(oid)
    return None
