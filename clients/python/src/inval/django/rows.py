"""Rows of a model as JSON: columns by name, values as text where JSON has no type for them; and back, exactly."""

import math
from typing import Any, Dict, List, Mapping, Sequence, Tuple


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


def encode(fields: Sequence[Any], instances: Sequence[Any]) -> Dict[str, Any]:
    """What is stored."""
    return {
        "fields": [field.attname for field in fields],
        "rows": [[_encode(field, instance) for field in fields] for instance in instances],
    }


def is_encoded(value: Any, fields: Sequence[Any]) -> bool:
    """Whether this is what encode() gives for these fields: another release may have stored others."""
    return isinstance(value, Mapping) and value.get("fields") == [field.attname for field in fields]


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


def normalize(field: Any, value: Any) -> Any:
    """A value of a field as the database would give it: "42" for an integer is 42, an instance is what it is known by.

    Raises ValidationError for what cannot be a value of the field.
    """
    while hasattr(value, "_meta") and field.is_relation:
        value = getattr(value, field.target_field.attname)
        field = field.target_field
    return _target(field).to_python(value)
