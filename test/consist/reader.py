"""A reader that follows the rules of docs/readers.md, to be copied and changed.

    reader = Reader(redis.Redis(...), connection)       # psycopg2, not in autocommit
    text = reader.get("article:42", "SELECT body FROM article WHERE id = %s", (42,))

It reads the key; if it is missing, or soon to be, and nobody else does so already, it
asks the database and stores the answer.  Whatever Redis says or does not say, what
get() returns is what the database had: at that moment, or since the last invalidation.
"""
import random
import time

import redis


class Reader:
    def __init__(self, cache, connection, *, ttl_ms=60_000, stale_ms=0, lease_ms=5_000,
                 early_ms=0):
        """lease_ms must be longer than the slowest query, and ttl_ms than early_ms."""
        self.cache = cache
        self.connection = connection
        self.ttl_ms = ttl_ms
        self.stale_ms = stale_ms
        self.lease_ms = lease_ms
        self.early_ms = early_ms

    def get(self, key, query, parameters=()):
        """The text that the query gives, from Redis or from the database; or None."""
        # A transaction that is under way has its snapshot already, or may have written:
        # what it sees must not be stored for others (rules 1 and 2).
        if self.connection.info.transaction_status != 0:
            return self._ask_database(query, parameters)
        deadline = time.monotonic() + self.lease_ms / 1000
        while True:
            word, *rest = self._call("inval_get", key, self.lease_ms, self.early_ms)
            if word == b"hit":
                return rest[0].decode()
            if word == b"fill":
                return self._fill(key, rest[0], query, parameters)
            if word == b"bypass" or time.monotonic() > deadline:
                return self._in_transaction(query, parameters)
            # Somebody is filling it: what is stale will do, or what he stores (rule 4).
            if rest[0] is not None:
                return rest[0].decode()
            time.sleep(random.uniform(0.010, 0.050))

    def _fill(self, key, token, query, parameters):
        """Reads after the lease was taken, in a transaction of its own, and stores."""
        value = None
        try:
            value = self._in_transaction(query, parameters)
        finally:
            # Of what is not there, or could not be read, nothing is stored: let the
            # next one try.
            if value is None:
                self._call("inval_release", key, token)
        if value is not None:
            # 0, and an error: it was invalidated meanwhile, or the lease is lost.
            # What was read is still good for this caller (rule 4).
            self._call("inval_set", key, token, value, self.ttl_ms, self.stale_ms)
        return value

    def _call(self, function, key, *arguments):
        """What Redis answers; any error is a bypass, also a missing library."""
        try:
            answer = self.cache.fcall(function, 1, key, *arguments)
        except redis.RedisError:
            return [b"bypass"]
        return answer if isinstance(answer, list) else [answer]

    def _in_transaction(self, query, parameters):
        with self.connection:
            return self._ask_database(query, parameters)

    def _ask_database(self, query, parameters):
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters)
            row = cursor.fetchone()
        return None if row is None else str(row[0])
