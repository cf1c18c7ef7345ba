# -*- test-case-name: tests.package.test_foreign -*-
"""
What cannot be written in a notation such as JSON: where it is in a value, of
which type it is, and what can be written instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from math import isfinite
from reprlib import repr as shortened
from types import NoneType
from typing import Any, Final


__all__ = [
    "CHARACTERS",
    "DEPTH",
    "Check",
    "Foreign",
    "Notation",
    "isFinite",
    "isShort",
    "isText",
    "ofType",
]


DEPTH: Final = 100
"""
How deeply values may be nested; merging, copying and encoding them must not
come near the recursion limit.
"""

_MOST_ITEMS: Final = 1 << 20  # A list that has one other list twice may seem endless.
_MOST_BITS: Final = 14_000  # Python does not print longer numbers.
_TEXTS: Final = frozenset({str})
_COMMON: Final = frozenset({dict, float, list})
_PLAIN: Final = "plain values"
_INSTEAD: Final = {
    **dict.fromkeys(("set", "frozenset"), "a list"),
    **dict.fromkeys(("date", "datetime", "time"), "its isoformat()"),
    **dict.fromkeys(("bytes", "bytearray", "memoryview"), "a str, such as its hex()"),
    **dict.fromkeys(("Decimal", "Fraction", "UUID"), "its str()"),
    "timedelta": "its total_seconds()",
    "Session": "dict(session)",
}
"""
What says the same as a value of a type.
"""


@dataclass(frozen=True, slots=True)
class Foreign:
    """
    Something that cannot be written.

    @ivar what: Its type, and what is wrong with it; never its value.

    @ivar instead: What can be written.

    @ivar path: Where it is: keys of dictionaries and indexes of lists.
    """

    what: str
    instead: str = _PLAIN
    path: tuple[object, ...] = ()

    def within(self, place: object) -> Foreign:
        """
        The same, seen from what has it at a place.
        """
        return replace(self, path=(place, *self.path))

    def told(self, root: str, verb: str) -> str:
        """
        Say what is wrong, where, and what is right, for an error.

        @param root: The name of the whole value, and C{verb}, what was to be
            done to it.
        """
        places = "".join(f"[{shortened(place)}]" for place in self.path)
        return f"{root}{places}: {self.what} ({verb} {self.instead})"


Check = Callable[[Any], Foreign | None]
"""
Finds what is wrong with a value of a type that can be written otherwise.
"""


def ofType(value: object) -> Foreign:
    """
    A value of a type that cannot be written.
    """
    kind = type(value)
    instead = "its value" if isinstance(value, Enum) else _PLAIN
    for base in dict, list, tuple, str, int, float:
        if instead is _PLAIN and isinstance(value, base):
            instead = f"{base.__name__}() of it"
    return Foreign(kind.__qualname__, _INSTEAD.get(kind.__qualname__, instead))


def isText(value: str) -> Foreign | None:
    """
    The check of notations whose text is UTF-8.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return Foreign("str with half a surrogate pair", "it without that")
    return None


def isCharacters(value: str) -> Foreign | None:
    """
    The check of notations whose text is C strings of UTF-8.
    """
    if "\0" in value:
        return Foreign("str with U+0000", "it without that")
    return isText(value)


def isShort(value: int) -> Foreign | None:
    """
    The check of notations that write numbers as Python prints them.
    """
    if value.bit_length() > _MOST_BITS:
        return Foreign("int of thousands of digits", "a shorter one")
    return None


def isFinite(value: float) -> Foreign | None:
    """
    The check of notations whose numbers are.
    """
    if isfinite(value):
        return None
    return Foreign("float that is not finite", "None or a str")


