# -*- test-case-name: tests.manager.test_manager_late -*-
"""
Waiting for the store about one live session, and hearing of an outage in time.
"""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer
from txsessionsock.interfaces import StoreFailure

from .storage import Storage


__all__ = ["Asking"]

_T = TypeVar("_T")


class Asking:
    """
    The deadline of those who wait for one live session.

    Several may wait for one session, and the store is asked one question at a
    time.  So a waiter does not fail while the store answers the questions of
    others: it fails when the store has answered nothing for C{timeout} seconds.

    @ivar since: When the last question was asked.

    @ivar sinceLastButOne: When that one was asked which the store answered last but
        one.
    """

    __slots__ = ("_answeredAt", "_lastAnswered", "_storage", "since", "sinceLastButOne")

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._answeredAt = self.since = 0.0
        # When that one was asked which was answered last.
        self._lastAnswered = self.sinceLastButOne = 0.0

    def asked(self, answer: Deferred[_T]) -> Deferred[_T]:
        """
        Note that the store answers.
        """
        self.since = self._storage.now()
        return answer.addCallbacks(self._answered, self._failed)

    def isAnswered(self) -> None:
        """
        The store answered.
        """
        self._answeredAt = self._storage.now()

    def _answered(self, result: _T) -> _T:
        self._answeredAt = self._storage.now()
        self.sinceLastButOne, self._lastAnswered = self._lastAnswered, self.since
        return result

    def _failed(self, failure: Failure) -> Failure:
        return failure if failure.check(StoreFailure) else self._answered(failure)

    def inTime(self, waiting: Deferred[_T]) -> Deferred[_T]:
        """
        Wait for something, as long as the store answers anything.

        @return: A L{Deferred} that fires as the other one does, or fails with
            L{StoreTimeout} before that; what was begun goes on.
        """
        if waiting.called:
            return waiting
        told: Deferred[_T] = Deferred(lambda _: waiting.cancel())
        waiting.addBoth(_tell, told)
        return self.limit(told)

    def limit(self, waiter: Deferred[_T]) -> Deferred[_T]:
        """
        The same for one who waits alone: the L{Deferred} itself fails.

        @param waiter: Whoever fires it asks first whether it was fired.

        @return: The same.
        """
        if not waiter.called:
            self._storage.expect(waiter, self._late)
        return waiter

    def _late(self, waiter: Deferred[_T], since: float) -> None:
        """
        @param since: When it began to wait.
        """
        if waiter.called:
            return
        storage, answeredAt = self._storage, self.answeredSince(since)
        now = storage.now()
        if answeredAt is None or answeredAt + storage.timeout <= now:
            waiter.errback(storage.noAnswer())
            return
        # For those only who wait for longer than C{timeout}.
        prolonged = Timer(storage.reactor)
        remaining = answeredAt + storage.timeout - now
        prolonged.start(remaining, self._late, waiter, since)
        waiter.addBoth(_stop, prolonged)

    def answeredSince(self, since: float) -> float | None:
        """
        @return: When the store last answered; L{None} if it was not later.
        """
        return self._answeredAt if self._answeredAt > since else None


def _tell(result: _T | Failure, told: Deferred[_T]) -> None:
    if not told.called:
        told.callback(result)


def _stop(result: _T, timer: Timer) -> _T:
    timer.stop()
    return result
