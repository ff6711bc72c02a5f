"""InvalCache as Django means a cache, and its leases."""

import threading

from asgiref.sync import async_to_sync
from django.core.cache import cache, caches
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.test import TransactionTestCase, override_settings

from inval.django import InvalCache
from inval.django.test import InvalTestMixin, use_redis_database
from shop.models import Book, Owner, Publisher


def redis():
    return caches["default"].inval.client


def made(**options):
    """A cache with other options, on the same Redis database."""
    config = caches["default"].config
    return InvalCache(config.location, options)


class PlainTests(InvalTestMixin, TransactionTestCase):
    def test_keys_are_those_of_rules(self):
        cache.set("book:7 é", 1)
        self.assertEqual(redis().keys(), ["book:7 é".encode()])
        self.assertEqual(made(KEY_PREFIX="shop:").make_key("book:7"), "shop:book:7")
        self.assertEqual(made(KEY_PREFIX="shop:", VERSION=2).make_key("book:7"), "shop:2:book:7")
        self.assertEqual(cache.make_key("book:7", version=3), "3:book:7")
        self.assertEqual(made(KEY_FUNCTION=lambda key, prefix, version: f"{version}/{key}").make_key("k"), "1/k")

    def test_set_and_get(self):
        for value in (1, -5, 1.5, "é", "", True, None, [1, [2]], {"a": {"b": None}}, (1, 2), {1: 2}, b"x", {3}, 1j):
            with self.subTest(value):
                cache.set("k", value)
                self.assertEqual(cache.get("k", "none"), value)
                self.assertIs(type(cache.get("k")), type(value))
        self.assertIsNone(cache.get("there is none"))
        self.assertEqual(cache.get("there is none", 5), 5)
        cache.set("json", {"a": [1, "é", None]})
        self.assertEqual(redis().get("json"), '{"a":[1,"é",null]}'.encode())
        redis().set("json", b"\x80 no pickle")
        self.assertEqual(cache.get("json", "unreadable"), "unreadable")

    def test_timeouts(self):
        cache.set("default", 1)
        self.assertTrue(3590 < redis().ttl("default") <= 3600)
        cache.set("short", 1, 0.5)
        self.assertTrue(0 < redis().pttl("short") <= 500)
        cache.set("for ever", 1, None)
        self.assertEqual(redis().ttl("for ever"), -1)
        for timeout in (0, -1):
            cache.set("for ever", 1, timeout)
            self.assertFalse(cache.has_key("for ever"))
        cache.set("k", 1, 100)
        self.assertTrue(cache.touch("k", 1000))
        self.assertTrue(990 < redis().ttl("k") <= 1000)
        self.assertTrue(cache.touch("k", None))
        self.assertEqual(redis().ttl("k"), -1)
        self.assertTrue(cache.touch("k", 0))
        self.assertFalse(cache.touch("k"))
        self.assertFalse(cache.touch("k", None))

    def test_the_rest(self):
        self.assertTrue(cache.add("a", 1))
        self.assertFalse(cache.add("a", 2))
        self.assertFalse(cache.add("a", 2, 0))
        self.assertTrue(cache.add("z", 2, 0))
        self.assertEqual(cache.get_many(["a", "z"]), {"a": 1})
        self.assertIn("a", cache)
        self.assertEqual((cache.incr("a"), cache.incr("a", 5), cache.decr("a", 3)), (2, 7, 4))
        self.assertEqual(cache.get("a"), 4)
        with self.assertRaisesRegex(ValueError, "'z' not found"):
            cache.incr("z")
        cache.set("text", "x")
        with self.assertRaisesRegex(ValueError, "no whole number"):
            cache.incr("text")
        self.assertEqual(cache.set_many({"m": 1, "n": [2]}, 100), [])
        self.assertEqual(cache.get_many(["m", "n", "o"]), {"m": 1, "n": [2]})
        self.assertTrue(0 < redis().ttl("n") <= 100)
        cache.delete_many(["m", "o"])
        self.assertFalse(cache.delete("m"))
        self.assertTrue(cache.delete("n"))
        cache.set_many({"text": 1}, 0)
        self.assertNotIn("text", cache)
        self.assertEqual(cache.set_many({}), [])
        cache.set("v", 1)
        self.assertEqual(cache.incr_version("v"), 2)
        self.assertEqual((cache.get("v"), cache.get("v", version=2)), (None, 1))

    def test_clear(self):
        cache.set_many({f"other:{n}": n for n in range(20)})
        mine = made(KEY_PREFIX="a[b]*:")
        mine.set_many({str(n): n for n in range(2500)})
        redis().set("a[b]", 1)
        redis().set("ab*:1", 1)
        mine.clear()
        self.assertEqual(redis().dbsize(), 22)
        with self.assertRaisesRegex(ValueError, 'set KEY_PREFIX, or OPTIONS."CLEAR". = "flushdb"'):
            made().clear()
        self.assertEqual(redis().dbsize(), 22)
        cache.clear()
        self.assertEqual(redis().dbsize(), 0)

    def test_without_redis(self):
        away = InvalCache("redis://127.0.0.1:1/0", {"OPTIONS": {"CONNECT_TIMEOUT": 0.2}})
        with self.assertLogs("inval", "WARNING"):
            for _ in range(5):
                self.assertEqual(away.get("k", "default"), "default")
        away.set("k", 1)
        self.assertFalse(away.add("k", 1))
        self.assertFalse(away.touch("k"))
        self.assertFalse(away.delete("k"))
        self.assertFalse(away.has_key("k"))
        self.assertEqual(away.get_many(["k"]), {})
        self.assertEqual(away.set_many({"k": 1}), ["k"])
        away.delete_many(["k"])
        self.assertEqual(away.get_or_set("k", lambda: 7), 7)
        self.assertEqual(away.fetch("k", 7).source, "down")
        self.assertEqual(away.get_or_set_many(["k"], lambda keys: {"k": 8}), {"k": 8})
        strict = InvalCache("redis://127.0.0.1:1/0", {"OPTIONS": {"ON_ERROR": "raise"}})
        from inval import Unavailable

        with self.assertLogs("inval", "WARNING"):
            for ask in (strict.get, strict.has_key, strict.delete, lambda key: strict.get_or_set(key, 1)):
                with self.assertRaises(Unavailable):
                    ask("k")

    def test_options_are_checked(self):
        for says, location, options in (
            ("is a URL", "127.0.0.1:6379", {}),
            ("is a URL", ["redis://a"], {}),
            ("no option 'STALES'; there are BACKGROUND", "redis://a", {"STALES": 1}),
            ("early is", "redis://a", {"EARLY": -1}),
            ('"prefix" or "flushdb"', "redis://a", {"CLEAR": "all"}),
        ):
            with self.subTest(says), self.assertRaisesRegex(ImproperlyConfigured, says):
                InvalCache(location, {"OPTIONS": options})
        with self.assertRaises(InvalidCacheBackendError):
            caches["other"]
        for bad in ([], {"COVERAGES": []}, {"COVERAGE": "team_id"}, {"VARS": {"a": 1}}, {"TEST": 1}):
            with self.subTest(bad), override_settings(INVAL=bad), self.assertRaisesRegex(ImproperlyConfigured, "INVAL"):
                cache.inval.key("{$a}")


