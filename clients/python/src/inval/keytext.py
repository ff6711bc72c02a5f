"""A value as the text that PostgreSQL makes of it in a key (src/key/value.c)."""
from __future__ import annotations

import datetime
import decimal
import hashlib
import math
import struct
import uuid
from fractions import Fraction
from typing import Callable, Optional
from urllib.parse import quote

from .errors import TemplateError


def value_text(value: object, what: str) -> str:
    """The text of a value, `what` naming it in errors. bool, int, str, float, bytes, uuid,
    date, time and datetime are written as the extension writes columns of those types."""
    if isinstance(value, str):
        return _text(str.__str__(value), what)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float(float(value), what)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        return _datetime(value, what)
    if isinstance(value, datetime.date):
        return f"{value.year:04d}-{value.month:02d}-{value.day:02d}"
    if isinstance(value, datetime.time):
        if value.tzinfo is not None:
            _refuse(value, what, "a time with a zone has no text that is the same everywhere")
        return f"{value.hour:02d}:{value.minute:02d}:{_seconds(value)}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if value is None:
        raise TemplateError(f"{what} is None: a row with a NULL there feeds no key, so nothing "
                            "would invalidate it; do not cache it, or coalesce in the database")
    if isinstance(value, decimal.Decimal):
        _refuse(value, what, "how many zeros end a numeric depends on the column: give the text "
                "that PostgreSQL has for it (price::text)")
    if isinstance(value, datetime.timedelta):
        _refuse(value, what, "an interval is not always what becomes of it in Python: give the "
                "text that the extension makes of it, as in 'P1DT2H'")
    if isinstance(value, (list, tuple, set, frozenset)):
        _refuse(value, what, "a placeholder with [] gives one key for each element: give one")
    return _refuse(value, what, "give an int, str, bool, float, bytes, UUID, date, time or datetime")


def _float(number: float, what: str) -> str:
    """The text, unless a column of type real writes the same number in another way."""
    text, real = float_text(number), _real_text(number)
    if real is not None and real != text:
        raise TemplateError(f"{what} is {number!r}, which PostgreSQL writes as {text} in a column "
                            f"of type double precision and as {real} in one of type real: give "
                            "the text (column::text)")
    return text


def _refuse(value: object, what: str, why: str) -> str:
    raise TemplateError(f"{what} is of type {type(value).__name__}, which cannot be part of a "
                        f"key: {why}")


def _text(text: str, what: str) -> str:
    if "\0" in text:
        raise TemplateError(f"{what} has a NUL character, which no text in PostgreSQL has")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TemplateError(f"{what} has half of a surrogate pair, which cannot be written in "
                            "UTF-8: decode it with errors='strict' where it comes from") from None
    return text


def _datetime(value: datetime.datetime, what: str) -> str:
    zone = ""
    if value.tzinfo is not None:
        try:
            value = value.astimezone(datetime.timezone.utc)
        except OverflowError:
            _refuse(value, what, "in UTC it has a year that Python cannot tell")
        zone = "Z"
    return (f"{value.year:04d}-{value.month:02d}-{value.day:02d}T"
            f"{value.hour:02d}:{value.minute:02d}:{_seconds(value)}{zone}")


def _seconds(value: "datetime.datetime | datetime.time") -> str:
    if not value.microsecond:
        return f"{value.second:02d}"
    return f"{value.second:02d}.{value.microsecond:06d}".rstrip("0")


def float_text(number: float) -> str:
    """A float8 as PostgreSQL writes it: shortest digits, another choice of notation."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    sign = "-" if math.copysign(1, number) < 0 else ""
    if number == 0:
        return sign + "0"
    return _notation(_digits(abs(number)), 15, sign)


def _notation(scientific: str, most: int, sign: str) -> str:
    """Digits as PostgreSQL writes them; with so many before the point it is scientific."""
    mantissa, exponent_text = scientific.lower().split("e")
    digits = mantissa.replace(".", "").rstrip("0")
    exponent = int(exponent_text)
    if -4 <= exponent < most:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        whole = digits[:exponent + 1].ljust(exponent + 1, "0")
        rest = digits[exponent + 1:]
        return sign + whole + ("." + rest if rest else "")
    rest = digits[1:]
    return (f"{sign}{digits[0]}{'.' + rest if rest else ''}e{'-' if exponent < 0 else '+'}"
            f"{abs(exponent):02d}")


def _real_text(number: float) -> Optional[str]:
    """What a float4 that Python is given as this number is written as; None: there is none."""
    try:
        packed = struct.pack("f", number)
    except OverflowError:
        return None
    single: float = struct.unpack("f", packed)[0]
    if not math.isfinite(single) or single == 0:
        return None
    for precision in range(9):
        text = f"{abs(single):.{precision}e}"
        if _is_inside(decimal.Decimal(text), abs(single), _next_real):
            break
    if number not in (single, math.copysign(float(text), number)):
        return None
    return _notation(text, 6, "-" if number < 0 else "")


def _digits(number: float) -> str:
    """The shortest digits that are nearer to the number than to its neighbours, in scientific
    notation; of several the nearest ones.

    That is repr(), unless it took the middle between neighbours, which reads as the number too.
    """
    text = repr(number)
    if _is_inside(decimal.Decimal(text), number):
        return f"{decimal.Decimal(text):e}"
    exact = decimal.Decimal(number)
    for precision in range(1, 18):
        near = [decimal.Context(prec=precision, rounding=rounding, Emin=-999).plus(exact)
                for rounding in (decimal.ROUND_FLOOR, decimal.ROUND_CEILING)]
        good = [one for one in near if _is_inside(one, number)]
        if good:
            return f"{min(good, key=lambda one: abs(Fraction(one) - Fraction(exact))):e}"
    return f"{number:.16e}"


def _next_real(number: float, towards: float) -> float:
    """As math.nextafter, among the positive numbers of float4."""
    bits = struct.unpack("I", struct.pack("f", number))[0] + (1 if towards > number else -1)
    neighbour: float = struct.unpack("f", struct.pack("I", bits))[0]
    return neighbour


def _is_inside(written: decimal.Decimal, number: float,
               next_after: Callable[[float, float], float] = math.nextafter) -> bool:
    exact, read = Fraction(number), Fraction(written)
    if exact == read:
        return True
    neighbour = next_after(number, math.inf if read > exact else 0.0)
    if math.isinf(neighbour):
        return True
    return abs(read - exact) < abs(Fraction(neighbour) - exact) / 2


def apply_filter(name: str, text: str, what: str) -> str:
    """What a filter makes of a text (src/key/filter.c)."""
    if name == "md5":
        return hashlib.new("md5", text.encode(), usedforsecurity=False).hexdigest()
    if name == "sha256":
        return hashlib.sha256(text.encode()).hexdigest()
    if name == "url":
        return quote(text, safe="-._~")
    if not text.isascii():
        raise TemplateError(f"{what}|{name}: what the other case of {text!r} is depends on the "
                            "database's collation: hash it, or keep it in a column in one case")
    return text.lower() if name == "lower" else text.upper()
