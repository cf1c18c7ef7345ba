"""
What Deferreds are asked and told at several places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ._waiting import waitable


__all__ = ["inOrder", "isFired"]


def inOrder(calls: Iterable[Callable[[], object]]) -> Deferred[None] | None:
    """
    Call functions, each when the one before is done.

    @param calls: Ordinary functions, functions that return a L{Deferred}, and
        coroutine functions and generators.

    @return: L{None} if all were done at once.  Otherwise a L{Deferred} that
        fails with what one of them failed with; then the rest is not called.

    @raise TypeError: One returned what cannot be waited for.
    """
    remaining = iter(calls)
    for call in remaining:
        result = waitable(call())
        if not isinstance(result, Deferred):
            continue
        if result.called and not result.paused:
            outcome = result.result
            if not isinstance(outcome, (Deferred, Failure)):
                continue
        return result.addCallback(lambda _: inOrder(remaining))
    return None


def isFired(deferred: Deferred[Any]) -> bool:
    """
    Whether a L{Deferred} has its result, and does not wait for another one.
    """
    return bool(deferred.called) and not deferred.paused
