"""Fills within transactions, with rules in a real PostgreSQL: what a transaction sees that
others do not is not stored. The recipes are those of inval.transactions."""
import threading
import unittest

import database
import quiet  # noqa: F401
import servers

from inval import Cache
from inval.transactions import psycopg_may_store, sqlalchemy_may_store


@database.needed
class Case(unittest.TestCase):
    def setUp(self):
        self.admin = database.connect()
        self.addCleanup(self.admin.close)
        for statement in ("DROP TABLE IF EXISTS article",
                          "CREATE TABLE article (id integer PRIMARY KEY, v integer)",
                          "INSERT INTO article VALUES (1, 1)",
                          "SELECT inval_track('article', key => 'article:{id}', fence => true)"):
            self.admin.execute(statement)
        self.addCleanup(self.admin.execute, "DROP TABLE article")

    def cache(self, may_store=None, **settings):
        cache = Cache.from_url(database.REDIS, connect_timeout=20, read_timeout=20,
                               may_store=may_store, **settings)
        self.addCleanup(cache.close)
        self.addCleanup(cache.delete, "article:1")
        cache.delete("article:1")
        return cache


class MainJobTest(Case):
    def test_a_change_removes_and_voids(self):
        cache = self.cache()

        def value():
            return self.admin.execute("SELECT v FROM article WHERE id = 1").fetchone()[0]

        @cache.entry("article:{id}", tables=["article"])
        def article(id):
            return value()

        self.assertEqual([article(1), article.fetch(1).source], [1, "hit"])
        self.admin.execute("UPDATE article SET v = 2")
        self.assertEqual(article.fetch(1).source, "filled")
        # The classic race: read, then somebody commits, then the store.
        cache.delete("article:1")

        def slow():
            old = value()
            self.admin.execute("UPDATE article SET v = 3")
            return old

        self.assertEqual(cache.fetch("article:1", slow).source, "unstored")
        self.assertEqual(article(1), 3)

    def test_readers_never_go_back(self):
        """Threads read while others write: nobody sees a value older than what was committed
        before it asked."""
        cache = self.cache()
        stop, wrong, reads = threading.Event(), [], []
        committed = [1]

        def write():
            with database.connect() as connection:
                value = 1
                while value < 60 or (len(reads) < 100 and value < 5000):
                    value += 1
                    connection.execute("UPDATE article SET v = %s", [value])
                    committed[0] = value
            stop.set()

        def read(_):
            with database.connect() as connection:
                while not stop.is_set():
                    before = committed[0]
                    value = cache.get_or_set("article:1", lambda: connection.execute(
                        "SELECT v FROM article WHERE id = 1").fetchone()[0])
                    reads.append(1)
                    if value < before:
                        wrong.append((value, before))

        writer = threading.Thread(target=write)
        writer.start()
        servers.in_threads(6, read)
        writer.join()
        self.assertEqual(wrong, [])


# What a transaction does before it reads, and whether its value may then be stored.
TRANSACTIONS = (
    ("SELECT 1", True), ("UPDATE article SET v = 7 WHERE id = 1", False),
    ("CREATE TEMPORARY TABLE mine (a integer)", False),
    ("SELECT 1 FROM article WHERE id = 1 FOR UPDATE", False),
    ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", False),
    ("SAVEPOINT s; UPDATE article SET v = 7; ROLLBACK TO s", False))


class PsycopgTest(Case):
    def test_recipe(self):
        import psycopg
        with psycopg.connect(database.DSN) as connection:
            cache = self.cache(psycopg_may_store(lambda: connection))

            def load():
                return connection.execute("SELECT v FROM article WHERE id = 1").fetchone()[0]

            for statement, stored in TRANSACTIONS:
                with self.subTest(statement=statement):
                    for part in statement.split("; "):
                        connection.execute(part)
                    source = cache.fetch("article:1", load).source
                    self.assertEqual(source, "filled" if stored else "unstored")
                    self.assertEqual(cache.get("article:1"), 1 if stored else None)
                    connection.rollback()
                    cache.delete("article:1")

            def load_and_write():
                connection.execute("UPDATE article SET v = 8 WHERE id = 1")
                return load()

            self.assertEqual(cache.fetch("article:1", load_and_write).source, "unstored")
            connection.rollback()
            # In autocommit nothing is open, and nothing is asked.
            connection.autocommit = True
            self.assertEqual(cache.fetch("article:1", load).source, "filled")
            batch = cache.get_or_set_many(["article:1", "article:2"], lambda keys: {})
            self.assertEqual(batch, {"article:1": 1, "article:2": None})
            cache.delete("article:2")


class SqlAlchemyTest(Case):
    def test_recipe(self):
        from sqlalchemy import create_engine, text
        from sqlalchemy.orm import Session
        try:
            engine = create_engine("postgresql+psycopg://", creator=lambda: self.raw("psycopg"))
        except Exception:  # SQLAlchemy 1.4 knows psycopg2 only
            engine = create_engine("postgresql+psycopg2://", creator=lambda: self.raw("psycopg2"))
        self.addCleanup(engine.dispose)
        with Session(engine) as session:
            cache = self.cache(sqlalchemy_may_store(lambda: session))

            def load():
                return session.execute(text("SELECT v FROM article WHERE id = 1")).scalar()

            for statement, stored in TRANSACTIONS:
                with self.subTest(statement=statement):
                    for part in statement.split("; "):
                        session.execute(text(part))
                    source = cache.fetch("article:1", load).source
                    self.assertEqual(source, "filled" if stored else "unstored")
                    session.rollback()
                    cache.delete("article:1")
            # A session that has done nothing yet.
            self.assertEqual(cache.fetch("article:1", load).source, "filled")

    @staticmethod
    def raw(name):
        module = __import__(name)
        return module.connect(database.DSN)


class AsyncPsycopgTest(Case):
    def test_recipe(self):
        import asyncio
        import psycopg
        from inval import AsyncCache

        async def work():
            connection = await psycopg.AsyncConnection.connect(database.DSN)
            async with connection, AsyncCache.from_url(
                    database.REDIS, connect_timeout=20, read_timeout=20,
                    may_store=psycopg_may_store(lambda: connection)) as cache:
                async def load():
                    cursor = await connection.execute("SELECT v FROM article WHERE id = 1")
                    return (await cursor.fetchone())[0]

                for statement, stored in TRANSACTIONS:
                    for part in statement.split("; "):
                        await connection.execute(part)
                    source = (await cache.fetch("article:1", load)).source
                    self.assertEqual(source, "filled" if stored else "unstored", statement)
                    await connection.rollback()
                    await cache.delete("article:1")

        asyncio.run(work())


if __name__ == "__main__":
    unittest.main()
