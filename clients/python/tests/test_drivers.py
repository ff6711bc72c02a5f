"""The two drivers take the same steps, for each sequence of answers, and their batches too."""
import asyncio
import itertools
import json
import threading
import unittest
from unittest import mock

import quiet  # noqa: F401
from redis import exceptions as errors

from inval import AsyncCache, Cache, Policy, flow
from inval.testing import AsyncMemoryCache, MemoryCache

FILL = [b"fill", b"7", None]
STALE = [b"fill", b"7", b'"old"']
REPLIES = {
    "inval_get": [[b"hit", b'"old"'], FILL, STALE, [b"wait", None], [b"bypass"],
                  errors.ConnectionError("gone"), errors.ResponseError("Function not found"),
                  errors.ResponseError("unknown command 'FCALL'"),
                  errors.ResponseError("OOM command not allowed")],
    "GET": [None, b'"old"', errors.TimeoutError("slow")],
    "inval_set": [1, 0, errors.ConnectionError("gone")],
    "inval_release": [1],
    "SET": [True, errors.ConnectionError("gone")],
    "SADD": [1, errors.ConnectionError("gone")], "PEXPIRE": [1],
}


class Script:
    """Answers commands by a list of choices; notes the commands."""

    def __init__(self, choices):
        self.choices = list(choices)
        self.commands = []
        self.asked_more = None

    def reply(self, command):
        name = command[1] if command[0] == "FCALL" else command[0]
        self.commands.append(command)
        replies = REPLIES[name]
        if len(replies) == 1:
            return replies[0]
        if not self.choices:
            self.asked_more = self.asked_more or replies
            return [b"bypass"] if name == "inval_get" else replies[0]
        return self.choices.pop(0)

    def many(self, commands):
        replies = [self.reply(command) for command in commands]
        for reply in replies:
            if isinstance(reply, (errors.ConnectionError, errors.TimeoutError)):
                raise reply
        return replies


class Told:
    def __init__(self):
        self.events = []

    def __call__(self, event, entry, seconds):
        self.events.append((event, entry))


def outcome_of(function):
    try:
        return function()
    except Exception as error:
        return repr(error)


class DriversTest(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.object(flow, "PAUSE", (0, 0))
        patch.start()
        self.addCleanup(patch.stop)
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)
        asyncio.set_event_loop(self.loop)  # Python 3.9 binds events to it where they are made
        self.addCleanup(asyncio.set_event_loop, None)

    def both(self, choices, use_sync, use_async, policy):
        """The traces of both drivers for the same replies."""
        traces = []
        for kind, use in ((MemoryCache, use_sync), (AsyncMemoryCache, use_async)):
            script, told = Script(choices), Told()
            cache = kind(policy=policy, observer=told)
            cache._runner.backend.many = script.many
            outcome = outcome_of(lambda: use(cache))
            traces.append((outcome, script.commands, told.events))
        return traces, script.asked_more

    def compare(self, use_sync, use_async, policy, length=4):
        stack, count = [()], 0
        while stack:
            choices = stack.pop()
            (sync, other), more = self.both(choices, use_sync, use_async, policy)
            self.assertEqual(sync, other, choices)
            count += 1
            if more and len(choices) < length:
                stack.extend((*choices, reply) for reply in more)
        return count

    def test_reads(self):
        def failing():
            raise RuntimeError("the load fails")

        def loading():
            return {"mine": 1}

        count = 0
        for load, fields, depends in itertools.product(
                (loading, failing), ({}, {"strict": True}, {"stale": 5}), ((), ("a set",))):
            policy = Policy(jitter=0, wait=5, **fields)
            with self.subTest(load=load.__name__, fields=fields, depends=depends):
                count += self.compare(
                    lambda cache: cache.fetch("k", load, depends=depends),
                    lambda cache: self.loop.run_until_complete(cache.fetch("k", load, depends=depends)), policy, 3)
        self.assertGreater(count, 300)

    def test_batches(self):
        def loading(keys):
            return {key: key for key in keys if key != "c"}

        count = self.compare(
            lambda cache: cache.get_or_set_many(["a", "c"], loading),
            lambda cache: self.loop.run_until_complete(cache.get_or_set_many(["a", "c"], loading)),
            Policy(jitter=0, wait=5), 3)
        self.assertGreater(count, 300)

    def test_fills_by_hand(self):
        def by_hand(cache):
            with cache.fill("k") as fill:
                if not fill.hit:
                    fill.depends_on("a set")
                    fill.store("mine")
                return fill.value, fill.stale, fill.result

        async def by_hand_async(cache):
            async with cache.fill("k") as fill:
                if not fill.hit:
                    await fill.depends_on("a set")
                    await fill.store("mine")
                return fill.value, fill.stale, fill.result

        self.compare(by_hand, lambda cache: self.loop.run_until_complete(by_hand_async(cache)),
                     Policy(jitter=0, wait=5), 3)

    def test_same_names(self):
        def public(kind):
            return {name for name in dir(kind) if not name.startswith("_")}

        self.assertEqual(public(Cache), public(AsyncCache))


