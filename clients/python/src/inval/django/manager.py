"""CacheManager: the rows of a model that have certain values, cached under one key.

    class Source(models.Model):
        team = models.ForeignKey(Team, on_delete=models.CASCADE)
        cached = CacheManager("{team}:{$git_sha}:source", ttl=300)

    Source.cached.rows(team=42)

What the key stands for is fixed: the rows with these values of its placeholders.  So readers cannot disagree about it,
and the rule for it is the same text: Track("source", key="{team}:{$git_sha}:source"); check E003 fails if it is missing.
"""

import re
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from django.apps import apps
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import FieldDoesNotExist

from .entries import Entry
from .names import resolve_template, sources_of
from .resolve import table_of
from .rows import decode, encode, field_list, is_encoded, normalize, text_of
from .rules import literal_key, relation_of

# Of a value only these leave all that tells it from others.
_INJECTIVE = re.compile(r"(\|(url|(md5|sha256)(:\d+)?))*")


class CacheManager:
    """Not a manager of Django's: Model.objects stays what it is.

    template  a key template of fields or lookups (publisher__owner), {$variables} and {@table}.  An abstract model's
              has {@table}: the models made of it would share keys
    ttl       seconds; None: that of the cache
    cache     alias of settings.CACHES, an InvalCache
    fields    names of the fields that are cached; default: all columns.  Instances have the others deferred.
    order_by  the order of the rows; default: the model's, else the primary key
    policy    other fields of inval.Policy, such as early or stale, in seconds

    Raises ValueError for a template in which different values can give one key.
    """

    def __init__(
        self,
        template: str,
        *,
        ttl: Optional[float] = None,
        cache: str = "default",
        fields: Sequence[str] = (),
        order_by: Sequence[str] = (),
        **policy: Any,
    ) -> None:
        self.template = template
        self.ttl = ttl
        self.cache = cache
        self.fields = tuple(fields)
        self.order_by = tuple(order_by)
        self.policy = policy
        self.name = ""
        self.owner: Any = None
        _check(template)

    def contribute_to_class(self, model: Any, name: str) -> None:
        """Called by Django where a class of models has it."""
        if model._meta.abstract and "{@table}" not in self.template:
            raise ValueError(f"{model.__name__}.{name}: the models made of it would share keys; put {{@table}} into {self.template!r}")
        self.name = name
        self.owner = model
        setattr(model, name, self)

    def __get__(self, instance: Any, model: Any) -> "CachedRows":
        if instance is not None:
            raise AttributeError(f"{self.name} is of the class {model.__name__}, not of its instances")
        if model._meta.abstract:
            raise AttributeError(f"{model.__name__} is abstract: it has no rows")
        if not self.is_of(model):
            raise AttributeError(
                f"{self.owner.__name__}.{self.name} has the rows of {self.owner.__name__}; give {model.__name__} one of its own"
            )
        return CachedRows(self, model)

    def is_of(self, model: Any) -> bool:
        """Whether it has that model's rows: a child by multi-table inheritance has others than its parent."""
        return bool(self.owner._meta.abstract or model._meta.concrete_model is self.owner._meta.concrete_model)


