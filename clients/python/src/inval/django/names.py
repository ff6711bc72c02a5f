"""Fields of models become columns: in key templates, and in lists of columns.

A migration writes down what Django calls things, the rule needs what the database calls them:

    {publisher}             {publisher_id}             a foreign key is its column
    {publisher__owner}      {publisher_id.owner_id}    a lookup is a path along foreign keys
    {title} of a child      {book_ptr_id.title}        so is a field that a parent has (multi-table inheritance)
    {publisher__id}         {publisher_id}             what the foreign key itself has needs no path

Names of columns can be written as well; one in double quotes is taken as it is.  {$variables}, {@table}, filters and
doubled braces stay as they are.
"""

import re
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple

from django.core.exceptions import FieldDoesNotExist, FieldError

# A doubled brace, or a placeholder, in which a quoted name may have braces
_PLACEHOLDER = re.compile(r'\{\{|\}\}|\{((?:"(?:[^"]|"")*"|[^{}"])*)\}')
_SOURCE = re.compile(r'((?:"(?:[^"]|"")*"|[^|"])*)(.*)', re.DOTALL)
_STEP = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')
# As src/key/template.c has it
_SPECIAL = re.compile(r'[{}|.\["]|^[@$]')

Step = Tuple[str, bool]  # a name, and whether it was quoted


def resolve_template(template: str, model: Any) -> str:
    """A template with fields of the model, as one with columns of its table.

    Raises FieldError for a name that the model does not have.
    """

    def one(source: str) -> str:
        body, brackets = (source[:-2], "[]") if source.endswith("[]") else (source, "")
        columns = _columns(model, _steps(body), template)
        return ".".join(quote_column(column) for column in columns) + brackets

    return map_sources(template, one)


def map_sources(template: str, change: Callable[[str], str]) -> str:
    """A template in which each source of a placeholder that names columns is changed by the function given."""

    def replace(match: "re.Match[str]") -> str:
        body = match.group(1)
        if body is None or body == "" or body[0] in "$@":
            return match.group(0)
        parts = _SOURCE.fullmatch(body)
        assert parts is not None
        return "{%s%s}" % (change(parts.group(1)), parts.group(2))

    return _PLACEHOLDER.sub(replace, template)


def shape_of(template: str) -> str:
    """A template of which only the literal text, the variables and the filters are left.

    Two templates can give the same keys only if they have the same shape, whatever they call what they are made of.
    """
    return map_sources(template, lambda source: "[]" if source.endswith("[]") else "")


def sources_of(template: str) -> List[str]:
    """The sources that name columns, in order."""
    found: List[str] = []

    def note(source: str) -> str:
        found.append(source)
        return source

    map_sources(template, note)
    return found


def resolve_columns(names: Iterable[str], model: Any) -> List[str]:
    """Columns of the model's own table, for fields of it.

    Raises FieldError for one that the model does not have, or that another table has.
    """
    columns = []
    for name in names:
        path = _columns(model, _steps(name), name)
        if len(path) != 1:
            raise FieldError(
                f"{name!r} is not a column of {model._meta.label}'s own table {model._meta.db_table!r}; "
                "an UPDATE changes the columns of one table: track the other one"
            )
        columns.extend(path)
    return columns


def quote_column(name: str) -> str:
    """A column as a placeholder has it: in double quotes if there is a special character in it."""
    if _SPECIAL.search(name):
        return '"%s"' % name.replace('"', '""')
    return name


def _steps(source: str) -> List[Step]:
    return [
        (match.group(1).replace('""', '"'), True) if match.group(1) is not None else (match.group(2), False)
        for match in _STEP.finditer(source)
    ]


def _columns(model: Any, steps: Sequence[Step], what: str) -> List[str]:
    """The path of columns that the steps, fields or columns, lead along from the model's table."""
    if not steps:
        return []
    if model is None:
        return [name for name, _ in steps]
    (name, quoted), rest = steps[0], list(steps[1:])
    field = _by_column(model, name) if quoted else _by_name(model, name)
    if field is None and not quoted and "__" in name:
        first, _, others = name.partition("__")
        return _columns(model, [(first, False), (others, False), *rest], what)
    if field is None and quoted:
        return [name, *_columns(None, rest, what)]
    if field is None:
        raise FieldError(f"{model._meta.label} has no field {name!r}, which {what!r} names; {_choices(model)}")
    if getattr(field, "column", None) is None:
        raise FieldError(
            f"{model._meta.label}.{name}, which {what!r} names, is not a column: "
            "track the table that has it (of a many-to-many field: model.field), or use via"
        )
    link = _link_to_parent(model, field)
    if link is not None:
        return _follow(link, [(field.column, True), *rest], what)
    if rest and field.is_relation:
        return _follow(field, rest, what)
    if rest:
        # The database may know a foreign key that Django does not.
        return [field.column, *_columns(None, rest, what)]
    return [field.column]


def _follow(relation: Any, rest: List[Step], what: str) -> List[str]:
    """Along a foreign key; unless what is wanted is what it holds itself."""
    path = _columns(relation.remote_field.model, rest, what)
    if path == [relation.target_field.column]:
        return [relation.column]
    return [relation.column, *path]


def _by_name(model: Any, name: str) -> Optional[Any]:
    if name == "pk":
        return model._meta.pk
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return _by_column(model, name)


def _by_column(model: Any, name: str) -> Optional[Any]:
    for field in model._meta.concrete_fields:
        if name in (field.column, field.attname):
            return field
    return None


def _link_to_parent(model: Any, field: Any) -> Optional[Any]:
    """The field that leads towards the table that has an inherited field; None if it is the model's own."""
    concrete = model._meta.concrete_model
    if field in concrete._meta.local_concrete_fields:
        return None
    return concrete._meta.get_ancestor_link(field.model._meta.concrete_model)


def _choices(model: Any) -> str:
    names = sorted(field.name for field in model._meta.concrete_fields)
    return "there are %s" % ", ".join(names)
