# -*- test-case-name: tests.session.test_references -*-
"""
Whether anybody still has a value that was handed out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from .merge import ATOMS


__all__ = ["isReferredTo"]

_count: Final[Callable[[object], int] | None] = getattr(sys, "getrefcount", None)
"""
Of CPython.  Whatever has a value is counted: a variable of a function that waits, an
iterator, a method that is bound to it, another list.
"""


def _most(values: list[Any]) -> int:
    """
    @param values: A list of their own.

    @return: How many references there are to the one that has most.
    """
    assert _count is not None
    return max(map(_count, values), default=0)


def _changeable(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if type(value) not in ATOMS]


_isCounting: Final = (
    _count is not None
    # Without the lock, there are references that are not counted.
    and getattr(sys, "_is_gil_enabled", lambda: True)()
)

_SAMPLE: Final[list[Any]] = [[]]

_ALONE: Final = _most(_changeable(_SAMPLE)) if _isCounting else 0
"""
How many there are to a value that is at one place alone.  It depends on the Python how
many are those of who counts.
"""


def isReferredTo(data: dict[str, Any], key: str) -> bool:
    """
    Whether anybody may have a value, or something in it that can be changed in place,
    beside the dictionary that it is in.

    @return: Also true if that is not known, as of what is no dictionary and no list,
        and where references are not counted.
    """
    if not _isCounting:
        return True
    open = [[data[key]]]
    while open:
        values = open.pop()
        if _most(values) > _ALONE:
            return True
        for value in values:
            kind = type(value)
            if kind is not dict and kind is not list:
                return True
            inner = _changeable(value.values() if kind is dict else value)
            if inner:
                open.append(inner)
    return False
