"""Values as bytes.

A serializer is anything with dumps(value) -> bytes and loads(bytes) -> value. Bytes that
loads() cannot read count as absent, so that a new release that writes otherwise only
costs loads.
"""
from __future__ import annotations

import json
import pickle
from typing import Any, Callable, Dict, Optional, Protocol, Union

from .errors import NotCacheable


class Serializer(Protocol):
    def dumps(self, value: Any) -> bytes: ...

    def loads(self, data: bytes) -> Any: ...


class _Unreadable:
    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Any = _Unreadable()


def read(serializer: Serializer, data: Optional[bytes]) -> Any:
    """The value; UNREADABLE for None, and for bytes that are not of this serializer."""
    if data is None:
        return UNREADABLE
    try:
        return serializer.loads(data)
    except Exception:  # whatever a foreign serializer raises
        return UNREADABLE


def is_exact(value: Any) -> bool:
    """Whether JSON gives the value back equal and of the same types."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii()) or _is_text(value)
    if kind in (int, bool, type(None)):
        return True
    if kind is float:
        return bool(value - value == 0)  # neither infinite nor NaN
    if kind is list:
        return all(map(is_exact, value))
    if kind is dict:
        return all(type(k) is str and is_exact(k) and is_exact(v) for k, v in value.items())
    return False


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class JsonSerializer:
    """JSON: other languages and inval_peek can read it. What would come back as something
    else (a tuple as a list, a date not at all) is a NotCacheable error."""

    def dumps(self, value: Any) -> bytes:
        try:
            exact = is_exact(value)
        except RecursionError:
            exact = False
        if not exact:
            raise NotCacheable(
                f"a value of type {type(value).__name__} does not come back from JSON as it was: "
                "return str, int, float, bool, None, lists and dicts with str keys (no tuples, "
                'dates, NaN), or make the cache with serializer="auto"')
        return _json(value)

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class AutoSerializer:
    """JSON where that is exact, else pickle: its first byte, 0x80, is in no JSON."""

    def dumps(self, value: Any) -> bytes:
        try:
            if is_exact(value):
                return _json(value)
        except RecursionError:
            pass
        return pickle.dumps(value, protocol=4)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data) if data[:1] == b"\x80" else json.loads(data)


class RawSerializer:
    """bytes as they are, str as UTF-8; gives bytes."""

    def dumps(self, value: Any) -> bytes:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise NotCacheable(f'serializer="raw" stores bytes and str, not {type(value).__name__}')

    def loads(self, data: bytes) -> Any:
        return data


_NAMED: Dict[str, Callable[[], Serializer]] = {"json": JsonSerializer, "auto": AutoSerializer, "raw": RawSerializer}


def serializer_of(choice: Union[str, Serializer]) -> Serializer:
    """The serializer of a name, or the object that was given."""
    if isinstance(choice, str):
        if choice not in _NAMED:
            raise ValueError(f"there is no serializer {choice!r}: json, auto, raw, or an object "
                             "with dumps and loads")
        return _NAMED[choice]()
    if not (callable(getattr(choice, "dumps", None)) and callable(getattr(choice, "loads", None))):
        raise TypeError(f"a serializer has dumps and loads; {type(choice).__name__} has not")
    return choice
