"""The PostgreSQL that the tests use: INVAL_TEST_DSN, a libpq string of a database with the
extension; INVAL_TEST_REDIS, the URL of the Redis that its target `default` is."""
import os
import unittest

DSN = os.environ.get("INVAL_TEST_DSN")
REDIS = os.environ.get("INVAL_TEST_REDIS")

needed = unittest.skipUnless(DSN and REDIS, "INVAL_TEST_DSN and INVAL_TEST_REDIS are not set")


def connect(**settings):
    import psycopg
    return psycopg.connect(DSN, autocommit=True, **settings)
