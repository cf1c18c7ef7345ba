# -*- test-case-name: tests.test_manager -*-
"""
Storing the changes of one live session: one write at a time, each with all
that was changed until it begins.
"""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ._record import Attempt, Change
from ._rounds import Rounds
from .interfaces import (
    NoSuchSession,
    SessionConflict,
    SessionError,
    Stored,
    StoreFailure,
    StoreTimeout,
    UndecodableSession,
)


if TYPE_CHECKING:
    from ._live import Live

__all__ = ["Saving"]

_RETRY = (1.0, 10.0)
"""
After how many seconds a write that failed is tried again, at first and in the
long run.
"""

_JITTER = (0.002, 0.1)
"""
Up to how many seconds to wait after a conflict, at first and in the long run.
"""

_uniform = SystemRandom().uniform


class Saving:
    """
    The writing side of a live session.
    """

    _log = Logger()

    def __init__(self, live: Live) -> None:
        self._live = live
        self._backend = live.backend
        self._rounds = Rounds(self._write)
        self._changes: list[Change] = []
        self._soon: IDelayedCall | None = None
        self._turnEnd: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._retryDelay = 0.0

    @property
    def isBusy(self) -> bool:
        """
        Whether there is something to store.
        """
        return self._live.record.unsaved or bool(self._changes)

    @property
    def isFailing(self) -> bool:
        """
        Whether the last write failed.
        """
        return self._retry is not None

    def add(self, change: Change) -> None:
        """
        Make a change in the session's turn to write.
        """
        try:
            self._live.checkAlive()
        except SessionError:
            change.done.errback()
            return
        self._live.collect()
        self._changes.append(change)
        self.inBackground()

    def now(self) -> Deferred[None]:
        """
        Store what was changed until now.
        """
        try:
            self._live.checkAlive()
        except SessionError:
            return fail()
        self._live.collect()
        return self._rounds.now() if self.isBusy else succeed(None)

    def inBackground(self) -> None:
        """
        Store what was changed until now.  Who holds the session is told what
        becomes of it.
        """
        self._cancelTimers()
        self._rounds.now().addErrback(self._told)

    def _told(self, failure: Failure) -> None:
        if not failure.check(SessionError):
            self._log.failure("a session could not be stored", failure)

    def soon(self) -> None:
        """
        Store what was changed until now, at the latest after a while.
        """
        if self._soon is None:
            interval = self._live.settings.saveInterval
            self._soon = self._backend.later(interval, self._timeToSave)

    def atEndOfTurn(self) -> None:
        """
        Store what was changed, when the reactor is done with what it does.
        """
        if self._turnEnd is None:
            self._turnEnd = self._backend.later(0, self._timeToSave)

    def _timeToSave(self) -> None:
        self._cancelTimers()
        self.now().addErrback(self._told)

    def _cancelTimers(self) -> None:
        for call in (self._soon, self._turnEnd, self._retry):
            if call is not None and call.active():
                call.cancel()
        self._soon = self._turnEnd = self._retry = None

    def stop(self) -> None:
        """
        The session is over.
        """
        self._cancelTimers()
        changes, self._changes = self._changes, []
        for change in changes:
            change.done.errback(NoSuchSession())

    def _write(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._inTurn())

    async def _inTurn(self) -> None:
        live = self._live
        async with live.turn:
            try:
                await self._store()
            except (StoreFailure, UndecodableSession):
                failure = Failure()
                self._retryLater()
                live.tellFailed(failure)
                live.dropIfIdle()
                raise
            self._retryDelay = 0.0
            if live.created is not None:
                live.settings.began(live)
            problem = live.record.problem
            live.tellStored()
            live.dropIfIdle()
            if problem is not None:
                raise problem

    async def _store(self) -> None:
        live = self._live
        conflicts = 0
        live.checkAlive()
        if live.record.isInDoubt:
            self._learn(await self._backend.load(live.key))
        while (attempt := self._prepare()) is not None:
            try:
                stored = await self._send(attempt)
            except SessionConflict as conflict:
                live.record.refused(attempt)
                self._makeAgain(attempt)
                live.absorb(conflict.current)
                await self._backend.sleep(_backOff(_JITTER, conflicts))
                live.checkAlive()
                conflicts += 1
            except NoSuchSession:
                self._fail(attempt, NoSuchSession())
                live.endGone()
                raise
            except StoreTimeout as error:
                live.record.timedOut(attempt)
                await self._findOut(attempt, error)
            except StoreFailure as error:
                live.record.refused(attempt)
                self._fail(attempt, error)
                raise
            else:
                self._succeed(attempt, stored)
                return

    def _prepare(self) -> Attempt | None:
        live = self._live
        live.collect()
        changes, self._changes = self._changes, []
        return live.record.prepare(changes, self._backend.now())

    async def _send(self, attempt: Attempt) -> Stored:
        live = self._live
        if attempt.old is not None:
            return await self._backend.replace(
                live.key, attempt.old, attempt.new, attempt.ttl
            )
        live.reading.watch()
        while not await self._backend.create(live.key, attempt.new, attempt.ttl):
            live.rename()
        ttl = attempt.ttl
        expires = self._backend.now() + ttl if isinstance(ttl, (int, float)) else None
        return Stored(attempt.new, expires)

    async def _findOut(self, attempt: Attempt, error: StoreTimeout) -> None:
        """
        Ask the store whether an attempt succeeded that it did not answer.
        """
        try:
            current = await self._backend.load(self._live.key)
        except StoreFailure:
            self._fail(attempt, error)
            raise error from None
        raw = None if current is None else current.raw
        if raw == attempt.old:
            self._makeAgain(attempt)
        elif raw != attempt.new:
            self._fail(attempt, error)
        self._learn(current)
        if raw == attempt.new:
            self._tellResults(attempt)

    def _learn(self, current: Stored | None) -> None:
        """
        Take notice of what is stored after an attempt that is in doubt.
        """
        if current is None and self._live.isNew:
            self._live.record.neverStored()
        else:
            self._live.absorb(current)

    def _succeed(self, attempt: Attempt, stored: Stored) -> None:
        live = self._live
        changed = live.record.landed(attempt, stored)
        authors = {change.author for change, _ in attempt.results}
        live.announce(changed, authors.pop() if len(authors) == 1 else None)
        live.expiresAt(stored.expires)
        live.touched(attempt.ttl)
        self._tellResults(attempt)

    def _tellResults(self, attempt: Attempt) -> None:
        for change, result in attempt.results:
            change.done.callback(result)

    def _makeAgain(self, attempt: Attempt) -> None:
        self._changes[:0] = [change for change, _ in attempt.results]

    def _fail(self, attempt: Attempt, error: SessionError) -> None:
        for change, _ in attempt.results:
            change.done.errback(error)

    def _retryLater(self) -> None:
        if self._live.reason is None and self._retry is None:
            first, most = _RETRY
            self._retryDelay = min(most, max(first, self._retryDelay * 2))
            delay = self._retryDelay * _uniform(0.8, 1.0)
            self._retry = self._backend.later(delay, self._timeToSave)


def _backOff(bounds: tuple[float, float], tries: int) -> float:
    """
    How long to wait so that those who disturb each other soon do not.
    """
    first, most = bounds
    return _uniform(0.0, min(most, first * 2.0 ** min(tries, 10)))