class BatchModelTest(unittest.TestCase):
    """What is true of each batch, whatever Redis answers for each key."""

    def test_every_pair_of_answers(self):
        told = Told()
        with mock.patch.object(flow, "PAUSE", (0, 0)):
            for strict in (False, True):
                for choices in itertools.product(REPLIES["inval_get"], repeat=2):
                    for stored in itertools.product((1, 0), repeat=2):
                        self.check(choices, stored, strict, told)

    def check(self, choices, stored, strict, told):
        script = Script(choices)
        stores = list(stored)
        releases, loads, commands = [], [], []

        def many(asked):
            replies = []
            for command in asked:
                commands.append(command)
                name = command[1] if command[0] == "FCALL" else command[0]
                if name == "inval_set":
                    replies.append(stores.pop(0))
                else:
                    replies.append(script.reply(command))
                if name == "inval_release":
                    releases.append(command)
            for reply in replies:
                if isinstance(reply, errors.ConnectionError):
                    raise reply
            return replies

        cache = MemoryCache(policy=Policy(jitter=0, wait=5, strict=strict), observer=told)
        cache._runner.backend.many = many

        def load(keys):
            loads.extend(keys)
            return {key: "mine" for key in keys}

        values = cache.get_or_set_many(["a", "b"], load)
        self.assertEqual(list(values), ["a", "b"])
        self.assertEqual(len(loads), len(set(loads)))
        for value in values.values():
            self.assertIn(value, ("mine", "old"))
        set_keys = [c[3] for c in commands if c[:2] == ("FCALL", "inval_set")]
        self.assertTrue(set(set_keys) <= set(loads))
        if strict:
            self.assertEqual([c for c in commands if c[0] in ("GET", "SET")], [])
        if not any(isinstance(c, Exception) for c in choices):
            fills = [key for key, c in zip("ab", choices) if c[0] == b"fill"]
            self.assertEqual(sorted(set_keys + [c[3] for c in releases]), fills)


class CancelledTest(unittest.IsolatedAsyncioTestCase):
    async def test_a_cancelled_filler_gives_up_its_lease(self):
        cache = AsyncMemoryCache()
        started = asyncio.Event()

        async def slow():
            started.set()
            await asyncio.sleep(60)

        first = asyncio.ensure_future(cache.get_or_set("k", slow))
        await started.wait()
        other = asyncio.ensure_future(cache.get_or_set("k", lambda: "others'"))
        await asyncio.sleep(0)
        first.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await first
        self.assertEqual(await other, "others'")

    async def test_a_cancelled_waiter_disturbs_nobody(self):
        cache = AsyncMemoryCache()
        started, go = asyncio.Event(), asyncio.Event()

        async def load():
            started.set()
            await go.wait()
            return "mine"

        filler = asyncio.ensure_future(cache.get_or_set("k", load))
        await started.wait()
        waiters = [asyncio.ensure_future(cache.get_or_set("k", load)) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiters[0].cancel()
        go.set()
        self.assertEqual([await filler, await waiters[1], await waiters[2]], ["mine"] * 3)


class SharingTest(unittest.TestCase):
    """Who waits for somebody in the same process takes what that one has stored, but
    never a value that was stored before he asked."""

    def test_refused_is_not_shared(self):
        cache = MemoryCache()
        loading, go = threading.Event(), threading.Event()
        database = ["old"]

        def slow():
            value = database[0]
            loading.set()
            go.wait()
            return value

        results = {}

        def read(name, load):
            results[name] = cache.fetch("k", load)

        first = threading.Thread(target=read, args=("first", slow))
        first.start()
        loading.wait()
        waiting = threading.Thread(target=read, args=("waiting", lambda: database[0]))
        waiting.start()
        while not cache._runner.flights.current("k"):
            pass
        database[0] = "new"
        cache.memory.invalidate("k")
        go.set()
        first.join()
        waiting.join()
        self.assertEqual((results["first"].value, results["first"].source), ("old", "unstored"))
        self.assertEqual(results["waiting"].value, "new")

    def test_sealed_is_not_shared(self):
        cache = MemoryCache()
        flight = cache._runner.flights.begin("k")
        flight.sealed = True
        flight.data = json.dumps("old").encode()
        flight.landed.set()
        self.assertIsNone(cache._runner.flights.wait(flight, 1))


if __name__ == "__main__":
    unittest.main()
