"""manage.py inval: each subcommand is run."""

import io
import json
import os
import re
import time
from unittest import mock

import redis
from django.apps import apps
from django.core.cache import cache, caches
from django.core.management import CommandError, call_command
from django.db import connection, migrations
from django.test import TransactionTestCase, override_settings

from inval.django.commands import operating
from inval.django.management.commands.inval import Command
from inval.django.resolve import resolve
from inval.django.test import InvalTestMixin
from shop.models import Book, Source, Tag, Team

from .rules import all_rules
from .test_helpers import execute
from .test_operations import variable
from .test_transactions import fixture

# Roles are of the whole server, which the processes of a parallel run share.
ROLE = f"nobody_{os.getpid()}"


def inval(*arguments):
    out = io.StringIO()
    call_command("inval", *arguments, stdout=out)
    return out.getvalue()


def inval_json(*arguments):
    return json.loads(inval(*arguments, "--json"))


class CommandTests(InvalTestMixin, TransactionTestCase):
    def setUp(self):
        """What other tests have changed is repeated a second and a half later."""
        super().setUp()
        end = time.monotonic() + 60
        while inval_json("queue") and time.monotonic() < end:
            time.sleep(0.05)

    def test_status(self):
        self.assertRegex(inval("status"), r"(?s)target .*default +up +redis://127.0.0.1")
        (row,) = inval_json("status")
        self.assertEqual((row["state"], row["queue_depth"]), ("up", 0))
        inval("pause")
        try:
            with self.assertRaisesRegex(CommandError, "default is paused") as caught:
                inval("status")
            self.assertEqual(caught.exception.returncode, 1)
        finally:
            inval("resume")
        inval("status")

    def test_rules(self):
        self.assertIn("publisher:{Publisher}:books", inval("rules"))
        rows = inval_json("rules")
        self.assertEqual(len(rows), len(all_rules()))
        self.assertEqual({row["repeat_after"] for row in rows}, {None, 1.5})

    def test_rules_as_migration(self):
        """What it prints makes the same rules."""
        execute("CREATE TABLE no_model (id bigint)")
        execute("SELECT inval_track('no_model', key => 'none:{id}', action => 'version')")
        self.addCleanup(execute, "DROP TABLE IF EXISTS no_model")
        text = inval("rules", "--as-migration")
        self.assertIn("Track('shop.book.tags', key='book:{book}:tags')", text)
        self.assertIn("changes=['name'], repeat_after=timedelta(seconds=1.5)", text)
        before = all_rules()
        scope = {}
        exec(text, scope)
        execute("SELECT inval_untrack(r) FROM (SELECT DISTINCT relation AS r FROM inval_rule) x")
        for operation in scope["operations"]:
            if isinstance(operation, migrations.RunSQL):
                ((sql, params),) = operation.sql
            else:
                sql, params = resolve(apps, "shop", operation.options)[1].track()
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
        self.assertEqual(all_rules(), before)

    def test_coverage(self):
        self.assertRegex(inval("coverage"), "team_id +shop_source +tracked")
        self.assertRegex(inval("coverage", "name"), "shop_owner +untracked")
        with self.assertRaisesRegex(CommandError, "(?s)not all tracked:.*shop_owner: untracked") as caught:
            inval("coverage", "name", "--fail")
        self.assertEqual(caught.exception.returncode, 1)
        inval("coverage", "team_id", "--fail")
        self.assertIn("No table", inval("coverage", "nothing"))
        with override_settings(INVAL={}), self.assertRaisesRegex(CommandError, "name a column"):
            inval("coverage")

    def test_queue_drain_pause_resume(self):
        inval("pause")
        try:
            Tag.objects.create(pk=3)
            Team.objects.create()
            self.assertRegex(inval("queue"), r"(?s)version +teams:v.*1 queued")
            with self.assertRaisesRegex(CommandError, "oldest entry has waited"):
                inval("queue", "--max-age", "0")
            self.assertEqual(len(inval_json("queue", "--limit", "5", "--max-age", "1000")), 1)
            with self.assertRaisesRegex(CommandError, "1 are left") as caught:
                inval("drain", "--timeout", "0.1")
            self.assertEqual(caught.exception.returncode, 1)
        finally:
            inval("resume")
        self.assertEqual(inval_json("drain")[0]["left"], 0)
        self.assertEqual(inval("queue").strip(), "0 queued")
        with self.assertRaisesRegex(CommandError, "the database says: target \"x\" does not exist"):
            inval("pause", "--target", "x")

    def test_purge(self):
        cache.set_many({f"old:{n}": n for n in range(5)} | {"new:1": 1})
        self.assertEqual(inval_json("purge", "old:*", "--reason", "why")[0]["removed"], 5)
        self.assertTrue(cache.has_key("new:1"))
        with self.assertRaisesRegex(CommandError, "reason"):
            inval("purge", "old:*")
        with self.assertRaisesRegex(CommandError, "literal text"):
            inval("purge", "*", "--reason", "why")

    def test_touch(self):
        cache.set_many({"a": 1, "b": 1})
        cache.inval.client.hset("h", mapping={"f": 1, "g": 1})
        inval("touch", "a")
        inval("touch", "h", "--field", "f")
        inval("touch", "v", "--action", "version")
        self.assertEqual(sorted(cache.inval.client.keys()), [b"b", b"h", b"v"])
        self.assertEqual(cache.inval.client.hkeys("h"), [b"g"])

    def test_deploy(self):
        try:
            self.assertEqual(inval_json("deploy", "bbb"), [{"variable": "git_sha", "values": ["a1b2c3", "bbb"]}])
            inval("deploy", "bbb")
            inval("deploy", "ccc")
            self.assertEqual(variable("git_sha"), ["a1b2c3", "bbb", "ccc"])
            # Both releases are invalidated.
            team = Team.objects.create()
            cache.set_many({f"{team.pk}:{sha}:source": 1 for sha in ("a1b2c3", "ccc", "zzz")})
            Source.objects.create(team=team, status="on")
            self.assertEqual(cache.inval.client.keys("*:source"), [f"{team.pk}:zzz:source".encode()])
            inval("deploy", "ccc", "--finish")
            self.assertEqual(variable("git_sha"), ["ccc"])
            with self.assertRaisesRegex(CommandError, "'ddd' is not among the values .*deploy it first"):
                inval("deploy", "ddd", "--finish")
            with override_settings(INVAL={"VARS": {"a": "1", "b": "2"}}):
                with self.assertRaisesRegex(CommandError, "say which variable: --var NAME .INVAL.'VARS'. has a, b"):
                    inval("deploy", "eee")
                self.assertEqual(inval_json("deploy", "1", "--var", "a")[0]["values"], ["1"])
            execute("SELECT inval_set_var('a', VARIADIC '{}')")
        finally:
            execute("SELECT inval_set_var('git_sha', 'a1b2c3')")

    def test_drain_waits_for_what_the_worker_has_in_hand(self):
        with mock.patch.object(operating, "query", side_effect=[
            [{"confirmed": 1}], [{"left": 1}], [{"confirmed": 0}], [{"left": 0}],
        ]):
            self.assertEqual(inval_json("drain"), [{"confirmed": 1, "left": 0}])
        for timeout in ("-1", "nan", "1e9"):
            with self.assertRaisesRegex(CommandError, "from 0 to 86400"):
                inval("drain", f"--timeout={timeout}")

    def test_warm_and_verify_a_manager(self):
        teams = [Team.objects.create(name=str(number)) for number in range(3)]
        for team in teams:
            Source.objects.create(team=team, status="on")
        self.assertEqual(inval_json("warm", "cached")[0]["warmed"], 3)
        with self.assertNumQueries(0):
            self.assertEqual(Source.cached.rows(team=teams[1])[0].status, "on")
        self.assertEqual(inval("verify", "shop.Source.cached").strip(), "3 looked at, 0 wrong")
        # A value that no rule knows of, as somebody's plain SET
        key = Source.cached.key(team=teams[1])
        wrong = cache.get(key)
        wrong["rows"][0][1] = "off"
        cache.set(key, wrong)
        with self.assertRaisesRegex(CommandError, "1 values are not what the database says") as caught:
            inval("verify", "cached", "--sample", "50")
        self.assertEqual(caught.exception.returncode, 1)
        self.assertEqual(inval_json("verify", "cached", "--fix"), [{"key": key, "fixed": True}])
        self.assertEqual(Source.cached.rows(team=teams[1])[0].status, "on")
        cache.clear()
        self.assertEqual(inval_json("warm", "cached", f"team={teams[0].pk}")[0]["warmed"], 1)
        self.assertEqual(inval_json("warm", "cached", "--limit", "2")[0]["warmed"], 2)
        with self.assertRaisesRegex(CommandError, "'7' is not name=value"):
            inval("warm", "cached", "7")
        with self.assertRaisesRegex(CommandError, "takes the values team"):
            inval("warm", "cached", "tim=7")

    def test_warm_and_verify_a_function(self):
        fixture()

        @caches["default"].inval.entry("book:{pk}", tables=["Quoted Table"])
        def title_of_book(pk: int):
            return Book.objects.values_list("title", flat=True).get(pk=pk)

        self.addCleanup(caches["default"].inval.entries.remove, title_of_book)
        self.assertEqual(inval_json("warm", "title_of_book", "1")[0]["warmed"], 1)
        self.assertEqual(cache.get("book:1"), "one")
        inval("verify", "title_of_book", "1")
        cache.set("book:1", "two")
        self.assertEqual(inval_json("verify", "title_of_book", "1", "--fix"), [{"key": "book:1", "fixed": True}])
        self.assertEqual(title_of_book(1), "one")
        with self.assertRaisesRegex(CommandError, "say for which arguments"):
            inval("warm", "title_of_book")
        with self.assertRaisesRegex(CommandError, "has 2 arguments, the entry takes 1"):
            inval("warm", "title_of_book", "1,2")
        with self.assertRaisesRegex(CommandError, "'x' is no int"):
            inval("warm", "title_of_book", "x")
        core = caches["default"].inval
        self.addCleanup(core.use, core.client)
        with redis.Redis(port=1) as nobody:
            core.use(nobody)
            for command in ("warm", "verify"):
                with self.assertRaisesRegex(CommandError, "Redis does not answer"):
                    inval(command, "title_of_book", "1")
        with self.assertRaisesRegex(CommandError, "no entry 'x'; there are .*shop.Source.cached"):
            inval("warm", "x")

    def test_errors(self):
        with self.assertRaisesRegex(CommandError, "there is no database 'x'") as caught:
            inval("status", "--database", "x")
        self.assertEqual(caught.exception.returncode, 2)
        with self.assertRaises(CommandError):
            inval()
        execute(f"CREATE ROLE {ROLE}")
        execute(f"SET ROLE {ROLE}")
        try:
            with self.assertRaisesRegex(CommandError, "permission denied(?s:.*)pg_monitor"):
                inval("status")
        finally:
            execute("RESET ROLE")
            execute(f"DROP ROLE {ROLE}")

    def test_help(self):
        text = re.sub(r"\s+", " ", help_text())
        for word in ("status", "rules", "coverage", "queue", "drain", "pause", "resume", "purge", "touch", "deploy", "warm",
                     "verify"):
            self.assertIn(f" {word} ", text)


def help_text():
    return Command().create_parser("manage.py", "inval").format_help()
