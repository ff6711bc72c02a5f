"""From the arguments of Track to a rule: models, fields and tables are looked up in the state of a migration."""

from typing import Any, Dict, List, Mapping, Optional, Tuple

from django.core.exceptions import FieldDoesNotExist, FieldError

from .names import resolve_columns, resolve_template, sources_of
from .rules import Rule, literal_key, relation_of

# Actions that leave nothing at the key that a reader could have a lease for
_NO_LEASES = ("version", "none")


def identity(options: Mapping[str, Any]) -> Tuple[Any, ...]:
    """What makes two Tracks one rule, as far as it can be told without the models.

    Raises ValueError, TypeError for arguments that do not go together.
    """
    key, columns = options["key"], options["columns"]
    if (key is None) == (columns is None):
        raise ValueError("give one of key and columns: key='book:{id}', or columns=['publisher']")
    if isinstance(options["changes"], str):
        raise TypeError(f"changes is a list of fields: [{options['changes']!r}]")
    if isinstance(options["targets"], str):
        raise TypeError(f"targets is a list of names: [{options['targets']!r}]")
    if options["field"] is not None and options["fence"]:
        raise ValueError("fence is not for fields of hashes: leases are for whole keys")
    names = None if columns is None else tuple(column_list(columns))
    return (options["model_name"].lower(), key, names, options["field"], options["action"], options["via"])


def column_list(columns: Any) -> List[str]:
    """"team, kind" and ["team", "kind"] are the same."""
    return [name.strip() for name in columns.split(",")] if isinstance(columns, str) else list(columns)


def resolve(apps: Any, app_label: str, options: Mapping[str, Any]) -> Tuple[Any, Rule]:
    """The model that is tracked, and the rule with its names in the database.

    apps  the models of a state of migrations, or django.apps.apps

    Raises LookupError if there is no such model, FieldError if there is no such field.
    """
    model = find_model(apps, app_label, options["model_name"])
    given: Dict[str, Any] = {name: options[name] for name in options if name not in ("model_name", "columns")}
    if options["key"] is None:
        names = [source_of(model, name) for name in column_list(options["columns"])]
        given["key"] = ":".join([literal_key(table_of(model)), *("{%s}" % name for name in names)])
    elif options["via"] is None:
        for name in ("key", "field", "publish", "stream"):
            if given[name] is not None:
                given[name] = resolve_template(given[name], model)
    if given["changes"] is not None:
        given["changes"] = tuple(resolve_columns(given["changes"], model))
    if given["fence"] is None:
        given["fence"] = given["field"] is None and given["action"] not in _NO_LEASES
    given["targets"] = tuple(given["targets"])
    return model, Rule(relation=relation_of(model), **given)


def source_of(model: Any, name: str) -> str:
    """A field as the source of a placeholder, with its column."""
    resolved = resolve_template("{%s}" % name, model)
    return sources_of(resolved)[0]


def table_of(model: Any) -> str:
    """The table's name without a schema, for db_table = 'schema"."table' as well."""
    return str(model._meta.db_table).rsplit('"."', 1)[-1].strip('"')


def find_model(apps: Any, app_label: str, name: str) -> Any:
    """The model that "book", "app.book", "book.tags" or "app.book.tags" means; of a field, the model behind it.

    The application's own model comes first.
    """
    parts = name.split(".")
    model = _model(apps, app_label, parts[0])
    rest = parts[1:]
    if model is None and len(parts) > 1:
        model, rest = _model(apps, parts[0], parts[1]), parts[2:]
    if model is None or len(rest) > 1:
        raise LookupError(
            f"there is no model {name!r} for the application {app_label!r}, at the moment of this migration; "
            "write 'model', 'app.model' (and depend on that application's migration) or 'model.field'"
        )
    return _through(model, rest[0]) if rest else model


def _model(apps: Any, app_label: str, name: str) -> Optional[Any]:
    try:
        return apps.get_model(app_label, name)
    except LookupError:
        return None


def _through(model: Any, name: str) -> Any:
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        raise FieldError(f"{model._meta.label} has no field {name!r}") from None
    if not field.many_to_many or field.auto_created:
        raise FieldError(f"{model._meta.label}.{name} is no many-to-many field: track the model itself")
    return field.remote_field.through
