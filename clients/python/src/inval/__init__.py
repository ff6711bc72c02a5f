"""Readers of a cache in Redis whose keys PostgreSQL itself invalidates.

    cache = Cache.from_url("redis://127.0.0.1:6379/0")

    @cache.entry("user:{user_id}:profile", ttl=3600, tables=["app_user"])
    def profile(user_id): ...

What is stored is stored under a lease, so that a rule with fence => true never has an old
value written back behind its change.
"""
from .aio import AsyncCache
from .breaker import Breaker
from .client import Cache
from .errors import (InvalError, KeyOutsideNamespace, NotCacheable, NotReady, TemplateError,
                     Unavailable)
from .feed import PublishFeed, TrackingFeed
from .fill import Fill
from .local import LocalCache
from .policy import Policy, Result
from .template import Template
from .values import Serializer

__version__ = "1.0.0"
__all__ = ["AsyncCache", "Breaker", "Cache", "Fill", "InvalError", "KeyOutsideNamespace",
           "LocalCache", "NotCacheable", "NotReady", "Policy", "PublishFeed", "Result",
           "Serializer", "Template", "TemplateError", "TrackingFeed", "Unavailable"]
