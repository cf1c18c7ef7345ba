# -*- test-case-name: tests.manager.test_manager_fresh -*-
"""
Keeping one live session fresh: reading it, and listening to its store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import backOff, isFired
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionError,
    StoreFailure,
    UndecodableSession,
)

from .live import Live
from .rounds import Rounds
from .sight import Sight, Step


__all__ = ["ASK_AGAIN", "Reading"]

ASK_AGAIN: Final = (1.0, 10.0, 0.2)
"""
After how many seconds to ask a store again that failed, at first and in the
long run, and which share of them chance takes off.
"""

_GUARDED: Final = 0.25
"""
After how many seconds at the soonest to see whether something was overwritten.
"""


_RECHECK: Final = "recheck"

_T = TypeVar("_T")


class Reading(Rounds):
    """
    The reading side of a live session.  Each round makes the session fresh for all
    who came before it began.

    @ivar sight: What is known of how fresh the session is.

    @ivar isRechecking: Whether the store is asked now, and not for a message.

    @ivar toldAt: When somebody else last wrote it, as far as the store told.
    """

    _log = Logger()

    isRechecking = False
    _toldUndecodable = False
    _failures = 0
    toldAt = 0.0
    _fence: Deferred[None] | None = None
    _stopWatching: Callable[[], None] | None = None
    # The alarm that is to come; 0 if none is.
    _forgetting = 0

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._storage = live.storage
        self.sight = Sight(
            isWatchable=self._storage.isWatchable, isTracked=live.policy.isTracked
        )

    @property
    def isTold(self) -> bool:
        """
        Whether the store tells what others do.
        """
        return self.sight.isSeeing

    # What messages need.

    def arrival(self) -> int:
        """
        Note that a message arrived.

        @return: What L{fresh} wants to know about it.
        """
        return self.begun

    def isFresh(self, arrival: float) -> bool:
        """
        Whether the session is as fresh as a message needs it.
        """
        return self.sight.isFresh or self.succeeded > arrival

    def fresh(self, arrival: int) -> Deferred[None] | None:
        """
        Make the session as fresh as a message needs it.

        @return: L{None} if it is.
        """
        if self._live.reason is not None:
            return fail(NoSuchSession())
        if self._live.isNew or self.sight.forMessage() is Step.NOTHING:
            return None
        fresh = self.after(arrival)
        return None if fresh is None else self._live.asking.limit(fresh)

    def opened(self) -> Deferred[None]:
        """
        Load the session, or make it fresh, for somebody who opens it.
        """
        return self._live.asking.limit(self.fromNow())

    def startLater(self, start: Callable[[], None]) -> bool:
        self._storage.later(0, start)
        return True

    def round(self) -> Deferred[None] | None:
        self._live.checkAlive()
        if not self._storage.isWatchable:
            return Deferred.fromCoroutine(self.read(always=True))
        self.watch()
        return self._readBehindFence()

    def _readBehindFence(self) -> Deferred[None] | None:
        """
        Have the store report all that others did, and read it.

        @return: L{None} if it is nothing.
        """
        fence = self._askFence()
        if isFired(fence) and not isinstance(fence.result, Failure):
            return self._behind(None)
        # Not a coroutine for each message, of which most find nothing to read.
        passed: Deferred[None] = Deferred()

        def answered(result: Failure | None) -> None:
            reading = self._behind(result)
            if reading is None:
                passed.callback(None)
            else:
                reading.chainDeferred(passed)

        self._answerOf(fence).addBoth(answered)
        return passed

    def _behind(self, fenced: Failure | None) -> Deferred[None] | None:
        """
        A fence was answered, or was not: read what others did, if it is anything.
        """
        live, sight = self._live, self.sight
        try:
            self._noteFence(fenced)
        except Exception:
            return fail()
        if sight.afterFence(isLoaded=live.isLoaded) is Step.NOTHING:
            return None
        always = not sight.isSeeing or not live.isLoaded
        return Deferred.fromCoroutine(self.read(always=always))

    def _noteFence(self, fenced: Failure | None) -> None:
        """
        @raise Exception: What is no failure of the store.
        """
        if fenced is None:
            self.sight.fenced()
            self._live.asking.isAnswered()
        else:
            fenced.trap(StoreFailure)
            self.sight.lost()

    async def read(self, *, always: bool) -> None:
        """
        Read the session in its turn, and merge what others wrote.

        @param always: Also if the store reported no change.

        @raise NoSuchSession: It is gone, or was over already.
        """
        live = self._live
        async with live.turn:
            live.checkAlive()
            reports = self.sight.reports
            if live.isNew:
                self.sight.heeded(reports)
            if live.isNew or not (always or self.sight.isStale):
                return
            answer = live.asking.asked(self._storage.load(live.key))
            await live.absorb(await answer)
            self.sight.heeded(reports)
            self._failures = 0
            self._toldUndecodable = False
            live.tellStored()
        self.expectNothing()
        if self.sight.isStale:
            # The store reported a change while it answered, perhaps about what
            # it had when it was asked.
            self._recheck()

    async def isUnchanged(self) -> bool:
        """
        Ask whether the store has reported all that others did, and it is nothing.  To
        be called in the session's turn.
        """
        if self.sight.isStale or not self.sight.isSeeing:
            return False
        await self._answerOf(self._askFence()).addBoth(self._noteFence)
        return self.sight.isSeeing and not self.sight.isStale

    # What the store reports.

    def watch(self) -> None:
        """
        Begin to listen to what others do to the session, if the store tells.
        """
        if self._stopWatching is None and self._storage.isWatchable:
            self._stopWatching = self._storage.watch(self._live.key, self._changed)
            self.sight.watched()
            self._live.counts.watchedKeys += 1

    def _unwatch(self) -> None:
        stopWatching, self._stopWatching = self._stopWatching, None
        if stopWatching is not None:
            stopWatching()
            self._live.counts.watchedKeys -= 1

    def renamed(self) -> None:
        """
        The session has another key: listen to that.
        """
        self._unwatch()
        self.watch()

    def _changed(self, key: str) -> None:
        self.suspect()

    def suspect(self) -> None:
        """
        Trust what is known of the session no more, and look again.
        """
        self.sight.reported()
        self.toldAt = self._storage.now()
        # All sessions may be suspect together, when a store was away.
        self._storage.pace.do(self._recheck)

    def _recheck(self) -> None:
        if self.isRechecking or not self._live.isLoaded or self._live.isClosed:
            return
        self.isRechecking = True
        step = self.sight.forReport()
        if step is Step.FENCE:
            reading = self._readBehindFence()
        else:
            if self.sight.isSeeing:
                self._look()
            always = not self._storage.isWatchable
            reading = Deferred.fromCoroutine(self.read(always=always))
        (reading or succeed(None)).addBoth(self._rechecked)

    def _rechecked(self, result: object) -> None:
        self.isRechecking = False
        if not isinstance(result, Failure):
            if self.sight.isStale:
                self._recheck()
        elif result.check(StoreFailure):
            self._recheckAfter(backOff(*ASK_AGAIN[:2], self._failures, ASK_AGAIN[2]))
            self._failures += 1
        elif result.check(UndecodableSession):
            if not self._toldUndecodable:
                self._toldUndecodable = True
                self._live.holders.failed(result)
            self.expectNothing()
        elif not result.check(SessionError):
            self._storage.failed(self._log, "a session could not be read", result)
        # What a write left in doubt may be found stored, and nobody may hold the
        # session since.
        self._live.upkeep.dropIfIdle()

    def _look(self) -> None:
        """
        Find out whether the store sees changes at all.  It may have reported
        this one because it no longer does.
        """

        def looked(result: object) -> None:
            if isinstance(result, Failure):
                self.sight.lost()
            else:
                self.sight.fenced()
            self.expectNothing()

        if self._fence is None:
            self._answerOf(self._askFence()).addBoth(looked)

    def _askFence(self) -> Deferred[None]:
        return self._storage.fence(self._live.key)

    def _answerOf(self, fence: Deferred[None]) -> Deferred[None]:
        """
        Keep a fence for as long as it is not answered.
        """

        def answered(result: _T) -> _T:
            if self._fence is fence:
                self._fence = None
            return result

        if not isFired(fence):
            self._fence = fence
            fence.addBoth(answered)
        return fence

    # What the store does not report.

    def expectNothing(self) -> None:
        """
        Look now and then, if the store does not tell what others do; more
        often while something is guarded, first of all soon after it was
        stored, and last just before it is guarded no more.
        """
        self._forgetLater()
        if self.sight.isToldInTime:
            return
        interval = self._live.policy.recheckInterval
        remaining = self._live.upkeep.guardedFor()
        if remaining > _GUARDED:
            elapsed = self._live.policy.repairWindow - remaining
            soon = min(max(elapsed, _GUARDED), remaining - _GUARDED / 2)
            interval = min(interval or soon, soon)
        if self._live.timers.due(_RECHECK) > self._storage.now() + interval:
            self._recheckAfter(interval)

    def _forgetLater(self) -> None:
        """
        Forget what was stored, when it would be too late to repair it.  Otherwise
        that would be kept until the next change, by all sessions that had one.
        """
        live = self._live
        if not self._forgetting and not live.isClosed and live.isRemembering:
            at = self._storage.now() + live.policy.repairWindow + _GUARDED
            self._forgetting = self._storage.alarms.start(at, self)

    def wake(self) -> None:
        """
        It is time to forget something.
        """
        self._forgetting, live = 0, self._live
        if not live.isTurnTaken:
            # What the store is asked now may show that it was overwritten; so may,
            # where it tells nothing, what it is asked next.
            isBlind = not self.isTold and live.upkeep.guardedFor() > 0
            now = live.asking.since if isBlind else self._storage.now()
            live.record.journal.forgetOld(now)
        self._forgetLater()

    def _recheckAfter(self, delay: float) -> None:
        if self._live.isClosed or delay <= 0:
            self._live.timers.stop(_RECHECK)
        else:
            self._live.timers.start(_RECHECK, delay, self._recheck)

    def stop(self) -> None:
        """
        Listen no more.
        """
        self._unwatch()
        self.sight.unwatched()
        self._live.timers.stop(_RECHECK)
        self._storage.alarms.stop(self._forgetting)
