"""Cache and AsyncCache with a real Redis: what is stored, for how long, and who loads."""
import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import signal
import threading
import unittest
from collections import Counter
from unittest import mock

import quiet  # noqa: F401
import redis
import servers

from inval import (AsyncCache, Cache, KeyOutsideNamespace, NotCacheable, NotReady, Policy, library,
                   ready)
from inval.__main__ import main
from inval.testing import MemoryCache, NullCache


def setUpModule():
    global server
    server = servers.RedisServer()
    unittest.addModuleCleanup(server.close)


class Case(unittest.TestCase):
    def setUp(self):
        self.redis = server.client()
        self.addCleanup(self.redis.close)
        self.redis.flushall()
        self.told = []

    def cache(self, **settings):
        cache = Cache.from_url(server.url, connect_timeout=20, read_timeout=20,
                               observer=lambda *event: self.told.append(event), **settings)
        self.addCleanup(cache.close)
        return cache

    def events(self, *names):
        return Counter(event for event, _, _ in self.told if not names or event in names)


class ReadTest(Case):
    def test_filled_then_hit(self):
        cache = self.cache()
        self.assertEqual(cache.check(), servers.VERSION)
        first = cache.fetch("k", lambda: {"a": [1, None]})
        second = cache.fetch("k", self.fail)
        self.assertEqual([(r.value, r.source) for r in (first, second)],
                         [({"a": [1, None]}, "filled"), ({"a": [1, None]}, "hit")])
        self.assertEqual(self.redis.get("k"), b'{"a":[1,null]}')
        self.assertEqual(first.etag, second.etag)
        self.assertRegex(first.etag, "^[0-9a-f]{16}$")
        self.assertEqual(self.redis.keys(), [b"k"])

    def test_none_is_a_value(self):
        cache = self.cache()
        self.assertIsNone(cache.get_or_set("k", lambda: None))
        self.assertIsNone(cache.get_or_set("k", self.fail))
        self.assertIsNone(cache.get_or_set("z", lambda: None, none_ttl=0))
        self.assertEqual(cache.get_or_set("z", lambda: 1), 1)

    def test_life(self):
        cache = self.cache()
        lives = set()
        for n in range(20):
            cache.get_or_set(f"k{n}", lambda: 1, ttl=100, jitter=0.5, stale=1000)
            lives.add(self.redis.pttl(f"k{n}"))
        self.assertTrue(all(1000_000 + 40_000 < life <= 1100_000 for life in lives), lives)
        self.assertGreater(len(lives), 10)

    def test_early_and_refresh(self):
        cache = self.cache()
        cache.get_or_set("k", lambda: 1, ttl=100, jitter=0)
        self.assertEqual(cache.get_or_set("k", lambda: 2, early=50, ttl=100), 1)
        self.redis.pexpire("k", 40_000)
        self.assertEqual(cache.get_or_set("k", lambda: 3, early=50, ttl=100), 3)
        self.assertEqual(cache.refresh("k", lambda: 4), 4)
        self.assertEqual(cache.get_or_set("k", self.fail), 4)

    def test_stale_while_refreshing_and_on_error(self):
        cache = self.cache(policy=Policy(ttl=1, jitter=0, stale=1000))
        cache.get_or_set("k", lambda: "old")
        self.redis.pexpire("k", 999_000)  # a second later
        inside = []

        def load():
            thread = threading.Thread(target=lambda: inside.append(cache.fetch("k", self.fail)))
            thread.start()
            thread.join()
            raise RuntimeError("the source is away")

        result = cache.fetch("k", load)
        self.assertEqual((result.value, result.source), ("old", "stale"))
        self.assertEqual((inside[0].value, inside[0].source), ("old", "stale"))
        self.assertEqual(cache.fetch("k", lambda: "new").source, "filled")

    def test_many_are_stale_on_error(self):
        cache = self.cache(policy=Policy(ttl=1, jitter=0, stale=1000))
        cache.get_or_set_many(["a", "b"], lambda keys: {"a": 1, "b": 2})
        for key in "ab":
            self.redis.pexpire(key, 999_000)  # a second later
        fail = mock.Mock(side_effect=RuntimeError("the source is away"))
        self.assertEqual(cache.get_or_set_many(["a", "b"], fail), {"a": 1, "b": 2})
        for keys in (["a", "none"], ["none"]):
            with self.assertRaisesRegex(RuntimeError, "away"):
                cache.get_or_set_many(keys, fail)
        with self.assertRaisesRegex(RuntimeError, "away"):
            cache.get_or_set_many(["a"], fail, policy=Policy(strict=True))
        self.assertEqual(self.redis.keys("*lease*"), [])

    def test_refresh_is_not_answered_by_what_is_there(self):
        cache = self.cache()
        cache.get_or_set("k", lambda: "old")
        with cache.read_only():
            self.assertEqual(cache.refresh("k", lambda: "new"), "new")
        self.assertEqual(cache.get("k"), "old")
        with servers.RedisServer(library=False) as bare, \
                Cache.from_url(bare.url, connect_timeout=20, read_timeout=20) as other:
            other.set("k", "old", 60)
            self.assertEqual(other.refresh("k", lambda: "new"), "new")

    def test_commands_of_ones_own(self):
        cache = self.cache()
        replies = cache.send([("SET", "k", "v"), ("GET", "k"), ("INCR", "k")])
        self.assertEqual(replies[:2], [True, b"v"])
        self.assertIsInstance(replies[2], redis.ResponseError)
        with servers.RedisServer() as other, other.client() as client:
            first = cache.client
            cache.use(client)
            self.assertEqual(cache.send([["GET", "k"]]), [None])
            other.stop()
            self.assertEqual(cache.send([["GET", "k"]]).kind.value, "Redis does not answer")
            cache.use(first)
        self.assertEqual(cache.send([["GET", "k"]]), [b"v"])

    def test_background(self):
        cache = self.cache(policy=Policy(ttl=1, jitter=0, stale=1000, background=True))
        cache.get_or_set("k", lambda: "old")
        self.redis.pexpire("k", 999_000)
        go = threading.Event()

        def load():
            go.wait()
            return "new"

        self.assertEqual(cache.get_or_set("k", load), "old")
        go.set()
        servers.wait_until(lambda: cache.get("k") == "new", "the background")

    def test_a_load_that_fails_gives_up_its_lease(self):
        cache = self.cache()
        with self.assertRaisesRegex(ZeroDivisionError, "by zero"):
            cache.get_or_set("k", lambda: 1 / 0)
        self.assertEqual(self.redis.keys(), [])
        with self.assertRaises(NotCacheable):
            cache.get_or_set("k", lambda: (1, 2))
        self.assertEqual(self.redis.keys(), [])

    def test_unreadable_is_repaired(self):
        cache = self.cache()
        self.redis.set("k", b"\x80\x04pickled", ex=100)
        self.assertEqual(cache.fetch("k", lambda: 1).source, "filled")
        self.assertEqual(self.redis.get("k"), b"1")

    def test_wrong_type_and_size(self):
        cache = self.cache()
        self.redis.lpush("k", "x")
        for _ in range(2):
            self.assertEqual(cache.fetch("k", lambda: 1).source, "unstored")
        self.assertEqual(cache.fetch("big", lambda: "x" * 100, max_bytes=50).source, "unstored")
        self.assertEqual(self.events("too_big"), {"too_big": 1})
        self.assertEqual(self.redis.keys(), [b"k"])

    def test_modes(self):
        cache, other = self.cache(), self.cache()
        cache.get_or_set("k", lambda: 1)
        with cache.bypass():
            self.assertEqual(cache.fetch("k", lambda: 2).source, "bypass")
            self.assertEqual(other.get_or_set("k", lambda: 2), 1)
            self.assertEqual(cache.get_or_set_many(["k"], lambda keys: {"k": 3}), {"k": 3})
        with cache.read_only():
            self.assertEqual(cache.fetch("k", self.fail).source, "hit")
            self.assertEqual(cache.fetch("x", lambda: 2).source, "unstored")
            self.assertEqual(cache.fetch("k", lambda: 2, strict=True).source, "unstored")
            self.assertEqual(cache.get_or_set_many(["k", "x"], lambda keys: dict.fromkeys(keys, 2)),
                             {"k": 1, "x": 2})
            self.assertEqual(cache.get_or_set_many(["k"], lambda keys: {"k": 9}, strict=True), {"k": 9})
        self.assertEqual(self.redis.keys(), [b"k"])

    def test_nested(self):
        cache = self.cache()
        self.assertEqual(cache.get_or_set("a", lambda: cache.get_or_set("b", lambda: 2) + 1), 3)
        # The same key again while it is loaded: past the cache, instead of waiting for itself.
        inner = []

        def load():
            inner.append(cache.fetch("c", lambda: 5))
            return inner[0].value + 1

        self.assertEqual(cache.get_or_set("c", load), 6)
        self.assertEqual((cache.get("c"), inner[0].source), (6, "bypass"))

    def test_bad_use(self):
        cache = self.cache(namespace="app:")
        for error, use in (
                (KeyOutsideNamespace, lambda: cache.get_or_set("k", self.fail)),
                (KeyOutsideNamespace, lambda: cache.get_or_set("app:k", self.fail, depends=["s"])),
                (KeyOutsideNamespace, lambda: cache.key("u:{id}", id=1)),
                (TypeError, lambda: cache.get_or_set("app:k", 5)),
                (TypeError, lambda: cache.get_or_set(b"app:k", self.fail)),
                (TypeError, lambda: cache.get_or_set("app:k", self.fail, tll=5)),
                (TypeError, lambda: cache.get_or_set("app:k", self.fail, depends="app:s")),
                (ValueError, lambda: cache.get_or_set("app:k", self.fail, ttl=0)),
                (ValueError, lambda: cache.get_or_set("app:k", self.fail, early=9, ttl=9)),
                (ValueError, lambda: cache.set("app:k", 1, ttl=-1)),
                (ValueError, lambda: Policy(strict=True, stale=1)),
                (ValueError, lambda: Cache(server.client(decode_responses=True)))):
            with self.assertRaises(error):
                use()

        async def coroutine():
            return 1

        with self.assertRaisesRegex(TypeError, "without calling it"):
            cache.get_or_set("app:k", coroutine())
        with self.assertRaisesRegex(TypeError, "AsyncCache"):
            cache.get_or_set("app:k", coroutine)
        self.assertEqual(self.redis.keys(), [])

    def test_plain_commands(self):
        cache = self.cache()
        self.assertTrue(cache.set("k", [1], 5))
        self.assertEqual((cache.get("k"), cache.get("none", 7)), ([1], 7))
        self.assertEqual((cache.delete("k", "none"), cache.delete()), (1, 0))
        self.assertEqual(cache.hget_or_set("h", "f", lambda: 1, 100), 1)
        self.assertEqual(cache.hget_or_set("h", "f", self.fail, 100), 1)
        self.assertTrue(0 < self.redis.ttl("h") <= 100)
        first, second = cache.version("v", "w")
        self.assertEqual(cache.version("v"), (first,))
        self.redis.incr("w")
        self.assertEqual(cache.version("w"), (second + 1,))
        self.assertGreater(first, 10 ** 15)  # of the clock, in microseconds

    def test_serializers(self):
        cache = self.cache(serializer="auto")
        for value in ((1, 2), {1: "x"}, b"\xff", float("nan"), {"a": {1, 2}}, "\ud800"):
            cache.delete("k")
            cache.get_or_set("k", lambda: value)
            self.assertEqual(repr(cache.get_or_set("k", self.fail)), repr(value))
            self.assertEqual(self.redis.get("k")[:1], b"\x80")
        cache.get_or_set("json", lambda: {"a": [1, 2.5, "ä", None, True]})
        self.assertEqual(json.loads(self.redis.get("json")), {"a": [1, 2.5, "ä", None, True]})
        raw = self.cache(serializer="raw")
        self.assertEqual([raw.get_or_set("r", lambda: "ä"), raw.get_or_set("r", self.fail)],
                         ["ä", "ä".encode()])


