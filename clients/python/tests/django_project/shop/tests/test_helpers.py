"""The helpers for tests pass, and fail, as they should."""

from django.core.cache import cache, caches
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from inval.django.test import InvalAssertions, InvalTestMixin
from shop.models import Book, Owner, Publisher, Tag, Team

from .test_transactions import fixture, write


class InTransactionTests(InvalTestMixin, TestCase):
    """In a TestCase, which does not commit."""

    def test_passes(self):
        with self.assertInvalidates("label:a"):
            publisher = Publisher.objects.create(name="a", owner=Owner.objects.create())
        with self.assertInvalidates("label:b", exact=True):
            Publisher.objects.filter(pk=publisher.pk).update(name="b")
        with self.assertInvalidates():
            pass
        with self.assertInvalidatesNothing():
            Publisher.objects.filter(pk=publisher.pk).update(name="b")
            Owner.objects.create()

    def test_fields_of_hashes(self):
        owner = Owner.objects.create()
        with self.assertInvalidates((f"owner:{owner.pk}", "77")):
            Publisher.objects.create(pk=77, name="a", owner=owner)

    def test_looked_up_and_many_to_many(self):
        fixture()
        with self.assertInvalidates("book:1:tags", "tag:5:books", exact=True):
            Book.objects.get(pk=1).tags.add(Tag.objects.create(pk=5))

    def test_fails(self):
        with self.assertRaisesRegex(AssertionError, "not invalidated: label:b; these were: .*label:a"):
            with self.assertInvalidates("label:b"):
                Publisher.objects.create(name="a", owner=Owner.objects.create())
        with self.assertRaisesRegex(AssertionError, "not invalidated: x; these were: none"):
            with self.assertInvalidates("x"):
                pass
        with self.assertRaisesRegex(AssertionError, "invalidated as well: label:d"):
            with self.assertInvalidates("label:c", exact=True):
                Publisher.objects.update(name="c")
                publisher = Publisher.objects.get()
                Publisher.objects.filter(pk=publisher.pk).update(name="d")
        with self.assertRaisesRegex(AssertionError, "invalidated as well: teams:v"):
            with self.assertInvalidatesNothing():
                Team.objects.create()
        with self.assertRaisesRegex(AssertionError, "owed before the block already: label:d"):
            with self.assertInvalidates("label:d"):
                Publisher.objects.update(name="e")

    def test_what_is_rolled_back_is_not_owed(self):
        with self.assertRaisesRegex(AssertionError, "not invalidated"):
            with self.assertInvalidates("teams:v"):
                with transaction.atomic():
                    Team.objects.create()
                    transaction.set_rollback(True)

    def test_an_error_in_the_block_is_what_is_raised(self):
        with self.assertRaises(ZeroDivisionError):
            with self.assertInvalidates("x"):
                1 / 0


class CommittingTests(InvalTestMixin, TransactionTestCase):
    def setUp(self):
        super().setUp()
        fixture()

    def test_rows_of_set_up_are_told_apart(self):
        with self.assertInvalidates("book:1", "price:11"):
            write()
        self.assertEqual(Book.objects.get().price, 11)
        with self.assertRaisesRegex(AssertionError, "invalidated as well: .*book:1"):
            with self.assertInvalidatesNothing():
                write()

    def test_keys_go_for_real(self):
        cache.set("book:1", 5)
        write()
        self.assertFalse(cache.has_key("book:1"))

    def test_drain(self):
        execute("SELECT inval_track('shop_tag', key => 'slow:{id}', delivery => 'background')")
        self.addCleanup(execute, "SELECT inval_untrack('shop_tag', 'slow:{id}')")
        cache.set("slow:3", 1)
        execute("SELECT inval_pause()")
        try:
            Tag.objects.create(pk=3)
            self.assertTrue(cache.has_key("slow:3"))
        finally:
            execute("SELECT inval_resume()")
        self.drain()
        self.assertFalse(cache.has_key("slow:3"))

    def test_caches_are_empty_each_time(self):
        self.assertEqual(cache.inval.client.dbsize(), 0)
        cache.set("left", 1)
        self.clear_caches()
        self.assertEqual(cache.inval.client.dbsize(), 0)


