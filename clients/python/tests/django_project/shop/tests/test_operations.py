"""Operations by themselves, in migrations that are made here."""

from datetime import timedelta

from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.migration import Migration
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter
from django.test import TransactionTestCase, override_settings

from inval.django import CreateInval, SetVar, Track, Untrack

from .rules import all_rules, keys

SHELF = migrations.CreateModel("Shelf", [("id", models.BigAutoField(primary_key=True)), ("room", models.IntegerField())])
TOOL = migrations.CreateModel(
    "Tool",
    [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=9)),
        ("shelf", models.ForeignKey("stock.Shelf", models.CASCADE)),
    ],
)


class Never:
    def allow_migrate(self, db, app_label, **hints):
        return app_label != "stock"


class OperationTests(TransactionTestCase):
    def setUp(self):
        self.state = ProjectState()
        self.done = []

    def tearDown(self):
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS stock_tool, stock_shelf CASCADE")

    def run_forwards(self, *operations):
        """One migration."""
        migration = Migration("some", "stock")
        migration.operations = list(operations)
        before = self.state.clone()
        with connection.schema_editor() as editor:
            self.state = migration.apply(self.state, editor)
        self.done.append((migration, before))

    def run_back(self):
        migration, before = self.done.pop()
        with connection.schema_editor() as editor:
            migration.unapply(before.clone(), editor)
        self.state = before

    def stock(self):
        return [row for row in all_rules() if "stock" in row]

    def test_a_path_along_a_foreign_key_of_the_same_migration(self):
        self.run_forwards(SHELF, TOOL, Track("tool", key="room:{shelf__room}"))
        self.assertEqual(keys("stock_tool"), ["room:{shelf_id.room}"])

    def test_the_state_of_that_moment(self):
        self.run_forwards(SHELF, TOOL, Track("tool", key="tool:{name}", changes=["name"]))
        self.run_forwards(migrations.RenameField("tool", "name", "title"), migrations.RenameModel("Tool", "Thing"))
        self.run_forwards(Track("thing", key="thing:{title}"))
        self.assertEqual(keys("stock_thing"), ["thing:{title}", "tool:{title}"])
        self.run_back()
        self.run_back()
        self.assertEqual(keys("stock_tool"), ["tool:{name}"])
        self.run_back()
        # Again, from the beginning to the end, in one migration
        self.run_forwards(SHELF, TOOL, Track("tool", key="tool:{name}"), migrations.RenameField("tool", "name", "title"))
        self.assertEqual(keys("stock_tool"), ["tool:{title}"])

    def test_back_removes_exactly_its_rule(self):
        self.run_forwards(SHELF)
        others = [
            Track("shelf", key="shelf:{id}", action="version"),
            Track("shelf", key="shelf:{id}", field="f"),
            Track("shelf", key="shelf:{id}", field="{room}"),
            Track("shelf", key="shelf:{id}", via="SELECT {id} AS id"),
        ]
        self.run_forwards(*others)
        before = self.stock()
        for more in (
            Track("shelf", key="shelf:{id}"),
            Track("shelf", key="shelf:{id}", field="other"),
            Track("shelf", key="shelf:{id}", via="SELECT {room} AS id"),
            Track("shelf", key="shelf:{id}", action="expire", ttl=timedelta(seconds=3)),
        ):
            self.run_forwards(more)
            self.assertEqual(len(self.stock()), len(before) + 1)
            self.run_back()
            self.assertEqual(self.stock(), before)
        self.run_back()
        self.assertEqual(self.stock(), [])

    def test_previous_options_come_back(self):
        self.run_forwards(SHELF, Track("shelf", key="shelf:{id}", delivery="background", changes=["room"]))
        before = self.stock()
        self.run_forwards(
            Track("shelf", key="shelf:{id}", repeat_after=timedelta(seconds=5),
                  previous={"delivery": "background", "changes": ["room"]})
        )
        self.assertNotEqual(self.stock(), before)
        self.run_back()
        self.assertEqual(self.stock(), before)

    def test_untrack(self):
        tracked = dict(key="shelf:{room}", publish="shelves", changes=["room"])
        self.run_forwards(SHELF, Track("shelf", **tracked), Track("shelf", key="shelf:{room}", field="x"))
        before = self.stock()
        self.run_forwards(Untrack("shelf", **tracked))
        self.assertEqual(len(self.stock()), 1)
        self.run_back()
        self.assertEqual(self.stock(), before)

    def test_all_options(self):
        self.run_forwards(
            SHELF, TOOL,
            Track(
                "stock.Tool", key="tool:{pk|md5:8}:{shelf__pk}:{@table}:{{x}}:{\"name\"|url}", delivery="background",
                changes=["name", "shelf"], ttl=timedelta(days=1), publish="tools:{shelf}", stream="s:{shelf_id.room}",
                fence=True, repeat_after=timedelta(milliseconds=1500), refill="SELECT name FROM stock_tool WHERE id = {id}",
                targets=["default"], state="shadow",
            ),
        )
        (row,) = self.stock()
        self.assertEqual(row, repr((
            "stock_tool", "tool:{id|md5:8}:{shelf_id}:{@table}:{{x}}:{name|url}", None, "delete", "background",
            ["name", "shelf_id"], None, timedelta(days=1), "tools:{shelf_id}", "s:{shelf_id.room}", True,
            timedelta(seconds=1.5), all_refill(), ["default"], "shadow",
        )))

    def test_fence_is_the_default_where_there_are_leases(self):
        self.run_forwards(
            SHELF, Track("shelf", key="a:{id}"), Track("shelf", key="b:{id}", field="f"),
            Track("shelf", key="c", action="version"), Track("shelf", key="d:{id}", fence=False),
            Track("shelf", key="e:{id}", delivery="strict"),
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT key, fence FROM inval_rule WHERE relation = 'stock_shelf'::regclass ORDER BY key")
            self.assertEqual(
                cursor.fetchall(), [("a:{id}", True), ("b:{id}", False), ("c", False), ("d:{id}", False), ("e:{id}", True)]
            )

    def test_what_cannot_be(self):
        self.run_forwards(SHELF, TOOL)
        for kind, says, operation in (
            (FieldError, "has no field 'rom'.*there are id, room", Track("shelf", key="s:{rom}")),
            (FieldError, "stock.Shelf has no field 'x'", Track("tool", key="s:{shelf__x}")),
            (FieldError, "is not a column", Track("shelf", key="s:{tool}")),
            (FieldError, "own table", Track("tool", key="s:{id}", changes=["shelf__room"])),
            (FieldError, "no many-to-many", Track("tool.shelf", key="s:{id}")),
            (LookupError, "no model 'spade'", Track("spade", key="s:{id}")),
        ):
            with self.subTest(says), self.assertRaisesRegex(kind, says):
                self.run_forwards(operation)
        for kind, says, arguments in (
            (ValueError, "one of key and columns", {}),
            (ValueError, "one of key and columns", {"key": "a", "columns": "id"}),
            (TypeError, "changes is a list", {"key": "a", "changes": "room"}),
            (TypeError, "targets is a list", {"key": "a", "targets": "default"}),
            (ValueError, "fence is not for fields", {"key": "a", "field": "f", "fence": True}),
            (ValueError, "previous has", {"key": "a", "previous": {"field": "x"}}),
        ):
            with self.subTest(says), self.assertRaisesRegex(kind, says):
                Track("shelf", **arguments)
        with self.assertRaisesRegex(TypeError, r"takes lists of values: \['a'\]"):
            SetVar("x", "a")

    def test_variables(self):
        self.run_forwards(SetVar("release", ["a", "b"]))
        self.assertEqual(variable("release"), ["a", "b"])
        self.run_forwards(SetVar("release", ["c"], previous=["a", "b"]))
        self.run_back()
        self.assertEqual(variable("release"), ["a", "b"])
        # Without values: what a deploy has set stays.
        with override_settings(INVAL={"VARS": {"release": "z", "colour": "red, \"blue\" \\"}}):
            self.run_forwards(SetVar("release"), SetVar("colour"))
            self.assertEqual(variable("release"), ["a", "b"])
            self.assertEqual(variable("colour"), ["red, \"blue\" \\"])
        self.run_back()
        self.assertIsNone(variable("colour"))
        with self.assertRaisesRegex(LookupError, "does not name 'size'"):
            self.run_forwards(SetVar("size"))

    def test_routers_are_asked(self):
        self.run_forwards(SHELF)
        with override_settings(DATABASE_ROUTERS=[Never()]):
            self.run_forwards(Track("shelf", key="s:{id}"), SetVar("release", ["a"]), CreateInval())
        self.assertEqual(self.stock(), [])
        self.assertIsNone(variable("release"))

    def test_squashing(self):
        options = dict(key="a:{id}", ttl=timedelta(seconds=2), action="expire")

        def reduced(*operations):
            return [
                type(one).__name__ + str(one.options["ttl"])
                for one in MigrationOptimizer().optimize(list(operations), "stock")
            ]

        track, untrack = Track("shelf", **options), Untrack("shelf", **options)
        later = Track("shelf", key="a:{id}", action="expire", ttl=timedelta(seconds=5))
        self.assertEqual(reduced(track, untrack), [])
        self.assertEqual(reduced(track, later), ["Track0:00:05"])
        self.assertEqual(reduced(track, later, untrack), [])
        self.assertEqual(reduced(track, Untrack("shelf", key="b:{id}", action="expire")), ["Track0:00:02", "UntrackNone"])
        self.assertEqual(reduced(track, Track("shelf", key="a:{id}", ttl=None)), ["Track0:00:02", "TrackNone"])

    def test_they_can_be_written_down(self):
        migration = type("Migration", (Migration,), {"operations": [
            CreateInval("cache"), SetVar("a", ["b"]), Untrack("shelf", "a:{id}", changes=["room"]),
            Track("shelf", key="a:{id}", ttl=timedelta(seconds=2), previous={"ttl": None}),
        ]})("0001_some", "stock")
        text = MigrationWriter(migration).as_string()
        scope = {}
        exec(text, scope)
        again = scope["Migration"]("0001_some", "stock")
        self.assertEqual(again.operations[0].schema, "cache")
        self.assertEqual(again.operations[1].values, ["b"])
        self.assertEqual(
            [(one.options, one.previous) for one in again.operations[2:]],
            [(one.options, one.previous) for one in migration.operations[2:]],
        )
        self.assertEqual(
            [one.describe() for one in again.operations],
            ["Creates extension inval", "Sets the variable {$a} of inval", "No longer tracks shelf under a:{id}",
             "Tracks shelf under a:{id}"],
        )
        self.assertEqual(again.operations[3].options["ttl"], timedelta(seconds=2))


class SchemaTests(TransactionTestCase):
    """The extension in a schema of its own, and none at all."""

    def apply(self, operation, back=False):
        state = ProjectState()
        SHELF.state_forwards("stock", state)
        with connection.schema_editor() as editor:
            run = operation.database_backwards if back else operation.database_forwards
            run("stock", editor, state, state)

    def setUp(self):
        call_command("migrate", "shop", "0001", verbosity=0)  # the extension goes, too
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE stock_shelf (id bigint, room integer)")

    def tearDown(self):
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE stock_shelf")
            cursor.execute("DROP EXTENSION IF EXISTS inval")
            cursor.execute('DROP SCHEMA IF EXISTS "My cache"')
        call_command("migrate", "shop", verbosity=0)

    def test_a_schema_of_its_own(self):
        self.apply(CreateInval("My cache"))
        track = Track("shelf", key="s:{id}")
        self.apply(SetVar("x", ["y"]))
        self.apply(track)
        with connection.cursor() as cursor:
            cursor.execute('SELECT key FROM "My cache".inval_rule')
            self.assertEqual(cursor.fetchall(), [("s:{id}",)])
        self.apply(track, back=True)
        self.apply(Track("shelf", key="s:{id}", via="SELECT {id} AS id"))
        self.apply(Track("shelf", key="s:{id}", via="SELECT {id} AS id"), back=True)
        self.apply(CreateInval("My cache"), back=True)
        self.assertIsNone(all_rules())

    def test_without_the_extension(self):
        with self.assertRaisesRegex(LookupError, "put CreateInval.. into a migration"):
            self.apply(Track("shelf", key="s:{id}"))
        # Nothing is there to be undone.
        self.apply(Track("shelf", key="s:{id}"), back=True)
        self.apply(SetVar("x", ["y"]), back=True)
        with override_settings(INVAL={"OPTIONAL": True}):
            self.apply(Track("shelf", key="s:{id}"))
            self.apply(SetVar("x", ["y"]))
            self.apply(Track("shelf", key="s:{id}"), back=True)
        self.assertIsNone(all_rules())


def variable(name):
    with connection.cursor() as cursor:
        cursor.execute('SELECT "values" FROM inval_var WHERE name = %s', [name])
        row = cursor.fetchone()
    return row and row[0]


def all_refill():
    with connection.cursor() as cursor:
        cursor.execute("SELECT refill FROM inval_rule WHERE relation = 'stock_tool'::regclass")
        return cursor.fetchone()[0]
