"""inval for Django: a cache backend, operations for migrations, checks, helpers for tests.

    INSTALLED_APPS += ["inval.django"]
    CACHES = {"default": {"BACKEND": "inval.django.InvalCache", "LOCATION": "redis://127.0.0.1:6379/0"}}

What is imported from here is loaded when it is first used, so that settings, migrations and models load no more of it
than they name.  docs/orm.md shows how the parts fit together.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .backend import InvalCache as InvalCache
    from .manager import CacheManager as CacheManager
    from .null import NullCache as NullCache
    from .operations import CreateInval as CreateInval
    from .operations import SetVar as SetVar
    from .operations import Track as Track
    from .operations import Untrack as Untrack

_HOME = {
    "CacheManager": "manager",
    "CreateInval": "operations",
    "InvalCache": "backend",
    "NullCache": "null",
    "SetVar": "operations",
    "Track": "operations",
    "Untrack": "operations",
}

__all__ = ["CacheManager", "CreateInval", "InvalCache", "NullCache", "SetVar", "Track", "Untrack"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *_HOME})
