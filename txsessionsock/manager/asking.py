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
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._answeredAt = 0.0

    def asked(self, answer: Deferred[_T]) -> Deferred[_T]:
        """
        Note that the store answers.
        """
        return answer.addCallbacks(self._answered, self._failed)

    def isAnswered(self) -> None:
        """
        The store answered.
        """
        self._answeredAt = self._storage.now()

    def _answered(self, result: _T) -> _T:
        self._answeredAt = self._storage.now()
        return result

    def _failed(self, failure: Failure) -> Failure:
        if not failure.check(StoreFailure):
            self._answeredAt = self._storage.now()
        return failure

    def inTime(self, waiting: Deferred[_T]) -> Deferred[_T]:
        """
        Wait for something, as long as the store answers anything.

        @return: A L{Deferred} that fires as the other one does, or fails with
            L{StoreTimeout} before that; what was begun goes on.
        """
        if waiting.called:
            return waiting
        told: Deferred[_T] = Deferred(lambda _: waiting.cancel())
        since = self._storage.now()
        # Runs only for those who wait for longer than C{timeout}.
        prolonged = Timer(self._storage.reactor)

        def fired(result: _T | Failure) -> None:
            prolonged.stop()
            if not told.called:
                told.callback(result)

        def late() -> None:
            if told.called:
                return
            remaining = self._answeredAt + self._storage.timeout - self._storage.now()
            if self._answeredAt > since and remaining > 0:
                prolonged.start(remaining, late)
            else:
                told.errback(self._storage.noAnswer())

        waiting.addBoth(fired)
        self._storage.expect(told, late)
        return told
