"""Keys are byte for byte those of the extension: random rows and templates, rendered here
and by inval_preview."""
import base64
import datetime
import os
import random
import struct
import unittest
import uuid

import database

from inval import Template, TemplateError
from inval.keytext import float_text

ROWS = 150
COLUMNS = {
    "i2": "smallint", "i4": "integer", "i8": "bigint", "t": "text", "v": "varchar", "b": "boolean",
    "d": "date", "ts": "timestamp", "tz": "timestamptz", "tm": "time", "f8": "float8", "u": "uuid",
    "y": "bytea", '"odd ""na}me"': "text", '"Ünïcode"': "text",
}
# Characters of all lengths in UTF-8, and those that templates and protocols know.
CHARACTERS = ("abcXYZ019", "{}|:.[]\"'\\$@%*?", " \t\n\r\x01\x7f", "äßÆœÞ\u0130\u0131ς", "\u2028€\ufeff\u0301",
              "漢字かな", "😀🏳️‍🌈𝔘\U0010ffff")


class Random(random.Random):
    def text(self):
        return "".join(self.choice(self.choice(CHARACTERS)) for _ in range(self.randrange(12)))

    def ascii(self):
        return "".join(self.choice("abXY09 {}|:%/~é"[:14]) for _ in range(self.randrange(12)))

    def microsecond(self):
        return self.choice((0, self.randrange(10) * 100000, self.randrange(1000) * 1000,
                            self.randrange(1000000)))

    def datetime(self, zone=None):
        return datetime.datetime(self.choice((1, 44, 1969, 1970, 2000, 2026, 9998)),
                                 self.randint(1, 12), self.randint(1, 28), self.randrange(24),
                                 self.randrange(60), self.randrange(60), self.microsecond(), zone)

    def float(self):
        return self.choice((
            lambda: struct.unpack("d", self.randbytes(8))[0], lambda: 2.0 ** self.randint(-1074, 1023),
            lambda: 10.0 ** self.randint(-320, 308), lambda: float(self.randint(-10**6, 10**6)),
            lambda: self.randint(-10**17, 10**17) / 10**self.randint(0, 20), lambda: -0.0,
            lambda: self.choice((float("inf"), float("-inf"), float("nan"), 0.1, 1e15, 1e-5,
                                 123456789012345.6, 5e-324, 1e23, 9007199254740993.0))))()

    def row(self):
        zone = datetime.timezone(datetime.timedelta(minutes=self.randint(-720, 720)))
        return {
            "i2": self.randint(-2**15, 2**15 - 1), "i4": self.randint(-2**31, 2**31 - 1),
            "i8": self.randint(-2**63, 2**63 - 1), "t": self.text(), "v": self.ascii(),
            "b": self.random() < 0.5, "d": self.datetime().date(), "ts": self.datetime(),
            "tz": self.datetime(zone).replace(year=2026), "tm": self.datetime().time(),
            "f8": self.float(), "u": uuid.UUID(bytes=self.randbytes(16)),
            "y": self.randbytes(self.randrange(6)), 'odd "na}me': self.text(), "Ünïcode": self.text()}

    def placeholder(self):
        column = self.choice(list(COLUMNS))
        filters = ""
        for _ in range(self.choice((0, 0, 1, 1, 2, 3))):
            filters += "|" + self.choice(("md5", "sha256", "url", "lower", "upper"))
            if self.random() < 0.4:
                filters += f":{self.choice((1, 2, 3, 7, 16, 1000))}"
        return "{" + column + filters + "}"

    def template(self):
        parts = [self.choice((self.placeholder, self.placeholder, self.literal))() for _ in
                 range(self.randint(1, 5))]
        return "".join(parts) + ":{n}"

    def literal(self):
        return self.text().replace("{", "{{").replace("}", "}}") + "{{x}}"


