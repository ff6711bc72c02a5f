"""What a transaction has written is not stored for others, and it sees it itself."""

from django.core.cache import cache
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import TestCase, TransactionTestCase

from inval.django.test import InvalTestMixin
from inval.django.transactions import may_serve, may_store
from shop.models import Book, Owner, Publisher

from .test_cache import in_thread


def write():
    Book.objects.update(price=F("price") + 1)


def price():
    return cache.get_or_set("book:1", load)


def load():
    return Book.objects.get(pk=1).price


def fixture():
    Book.objects.create(pk=1, title="one", price=10, publisher=Publisher.objects.create(owner=Owner.objects.create()))


class Undone(Exception):
    pass


class TransactionTests(InvalTestMixin, TransactionTestCase):
    def setUp(self):
        super().setUp()
        fixture()

    def test_an_own_write_is_seen(self):
        self.assertEqual(price(), 10)
        with transaction.atomic():
            self.assertEqual(price(), 10)
            write()
            self.assertEqual(price(), 11)
            self.assertEqual(cache.get_or_set_many(["book:1"], lambda keys: {"book:1": load()}), {"book:1": 11})
            self.assertEqual(cache.fetch("book:1", load).source, "bypass")
            with cache.inval.fill("book:1") as fill:
                self.assertFalse(fill.hit)
                self.assertFalse(fill.store(load()))
                self.assertEqual(fill.value, 11)
            in_thread(lambda: self.assertEqual(price(), 10))
            self.assertEqual(cache.get("book:1"), 10)
        self.assertEqual(price(), 11)
        self.assertEqual(cache.get("book:1"), 11)

    def test_rolled_back_after_a_read(self):
        """As a view under ATOMIC_REQUESTS that fails."""
        try:
            with transaction.atomic():
                write()
                self.assertEqual(price(), 11)
                raise Undone
        except Undone:
            pass
        self.assertFalse(cache.has_key("book:1"))
        self.assertEqual(price(), 10)
        # And where only the savepoint is rolled back: what is read then is right, but nobody can know.
        with transaction.atomic():
            try:
                with transaction.atomic():
                    write()
                    raise Undone
            except Undone:
                pass
            self.assertEqual(price(), 10)

    def test_reads_in_a_transaction_are_stored_and_cost_nothing_more(self):
        with transaction.atomic():
            Book.objects.count()
            self.assertEqual(cache.fetch("book:1", load).source, "filled")
            with self.assertNumQueries(0):
                self.assertEqual(cache.fetch("book:1", load).source, "hit")
        cache.clear()
        with transaction.atomic():
            with self.assertNumQueries(1):
                price()

    def test_hits_ask_only_where_something_was_written(self):
        price()
        with transaction.atomic():
            price()  # the first of a connection asks
        with connection.cursor() as cursor:
            cursor.execute("CREATE PROCEDURE nothing() LANGUAGE sql AS 'DELETE FROM shop_team'")
        asked = []
        with count_raw(asked):
            with transaction.atomic():
                for query in (
                    "SELECT 1", " -- why\n/* so */ (select 2)", "SHOW work_mem", "SET LOCAL work_mem = '1MB'",
                    "VALUES (1);",
                ):
                    with connection.cursor() as cursor:
                        cursor.execute(query)
                with transaction.atomic():
                    price()
                price()
            self.assertEqual(len(asked), 0)
            for query in (
                "UPDATE shop_team SET name = ''", "WITH x AS (DELETE FROM shop_team RETURNING id) SELECT * FROM x",
                "SELECT 1; UPDATE shop_team SET name = ''", "CALL nothing()", "TRUNCATE shop_tag CASCADE",
                "EXPLAIN ANALYZE UPDATE shop_team SET name = ''",
            ):
                with transaction.atomic(), connection.cursor() as cursor:
                    price()
                    asked.clear()
                    cursor.execute(query)
                    price()
                    self.assertEqual(len(asked), 1, query)

    def test_wrappers_of_the_project_go_as_they_came(self):
        connection.execute_wrappers.clear()

        def wrapper(execute, *arguments):
            return execute(*arguments)

        with connection.execute_wrapper(wrapper), transaction.atomic():
            price()
        self.assertNotIn(wrapper, connection.execute_wrappers)
        self.assertEqual(len(connection.execute_wrappers), 1)

    def test_nothing_stays_dirty(self):
        with transaction.atomic():
            write()
            price()
        self.assertEqual(price(), 11)
        with transaction.atomic():
            self.assertEqual(cache.fetch("book:1", load).source, "hit")

    def test_a_write_that_nobody_announced_is_not_stored(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE OR REPLACE FUNCTION raise_price() RETURNS integer LANGUAGE sql AS "
                "'UPDATE \"Quoted Table\" SET \"price.net\" = 50 RETURNING 1'"
            )
        with transaction.atomic():
            self.assertTrue(may_serve(["default"]))  # no hint is left from before
            with connection.cursor() as cursor:
                cursor.execute("SELECT raise_price()")
            self.assertEqual(cache.fetch("book:1", load).source, "unstored")
        with transaction.atomic():
            self.assertEqual(cache.fetch("book:1", lambda: write_and_load()).source, "unstored")
        self.assertFalse(cache.has_key("book:1"))

    def test_an_old_snapshot_is_not_stored(self):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            Book.objects.count()
            in_thread(write)
            self.assertEqual(cache.fetch("book:1", load).source, "unstored")
        self.assertEqual(price(), 11)

    def test_a_broken_transaction(self):
        price()
        with transaction.atomic():
            self.assertTrue(may_store(["default"]))
            try:
                with connection.cursor() as cursor:
                    cursor.execute("CALL nothing_like_that()")
            except DatabaseError:
                pass
            self.assertFalse(may_store(["default"]))
            self.assertFalse(may_serve(["default"]))
            connection.set_rollback(True)

    def test_many_keys_are_one_question(self):
        asked = []
        with transaction.atomic():
            write()
            with count_raw(asked):
                cache.get_or_set_many([f"k:{n}" for n in range(20)], lambda keys: dict.fromkeys(keys, 1))
        self.assertEqual(len(asked), 1)

    def test_without_autocommit(self):
        price()
        transaction.set_autocommit(False)
        try:
            write()
            self.assertEqual(price(), 11)
            transaction.rollback()
            self.assertEqual(price(), 10)
            self.assertEqual(cache.fetch("book:1", load).source, "hit")
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)


