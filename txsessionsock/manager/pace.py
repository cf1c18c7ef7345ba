# -*- test-case-name: tests.test_pace -*-
"""
Not doing everything at once.
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
    Does things, of which there may be very many, in order: at once, and those
    that are too many for a turn of the reactor in the next ones.
    """

    def __init__(self, afterTurn: Callable[[Callable[[], None]], object]) -> None:
        """
        @param afterTurn: Calls something when the reactor is done with what it
            does.
        """
        self._afterTurn = afterTurn
        self._waiting: deque[Callable[[], object]] = deque()
        self._left = _AT_ONCE

    def do(self, call: Callable[[], object]) -> None:
        """
        Call something, as soon as it is its turn.
        """
        if not self._left:
            self._waiting.append(call)
            return
        if self._left == _AT_ONCE:
            self._afterTurn(self._next)
        self._left -= 1
        call()

    def _next(self) -> None:
        self._left = _AT_ONCE
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self.do(call)