@database.needed
class KeysTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("INVAL_SEED") or random.SystemRandom().randrange(10**9))
        cls.random = Random(cls.seed)
        cls.connection = database.connect()
        cls.addClassCleanup(cls.connection.close)
        execute = cls.connection.execute
        execute("DROP TABLE IF EXISTS keys")
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        execute(f"CREATE TABLE keys (n integer PRIMARY KEY, {columns})")
        cls.addClassCleanup(execute, "DROP TABLE keys")
        cls.rows = {n: cls.random.row() for n in range(ROWS)}
        with cls.connection.cursor() as cursor:
            marks = ", ".join(["%s"] * (1 + len(COLUMNS)))
            # Floats as their exact text: what psycopg sends is not what is tested.
            cursor.executemany(f"INSERT INTO keys VALUES ({marks})", [
                [n, *(repr(v) if isinstance(v, float) else v for v in row.values())]
                for n, row in cls.rows.items()])

    def preview(self, template):
        """The keys by row, as bytes: a client would see them in its own encoding."""
        execute = self.connection.execute
        rule, = execute("SELECT inval_track('keys', key => %s)", [template]).fetchone()
        keys = execute("SELECT encode(convert_to(key, 'UTF8'), 'base64') "
                       "FROM inval_preview('keys', %s)", [ROWS]).fetchall()
        execute("SELECT inval_untrack_rule(%s)", [rule])
        decoded = [base64.b64decode(key) for key, in keys]
        return {int(key.rpartition(b":")[2]): key for key in decoded}

    def compare(self, template):
        """How many keys were accepted and are equal."""
        theirs, parsed, accepted = self.preview(template), Template(template), 0
        names = parsed.names()
        for n, row in self.rows.items():
            values = {**row, "n": n}
            try:
                key = parsed.render({name: values[name] for name in names})
            except TemplateError:
                continue  # what it cannot know: the other case of what is not ASCII
            accepted += 1
            self.assertEqual(key.encode(), theirs[n],
                             f"seed {self.seed}, template {template!r}, row {row}")
        return accepted

    def test_each_type(self):
        for column in COLUMNS:
            with self.subTest(column=column):
                accepted = self.compare(f"a:{{{column}}}:{{n}}")
                # Some floats have another text in a column of type real.
                self.assertGreater(accepted, ROWS / 3) if column == "f8" else \
                    self.assertEqual(accepted, ROWS)

    def test_each_filter(self):
        for name in ("md5", "sha256:9", "url", "url:5", "lower", "upper"):
            for column in ("t", "v", "i4", "y"):
                accepted = self.compare(f"{{{column}|{name}}}:{{n}}")
                self.assertEqual(accepted, ROWS) if column != "t" or "er" not in name else \
                    self.assertGreater(accepted, 0)

    def test_random_templates(self):
        accepted = sum(self.compare(self.random.template()) for _ in range(60))
        self.assertGreater(accepted, 20 * ROWS)

    def test_the_same_templates_are_refused(self):
        import psycopg
        for template in ("", "a}", "a{b", "{}", "{n|sha1}", "{n|md5:0}", "{n|md5:1000001}", "{$}",
                         "{n|md5:}", '{"n}', "{n|md5|md5|md5|md5|md5|md5|md5|md5|md5}", "{n}b" * 501,
                         "{n b}c}", "{@relation}", "{n|md5:3x}", "{n..t}", "{n[}", "{n|}"):
            with self.subTest(template=template[:20]):
                with self.assertRaises(psycopg.Error):
                    self.preview(template)
                with self.assertRaises(TemplateError):
                    Template(template)

    def test_many_floats(self):
        floats = [self.random.float() for _ in range(20000)] + [2.0 ** n for n in range(-1074, 1024)]
        rows = self.connection.execute(
            "SELECT f::text FROM unnest(%s::text[]) WITH ORDINALITY u(t, n), "
            "LATERAL (SELECT t::float8 f) x ORDER BY n", [list(map(repr, floats))]).fetchall()
        different = [(f, text) for f, (text,) in zip(floats, rows) if float_text(f) != text]
        self.assertEqual(different, [])

    def test_real(self):
        """A float does not say what column it is of: what the two write differently is refused."""
        floats = [struct.unpack("f", self.random.randbytes(4))[0] for _ in range(2000)]
        floats += [2.0 ** n for n in range(-149, 128)] + [float(10 ** n) for n in range(20)]
        floats += [float(self.random.randint(-10**9, 10**9)) for _ in range(1000)]
        rows = self.connection.execute(
            "SELECT f::text, f::float8, t FROM unnest(%s::text[]) t, LATERAL (SELECT t::float4 f) x",
            [list(map(repr, floats))]).fetchall()
        accepted = 0
        for text, exact, given in rows:
            for number in (float(text), exact, float(given)):  # of psycopg, in text or binary
                if struct.unpack("f", struct.pack("f", number)) != (number,) and number != float(text):
                    continue  # no value of such a column
                try:
                    self.assertEqual(Template("{f}").render({"f": number}), text)
                    accepted += 1
                except TemplateError as error:
                    self.assertIn("::text", str(error))
        self.assertGreater(accepted, len(rows) / 4)
        self.assertEqual([Template("{f}").render({"f": f}) for f in (0.5, -3.0, 1e20, 1e-7, 1234567.8901234)],
                         ["0.5", "-3", "1e+20", "1e-07", "1234567.8901234"])

    def test_paths_elements_and_variables(self):
        execute = self.connection.execute
        for statement in ("CREATE TABLE owners (id integer PRIMARY KEY, team text)",
                          "CREATE TABLE books (id integer PRIMARY KEY, owner_id integer "
                          "REFERENCES owners, tags text[])",
                          "INSERT INTO owners VALUES (1, 'ä{')",
                          "INSERT INTO books VALUES (5, 1, '{x,y,NULL}')",
                          "SELECT inval_set_var('release', 'r1', 'r2')"):
            execute(statement)
        self.addCleanup(execute, "DROP TABLE books, owners")
        template = "{@schema}.{@table}:{owner_id.team|url}:{tags[]|upper}:{$release}"
        execute("SELECT inval_track('books', key => %s)", [template])
        theirs = {key for key, in execute("SELECT key FROM inval_preview('books')").fetchall()}
        mine = {Template(template).render({"team": "ä{", "tags": tag, "@table": "books",
                                           "@schema": "public"}, {"release": release})
                for tag in "xy" for release in ("r1", "r2")}
        self.assertEqual(mine, theirs)


if __name__ == "__main__":
    unittest.main()
