"""InvalTestRunner: with --parallel each process has a database and a Redis database of its own."""

import os
import re

import redis
from django.core.cache import cache, caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from inval.django.location import with_db
from inval.django.runner import InvalTestRunner, first_db, set_redis_url
from inval.django.test import InvalTestMixin
from shop.models import Tag

from .test_cache import poll
from .test_helpers import execute


class IsolationTests(InvalTestMixin, TransactionTestCase):
    """Run in as many processes as there are classes: the assertions hold in each."""

    def setUp(self):
        super().setUp()
        name = connection.settings_dict["NAME"]
        self.number = int(re.fullmatch(r"test_shop(?:_(\d+))?", name).group(1) or 0)

    def test_the_numbers_agree(self):
        self.assertEqual(cache.inval.client.connection_pool.connection_kwargs["db"], first_db() + self.number)
        with connection.cursor() as cursor:
            cursor.execute("SHOW inval.redis_url")
            self.assertEqual(cursor.fetchone()[0], caches["default"].config.location)

    def test_nothing_reaches_a_neighbour(self):
        """Not what a commit delivers, not what the worker does, which began before its clone had a Redis database."""
        neighbour = redis.Redis.from_url(with_db(caches["default"].config.location, 10 + self.number))
        self.addCleanup(neighbour.close)
        self.addCleanup(neighbour.delete, "tag:7:at commit", "tag:7:by the worker")
        execute("SELECT inval_track('shop_tag', key => 'tag:{id}:at commit')")
        execute("SELECT inval_track('shop_tag', key => 'tag:{id}:by the worker', delivery => 'background')")
        self.addCleanup(execute, "SELECT inval_untrack_rule(id) FROM inval_rule WHERE key LIKE 'tag:{id}:%%'")
        for key in ("tag:7:at commit", "tag:7:by the worker"):
            cache.set(key, 1)
            neighbour.set(key, 1)
        Tag.objects.create(pk=7)
        self.assertFalse(cache.has_key("tag:7:at commit"))
        poll(lambda: not cache.has_key("tag:7:by the worker"))
        self.assertEqual(neighbour.exists("tag:7:at commit", "tag:7:by the worker"), 2)


class OtherProcessTests(IsolationTests):
    """The same, for another process."""


class RightsTests(TransactionTestCase):
    def test_what_it_takes_is_said(self):
        name = connection.settings_dict["NAME"]
        role = f"tester_{os.getpid()}"
        execute(f"CREATE ROLE {role}")
        execute(f"SET ROLE {role}")
        try:
            with self.assertRaisesRegex(ImproperlyConfigured, "has to set inval.redis_url(?s:.*)takes a superuser"):
                set_redis_url("default", name, 1)
        finally:
            execute("RESET ROLE")
            execute(f"DROP ROLE {role}")


class SettingsTests(SimpleTestCase):
    def test_first_db_has_to_be_said(self):
        for test in ({}, {"FIRST_DB": "1"}, {"FIRST_DB": -1}):
            with override_settings(INVAL={"TEST": test}), self.assertRaisesRegex(ImproperlyConfigured, "FIRST_DB"):
                first_db()

    def test_more_processes_than_databases(self):
        with override_settings(INVAL={"TEST": {"FIRST_DB": 10}}):
            with self.assertRaisesRegex(ImproperlyConfigured, "the Redis databases 10 to 16, and the server has 16"):
                InvalTestRunner(parallel=6)._check_numbers()
            InvalTestRunner(parallel=5)._check_numbers()
