# -*- test-case-name: tests.test_express -*-
"""
JSON: L{msgspec}'s where it can, the standard library's where it refuses what
other languages write (lone surrogates, very large numbers).
"""

from __future__ import annotations

import json
from math import isfinite
from types import NoneType
from typing import Any, NoReturn

import msgspec


__all__ = ["dumps", "foreign", "loads"]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_SCALARS = frozenset({str, int, bool, NoneType})
_TOO_DEEP = "nested too deeply"
_DEPTH = 100
"""
How deeply values may be nested; merging, copying and encoding them must not
come near the recursion limit.
"""


def loads(raw: bytes) -> Any:
    """
    Decode UTF-8 and JSON.

    @raise ValueError: It is not that.  Neither its message nor what it holds
        on to shows any of C{raw}.
    """
    try:
        value = _decode(raw)
        if raw.count(b"[") + raw.count(b"{") > _DEPTH:
            foreign(value)
        return value
    except RecursionError:
        problem = _TOO_DEEP
    except ValueError:
        try:
            value = json.loads(
                raw.decode("utf-8"), parse_constant=_notANumber, parse_float=_finite
            )
            foreign(value)
            return value
        except RecursionError:
            problem = _TOO_DEEP
        except UnicodeDecodeError:
            problem = "not UTF-8"
        except ValueError:
            problem = "not JSON"
    # Out here, the exceptions that quote the input are not this one's context.
    raise ValueError(problem)


def _notANumber(_: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError
    return value


def dumps(value: object) -> bytes:
    """
    Encode as compact JSON.  What L{foreign} complains about, this may encode
    as something else.

    @raise ValueError: It cannot be encoded.
    """
    try:
        return _encode(value)
    except RecursionError:
        problem = _TOO_DEEP
    except (TypeError, ValueError):
        try:
            return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
        except RecursionError:
            problem = _TOO_DEEP
        except (TypeError, ValueError):
            problem = "not representable as JSON"
    raise ValueError(problem)


def foreign(value: Any, depth: int = _DEPTH) -> str | None:
    """
    Find something that would not be the same after a way through JSON, be it
    refused (a L{set}) or quietly made something else (a L{datetime.datetime},
    C{nan}, a number as a key).  Tuples, which come back as lists, are let
    pass.

    @return: What it is, in words that do not show its value; L{None} if there
        is no such thing.

    @raise RecursionError: It is nested too deeply, or contains itself.
    """
    kind = type(value)
    if kind in _SCALARS:
        return None
    if kind is float:
        return None if isfinite(value) else "float that is not finite"
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return f"{type(key).__qualname__} as a key"
        value = value.values()
    elif kind is not list and kind is not tuple:
        return kind.__qualname__
    if not depth:
        raise RecursionError
    for item in value:
        if type(item) not in _SCALARS:
            found = foreign(item, depth - 1)
            if found is not None:
                return found
    return None
