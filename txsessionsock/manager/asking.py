# -*- test-case-name: tests.test_manager_late -*-
"""
Waiting for the store about one live session, and hearing of an outage in time.
"""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock.interfaces import StoreFailure, StoreTimeout

from .storage import Backend


__all__ = ["Asking"]

_T = TypeVar("_T")


class Asking:
    """
    Who waits for one live session.

    They wait for the questions of others first, as long as somebody has the
    session's turn, and each question has the store's whole time.  So each who
    waits has that time, too, since the store answered anything.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
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
        self._answeredAt = self._backend.now()

    def _answered(self, result: _T) -> _T:
        self._answeredAt = self._backend.now()
        return result

    def _failed(self, failure: Failure) -> Failure:
        if not failure.check(StoreFailure):
            self._answeredAt = self._backend.now()
        return failure

    def inTime(self, waiting: Deferred[_T]) -> Deferred[_T]:
        """
        Wait for something, as long as there is hope.

        @return: A L{Deferred} that fires as the other one does, or fails with
            L{StoreTimeout} before that; what was begun goes on.
        """
        if waiting.called:
            return waiting
        told: Deferred[_T] = Deferred(lambda _: waiting.cancel())
        since = self._backend.now()

        def fired(result: _T | Failure) -> None:
            if not told.called:
                told.callback(result)

        def late() -> None:
            if told.called:
                return
            left = self._answeredAt + self._backend.timeout - self._backend.now()
            if self._answeredAt > since and left > 0:
                self._backend.later(left, late)
            else:
                told.errback(StoreTimeout(self._backend.noAnswer))

        waiting.addBoth(fired)
        self._backend.expect(told, late)
        return told
