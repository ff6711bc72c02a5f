"""Functions whose values are cached: @cache.entry("user:{user_id}:profile")."""
from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Type, cast

from .errors import TemplateError
from .policy import Policy, Result
from .template import parse


class EntryDecorator:
    def __init__(self, cache: Any, kind: "Type[BaseEntry]", template: str, tables: Iterable[str],
                 name: str, policy: Optional[Policy], fields: Mapping[str, Any]) -> None:
        if isinstance(tables, str):
            raise TypeError("tables is a list of names of tables, not a str")
        self._make = functools.partial(kind, cache, template, tuple(tables), name,
                                       (policy or cache.policy).but(dict(fields)))

    def __call__(self, function: Callable[..., Any]) -> Any:
        return self._make(function)


class BaseEntry:
    """A function with a key template.

    template  its text;  name  in metrics and logs, by default the template
    tables    those that feed it, as they are called in the database: who checks coverage
              asks whether a rule with this template tracks each of them
    """

    def __init__(self, cache: Any, template: str, tables: "tuple[str, ...]", name: str,
                 policy: Policy, function: Callable[..., Any]) -> None:
        self.cache = cache
        self.template = template
        self.tables = tables
        self.name = name or template
        self.policy = policy
        self.load = function
        self._load_many: Optional[Callable[[List[Any]], Any]] = None
        self._parsed = parse(template)
        self._signature = inspect.signature(function)
        self._given = self._check_parameters()
        functools.update_wrapper(cast(Any, self), function, updated=())
        cache.entries.append(self)

    def _check_parameters(self) -> List[str]:
        given = self._parsed.names()
        parameters = self._signature.parameters
        where = f"the entry {self.template!r} of {getattr(self.load, '__qualname__', 'a function')}"
        for name in given:
            if name not in parameters:
                raise TemplateError(f"{where}: the placeholder {name!r} is no parameter of the "
                                    f"function, which has {', '.join(parameters) or 'none'}")
        for name, parameter in parameters.items():
            if name not in given:
                raise TemplateError(f"{where}: the parameter {name!r} is no placeholder, so values "
                                    "for different arguments would share a key")
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TemplateError(f"{where}: *{name} cannot be part of a key")
        return given

    def _bind(self, args: Any, kwargs: Any) -> "tuple[str, Callable[[], Any]]":
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        key = self.cache._check_key(self._parsed.render(bound.arguments, self.cache.vars))
        return key, functools.partial(self.load, *bound.args, **bound.kwargs)

    def key(self, *args: Any, **kwargs: Any) -> str:
        """The key of these arguments."""
        return self._bind(args, kwargs)[0]

    def batch(self, function: Callable[[List[Any]], Any]) -> Callable[[List[Any]], Any]:
        """A decorator for the function that loads many at once: it is given a list of what
        the one parameter is given, or of tuples, and gives a dict by these."""
        self._load_many = function
        return function

    def _keys_of(self, many: Iterable[Any]) -> Dict[str, Any]:
        """The arguments by key."""
        if self._load_many is None:
            raise TypeError(f"the entry {self.template!r} has no function that loads many: write "
                            f"one, with @{getattr(self.load, '__name__', 'it')}.batch above")
        if len(self._given) == 1:
            return {self.key(one): one for one in many}
        return {self.key(*one): tuple(one) for one in many}


class Entry(BaseEntry):
    """Called as the function, it gives the cached value. load() is the function itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key, load = self._bind(args, kwargs)
        return self.cache._fetch(key, load, self.policy, {}, entry=self.name).value

    def fetch(self, *args: Any, **kwargs: Any) -> Result:
        """With where the value came from, and its etag."""
        key, load = self._bind(args, kwargs)
        result: Result = self.cache._with_data(
            self.cache._fetch(key, load, self.policy, {}, entry=self.name))
        return result

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Loads although there is a value."""
        key, load = self._bind(args, kwargs)
        return self.cache._fetch(key, load, self.policy, {}, entry=self.name, refresh=True).value

    def many(self, many: Iterable[Any]) -> Dict[Any, Any]:
        """The values by argument; of several parameters by tuple."""
        arguments = self._keys_of(many)

        def load_many(keys: List[str]) -> Dict[str, Any]:
            assert self._load_many is not None
            loaded = self._load_many([arguments[key] for key in keys])
            return {key: loaded.get(arguments[key]) for key in keys}

        values = self.cache._fetch_many(arguments, load_many, self.policy, {}, entry=self.name)
        return {arguments[key]: value for key, value in values.items()}
