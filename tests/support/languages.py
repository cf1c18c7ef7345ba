"""
What other languages make of values, said in Python.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any

import msgspec


__all__ = ["modelOf"]


_Model = Callable[[Any], Any]


def _javaScript(value: Any, exponentsFrom: float = 1e21) -> Any:
    """
    What C{JSON.stringify(JSON.parse())} makes of a value.

    @param exponentsFrom: From where on whole numbers have an exponent.
    """
    if isinstance(value, dict):
        return {
            _javaScript(key): _javaScript(item, exponentsFrom)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_javaScript(item, exponentsFrom) for item in value]
    if isinstance(value, str):
        return json.loads(json.dumps(value))
    if isinstance(value, bool) or value is None:
        return value
    try:
        number = float(value)
    except OverflowError:
        return None
    isPlain = number.is_integer() and abs(number) < exponentsFrom
    return int(Decimal(repr(number))) if isPlain else number


# PostgreSQL writes all digits.
_javaScriptInJSONB = partial(_javaScript, exponentsFrom=inf)


def _inPHP(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [*map(_inPHP, value)]
    if not isinstance(value, dict):
        return value
    if list(value) == [str(n) for n in range(len(value))]:
        return [*map(_inPHP, value.values())]
    return {key: _inPHP(item) for key, item in value.items()}


def _php(value: dict[str, Any]) -> dict[str, Any]:
    """
    What PHP makes of a session, as we read it.
    """
    return {key: _inPHP(item) for key, item in value.items()}


def _pythonJSON(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _msgpack(value: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))


def _pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def modelOf(name: str) -> _Model:
    """
    What one of L{REWRITERS<tests.support.rewritten.REWRITERS>} makes of a session, as
    we read it.
    """
    ways: dict[str, _Model] = {
        "Express, jsonb": _javaScriptInJSONB,
        "Express": _javaScript,
        "PHP": _php,
        "Django, pickled": _pickle,
    }
    for beginning, way in ways.items():
        if name.startswith(beginning):
            return way
    isMsgpack = name.startswith("Flask") and "JSON" not in name
    return _msgpack if isMsgpack else _pythonJSON
