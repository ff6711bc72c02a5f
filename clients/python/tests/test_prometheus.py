"""Metrics: what is counted, under which labels."""
import unittest

import quiet  # noqa: F401

from inval import LocalCache, Policy
from inval.prometheus import Prometheus
from inval.testing import MemoryCache
from prometheus_client import CollectorRegistry, generate_latest


class PrometheusTest(unittest.TestCase):
    def test_metrics(self):
        registry = CollectorRegistry()
        cache = MemoryCache(name="web", observer=Prometheus("web", registry))
        Prometheus("other", registry)  # another cache, the same registry
        entry = cache.entry("u:{id}", policy=Policy(max_bytes=50))(lambda id: "x" * id)
        for id in (1, 1, 100):
            entry(id)
        with self.assertRaises(TypeError):
            cache.get_or_set("k", lambda: 1 + "")
        cache._events.breaker(True)
        text = generate_latest(registry).decode()
        for line in (
                'inval_cache_requests_total{cache="web",entry="u:{id}",result="filled"} 1.0',
                'inval_cache_requests_total{cache="web",entry="u:{id}",result="hit"} 1.0',
                'inval_cache_requests_total{cache="web",entry="u:{id}",result="unstored"} 1.0',
                'inval_cache_stores_total{cache="web",entry="u:{id}",result="stored"} 1.0',
                'inval_cache_stores_total{cache="web",entry="u:{id}",result="too_big"} 1.0',
                'inval_cache_load_seconds_count{cache="web",entry="u:{id}"} 2.0',
                'inval_cache_load_failures_total{cache="web",entry=""} 1.0',
                'inval_cache_breaker_open{cache="web"} 1.0',
                'inval_cache_breaker_open{cache="other"} 0.0'):
            self.assertIn(line + "\n", text)
        self.assertNotIn("u:1", text)

    def test_local_entries(self):
        class Feed:
            def start(self, client, drop, flush):
                pass

            def lives(self):
                return True

            def close(self):
                pass

        registry = CollectorRegistry()
        observer = Prometheus("web", registry)
        cache = MemoryCache(observer=observer, local=LocalCache(feed=Feed()), policy=Policy(local=9))
        observer.watch(cache)
        cache.get_or_set("k", lambda: 1)
        self.assertIn('inval_cache_local_entries{cache="web"} 1.0\n', generate_latest(registry).decode())
        with self.assertRaises(ValueError):
            observer.watch(MemoryCache())

    def test_an_observer_that_fails_disturbs_nobody(self):
        cache = MemoryCache(observer=lambda event, entry, seconds: 1 / 0)
        self.assertEqual(cache.get_or_set("k", lambda: 1), 1)


if __name__ == "__main__":
    unittest.main()
