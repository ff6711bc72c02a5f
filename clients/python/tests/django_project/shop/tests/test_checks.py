"""Each check is seen to fire, and to be silent where all is well."""

import copy
import os

from django.conf import settings
from django.core.cache import caches
from django.core.checks import run_checks
from django.db import connection
from django.test import TransactionTestCase, override_settings

from inval.django.location import is_address_of, with_db
from inval.django.test import InvalTestMixin

from .test_helpers import execute, named


def found(databases=("default",)):
    return {message.id: message for message in run_checks(databases=list(databases)) if message.id.startswith("inval.")}


def with_cache(**options):
    changed = copy.deepcopy(settings.CACHES)
    changed["default"].update(options)
    return override_settings(CACHES=changed)


class CheckTests(InvalTestMixin, TransactionTestCase):
    def assertFires(self, number, says, hint="^"):
        messages = found()
        self.assertIn(f"inval.{number}", messages)
        self.assertRegex(messages[f"inval.{number}"].msg, says)
        self.assertRegex(messages[f"inval.{number}"].hint or "", hint)

    def test_all_is_well(self):
        self.assertEqual(found(), {})

    def test_a_database_that_is_away(self):
        """`manage.py check` says so, and ends as a check does."""
        before = connection.settings_dict["PORT"]
        connection.close()
        connection.settings_dict["PORT"] = "1"
        try:
            self.assertFires("E001", "'default' cannot be asked: .*(port |PGSQL[.])1\\b")
        finally:
            connection.settings_dict["PORT"] = before
            connection.close()

    def test_not_without_a_database(self):
        with override_settings(INVAL={"COVERAGE": ["name"]}):
            self.assertEqual(found(()), {})

    def test_settings(self):
        with override_settings(INVAL={"X": 1}):
            self.assertIn("inval.E000", {message.id for message in run_checks()})

    def test_E001_no_extension(self):
        execute("BEGIN")
        try:
            execute("DROP EXTENSION inval")
            self.assertFires("E001", "'default': the database 'test_shop.*' does not have the extension inval")
            self.assertEqual(list(found()), ["inval.E001"])
            # The migration that makes it is still to be run: then nothing is said.
            execute("DELETE FROM django_migrations WHERE name IN ('0002_track', '0003_rename')")
            self.assertEqual(found(), {})
        finally:
            execute("ROLLBACK")

    def test_E001_too_old(self):
        execute("UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'inval'")
        try:
            self.assertFires("E001", "version 0.9 of inval, which is older than", "ALTER EXTENSION")
        finally:
            execute("UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'inval'")

    def test_E002(self):
        execute("CREATE TABLE shop_bill (team_id bigint)")
        self.addCleanup(execute, "DROP TABLE shop_bill")
        self.assertFires("E002", "'team_id': shop_bill: untracked", "INVAL.'EXEMPT'")
        with override_settings(INVAL={"COVERAGE": ["team_id"], "EXEMPT": ["shop_b?ll"], "VARS": {"git_sha": "a1b2c3"}}):
            self.assertEqual(found(), {})

    def test_E003(self):
        execute("UPDATE inval_rule SET fence = false WHERE relation = 'shop_source'::regclass")
        try:
            self.assertFires("E003", "shop.Source.cached reads .* has no fence", "Track.model, key='{team_id}")
        finally:
            execute("UPDATE inval_rule SET fence = true WHERE relation = 'shop_source'::regclass")
        core = caches["default"].inval
        entry = core.entry("x:{y}", tables=["shop_tag"], name="pages")(named("{y}"))
        self.addCleanup(core.entries.remove, entry)
        self.assertFires("E003", "pages reads shop_tag: no rule for keys like x:{y}")

    def test_E004(self):
        with override_settings(INVAL={"VARS": {"git_sha": "ffff"}}):
            self.assertFires("E004", "= 'ffff'.*not among its values .*a1b2c3", "manage.py inval deploy ffff --var git_sha")
        with override_settings(INVAL={"VARS": {"git_sha": "a1b2c3", "colour": "red"}}):
            self.assertFires("E004", "colour.*.none.")

    def test_W001(self):
        from django.core.cache.backends.base import default_key_func

        for function in ("django.core.cache.backends.base.default_key_func", default_key_func):
            with with_cache(KEY_FUNCTION=function):
                self.assertFires("W001", "makes :1:book:7 of book:7")

    def test_W002(self):
        location = caches["default"].config.location
        with with_cache(LOCATION=with_db(location, 14)):
            self.assertFires("W002", "is no target of database 'default'")

    def test_W003(self):
        with with_cache(LOCATION="redis://127.0.0.1:1/0"):
            self.assertFires("W003", "does not answer", "python3 -m inval load")
        client = caches["default"].inval.client
        # The worker, and other processes of a parallel run, would load it again before it is missed.
        client.execute_command("ACL", "SETUSER", "bare", "on", ">secret", "allkeys", "+@all", "-fcall")
        self.addCleanup(client.execute_command, "ACL", "DELUSER", "bare")
        with with_cache(LOCATION=caches["default"].config.location.replace("://", "://bare:secret@")):
            self.assertFires("W003", "does not let this user call the functions", "python3 -m inval load")

    def test_where_nothing_may_be_seen(self):
        role = f"reader_{os.getpid()}"
        execute(f"CREATE ROLE {role}")
        execute(f"GRANT SELECT ON django_migrations TO {role}")
        execute(f"SET ROLE {role}")
        try:
            with with_cache(LOCATION=with_db(caches["default"].config.location, 14)):
                self.assertEqual(found(), {}, "W002 takes pg_monitor")
        finally:
            execute("RESET ROLE")
            execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    def test_another_database_is_not_looked_at(self):
        with override_settings(INVAL={"DATABASES": [], "COVERAGE": ["name"]}):
            self.assertEqual(found(), {})


class LocationTests(TransactionTestCase):
    def test_addresses(self):
        for same, location, address in (
            (True, "redis://localhost/0", "redis://127.0.0.1:6379/0"),
            (True, "redis://user:secret@127.0.0.1", "redis://127.0.0.1:6379/0"),
            (True, "valkey://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
            (False, "redis://127.0.0.1:6379/1", "redis://127.0.0.1:6379/0"),
            (False, "redis://127.0.0.1:6380/0", "redis://127.0.0.1:6379/0"),
            (False, "redis://127.0.0.2:6379/0", "redis://127.0.0.1:6379/0"),
            (True, "unix:///run/a.sock?db=3", "unix:///run/a.sock?db=3"),
            (False, "unix:///run/a.sock", "unix:///run/a.sock?db=3"),
            (True, "redis+cluster://a,b", "redis+cluster://c"),
        ):
            with self.subTest(location):
                self.assertIs(is_address_of(location, address), same)
        self.assertEqual(with_db("redis://u:p@h:1/3", 5), "redis://u:p@h:1/5")
        self.assertEqual(with_db("unix:///a?db=3&user=x", 5), "unix:///a?user=x&db=5")
        with self.assertRaisesRegex(ValueError, "one server"):
            with_db("redis+cluster://a,b", 5)
