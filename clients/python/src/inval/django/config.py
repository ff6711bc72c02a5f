"""The options of a cache, checked and made into what the core takes."""

from dataclasses import dataclass, fields
from typing import Any, Dict, Mapping, Optional, Tuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from inval import Policy
from inval.policy import MOST

# Django's timeout None: for ever.  A lease stores with an end, however far.
NEVER = MOST
LEAST = 0.001  # seconds that a value of a lease lives
_POLICY = {one.name.upper(): one.name for one in fields(Policy) if one.name not in ("ttl", "local")}
_OTHERS = {
    "SERIALIZER", "ON_ERROR", "FUNCTIONS", "DATABASE", "CONNECT_TIMEOUT", "READ_TIMEOUT", "MAX_LOADS", "OBSERVER", "CLEAR",
}


@dataclass(frozen=True)
class CacheConfig:
    """What one alias of settings.CACHES says."""

    name: str
    location: str
    policy: Policy
    databases: Tuple[str, ...]
    serializer: Any
    on_error: str
    functions: str
    connect_timeout: float
    read_timeout: float
    max_loads: Optional[int]
    observer: Any
    clear: str

    @classmethod
    def of(cls, location: Any, options: Mapping[str, Any], timeout: Optional[float]) -> "CacheConfig":
        """Raises ImproperlyConfigured, saying what there is instead."""
        if not isinstance(location, str) or "://" not in location:
            raise ImproperlyConfigured(f"LOCATION of an InvalCache is a URL, such as redis://127.0.0.1:6379/0, not {location!r}")
        for name in options:
            if name not in _POLICY and name not in _OTHERS:
                raise ImproperlyConfigured(
                    f"InvalCache has no option {name!r}; there are {', '.join(sorted({*_POLICY, *_OTHERS}))}"
                )
        database = options.get("DATABASE", "default")
        clear = options.get("CLEAR", "prefix")
        if clear not in ("prefix", "flushdb"):
            raise ImproperlyConfigured(f'OPTIONS["CLEAR"] is "prefix" or "flushdb", not {clear!r}')
        return cls(
            name=_alias(location, options),
            location=location,
            policy=_policy(options, timeout),
            databases=(database,) if isinstance(database, str) else tuple(database),
            serializer=_imported(options.get("SERIALIZER", "auto"), instance=True),
            on_error=options.get("ON_ERROR", "load"),
            functions=options.get("FUNCTIONS", "auto"),
            connect_timeout=float(options.get("CONNECT_TIMEOUT", 0.25)),
            read_timeout=float(options.get("READ_TIMEOUT", 0.5)),
            max_loads=options.get("MAX_LOADS"),
            observer=_imported(options.get("OBSERVER")),
            clear=clear,
        )


def _alias(location: str, options: Mapping[str, Any]) -> str:
    """What the cache is called in logs and metrics: Django does not tell a backend its alias."""
    for alias, given in settings.CACHES.items():
        if given.get("LOCATION") == location and given.get("OPTIONS", {}) == options:
            return str(alias)
    return "django"


def _policy(options: Mapping[str, Any], timeout: Optional[float]) -> Policy:
    values: Dict[str, Any] = {_POLICY[name]: value for name, value in options.items() if name in _POLICY}
    # TIMEOUT 0 stores nothing, whatever the policy says.
    values["ttl"] = NEVER if timeout is None else (timeout if timeout > 0 else 3600)
    try:
        return Policy(**values)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"OPTIONS of an InvalCache: {error}") from None


def _imported(value: Any, instance: bool = False) -> Any:
    """What a dotted path names; of a class an instance, if that is what is wanted."""
    if not isinstance(value, str) or "." not in value:
        return value
    found = import_string(value)
    return found() if instance and isinstance(found, type) else found
