"""Redis that is away, hung, full, without functions or rights: every call ends, in time,
with the right value, and nothing is stored that could be old."""
import asyncio
import threading
import time
import unittest

import quiet  # noqa: F401
import redis
import servers

from inval import AsyncCache, Breaker, Cache, NotReady, Policy, Unavailable
from inval.breaker import Circuit
from inval.functions import Kind, trouble_of

CONNECT, READ = 0.5, 0.5
SLACK = 10  # seconds: bounded is bounded, however busy the machine is


class Case(unittest.TestCase):
    def server(self, **config):
        server = servers.RedisServer(**config)
        self.addCleanup(server.close)
        return server

    def cache(self, server, **settings):
        self.told = []
        settings.setdefault("observer", lambda event, *_: self.told.append(event))
        cache = Cache.from_url(server.url, connect_timeout=CONNECT, read_timeout=READ, **settings)
        self.addCleanup(cache.close)
        return cache

    def bounded(self, function, seconds=CONNECT + READ + SLACK):
        start = time.monotonic()
        result = function()
        self.assertLess(time.monotonic() - start, seconds)
        return result


class AwayTest(Case):
    def check_away(self, server, cache, back):
        """Three calls that fail open the breaker; then nothing is asked until it is back."""
        sources = [self.bounded(lambda: cache.fetch("k", lambda: 1)).source for _ in range(3)]
        self.assertEqual(sources, ["down"] * 3)
        self.assertEqual(self.told.count("breaker_open"), 1)
        # At once, as Redis is not asked: many calls take less than one timeout each.
        start = time.monotonic()
        for _ in range(200):
            self.assertEqual(cache.fetch("k", lambda: 1).source, "down")
        self.assertLess(time.monotonic() - start, 200 * min(CONNECT, READ) / 4)
        many = self.bounded(lambda: cache.get_or_set_many(["a", "b"], lambda ks: dict.fromkeys(ks, 2)))
        self.assertEqual(many, {"a": 2, "b": 2})
        self.assertEqual((cache.get("k", 7), cache.set("k", 1, 5)), (7, False))
        back()
        # Of calls that timed out the server has made leases all the same, once it goes on.
        servers.wait_until(lambda: cache.fetch("k", lambda: 1).source in ("filled", "waited"),
                           "the probe")
        self.assertEqual(self.told.count("breaker_closed"), 1)
        self.assertEqual(cache.fetch("k", self.fail).source, "hit")

    def warm(self):
        """A server, and a cache that has been there."""
        server = self.server()
        cache = self.cache(server, policy=Policy(lease=1, wait=0.1),
                           breaker=Breaker(open_for=0.5, max_open=1))
        cache.get_or_set("warm", lambda: 1)
        return server, cache

    def test_stopped(self):
        server, cache = self.warm()
        server.stop()
        self.check_away(server, cache, server.start)

    def test_hung(self):
        server, cache = self.warm()
        server.freeze()
        self.check_away(server, cache, server.thaw)

    def test_hung_asyncio(self):
        server = self.server()

        async def read():
            async with AsyncCache.from_url(server.url, connect_timeout=CONNECT,
                                           read_timeout=READ) as cache:
                await cache.get_or_set("warm", lambda: 1)
                server.freeze()
                return [(await cache.fetch("k", lambda: 1)).source for _ in range(5)]

        self.assertEqual(self.bounded(lambda: asyncio.run(read()), 3 * (CONNECT + READ) + SLACK),
                         ["down"] * 5)

    def test_raise(self):
        server = self.server()
        cache = self.cache(server, on_error="raise")
        server.stop()
        for _ in range(4):
            with self.assertRaises(Unavailable):
                cache.get_or_set("k", self.fail)
        with self.assertRaises(Unavailable):
            cache.get_or_set_many(["k"], self.fail)

    def test_dies_between_load_and_store(self):
        server = self.server()
        cache = self.cache(server)
        result = self.bounded(lambda: cache.fetch("k", lambda: server.stop() or 5))
        self.assertEqual((result.value, result.source), (5, "unstored"))

    def test_max_loads(self):
        server = self.server()
        cache = self.cache(server, max_loads=2, policy=Policy(wait=60))
        server.stop()
        running, most = [], []

        def load():
            running.append(1)
            most.append(len(running))
            time.sleep(0.01)
            running.pop()
            return 1

        results = servers.in_threads(20, lambda number: cache.get_or_set(f"k{number}", load))
        self.assertEqual(results, [1] * 20)
        self.assertLessEqual(max(most), 2)

    def test_full(self):
        server = self.server(maxmemory_policy="noeviction")
        cache = self.cache(server, policy=Policy(lease=600, wait=600))
        cache.get_or_set("there", lambda: 1)
        with server.client() as client:
            client.config_set("maxmemory", 1)
        self.assertEqual(cache.fetch("there", self.fail).source, "hit")
        for _ in range(5):
            self.assertEqual(cache.fetch("k", lambda: 2).source, "unstored")
        self.assertEqual(cache.get_or_set_many(["there", "k"], lambda ks: {"k": 3}),
                         {"there": 1, "k": 3})
        self.assertNotIn("breaker_open", self.told)
        with server.client() as client:
            client.config_set("maxmemory", 0)
        # What could not be stored has left no lease for which others would wait.
        self.assertEqual(cache.fetch("k", lambda: 2).source, "filled")

    def test_what_cannot_be_stored_makes_no_queue(self):
        """Whoever waits for a filler that will store nothing is only the next to load."""
        server = self.server(maxmemory_policy="noeviction")
        policy = Policy(none_ttl=0, max_bytes=10, wait=600, lease=600)
        cache = self.cache(server, policy=policy)
        for key, value in (("none", None), ("big", "x" * 20), ("full", 1)):
            with self.subTest(key), server.client() as client:
                client.config_set("maxmemory", 1 if key == "full" else 0)
                cache.get_or_set(key, lambda: value)
                together = threading.Barrier(8)

                def load():
                    together.wait(30)  # all of them at once
                    return value

                self.assertEqual(servers.in_threads(8, lambda _: cache.get_or_set(key, load)), [value] * 8)
                cache.get_or_set_many([key], lambda keys: {key: value})
                results = servers.in_threads(8, lambda _: cache.get_or_set_many([key], lambda keys: {key: load()}))
                self.assertEqual(results, [{key: value}] * 8)
                # Once it can be stored, others wait again.
                client.config_set("maxmemory", 0)
                self.assertEqual(cache.fetch(key, lambda: 2).source, "filled")
                self.assertNotIn(key, cache._runner.unstorable)

    def test_what_became_a_replica_is_left(self):
        """After a failover the name of the primary leads elsewhere; connections do not."""
        server, primary = self.server(), self.server()
        cache = self.cache(server)
        before = cache.client.client_id()
        with server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        self.assertEqual(cache.fetch("k", lambda: 1).source, "unstored")
        self.assertNotEqual(cache.client.client_id(), before)
        self.assertNotIn("breaker_open", self.told)

    def test_version_keeps_to_the_breaker(self):
        server, cache = self.warm()
        server.freeze()
        for _ in range(3):
            with self.assertRaises(redis.TimeoutError):
                cache.version("v")
        start = time.monotonic()
        for ask in [lambda: cache.version("v"), lambda: cache.delete("v")] * 50:
            with self.assertRaisesRegex(Unavailable, "breaker is open"):
                ask()
        self.assertLess(time.monotonic() - start, 100 * READ / 4)

    def test_no_replicas(self):
        server = self.server()
        cache = self.cache(server)
        with server.client() as client:
            client.config_set("min-replicas-to-write", 1)
        self.assertEqual(cache.fetch("k", lambda: 2).source, "unstored")
        self.assertEqual(cache.fetch("k", lambda: 2, strict=True).source, "unstored")


