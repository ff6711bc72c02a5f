"""Key templates: the same text here and in inval_track(), and the same keys.

    template    := ( literal | "{{" | "}}" | "{" placeholder "}" )*
    placeholder := source ( "|" filter [ ":" number ] )*
    source      := column ( "." column )* [ "[]" ]
                 | "$" variable | "@table" | "@schema"

src/key/template.c parses them in PostgreSQL. A key that differs by one byte is never
invalidated, so what cannot be known to be equal is refused here, with a hint.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Iterator, List, Mapping, NoReturn, Optional, Tuple, Union

from .errors import TemplateError
from .keytext import apply_filter, value_text

MAX_KEY_BYTES = 7500  # longer ones the extension skips
MAX_FILTERS = 8
MAX_SEGMENTS = 1000
FILTERS = ("md5", "sha256", "lower", "upper", "url")

Vars = Mapping[str, Union[str, Callable[[], str]]]


@dataclass(frozen=True)
class Placeholder:
    """source is the text before the filters; names the columns of a path, the wanted last."""

    kind: str  # 'column', 'variable' or 'table': {@table} and {@schema}
    source: str
    names: Tuple[str, ...]
    filters: Tuple[Tuple[str, int], ...]

    def text(self, value: object) -> str:
        text = value_text(value, self.source)
        for name, keep in self.filters:
            text = apply_filter(name, text, self.source)
            if keep:
                text = text[:keep]
        return text


class Template:
    """A parsed key template.

    Values are given by the placeholder's name: {team_id} is team_id. A path, {a_id.b_id.c},
    is given by its whole text or by its last name, as nothing is followed here: give what
    stands at its end. Of {tags[]} give one element as tags.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a key template is text, not {type(text).__name__}")
        self.text = text
        self.segments = _Parser(text).segments()
        self.placeholders = [s for s in self.segments if isinstance(s, Placeholder)]
        self.variables = [p.names[0] for p in self.placeholders if p.kind == "variable"]
        self.columns = [p for p in self.placeholders if p.kind != "variable"]

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def names(self) -> List[str]:
        """The names by which values are given, in order, each once."""
        return list(dict.fromkeys(self._short_name(p) for p in self.columns))

    def render(self, values: Mapping[str, object], variables: Optional[Vars] = None) -> str:
        """The key. Raises TemplateError for what is missing, too much, None or not known
        to be written by PostgreSQL in the same way."""
        used = set()
        parts = []
        for segment in self.segments:
            if isinstance(segment, str):
                parts.append(segment)
            elif segment.kind == "variable":
                parts.append(segment.text(self._variable(segment.names[0], variables or {})))
            else:
                name = self._given_name(segment, values)
                used.add(name)
                parts.append(segment.text(values[name]))
        unknown = [name for name in values if name not in used]
        if unknown:
            raise TemplateError(f"the template {self.text!r} has no placeholder "
                                f"{unknown[0]!r}; it has {', '.join(self.names()) or 'none'}")
        key = "".join(parts)
        size = len(key.encode())
        if size > MAX_KEY_BYTES:
            raise TemplateError(f"the key of {self.text!r} has {size} bytes, and can have "
                                f"{MAX_KEY_BYTES}: hash what is long, as in {{path|sha256}}")
        return key

    def _short_name(self, placeholder: Placeholder) -> str:
        last = placeholder.names[-1]
        same = {p.names for p in self.columns if p.names[-1] == last}
        return last if len(same) == 1 else ".".join(placeholder.names)

    def _given_name(self, placeholder: Placeholder, values: Mapping[str, object]) -> str:
        whole = ".".join(placeholder.names)
        name = whole if whole in values else self._short_name(placeholder)
        if name in values:
            return name
        hint = (f"write the name itself, or give it: **{{{whole!r}: ...}}"
                if placeholder.kind == "table" else f"give {name}=...")
        raise TemplateError(f"the template {self.text!r} needs a value for {name!r}: {hint}")

    def _variable(self, name: str, variables: Vars) -> str:
        if name not in variables:
            raise TemplateError(f"the template {self.text!r} has the variable {{${name}}}, which "
                                f"this cache does not know: Cache(..., vars={{{name!r}: ...}})")
        value = variables[name]
        return value() if callable(value) else value


