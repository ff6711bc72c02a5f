"""CacheManager: rows under a key."""

import uuid
from datetime import datetime, timezone
from decimal import Decimal

from django.core.cache import cache
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connection, models
from django.test import SimpleTestCase, TransactionTestCase, override_settings
from django.test.utils import isolate_apps

from inval.django import CacheManager
from inval.django.manager import CachedRows, manager_entries
from inval.django.test import InvalTestMixin
from shop.models import Book, Owner, Publisher, Source, Team


class RowsTests(InvalTestMixin, TransactionTestCase):
    def setUp(self):
        super().setUp()
        self.team = Team.objects.create(name="T")
        self.source = Source.objects.create(
            team=self.team, status="on", amount=Decimal("12345678.1230"), token=uuid.uuid4(),
            at=datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc), options={"a": [1, None, "é"]},
        )
        self.bare = Source.objects.create(team=self.team, status="off")

    def test_rows_are_exact(self):
        for where in ("filled", "hit"):
            with self.subTest(where), self.assertNumQueries(1 if where == "filled" else 0):
                rows = Source.cached.rows(team=self.team.pk)
                self.assertEqual([row.pk for row in rows], [self.source.pk, self.bare.pk])
                for row, stored in zip(rows, (self.source, self.bare)):
                    self.assertIsInstance(row, Source)
                    self.assertFalse(row._state.adding)
                    for field in Source._meta.concrete_fields:
                        self.assertEqual(getattr(row, field.attname), getattr(stored, field.attname))
                        self.assertIs(type(getattr(row, field.attname)), type(getattr(stored, field.attname)))

    def test_one_key_however_it_is_said(self):
        key = f"{self.team.pk}:a1b2c3:source"
        for value in (self.team.pk, str(self.team.pk), self.team):
            self.assertEqual(Source.cached.key(team=value), key)
            Source.cached.rows(team=value)
        self.assertEqual(cache.inval.client.keys("*source"), [key.encode()])
        self.assertEqual(cache.inval.client.get(key)[:10], b'{"fields":')

    def test_a_change_is_seen(self):
        Source.cached.rows(team=self.team)
        other = Team.objects.create(name="other")
        self.assertEqual(Source.cached.rows(team=other), [])
        Source.objects.filter(pk=self.bare.pk).update(team=other)
        self.assertEqual([row.pk for row in Source.cached.rows(team=other)], [self.bare.pk])
        self.assertEqual([row.pk for row in Source.cached.rows(team=self.team)], [self.source.pk])
        self.source.delete()
        self.assertEqual(Source.cached.rows(team=self.team), [])

    def test_values(self):
        narrow = Source.cached.values("id", "status")
        self.assertEqual(narrow.rows(team=self.team)[1], {"id": self.bare.pk, "status": "off"})
        self.assertEqual(Source.cached.values().rows(team=self.team)[0]["team_id"], self.team.pk)
        self.assertEqual(len(cache.inval.client.keys("*source")), 1)
        with self.assertRaisesRegex(FieldDoesNotExist, "does not cache 'x'"):
            Source.cached.values("x")

    def test_get(self):
        self.bare.delete()
        self.assertEqual(Source.cached.get(team=self.team), self.source)
        with self.assertRaises(Source.DoesNotExist):
            Source.cached.get(team=0)
        Source.objects.create(team=self.team, status="on")
        with self.assertRaises(Source.MultipleObjectsReturned):
            Source.cached.get(team=self.team)

    def test_what_another_release_has_stored_is_read_anew(self):
        key = Source.cached.key(team=self.team)
        for stored in ({"fields": ["id"], "rows": [[1]]}, [1], 5, None):
            cache.set(key, stored)
            self.assertEqual(len(Source.cached.rows(team=self.team)), 2)
            self.assertEqual(cache.get(key)["fields"][0], "id")

    def test_nor_while_another_process_replaces_it(self):
        key = Source.cached.key(team=self.team)
        cache.set(key, [1])
        self.assertEqual(cache.inval.client.fcall("inval_get", 1, key, 60000, -1)[0], b"fill")
        self.assertEqual(len(Source.cached.rows(team=self.team)), 2)
        self.assertEqual(cache.get(key), [1])

    def test_values_that_share_a_key_do_not_share_rows(self):
        """The key says what is removed; what the rows are of is said with them."""
        manager = CacheManager("pair:{title}:{publisher__name}")
        manager.name, manager.owner = "pairs", Book
        pairs = CachedRows(manager, Book)
        owner = Owner.objects.create(name="O")
        for title, name in (("a:b", "c"), ("a", "b:c")):
            Book.objects.create(title=title, publisher=Publisher.objects.create(name=name, owner=owner))
        self.assertEqual(pairs.key(title="a:b", publisher__name="c"), pairs.key(title="a", publisher__name="b:c"))
        for _ in range(2):
            self.assertEqual([row.title for row in pairs.rows(title="a:b", publisher__name="c")], ["a:b"])
            self.assertEqual([row.title for row in pairs.rows(title="a", publisher__name="b:c")], ["a"])
        self.assertEqual(pairs.rows(title="a:b:c", publisher__name=""), [])
        short = CachedRows(CacheManager("short:{title|md5:1}"), Book)
        for title in ("a", "a:b", *map(str, range(40))):
            self.assertEqual([row.title for row in short.rows(title=title)], [title] if title[0] == "a" else [])

    @isolate_apps("shop")
    def test_keys_are_those_of_the_database(self):
        execute = connection.cursor().execute
        execute("ALTER TABLE shop_team ADD share double precision, ADD at timestamptz")

        class Share(models.Model):
            share = models.FloatField()
            at = models.DateTimeField()

            class Meta:
                app_label = "shop"
                db_table = "shop_team"
                managed = False

        moment = datetime(2026, 6, 7, 8, 9, 10, 120000)
        execute("UPDATE shop_team SET share = 1234567, at = %s", [moment.replace(tzinfo=timezone.utc)])
        execute("SELECT inval_track('shop_team', key => 'x:{share}:{at}')")
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT key FROM inval_preview('shop_team') WHERE key LIKE 'x:%'")
            rows = CachedRows(CacheManager("x:{share}:{at}"), Share)
            for use_tz, at in ((True, moment.replace(tzinfo=timezone.utc)), (True, moment), (False, moment)):
                with self.settings(USE_TZ=use_tz, TIME_ZONE="UTC"):
                    self.assertEqual([(rows.key(share=1234567, at=at),)], [(f"x:1234567:{moment:%Y-%m-%dT%H:%M:%S}.12Z",)])
            self.assertEqual(cursor.fetchall(), [(rows.key(share="1234567", at=moment.replace(tzinfo=timezone.utc)),)])
        finally:
            execute("SELECT inval_untrack('shop_team', 'x:{share}:{at}')")
            execute("ALTER TABLE shop_team DROP share, DROP at")

    def test_wrong_values(self):
        for kind, says, values in (
            (TypeError, "takes the values team, not none", {}),
            (TypeError, "takes the values team, not team, status", {"team": 1, "status": "on"}),
            (ValueError, "team is None", {"team": None}),
            (ValidationError, "must be an integer", {"team": "x"}),
        ):
            with self.subTest(says), self.assertRaisesRegex(kind, says):
                Source.cached.rows(**values)

    def test_existing(self):
        self.assertEqual(Source.cached.existing(), [{"team": self.team.pk}])

    def test_objects_are_left_alone(self):
        self.assertIs(type(Source.objects), models.Manager)
        self.assertIs(Source._default_manager, Source.objects)
        with self.assertRaisesRegex(AttributeError, "of the class"):
            self.source.cached


