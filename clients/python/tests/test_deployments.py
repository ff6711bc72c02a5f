"""Sentinel and Cluster, by redis-py's own clients and by the URLs of the extension."""
import asyncio
import os
import shutil
import subprocess
import unittest

import quiet  # noqa: F401
import redis
import servers
from redis.cluster import RedisCluster

from inval import AsyncCache, Cache, LocalCache, Policy, PublishFeed, TrackingFeed, library
from inval.url import client_of, parse

PATIENT = dict(connect_timeout=20, read_timeout=20)


class SentinelTest(unittest.TestCase):
    def test_failover(self):
        primary = servers.RedisServer(repl_diskless_sync_delay=0)
        self.addCleanup(primary.close)
        replica = servers.RedisServer(library=False, repl_diskless_sync_delay=0,
                                      replicaof=f"127.0.0.1 {primary.port}")
        self.addCleanup(replica.close)
        sentinel = self.sentinel(primary)
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/keys/0"
        cache = Cache.from_url(url, policy=Policy(lease=1, wait=0.1), **PATIENT)
        self.addCleanup(cache.close)
        self.assertEqual(cache.check(), servers.VERSION)
        self.assertEqual(cache.fetch("k", lambda: 1).source, "filled")

        def replicated():
            with replica.client() as client:
                return client.get("k") == b"1"

        # From here on a failover that nobody wanted, on a busy machine, loses nothing.
        servers.wait_until(replicated, "the replica")

        async def read():
            async with AsyncCache.from_url(url, **PATIENT) as other:
                return (await other.fetch("k", self.fail)).source

        self.assertEqual(asyncio.run(read()), "hit")

        watched = redis.Redis(port=sentinel.port)
        self.addCleanup(watched.close)
        servers.wait_until(lambda: watched.execute_command("SENTINEL", "REPLICAS", "keys"),
                           "the sentinel to know the replica")
        primary.stop()
        # It loads meanwhile, and then goes on with the new primary and its copy of the library.
        servers.wait_until(lambda: cache.fetch("other", lambda: 2).source == "filled", "a failover")
        self.assertEqual(cache.fetch("k", self.fail).source, "hit")

    def sentinel(self, primary):
        server = servers.RedisServer(sentinel=[
            f"monitor keys 127.0.0.1 {primary.port} 1",
            "down-after-milliseconds keys 1500", "failover-timeout keys 3000"])
        self.addCleanup(server.close)
        return server


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nodes = []
        for _ in range(3):
            cls.nodes.append(servers.RedisServer(library=False, cluster_enabled="yes"))
            cls.addClassCleanup(cls.nodes[-1].close)
        subprocess.run([shutil.which("redis-cli") or "valkey-cli", "--cluster", "create", "--cluster-yes",
                        *(f"127.0.0.1:{node.port}" for node in cls.nodes)], check=True,
                       stdout=subprocess.DEVNULL)
        cls.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in cls.nodes)

        def well():
            with cls.nodes[0].client() as client:
                return client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"

        servers.wait_until(well, "the cluster")
        client = client_of(cls.url, 20, 20)
        library.load(client)
        client.close()

    def test_cache(self):
        for cache in (Cache.from_url(self.url, **PATIENT),
                      Cache(RedisCluster(host="127.0.0.1", port=self.nodes[0].port))):
            with cache:
                cache.client.flushall(target_nodes="primaries")
                keys = [f"k{n}" for n in range(30)]
                self.assertEqual(cache.check(), servers.VERSION)
                for key in keys[:10]:
                    self.assertEqual(cache.fetch(key, lambda: 1).source, "filled")
                    self.assertEqual(cache.fetch(key, self.fail).source, "hit")
                many = cache.get_or_set_many(keys, lambda ks: dict.fromkeys(ks, 2))
                self.assertEqual(many, {**dict.fromkeys(keys, 2), **dict.fromkeys(keys[:10], 1)})
                self.assertEqual(cache.get_or_set_many(keys, self.fail), many)
                self.assertEqual(cache.fetch("page", lambda: 1, depends=["{a}set", "{b}set"]).source,
                                 "filled")
                self.assertEqual(len(cache.version(*(f"v{n}" for n in range(9)))), 9)
                self.assertEqual(cache.delete(*keys), 30)
                self.assertEqual(cache.hget_or_set("h", "f", lambda: 1, 5), 1)

    def test_asyncio(self):
        async def work():
            async with AsyncCache.from_url(self.url, **PATIENT) as cache:
                keys = [f"a{n}" for n in range(10)]
                self.assertEqual(await cache.check(), servers.VERSION)
                many = await cache.get_or_set_many(keys, lambda ks: dict.fromkeys(ks, 2))
                self.assertEqual(many, dict.fromkeys(keys, 2))
                self.assertEqual((await cache.fetch("a1", self.fail)).source, "hit")

        asyncio.run(work())

    def test_first_level(self):
        with Cache.from_url(self.url, policy=Policy(local=60), **PATIENT,
                            local=LocalCache(feed=PublishFeed("changes"))) as cache:
            servers.wait_until(cache.local.feed.lives, "the feed")
            for n in range(10):
                cache.get_or_set(f"l{n}", lambda: 1)
                self.assertEqual(cache.fetch(f"l{n}", self.fail).source, "local")
                cache.client.set(f"l{n}", "2")
                with self.nodes[n % 3].client() as client:
                    client.publish("changes", f"l{n}")
                servers.wait_until(lambda: cache.get_or_set(f"l{n}", self.fail) == 2, "the message")
        with self.assertRaisesRegex(ValueError, "PublishFeed"):
            Cache.from_url(self.url, local=LocalCache(feed=TrackingFeed(["k"])), **PATIENT)


