# -*- test-case-name: tests.frameworks.test_flask -*-
"""
How sessions are written and read, with refusals that name the keys in question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any, Protocol

from txsessionsock import _json
from txsessionsock._foreign import Foreign, Notation
from txsessionsock.interfaces import UndecodableSession, UnencodableSession

from . import _pickles


__all__ = [
    "JSON",
    "PICKLE",
    "STRICT_JSON",
    "Encoding",
    "decodeJSON",
    "decodePickle",
    "encode",
]


_RESERVED = Foreign(
    "the name of what the framework itself keeps in a session", "it by another name"
)
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_TEXTS = frozenset({str})
_REFUSALS = (OverflowError, RecursionError, TypeError, ValueError)


class Find(Protocol):
    """
    Finds what cannot be written; see L{Notation.find}.
    """

    def __call__(self, value: Any, *, isThorough: bool = False) -> Foreign | None: ...


@dataclass(frozen=True)
class Encoding:
    """
    A way to write values as bytes.

    @ivar find: Finds what would not come back the same.

    @ivar dumps: Encodes what is not foreign.
    """

    name: str
    find: Find
    dumps: Callable[[Any], bytes]


STRICT_JSON = Encoding("JSON", _json.STRICT.find, _json.dumps)
JSON = Encoding("JSON", _json.PYTHON.find, partial(_json.dumps, notation=_json.PYTHON))
PICKLE = Encoding("pickle", _pickles.find, _pickles.dumps)


def encode(
    how: Encoding,
    data: dict[str, Any],
    reserved: frozenset[str] = frozenset(),
    within: Callable[[dict[str, Any]], object] = lambda data: data,
    known: Mapping[str, Any] = _NOTHING,
) -> bytes:
    """
    Encode a session.

    @param known: See L{Document.known<txsessionsock.interfaces.Document>}.  To
        look through all that is in a session takes several times as long as to
        encode it.

    @param reserved: The keys under which the framework keeps something of its
        own, or would not see what is there.

    @param within: Makes a session of data and what the framework puts beside
        it.

    @raise UnencodableSession: Some of the data cannot be encoded.
    """

    try:
        new = _unknown(data, known)
        if reserved.isdisjoint(data) and how.find(within(new)) is None:
            return how.dumps(within(data))
    except _REFUSALS:
        pass
    problems: dict[str, Foreign] = {}
    for key, value in data.items():
        if key in reserved:
            problems[key] = _RESERVED.within(key)
        elif (problem := _problem(how, key, value, within)) is not None:
            problems[key] = problem
    listed = "; ".join(found.told("session", "store") for found in problems.values())
    keys = tuple(problems or data)
    raise UnencodableSession(
        f"cannot be stored as {how.name}: {listed or 'too much altogether'}", keys
    )


def _unknown(value: Any, known: Any) -> Any:
    """
    @return: What to look through in place of a value: without the very objects
        that are at the same place in what is known.
    """
    kind = type(value)
    if kind is dict and type(known) is dict and _TEXTS.issuperset(map(type, value)):
        return {
            key: _unknown(item, old)
            for key, item in value.items()
            if (old := known.get(key, _NOTHING)) is not item
        }
    if kind is list and type(known) is list:
        olds = chain(known, repeat(_NOTHING))
        pairs = zip(value, olds, strict=False)
        return [_unknown(item, old) for item, old in pairs if item is not old]
    return value


def _problem(
    how: Encoding, key: str, value: object, within: Callable[[dict[str, Any]], object]
) -> Foreign | None:
    try:
        found = how.find({key: value}, isThorough=True)
        if found is None:
            session = within({key: value})
            how.find(session)
            how.dumps(session)
    except RecursionError:
        return Foreign("nested too deeply, or contains itself").within(key)
    except _REFUSALS:
        return Foreign(f"not representable as {how.name}").within(key)
    return found


def decodeJSON(raw: bytes, notation: Notation = _json.PYTHON) -> dict[str, Any]:
    """
    Decode a JSON object.

    @param notation: Who writes it: L{_json.PYTHON}, or others, L{_json.STRICT}.

    @raise UndecodableSession: It is none.
    """
    problem = None
    try:
        value = _json.loads(raw, notation)
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
    return data
