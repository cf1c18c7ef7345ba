# -*- test-case-name: tests.package.test_weak -*-
"""
The way back to an owner that does not keep it.

What an object is made of often has to call it.  If it held the object, neither
would be freed before the garbage collector comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakMethod


__all__ = ["weakly"]

_R = TypeVar("_R")


def weakly(method: Callable[..., _R], otherwise: _R) -> Callable[..., _R]:
    """
    @param method: A method, whose object is kept by somebody else as long as it
        is of use.

    @return: What calls the method, as long as the object is there; after that it
        returns C{otherwise}.
    """
    find = WeakMethod(method)

    def call(*args: Any) -> _R:
        found = find()
        return otherwise if found is None else found(*args)

    return call