class UrlTest(unittest.TestCase):
    def test_parts(self):
        for url, parts in (
                ("redis://h", dict(kind="redis", hosts=[("h", 6379)], db=0)),
                ("valkey://:p%40@h:1/2", dict(kind="redis", hosts=[("h", 1)], db=2, password="p@")),
                ("rediss://u:p@[::1]:5?cacert=/c", dict(kind="rediss", tls=True, hosts=[("::1", 5)],
                                                        user="u", options={"cacert": "/c"})),
                ("unix:///a%20b?db=3&user=u&password=p", dict(kind="unix", path="/a b", db=3, user="u",
                                                              password="p")),
                ("redis+sentinel://a,b:5/m/3", dict(kind="sentinel", hosts=[("a", 26379), ("b", 5)],
                                                    master="m", db=3)),
                ("rediss+cluster://a,b", dict(kind="cluster", tls=True,
                                              hosts=[("a", 6379), ("b", 6379)]))):
            address = parse(url)
            self.assertEqual({name: getattr(address, name) for name in parts}, parts)

    def test_refused(self):
        for url in ("http://h", "redis://", "redis://h:0", "redis://h:x", "redis://h/x",
                    "redis+cluster://h/1", "redis+sentinel://h", "unix://a", "redis://h?cacert=/c",
                    "redis://secret@h?x=1"):
            with self.assertRaises(ValueError) as caught:
                parse(url)
            self.assertNotIn("secret", str(caught.exception))

    def test_passfile(self):
        with servers.RedisServer(requirepass="geheim", library=False) as server:
            path = os.path.join(server.directory, "password")
            with open(path, "w", encoding="utf-8") as file:
                file.write("geheim\n")
            client = client_of(f"redis://127.0.0.1:{server.port}/0?passfile={path}", 20, 20)
            self.assertTrue(client.ping())
            client.close()

    def test_timeouts_reach_the_client(self):
        for url in ("redis://h", "unix:///s", "rediss://h", "redis+sentinel://h/m"):
            for asynchronous in (False, True):
                settings = client_of(url, 0.25, 0.5, asynchronous).connection_pool.connection_kwargs
                self.assertEqual(settings["socket_timeout"], 0.5, url)
                if not url.startswith("unix"):
                    self.assertEqual(settings["socket_connect_timeout"], 0.25, url)

if __name__ == "__main__":
    unittest.main()