class EntryTest(Case):
    def test_entry(self):
        cache = self.cache(namespace="u:")

        @cache.entry("u:{id}:{kind}", ttl=50, tables=["app_user"])
        def profile(id, kind="full"):
            "What a user is."
            return [id, kind]

        @profile.batch
        def _(pairs):
            return {pair: list(pair) for pair in pairs if pair[0] != 9}

        self.assertEqual(profile(7), [7, "full"])
        self.assertEqual(profile.key(id=7), "u:7:full")
        self.assertEqual(profile.many([(7, "full"), (8, "x"), (9, "y")]),
                         {(7, "full"): [7, "full"], (8, "x"): [8, "x"], (9, "y"): None})
        self.assertEqual(profile.fetch(8, "x").source, "hit")
        self.assertEqual((profile.load(1), profile.refresh(7)), ([1, "full"], [7, "full"]))
        self.assertEqual(profile.__doc__, "What a user is.")
        self.assertEqual([(e.template, e.tables) for e in cache.entries],
                         [("u:{id}:{kind}", ("app_user",))])
        self.assertEqual({entry for _, entry, _ in self.told}, {"u:{id}:{kind}"})

    def test_many_needs_a_batch(self):
        entry = self.cache().entry("u:{id}")(lambda id: 1)
        with self.assertRaisesRegex(TypeError, "batch"):
            entry.many([1])


