# -*- test-case-name: tests.package.test_fairness -*-
"""
Who comes next, where many wait.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar


__all__ = ["FairQueue"]

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """
    Those who wait.  The one that has had the least lately comes next (start-time fair
    queueing).

    Bulk stands apart, which is what may come by the thousands at once: connections
    that come or go, and sessions to be stored.  None of these has had anything, so
    whoever is there would come behind all of them, as soon as it has had something.  As
    long as both wait, bulk has half of the time together, and the others have the other
    half.

    @ivar now: How much each has had who wanted something all the time.
    """

    def __init__(self) -> None:
        self.now = 0.0
        # When each would begin were all served at once, and a number that keeps the
        # order of equals.
        self._there: list[tuple[float, int, _T]] = []
        self._bulk: list[tuple[float, int, _T]] = []
        self._numbers = count()
        # Whether both wait, and how much more bulk had since then.
        self._areBoth = False
        self._lead = 0.0

    def __len__(self) -> int:
        return len(self._there) + len(self._bulk)

    @property
    def hasBulk(self) -> bool:
        """
        Whether bulk waits.
        """
        return bool(self._bulk)

    def add(self, who: _T, start: float, *, isBulk: bool) -> None:
        """
        Somebody waits.

        @param start: How much it has had, by the time of this queue.

        @param isBulk: Whether it is bulk.
        """
        queue = self._bulk if isBulk else self._there
        heappush(queue, (start, next(self._numbers), who))

    def take(self) -> tuple[float, _T, bool]:
        """
        @return: C{start}, C{who} and C{isBulk} of the one that comes next.

        @raise IndexError: Nobody waits.
        """
        self._areBoth = bool(self._there and self._bulk)
        if not self._areBoth:
            self._lead = 0.0
        isBulk = self._lead < 0.0 if self._areBoth else bool(self._bulk)
        start, _, who = heappop(self._bulk if isBulk else self._there)
        self.now = max(self.now, start)
        return start, who, isBulk

    def took(self, seconds: float, *, isBulk: bool) -> None:
        """
        The one that was taken is done for now.

        @param seconds: How long that took.
        """
        if self._areBoth:
            self._lead += seconds if isBulk else -seconds