class LeaseTests(InvalTestMixin, TransactionTestCase):
    def setUp(self):
        super().setUp()
        self.publisher = Publisher.objects.create(name="P", owner=Owner.objects.create(name="O"))
        self.book = Book.objects.create(title="one", publisher=self.publisher)
        self.key = f"book:{self.book.pk}"

    def title(self):
        return Book.objects.values_list("title", flat=True).get(pk=self.book.pk)

    def test_a_write_removes_what_was_read(self):
        self.assertEqual(cache.fetch(self.key, self.title).source, "filled")
        with self.assertNumQueries(0):
            found = cache.fetch(self.key, self.title)
        self.assertEqual((found.value, found.source, len(found.etag)), ("one", "hit", 16))
        Book.objects.update(title="two")
        self.assertEqual(cache.get_or_set(self.key, self.title), "two")

    def test_an_old_value_is_refused(self):
        def load():
            old = self.title()
            in_thread(lambda: Book.objects.update(title="two"))
            return old

        self.assertEqual(cache.fetch(self.key, load).source, "unstored")
        self.assertEqual(cache.get_or_set(self.key, self.title), "two")

    def test_default_is_a_function_or_a_value(self):
        self.assertEqual(cache.get_or_set("a", 5), 5)
        self.assertEqual(cache.get_or_set("a", 6), 5)
        self.assertIsNone(cache.get_or_set("b", lambda: None))
        self.assertIsNone(cache.get_or_set("b", 5), "None is a value")
        self.assertEqual(cache.refresh("a", lambda: 7), 7)
        self.assertEqual(cache.get("a"), 7)

    def test_timeouts(self):
        cache.get_or_set("a", 5, 100)
        self.assertTrue(89 <= redis().ttl("a") <= 100)
        cache.get_or_set("b", 5, None)
        self.assertTrue(redis().ttl("b") > 8 * 365 * 86400)
        for timeout in (0, -1):
            self.assertEqual(cache.get_or_set("c", 5, timeout), 5)
            self.assertEqual(cache.get_or_set_many(["c"], lambda keys: {"c": 6}, timeout), {"c": 6})
            self.assertFalse(cache.has_key("c"))
        cache.get_or_set("d", 5, 100, jitter=0, stale=1000)
        self.assertTrue(1090 < redis().ttl("d") <= 1100)
        made(OPTIONS={"EARLY": 30}).get_or_set("e", 5, 10)
        for timeout in (1e-9, 1e300, 10**400):
            self.assertEqual(cache.get_or_set(f"g{timeout}", 5, timeout), 5)
            cache.set("h", 6, timeout)
        self.assertTrue(redis().ttl("g1e+300") > 8 * 365 * 86400)
        self.assertTrue(redis().ttl("h") > 8 * 365 * 86400)
        with self.assertRaisesRegex(TypeError, "no field 'tll'"):
            cache.get_or_set("f", 5, tll=3)

    def test_many(self):
        asked = []

        def load_many(keys):
            asked.append(sorted(keys))
            return {key: key.upper() for key in keys if key != "c"}

        prefixed = made(KEY_PREFIX="p:")
        self.assertEqual(prefixed.get_or_set_many(["a", "b"], load_many), {"a": "A", "b": "B"})
        self.assertEqual(prefixed.get_or_set_many(["b", "c", "d"], load_many), {"b": "B", "c": None, "d": "D"})
        self.assertEqual(asked, [["a", "b"], ["c", "d"]])
        self.assertEqual(sorted(redis().keys("p:?")), [b"p:a", b"p:b", b"p:c", b"p:d"])

    def test_threads_share_flights_and_connections(self):
        loads, results = [], []
        ready = threading.Barrier(20)

        def load():
            loads.append(1)
            return self.title()

        def read():
            ready.wait()
            # Another backend object than that of this thread's neighbours
            results.append(caches["default"].get_or_set(self.key, load))
            connection.close()

        threads = [threading.Thread(target=read) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, ["one"] * 20)
        self.assertEqual(len(loads), 1)
        core = cache.inval
        in_thread(lambda: self.assertIs(cache.inval, core))

    def test_background(self):
        cache.get_or_set(self.key, self.title, 100, stale=1000, jitter=0)
        redis().pexpire(self.key, 999_000)  # as if 101 s had passed
        done = threading.Event()
        left = []

        def load():
            try:
                return self.title() + " anew"
            finally:
                left.append(connections["default"])
                done.set()

        found = cache.fetch(self.key, load, 100, stale=1000, background=True)
        self.assertEqual((found.value, found.source), ("one", "stale"))
        self.assertTrue(done.wait(30))
        poll(lambda: cache.get(self.key) == "one anew")
        self.assertIsNot(left[0], connections["default"])
        poll(lambda: left[0].connection is None)

    def test_entries_of_the_decorator_follow_the_settings(self):
        @cache.inval.entry("book:{pk}", tables=["Quoted Table"])
        def title(pk):
            return self.title()

        core = cache.inval
        self.addCleanup(core.entries.remove, title)
        self.assertEqual(title(self.book.pk), "one")
        self.assertTrue(redis().exists(self.key))
        self.assertEqual(cache.inval.key("{$git_sha}:{x}", x=1), "a1b2c3:1")
        # What a runner of tests does, with a Redis database that no process of theirs has
        number = redis().connection_pool.connection_kwargs["db"]
        with override_settings():
            use_redis_database(15)
            try:
                caches["default"].clear()
                Book.objects.update(title="two")
                self.assertEqual(title.fetch(self.book.pk).source, "filled")
                self.assertIs(cache.inval, core)
                caches["default"].clear()
            finally:
                use_redis_database(number)


