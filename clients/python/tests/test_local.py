"""The first level: an invalidation drops its value, a cut connection drops all of them, and
what was read before a drop is not kept after it."""
import os
import threading
import time
import unittest
from unittest import mock

import database
import quiet  # noqa: F401
import servers

from inval import Cache, LocalCache, Policy, PublishFeed, TrackingFeed, feed
from inval.local import Ticket
from inval.url import REDIS_PY

LOCAL = Policy(local=60)


class AliveFeed:
    """Lives, or not, as it is told."""

    alive = True

    def start(self, client, drop, flush):
        pass

    def lives(self):
        return self.alive

    def close(self):
        pass

    def after_fork(self):
        self.alive = False


class LocalCacheTest(unittest.TestCase):
    def setUp(self):
        self.now = 0.0
        self.feed = AliveFeed()
        self.local = LocalCache(3, 100, feed=self.feed, clock=lambda: self.now)

    def keep(self, key, data=b"x", seconds=10):
        self.local.keep(self.local.expect(key), data, seconds)

    def test_bounds(self):
        for key in "abc":
            self.keep(key)
        self.assertEqual(self.local.get("a"), b"x")
        self.keep("d")
        self.assertEqual([key for key in "abcd" if self.local.get(key)], ["a", "c", "d"])
        self.keep("e", b"x" * 99)
        self.assertLessEqual(len(self.local), 2)
        self.keep("f", b"x" * 101)
        self.assertIsNone(self.local.get("f"))
        self.now = 10
        self.assertIsNone(self.local.get("e"))

    def test_the_generation_race(self):
        """Read the old value, the drop arrives, then keep: must not be kept."""
        for drop in (lambda: self.local.drop("k"), self.local.flush):
            ticket = self.local.expect("k")
            drop()
            self.local.keep(ticket, b"old", 10)
            self.assertIsNone(self.local.get("k"))
        ticket = self.local.expect("k")
        self.local.drop("another")
        self.local.keep(ticket, b"new", 10)
        self.assertEqual(self.local.get("k"), b"new")
        self.assertEqual(self.local._expected, {})
        self.assertIsInstance(ticket, Ticket)

    def test_nothing_without_a_living_feed(self):
        self.keep("k")
        self.feed.alive = False
        self.assertIsNone(self.local.get("k"))

    def test_bad_use(self):
        for use in (lambda: LocalCache(0, feed=self.feed), PublishFeed, lambda: TrackingFeed([]),
                    lambda: Policy(local=61)):
            with self.assertRaises(ValueError):
                use()
        with self.assertRaises(TypeError):
            TrackingFeed("prefix")


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = servers.RedisServer()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.redis = self.server.client()
        self.addCleanup(self.redis.close)
        self.redis.flushall()

    def cache(self, feed_of, url=None):
        cache = Cache.from_url(url or self.server.url, connect_timeout=20, read_timeout=20,
                               policy=LOCAL, local=LocalCache(feed=feed_of))
        self.addCleanup(cache.close)
        servers.wait_until(cache.local.feed.lives, "the feed")
        return cache

    def warm(self, cache, key, value):
        """From Redis into the first level."""
        self.redis.set(key, value)
        servers.wait_until(lambda: cache.fetch(key, self.fail).source == "local", "the first level")


