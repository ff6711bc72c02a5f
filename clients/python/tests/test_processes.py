"""Caches that are made before the process forks, event loops that end, callers that are cancelled."""
import asyncio
import gc
import os
import threading
import unittest
import warnings

import quiet  # noqa: F401

import servers
from inval import AsyncCache, Cache, LocalCache, PublishFeed

server = None


def setUpModule():
    global server
    server = servers.RedisServer()


def tearDownModule():
    server.close()


def in_child(function):
    """What a forked child gives; it is killed if it takes too long."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        threading.Timer(servers.SECONDS, lambda: os._exit(1)).start()
        os.write(writer, repr(function()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


class Case(unittest.TestCase):
    def setUp(self):
        """Connections of a loop that is closed can only be dropped."""
        catch = warnings.catch_warnings()
        catch.__enter__()
        self.addCleanup(catch.__exit__, None, None, None)
        self.addCleanup(gc.collect)
        warnings.simplefilter("ignore", ResourceWarning)


class ForkTest(Case):
    def test_no_lock_stays_held(self):
        """Another thread may be in the midst of anything when the process forks."""
        with Cache.from_url(server.url) as cache:
            cache._events._lock.acquire()
            with self.assertLogs("inval", "WARNING"):
                cache._events._lock.release()
                cache._events.warn("", "of the parent")
                cache._events._lock.acquire()
            try:
                self.assertEqual(in_child(lambda: cache._events.warn("", "of the parent")), "None")
            finally:
                cache._events._lock.release()

    def test_asyncio(self):
        """gunicorn --preload: made in the master, used in the workers."""
        timeouts = dict(connect_timeout=20, read_timeout=20)
        cache = AsyncCache.from_url(server.url, local=LocalCache(feed=PublishFeed("changes")), **timeouts)

        async def use():
            return [await cache.get_or_set(f"fork{n}", lambda: n) for n in range(3)]

        async def use_and_close():
            try:
                return await use()
            finally:
                await cache.close()

        def child():
            servers.wait_until(cache.local.feed.lives, "the child's feed")
            return asyncio.run(use())

        self.assertEqual(asyncio.run(use()), [0, 1, 2])
        self.assertEqual(in_child(child), "[0, 1, 2]")
        self.assertEqual(asyncio.run(use_and_close()), [0, 1, 2])


class LoopTest(Case):
    def test_one_after_the_other(self):
        """A task queue that calls asyncio.run() for each task."""
        cache = AsyncCache.from_url(server.url, connect_timeout=20, read_timeout=20)

        async def abandoned():
            loads = asyncio.Event()

            async def load():
                loads.set()
                await asyncio.sleep(600)

            asyncio.ensure_future(cache.get_or_set("loop", load))
            await loads.wait()

        async def last():
            value = await cache.get_or_set("other loop", lambda: 5)
            await cache.close()
            return value

        asyncio.run(abandoned())
        for _ in range(3):
            self.assertEqual(asyncio.run(cache.get_or_set("loop", lambda: 5)), 5)
        self.assertEqual(asyncio.run(last()), 5)

    def test_not_two_at_once(self):
        cache = AsyncCache.from_url(server.url, connect_timeout=20, read_timeout=20)
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        try:
            first.run_until_complete(cache.get("k"))
            with self.assertRaisesRegex(RuntimeError, "make one for each"):
                second.run_until_complete(cache.get("k"))
            first.run_until_complete(cache.close())
        finally:
            first.close()
            second.close()


class CancelledTest(unittest.IsolatedAsyncioTestCase):
    async def test_while_asking(self):
        """Redis has granted the lease, to nobody: others must not wait until it expires."""
        async with AsyncCache.from_url(server.url, connect_timeout=20, read_timeout=20) as cache:
            await cache.get("k")
            for ask in (lambda: cache.get_or_set("cancelled", lambda: 1, lease=600),
                        lambda: cache.get_or_set_many(["cancelled"], lambda keys: {}, lease=600)):
                server.freeze()
                try:
                    asking = asyncio.ensure_future(ask())
                    for _ in range(10):
                        await asyncio.sleep(0)
                    asking.cancel()
                    with self.assertRaises(asyncio.CancelledError):
                        await asking
                finally:
                    server.thaw()
                result = await cache.fetch("cancelled", lambda: 2, lease=600, wait=servers.SECONDS)
                self.assertEqual(result.source, "filled")
                await cache.delete("cancelled")


if __name__ == "__main__":
    unittest.main()
