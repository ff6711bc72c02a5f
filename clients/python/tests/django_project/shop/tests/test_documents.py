"""Every snippet of docs/orm.md is run, in the order of the document."""

import io
import re
import shlex
import unittest
from pathlib import Path

from django.apps import apps
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.state import ProjectState
from django.test import TransactionTestCase, override_settings
from django.test.utils import isolate_apps

from inval.django import InvalCache
from inval.django.conf import conf
from inval.django.management.commands.inval import Command
from inval.django.test import InvalTestMixin
from shop.models import Book, Source, Tag, Team

from .documents import Document
from .rules import all_rules
from .test_helpers import execute
from .test_transactions import fixture

DOCUMENT = Document("orm.md")
text, blocks = DOCUMENT.text, DOCUMENT.blocks


class DocumentTests(InvalTestMixin, TransactionTestCase):
    def test_there_is_nothing_else(self):
        self.assertEqual(len(blocks()), 5)
        self.assertEqual(len(blocks("sql")), 1)
        self.assertEqual(len(blocks("sh")), 1)
        self.assertEqual(len(re.findall("^```(?!text$)", text(), re.MULTILINE)), 2 * 7 + len(blocks("text")))

    def test_settings(self):
        names = {"INSTALLED_APPS": [], "GIT_SHA": "abc"}
        exec(blocks()[0], names)
        self.assertEqual(names["INSTALLED_APPS"], ["inval.django"])
        options = dict(names["CACHES"]["default"])
        self.assertEqual(options.pop("BACKEND"), "inval.django.InvalCache")
        made = InvalCache(options.pop("LOCATION"), options)
        self.assertEqual((made.config.policy.ttl, made.config.policy.early), (3600, 30))
        with override_settings(INVAL=names["INVAL"]):
            self.assertEqual((conf().coverage, conf().vars, conf().test), (("team_id",), {"git_sha": "abc"}, {"FIRST_DB": 8}))

    def test_migration(self):
        names = {}
        exec(blocks()[1], names)
        migration = names["Migration"]("0002_some", "shop")
        state = ProjectState.from_apps(apps)
        before = all_rules()
        execute("SELECT inval_untrack(r) FROM (SELECT DISTINCT relation AS r FROM inval_rule) x")
        try:
            with connection.schema_editor() as editor:
                migration.apply(state.clone(), editor)
            self.assertEqual(len(all_rules()), 7)
            self.assertEqual(len([rule for rule in all_rules() if rule in before]), 6)
            with connection.schema_editor() as editor:
                migration.unapply(state.clone(), editor)
            self.assertIsNone(all_rules())
        finally:
            call_command("migrate", "shop", "0001", verbosity=0)
            call_command("migrate", "shop", verbosity=0)

    def test_reading(self):
        fixture()
        names = {}
        exec(blocks()[2], names)
        self.addCleanup(cache.inval.entries.remove, names["book"])
        book = Book.objects.get()
        tag = Tag.objects.create(name="T")
        self.assertEqual(names["tags_of"](1), [])
        book.tags.add(tag)
        self.assertEqual(names["tags_of"](1), [{"id": tag.pk, "name": "T"}])
        titles, etag = names["titles_of"](book.publisher_id)
        self.assertEqual(titles, [{"title": "one"}])
        self.assertEqual(names["titles_of"](book.publisher_id)[1], etag)
        self.assertEqual(names["book"](1), {"id": 1, "title": "one"})
        Book.objects.update(title="two")
        self.assertEqual(names["book"](1)["title"], "two")
        self.assertNotEqual(names["titles_of"](book.publisher_id)[1], etag)
        self.assertEntriesTracked()

    @isolate_apps("shop")
    def test_manager(self):
        class Team(models.Model):
            class Meta:
                app_label = "shop"

        names = {"__name__": "shop.models"}
        exec(blocks()[3], names)
        self.assertEqual(names["sources"](7), [])
        names["Source"].cached.values("id", "status").rows(team=7)
        self.assertTrue(cache.has_key("7:a1b2c3:source"))

    def test_tests(self):
        """Those of the document pass; the rule of its migration that this project lacks is there for them."""
        execute("SELECT inval_track('shop_publisher', key => 'publisher:{id}:name')")
        self.addCleanup(execute, "SELECT inval_untrack('shop_publisher', 'publisher:{id}:name')")
        names = {"__name__": "document"}
        exec(blocks()[4], names)
        suite = unittest.TestSuite(
            unittest.defaultTestLoader.loadTestsFromTestCase(names[name]) for name in ("PublisherTests", "BookTests")
        )
        result = unittest.TestResult()
        suite.run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (3, [], []))

    def test_command(self):
        lines = re.findall(r"^manage.py inval (.*)$", blocks("sh")[0], re.MULTILINE)
        known = set(Command().create_parser("manage.py", "inval")._subparsers._group_actions[0].choices)
        self.assertEqual({line.split()[0] for line in lines}, known, "each is shown, and is there")
        Source.objects.create(team=Team.objects.create(), status="on")
        try:
            for line in lines:
                with self.subTest(line):
                    call_command("inval", *shlex.split(line), "--json", stdout=io.StringIO())
        finally:
            execute("SELECT inval_resume()")
            execute("SELECT inval_set_var('git_sha', 'a1b2c3')")

    def test_checks(self):
        described = set(re.findall(r"^- `inval\.([EW]00\d)`", text(), re.MULTILINE))
        source = (Path(__file__).resolve().parents[4] / "src/inval/django/checks.py").read_text()
        self.assertEqual(described, set(re.findall(r'id="inval\.(\w+)"', source)) - {"E000"})

    def test_sql(self):
        execute("CREATE TABLE library_book (publisher_id integer)")
        self.addCleanup(execute, "DROP TABLE library_book")
        execute(blocks("sql")[0])
        (undo,) = re.findall(r"`(inval_untrack\('library_book'[^`]*)`", text())
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + undo)
            self.assertEqual(cursor.fetchone()[0], 1)
