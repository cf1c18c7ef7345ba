# -*- test-case-name: tests.package.test_json -*-
"""
Python's garbage collector, while very many objects are made at once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar


__all__ = ["undisturbed"]

_T = TypeVar("_T")


def undisturbed(make: Callable[[bytes], _T], raw: bytes) -> _T:
    """
    Make a value of bytes.  Meanwhile the collector would go through all that was
    made so far several times, and at last through all that the process has, which
    takes five times as long as the value does.  It does so once, later.
    """
    if not gc.isenabled():
        return make(raw)
    gc.disable()
    try:
        return make(raw)
    finally:
        gc.enable()
