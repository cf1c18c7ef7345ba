# -*- test-case-name: tests.package.test_alarms -*-
"""
Timers for those of whom there are many, and who have few running: sessions, and
the sockets of clients that say nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from ._deferreds import Timer


__all__ = ["Alarms", "Sleeper", "Timers"]


class Sleeper(Protocol):
    """
    Somebody who waits for a time.
    """

    def wake(self) -> object:
        """
        The time is there.
        """


class Alarms:
    """
    Wakes many, each at a time of its own, with one timer for whoever is next.  A
    timer for each would take six objects and 600 bytes, which every collection of
    garbage goes through.

    Who is to be woken at the same time is woken in the order of the calls.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._timer = Timer(reactor)
        self._reactor = reactor
        self._numbers = count(1)
        self._sleepers: dict[int, Sleeper] = {}
        # Those that were stopped stay in it until they are due, or are too many.
        # There are numbers in it and nobody who waits: then the collector does not
        # go through it.
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        """
        How many are to be woken.
        """
        return len(self._sleepers)

    def start(self, at: float, sleeper: Sleeper) -> int:
        """
        Wake somebody.

        @param at: When, as the reactor counts seconds.

        @return: What L{stop} takes.
        """
        number = next(self._numbers)
        self._sleepers[number] = sleeper
        heap = self._heap
        heappush(heap, (at, number))
        if len(heap) > 2 * len(self._sleepers) + 64:
            heap[:] = [entry for entry in heap if entry[1] in self._sleepers]
            heapify(heap)
        self._arm()
        return number

    def stop(self, number: int) -> None:
        """
        Do not wake whom L{start} returned this number for.  Nothing happens if that
        was done.
        """
        if self._sleepers.pop(number, None) is not None and not self._sleepers:
            # A dictionary keeps the room that it once took.
            self._sleepers, self._heap = {}, []
            self._timer.stop()

    def _arm(self) -> None:
        if self._heap and self._heap[0][0] < self._timer.due:
            at = self._heap[0][0]
            self._timer.start(at - self._reactor.seconds(), self._wake, at)

    def _wake(self, at: float) -> None:
        # The reactor adds and subtracts, so it may be early by the last bit.
        now, heap = max(at, self._reactor.seconds()), self._heap
        due = deque[int]()
        while heap and heap[0][0] <= now:
            due.append(heappop(heap)[1])
        try:
            while due:
                sleeper = self._sleepers.pop(due.popleft(), None)
                if sleeper is not None:
                    sleeper.wake()
        finally:
            # One may have raised: the others have their turn next.
            for number in due:
                heappush(self._heap, (now, number))
            self._arm()


class Timers:
    """
    The timers of one object, by their names: those that do not run take nothing.
    """

    __slots__ = ("_reactor", "_running")

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._running: dict[str, Timer] | None = None

    def isRunning(self, name: str) -> bool:
        """
        See L{Timer.isRunning}.
        """
        return self._running is not None and name in self._running

    def due(self, name: str) -> float:
        """
        See L{Timer.due}.
        """
        running = self._running
        return inf if running is None or name not in running else running[name].due

    def start(self, name: str, seconds: float, function: Callable[[], object]) -> None:
        """
        See L{Timer.start}.
        """
        if self._running is None:
            self._running = {}
        timer = self._running.get(name)
        if timer is None:
            timer = self._running[name] = Timer(self._reactor)
        timer.start(seconds, self._fire, name, function)

    def stop(self, *names: str) -> None:
        """
        Call nothing, for any of these.
        """
        for name in names:
            if self._running is not None and name in self._running:
                self._take(name).stop()

    def _take(self, name: str) -> Timer:
        assert self._running is not None
        timer = self._running.pop(name)
        if not self._running:
            self._running = None
        return timer

    def _fire(self, name: str, function: Callable[[], object]) -> None:
        self._take(name)
        function()