class FeedTest(Case):
    def check_feed(self, cache, invalidate):
        self.warm(cache, "k", "1")
        self.redis.set("untold", "2")  # of the tracked prefix, or of none that is published
        invalidate("k", "3")
        servers.wait_until(lambda: cache.get_or_set("k", self.fail) == 3, "the invalidation")

    def test_publish(self):
        cache = self.cache(PublishFeed("changes"))

        def invalidate(key, value):
            self.redis.set(key, value)
            self.redis.publish("changes", key)

        self.check_feed(cache, invalidate)

    def test_whatever_the_client_speaks(self):
        """In RESP3, which a client of redis-py 5 and later may speak, messages are no replies."""
        speaks = {"protocol": 3} if REDIS_PY >= 5 else {}
        with self.server.client(**speaks) as client:
            cache = Cache(client, policy=LOCAL, local=LocalCache(feed=PublishFeed("changes")))
            self.addCleanup(cache.close)
            servers.wait_until(cache.local.feed.lives, "the feed")
            self.warm(cache, "k", "1")

    def test_tracking(self):
        cache = self.cache(TrackingFeed(["k", "l"]))
        self.check_feed(cache, self.redis.set)
        self.warm(cache, "l", "1")
        self.redis.flushall()
        servers.wait_until(lambda: cache.local.get("l") is None, "FLUSHALL")

    def test_a_function_that_removes_is_tracked(self):
        cache = self.cache(TrackingFeed(["k"]))
        self.warm(cache, "k", "1")
        self.redis.sadd("set", "k")
        self.redis.fcall("inval_members", 1, "set")
        servers.wait_until(lambda: cache.local.get("k") is None, "the invalidation")

    def test_a_message_lost_with_the_connection(self):
        # It is the end of the connection that is noticed, not the missing pong.
        patch = mock.patch.object(feed, "PONG", 3600)
        patch.start()
        self.addCleanup(patch.stop)
        for kind in (lambda: PublishFeed("changes"), lambda: TrackingFeed(["k"])):
            cache = self.cache(kind())
            self.warm(cache, "k", "1")
            # The connection is cut, and cannot come back while the key is invalidated.
            self.redis.config_set("maxclients", 1)
            ours = self.redis.client_id()
            for client in self.redis.client_list():
                if int(client["id"]) != ours:
                    self.redis.client_kill_filter(_id=client["id"])
            servers.wait_until(lambda: not cache.local.feed.lives(), "the loss to be noticed")
            self.redis.set("k", "2")
            self.redis.publish("changes", "k")  # nobody hears that
            self.assertIsNone(cache.local.get("k"))
            self.redis.config_set("maxclients", 1000)
            servers.wait_until(cache.local.feed.lives, "the feed")
            self.assertEqual(cache.get_or_set("k", self.fail), 2)
            cache.close()

    def test_no_pong(self):
        """A connection that is only silent is given up, and nothing is served meanwhile."""
        with servers.RedisServer() as server:
            cache = self.cache(PublishFeed("changes"), server.url)
            with server.client() as client:
                client.set("k", "1")
            servers.wait_until(lambda: cache.fetch("k", self.fail).source == "local", "warm")
            server.freeze()
            start = time.monotonic()
            servers.wait_until(lambda: cache.local.get("k") is None, "the silence to be noticed")
            self.assertLess(time.monotonic() - start, feed.PONG + 10)
            server.thaw()

    def test_after_a_fork(self):
        cache = self.cache(PublishFeed("changes"))
        self.warm(cache, "k", "1")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            first = cache.local.get("k")
            servers.wait_until(cache.local.feed.lives, "the child's feed")
            os.write(writer, b"%r" % first)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            self.assertEqual(file.read(), b"None")
        os.waitpid(child, 0)
        self.assertEqual(cache.fetch("k", self.fail).source, "local")

    def test_the_race_through_the_cache(self):
        """The drop arrives between Redis' answer and the keeping of it."""
        cache = self.cache(PublishFeed("changes"))
        self.redis.set("k", "1")
        answered, go = threading.Event(), threading.Event()
        many = cache._runner.backend.many

        def slow(commands):
            replies = many(commands)
            answered.set()
            go.wait()
            return replies

        cache._runner.backend.many = slow
        results = []
        reader = threading.Thread(target=lambda: results.append(cache.get_or_set("k", self.fail)))
        reader.start()
        answered.wait()
        self.redis.set("k", "2")
        drops = []
        cache.local.drop, drop = lambda key: (drop(key), drops.append(key)), cache.local.drop
        cache.local.drop("k")  # the feed has the method that was there when it began
        go.set()
        reader.join()
        self.assertEqual(results, [1])  # this call began before the change
        self.assertEqual(cache.get_or_set("k", self.fail), 2)


@database.needed
class ThroughPostgresTest(unittest.TestCase):
    def test_a_committed_change_reaches_the_first_level(self):
        with database.connect() as connection:
            connection.execute("CREATE TABLE seen (id integer PRIMARY KEY, v integer)")
            self.addCleanup(self.drop)
            connection.execute("INSERT INTO seen VALUES (1, 1)")
            connection.execute("SELECT inval_track('seen', key => 'seen:{id}', publish => 'seen', "
                               "fence => true)")

            def load():
                return connection.execute("SELECT v FROM seen WHERE id = 1").fetchone()[0]

            with Cache.from_url(database.REDIS, connect_timeout=20, read_timeout=20, policy=LOCAL,
                                local=LocalCache(feed=PublishFeed("seen"))) as cache:
                servers.wait_until(cache.local.feed.lives, "the feed")
                for value in range(1, 6):
                    connection.execute("UPDATE seen SET v = %s", [value])
                    servers.wait_until(lambda: cache.get_or_set("seen:1", load) == value, "the drop")
                    servers.wait_until(lambda: cache.fetch("seen:1", load).source == "local", "kept")

    @staticmethod
    def drop():
        with database.connect() as connection:
            connection.execute("DROP TABLE seen")


if __name__ == "__main__":
    unittest.main()