class Notation:
    """
    The types that can be written.
    """

    def __init__(
        self,
        checks: Mapping[type, Check],
        *,
        plain: Iterable[type] = (),
        keys: Iterable[type] = (str,),
        isExact: bool = True,
        other: Check = ofType,
    ) -> None:
        """
        @param checks: Those beside L{None}, booleans, dictionaries, lists and
            tuples, and what to look at in their values.

        @param plain: Those in whose values there is nothing wrong that the
            encoder does not notice.

        @param keys: Those of keys; with L{tuple}, also tuples of these.

        @param isExact: Whether values of subclasses cannot be written.

        @param other: What to look at in values of other types; unless given,
            they cannot be written, nor be keys.
        """
        always = {NoneType, bool}
        self._checks = checks
        self._keys = frozenset(keys)
        self._isExact = isExact
        self._other = other
        # Indexed by isThorough: the types whose values need no look.  A thorough
        # search looks also at those in which the encoder would notice it.
        noticed = always.union(plain)
        self._plain = frozenset(noticed), frozenset(noticed.difference(checks))
        self._known = {dict, list, tuple, *noticed, *checks}

    def find(self, value: Any, *, isThorough: bool = False) -> Foreign | None:
        """
        Find something that would not be the same after a way through the
        encoder, be it refused or quietly made something else.  Tuples, which
        may come back as lists, are let pass.

        @param isThorough: Whether to find also what the encoder notices.

        @return: L{None} if there is no such thing.

        @raise RecursionError: It is nested too deeply, or contains itself.
        """
        plain = self._plain[isThorough]
        if self.isPlain(value, isThorough=isThorough):
            return None
        return self._find(value, plain, DEPTH)

    def isPlain(self, value: Any, *, isThorough: bool = False) -> bool:
        """
        Whether there is certainly nothing to L{find}, in less than half of the
        time: all that is nested alike deeply is looked at in one go.
        """
        plain = self._plain[isThorough]
        isText = str in plain
        level = [value]
        for _ in range(DEPTH):
            kinds = set(map(type, level)).difference(plain)
            if not kinds:
                return True
            if not kinds <= _COMMON or len(level) > _MOST_ITEMS:
                return False
            if float in kinds and not self._areFinite(level):
                return False
            dicts = [item for item in level if type(item) is dict]
            if dicts and not (
                isText and _TEXTS.issuperset(map(type, chain.from_iterable(dicts)))
            ):
                return False
            lists = [item for item in level if type(item) is list]
            inner = chain(lists, map(dict.values, dicts))
            level = [*chain.from_iterable(inner)]
        return False

    def _areFinite(self, level: list[Any]) -> bool:
        floats = [item for item in level if type(item) is float]
        return self._checks.get(float) is isFinite and all(map(isfinite, floats))

    def _find(self, value: Any, plain: frozenset[type], depth: int) -> Foreign | None:
        kind = type(value)
        if kind not in self._known and not self._isExact:
            kind = self._baseOf(kind)
        if kind in plain:
            return None
        if kind is not dict and kind is not list and kind is not tuple:
            return self._checks.get(kind, self._other)(value)
        if not depth:
            raise RecursionError
        found = self._findInKeys(value, plain, depth) if kind is dict else None
        # Much faster than a look at each.
        if found or plain.issuperset(
            map(type, value.values() if kind is dict else value)
        ):
            return found
        for place, item in value.items() if kind is dict else enumerate(value):
            if type(item) not in plain:
                found = self._find(item, plain, depth - 1)
                if found is not None:
                    return found.within(place)
        return None

    def _findInKeys(
        self, value: dict[Any, Any], plain: frozenset[type], depth: int
    ) -> Foreign | None:
        if str in plain and _TEXTS.issuperset(map(type, value)):
            return None
        for key in value:
            found = self._findInKey(key, plain, depth - 1)
            if found is not None:
                return found
        return None

    def _findInKey(
        self, key: Any, plain: frozenset[type], depth: int
    ) -> Foreign | None:
        kind = type(key)
        if kind not in self._known and not self._isExact:
            kind = self._baseOf(kind)
        if kind not in self._keys:
            if self._other is not ofType:
                return None
            isOne = self._keys == {str}
            instead = "keys that are str" if isOne else "keys of plain values"
            return Foreign(f"{type(key).__qualname__} as a key", instead)
        if kind is tuple:
            if not depth:
                raise RecursionError
            items = (self._findInKey(item, plain, depth - 1) for item in key)
            return next((found for found in items if found is not None), None)
        found = None if kind in plain else self._checks[kind](key)
        return found and replace(found, what=f"{found.what} as a key")

    def _baseOf(self, kind: type) -> type:
        return next((base for base in kind.__mro__ if base in self._known), kind)


CHARACTERS: Final = Notation({str: isCharacters}, other=lambda value: None)
"""
Whatever has no text in it that many databases refuse.
"""
