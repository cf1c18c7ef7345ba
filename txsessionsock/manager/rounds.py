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

    @ivar begun: How many rounds were begun.

    @ivar succeeded: The number of the last that succeeded.
    """

    def __init__(
        self,
        run: Callable[[], Deferred[None] | None],
        afterTurn: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """
        @param run: Begins one round; L{None} if that was all.

        @param afterTurn: Calls something when the reactor is done with what it
            does.  If given, rounds that take time begin only then, so that
            all callers of one turn share one.
        """
        self._run = run
        self._afterTurn = afterTurn
        self._takesTime = False
        self._isDue = False
        self.begun = 0
        self.succeeded = 0
        self._isRunning = False
        self._current: list[Deferred[None]] = []
        self._next: list[Deferred[None]] = []

    def after(self, arrival: int) -> Deferred[None] | None:
        """
        Wait for a round that began later than a moment.

        @param arrival: What L{begun} was at that moment.

        @return: L{None} if such a round has succeeded.  Otherwise a
            L{Deferred} that fails as the round does; cancelling it does not
            disturb the others.
        """
        if self.succeeded > arrival:
            return None
        waiter: Deferred[None] = Deferred()
        if not self._isRunning:
            self._next.append(waiter)
            self._start()
            if self.succeeded > arrival:
                return None
        elif self.begun > arrival:
            self._current.append(waiter)
        else:
            self._next.append(waiter)
        return waiter

    def fromNow(self) -> Deferred[None]:
        """
        Wait for a round that begins from now on.
        """
        return self.after(self.begun) or succeed(None)

    def _start(self) -> None:
        if self._isDue:
            return
        if self._afterTurn is None or not self._takesTime:
            self._begin()
            return
        self._isDue = True
        self._afterTurn(self._begin)

    def _begin(self) -> None:
        self._isDue = False
        self._isRunning = True
        self.begun += 1
        self._current, self._next = self._next, []
        try:
            running = self._run()
        except Exception:
            self._end(Failure())
            return
        self._takesTime = running is not None and not running.called
        if running is None:
            self._end(None)
        else:
            running.addBoth(self._end)

    def _end(self, result: Failure | None) -> None:
        number, waiters, self._current = self.begun, self._current, []
        self._isRunning = False
        if not isinstance(result, Failure):
            self.succeeded = number
        for waiter in waiters:
            waiter.callback(result)
        if self._next and not self._isRunning:
            self._start()