class TrackedTests(InvalAssertions, TransactionTestCase):
    def test_columns(self):
        self.assertTracked()
        self.assertTracked("team_id")
        with self.assertRaisesRegex(AssertionError, "shop_owner: untracked"):
            self.assertTracked("name")
        execute('CREATE TABLE "shop Bill" (team_id bigint)')
        self.addCleanup(execute, 'DROP TABLE "shop Bill"')
        with self.assertRaisesRegex(AssertionError, 'not tracked:\n"shop Bill": untracked'):
            self.assertTracked("team_id")
        self.assertTracked("team_id", exempt=["shop B*"])
        with override_settings(INVAL={"EXEMPT": ['"shop Bill"']}):
            self.assertTracked("team_id")

    def test_entries(self):
        self.assertEntriesTracked()
        execute("UPDATE inval_rule SET state = 'off' WHERE relation = 'shop_source'::regclass")
        try:
            with self.assertRaisesRegex(AssertionError, 'shop.Source.cached reads "shop_source": the rule .* is off. In a'):
                self.assertEntriesTracked()
        finally:
            execute("UPDATE inval_rule SET state = 'on' WHERE relation = 'shop_source'::regclass")

    def test_the_same_shape_is_not_the_same_rule(self):
        execute("SELECT inval_untrack('shop_source')")
        execute("SELECT inval_track('shop_source', key => '{id}:{$git_sha}:source', fence => true)")
        try:
            with self.assertRaisesRegex(AssertionError, "no rule for keys like {team}"):
                self.assertEntriesTracked()
        finally:
            execute("SELECT inval_untrack('shop_source')")
            execute("SELECT inval_track('shop_source', key => '{team_id}:{$git_sha}:source', fence => true)")

    def test_decorated_entries(self):
        core = caches["default"].inval
        for template, tables, options, says in (
            ("book:{any_name}", ["Quoted Table"], {}, None),
            ("book:{x}", ['"Quoted Table"', "shop.EBook"], {}, "reads shop.EBook: no rule for keys like book"),
            ("ebook:{x|url}", ["shop.EBook"], {}, None),
            ("tag:{t}:books", ["public.\"Quoted Table_tags\""], {}, None),
            ("team:{x}", ["shop_nothing"], {}, "there is no table shop_nothing"),
            ("book:{x}", ["'; DROP"], {}, "there is no table"),
            ("book:{x}", ["Quoted Table"], {"strict": True}, "not strict, the entry is"),
            ("owner:{x}", ["shop_publisher"], {}, "no rule for keys like"),
            ("teams:v", ["shop_team"], {}, "no rule for keys like"),
            ("nothing:{x}", [], {}, None),
        ):
            with self.subTest(template, tables=tables):
                entry = core.entry(template, tables=tables, **options)(named(template))
                try:
                    self.check_entries(says)
                finally:
                    core.entries.remove(entry)

    def check_entries(self, says):
        if says is None:
            self.assertEntriesTracked()
        else:
            with self.assertRaisesRegex(AssertionError, says):
                self.assertEntriesTracked()

    def test_rules_of_other_kinds(self):
        core = caches["default"].inval
        entry = core.entry("page:{x}:body", tables=["shop_team"])(named("{x}"))
        self.addCleanup(core.entries.remove, entry)
        for arguments, says in (
            ("key => 'page:{id}:body'", "has no fence"),
            ("key => 'page:{id}:body', delivery => 'strict'", None),
            ("key => 'page:{id}:body', fence => true, state => 'shadow'", "is shadow"),
            ("key => 'page:', action => 'prefix', fence => true", None),
            ("key => 'page:{name}:', action => 'prefix', fence => true", None),
            ("key => 'page:{name|md5}:', action => 'prefix', fence => true", "no rule"),
            ("key => 'page:{x}:body', via => 'SELECT {id} AS x', fence => true", None),
        ):
            with self.subTest(arguments):
                execute(f"SELECT inval_track('shop_team', {arguments})".replace("%", "%%"))
                try:
                    self.check_entries(says)
                finally:
                    execute("SELECT inval_untrack_rule(id) FROM inval_rule WHERE key LIKE 'page:%%'")


def named(template):
    """A function whose parameters are the placeholders."""
    import re

    names = re.findall(r"\{(\w+)", template)
    return eval(f"lambda {', '.join(names)}: None")


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql, [])

