"""Rules as operations of a migration: for a project that has made them by hand."""

from datetime import timedelta
from typing import Any, Dict, List, Optional

from django.apps import apps

from ..database import query
from ..names import map_sources
from ..rules import Rule, relation_of

_OPTIONS = (
    "key", "field", "action", "delivery", "changes", "via", "ttl", "publish", "stream", "fence", "repeat_after", "refill",
    "targets", "state",
)
_DEFAULTS: Dict[str, Any] = {
    "action": "delete", "delivery": "commit", "targets": ["default"], "state": "on",
}


def as_migration(connection: Any) -> str:
    """Source text: an operation for each rule; models that have the tables, else inval_track in RunSQL."""
    rules = query(
        connection,
        """
        SELECT relation::text AS name, relation::oid AS relation, key, field, action, delivery, changes, via, ttl, publish,
            stream, fence, repeat_after, refill, targets, state
        FROM {inval}inval_rule ORDER BY relation::text, key, id
        """,
    )
    models = _models(connection)
    lines = [_operation(rule, models.get(rule["relation"])) for rule in rules]
    imports = ["from inval.django import Track"] if any(line.startswith("Track") for line in lines) else []
    if any("timedelta" in line for line in lines):
        imports.insert(0, "from datetime import timedelta")
    if any(line.startswith("migrations") for line in lines):
        imports.append("from django.db import migrations")
    body = "".join(f"    {line},\n" for line in lines)
    return "\n".join([*imports, "", f"operations = [\n{body}]"])


def _models(connection: Any) -> Dict[int, Any]:
    """oid of a table -> its model; of many-to-many fields too."""
    found: Dict[int, Any] = {}
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            if model._meta.proxy:
                continue
            cursor.execute("SELECT to_regclass(%s)::oid", [relation_of(model)])
            oid = cursor.fetchone()[0]
            if oid is not None:
                found[oid] = model
    return found


def _operation(rule: Dict[str, Any], model: Optional[Any]) -> str:
    if model is None:
        made = Rule(relation=rule["name"], **{option: rule[option] for option in _OPTIONS})
        # No model has this table.
        return f"migrations.RunSQL([{made.track()!r}], [{made.untrack()!r}])"
    arguments: List[str] = [repr(_name(model))]
    for option in _OPTIONS:
        value = rule[option]
        if option == "fence":
            # What Track would choose by itself is not said.
            usual = rule["field"] is None and rule["action"] not in ("version", "none")
            if bool(value) != usual and not (usual and (rule["delivery"] == "strict" or rule["refill"] is not None)):
                arguments.append(f"fence={bool(value)!r}")
            continue
        if value is None or value == _DEFAULTS.get(option):
            continue
        if option in ("key", "field", "publish", "stream") and rule["via"] is None:
            value = map_sources(value, lambda source: _fields(model, source))
        elif option == "changes":
            value = [_fields(model, column) for column in value]
        arguments.append(f"{option}={_literal(value)}")
    return f"Track({', '.join(arguments)})"


def _name(model: Any) -> str:
    if not model._meta.auto_created:
        return str(model._meta.label_lower)
    owner = model._meta.auto_created
    for field in owner._meta.local_many_to_many:
        if field.remote_field.through is model:
            return f"{owner._meta.label_lower}.{field.name}"
    return str(model._meta.label_lower)


def _fields(model: Any, source: str) -> str:
    """A single column as its field; a path stays as it is, for Track knows columns too."""
    for field in model._meta.local_concrete_fields:
        if field.column == source:
            return str(field.name)
    return source


def _literal(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"timedelta(seconds={value.total_seconds():g})"
    return repr(value)
