"""Metrics for prometheus_client (inval[prometheus]).

    cache = Cache.from_url(url, name="web", observer=Prometheus("web"))
"""
from __future__ import annotations

import threading
from typing import Any, ClassVar, Dict, Optional

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from .events import RESULTS

STORES = ("stored", "refused", "failed", "too_big", "dirty")


class Prometheus:
    """An observer. cache is a label, so that several caches can share a registry; keys are
    in no label.

        inval_cache_requests_total{cache,entry,result}   result as in Result.source
        inval_cache_load_seconds{cache,entry}            histogram
        inval_cache_load_failures_total{cache,entry}
        inval_cache_stores_total{cache,entry,result}     stored refused failed too_big dirty
        inval_cache_breaker_open{cache}                  1 while Redis is not asked
        inval_cache_local_entries{cache}                 of watch(cache)
    """

    _lock: ClassVar[Any] = threading.Lock()
    _metrics: ClassVar[Dict[int, Dict[str, Any]]] = {}

    def __init__(self, cache: str = "default", registry: Optional[Any] = None) -> None:
        self._cache = cache
        metrics = self._of_registry(registry if registry is not None else REGISTRY)
        self._requests = metrics["requests"]
        self._seconds = metrics["seconds"]
        self._failures = metrics["failures"]
        self._stores = metrics["stores"]
        self._open = metrics["open"].labels(cache)
        self._entries = metrics["entries"]
        self._open.set(0)

    @classmethod
    def _of_registry(cls, registry: Any) -> Dict[str, Any]:
        """One set of metrics for each registry, which refuses a second one."""
        with cls._lock:
            if id(registry) not in cls._metrics:
                labels = ("cache", "entry")
                cls._metrics[id(registry)] = {
                    "registry": registry,  # lives as long, so that its id stays its own
                    "requests": Counter("inval_cache_requests", "Reads, by how they ended",
                                        (*labels, "result"), registry=registry),
                    "seconds": Histogram("inval_cache_load_seconds", "What loads take", labels,
                                         registry=registry),
                    "failures": Counter("inval_cache_load_failures", "Loads that raised", labels,
                                        registry=registry),
                    "stores": Counter("inval_cache_stores", "What became of loaded values",
                                      (*labels, "result"), registry=registry),
                    "open": Gauge("inval_cache_breaker_open", "Whether Redis is not asked",
                                  ("cache",), registry=registry),
                    "entries": Gauge("inval_cache_local_entries", "Values in the first level",
                                     ("cache",), registry=registry)}
            return cls._metrics[id(registry)]

    def __call__(self, event: str, entry: str, seconds: float) -> None:
        if event in RESULTS:
            self._requests.labels(self._cache, entry, event).inc()
        elif event == "load":
            self._seconds.labels(self._cache, entry).observe(seconds)
        elif event == "load_failed":
            self._failures.labels(self._cache, entry).inc()
        elif event in STORES:
            self._stores.labels(self._cache, entry, event).inc()
        elif event == "breaker_open":
            self._open.set(1)
        elif event == "breaker_closed":
            self._open.set(0)

    def watch(self, cache: Any) -> None:
        """Tells how many entries the first level of a cache has."""
        local = cache.local
        if local is None:
            raise ValueError("this cache has no first level")
        self._entries.labels(self._cache).set_function(lambda: len(local))
