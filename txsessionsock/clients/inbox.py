# -*- test-case-name: tests.clients.test_client -*-
"""
Messages that wait for a handler.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from txsessionsock.limits import Limits

from .carrier import Carrier


__all__ = ["Inbox", "Waiting"]


@dataclass(slots=True)
class Waiting:
    """
    A message that waits for its turn.

    @ivar size: How many bytes it takes.

    @ivar source: The payload of which the carrier made it.

    @ivar arrival: See L{txsessionsock.session.roles.Keeper.arrival}.
    """

    message: Any
    size: int
    source: Any
    arrival: int = 0


_NONE: Final[deque[Waiting]] = deque(maxlen=0)
"""
Those of a client of whom none waits.  An empty deque takes 760 bytes, and there are
many clients, so all have this one, into which nothing can be put.
"""


class Inbox:
    """
    Messages in the order in which they came.  While there are too many,
    nothing is received.

    @ivar size: How many bytes they take.
    """

    __slots__ = ("_carrier", "_limits", "_takers", "_waiting", "size")

    def __init__(self, carrier: Carrier, limits: Limits) -> None:
        self._carrier: Any = carrier
        self._limits = limits
        self.size = 0
        self._waiting = _NONE
        # How many are looking through what they took out.
        self._takers = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, waiting: Waiting) -> None:
        """
        A message came.
        """
        if self._waiting is _NONE:
            self._waiting = deque()
        self._waiting.append(waiting)
        self.size += waiting.size
        if not self._carrier.isPaused and self._isFull(1):
            self._carrier.pause()

    @property
    def first(self) -> Waiting:
        """
        The first, which stays.
        """
        return self._waiting[0]

    def next(self) -> Waiting:
        """
        Take the first out.
        """
        waiting = self._waiting.popleft()
        if not self._waiting:
            self._waiting = _NONE
        self.size -= waiting.size
        if self._carrier.isPaused:
            self._relax()
        return waiting

    def takeAll(self) -> list[Waiting]:
        """
        Take all out, for somebody to look through.  Until C{lookedThrough} is
        called nothing more is received, for it would get ahead of these.
        """
        waiting = list(self._waiting)
        self.clear()
        self._takers += 1
        return waiting

    def lookedThrough(self) -> None:
        """
        See L{takeAll}.
        """
        self._takers -= 1
        self._relax()

    def _relax(self) -> None:
        if not self._takers and not self._isFull(2):
            self.resume()

    def putBack(self, waiting: Waiting) -> None:
        """
        Put the one that L{next} returned back at the front.
        """
        if self._waiting is _NONE:
            self._waiting = deque()
        self._waiting.appendleft(waiting)
        self.size += waiting.size

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
        self._waiting = _NONE
        self.size = 0

    def end(self) -> None:
        """
        The client is over, and its carrier gone.
        """
        self.clear()
        self._carrier = None

    def resume(self) -> None:
        """
        Receive again.
        """
        if self._carrier is not None and self._carrier.isPaused:
            self._carrier.resume()

    def _isFull(self, factor: int) -> bool:
        return (
            factor * len(self._waiting) >= self._limits.waitingMessages
            or factor * self.size >= self._limits.waitingBytes
        )