@isolate_apps("shop")
class DefinitionTests(SimpleTestCase):
    def test_templates(self):
        for template, says in (
            ("a:{name|lower}", "same for different values"),
            ("a:{name|url:5}", "same for different values"),
            ("a:{name|md5|upper}", "same for different values"),
            ("a:{team.name}", "no field or lookup"),
            ("a:{@schema}", "no field or lookup"),
            ("a:{tags[]}", "no field or lookup"),
        ):
            with self.subTest(template), self.assertRaisesRegex(ValueError, says):
                CacheManager(template)
        for template in ("a", "{{x}}:{name}", "{name|sha256:16}", "{a__b|url|md5}", "{$v|lower}:{x}"):
            CacheManager(template)

    def test_inheritance(self):
        with self.assertRaisesRegex(ValueError, "would share keys; put {@table}"):
            class Bad(models.Model):
                cached = CacheManager("x:{id}")

                class Meta:
                    abstract = True

        class Base(models.Model):
            name = models.CharField(max_length=9)
            cached = CacheManager("{@table}:{name}", fields=["name"])

            class Meta:
                abstract = True

        class One(Base):
            class Meta:
                db_table = 'other"."{one}'

        class Two(One):
            more = models.IntegerField()

        class Proxy(One):
            class Meta:
                proxy = True

        with self.assertRaisesRegex(AttributeError, "abstract"):
            Base.cached
        self.assertEqual(One.cached.key(name="é"), "{one}:é")
        self.assertEqual(Proxy.cached.key(name="é"), "{one}:é")
        self.assertEqual(Two.cached.key(name="é"), "shop_two:é")

        class Three(models.Model):
            name = models.CharField(max_length=9)
            cached = CacheManager("three:{name}")

        class Four(Three):
            pass

        with self.assertRaisesRegex(AttributeError, "give Four one of its own"):
            Four.cached

    def test_entries(self):
        (entry,) = manager_entries()
        self.assertEqual(
            (entry.name, entry.exact, entry.tables),
            ("shop.Source.cached", "{team_id}:{$git_sha}:source", ('"shop_source"',)),
        )


class NoneTests(SimpleTestCase):
    def test_vars_are_those_of_the_moment(self):
        with override_settings(INVAL={"VARS": {"git_sha": "ffff"}}):
            self.assertEqual(Source.cached.key(team=1), "1:ffff:source")


