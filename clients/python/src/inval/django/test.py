"""Helpers for the tests of a project.

    class BookTests(InvalTestMixin, TestCase):
        def test_title(self):
            with self.assertInvalidates("book:1"):
                Book.objects.filter(pk=1).update(title="x")

settings:  TEST_RUNNER = "inval.django.test.InvalTestRunner"
           INVAL = {"TEST": {"FIRST_DB": 8}, …}        # Redis databases from 8 on may be emptied
"""

from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Iterable, Iterator, Optional, Set, Tuple, Union

from django.core.cache import caches
from django.db import connections, transaction
from django.test import TransactionTestCase

from .checks import untracked
from .conf import conf, inval_caches, inval_databases
from .database import query
from .entries import all_entries, problems
from .glue import ensure_library
from .runner import InvalTestRunner, use_redis_database
from .rules import interval_text

# A key, or a hash key and its field
Key = Union[str, Tuple[str, str]]


class InvalAssertions:
    """Assertions that need no Redis; for any test case that may use the database."""

    @contextmanager
    def assertInvalidates(self, *keys: Key, exact: bool = False, using: Optional[str] = None) -> Iterator[None]:
        """The block owes the invalidation of all these keys (exact: and of no other): not more than it must, not less.

        A key is as in Redis; (key, field) is a field of a hash.  Works in TestCase, which never commits, by
        inval_pending(); in TransactionTestCase the block becomes a transaction.

        What the transaction owed before the block cannot be told from what the block adds: a key that a TestCase has
        written to before, as in setUpTestData, fails with a message that says so.  Then use TransactionTestCase.
        """
        connection = connections[using or _default_database()]
        with transaction.atomic(using=connection.alias):
            before = owed(connection)
            yield
            after = owed(connection)
        wanted = set(map(_key, keys))
        self._compare(wanted, before, after - before, exact)

    @contextmanager
    def assertInvalidatesNothing(self, using: Optional[str] = None) -> Iterator[None]:
        """The block owes no invalidation that was not owed before it."""
        with self.assertInvalidates(exact=True, using=using):
            yield

    def _compare(self, wanted: Set[Any], before: Set[Any], new: Set[Any], exact: bool) -> None:
        unknown = wanted & before
        lost = wanted - before - new
        more = new - wanted if exact else set()
        lines = []
        if lost:
            lines.append(f"not invalidated: {_names(lost)}; these were: {_names(new) or 'none'}")
        if more:
            lines.append(f"invalidated as well: {_names(more)}")
        if unknown:
            lines.append(
                f"owed before the block already: {_names(unknown)}. This transaction had written to what feeds them; "
                "use TransactionTestCase, where that is committed before the block, or rows of a migration"
            )
        if lines:
            self.fail("\n".join(lines))  # type: ignore[attr-defined]

    def assertTracked(self, *columns: str, exempt: Optional[Iterable[str]] = None, using: Optional[str] = None) -> None:
        """Every table that has one of the columns, or leads to one by foreign keys, is tracked (inval_coverage).

        columns  default: INVAL["COVERAGE"]
        exempt   names of tables that need not be, * for any characters; default: INVAL["EXEMPT"]
        """
        patterns = conf().exempt if exempt is None else exempt
        connection = connections[using or _default_database()]
        lines = [line for column in columns or conf().coverage for line in untracked(connection, column, patterns)]
        if lines:
            self.fail("not tracked:\n" + "\n".join(lines))  # type: ignore[attr-defined]

    def assertEntriesTracked(self, using: Optional[str] = None) -> None:
        """Every entry with tables, and every CacheManager, has its rules, switched on and with a fence (check E003)."""
        found = problems(connections[using or _default_database()], all_entries())
        if found:
            lines = (f"{one.entry.name} reads {one.table}: {one.text}. {one.hint}" for one in found)
            self.fail("\n".join(lines))  # type: ignore[attr-defined]


class InvalTestMixin(InvalAssertions):
    """Also: caches that are empty when a test begins and when it has ended, and readers that have leases.

    Caches are emptied by clear(): with InvalTestRunner of the Redis database that is for this process alone, without it
    of what begins with KEY_PREFIX.  In TransactionTestCase what a test commits is removed from Redis for real.
    """

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()  # type: ignore[misc]
        for alias in inval_caches():
            ensure_library(caches[alias].inval)

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.clear_caches()
        self.addCleanup(self.clear_caches)  # type: ignore[attr-defined]

    def clear_caches(self) -> None:
        """Empties each InvalCache."""
        for alias in inval_caches():
            caches[alias].clear()

    def drain(self, timeout: timedelta = timedelta(seconds=10), using: Optional[str] = None) -> int:
        """Delivers what is queued, such as that of rules with delivery 'background'; how many were confirmed.

        Takes the right to call inval_drain.  In TestCase there is nothing to deliver.
        """
        assert isinstance(self, TransactionTestCase), "drain() is for test cases that commit"
        rows = query(
            connections[using or _default_database()],
            "SELECT {inval}inval_drain(%s::interval) AS confirmed",
            [interval_text(timeout)],
        )
        return int(rows[0]["confirmed"])


def owed(connection: Any) -> Set[Tuple[str, Optional[str]]]:
    """Keys and fields that the transaction under way would invalidate, if it committed now."""
    rows = query(connection, "SELECT DISTINCT key, field FROM {inval}inval_pending() WHERE key IS NOT NULL")
    return {(row["key"], row["field"]) for row in rows}


def _key(key: Key) -> Tuple[str, Optional[str]]:
    return (key, None) if isinstance(key, str) else key


def _names(keys: Iterable[Tuple[str, Optional[str]]]) -> str:
    return ", ".join(sorted(key if field is None else f"{key} field {field}" for key, field in keys))


def _default_database() -> str:
    aliases = inval_databases()
    return aliases[0] if aliases else "default"


__all__ = ["InvalAssertions", "InvalTestMixin", "InvalTestRunner", "owed", "use_redis_database"]
