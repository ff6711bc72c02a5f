"""aget_or_set and entries that are awaited, in the loops that Django makes."""

import asyncio
import gc
import warnings

from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import cache
from django.db import transaction
from django.test import TestCase, TransactionTestCase

from inval.django.glue import shared_cache
from inval.django.test import InvalTestMixin
from shop.models import Book

from .test_transactions import fixture, load, price, write, write_and_load


async def aload():
    return await sync_to_async(load)()


async def awrite_and_load():
    return await sync_to_async(write_and_load)()


async def aprice():
    return await cache.aget_or_set("book:1", aload)


class AsyncTests(InvalTestMixin, TransactionTestCase):
    def setUp(self):
        super().setUp()
        fixture()

    async def test_filled_once_and_invalidated(self):
        loads = []

        async def count():
            loads.append(1)
            return await aload()

        found = await asyncio.gather(*(cache.aget_or_set("book:1", count) for _ in range(50)))
        self.assertEqual(found, [10] * 50)
        self.assertEqual(len(loads), 1)
        await sync_to_async(write)()
        self.assertEqual(await aprice(), 11)
        self.assertEqual(await cache.aget_or_set("five", 5), 5)
        self.assertEqual(await cache.aget_or_set("nothing", 5, 0), 5)
        self.assertEqual(await sync_to_async(cache.get_many)(["five", "nothing"]), {"five": 5})
        self.assertEqual(await cache.ainval.get_or_set_many(["five"], dict), {"five": 5})

    def test_a_loop_of_its_own_each_time(self):
        self.assertEqual([async_to_sync(aprice)() for _ in range(3)], [10] * 3)
        self.assertEqual(asyncio.run(aprice()), 10)

    def test_loops_that_are_gone_leave_nothing(self):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(5):
                async_to_sync(aprice)()
            self.assertEqual(len(shared_cache(cache.config).caches()), 1, "only that of the threads")
            gc.collect()
        self.assertEqual([str(one.message) for one in said if one.category is ResourceWarning], [], "no connection is left open")

    def test_by_hand(self):
        async def by_hand():
            async with cache.ainval.fill("book:1") as fill:
                if not fill.hit:
                    await fill.store(await aload())
                return fill.value

        async def hashed():
            return await cache.ainval.hget_or_set("hash", "f", aload, 100)

        self.assertEqual(async_to_sync(by_hand)(), 10)
        self.assertTrue(cache.has_key("book:1"))
        with transaction.atomic():
            write()
            self.assertEqual(async_to_sync(by_hand)(), 11)
            self.assertEqual(async_to_sync(hashed)(), 11)
        self.assertFalse(cache.has_key("hash"))

    def test_the_transaction_is_that_of_the_thread(self):
        price()
        with transaction.atomic():
            write()
            self.assertEqual(async_to_sync(aprice)(), 11)
        self.assertEqual(price(), 11)
        cache.clear()
        with transaction.atomic():
            write()
            self.assertEqual(async_to_sync(aprice)(), 12)
            self.assertFalse(cache.has_key("book:1"))
        with transaction.atomic():
            # What only the load writes is known when it is to be stored.
            self.assertEqual(async_to_sync(cache.aget_or_set)("book:1", awrite_and_load), 13)
            self.assertFalse(cache.has_key("book:1"))


class NothingLeaksTests(InvalTestMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        fixture()

    async def test_one(self):
        await sync_to_async(write)()
        self.assertEqual(await aprice(), 11)

    async def test_another(self):
        self.assertEqual(await aprice(), 10)
        self.assertEqual(await sync_to_async(Book.objects.count)(), 1)
        self.assertFalse(await sync_to_async(cache.has_key)("book:1"))
