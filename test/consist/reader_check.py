"""Tries the reader in reader.py: reader_check.py REDIS-SOCKET CONNECTION-STRING

The database has the table item of the consistency checker, with a rule that has a
fence, and Redis the functions for readers.  Prints TAP.
"""
import sys
import threading

import psycopg2
import redis

from reader import Reader

QUERY = "SELECT v FROM item WHERE id = %s"
cache = redis.Redis(unix_socket_path=sys.argv[1])
tests = 0


def connect():
    return psycopg2.connect(sys.argv[2])


def check(got, expected, what):
    global tests
    tests += 1
    print(f"{'' if got == expected else 'not '}ok {tests} - {what}")
    if got != expected:
        print(f"# got {got!r}, expected {expected!r}")


def new_reader(**options):
    return Reader(options.pop("cache", cache), connect(), **options)


def change():
    """Changes the row, and returns its new value: the key is gone then."""
    connection = connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE item SET v = v + 1 WHERE id = 1 RETURNING v")
        return str(cursor.fetchone()[0])


class Slow(Reader):
    """A row changes, or something else happens, between its query and its storing."""
    meanwhile = None

    def _in_transaction(self, query, parameters):
        value = super()._in_transaction(query, parameters)
        if self.meanwhile:
            self.meanwhile()
        return value


def stored():
    value = cache.get("item:1")
    return value and value.decode()


value = change()
reader = new_reader()
check(reader.get("item:1", QUERY, (1,)), value, "a miss is answered by the database")
check(stored(), value, "and stored")
cache.set("item:1", "from Redis")
check(reader.get("item:1", QUERY, (1,)), "from Redis", "a hit is answered by Redis")

old = change()
slow = Slow(cache, connect())
slow.meanwhile = change
check(slow.get("item:1", QUERY, (1,)), old, "a reader that was overtaken returns what it read")
check(stored(), None, "and does not store it")

value = change()
slow = Slow(cache, connect())
found = []
slow.meanwhile = lambda: found.append(waiting.start())
other = new_reader()
waiting = threading.Thread(target=lambda: found.append(other.get("item:1", QUERY, (1,))))
slow.get("item:1", QUERY, (1,))
waiting.join()
check(found[-1], value, "who meets a lease waits for what its owner stores")

cache.fcall("inval_get", 1, "item:2", 60_000)
patient = new_reader(lease_ms=100)
check(patient.get("item:2", QUERY, (2,)) is not None, True, "but not for ever")
check(cache.get("item:2"), None, "and then stores nothing")

value = change()
writer = new_reader()
with writer.connection, writer.connection.cursor() as cursor:
    cursor.execute("UPDATE item SET v = -1 WHERE id = 1")
    check(writer.get("item:1", QUERY, (1,)), "-1", "who has written reads what it has written")
    check(stored(), None, "and stores nothing")
    writer.connection.rollback()

check(reader.get("item:0", QUERY, (0,)), None, "a row that is not there gives nothing")
check(cache.exists("item:0:inval-lease{item:0}"), 0, "and keeps no lease")
try:
    reader.get("item:3", "SELECT 1 / 0")
except psycopg2.Error:
    pass
check(cache.exists("item:3:inval-lease{item:3}"), 0, "nor does a query that fails")

nowhere = new_reader(cache=redis.Redis(unix_socket_path="/nowhere"))
check(nowhere.get("item:1", QUERY, (1,)), value, "without Redis the database answers")
print(f"1..{tests}")
