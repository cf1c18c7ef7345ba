# -*- test-case-name: tests.package.test_json -*-
"""
Python's garbage collector: how long it takes, and when it is better not to run.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TypeVar


__all__ = ["COLLECTIONS", "spareProcess", "undisturbed"]

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


def spareProcess() -> None:
    """
    Have the collector take as little time as it can.  To be called by who owns the
    process, when all is imported and nobody is served yet.

    It goes through nothing any more that the process has by now: the program itself,
    which is 60,000 objects or more, and stays.  And it begins less often: otherwise it
    takes those of hundreds of messages under way for some that stay, and soon goes
    through all.
    """
    gc.collect()
    gc.freeze()
    first, *others = gc.get_threshold()
    # None is for a collector that is off.
    if first:
        gc.set_threshold(max(first, _YOUNG), *others)


_YOUNG = 10_000
"""
How many more objects there are to be than before.
"""


class _Collections:
    """
    Counts how long the collector has been at work.  That is on nobody's account:
    it goes through all that there is, at whatever moment it comes.

    @ivar seconds: How long, in all.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, details: Mapping[str, object]) -> None:
        if phase == "start":
            self._began = perf_counter()
        else:
            self.seconds += perf_counter() - self._began


COLLECTIONS = _Collections()

gc.callbacks.append(COLLECTIONS)