@lru_cache(maxsize=1024)
def parse(text: str) -> Template:
    """The template of a text, parsed once."""
    return Template(text)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def segments(self) -> List[Union[str, Placeholder]]:
        segments = list(self._segments())
        if not segments:
            raise TemplateError("the key template is empty: write one such as 'user:{id}'")
        if len(segments) > MAX_SEGMENTS:
            raise TemplateError(f"the key template has more than {MAX_SEGMENTS} parts")
        for segment in segments:
            if isinstance(segment, str):
                value_text(segment, "text of the template")
        return segments

    def _segments(self) -> Iterator[Union[str, Placeholder]]:
        literal = ""
        while self.place < len(self.text):
            here, after = self.text[self.place], self.text[self.place + 1:self.place + 2]
            if here == "{" and after != "{":
                if literal:
                    yield literal
                literal = ""
                self.place += 1
                yield self._placeholder()
            elif here == "}" and after != "}":
                self._fail('has a "}" without a "{"', "write }} for a literal brace")
            else:
                self.place += 2 if here in "{}" else 1
                literal += here
        if literal:
            yield literal

    def _placeholder(self) -> Placeholder:
        if self._next() in ("@", "$"):
            kind, source, names = self._special()
        else:
            kind, source, names = self._columns()
        filters: List[Tuple[str, int]] = []
        while self._next() == "|":
            self.place += 1
            filters.append(self._filter())
        if len(filters) > MAX_FILTERS:
            self._fail(f"has more than {MAX_FILTERS} filters in one placeholder", "use fewer")
        if self._next() != "}":
            self._fail("has a placeholder that does not end as one",
                       'write {{ for a literal brace, and a column whose name has a special '
                       'character in double quotes, as in {"a.b"}')
        self.place += 1
        return Placeholder(kind, source, names, tuple(filters))

    def _columns(self) -> Tuple[str, str, Tuple[str, ...]]:
        start = self.place
        names = [self._name()]
        while self._next() == ".":
            self.place += 1
            names.append(self._name())
        source = self.text[start:self.place]
        if self.text.startswith("[]", self.place):
            self.place += 2
        return "column", source, tuple(names)

    def _name(self) -> str:
        if self._next() == '"':
            found = self._take(r'"((?:[^"]|"")*)"')
            if found is None:
                self._fail("has a quoted name without an end", 'close it with "')
            name = found[1:-1].replace('""', '"')
        else:
            name = self._take(r'[^{}|.\["]*') or ""
        if not name:
            self._fail("has an empty placeholder",
                       "name a column, as in {id}, or write {{}} for literal braces")
        return name

    def _special(self) -> Tuple[str, str, Tuple[str, ...]]:
        source = self._take(r"[^{}|]*") or ""
        if source in ("@table", "@schema"):
            return "table", source, (source,)
        if source[0] == "$" and len(source) > 1:
            return "variable", source, (source[1:],)
        return self._fail(f"has a placeholder {source!r}, which does not exist",
                          "use {@table}, {@schema} or a variable, as in {$release}")

    def _filter(self) -> Tuple[str, int]:
        name = self._take(r"[^{}|:]*") or ""
        if name not in FILTERS:
            self._fail(f"has a filter {name!r}, which does not exist",
                       "the filters are md5, sha256, lower, upper and url")
        if self._next() != ":":
            return name, 0
        self.place += 1
        digits = self._take(r"[0-9]+") or ""
        if not digits or len(digits) > 18 or not 1 <= int(digits) <= 1000000:
            self._fail(f"has a filter {name!r} with a length that is no number from 1 to 1000000",
                       "write the number of characters to keep, as in {id|sha256:16}")
        return name, int(digits)

    def _next(self) -> str:
        return self.text[self.place:self.place + 1]

    def _take(self, pattern: str) -> Optional[str]:
        found = re.compile(pattern, re.S).match(self.text, self.place)
        if found is None:
            return None
        self.place = found.end()
        return found.group()

    def _fail(self, what: str, hint: str) -> NoReturn:
        raise TemplateError(f"the key template {self.text!r} {what}, at character "
                            f"{min(self.place, len(self.text)) + 1}: {hint}")