class FunctionsTest(Case):
    def test_library_flushed_while_running(self):
        server = self.server()
        cache = self.cache(server, policy=Policy(lease=1, wait=0.1))
        cache.get_or_set("there", lambda: 1)
        with server.client() as client:
            self.assertEqual(cache.fetch("k", lambda: client.function_flush() and 2).source,
                             "unstored")
            # Hits by GET; what is missing is loaded and not stored: a plain SET could undo
            # an invalidation.
            self.assertEqual(cache.fetch("there", self.fail).source, "hit")
            self.assertEqual(cache.fetch("k", lambda: 2).source, "unstored")
            self.assertEqual(cache.get_or_set_many(["there", "k"], lambda ks: {"k": 3}),
                             {"there": 1, "k": 3})
            # Not even a hit where a fence may stand.
            self.assertEqual(cache.fetch("there", lambda: 5, strict=True).value, 5)
            self.assertEqual(cache.get_or_set_many(["there"], lambda ks: {"there": 5}, strict=True),
                             {"there": 5})
            self.assertIsNone(client.get("k"))
            server._library and servers.library.load(client)
        servers.wait_until(lambda: cache.fetch("k", lambda: 2).source == "filled", "the functions")

    def test_a_redis_without_functions(self):
        server = self.server(library=False, rename_command='FCALL ""')
        cache = self.cache(server)
        self.assertEqual(cache.check(), 0)
        loads = []

        def load():
            loads.append(1)
            time.sleep(0.2)
            return "v"

        results = servers.in_threads(20, lambda _: cache.get_or_set("k", load, wait=60))
        self.assertEqual(results, ["v"] * 20)
        self.assertEqual(len(loads), 1)
        self.assertEqual(cache.fetch("k", self.fail).source, "hit")
        with server.client() as client:
            self.assertTrue(0 < client.pttl("k") <= 3600_000)
        self.assertEqual(cache.get_or_set_many(["k", "l"], lambda ks: {"l": 1}), {"k": "v", "l": 1})
        self.assertEqual(cache.fetch("l", self.fail).source, "hit")
        self.assertEqual(cache.fetch("k", lambda: 5, strict=True).source, "unstored")
        required = self.cache(server, functions="require")
        self.assertEqual(required.fetch("x", lambda: 1).source, "unstored")
        with self.assertRaisesRegex(NotReady, "version 7"):
            required.check()

    def test_rights(self):
        server = self.server(user=["default on nopass ~* &* +@all",
                                   "reader on >pass ~app:* -@all +ping +get +hello",
                                   "filler on >pass ~app:* -@all +fcall +get +set +unlink +exists "
                                   "+pttl +time +zremrangebyscore"])
        cache = Cache(server.client(username="reader", password="pass"))
        self.addCleanup(cache.close)
        with self.assertRaisesRegex(NotReady, r"\+fcall"):
            cache.check()
        with self.assertLogs("inval", "WARNING") as logs:
            for _ in range(3):
                self.assertEqual(cache.fetch("app:k", lambda: 1).source, "unstored")
        self.assertEqual(len(logs.output), 1)
        # What docs/readers.md lists is enough.
        filler = Cache(server.client(username="filler", password="pass"))
        self.addCleanup(filler.close)
        self.assertEqual(filler.check(), servers.VERSION)
        self.assertEqual(filler.fetch("app:k", lambda: 1).source, "filled")
        self.assertEqual(filler.fetch("app:k", self.fail).source, "hit")
        self.assertEqual(filler.fetch("other:k", lambda: 1).source, "unstored")

    def test_errors_by_their_text(self):
        for error, kind in (
                (redis.ResponseError("Function not found"), Kind.NO_FUNCTION),
                (redis.ResponseError("unknown command 'FCALL', with args"), Kind.NO_COMMAND),
                (redis.exceptions.OutOfMemoryError("x") if hasattr(
                    redis.exceptions, "OutOfMemoryError") else redis.ResponseError("OOM x"),
                 Kind.READ_ONLY),
                (redis.ResponseError("MISCONF Redis is configured"), Kind.READ_ONLY),
                (redis.exceptions.ReadOnlyError("You can't write"), Kind.READ_ONLY),
                (redis.exceptions.BusyLoadingError("Redis is loading"), Kind.DOWN),
                (redis.exceptions.ClusterDownError("The cluster is down"), Kind.DOWN),
                (redis.ResponseError("ERR ACL failure in script: No permissions to access a key"),
                 Kind.DENIED),
                (redis.ResponseError("WRONGTYPE Operation"), Kind.WRONG_TYPE),
                (redis.AuthenticationError("invalid username"), Kind.DENIED),
                (redis.ResponseError("CROSSSLOT Keys"), Kind.OTHER), (OSError(), Kind.DOWN)):
            self.assertIs(trouble_of(error).kind, kind, error)


