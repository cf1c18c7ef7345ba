# -*- test-case-name: tests.frameworks.test_express -*-
"""
JSON: C{msgspec}'s where it can, the standard library's where it refuses what
other languages write (lone surrogates, very large numbers).
"""

from __future__ import annotations

import json
import re
from array import array
from itertools import accumulate
from types import NoneType
from typing import Any, Final

import msgspec

from ._collector import undisturbed
from ._foreign import DEPTH, Check, Notation, isFinite, isShort


__all__ = [
    "CHECKS",
    "MESSAGES",
    "PYTHON",
    "STRICT",
    "dumps",
    "hasMoreValues",
    "isFlat",
    "loads",
    "sizeOf",
]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_TOO_DEEP = "nested too deeply"
_NULL = b"null"
_SHAPE = b'[]{},:"'
_NO_SHAPE = bytes(byte for byte in range(256) if byte not in _SHAPE)
_TEXT = re.compile(rb'"[^"]*"')
_SHALLOW = 5
_WIDE = 1000
_LIST = 64
"""
How many bytes an empty list or dictionary takes.
"""
_STEPS = bytes.maketrans(b"[]", b"\x01\xff")
_BRACKETS = bytes.maketrans(b"{}", b"[]")


CHECKS: Final[dict[type, Check]] = {int: isShort, float: isFinite}

STRICT: Final = Notation(CHECKS, plain={int, str})
"""
What JSON has (RFC 8259).
"""

PYTHON: Final = Notation({int: isShort}, plain={float, int, str})
"""
What Python's C{json} reads and writes: C{NaN}, C{Infinity} and C{-Infinity}, too.
"""

_TEXTS: Final = frozenset({str})
_FLAT: Final = frozenset({bool, int, str, NoneType})

MESSAGES: Final = Notation(CHECKS, plain={int, str}, isExact=False)
"""
What can be sent as JSON: nobody expects to have the very type back.
"""


def _shape(raw: bytes) -> bytes:
    """
    What is left of JSON without its texts, numbers and words: as fast as bytes are
    copied, while a look at each value would take a second for some megabytes of
    C{[[],[],…]}.  Of what is no JSON, anything may be left.
    """
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    shape = raw.translate(None, _NO_SHAPE)
    # There is a comma or a colon between any two texts.
    shape = shape.replace(b'""', b"")
    return _TEXT.sub(b"", shape) if b'"' in shape else shape


def _openings(shape: bytes) -> int:
    return shape.count(b"[") + shape.count(b"{")


def hasMoreValues(raw: bytes, most: int) -> bool:
    """
    Whether there are more lists, objects, texts, numbers and so on in JSON than
    that.  What is empty may count once too often.
    """
    # At least a comma comes with each.
    if len(raw) <= most or raw.count(b",") + _openings(raw) < most:
        return False
    shape = _shape(raw)
    return shape.count(b",") + _openings(shape) >= most


def sizeOf(raw: bytes) -> int:
    """
    About how many bytes that takes which is in JSON: twenty times as much as the
    JSON, if it is all empty lists.
    """
    return len(raw) + _LIST * _openings(raw)


def _isDeep(raw: bytes) -> bool:
    rest = _shape(raw).translate(_BRACKETS, b",:")
    for _ in range(_SHALLOW):
        # The innermost ones, which are most of what is not nested deeply.
        rest = rest.replace(b"[]", b"")
    steps = array("b", rest.translate(_STEPS))
    return max(accumulate(steps), default=0) > DEPTH - _SHALLOW


def isFlat(value: Any) -> bool:
    """
    Whether a value is a text, a whole number or the like, or a dictionary of these:
    then there is certainly nothing in it that L{MESSAGES} has not.
    """
    kind = type(value)
    if kind in _FLAT:
        return True
    return (
        kind is dict
        and _TEXTS.issuperset(map(type, value))
        and _FLAT.issuperset(map(type, value.values()))
    )


def loads(raw: bytes, notation: Notation = STRICT) -> Any:
    """
    Decode UTF-8 and JSON.

    @param notation: L{STRICT}, or L{PYTHON} to read what Python's C{json} does.

    @raise ValueError: It is not that.  Neither its message nor what it holds
        on to shows any of C{raw}.
    """
    try:
        if len(raw) <= DEPTH:
            return _decode(raw)
        openings = _openings(raw)
        if openings > DEPTH and _isDeep(raw):
            raise RecursionError
        return _decode(raw) if openings < _WIDE else undisturbed(_decode, raw)
    except RecursionError:
        problem = _TOO_DEEP
    except ValueError:
        try:
            value = json.loads(raw.decode("utf-8"))
            # Python reads 1e999 as Infinity, which no notation but its own has.
            found = notation.find(value)
            if found is None:
                return value
            problem = "not JSON"
        except RecursionError:
            problem = _TOO_DEEP
        except UnicodeDecodeError:
            problem = "not UTF-8"
        except ValueError:
            problem = "not JSON"
    # Out here, the exceptions that quote the input are not this one's context.
    raise ValueError(problem)


def dumps(value: object, notation: Notation = STRICT) -> bytes:
    """
    Encode as compact JSON.  What a notation does not have, this may encode as
    something else.

    @param notation: L{STRICT}, or L{PYTHON} to write what that has.

    @raise ValueError: It cannot be encoded.
    """
    isPython = notation is PYTHON
    try:
        raw = _encode(value)
        # msgspec writes NaN as null: with a null in it, look at the value.
        if not isPython or _NULL not in raw or STRICT.find(value) is None:
            return raw
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except (TypeError, ValueError):
        pass
    try:
        return json.dumps(value, allow_nan=isPython, separators=(",", ":")).encode()
    except RecursionError:
        problem = _TOO_DEEP
    except (TypeError, ValueError):
        problem = "not representable as JSON"
    raise ValueError(problem)
