# -*- test-case-name: tests.test_client -*-
"""
Frames that are held back until what their receiver may learn from them is
stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any


__all__ = ["Outbox"]


class Outbox:
    """
    Frames in the order in which they were sent.
    """

    def __init__(self, write: Callable[[Any], None]) -> None:
        """
        @param write: Sends one.
        """
        self._write = write
        self._held: deque[tuple[int, Any]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def put(self, frame: Any, number: int | None) -> None:
        """
        Send a frame behind all others.

        @param number: The number of the change that is to be stored before;
            L{None} if all are.
        """
        if number is not None:
            self._held.append((number, frame))
        elif self._held:
            self._held.append((0, frame))
        else:
            self._write(frame)

    def stored(self, number: int) -> None:
        """
        All changes up to this one are stored.
        """
        while self._held and self._held[0][0] <= number:
            self._write(self._held.popleft()[1])

    def clear(self) -> None:
        """
        Drop all.
        """
        self._held.clear()