class LeaseTest(Case):
    def test_refused(self):
        cache = self.cache()

        def load():
            # What a rule with a fence does.
            self.redis.unlink("k", "k:inval-lease{k}")
            return "old"

        self.assertEqual(cache.fetch("k", load).source, "unstored")
        self.assertEqual(self.events("refused"), {"refused": 1})
        self.assertEqual(self.redis.keys(), [])

    def test_a_killed_filler(self):
        started = multiprocessing.get_context("fork").Event()

        def die():
            Cache.from_url(server.url).get_or_set(
                "k", lambda: (started.set(), os.kill(os.getpid(), signal.SIGKILL)), lease=0.3)

        process = multiprocessing.get_context("fork").Process(target=die)
        process.start()
        started.wait(servers.SECONDS)
        process.join()
        process.close()
        self.assertEqual(self.cache().fetch("k", lambda: 1, wait=60).source, "filled")

    def test_nobody_fills_in_time(self):
        self.redis.fcall("inval_get", 1, "k", 60_000)
        cache = self.cache()
        self.assertEqual(cache.fetch("k", lambda: 1, wait=0.1).source, "unstored")
        self.assertIsNone(self.redis.get("k"))
        self.assertEqual(cache.get_or_set_many(["k", "l"], lambda keys: dict.fromkeys(keys, 2),
                                               wait=0.1), {"k": 2, "l": 2})
        self.assertEqual((cache.get("k"), cache.get("l")), (None, 2))

    def test_fenced(self):
        self.redis.set("k", "1")
        self.redis.fcall("inval_fence", 1, "k:inval-fence{k}", "me", 60_000)
        cache = self.cache()
        self.assertEqual(cache.fetch("k", lambda: 2).source, "bypass")
        self.assertEqual(cache.get_or_set_many(["k"], lambda keys: {"k": 2}), {"k": 2})
        self.assertEqual(self.redis.get("k"), b"1")

    def test_500_threads_load_once(self):
        caches = [self.cache(policy=Policy(wait=60, lease=60)) for _ in range(5)]
        loads, wrong = [], []

        def load():
            loads.append(1)
            return "value"

        def read(number):
            return caches[number % 5].fetch("hot", load)

        for cache in caches:
            cache.client.connection_pool.max_connections = 1000
        caches[0].get_or_set("hot", lambda: "before")
        self.redis.unlink("hot", "hot:inval-lease{hot}")
        results = servers.in_threads(500, read)
        wrong = [r for r in results if getattr(r, "value", None) != "value"]
        self.assertEqual(wrong, [])
        self.assertEqual(len(loads), 1)
        self.assertEqual(Counter(r.source for r in results)["filled"], 1)

    def test_depends(self):
        cache = self.cache()

        def load():
            self.assertEqual(self.redis.smembers("doc:1:deps"), {b"page"})
            return 1

        cache.get_or_set("page", load, depends=["doc:1:deps"], ttl=100, lease=10, stale=5)
        self.assertTrue(100 < self.redis.ttl("doc:1:deps") <= 115)
        cache.get_or_set("page2", lambda: 1, depends=["doc:1:deps"], ttl=1000)
        self.assertGreater(self.redis.ttl("doc:1:deps"), 900)
        self.redis.fcall("inval_members", 1, "doc:1:deps")
        self.assertEqual([key for key in self.redis.keys() if b"inval-stale" not in key], [])

    def test_fill_by_hand(self):
        cache = self.cache()
        with cache.fill("k") as fill:
            self.assertFalse(fill.hit)
            fill.depends_on("deps")
            self.assertTrue(fill.store("v"))
        self.assertEqual((fill.value, fill.result.source), ("v", "filled"))
        with cache.fill("k") as fill:
            self.assertTrue(fill.hit)
        with cache.fill("x") as fill:
            pass  # nothing is stored
        with self.assertRaisesRegex(RuntimeError, "mine"):
            with cache.fill("x"):
                raise RuntimeError("mine")
        self.assertEqual(set(self.redis.keys()), {b"k", b"deps"})


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def test_the_same(self):
        with server.client() as client:
            client.flushall()
            async with AsyncCache.from_url(server.url, connect_timeout=20, read_timeout=20, policy=Policy(wait=60)) as cache:
                loads = []

                async def load():
                    loads.append(1)
                    await asyncio.sleep(0.05)
                    return "value"

                results = await asyncio.gather(*(cache.fetch("hot", load) for _ in range(100)))
                self.assertEqual({r.value for r in results}, {"value"})
                self.assertEqual(len(loads), 1)
                self.assertEqual(await cache.check(), servers.VERSION)

                @cache.entry("u:{id}", tables=["u"])
                async def user(id):
                    return {"id": id}

                @user.batch
                async def _(ids):
                    return {id: {"id": id} for id in ids}

                self.assertEqual(await user(1), {"id": 1})
                self.assertEqual(await user.many([1, 2]), {1: {"id": 1}, 2: {"id": 2}})
                self.assertEqual((await user.fetch(2)).source, "hit")
                self.assertEqual(await user.refresh(2), {"id": 2})
                async with cache.fill("f") as fill:
                    self.assertTrue(await fill.store(1))
                self.assertEqual(await cache.get("f"), 1)
                self.assertTrue(await cache.set("s", 1, 5))
                self.assertEqual(await cache.delete("s"), 1)
                self.assertEqual(await cache.hget_or_set("h", "f", load, 5), "value")
                self.assertEqual(len(await cache.version("v", "w")), 2)
                self.assertEqual(await cache.send([("HGET", "h", "f")]), [b'"value"'])
                with self.assertRaisesRegex(TypeError, "without calling it"):
                    await cache.get_or_set("k", load())

    async def test_a_cancelled_reply_is_nobody_elses(self):
        """Half a reply that stays on a connection would be the next caller's answer."""
        with server.client() as client:
            client.flushall()
            for n in range(50):
                client.set(f"k{n}", n)
        async with AsyncCache.from_url(server.url, connect_timeout=20, read_timeout=20) as cache:
            for _ in range(5):
                tasks = [asyncio.ensure_future(cache.get_or_set(f"k{n}", lambda: None))
                         for n in range(50)]
                await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for n in range(50):
                    self.assertEqual(await cache.get_or_set(f"k{n}", lambda: None), n)


