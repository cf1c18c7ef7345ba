# -*- test-case-name: tests.test_flask -*-
"""
How sessions are written and read, with refusals that name the keys in question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from txsessionsock.interfaces import UndecodableSession, UnencodableSession

from .. import _json
from . import _pickles


__all__ = [
    "JSON",
    "PICKLE",
    "Encoding",
    "decodeJSON",
    "decodePickle",
    "encode",
]


_RESERVED = "the name of what the framework itself keeps in a session"
_REFUSALS = (OverflowError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Encoding:
    """
    A way to write values as bytes.

    @ivar foreign: Finds what would not come back the same, in words.

    @ivar dumps: Encodes what is not foreign.
    """

    name: str
    foreign: Callable[[Any], str | None]
    dumps: Callable[[Any], bytes]


def _foreignToPickle(session: Any) -> str | None:
    for key in session:
        if type(key) is not str:
            return f"{type(key).__qualname__} as a key"
    return _pickles.foreign(session)


JSON = Encoding("JSON", _json.foreign, _json.dumps)
PICKLE = Encoding("pickle", _foreignToPickle, _pickles.dumps)


def encode(
    how: Encoding,
    data: dict[str, Any],
    reserved: frozenset[str] = frozenset(),
    within: Callable[[dict[str, Any]], object] = lambda data: data,
) -> bytes:
    """
    Encode a session.

    @param reserved: The keys under which the framework keeps something of its
        own, or would not see what is there.

    @param within: Makes a session of data and what the framework puts beside
        it.

    @raise UnencodableSession: Some of the data cannot be encoded.
    """
    try:
        session = within(data)
        if reserved.isdisjoint(data) and how.foreign(session) is None:
            return how.dumps(session)
    except _REFUSALS:
        pass
    problems: dict[str, str] = {}
    for key, value in data.items():
        if type(key) is not str:
            problems[key] = f"{type(key).__qualname__} as a key"
        elif key in reserved:
            problems[key] = f"{key!r}: {_RESERVED}"
        elif (problem := _problem(how, within({key: value}))) is not None:
            problems[key] = f"{key!r}: {problem}"
    listed = "; ".join(problems.values()) or "too much altogether"
    keys = tuple(problems or data)
    raise UnencodableSession(f"cannot be stored as {how.name}: {listed}", keys)


def _problem(how: Encoding, value: object) -> str | None:
    try:
        found = how.foreign(value)
        if found is None:
            how.dumps(value)
    except RecursionError:
        return "nested too deeply, or contains itself"
    except _REFUSALS:
        return f"not representable as {how.name}"
    return found


def decodeJSON(raw: bytes) -> dict[str, Any]:
    """
    Decode a JSON object.

    @raise UndecodableSession: It is none.
    """
    problem = None
    try:
        value = _json.loads(raw)
    except ValueError as error:
        problem = str(error)
    # Out here, what quotes the bytes is not this one's context.
    if problem is not None:
        raise UndecodableSession(f"the stored session is {problem}")
    if not isinstance(value, dict):
        raise UndecodableSession("the stored session is no JSON object")
    return value


def decodePickle(raw: bytes) -> dict[str, Any]:
    """
    Decode a pickled dictionary of plain values.

    @raise UndecodableSession: It is none.
    """
    problem = None
    try:
        data = _pickles.loads(raw)
    except ValueError as error:
        problem = str(error)
    if problem is not None:
        if not raw.startswith(b"\x80"):
            raise UndecodableSession(
                "the stored session is no pickle; say pickled=False"
            )
        raise UndecodableSession(f"the stored pickle is not read: {problem}")
    if type(data) is not dict:
        raise UndecodableSession("the stored session is no dictionary")
    if not all(type(key) is str for key in data):
        raise UndecodableSession("the stored session has a key that is no text")
    return data
