# -*- test-case-name: tests.manager.test_rounds -*-
"""
Asking a question once for all who want to know.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure


__all__ = ["Rounds"]


class Rounds:
    """
    Runs something over and over, as long as anybody waits.  A caller that
    arrives during a round waits for the next: the running one began before its
    message and may not see the change that it needs.

    This is a base class rather than an object with a function to run: each live
    session has two of these, and the function would lead back to whoever has it.

    @ivar begun: How many rounds were begun.

    @ivar succeeded: The number of the last that succeeded.
    """

    def __init__(self) -> None:
        # No attribute of the class stands for one that comes later: an object that
        # gets one late has a dictionary of its own for all that it has.
        self.begun = self.succeeded = 0
        self._takesTime = self._isDue = self._isRunning = False
        # Those who wait; L{None} if nobody does.
        self._current: list[Deferred[None]] | None = None
        self._next: list[Deferred[None]] | None = None

    def round(self) -> Deferred[None] | None:
        """
        Begin one round.

        @return: L{None} if that was all.
        """
        raise NotImplementedError

    def startLater(self, start: Callable[[], None]) -> bool:
        """
        A round is to start that takes time.  Call C{start} when the reactor is done
        with what it does, so that all callers of one turn share one round.

        @return: Whether it will be called; otherwise the round starts at once.
        """
        return False

    def after(self, arrival: int) -> Deferred[None] | None:
        """
        Wait for a round that began later than a moment.

        @param arrival: What L{begun} was at that moment.

        @return: L{None} if such a round has succeeded.  Otherwise a
            L{Deferred} that fails as the round does, unless the caller fails it
            before.  That, and cancelling it, does not disturb the others.
        """
        if self.succeeded > arrival:
            return None
        waiter: Deferred[None] = Deferred()
        if not self._isRunning:
            self._waitForNext(waiter)
            self._start()
            if self.succeeded > arrival:
                return None
        elif self.begun > arrival:
            if self._current is None:
                self._current = []
            self._current.append(waiter)
        else:
            self._waitForNext(waiter)
        return waiter

    def _waitForNext(self, waiter: Deferred[None]) -> None:
        if self._next is None:
            self._next = []
        self._next.append(waiter)

    def fromNow(self) -> Deferred[None]:
        """
        Wait for a round that begins from now on.
        """
        return self.after(self.begun) or succeed(None)

    def _start(self) -> None:
        if self._isDue:
            return
        if self._takesTime:
            self._isDue = True
            if self.startLater(self._begin):
                return
        self._begin()

    def _begin(self) -> None:
        self._isDue = False
        self._isRunning = True
        self.begun += 1
        self._current, self._next = self._next, None
        try:
            running = self.round()
        except Exception:
            self._end(Failure())
            return
        self._takesTime = running is not None and not running.called
        if running is None:
            self._end(None)
        else:
            running.addBoth(self._end)

    def _end(self, result: Failure | None) -> None:
        number, waiters, self._current = self.begun, self._current, None
        self._isRunning = False
        if not isinstance(result, Failure):
            self.succeeded = number
        for waiter in waiters or ():
            if not waiter.called:
                waiter.callback(result)
        if self._next and not self._isRunning:
            self._start()
