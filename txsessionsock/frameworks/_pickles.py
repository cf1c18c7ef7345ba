# -*- test-case-name: tests.frameworks.test_pickles -*-
"""
Pickles of plain values, read without ever calling what they name.

This is no subclass of L{pickle.Unpickler}.  One that refuses all classes would
still allocate as many places as a pickle says it needs (16 GiB for six bytes),
and hash any tuple that is a key, which takes for ever if it is made of one and
the same tuple twice, forty times over, and the whole process if it is nested
deeply enough.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from math import isnan, nan
from pickletools import genops
from types import NoneType
from typing import Any, Final
from uuid import UUID, SafeUUID

from txsessionsock._foreign import DEPTH, Foreign, isShort, ofType


__all__ = ["MAX_SIZE", "dumps", "find", "loads"]


MAX_SIZE: Final = 1024 * 1024
"""
How many bytes a pickle may have.
"""

_MOST_VALUES = 100_000
_MOST_CHARACTERS = 4 * MAX_SIZE
_KEY_DEPTH = 20
_PROTOCOL = 4
_MADE: dict[type, tuple[type, ...]] = {
    date: (bytes,),
    datetime: (bytes, timezone),
    time: (bytes, timezone),
    timedelta: (int, int, int),
    timezone: (timedelta, str),
    Decimal: (str,),
}
"""
What a pickle may have made, and of arguments of which types.
"""
_CLASSES: dict[tuple[Any, ...], type] = {
    (made.__module__, made.__qualname__): made for made in (*_MADE, UUID)
}
_TEXTS = frozenset({str, bytes})
_SCALARS = frozenset({NoneType, bool, int, float, str, bytes})
_OTHERS = frozenset(_CLASSES.values())
_GROUPS = frozenset({dict, list, tuple, set, frozenset})
_MARK: Final = object()


def loads(raw: bytes) -> Any:
    """
    Read a pickle of protocol 4 or later.

    @raise ValueError: It is none, or holds something other than plain values.
        Neither its message nor what it holds on to shows any of C{raw}.
    """
    if len(raw) > MAX_SIZE:
        raise ValueError("too large for a pickle")
    try:
        value, problem = _Machine().run(raw), None
    except Exception as error:
        # Out of the handler, or what quotes the input would be the context.
        problem = str(error) if type(error) is _RefusedPickle else "no pickle"
    if problem is None:
        try:
            found = find(value)
            problem = None if found is None else found.what
        except RecursionError:
            problem = "nested too deeply"
    if problem is not None:
        raise ValueError(problem)
    return value


def dumps(value: object) -> bytes:
    """
    Write a pickle of values in which L{find} finds nothing.

    @raise ValueError: It is too large to be read again.
    """
    raw = pickle.dumps(value, _PROTOCOL)
    if len(raw) > MAX_SIZE:
        raise ValueError("too large for a pickle")
    return raw


def find(value: object, *, isThorough: bool = False) -> Foreign | None:
    """
    Find something that a pickle is not to hold, so that all it holds is of
    the types that handlers expect, and does not grow beyond measure when it
    is copied, because it holds one and the same list many times.

    @param isThorough: As for other encodings; this always is.

    @return: L{None} if there is no such thing.

    @raise RecursionError: It is nested too deeply, or contains itself.
    """
    return _Look().at(value, DEPTH)


class _RefusedPickle(ValueError):
    """
    A pickle wants something that we do not do.
    """


class _Look:
    """
    One look through a value.
    """

    values = 0
    characters = 0

    def at(self, value: Any, depth: int) -> Foreign | None:
        kind = type(value)
        self.values += 1
        if self.values > _MOST_VALUES or self.characters > _MOST_CHARACTERS:
            return Foreign("too much", "less")
        if kind in _TEXTS:
            self.characters += len(value)
            return None
        if kind in _SCALARS:
            return isShort(value) if kind is int else None
        if kind in _GROUPS:
            return self._atGroup(value, depth)
        return _atOther(value) if kind in _OTHERS else ofType(value)

    def _atGroup(self, value: Any, depth: int) -> Foreign | None:
        if not depth:
            raise RecursionError
        kind = type(value)
        if kind is not list and kind is not tuple:
            for key in value:
                found = self.at(key, depth - 1)
                if found is not None:
                    return replace(found, what=f"{found.what} as a key", path=())
        if kind is set or kind is frozenset:
            return None
        for place, item in value.items() if kind is dict else enumerate(value):
            found = self.at(item, depth - 1)
            if found is not None:
                return found.within(place)
        return None


class _Keys:
    """
    A look at all keys of a pickle, each before it is hashed: that would take
    for ever with a tuple that is made of one and the same tuple twice, forty
    times over.
    """

    values = 0

    def check(self, key: Any, depth: int = _KEY_DEPTH) -> None:
        """
        @raise _RefusedPickle: It is not to be hashed.
        """
        kind = type(key)
        self.values += 1
        if self.values > _MOST_VALUES:
            raise _RefusedPickle("too much")
        if kind in _SCALARS or kind in _OTHERS:
            return
        if kind is not tuple and kind is not frozenset:
            raise _RefusedPickle(f"{kind.__qualname__} as a key")
        if not depth:
            raise _RefusedPickle("nested too deeply")
        for item in key:
            self.check(item, depth - 1)


def _atOther(value: Any) -> Foreign | None:
    """
    What is wrong with one of the values that have a class.
    """
    if isinstance(value, (datetime, time)):
        if type(value.tzinfo) not in (NoneType, timezone):
            what = f"{type(value).__qualname__} with a time zone that has rules"
            return Foreign(what, "it in datetime.UTC")
    elif isinstance(value, UUID) and not hasattr(value, "int"):
        return Foreign("UUID without a number")
    return None


class _Machine:
    """
    What runs the opcodes of one pickle.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._keys = _Keys()

    def run(self, raw: bytes) -> Any:
        """
        @return: The value.

        @raise Exception: It could not be made: L{_RefusedPickle} because we do not
            want to, anything else because it is wrong.
        """
        end = None
        for count, (opcode, argument, position) in enumerate(genops(raw)):
            name, end = opcode.name, position
            if count > 2 * _MOST_VALUES:
                raise _RefusedPickle("too much")
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _LITERALS:
                self.stack.append(argument)
            elif name in _STEPS:
                _STEPS[name](self, argument)
            elif name not in ("PROTO", "FRAME", "STOP"):
                raise _RefusedPickle("something other than plain values")
        (value,) = self.stack
        if end != len(raw) - 1:
            raise ValueError
        return value

    def sinceMark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise ValueError

    def last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def top(self, kind: type) -> Any:
        top = self.stack[-1]
        if type(top) is not kind:
            raise ValueError
        return top

    def put(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self._memo[index])

    def append(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def setItems(self, items: list[Any]) -> None:
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._keys.check(key)
            target[key] = value

    def addItems(self, items: list[Any]) -> None:
        target = self.top(set)
        for item in items:
            self._keys.check(item)
            target.add(item)

    def frozen(self) -> None:
        items = self.sinceMark()
        for item in items:
            self._keys.check(item)
        self.stack.append(frozenset(items))

    def pushClass(self, name: tuple[Any, ...]) -> None:
        if name not in _CLASSES:
            raise _RefusedPickle("something other than plain values")
        self.stack.append(_CLASSES[name])

    def reduce(self) -> None:
        made, given = self.last(2)
        kinds = _MADE[made]
        if type(given) is not tuple or not 0 < len(given) <= len(kinds):
            raise ValueError
        for argument, kind in zip(given, kinds, strict=False):
            if type(argument) is not kind:
                raise ValueError
        value = made(*given)
        if isinstance(value, (date, time)):
            value.replace()  # Raises if what the bytes say is no day or time.
        self.stack.append(value)

    def new(self) -> None:
        made, given = self.last(2)
        if made is not UUID or given != ():
            raise ValueError
        self.stack.append(UUID.__new__(UUID))

    def build(self) -> None:
        (state,) = self.last(1)
        if type(state) is not dict or not {"int"} <= set(state) <= {"int", "is_safe"}:
            raise ValueError
        number, isSafe = state["int"], state.get("is_safe")
        if type(number) is not int or type(isSafe) not in (int, NoneType):
            raise ValueError
        checked = UUID(int=number, is_safe=SafeUUID(isSafe))
        self.top(UUID).__setstate__(checked.__getstate__())


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": _MARK}
_LITERALS = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    }
)
_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    # One NaN for all, so that a key is equal to itself.
    "BINFLOAT": lambda machine, number: machine.stack.append(
        nan if isnan(number) else number
    ),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_SET": lambda machine, _: machine.stack.append(set()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.sinceMark())),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.last(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.last(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.last(3))),
    "APPEND": lambda machine, _: machine.append(machine.last(1)),
    "APPENDS": lambda machine, _: machine.append(machine.sinceMark()),
    "SETITEM": lambda machine, _: machine.setItems(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.setItems(machine.sinceMark()),
    "ADDITEMS": lambda machine, _: machine.addItems(machine.sinceMark()),
    "FROZENSET": lambda machine, _: machine.frozen(),
    "BINPUT": lambda machine, index: machine.put(index),
    "LONG_BINPUT": lambda machine, index: machine.put(index),
    "MEMOIZE": lambda machine, _: machine.put(None),
    "BINGET": lambda machine, index: machine.get(index),
    "LONG_BINGET": lambda machine, index: machine.get(index),
    "GLOBAL": lambda machine, name: machine.pushClass(tuple(name.split(" "))),
    "STACK_GLOBAL": lambda machine, _: machine.pushClass(tuple(machine.last(2))),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.new(),
    "BUILD": lambda machine, _: machine.build(),
}
