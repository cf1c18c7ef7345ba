# -*- test-case-name: tests.manager.test_pace -*-
"""
Spreading work over several turns of the reactor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


__all__ = ["Pace"]

_AT_ONCE = 50
"""
How many things to do in one turn of the reactor.
"""


class Pace:
    """
    Calls functions in order, and only so many in one turn of the reactor: the
    rest is called in the next turns.
    """

    def __init__(self, afterTurn: Callable[[Callable[[], None]], object]) -> None:
        """
        @param afterTurn: Calls something when the reactor is done with what it
            does.
        """
        self._afterTurn = afterTurn
        self._waiting: deque[Callable[[], object]] = deque()
        self._remaining = _AT_ONCE

    def do(self, call: Callable[[], object]) -> None:
        """
        Call something, as soon as it is its turn.
        """
        if not self._remaining:
            self._waiting.append(call)
            return
        if self._remaining == _AT_ONCE:
            self._afterTurn(self._next)
        self._remaining -= 1
        call()

    def _next(self) -> None:
        self._remaining = _AT_ONCE
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self.do(call)
