# -*- test-case-name: tests.test_manager -*-
"""
Storing the changes of one live session: one write at a time, each with all
that was changed until it begins.
"""

from __future__ import annotations

from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.interfaces import (
    Lifetime,
    NoSuchSession,
    SessionConflict,
    SessionError,
    SessionReplaced,
    Stored,
    StoreFailure,
    StoreRefusal,
    StoreTimeout,
    UndecodableSession,
)
from txsessionsock.session import Attempt, Change

from .rounds import Rounds


if TYPE_CHECKING:
    from .keeper import Live

__all__ = ["AT_ONCE", "Saving", "backOff"]

_RETRY = (1.0, 10.0)
"""
After how many seconds a write that failed is tried again, at first and in the
long run.
"""

_JITTER = (0.002, 0.1)
"""
Up to how many seconds to wait after a conflict, at first and in the long run.
"""

AT_ONCE = 3
"""
How often to try again without waiting, on what was found instead.
"""

_PATIENCE = 2
"""
How often to try again at once what the store did not do nor answer.
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
        Whether there is something to store, or to find out about what is.
        """
        record = self._live.record
        return record.unsaved or record.isInDoubt or bool(self._changes)

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
        self._await(self._rounds.now())

    def _await(self, saved: Deferred[None]) -> None:
        self._live.asking.inTime(saved).addErrback(self._told)

    def _told(self, failure: Failure) -> None:
        if failure.check(StoreTimeout):
            # What became of it may be found out only later.
            self._live.audience.failed(failure)
        elif not failure.check(SessionError):
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
        self._await(self.now())
        if self._live.audience.isInside and not self._live.isClosed:
            # What a handler that waits changes is noticed only by looking.
            self.soon()

    def _cancelTimers(self) -> None:
        for call in (self._soon, self._turnEnd, self._retry):
            self._cancel(call)
        self._soon = self._turnEnd = self._retry = None

    def _cancel(self, call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()

    def stop(self) -> None:
        """
        Store nothing more.
        """
        self._cancelTimers()

    def abandon(self) -> None:
        """
        Tell who waits for a change that there is no session any more.
        """
        changes, self._changes = self._changes, []
        for change in changes:
            if change.isPending:
                change.done.errback(NoSuchSession())

    def _write(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._whenItsTurn())

    async def _whenItsTurn(self) -> None:
        live = self._live
        number = live.record.copy.number
        async with live.turn:
            # What was stored before it was moved is stored.
            if live.reason != "moved" or live.record.number < number:
                await self.inTurn()

    async def inTurn(self) -> None:
        """
        Store what was changed until now.  To be called in the session's turn.
        """
        live = self._live
        try:
            await self._store()
        except (NoSuchSession, SessionReplaced):
            raise
        except Exception:
            # Also what a framework or a store should not raise: whoever
            # waits for this to be stored must hear of it.
            self._retryLater()
            live.audience.failed(Failure())
            # Who released it may have been told before that.
            live.dropIfIdle()
            raise
        self._retryDelay = 0.0
        self._cancel(self._retry)
        self._retry = None
        if live.created is not None and not live.isNew:
            live.settings.began(live)
        problem = live.record.problem
        live.tellStored()
        live.collect()
        if not self.isBusy and not live.audience.isInside:
            self._cancel(self._soon)
            self._soon = None
        live.dropIfIdle()
        if problem is not None:
            raise problem

    async def _store(self) -> None:
        live = self._live
        tries = 0
        live.record.refusal = None
        if live.isClosed and live.reason is None and not self.isBusy:
            # Nobody holds it any more, since all that was to be stored is.
            return
        live.checkAlive()
        if live.record.isInDoubt:
            await self._learn(await self._load())
        live.takeOver()
        while (attempt := self._prepare()) is not None:
            try:
                if await self._isStored(attempt, tries):
                    return
                live.checkAlive()
            except Exception as error:
                attempt.fail(error)
                raise
            self._changes[:0] = attempt.pending
            tries += 1

    def _prepare(self) -> Attempt | None:
        live = self._live
        live.collect()
        changes = [change for change in self._changes if change.isPending]
        self._changes = []
        try:
            return live.record.prepare(changes, self._backend.now())
        except Exception as error:
            for change in changes:
                change.done.errback(error)
            raise

    async def _isStored(self, attempt: Attempt, tries: int) -> bool:
        """
        Try to store the session.

        @return: Whether that settled it; otherwise it is to be tried again.
        """
        live = self._live
        try:
            stored = await self._send(attempt)
        except SessionConflict as conflict:
            live.record.refused(attempt)
            await live.absorb(conflict.current)
            if tries >= AT_ONCE:
                # Whoever waits has to look again, or loses to those who write
                # all the time.
                await self._backend.sleep(backOff(tries))
                live.checkAlive()
                await self._learn(await self._load())
            return False
        except NoSuchSession:
            live.endGone()
            raise
        except StoreRefusal as error:
            live.record.refusedBy(error, attempt)
            return False
        except StoreTimeout as error:
            live.record.timedOut(attempt, error)
            await self._findOut(error)
            if not live.record.hasStored(attempt):
                if tries >= _PATIENCE:
                    raise
                await self._backend.sleep(backOff(tries))
            return False
        except (StoreFailure, UndecodableSession):
            live.record.refused(attempt)
            raise
        self._succeed(attempt, stored)
        return True

    async def _send(self, attempt: Attempt) -> Stored:
        live = self._live
        if attempt.old is None:
            return await self._create(attempt)
        if attempt.new != attempt.old:
            ttl = live.touching.ofWrite(attempt.ttl)
            return await live.asking.asked(
                self._backend.replace(live.key, attempt.old, attempt.new, ttl)
            )
        current = await self._load()
        if current is None:
            raise NoSuchSession
        if current.raw != attempt.old:
            raise SessionConflict(current)
        return current

    def _load(self) -> Deferred[Stored | None]:
        live = self._live
        return live.asking.asked(self._backend.load(live.key))

    async def _create(self, attempt: Attempt) -> Stored:
        live = self._live
        live.reading.watch()
        ttl = live.touching.ofNew(attempt.ttl)
        create = partial(self._backend.create, raw=attempt.new, ttl=ttl)
        while not await live.asking.asked(create(live.key)):
            live.checkAlive()
            live.rename()
        expires = None if isinstance(ttl, Lifetime) else self._backend.now() + ttl
        return Stored(attempt.new, expires)

    async def _findOut(self, error: StoreTimeout) -> None:
        """
        Ask the store about an attempt that it did not answer.
        """
        try:
            current = await self._load()
        except StoreFailure:
            raise error from None
        await self._learn(current)

    async def _learn(self, current: Stored | None) -> None:
        """
        Take notice of what is stored after an attempt that is in doubt.
        """
        if current is None and self._live.isNew:
            self._live.record.neverStored()
        else:
            await self._live.absorb(current)

    def _succeed(self, attempt: Attempt, stored: Stored) -> None:
        live = self._live
        live.collect()
        changed = live.record.landed(attempt, stored)
        authors = {change.author for change, _ in attempt.results}
        live.audience.changed(changed, authors.pop() if len(authors) == 1 else None)
        live.expiresAt(stored.expires)
        live.reading.expectNothing()
        attempt.succeed()

    def _retryLater(self) -> None:
        if not self._live.isClosed and self._retry is None:
            first, most = _RETRY
            self._retryDelay = min(most, max(first, self._retryDelay * 2))
            delay = self._retryDelay * _uniform(0.8, 1.0)
            self._retry = self._backend.later(delay, self._timeToSave)


def backOff(tries: int) -> float:
    """
    How many seconds to wait so that those who disturb each other soon do not.
    """
    first, most = _JITTER
    return _uniform(0.0, min(most, first * 2.0 ** min(tries, 10)))