def write_and_load():
    write()
    return load()


class count_raw:
    """Notes what is asked about transactions: at the driver, below what Django counts."""

    def __init__(self, asked):
        self.asked = asked

    def __enter__(self):
        from inval.django import transactions

        self.module, self.clean = transactions, transactions._is_clean
        transactions._is_clean = self.note

    def note(self, checked, fresh):
        if not fresh:
            self.asked.append(checked)
        return self.clean(checked, fresh)

    def __exit__(self, *failure):
        self.module._is_clean = self.clean


class NothingLeaksTests(InvalTestMixin, TestCase):
    """A TestCase never commits: whatever it reads through the cache, nothing of it stays there."""

    @classmethod
    def setUpTestData(cls):
        fixture()

    def test_one(self):
        self.assertEqual(price(), 10)
        self.assertEqual(dbsize(), 0)
        write()
        self.assertEqual(price(), 11)
        self.assertEqual(dbsize(), 0)

    def test_another_sees_its_own_database(self):
        self.assertEqual(price(), 10)
        write()
        write()
        self.assertEqual(price(), 12)
        self.assertEqual(dbsize(), 0)


class CachedTests(InvalTestMixin, TestCase):
    """One that has not written reads what is committed: it may cache that."""

    def test_reads_are_cached(self):
        self.assertEqual(cache.fetch("books", Book.objects.count).source, "filled")
        self.assertEqual(cache.fetch("books", Book.objects.count).source, "hit")
        Owner.objects.create()
        self.assertEqual(cache.fetch("books", Book.objects.count).source, "bypass")


def dbsize():
    return cache.inval.client.dbsize()
