# -*- test-case-name: tests.test_client -*-
"""
Messages that wait for a handler.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from txsessionsock.limits import Limits

from .carrier import Carrier


__all__ = ["Inbox", "Waiting"]


@dataclass(slots=True)
class Waiting:
    """
    A message that waits for its turn.

    @ivar size: How many bytes it takes.

    @ivar source: What the carrier made it of.

    @ivar arrival: See L{txsessionsock.session.roles.Keeper.arrival}.
    """

    message: Any
    size: int
    source: Any
    arrival: int


class Inbox:
    """
    Messages in the order in which they came.  While there are too many,
    nothing is received.
    """

    def __init__(self, carrier: Carrier, limits: Limits) -> None:
        self._carrier = carrier
        self._limits = limits
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._isPaused = False

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, waiting: Waiting) -> None:
        """
        A message came.
        """
        self._waiting.append(waiting)
        self._bytes += waiting.size
        if not self._isPaused and self._isFull(1):
            self._isPaused = True
            self._carrier.pause()

    def next(self) -> Waiting:
        """
        Take the first out.
        """
        waiting = self._waiting.popleft()
        self._bytes -= waiting.size
        if not self._isFull(2):
            self.resume()
        return waiting

    def putBack(self, waiting: Waiting) -> None:
        """
        It was not its turn.
        """
        self._waiting.appendleft(waiting)
        self._bytes += waiting.size

    def arrived(self, arrival: int) -> None:
        """
        Have all count as having arrived now.
        """
        for waiting in self._waiting:
            waiting.arrival = arrival

    def clear(self) -> None:
        """
        Drop all.
        """
        self._waiting.clear()
        self._bytes = 0

    def resume(self) -> None:
        """
        Receive again.
        """
        if self._isPaused:
            self._isPaused = False
            self._carrier.resume()

    def _isFull(self, factor: int) -> bool:
        return (
            factor * len(self._waiting) >= self._limits.waitingMessages
            or factor * self._bytes >= self._limits.waitingBytes
        )
