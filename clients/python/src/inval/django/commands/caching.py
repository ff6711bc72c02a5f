"""warm, verify: what the entries of this project have cached, and what they should have."""

import inspect
import random
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Tuple
from uuid import UUID

from django.core.exceptions import ValidationError

from ..database import query
from ..entries import Entry, all_entries
from ..glue import library_problem
from ..manager import CachedRows
from .report import Failed, Report


class Value(NamedTuple):
    """One key of an entry: how its value is cached, loaded and stored anew."""

    key: str
    cached: Callable[[], Any]  # MISSING if there is none
    load: Callable[[], Any]
    fill: Callable[[], Any]
    refresh: Callable[[], Any]


MISSING = object()
# Types of arguments that a text gives; not bool, of which every text but '' is True.
_ARGUMENTS = (int, float, UUID)


def warm(connection: Any, options: Any) -> Report:
    _check_answers(options)
    values = _limited(_values(options), options["limit"])
    count = 0
    for value in values:
        value.fill()
        count += 1
    return Report([{"entry": options["entry"], "warmed": count}])


def verify(connection: Any, options: Any) -> Report:
    """What is not the same twice is wrong: between two looks the value, or the row, may have changed."""
    _check_answers(options)
    chosen = _sample(_values(options), options["sample"])
    rows: List[Dict[str, Any]] = []
    for value in chosen:
        if not _is_wrong(value):
            continue
        query(connection, "SELECT 1 AS one")  # a round trip, in which a commit under way ends
        if not _is_wrong(value):
            continue
        fixed = False
        if options["fix"]:
            value.refresh()
            fixed = not _is_wrong(value)
        rows.append({"key": value.key, "fixed": fixed})
    left = sum(not row["fixed"] for row in rows)
    summary = f"{len(chosen)} looked at, {len(rows)} wrong"
    return Report(rows, summary=summary, problem=f"{left} values are not what the database says" if left else None)


def _is_wrong(value: Value) -> bool:
    """Whether the cache has had one value all the while, and it was not the database's."""
    cached = value.cached()
    if cached is MISSING:
        return False
    loaded = value.load()
    return bool(cached != loaded and cached == value.cached())


def _check_answers(options: Any) -> None:
    """A Redis that does not answer has nothing that is wrong, and takes nothing."""
    source = _find(options["entry"]).source
    cache = source.cache().inval if isinstance(source, CachedRows) else source.cache
    problem = library_problem(cache)
    if problem is not None:
        raise Failed(problem)


def _find(name: str) -> Entry:
    entries = all_entries()
    found = [entry for entry in entries if name in (entry.name, entry.name.rsplit(".", 1)[-1])]
    if len(found) != 1:
        what = "no" if not found else "more than one"
        raise Failed(f"there is {what} entry {name!r}; there are {', '.join(entry.name for entry in entries) or 'none'}")
    return found[0]


def _values(options: Any) -> Iterator[Value]:
    entry = _find(options["entry"])
    if isinstance(entry.source, CachedRows):
        return _of_manager(entry.source, options["values"])
    return _of_function(entry, options["values"])


def _of_manager(rows: CachedRows, given: Iterable[str]) -> Iterator[Value]:
    """All values that there are rows for, or those given as name=value,name=value."""
    try:
        chosen = [_named(text) for text in given] or rows.existing()
        for values in chosen:
            yield _value_of_rows(rows, values)
    except (ValidationError, TypeError) as error:
        raise Failed(str(error)) from None


def _value_of_rows(rows: CachedRows, values: Dict[str, Any]) -> Value:
    cache = rows.cache()
    key = rows.key(**values)
    return Value(
        key,
        lambda: cache.inval.get(key, MISSING),
        rows.loader(**values),
        lambda: rows.rows(**values),
        lambda: rows.refresh(**values),
    )


def _of_function(entry: Entry, given: Iterable[str]) -> Iterator[Value]:
    """For a decorated function the arguments of each call are given: 7, or 7,en."""
    calls = list(given)
    if not calls:
        raise Failed(f"say for which arguments: manage.py inval … {entry.name} 7 8 (or 7,en for two arguments)")
    function = entry.source
    for text in calls:
        arguments = _arguments(function, text)
        yield Value(
            function.key(*arguments),
            lambda arguments=arguments: function.cache.get(function.key(*arguments), MISSING),  # type: ignore[misc]
            lambda arguments=arguments: function.load(*arguments),  # type: ignore[misc]
            lambda arguments=arguments: function(*arguments),  # type: ignore[misc]
            lambda arguments=arguments: function.refresh(*arguments),  # type: ignore[misc]
        )


def _arguments(function: Any, text: str) -> Tuple[Any, ...]:
    parts = text.split(",")
    parameters = list(inspect.signature(function.load).parameters.values())
    if len(parts) > len(parameters):
        raise Failed(f"{text!r} has {len(parts)} arguments, the entry takes {len(parameters)}")
    return tuple(_argument(part, parameter.annotation) for part, parameter in zip(parts, parameters))


def _argument(text: str, annotation: Any) -> Any:
    """By the function's annotation; else what looks like a whole number is one."""
    if annotation in (str, "str"):
        return text
    named = {kind.__name__: kind for kind in _ARGUMENTS}
    kind = annotation if annotation in _ARGUMENTS else named.get(str(annotation))
    if kind is not None:
        try:
            return kind(text)
        except ValueError:
            raise Failed(f"{text!r} is no {kind.__name__}") from None
    return int(text) if text.lstrip("-").isdigit() else text


def _named(text: str) -> Dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise Failed(f"{text!r} is not name=value,name=value")
    return {name: value for name, _, value in pairs}


def _limited(values: Iterable[Value], limit: int) -> Iterator[Value]:
    for number, value in enumerate(values):
        if number == limit:
            return
        yield value


def _sample(values: Iterable[Value], size: int) -> List[Value]:
    """Any of them with the same chance, whatever their number (reservoir sampling)."""
    chosen: List[Value] = []
    for number, value in enumerate(values):
        if len(chosen) < size:
            chosen.append(value)
        elif (place := random.randrange(number + 1)) < size:
            chosen[place] = value
    return chosen


def _entry_arguments(parser: Any) -> None:
    parser.add_argument("entry", help="its name: app.Model.cached, or that of the decorated function")
    parser.add_argument("values", nargs="*", help="for these arguments: 7, or 7,en; of a CacheManager team=7 (default: all)")


def _warm_arguments(parser: Any) -> None:
    _entry_arguments(parser)
    parser.add_argument("--limit", type=int, default=100000, help="keys to fill at most (default 100000)")


def _verify_arguments(parser: Any) -> None:
    _entry_arguments(parser)
    parser.add_argument("--sample", type=int, default=100, help="keys to look at (default 100)")
    parser.add_argument("--fix", action="store_true", help="store anew what is wrong")


SUBCOMMANDS = {
    "warm": (warm, "Fills the cache of an entry where it is empty.", _warm_arguments),
    "verify": (verify, "Compares what an entry has cached with the database; exit status 1 if it differs.", _verify_arguments),
}
