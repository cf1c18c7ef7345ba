# -*- test-case-name: tests.manager.test_manager_late -*-
"""
Waiting for the store about one live session, and hearing of an outage in time.
"""

from __future__ import annotations

from typing import Generic, TypeVar

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

    @ivar since: When it was asked the last one.
    """

    __slots__ = ("_answeredAt", "_storage", "since")

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._answeredAt = self.since = 0.0

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
        return _Waiting(self, waiting, self._storage).told

    def answeredSince(self, since: float) -> float | None:
        """
        @return: When the store last answered; L{None} if it was not later.
        """
        return self._answeredAt if self._answeredAt > since else None


class _Waiting(Generic[_T]):
    """
    Somebody who waits.  No closures that lead to themselves: these would be
    garbage for the collector, with each message.

    @ivar told: What it waits for.
    """

    def __init__(self, asking: Asking, waiting: Deferred[_T], storage: Storage) -> None:
        self.told: Deferred[_T] = Deferred(lambda _: waiting.cancel())
        self._asking = asking
        self._storage = storage
        self._since = storage.now()
        # Runs only for those who wait for longer than C{timeout}.
        self._prolonged = Timer(storage.reactor)
        waiting.addBoth(self._fired)
        storage.expect(self.told, self._late)

    def _fired(self, result: _T | Failure) -> None:
        self._prolonged.stop()
        if not self.told.called:
            self.told.callback(result)

    def _late(self) -> None:
        if self.told.called:
            return
        storage, answeredAt = self._storage, self._asking.answeredSince(self._since)
        if answeredAt is not None and answeredAt + storage.timeout > storage.now():
            remaining = answeredAt + storage.timeout - storage.now()
            self._prolonged.start(remaining, self._late)
        else:
            self.told.errback(storage.noAnswer())