def in_thread(work):
    """Work that has a connection of its own to the database."""
    failed = []

    def run():
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def poll(condition):
    """Waits until the condition is true."""
    import time

    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("gave up waiting")
        time.sleep(0.01)




class NullTests(TransactionTestCase):
    def test_nothing_is_kept(self):
        with override_settings(CACHES={"default": {"BACKEND": "inval.django.NullCache"}}):
            cache.set("k", 1)
            self.assertTrue(cache.add("k", 1))
            self.assertEqual(cache.set_many({"k": 1}), [])
            self.assertEqual((cache.get("k"), cache.get_many(["k"]), cache.has_key("k")), (None, {}, False))
            self.assertFalse(cache.touch("k"))
            self.assertFalse(cache.delete("k"))
            cache.delete_many(["k"])
            cache.clear()
            with self.assertRaises(ValueError):
                cache.incr("k")
            for value in (1, 2):
                self.assertEqual(cache.get_or_set("k", lambda: value), value)
                self.assertEqual(cache.fetch("k", value).value, value)
                self.assertEqual(cache.refresh("k", value), value)
                self.assertEqual(cache.get_or_set_many(["k"], lambda keys: {"k": value}), {"k": value})
                self.assertEqual(async_to_sync(cache.aget_or_set)("k", value), value)
            entry = cache.inval.entry("{$git_sha}:{x}")(lambda x: Book.objects.count())
            self.assertEqual((entry.key(1), entry(1)), ("a1b2c3:1", 0))
            self.assertEqual({message.id for message in run_checks(databases=["default"])}, set())
