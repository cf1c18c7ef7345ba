# -*- test-case-name: tests.stores.test_deadlines -*-
"""
Many deadlines, which are put off more often than they come.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf

from twisted.internet.interfaces import IReactorTime

from txsessionsock._deferreds import Timer


__all__ = ["Deadlines"]


class Deadlines:
    """
    Has one timer run for the nearest of many deadlines.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        due: Callable[[str], None],
        *,
        isTimed: bool = True,
    ) -> None:
        """
        @param due: Called with each key whose time is up, once.

        @param isTimed: Whether to have a timer; else C{due} is called by
            L{sweep} only.
        """
        self._reactor = reactor
        self._due = due
        self._isTimed = isTimed
        self._ends: dict[str, float] = {}
        # The entries of a key whose deadline moved away stay until they are
        # due, so that putting it off with each write costs no sorting.
        self._entries: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._timer = Timer(reactor)

    def expect(self, key: str, end: float | None) -> None:
        """
        Note when a key expires, in seconds since the epoch; L{None} for never.
        """
        if end is None:
            self.forget(key)
            return
        self._ends[key] = end
        if end < self._entries.get(key, inf):
            self._entries[key] = end
            heappush(self._heap, (end, key))
            if len(self._heap) > 2 * len(self._ends) + 64:
                self._heap = [(at, key) for key, at in self._entries.items()]
                heapify(self._heap)
            self._arm()

    def forget(self, key: str) -> None:
        """
        Expect nothing of a key.
        """
        if self._ends.pop(key, None) is not None:
            self._entries.pop(key, None)
            if not self._ends:
                self.clear()

    def clear(self) -> None:
        """
        Expect nothing any more.
        """
        self._ends.clear()
        self._entries.clear()
        self._heap.clear()
        self._arm()

    def timed(self, isTimed: bool) -> None:
        """
        Have a timer from now on, or none.
        """
        self._isTimed = isTimed
        self._arm()

    def sweep(self) -> None:
        """
        Do now what is due.
        """
        if not self._heap or self._heap[0][0] > self._reactor.seconds():
            return
        now, over = self._reactor.seconds(), []
        while self._heap and self._heap[0][0] <= now:
            at, key = heappop(self._heap)
            if self._entries.get(key) != at:
                continue
            del self._entries[key]
            if self._ends[key] <= now:
                del self._ends[key]
                over.append(key)
            else:
                self.expect(key, self._ends[key])
        if len(over) > len(self._ends):
            # A dictionary keeps the room that it once took.
            self._ends, self._entries = dict(self._ends), dict(self._entries)
        self._arm()
        for key in over:
            self._due(key)

    def _arm(self) -> None:
        if not self._heap or not self._isTimed:
            self._timer.stop()
        elif self._heap[0][0] < self._timer.due:
            delay = self._heap[0][0] - self._reactor.seconds()
            self._timer.start(delay, self._onTime)

    def _onTime(self) -> None:
        self.sweep()
        self._arm()
