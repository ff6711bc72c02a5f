"""The project of test/django, without the library in the ORM that it is compared with, reading through InvalCache."""

from settings import *  # noqa: F403  test/django/settings.py
from settings import INSTALLED_APPS as _APPS
from settings import REDIS_SOCKET

INSTALLED_APPS = [app for app in _APPS if app != "cacheops"] + ["inval.django"]
# The same tables, with rules that have a fence
MIGRATION_MODULES = {"library": "tracked"}
CACHES = {
    "default": {
        "BACKEND": "inval.django.InvalCache",
        "LOCATION": f"unix://{REDIS_SOCKET}?db=0",
        "TIMEOUT": 3600,
        "OPTIONS": {"CLEAR": "flushdb", "CONNECT_TIMEOUT": 5, "READ_TIMEOUT": 5},
    }
}
