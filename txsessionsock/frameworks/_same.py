# -*- test-case-name: tests.frameworks.test_same -*-
"""
When two values are one and the same to the applications of a framework: when
they are equal, in value and type, once the framework has written and read them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from types import NoneType
from typing import Any

from txsessionsock.session import areAlike, areEqual


__all__ = ["same", "sameInJSON", "sameInJavaScript", "sameInMsgpack", "sameInPHP"]


_ATOMS = frozenset({bool, bytes, float, int, str, NoneType})


def _comparing(readBack: Callable[[Any], Any]) -> Callable[[object, object], bool]:
    """
    Make a function that compares two values.

    @param readBack: What is read where a value was written; of dictionaries
        and lists, which kind of them.
    """

    def compare(one: Any, other: Any) -> bool:
        if one is other:
            return True
        kind = type(one)
        if kind in _ATOMS and kind is type(other) and one == other:
            return True
        one, other = readBack(one), readBack(other)
        kind = type(one)
        if kind is not type(other):
            return False
        if kind is dict:
            return compareDicts(one, other)
        if kind is list or kind is tuple:
            return len(one) == len(other) and all(map(compare, one, other))
        return areEqual(one, other)

    def compareDicts(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
        if one.keys() != other.keys():
            one, other = keysOf(one), keysOf(other)
            if one.keys() != other.keys():
                return False
        return areAlike(one, other) and all(
            compare(item, other[key]) for key, item in one.items()
        )

    def keysOf(value: dict[Any, Any]) -> dict[Any, Any]:
        return {
            readBack(key) if type(key) is str else key: item
            for key, item in value.items()
        }

    return compare


def _inJSON(value: Any) -> Any:
    kind = type(value)
    if kind is tuple:
        return list(value)
    if kind is str and not value.isascii():
        # Two halves of a character, escaped one by one, are read as one.
        halves = value.encode("utf-16-le", "surrogatepass")
        return halves.decode("utf-16-le", "surrogatepass")
    return value


def _inJavaScript(value: Any) -> Any:
    kind = type(value)
    if kind is not int and kind is not float:
        return _inJSON(value)
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _inMsgpack(value: Any) -> Any:
    kind = type(value)
    if kind is tuple:
        return list(value)
    if kind is datetime and value.tzinfo is not None:
        try:
            return value.astimezone(UTC)
        except OverflowError:
            return value
    return value


def _inPHP(value: Any) -> Any:
    kind = type(value)
    if kind is tuple:
        return list(value)
    # An array with the keys 0, 1, 2 and so on, in this order.
    if kind is dict and all(key == str(n) for n, key in enumerate(value)):
        return list(value.values())
    return value


same = _comparing(lambda value: value)
"""
For those that read what was written: as pickles.
"""

sameInJSON = _comparing(_inJSON)
"""
For Python's JSON.
"""

sameInJavaScript = _comparing(_inJavaScript)
"""
For JavaScript's JSON, whose numbers are all 64-bit floats; C{null} is what it
writes for those that are too large.
"""

sameInMsgpack = _comparing(_inMsgpack)
"""
For msgpack, whose points in time are in UTC.
"""

sameInPHP = _comparing(_inPHP)
"""
For PHP, which has one kind of array.
"""
