# -*- test-case-name: tests.manager.test_manager -*-
"""
Storing the changes of one live session: one write at a time, each with all
that was changed until it begins.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import backOff
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
from txsessionsock.session import Change, WriteAttempt

from .expiry import Expiry
from .live import Live
from .reading import Reading
from .repeats import Repeats
from .rounds import Rounds
from .sight import Step


__all__ = ["TRIES_WITHOUT_WAITING", "Saving", "afterConflict", "whileStopping"]

_RETRY: Final = (1.0, 10.0, 0.2)
"""
After how many seconds a write that failed is tried again, at first and in the
long run, and which share of them chance takes off.
"""

_STOPPING: Final = (1.0, 2.0, 0.2)
"""
The same while the process ends: it has no time to wait for long.
"""

_CONFLICT: Final = (0.002, 0.1, 1.0)
"""
The same after a conflict.
"""

TRIES_WITHOUT_WAITING: Final = 3
"""
How often to try again without waiting, on what was found instead.
"""

_TRIES_UNTOLD: Final = 1
"""
After how many tries other nodes are told, who let this one go first then.
"""

_UNANSWERED: Final = 2
"""
How often to try again at once what the store did not do nor answer.
"""

_SOONEST: Final = 0.25
"""
After how many seconds at the soonest to see to what other nodes wrote.
"""


def afterConflict(tries: int) -> float:
    """
    How many seconds to wait so that those who disturb each other soon do not.
    """
    first, most, jitter = _CONFLICT
    return backOff(first, most, tries, jitter)


def whileStopping(tries: int) -> float:
    """
    How many seconds to wait until a write that failed is tried again, while the
    process ends.
    """
    first, most, jitter = _STOPPING
    return backOff(first, most, tries, jitter)


# The names of timers.
_SOON: Final = "soon"
_TURN_END: Final = "end of turn"
_RETRY_WRITE: Final = "retry"
_SILENCE: Final = "silence"


class Saving(Rounds):
    """
    The writing side of a live session.  Each round is a write.

    @ivar repeats: Its handlers that may run again; L{None} if there were none yet.

    @ivar took: How many seconds the last write took, and C{inARow}, how many there were
        since others wrote.
    """

    _log = Logger()

    def __init__(self, live: Live, reading: Reading, expiry: Expiry) -> None:
        super().__init__()
        self._failures = 0
        # Those that wait for a write; L{None} if none does.
        self._changes: list[Change] | None = None
        self.repeats: Repeats | None = None
        self.took = 0.0
        self._inARow = 0
        self._last = b""
        self._live = live
        self._timers = live.timers
        self._reading = reading
        self._expiry = expiry
        self._storage = live.storage

    @property
    def isBusy(self) -> bool:
        """
        Whether there is something to store, or to find out about what is.
        """
        record = self._live.record
        return record.unsaved or record.isInDoubt or bool(self._changes)

    @property
    def inARow(self) -> int:
        stored = self._live.record.stored
        isOurs = stored is not None and stored.raw == self._last
        return self._inARow if isOurs else 0

    @property
    def isFailing(self) -> bool:
        """
        Whether the last write failed.
        """
        return self._timers.isRunning(_RETRY_WRITE)

    def add(self, change: Change) -> None:
        """
        Make a change in the session's turn to write.
        """
        try:
            self._live.checkAlive()
        except SessionError:
            change.fail(None)
            return
        if self._changes is None:
            self._changes = []
        if change not in self._changes:
            self._changes.append(change)
        self.inBackground()

    def save(self) -> Deferred[None]:
        """
        Store what was changed until now.
        """
        try:
            self._live.checkAlive()
        except SessionError:
            return fail()
        self._live.collect()
        if not self.isBusy:
            # Whoever waited for an update goes on before all are told that an
            # increment was given up.
            problem = self._live.record.problem
            return fail(problem) if isinstance(problem, StoreTimeout) else succeed(None)
        saved = self.fromNow()
        return saved.addCallback(self._checkKnown, self._live.givenUp)

    def _checkKnown(self, _: None, givenUp: int) -> None:
        # A write that waited for its turn takes along what is changed meanwhile.
        # If that is given up, the next write, which was to store it, finds nothing
        # to store.
        if self._live.givenUp > givenUp:
            raise StoreTimeout("nobody knows whether it was stored")

    def _saveKnown(self) -> Deferred[None]:
        """
        Store what was changed until now.  If there is something to store, the
        write looks for the rest.
        """
        return self.save() if self._mustLook else self.fromNow()

    @property
    def _mustLook(self) -> bool:
        """
        Whether the write looks for changes too late, or there may be none.
        """
        live = self._live
        if not self.isBusy:
            return True
        # The write waits for the store first: for the answer to another write, or
        # to find out what became of it.  In an outage, the other holders would
        # hear of a change only when that is over.
        waits = live.isTurnTaken or live.record.isInDoubt
        return waits and live.mayBeChanged

    def inBackground(self) -> None:
        """
        Store what was changed until now.  Those who hold the session are told
        what becomes of it.
        """
        wasSoon = self._timers.isRunning(_SOON)
        self._stopTimers()
        self._await(self.fromNow())
        if wasSoon:
            self._lookAgain()

    def _await(self, saved: Deferred[None]) -> None:
        self._live.asking.limit(saved).addErrback(self._told)

    def _told(self, failure: Failure) -> None:
        if failure.check(StoreTimeout):
            # What became of it may be found out only later.
            self._live.holders.failed(failure)
        elif not failure.check(SessionError):
            self._storage.failed(self._log, "a session could not be stored", failure)

    def soon(self) -> None:
        """
        Store what was changed until now, at the latest after a while.
        """
        if not self._timers.isRunning(_SOON):
            interval = self._live.policy.saveInterval
            self._timers.start(_SOON, interval, self._saveWithOthers)

    def atEndOfTurn(self) -> None:
        """
        Store what was changed, when the reactor is done with what it does.
        """
        if not self._timers.isRunning(_TURN_END):
            self._timers.start(_TURN_END, 0, self._timeToSave)

    def _saveWithOthers(self) -> None:
        """
        It is time to save, perhaps for thousands of sessions in this turn of the
        reactor.  Those who send messages are to have their turn between them.
        """
        self._live.upkeep.inSlice(self._timeToSave)

    def _timeToSave(self) -> None:
        self._stopTimers()
        self._await(self._saveKnown())
        self._lookAgain()

    def _lookAgain(self) -> None:
        """
        What a handler that waits changes is noticed only by looking.
        """
        if self._live.holders.isInside and not self._live.isClosed:
            self.soon()

    def _stopTimers(self) -> None:
        self._timers.stop(_SOON, _TURN_END, _RETRY_WRITE)

    def repair(self) -> None:
        """
        If somebody overwrote something, store it again when the reactor is done
        with what it does.
        """
        if self._live.record.isRepairing:
            self.atEndOfTurn()
        self._listen()

    def _listen(self) -> None:
        """
        If somebody overwrote what other nodes wrote, see whether they see to it.
        """
        due = self._live.record.journal.silent()
        if due is not None and not self._timers.isRunning(_SILENCE):
            delay = max(_SOONEST, due - self._storage.now())
            self._timers.start(_SILENCE, delay, self.inBackground)

    def stop(self) -> None:
        """
        Store nothing more.
        """
        self._stopTimers()
        self._timers.stop(_SILENCE)

    def abandon(self) -> None:
        """
        The session ended: fail all changes that wait to be stored.
        """
        changes, self._changes = self._changes, None
        for change in changes or ():
            if change.isPending and change is not self.repeats:
                change.fail(NoSuchSession())
        if self.repeats is not None:
            self.repeats.abandon()

    def round(self) -> Deferred[None]:
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
            # Also what a framework or a store should not raise: those who wait
            # for the write must hear of it.
            self._retryLater()
            live.holders.failed(Failure())
            # A holder may have released the session during the write: it was not
            # let go of then.
            live.upkeep.dropIfIdle()
            raise
        self._failures = 0
        self._timers.stop(_RETRY_WRITE)
        if live.created is not None and not live.isNew:
            live.upkeep.firstStored()
        problem = live.record.problem
        live.tellStored()
        if live.record.copy.isTouched:
            # A key that was set while the store answered has a timer running.
            # It must be known as a change before that timer is stopped, or the
            # session let go of.
            live.collect()
        if not self.isBusy and not live.holders.isInside:
            self._timers.stop(_SOON)
        live.upkeep.dropIfIdle()
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
        await self._timeToRun()
        if live.mayBeChanged:
            live.collect()
        live.takeOver()
        self._listen()
        while (attempt := self._prepare()) is not None:
            try:
                if await self._isStored(attempt, tries):
                    return
                live.checkAlive()
            except Exception as error:
                attempt.fail(error)
                raise
            if attempt.pending:
                self._changes = [*attempt.pending, *(self._changes or ())]
            tries += 1
            live.collect()

    async def _timeToRun(self) -> None:
        """
        Handlers that may run again run when their session has time for handlers: not
        all in the turn of the reactor in which a store answers hundreds of sessions.
        """
        if self.repeats is not None and self.repeats in (self._changes or ()):
            slice = self._live.upkeep.slice()
            if slice is not None:
                await slice
                self._live.checkAlive()

    def _prepare(self) -> WriteAttempt | None:
        live = self._live
        # Those who run again may wait for their first time, too.
        unique = dict.fromkeys(self._changes or ())
        changes = [change for change in unique if change.isPending]
        self._changes = None
        try:
            return live.record.prepare(changes, self._storage.now())
        except Exception as error:
            for change in changes:
                change.fail(error)
            raise

    async def _isStored(self, attempt: WriteAttempt, tries: int) -> bool:
        """
        Try to store the session.

        @return: Whether that settled it; otherwise it is to be tried again.
        """
        live, sight = self._live, self._reading.sight
        reports, asked = sight.reports, self._storage.now()
        try:
            stored = await self._send(attempt)
        except SessionConflict as conflict:
            self._storage.tally.conflicts += 1
            live.tell("conflict", "somebody else has stored it; it is merged")
            live.record.refused(attempt)
            await live.absorb(conflict.current)
            sight.heeded(reports)
            attempt.refused(conflict)
            if tries >= _TRIES_UNTOLD and self.repeats is not None:
                self._expiry.announce()
            if tries >= TRIES_WITHOUT_WAITING:
                # After sleeping, load again.  Otherwise what we know is stale, and
                # a busy writer makes every retry fail.
                await self._storage.sleep(afterConflict(tries))
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
                if tries >= _UNANSWERED:
                    raise
                await self._storage.sleep(afterConflict(tries))
            return False
        except (StoreFailure, UndecodableSession):
            live.record.refused(attempt)
            raise
        # All that was reported before it was asked is in what was replaced.
        sight.heeded(reports)
        self.took = self._storage.now() - asked
        self._inARow = self.inARow + 1
        self._last = attempt.new
        self._succeed(attempt, stored)
        return True

    async def _send(self, attempt: WriteAttempt) -> Stored:
        live = self._live
        live.counts.writes += 1
        try:
            if attempt.old is None:
                return await self._create(attempt)
            if attempt.new != attempt.old:
                ttl = self._expiry.ofWrite(attempt.ttl)
                return await live.asking.asked(
                    self._storage.replace(live.key, attempt.old, attempt.new, ttl)
                )
            if await self._isUnchanged(attempt):
                return Stored(attempt.old, live.expires)
            current = await self._load()
        finally:
            live.counts.writes -= 1
        if current is None:
            raise NoSuchSession
        if current.raw != attempt.old:
            raise SessionConflict(current)
        return current

    async def _isUnchanged(self, attempt: WriteAttempt) -> bool:
        """
        Whether the store tells what others do, and told nothing, when changes were
        made that changed nothing.
        """
        isSure = any(change.isSure for change, _ in attempt.results)
        if not isSure and self._reading.sight.forMessage() is Step.NOTHING:
            return True
        return await self._reading.isUnchanged()

    def _load(self) -> Deferred[Stored | None]:
        live = self._live
        return live.asking.asked(self._storage.load(live.key))

    async def _create(self, attempt: WriteAttempt) -> Stored:
        live = self._live
        self._reading.watch()
        ttl = self._expiry.ofNew(attempt.ttl)
        create = partial(self._storage.create, raw=attempt.new, ttl=ttl)
        while not await live.asking.asked(create(live.key)):
            live.checkAlive()
            live.rename()
            self._reading.renamed()
        expires = None if isinstance(ttl, Lifetime) else self._storage.now() + ttl
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

    def _succeed(self, attempt: WriteAttempt, stored: Stored) -> None:
        live = self._live
        if attempt.adds:
            live.collect()
        self._storage.tally.saves += 1
        if live.record.isRepairing:
            self._storage.tally.repairs += 1
            live.tell("repaired", "what somebody had overwritten is put back")
        changed = live.record.landed(attempt, stored)
        for author, keys in attempt.authored(changed):
            live.holders.changed(keys, author)
        live.expiresAt(stored.expires)
        self._reading.expectNothing()
        attempt.succeed()

    def _retryLater(self) -> None:
        if not self._live.isClosed and not self._timers.isRunning(_RETRY_WRITE):
            first, most, jitter = _RETRY
            delay = backOff(first, most, self._failures, jitter)
            self._failures += 1
            self._timers.start(_RETRY_WRITE, delay, self._timeToSave)
