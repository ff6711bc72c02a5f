"""Every snippet of docs/readers.md in Python and SQL is run, in the order of the document."""

import hashlib
import random
import re
import time

import redis
from django.apps import apps
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, migrations, transaction
from django.db.migrations.state import ProjectState
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver
from django.http import HttpResponse
from django.test import RequestFactory, TransactionTestCase
from django.views.decorators.http import condition

from inval.django.test import InvalTestMixin
from shop.models import Book, Source, Tag, Team

from .documents import Document
from .test_helpers import execute
from .test_transactions import fixture

DOCUMENT = Document("readers.md")


def apply(operations):
    migration = migrations.Migration("0004_document", "shop")
    migration.operations = operations
    with connection.schema_editor() as editor:
        migration.apply(ProjectState.from_apps(apps), editor)


class ReadersDocumentTests(InvalTestMixin, TransactionTestCase):
    def test_there_is_nothing_else(self):
        """ruby and php are for 060_other_languages.pl; nobody runs "text"."""
        languages = re.findall(r"^```(\w+)", DOCUMENT.text(), re.MULTILINE)
        self.assertEqual(set(languages), {"python", "sql", "ruby", "php", "text"})

    def test_python(self):
        fixture()
        team = Team.objects.create(pk=7, name="T")
        source = Source.objects.create(team=team, status="off")
        book = Book.objects.get()
        url = cache.inval.client.connection_pool.connection_kwargs
        address = f"redis://{url['host']}:{url['port']}/{url['db']}"
        names = {
            "Book": Book, "HttpResponse": HttpResponse, "Source": Source, "condition": condition,
            "client": redis.Redis.from_url(address), "hashlib": hashlib, "m2m_changed": m2m_changed,
            "post_delete": post_delete, "post_save": post_save, "random": random, "receiver": receiver,
            "source": source, "time": time, "transaction": transaction,
            "load_report": lambda team_id: Source.objects.filter(team=team_id).count(),
            "load_sources": lambda team_id: list(Source.objects.filter(team=team_id).values_list("status", flat=True)),
            "render_page": lambda pk: " ".join(Book.objects.values_list("title", flat=True)),
        }
        self.addCleanup(call_command, "migrate", "shop", verbosity=0)
        self.addCleanup(call_command, "migrate", "shop", "0001", verbosity=0)
        self.addCleanup(execute, "SELECT inval_untrack(r) FROM (SELECT DISTINCT relation AS r FROM inval_rule) x")
        operations = []
        for number, block in enumerate(DOCUMENT.blocks("python")):
            names["operations"] = []
            block = block.replace("redis://127.0.0.1:6379/0", address).replace("seconds=5", "milliseconds=5")
            exec(compile(block, f"block {number} of {DOCUMENT.name}", "exec"), names)
            operations += names["operations"]
        for signal in (post_save, post_delete):
            signal.disconnect(names["forget_sources"], sender=Source)
        m2m_changed.disconnect(names["forget_tags"], sender=Book.tags.through)
        apply(operations)
        for made in (names["reader"], names["front"]):
            self.addCleanup(made.close)
        self.addCleanup(names["client"].close)
        self.sources(names, source)
        self.pages(names, book)
        self.relations(book)
        self.wait_until(self.queue_is_empty)  # second invalidations, too

    def sources(self, names, source):
        names["reader"].delete("sources:7")
        for read in (names["sources"], names["external_data_source"]):
            self.assertEqual(read(7), ["off"])
        self.assertEqual(names["report"](7), 1)
        Source.objects.update(status="on")
        for read in (names["sources"], names["external_data_source"]):
            self.assertEqual(read(7), ["on"])
        self.assertEqual(names["report"].fetch(7).source, "filled")
        number, = names["reader"].version("team:7:v")
        names["page"](7)
        source.save()
        self.assertGreater(names["reader"].version("team:7:v")[0], number)

    def pages(self, names, book):
        request = RequestFactory().get("/")
        self.assertEqual(names["page_of"](book.pk), "one")
        self.assertEqual(names["title"](book.pk), "one")
        first = names["view"](request, book.pk)
        again = RequestFactory().get("/", HTTP_IF_NONE_MATCH=first.headers["ETag"])
        self.assertEqual(names["view"](again, book.pk).status_code, 304)
        Book.objects.update(title="two")
        self.assertEqual(names["page_of"](book.pk), "two")
        self.assertEqual(names["view"](again, book.pk).content, b"two")
        self.wait_until(lambda: names["title"](book.pk) == "two")  # the message has come

    def wait_until(self, holds):
        deadline = time.monotonic() + 60
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def queue_is_empty(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT NOT EXISTS (SELECT FROM inval_queue)")
            return cursor.fetchone()[0]

    def relations(self, book):
        tag = Tag.objects.create(name="T")
        keys = (f"book:{book.pk}:tags", f"tag:{tag.pk}:books")
        for key in keys:
            cache.set(key, "old")
        book.tags.add(tag)
        self.assertEqual([cache.get(key) for key in keys], [None, None])

    def test_sql(self):
        execute("CREATE TABLE article (id int PRIMARY KEY, body text); CREATE TABLE account (id int PRIMARY KEY)")
        self.addCleanup(execute, "DROP TABLE article, account; SELECT inval_set_var('git_sha', 'a1b2c3')")
        for block in DOCUMENT.blocks("sql"):
            execute(block)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM inval_rule WHERE relation IN ('article'::regclass, 'account'::regclass)")
            self.assertEqual(cursor.fetchone()[0], 2)
