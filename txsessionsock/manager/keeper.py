# -*- test-case-name: tests.test_manager -*-
"""
One live session: who holds it, what is known of it, how it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.interfaces import (
    Document,
    EndReason,
    NoSuchSession,
    SessionConflict,
    SessionError,
    SessionID,
    SessionReadOnly,
    SessionReplaced,
    Stored,
    StoreTimeout,
)
from txsessionsock.session import (
    Change,
    Emptied,
    Holder,
    Journal,
    Record,
    Session,
    shortHash,
)

from .asking import Asking
from .expiry import Touching
from .guarding import Guarding
from .holders import Audience
from .policy import Settings
from .reading import Reading
from .saving import Saving
from .storage import Backend


__all__ = ["Live"]

_T = TypeVar("_T")


class Live:
    """
    A session that somebody in this process holds or is about to.

    It is read and written by one at a time, in C{turn}.  Nothing here decides
    when a handler runs; clients and pages do.
    """

    _log = Logger()

    record: Record
    session: Session
    expires: float | None = None
    created: float | None = None
    reason: EndReason | None = None
    isHandling = False

    def __init__(self, backend: Backend, settings: Settings, id: SessionID) -> None:
        self.id = id
        self.key = backend.framework.key(id)
        self.backend = backend
        self.settings = settings
        self.turn = DeferredLock()
        self.audience = Audience(backend.later, partial(settings.changed, self))
        self.opening = 0
        self.isLoaded = False
        self.isClosed = False
        self._toldNumber = 0
        self.guarding = Guarding(self)
        self.asking = Asking(backend)
        self.reading = Reading(self)
        self.saving = Saving(self)
        self.touching = Touching(self)

    def begin(self, document: Document) -> None:
        """
        Be a new session, which is stored when something is put into it.
        """
        self.created = self.backend.now()
        self._load(document)

    def _load(self, document: Document) -> None:
        settings, now = self.settings, self.backend.now()
        journal = Journal(
            settings.node,
            settings.repairWindow,
            now,
            settings.numbers,
            same=self.backend.framework.same,
            memory=settings.memory,
        )
        self.record = Record(self.backend.framework, document, journal, now)
        self.session = Session(self.id, self.record.copy, self)
        self.isLoaded = True

    def rename(self) -> None:
        """
        Take another id, because this one is taken.
        """
        self.reading.stop()
        self.id = self.session.id = self.backend.framework.newSessionID()
        self.key = self.backend.framework.key(self.id)
        self.reading.watch()

    @property
    def isRepairing(self) -> bool:
        """
        Whether something is to be stored that somebody overwrote.
        """
        return self.isLoaded and self.record.isRepairing

    @property
    def isNew(self) -> bool:
        return self.isLoaded and self.record.stored is None

    # Holders.

    @property
    def isHeld(self) -> bool:
        """
        Whether somebody has the session open, or is about to.
        """
        return bool(self.audience) or self.opening > 0

    def open(self, holder: Holder) -> Deferred[Session]:
        """
        Load the session, or make it fresh.
        """

        def opened(_: object) -> Session:
            self.opening -= 1
            self.checkAlive()
            self.audience.add(holder)
            return self.session

        def failed(failure: Failure) -> Failure:
            self.opening -= 1
            self.dropIfIdle()
            return failure

        self.opening += 1
        fresh = self.asking.inTime(self.reading.rounds.now())
        return fresh.addErrback(failed).addCallback(opened)

    def release(self, holder: Holder) -> Deferred[None]:
        """
        Hold the session no more.

        @return: A L{Deferred} that fires when everything is stored.
        """
        self.audience.remove(holder)
        if self.reason is not None:
            return succeed(None)

        def done(result: _T) -> _T:
            self.dropIfIdle()
            return result

        return self.save().addBoth(done)

    def dropIfIdle(self) -> None:
        """
        Be live no more, if there is nobody to be live for.
        """
        if self.isClosed or self.isHeld or self.guarding.isNeeded():
            return
        if self.isLoaded and self.saving.isBusy:
            if self.saving.isFailing and not self.settings.keeps(self):
                self.close()
            return
        self.close()

    def dropOverdue(self) -> bool:
        """
        Be live no more, if the session's time is up and nobody holds it.
        """
        if self.isHeld:
            return False
        self.settings.lost(self)
        self.close()
        return True

    # Handlers.

    def arrival(self) -> int:
        return self.reading.rounds.begun

    def fresh(self, arrival: int) -> Deferred[None] | None:
        if self.reason is not None:
            return fail(NoSuchSession())
        if self.isNew or (self.settings.isTracked and self.reading.isTrusted):
            return None
        fresh = self.reading.rounds.after(arrival)
        return None if fresh is None else self.asking.inTime(fresh)

    def visited(self, *, isFresh: bool) -> None:
        if self.reason is None and not self.isNew:
            self.touching.visited(isFresh=isFresh)

    def enter(self, holder: Holder) -> None:
        self.collect()
        self.audience.entered(holder)
        self.isHandling = True

    def goesOn(self, *, looks: bool) -> None:
        self.isHandling = False
        if looks and self.reason is None:
            self.saving.soon()

    def changing(self) -> None:
        if not self.isClosed:
            self.saving.soon()
        elif self.reason is None:
            self._log.warn(
                "session {session} was changed when nobody had it open any more:"
                " that is not stored",
                session=shortHash(self.id),
            )

    def leave(self, holder: Holder, *, wasSync: bool, saveNow: bool) -> int:
        self.isHandling = False
        self.collect(holder if wasSync else None)
        number = self.audience.left(holder)
        if self.reason is None and self.record.unsaved:
            if saveNow:
                # Handlers of the same turn share one write.
                self.saving.atEndOfTurn()
            else:
                self.saving.soon()
        return number

    def unsaved(self) -> int | None:
        if self.reason is not None:
            return None
        self.collect()
        if not self.record.unsaved:
            return None
        self.saving.atEndOfTurn()
        return self.record.copy.number

    def collect(self, author: Holder | None = None) -> None:
        """
        Look for changes, and tell those who hold the session.

        @param author: Who made them, if that is certain.
        """
        # Again, for what is changed by who is told, before it waits for something.
        copy = self.record.copy
        before, changed = copy.number, self.record.collect()
        while copy.number > before:
            author = author or self.audience.author()
            self.audience.did(author, copy.number)
            before = copy.number
            self.audience.changed(changed, author)
            author, changed = None, self.record.collect()

    # What the session offers.

    def identity(self) -> object:
        return self.backend.framework.identity(self.record.copy.data)

    def save(self) -> Deferred[None]:
        return self.asking.inTime(self.saving.now())

    def change(self, f: Callable[[dict[str, Any]], _T]) -> Deferred[_T]:
        if self.backend.framework.readOnly:
            return fail(SessionReadOnly())
        done: Deferred[_T] = Deferred()
        self.saving.add(Change(f, done, self.audience.author()))
        return self.asking.inTime(done)

    def reload(self) -> Deferred[None]:
        reading = Deferred.fromCoroutine(self.reading.read(always=True))
        return self.asking.inTime(reading)

    def touch(self) -> Deferred[None]:
        if self.reason is not None:
            return fail(NoSuchSession())
        if self.isNew:
            return succeed(None)
        return self.asking.inTime(self.touching.now())

    async def _destroy(self) -> None:
        if self.isNew and self.reason is None:
            # A write may be under way that stores it.
            async with self.turn:
                pass
        if self.reason is None and not (self.isNew and not self.record.isInDoubt):
            try:
                await self.asking.asked(self.backend.destroy(self.key))
            except StoreTimeout:
                self.reading.suspect()
                raise
        self.end("destroyed")

    def destroy(self) -> Deferred[None]:
        return self.asking.inTime(Deferred.fromCoroutine(self._destroy()))

    # What is stored, and how it ends.

    async def absorb(self, current: Stored | None) -> None:
        """
        Take notice of what is stored now.  To be called in the session's turn.

        @raise NoSuchSession: Nothing is, or only word that it was ended.

        @raise SessionReplaced: What is stored is somebody else's.

        @raise UndecodableSession: It cannot be understood.
        """
        while True:
            self.checkAlive()
            if current is None:
                self.endGone()
                raise NoSuchSession
            try:
                self._absorb(current)
                return
            except Emptied:
                current = await self._endEmptied(current)
            except NoSuchSession:
                self.endGone()
                raise
            except SessionReplaced:
                self.end("replaced")
                raise

    async def _endEmptied(self, emptied: Stored) -> Stored | None:
        """
        Delete what the web application would have deleted, if our stamp had
        not been in it.

        @return: What somebody stored meanwhile; L{None} if it is gone.
        """
        try:
            await self.asking.asked(self.backend.destroy(self.key, emptied.raw))
        except SessionConflict as conflict:
            return conflict.current
        return None

    def _absorb(self, current: Stored) -> None:
        now = self.backend.now()
        self.expiresAt(current.expires)
        if self.isLoaded:
            self.collect()
            if not self.reading.isTold and not self.record.isStored(current):
                self.record.journal.missed(now)
            self.audience.changed(self.record.absorb(current, now), None)
            if self.record.isRepairing:
                self.saving.atEndOfTurn()
            self.guarding.listen()
        else:
            self._load(self.backend.framework.loads(current.raw, now))
            self.record.stored = current

    def takeOver(self) -> None:
        """
        See to what nodes wrote that are dead.  To be called in the session's
        turn.
        """
        self.collect()
        self.audience.changed(self.record.takeOver(self.backend.now()), None)
        self.guarding.listen()

    def expiresAt(self, deadline: float | None) -> None:
        """
        Note when the session ends.
        """
        self.expires = deadline
        self.touching.moved()
        self.reading.expectEnd(deadline)

    def checkAlive(self) -> None:
        """
        @raise NoSuchSession: The session is over.

        @raise SessionError: Nobody holds it any more.
        """
        if self.reason is not None:
            raise NoSuchSession
        if self.isClosed:
            raise SessionError("nobody holds this session any more")

    def endGone(self) -> None:
        """
        The store has the session no more.
        """
        late = self.expires is not None and self.expires <= self.backend.now()
        self.end("expired" if late else "destroyed")

    def end(self, reason: EndReason) -> None:
        """
        The session is over: tell everybody who holds it, once.
        """
        tell = self._over(reason)
        tell()
        # Last, because handlers go on that wait for a change.
        self.saving.abandon()

    def retire(self, reason: EndReason) -> Callable[[], None]:
        """
        The session is over.

        @return: What tells everybody who holds it.
        """
        tell = self._over(reason)
        self.saving.abandon()
        return tell

    def _over(self, reason: EndReason) -> Callable[[], None]:
        tell = self.audience.dismiss(reason)
        if self.reason is None:
            self.reason = reason
            if not self.isClosed:
                self._stop()
        return tell

    def close(self) -> None:
        """
        Be live no more.
        """
        self._stop()
        self.saving.abandon()

    def _stop(self) -> None:
        self.isClosed = True
        self.guarding.stop()
        self.reading.stop()
        self.saving.stop()
        self.settings.gone(self)

    def tellStored(self) -> None:
        """
        Tell who holds the session what became of its changes.
        """
        reverted, self.record.reverted = self.record.reverted, []
        problem, self.record.problem = self.record.problem, None
        number, self._toldNumber = self._toldNumber, self.record.number
        self.audience.changed(reverted, None)
        if problem is not None:
            self.audience.failed(Failure(problem))
        if problem is not None or number < self.record.number:
            self.audience.stored(self.record.number)