class CachedRows:
    """Model.cached: the cached rows of one model."""

    def __init__(self, manager: CacheManager, model: Any, columns: Tuple[str, ...] = ()) -> None:
        self.manager = manager
        self.model = model
        self._columns = columns

    def rows(self, **values: Any) -> List[Any]:
        """The rows with these values: instances, or dicts after values().

        Values are given for each placeholder of the key, by its name.  A list of one's own for each call.
        """
        values = self._checked(values)
        fields = self._fields()
        of = list(self._texts(values).values())
        load = self.loader(**values)
        found = self.cache().fetch(self._key(values), load, self._timeout(), **self.manager.policy).value
        if not is_encoded(found, fields, of):
            found = self.refresh(**values)  # a release with other columns has stored it, or it is of other values
        if not is_encoded(found, fields, of):
            found = load()  # and another process is about to replace it
        return self._made(decode(found, fields), fields)

    def get(self, **values: Any) -> Any:
        """The one row with these values.

        Raises the model's DoesNotExist or MultipleObjectsReturned.
        """
        rows = self.rows(**values)
        if not rows:
            raise self.model.DoesNotExist(f"{self.model._meta.object_name} matching query does not exist.")
        if len(rows) > 1:
            raise self.model.MultipleObjectsReturned(f"there are {len(rows)} rows, not one, for {values!r}")
        return rows[0]

    def values(self, *names: str) -> "CachedRows":
        """The same rows, as dicts of these fields; the key and what is stored are the same."""
        known = {name: field.attname for field in self._fields() for name in (field.name, field.attname)}
        for name in names:
            if name not in known:
                raise FieldDoesNotExist(f"{self.manager.name} does not cache {name!r}; it has {', '.join(sorted(known))}")
        return CachedRows(self.manager, self.model, tuple(names) or tuple(field.attname for field in self._fields()))

    def key(self, **values: Any) -> str:
        """The key for these values, as it is in Redis."""
        return str(self.cache().make_key(self._key(self._checked(values))))

    def refresh(self, **values: Any) -> Any:
        """Loads and stores anew, although there may be a value; what was stored."""
        values = self._checked(values)
        return self.cache().refresh(self._key(values), self.loader(**values), self._timeout(), **self.manager.policy)

    def loader(self, **values: Any) -> Callable[[], Dict[str, Any]]:
        """The function that asks the database."""
        fields = self._fields()
        of = list(self._texts(self._checked(values)).values())

        def load() -> Dict[str, Any]:
            rows = self.model._base_manager.filter(**values).only(*(field.attname for field in fields))
            order = self.manager.order_by or self.model._meta.ordering or ("pk",)
            return encode(fields, of, list(rows.order_by(*order)))

        return load

    def existing(self) -> List[Dict[str, Any]]:
        """All values that rows of the table have now, for warming and verifying."""
        names = self._names()
        found = self.model._base_manager.order_by(*names).values_list(*names).distinct()
        return [dict(zip(names, row)) for row in found if None not in row]

    def _timeout(self) -> Any:
        return DEFAULT_TIMEOUT if self.manager.ttl is None else self.manager.ttl

    def cache(self) -> Any:
        """The InvalCache."""
        return caches[self.manager.cache]

    def _fields(self) -> Tuple[Any, ...]:
        return field_list(self.model, self.manager.fields)

    def _names(self) -> List[str]:
        return list(dict.fromkeys(sources_of(self.manager.template)))

    def _checked(self, values: Dict[str, Any]) -> Dict[str, Any]:
        names = self._names()
        if set(values) != set(names):
            raise TypeError(f"{self.manager.name} takes the values {', '.join(names)}, not {', '.join(values) or 'none'}")
        return {name: self._normal(name, value) for name, value in values.items()}

    def _field(self, name: str) -> Any:
        field, model = None, self.model
        for step in name.split("__"):
            field = model._meta.pk if step == "pk" else model._meta.get_field(step)
            model = getattr(field.remote_field, "model", None)
        return field

    def _texts(self, values: Dict[str, Any]) -> Dict[str, str]:
        return {name: text_of(self._field(name), value) for name, value in values.items()}

    def _normal(self, name: str, value: Any) -> Any:
        value = normalize(self._field(name), value)
        if value is None:
            raise ValueError(f"{name} is None: rows without a value feed no key")
        return value

    def _key(self, values: Dict[str, Any]) -> str:
        template = self.manager.template.replace("{@table}", literal_key(table_of(self.model)))
        return str(self.cache().inval.key(template, **self._texts(values)))

    def _made(self, rows: List[List[Any]], fields: Tuple[Any, ...]) -> List[Any]:
        names = [field.attname for field in fields]
        if self._columns:
            by_name = {name: number for number, field in enumerate(fields) for name in (field.name, field.attname)}
            return [{name: row[by_name[name]] for name in self._columns} for row in rows]
        alias = self.cache().databases[0]
        return [self.model.from_db(alias, names, row) for row in rows]


def manager_entries() -> List[Entry]:
    """An entry for each CacheManager of a model that has a table."""
    found = []
    for model in apps.get_models():
        for base in model.__mro__:
            for name, manager in vars(base).items():
                if isinstance(manager, CacheManager) and not model._meta.proxy and manager.is_of(model):
                    found.append(_entry(model, name, manager))
    return found


def _entry(model: Any, name: str, manager: CacheManager) -> Entry:
    parents = model._meta.get_parent_list()
    return Entry(
        name=f"{model._meta.label}.{name}",
        template=manager.template,
        tables=tuple(dict.fromkeys(relation_of(one) for one in (model, *parents))),
        strict=bool(manager.policy.get("strict")),
        exact=resolve_template(manager.template, model),
        source=CachedRows(manager, model),
    )


def _check(template: str) -> None:
    for placeholder in re.findall(r"\{([^{}]*)\}", template.replace("{{", "").replace("}}", "")):
        source, bar, filters = placeholder.partition("|")
        if source[:1] == "$":
            continue
        if placeholder == "@table":
            continue
        if not source.isidentifier():
            raise ValueError(f"{template!r}: {source!r} is no field or lookup, such as publisher__owner")
        if not _INJECTIVE.fullmatch(bar + filters):
            raise ValueError(
                f"{template!r}: {{{placeholder}}} can be the same for different values, and the rows of the key would not "
                "be known by it; use {x}, |url, |md5 or |sha256"
            )


__all__ = ["CacheManager", "CachedRows", "manager_entries"]
