"""What settings.INVAL says, checked when it is read."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Conf:
    """settings.INVAL: a dict with any of these, in capitals.

    coverage   columns; each table that has one, or leads to one, should be tracked (check E002)
    exempt     names of tables that need not be, with * for any characters
    vars       name -> value: what {$name} stands for in the keys that this process reads
    databases  aliases of the databases that have the extension; default: those that the caches load from
    optional   True: operations of migrations do nothing where the server does not have the extension
    test       {"FIRST_DB": n}: the first of the Redis databases that InvalTestRunner may empty
    """

    coverage: Tuple[str, ...] = ()
    exempt: Tuple[str, ...] = ()
    vars: Mapping[str, str] = field(default_factory=dict)
    databases: Optional[Tuple[str, ...]] = None
    optional: bool = False
    test: Mapping[str, Any] = field(default_factory=dict)


def conf() -> Conf:
    """settings.INVAL.

    Raises ImproperlyConfigured for what it cannot have.
    """
    given = getattr(settings, "INVAL", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"INVAL must be a dict, not {given!r}")
    values: Dict[str, Any] = {}
    for name, value in given.items():
        if name not in ("COVERAGE", "EXEMPT", "VARS", "DATABASES", "OPTIONAL", "TEST"):
            raise ImproperlyConfigured(
                f"INVAL has no option {name!r}; there are COVERAGE, EXEMPT, VARS, DATABASES, OPTIONAL and TEST"
            )
        if name in ("COVERAGE", "EXEMPT", "DATABASES"):
            value = _names(name, value)
        if name in ("VARS", "TEST") and not isinstance(value, Mapping):
            raise ImproperlyConfigured(f"INVAL[{name!r}] must be a dict, not {value!r}")
        if name == "VARS":
            value = {variable: _text(variable, one) for variable, one in value.items()}
        values[name.lower()] = value
    return Conf(**values)


def _names(name: str, value: Any) -> Tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ImproperlyConfigured(f"INVAL[{name!r}] must be a list of names, not {value!r}")
    return tuple(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ImproperlyConfigured(f"INVAL['VARS'][{name!r}] must be a str, not {value!r}: the one that this process uses")
    return value


def inval_caches() -> List[str]:
    """Aliases of settings.CACHES that are an InvalCache, or a class made of it that has a Redis."""
    from django.utils.module_loading import import_string

    from .backend import InvalCache

    aliases = []
    for alias, options in settings.CACHES.items():
        try:
            backend = import_string(options["BACKEND"])
        except (ImportError, KeyError):
            continue  # Django itself says so, when it is used
        if isinstance(backend, type) and issubclass(backend, InvalCache) and not backend.is_null:
            aliases.append(alias)
    return aliases


def load_databases(cache: str) -> Tuple[str, ...]:
    """Aliases of the databases from which a cache's values are loaded: its option DATABASE."""
    given = settings.CACHES[cache].get("OPTIONS", {}).get("DATABASE", "default")
    return (given,) if isinstance(given, str) else tuple(given)


def inval_databases() -> List[str]:
    """Aliases of the PostgreSQL databases that (should) have the extension, without mirrors of others."""
    from django.db import connections

    aliases = conf().databases
    if aliases is None:
        aliases = tuple(dict.fromkeys(alias for cache in inval_caches() for alias in load_databases(cache)))
        aliases = tuple(alias for alias in aliases if alias in settings.DATABASES) or ("default",)
        aliases = tuple(dict.fromkeys(primary_of(alias) for alias in aliases))
    return [alias for alias in aliases if connections[alias].vendor == "postgresql"]


def primary_of(alias: str) -> str:
    """The alias that DATABASES[alias]["TEST"]["MIRROR"] names, or the alias itself."""
    mirror = settings.DATABASES[alias].get("TEST", {}).get("MIRROR")
    return str(mirror) if mirror in settings.DATABASES else alias
