"""Templates and values that are refused, with what to do; test_keys.py has those that are
accepted, compared with PostgreSQL."""
import datetime
import decimal
import enum
import unittest
import uuid

from inval import Cache, Template, TemplateError
from inval.testing import MemoryCache


class Color(str, enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class TemplateTest(unittest.TestCase):
    def test_refused_templates(self):
        for text, hint in (("", "empty"), ("a}", "}}"), ("a{b", "{{"), ("{}", "empty placeholder"),
                           ("{a|sha1}", "md5, sha256"), ("{a|md5:0}", "from 1 to 1000000"),
                           ("{a|md5:x}", "number"), ("{a|md5:1000001}", "number"),
                           ("{@relation}", "@table"), ("{$}", "variable"), ("{a..b}", "empty"),
                           ('{"a}', "without an end"), ("{a[0]}", "double quotes"),
                           ("{a" + "|md5" * 9 + "}", "more than 8"),
                           ("{a}b" * 501, "more than 1000"), ("a\0{b}", "NUL"),
                           ("{a b}{c{d}", "{{")):
            with self.subTest(text=text[:20]):
                with self.assertRaises(TemplateError) as caught:
                    Template(text)
                self.assertIn(hint, str(caught.exception))

    def test_names(self):
        for text, names in (("a", []), ("{a}:{b|md5}:{a}", ["a", "b"]), ("{t_id.p_id.team}", ["team"]),
                            ("{a.x}{b.x}", ["a.x", "b.x"]), ("{tags[]}", ["tags"]),
                            ('{"odd .name"}', ["odd .name"]), ("{$v}{a}", ["a"]),
                            ("{{{a}}}", ["a"])):
            self.assertEqual(Template(text).names(), names, text)

    def test_rendered(self):
        for text, values, key in (("u:{id}", {"id": 7}, "u:7"), ("{t_id.p_id.team}", {"team": 1}, "1"),
                                  ("{t_id.p_id.team}", {"t_id.p_id.team": 1}, "1"),
                                  ("{a.x}{b.x}", {"a.x": 1, "b.x": 2}, "12"),
                                  ("{@table}:{a}", {"@table": "t", "a": 1}, "t:1"),
                                  ("{{{a}}}", {"a": True}, "{true}"), ("{c}", {"c": Color.RED}, "red"),
                                  ("{c}", {"c": Size.BIG}, "3"), ("{c}", {"c": memoryview(b"\1")}, "\\x01")):
            self.assertEqual(Template(text).render(values), key)

    def test_refused_values(self):
        for value, hint in ((None, "NULL"), (decimal.Decimal("1.50"), "::text"), ([1], "[]"),
                            (datetime.timedelta(1), "interval"), (object(), "give an int"),
                            ("a\0", "NUL"), ("\ud800", "surrogate"),
                            (datetime.time(1, tzinfo=datetime.timezone.utc), "zone"),
                            (datetime.datetime.min.replace(tzinfo=datetime.timezone(
                                datetime.timedelta(hours=1))), "year")):
            with self.subTest(value=value):
                with self.assertRaises(TemplateError) as caught:
                    Template("{a}").render({"a": value})
                self.assertIn(hint, str(caught.exception))

    def test_refused_use(self):
        for text, values, hint in (("{a}", {}, "give a="), ("{a}", {"a": 1, "b": 2}, "it has a"),
                                   ("{@table}", {}, "write the name itself"),
                                   ("{$v}", {}, "vars="), ("{a|lower}", {"a": "Ä"}, "collation"),
                                   ("{a|upper}", {"a": "ß"}, "collation"),
                                   ("{a}", {"a": "x" * 7501}, "hash")):
            with self.subTest(text=text):
                with self.assertRaises(TemplateError) as caught:
                    Template(text).render(values)
                self.assertIn(hint, str(caught.exception))

    def test_variables(self):
        sha = ["1"]
        cache = MemoryCache(vars={"a": "x", "git_sha": lambda: sha[0]})
        self.assertEqual(cache.key("{$a}:{$git_sha|md5:4}:{id}", id=uuid.UUID(int=1)),
                         "x:c4ca:00000000-0000-0000-0000-000000000001")
        sha[0] = "2"
        self.assertEqual(cache.key("{$git_sha}"), "2")

    def test_entries_are_checked_at_import(self):
        cache = MemoryCache()
        for template, function, hint in (("u:{user}", lambda user_id: 1, "no parameter"),
                                         ("u:{a}", lambda a, b: 1, "share a key"),
                                         ("u:{a}", lambda *a: 1, "*a")):
            with self.assertRaises(TemplateError) as caught:
                cache.entry(template)(function)
            self.assertIn(hint, str(caught.exception))
        self.assertEqual(cache.entries, [])

    def test_a_text_is_parsed_once(self):
        cache = MemoryCache()
        self.assertIsInstance(cache, Cache)
        from inval.template import parse
        self.assertIs(parse("once:{a}"), parse("once:{a}"))


if __name__ == "__main__":
    unittest.main()
