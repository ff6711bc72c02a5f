"""The project's own migrations: forwards, back, and forwards again."""

import io

from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

from .rules import all_rules, keys


def migrate(*target):
    call_command("migrate", *target, verbosity=0)


class MigrationTests(TransactionTestCase):
    def tearDown(self):
        migrate("shop")

    def test_rules_have_the_names_of_the_database(self):
        self.assertEqual(
            keys('"Quoted Table"'),
            sorted([
                "bargain:{id}", "book:{id}", "owner:{Publisher.owner_id}:books", 'price:{"price.net"}',
                "publisher:{Publisher}:books",
            ]),
        )
        self.assertEqual(keys("shop_ebook"), ["ebook:{book_ptr_id.The Title|url}"])
        self.assertEqual(keys('"Quoted Table_tags"'), ["book:{book_id}:tags", "tag:{tag_id}:books"])
        self.assertEqual(keys("shop_source"), ["{team_id}:{$git_sha}:source"])
        self.assertEqual(keys("shop_publisher"), ["label:{name}", "owner:{owner_id}", "shop_publisher:{owner_id}"])

    def test_forwards_back_forwards(self):
        after = all_rules()
        migrate("shop", "0002")
        before_rename = all_rules()
        self.assertIn("label:{label}", keys("shop_publisher"))
        migrate("shop", "0001")
        self.assertIsNone(all_rules(), "the extension goes with the last rule")
        migrate("shop", "0002")
        self.assertEqual(all_rules(), before_rename)
        migrate("shop")
        self.assertEqual(all_rules(), after)
        migrate("shop", "zero")
        migrate("shop")
        self.assertEqual(all_rules(), after)

    def test_back_leaves_rules_of_others_and_the_extension(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT inval_track('shop_team', key => 'by:hand:{id}')")
        with self.assertLogs("inval", "WARNING") as logs:
            migrate("shop", "0001")
        self.assertIn("has 1 rules", logs.output[0])
        self.assertEqual(keys("shop_team"), ["by:hand:{id}"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT inval_untrack('shop_team')")

    def test_sqlmigrate(self):
        out = io.StringIO()
        call_command("sqlmigrate", "shop", "0002", stdout=out)
        self.assertIn(
            """SELECT inval_track('"shop_publisher"'::regclass, key => 'label:{label}', changes => '{"label"}'::text[], """
            "fence => true, repeat_after => '1500000 us'::interval);",
            out.getvalue(),
        )
        # What it prints does what migrate does.
        expected = None
        migrate("shop", "0002")
        expected = all_rules()
        migrate("shop", "0001")
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION inval")
            cursor.execute(out.getvalue().replace("%", "%%"), [])
        self.assertEqual(all_rules(), expected)
        back = io.StringIO()
        call_command("sqlmigrate", "shop", "0002", backwards=True, stdout=back)
        with connection.cursor() as cursor:
            cursor.execute(back.getvalue().replace("DROP EXTENSION IF EXISTS inval;", ""), None)
        self.assertEqual(all_rules(), [])
