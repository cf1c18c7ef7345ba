# -*- test-case-name: tests.manager.test_manager -*-
"""
What this process knows of one session: its record, who holds it, when it ends
and how it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Protocol
from weakref import ref

from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure

from txsessionsock._alarms import Timers
from txsessionsock._events import Event
from txsessionsock.interfaces import (
    Document,
    EndReason,
    NoSuchSession,
    SessionConflict,
    SessionError,
    SessionID,
    SessionReplaced,
    Stored,
    StoreTimeout,
)
from txsessionsock.session import (
    Emptied,
    Holder,
    Journal,
    Keeper,
    Record,
    Session,
    shortHash,
)

from .asking import Asking
from .holders import Holders
from .policy import Policy
from .statistics import Counts
from .storage import Storage


__all__ = ["Live", "Upkeep"]


class Upkeep(Keeper, Protocol):
    """
    What a L{Live} needs of the one who reads it, stores it and lets go of it.
    """

    @property
    def isTold(self) -> bool:
        """
        Whether the store tells what others do to the session.
        """

    def keysChanged(self) -> None:
        """
        Keys of the session have other values.
        """

    def guardedFor(self) -> float:
        """
        For how many seconds a write is to be repaired if somebody overwrites it.
        """

    def firstStored(self) -> None:
        """
        A session was stored that began here.
        """

    def dropIfIdle(self) -> None:
        """
        All is stored, or failed: let go of the session, if nobody holds it.
        """

    def dropOverdue(self) -> bool:
        """
        Let go of the session if nobody holds it, because its time is up and the
        store does not answer.

        @return: Whether that was done.
        """

    def isNews(self, warning: str) -> bool:
        """
        Whether a warning was not given yet.
        """

    def deadlineMoved(self, deadline: float | None) -> None:
        """
        The session ends at another time, as far as is known.
        """

    def repairWanted(self) -> None:
        """
        Somebody overwrote something: this node is to store it again, or to see
        whether the node does that wrote it.
        """

    def ending(self) -> None:
        """
        The session is about to end: its holders will be told nothing else.
        """

    def closed(self) -> None:
        """
        The session is live no more: stop all timers.
        """

    def giveUpChanges(self) -> None:
        """
        Fail the changes that still wait for a write.  There will be none.
        """

    def repeatLater(self) -> None:
        """
        Have handlers run that may run again, when the session has time for handlers.
        """

    def slice(self) -> Deferred[None] | None:
        """
        Wait for the time that handlers of this session have.

        @return: L{None} if it is now.
        """

    def inSlice(self, work: Callable[[], object]) -> None:
        """
        Call something on this session's account: now, if there is time in this turn of
        the reactor, or in a later one.
        """


def _none() -> None:
    return None


class _Nobody:
    """
    Takes the place of who kept a session that is closed, when nobody has the
    session any more.
    """

    isTold = False

    def keysChanged(self) -> None:
        pass

    def guardedFor(self) -> float:
        return 0.0

    def firstStored(self) -> None:
        pass

    def dropIfIdle(self) -> None:
        pass

    def dropOverdue(self) -> bool:
        return True

    def isNews(self, warning: str) -> bool:
        return False

    def deadlineMoved(self, deadline: float | None) -> None:
        pass

    def repairWanted(self) -> None:
        pass

    def ending(self) -> None:
        pass

    def closed(self) -> None:
        pass

    def giveUpChanges(self) -> None:
        pass

    def repeatLater(self) -> None:
        pass

    def slice(self) -> None:
        return None

    def inSlice(self, work: Callable[[], object]) -> None:
        pass


_NOBODY = _Nobody()


class _Live(Protocol):
    def turnEnded(self, turn: DeferredLock) -> None: ...


class Turn(DeferredLock):
    """
    The turn to read or to write a session: there is one while somebody has it.

    When the garbage collector takes a manager that waits for its store, it ends those
    who wait here in any order: then nobody is to be next, who may have ended before.
    """

    def __init__(self, live: _Live) -> None:
        super().__init__()
        self._live = live

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Deferred[Literal[False]]:
        if kind is GeneratorExit:
            self.waiting.clear()
        return super().__aexit__(kind, error, traceback)

    def release(self) -> None:
        super().release()
        if not self.locked:
            # Who had it next may have released it by now, and somebody has another.
            self._live.turnEnded(self)


class Live:
    """
    The state of a session that somebody in this process holds or is about to.

    The session is read and written by one at a time, in C{turn}.

    @ivar key: Where the store has the session.

    @ivar timers: Those of all who read it, store it and let go of it.

    @ivar record: What is stored, and what was changed since; once the session
        is loaded.

    @ivar expires: When the session ends, in seconds since the epoch, as the
        store last said; L{None} for never.

    @ivar created: When it began, if this process began it.

    @ivar reason: Why it ended; L{None} while it has not.

    @ivar isClosed: Whether it is live no more: it ended, or nobody holds it.

    @ivar overwrittenUntil: Until when what somebody overwrote may be overwritten
        once more, by who read the session before it was put back; in seconds since
        the epoch.

    @ivar givenUp: How often changes were given up because nobody knows whether
        they are stored.
    """

    record: Record
    expires: float | None = None
    created: float | None = None
    reason: EndReason | None = None
    isLoaded = False
    isClosed = False
    overwrittenUntil = 0.0
    givenUp = 0

    def __init__(
        self,
        storage: Storage,
        policy: Policy,
        counts: Counts,
        id: SessionID,
        upkeep: Upkeep,
    ) -> None:
        self.counts = counts
        self.storage = storage
        self.policy = policy
        self.id = id
        self.key = storage.framework.key(id)
        self._turn: Turn | None = None
        self.asking = Asking(storage)
        self.timers = Timers(storage.reactor)
        # The session has its keeper, which has this.  Were there a way back, a
        # session would not be freed when it is closed.  Whoever calls meanwhile
        # keeps one of them, and so does the registry.  All who need the keeper
        # go this one way: there are many sessions.
        self._findUpkeep = ref(upkeep)
        self.holders = Holders(storage.later, self._findUpkeep, counts)
        self._findSession: Callable[[], Session | None] = _none
        self._toldNumber = 0

    @property
    def turn(self) -> DeferredLock:
        """
        Who has it may read the session, or write it.
        """
        if self._turn is None:
            self._turn = Turn(self)
        return self._turn

    @property
    def isTurnTaken(self) -> bool:
        """
        Whether somebody has its L{turn}.
        """
        return self._turn is not None and bool(self._turn.locked)

    def turnEnded(self, turn: DeferredLock) -> None:
        """
        Nobody has this L{turn}, nor waits for it.
        """
        if self._turn is turn:
            self._turn = None

    @property
    def upkeep(self) -> Upkeep | _Nobody:
        """
        Who reads it, stores it and lets go of it.
        """
        return self._findUpkeep() or _NOBODY

    @property
    def session(self) -> Session:
        """
        The session as all have it who hold it; once it is loaded.
        """
        session = self._findSession()
        if session is None:
            keeper = self._findUpkeep()
            assert keeper is not None
            session = Session(self.id, self.record.copy, keeper)
            self._findSession = ref(session)
        return session

    @property
    def isNew(self) -> bool:
        """
        Whether the session was never stored.
        """
        return self.isLoaded and self.record.stored is None

    @property
    def isRepairing(self) -> bool:
        """
        Whether something is to be stored that somebody overwrote.
        """
        return self.isLoaded and self.record.isRepairing

    @property
    def isRemembering(self) -> bool:
        """
        Whether something is remembered of how the session was, for repairs.
        """
        return self.isLoaded and self.record.journal.isRemembering

    @property
    def repairUntil(self) -> float:
        """
        Until when an overwritten write of this node would be repaired, in
        seconds since the epoch; in the past if none would be.
        """
        return self.record.journal.until() if self.isLoaded else 0.0

    def startNew(self, document: Document) -> None:
        """
        Be a new session, which is stored when something is put into it.
        """
        self.created = self.storage.now()
        self._load(document)

    def _load(self, document: Document) -> None:
        policy, now = self.policy, self.storage.now()
        journal = Journal(
            policy.node,
            policy.repairWindow,
            now,
            policy.numbers,
            same=self.storage.framework.same,
            memory=policy.memory,
        )
        self.record = Record(self.storage.framework, document, journal, now)
        self._findSession = _none
        self.isLoaded = True

    def rename(self) -> None:
        """
        Take another id, because this one is taken.
        """
        session, self.id = self.session, self.storage.framework.newSessionID()
        session.id = self.id
        self.key = self.storage.framework.key(self.id)

    # What was changed here.

    @property
    def mayBeChanged(self) -> bool:
        """
        Whether somebody may have changed something since it was last looked for.
        To change something, one asks the session for it first, with one exception: a
        handler that waited may go on with a list that it got before.  Nobody else may:
        outside of handlers one calls C{save} then.
        """
        return self.record.copy.isTouched or self.holders.isInside

    def collect(self, author: Holder | None = None) -> None:
        """
        Look for changes, and tell those who hold the session.

        @param author: Who made them, if that is certain.
        """
        copy = self.record.copy
        isChanged = bool(copy.suspects)
        while isChanged:
            before, changed = copy.number, self.record.collect()
            isChanged = copy.number > before
            if isChanged:
                if not self.isClosed:
                    self.counts.unsaved.add(self)
                author = author or self.holders.author()
                self.holders.did(author, copy.number)
                self.holders.changed(changed, author)
                author = None
                # A holder that was just told may have changed the session, and
                # wait for something now: then look again.
                isChanged = copy.isTouched

    def _count(self) -> None:
        if self.record.unsaved and not self.isClosed:
            self.counts.unsaved.add(self)
        else:
            self.counts.unsaved.discard(self)

    def tellStored(self) -> None:
        """
        Tell those who hold the session what became of its changes.
        """
        self._count()
        reverted, self.record.reverted = self.record.reverted, ()
        problem, self.record.problem = self.record.problem, None
        number, self._toldNumber = self._toldNumber, self.record.number
        self.holders.changed(reverted, None)
        if problem is not None:
            self.givenUp += isinstance(problem, StoreTimeout)
            self.holders.gaveUp(Failure(problem), number)
        if problem is not None or number < self.record.number:
            self.holders.stored(self.record.number)

    # What is stored.

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
            await self.asking.asked(self.storage.destroy(self.key, emptied.raw))
        except SessionConflict as conflict:
            return conflict.current
        return None

    def _absorb(self, current: Stored) -> None:
        now = self.storage.now()
        self.expiresAt(current.expires)
        if self.isLoaded:
            if not self.record.isSettled(current):
                self.collect()
            isTold = self.upkeep.isTold
            # What nobody told may have been done since the question before.
            asking = self.asking
            since = asking.since if isTold else asking.sinceLastButOne
            if not isTold and not self.record.isStored(current):
                self.record.journal.missed(now, since)
            changed = self.record.absorb(current, now, since)
            self._noteRepair(now)
            self._count()
            self.holders.changed(changed, None)
            self.upkeep.repairWanted()
        else:
            self._load(self.storage.framework.loads(current.raw, now))
            self.record.stored = current

    def takeOver(self) -> None:
        """
        See to what nodes wrote that are dead.  To be called in the session's
        turn, when changes were collected.
        """
        now = self.storage.now()
        changed = self.record.takeOver(now)
        if self.record.isRepairing:
            self._noteRepair(now)
            self._count()
        self.holders.changed(changed, None)

    def _noteRepair(self, now: float) -> None:
        if self.record.isRepairing:
            self.overwrittenUntil = now + self.policy.repairWindow

    def expiresAt(self, deadline: float | None) -> None:
        """
        Note when the session ends.
        """
        self.expires = deadline
        self.upkeep.deadlineMoved(deadline)

    def tell(self, event: Event, line: str, reason: str | None = None) -> None:
        """
        Log what happened to the session, for programs that read the log.
        """
        fields: dict[str, Any] = {} if reason is None else {"reason": reason}
        short = shortHash(self.id)
        self.storage.events.tell(
            event, f"session {short}: {line}", reason, session=short, **fields
        )

    # How it ends.

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
        late = self.expires is not None and self.expires <= self.storage.now()
        self.end("expired" if late else "destroyed")

    def end(self, reason: EndReason) -> None:
        """
        The session is over: tell everybody who holds it, once.
        """
        tell = self._end(reason)
        tell()
        # Last: a handler that waits for a change goes on at once, and is to find
        # that its client was told.
        self.upkeep.giveUpChanges()

    def retire(self, reason: EndReason) -> Callable[[], None]:
        """
        The session is over.

        @return: What tells everybody who holds it.
        """
        tell = self._end(reason)
        self.upkeep.giveUpChanges()
        return tell

    def _end(self, reason: EndReason) -> Callable[[], None]:
        self.upkeep.ending()
        tell = self.holders.dismiss(reason)
        if self.reason is None:
            self.reason = reason
            if self.isLoaded:
                # One that somebody only asked for was none.
                self.storage.tally.ends[reason] += 1
                self.tell("destroyed", f"it is over ({reason})", reason)
            if not self.isClosed:
                self._close()
        return tell

    def close(self) -> None:
        """
        Be live no more, though the session goes on.
        """
        self._close()
        self.upkeep.giveUpChanges()

    def _close(self) -> None:
        self.isClosed = True
        self.counts.unsaved.discard(self)
        if self.isLoaded:
            # What it would do again leads to those who did it, and back here.
            self.record.journal.end()
        self.upkeep.closed()