class BreakerTest(unittest.TestCase):
    def test_states(self):
        now, changes = [0.0], []
        circuit = Circuit(Breaker(failures=2, open_for=1, max_open=3), lambda: now[0], changes.append)
        circuit.failed(False)
        circuit.succeeded()
        circuit.failed(False)
        self.assertIs(circuit.enter(), False)
        circuit.failed(False)
        self.assertIsNone(circuit.enter())
        circuit.failed(False)  # was under way: it tells nothing new
        waits = []
        for _ in range(4):
            start = now[0]
            while circuit.enter() is None:
                now[0] += 0.125
            waits.append(now[0] - start)
            self.assertIsNone(circuit.enter())  # one probe at a time
            circuit.failed(True)
        self.assertEqual(waits, [1, 2, 3, 3])
        now[0] += 3
        self.assertIs(circuit.enter(), True)
        circuit.succeeded()
        self.assertIs(circuit.enter(), False)
        self.assertEqual(changes, [True, False])
        circuit.failed(False)
        circuit.failed(False)
        now[0] += 1
        self.assertIs(circuit.enter(), True)  # doubling has begun anew

    def test_a_probe_that_is_lost_blocks_nobody(self):
        now = [0.0]
        circuit = Circuit(Breaker(failures=1, open_for=1), lambda: now[0])
        circuit.failed(False)
        now[0] = 1
        self.assertIs(circuit.enter(), True)
        now[0] = 2
        self.assertIs(circuit.enter(), True)

    def test_bad_settings(self):
        for settings in (dict(failures=0), dict(open_for=0), dict(open_for=2, max_open=1)):
            with self.assertRaises(ValueError):
                Breaker(**settings)


if __name__ == "__main__":
    unittest.main()