class ForkTest(Case):
    def test_after_a_fork(self):
        cache = self.cache()
        cache.get_or_set("k", lambda: 1)
        cache._runner.flights._lock.acquire()  # as if another thread were in the midst of it
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"%d" % cache.get_or_set("x", lambda: 5))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            self.assertEqual(file.read(), b"5")
        os.waitpid(child, 0)
        cache._runner.flights._lock.release()
        self.assertEqual(cache.get_or_set("k", self.fail), 1)


class MemoryTest(unittest.TestCase):
    def test_memory_cache_has_leases(self):
        cache = MemoryCache()

        def load():
            cache.memory.invalidate("k")
            return "old"

        self.assertEqual(cache.fetch("k", load).source, "unstored")
        self.assertEqual(cache.fetch("k", lambda: 1).source, "filled")
        self.assertEqual(cache.memory.keys(), ["k"])
        self.assertEqual(cache.check(), ready.VERSION)

    def test_null_cache_loads(self):
        cache = NullCache.from_url("redis://192.0.2.1/0")
        self.addCleanup(cache.close)
        self.assertEqual([cache.get_or_set("k", lambda: n) for n in (1, 2)], [1, 2])
        self.assertEqual((cache.set("k", 1, 5), cache.get("k")), (False, None))


class ReadyTest(Case):
    def test_many_load_the_library(self):
        """Whoever comes second finds it: also between the look and the load."""
        with servers.RedisServer(library=False) as bare:
            clients = [bare.client() for _ in range(2)]
            with mock.patch.object(library, "_has_it", return_value=False):
                self.assertEqual([library.load(client) for client in clients], [True, False])
            for client in clients:
                client.close()

    def test_missing_library(self):
        with servers.RedisServer(library=False) as bare:
            with Cache.from_url(bare.url) as cache:
                with self.assertRaisesRegex(NotReady, "python3 -m inval load"):
                    cache.check()
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    self.assertEqual(main(["load", bare.url]), 0)
                    self.assertEqual(main(["load", bare.url]), 0)
                self.assertEqual(out.getvalue(), "loaded\nversion {0}\nwas there\nversion {0}\n".format(
                    servers.VERSION))
                self.assertEqual(cache.check(), servers.VERSION)


if __name__ == "__main__":
    unittest.main()
