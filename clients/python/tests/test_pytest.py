"""The fixtures for pytest: run by pytest, where there is one."""
import os
import subprocess
import sys
import tempfile
import unittest
from importlib.util import find_spec

import database
import quiet  # noqa: F401

TESTS = '''
import psycopg
import pytest

pytest_plugins = ["inval.fixtures"]


def test_memory(inval_memory):
    assert inval_memory.fetch("k", lambda: inval_memory.memory.invalidate("k")).source == "unstored"


@pytest.mark.parametrize("number", [1, 2])
def test_redis(inval_cache, number):
    assert inval_cache.check() > 1
    assert inval_cache.get_or_set("k", lambda: number) == number, "each test has an empty one"
    assert inval_cache.fetch("k", None or (lambda: 0)).source == "hit"


@pytest.fixture
def connection():
    with psycopg.connect(DSN) as connection:
        connection.execute("CREATE TABLE fixture_row (id integer PRIMARY KEY, n integer)")
        connection.execute("INSERT INTO fixture_row VALUES (1, 1), (2, 2)")
        connection.execute("SELECT inval_track('fixture_row', 'id'), "
                           "inval_track('fixture_row', key => 'rows', field => '{id}')")
        yield connection
        connection.rollback()


def test_invalidates(inval_invalidates, connection):
    with inval_invalidates(connection, "fixture_row:1", ("rows", "1"), exact=True):
        connection.execute("UPDATE fixture_row SET n = 2 WHERE id = 1")
    with pytest.raises(AssertionError, match="not invalidated.*fixture_row:3"):
        with inval_invalidates(connection, "fixture_row:2", "fixture_row:3"):
            connection.execute("UPDATE fixture_row SET n = 2 WHERE id = 2")
    with pytest.raises(AssertionError, match="before the block already"):
        with inval_invalidates(connection, "fixture_row:2"):
            pass
    with pytest.raises(AssertionError, match="as well"):
        with inval_invalidates(connection, exact=True):
            connection.execute("INSERT INTO fixture_row VALUES (4, 4)")
'''


@database.needed
@unittest.skipUnless(find_spec("pytest"), "no pytest")
class FixturesTest(unittest.TestCase):
    def test_all(self):
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "test_it.py"), "w", encoding="utf-8") as file:
                file.write(f"DSN = {os.environ['INVAL_TEST_DSN']!r}\n{TESTS}")
            done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", directory],
                                  cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("4 passed", done.stdout)


if __name__ == "__main__":
    unittest.main()
