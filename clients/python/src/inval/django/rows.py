"""Rows of a model as JSON: columns by name, values as text where JSON has no type for them; and back, exactly."""

import math
from datetime import datetime
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from inval import TemplateError
from inval.keytext import float_text, value_text


def field_list(model: Any, names: Sequence[str] = ()) -> Tuple[Any, ...]:
    """The fields that are cached: those named, with the primary key, or all that are columns.

    Raises FieldDoesNotExist for a name that the model does not have, ValueError for one that is no column.
    """
    if not names:
        return tuple(model._meta.concrete_fields)
    chosen = {model._meta.pk.attname: model._meta.pk}
    for name in names:
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
        if getattr(field, "column", None) is None:
            raise ValueError(f"{model._meta.label}.{name} is not a column, so it cannot be cached with its row")
        chosen[field.attname] = field
    return tuple(field for field in model._meta.concrete_fields if field.attname in chosen)


def encode(fields: Sequence[Any], of: Sequence[str], instances: Sequence[Any]) -> Dict[str, Any]:
    """What is stored.  of: the texts of the values that the rows were asked by."""
    return {
        "fields": [field.attname for field in fields],
        "of": list(of),
        "rows": [[_encode(field, instance) for field in fields] for instance in instances],
    }


def is_encoded(value: Any, fields: Sequence[Any], of: Sequence[str]) -> bool:
    """Whether this is what encode() gives for these fields and values.

    Another release may have stored other fields; and other values can have the same key, as "a:b" and "c" have that of
    "a" and "b:c" in {x}:{y}.
    """
    if not isinstance(value, Mapping):
        return False
    return value.get("fields") == [field.attname for field in fields] and value.get("of") == list(of)


def decode(value: Mapping[str, Any], fields: Sequence[Any]) -> List[List[Any]]:
    """The rows' values, as Django has them, in the order of the fields."""
    return [[_decode(field, one) for field, one in zip(fields, row)] for row in value["rows"]]


def _encode(field: Any, instance: Any) -> Any:
    value = field.value_from_object(instance)
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    return field.value_to_string(instance)


def _decode(field: Any, value: Any) -> Any:
    return None if value is None else _target(field).to_python(value)


def _target(field: Any) -> Any:
    """A foreign key's values are those of what it points to, over as many steps as it takes."""
    while field.remote_field is not None and field.is_relation:
        field = field.target_field
    return field


def text_of(field: Any, value: Any) -> str:
    """A value, as the database writes it in a key.

    Raises TemplateError for one of which that is not known.
    """
    target = _target(field)
    if isinstance(value, datetime) and value.tzinfo is None:
        # Columns have a time zone whatever USE_TZ says.
        value = timezone.make_aware(value, timezone.get_default_timezone())
    if isinstance(value, float):
        return float_text(value)  # of a column of type double precision
    if (target.db_type(connections[DEFAULT_DB_ALIAS]) or "").startswith("citext"):
        raise TemplateError(f"{field.name} is of type citext: which of the equal values a row has is not known here")
    return value_text(value, field.name)


def normalize(field: Any, value: Any) -> Any:
    """A value of a field as the database would give it: "42" for an integer is 42, an instance is what it is known by.

    Raises ValidationError for what cannot be a value of the field.
    """
    while hasattr(value, "_meta") and field.is_relation:
        value = getattr(value, field.target_field.attname)
        field = field.target_field
    return _target(field).to_python(value)
