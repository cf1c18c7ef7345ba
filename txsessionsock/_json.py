# -*- test-case-name: tests.frameworks.test_express -*-
"""
JSON: L{msgspec}'s where it can, the standard library's where it refuses what
other languages write (lone surrogates, very large numbers).
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, Final

import msgspec

from ._foreign import DEPTH, Check, Foreign, Notation, isShort


__all__ = ["CHECKS", "MESSAGES", "PYTHON", "STRICT", "dumps", "loads"]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_TOO_DEEP = "nested too deeply"
_NULL = b"null"


def _isFinite(value: float) -> Foreign | None:
    if isfinite(value):
        return None
    return Foreign("float that is not finite", "None or a str")


CHECKS: Final[dict[type, Check]] = {int: isShort, float: _isFinite}

STRICT: Final = Notation(CHECKS, plain={int, str})
"""
What JSON has (RFC 8259).
"""

PYTHON: Final = Notation({int: isShort}, plain={float, int, str})
"""
What Python's C{json} reads and writes: C{NaN}, C{Infinity} and C{-Infinity}, too.
"""

MESSAGES: Final = Notation(CHECKS, plain={int, str}, isExact=False)
"""
What can be sent as JSON: nobody expects to have the very type back.
"""


def loads(raw: bytes, notation: Notation = STRICT) -> Any:
    """
    Decode UTF-8 and JSON.

    @param notation: L{STRICT}, or L{PYTHON} to read what Python's C{json} does.

    @raise ValueError: It is not that.  Neither its message nor what it holds
        on to shows any of C{raw}.
    """
    try:
        value = _decode(raw)
        if raw.count(b"[") + raw.count(b"{") > DEPTH:
            notation.find(value)
        return value
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
