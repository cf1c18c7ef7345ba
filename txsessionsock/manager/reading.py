# -*- test-case-name: tests.test_manager_fresh -*-
"""
Keeping one live session fresh: reading it, and listening to its store.
"""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import isFired
from txsessionsock.interfaces import SessionError, StoreFailure, UndecodableSession

from .rounds import Rounds


if TYPE_CHECKING:
    from .keeper import Live

__all__ = ["Reading"]

_ASK_AGAIN = (1.0, 10.0)
"""
After how many seconds to ask a store again that failed, at first and in the
long run.
"""

_SOONEST = 0.25
"""
After how many seconds at the soonest to ask about a deadline.
"""

_GUARDED = 0.25
"""
After how many seconds at the soonest to see whether something was overwritten.
"""


_uniform = SystemRandom().uniform


class Reading:
    """
    The reading side of a live session.

    @ivar rounds: Make the session fresh; each round serves all who came
        before it began.
    """

    _log = Logger()

    def __init__(self, live: Live) -> None:
        self._live = live
        self._backend = live.backend
        # Counts, not a flag: a report that comes while the store answers is
        # not about what it answers, and until then there is nothing to trust.
        self._reported = 0
        self._heeded = 0
        self._isBlind = False
        self._isRechecking = False
        self._toldUndecodable = False
        self._failures = 0
        self._fence: Deferred[None] | None = None
        self._stopWatching: Callable[[], None] | None = None
        self._end: float | None = None
        self._deadline: IDelayedCall | None = None
        self._recheckCall: IDelayedCall | None = None
        self.rounds = Rounds(self._freshen, lambda begin: live.backend.later(0, begin))

    @property
    def isTrusted(self) -> bool:
        """
        Whether the session is as fresh as the store's reports make it.
        """
        return self.isTold and not self._isStale

    @property
    def isTold(self) -> bool:
        """
        Whether the store tells what others do.
        """
        return self._stopWatching is not None and not self._isBlind

    @property
    def _isStale(self) -> bool:
        return self._heeded < self._reported

    def _freshen(self) -> Deferred[None] | None:
        self._live.checkAlive()
        if not self._backend.isWatchable:
            return Deferred.fromCoroutine(self.read(always=True))
        self.watch()
        fence = self._askFence()
        if isFired(fence) and not isinstance(fence.result, Failure):
            self._isBlind = False
            if self._live.isLoaded and not self._isStale:
                return None
        return Deferred.fromCoroutine(self._readBehind(fence))

    async def _readBehind(self, fence: Deferred[None]) -> None:
        try:
            await fence
        except StoreFailure:
            self._isBlind = True
        else:
            self._isBlind = False
            self._live.asking.isAnswered()
        await self.read(always=self._isBlind or not self._live.isLoaded)

    async def read(self, *, always: bool) -> None:
        """
        Read the session in its turn, and merge what others wrote.

        @param always: Also if the store reported no change.

        @raise NoSuchSession: It is gone, or was over already.
        """
        live = self._live
        async with live.turn:
            live.checkAlive()
            reported = self._reported
            if live.isNew:
                self._heeded = reported
            if live.isNew or not (always or self._isStale):
                return
            answer = live.asking.asked(self._backend.load(live.key))
            await live.absorb(await answer)
            self._heeded = reported
            self._failures = 0
            self._toldUndecodable = False
            live.tellStored()
        self.expectNothing()
        if self._isStale:
            # Reported while the store answered, perhaps to the first question.
            self._recheck()

    def watch(self) -> None:
        """
        Begin to listen to what others do to the session, if the store tells.
        """
        if self._stopWatching is None and self._backend.isWatchable:
            self._stopWatching = self._backend.watch(self._live.key, self._changed)

    def _changed(self, key: str) -> None:
        self.suspect()

    def suspect(self) -> None:
        """
        Trust what is known of the session no more, and look again.
        """
        self._reported += 1
        # All sessions may be suspect together, when a store was away.
        self._backend.pace.do(self._recheck)

    def _recheck(self) -> None:
        if self._isRechecking or not self._live.isLoaded or self._live.isClosed:
            return
        self._isRechecking = True
        if not self._backend.isWatchable:
            reading = self.read(always=True)
        elif self._live.settings.isTracked or self._isBlind:
            # A store that lost sight of changes reports every key; whether it
            # sees again, only a fence tells.
            reading = self._readBehind(self._askFence())
        else:
            self._look()
            reading = self.read(always=False)
        Deferred.fromCoroutine(reading).addBoth(self._rechecked)

    def _rechecked(self, result: object) -> None:
        self._isRechecking = False
        if not isinstance(result, Failure):
            if self._isStale:
                self._recheck()
        elif result.check(StoreFailure):
            self._recheckAfter(self._patience())
        elif result.check(UndecodableSession):
            if not self._toldUndecodable:
                self._toldUndecodable = True
                self._live.audience.failed(result)
            self.expectNothing()
        elif not result.check(SessionError):
            self._unexpected(result)

    def _look(self) -> None:
        """
        Find out whether the store sees changes at all: it may have reported
        this one because it does so no more.
        """

        def looked(result: object) -> None:
            self._isBlind = isinstance(result, Failure)
            self.expectNothing()

        if self._fence is None or isFired(self._fence):
            self._askFence().addBoth(looked)

    def _askFence(self) -> Deferred[None]:
        self._fence = self._backend.fence(self._live.key)
        return self._fence

    def _patience(self) -> float:
        """
        After how many seconds to ask again.  A store that can be watched says
        by itself when it is back, so there is no hurry.
        """
        first, most = _ASK_AGAIN
        self._failures += 1
        return _uniform(0.8, 1.0) * min(most, first * 2.0 ** min(self._failures - 1, 9))

    def expectNothing(self) -> None:
        """
        Look now and then, if the store does not tell what others do; more
        often while something is guarded, first of all soon after it was
        stored, and last just before it is guarded no more.
        """
        if self._backend.isWatchable and not self._isBlind:
            return
        interval = self._live.settings.recheckInterval
        left = self._live.guarding.left
        if left > _GUARDED:
            elapsed = self._live.settings.repairWindow - left
            soon = min(max(elapsed, _GUARDED), left - _GUARDED / 2)
            interval = min(interval or soon, soon)
        due = self._backend.now() + interval
        if self._recheckCall is None or self._recheckCall.getTime() > due:
            self._recheckAfter(interval)

    def _recheckAfter(self, delay: float) -> None:
        self._cancel(self._recheckCall)
        self._recheckCall = None
        if not self._live.isClosed and delay > 0:
            self._recheckCall = self._backend.later(delay, self._recheckNow)

    def _recheckNow(self) -> None:
        self._recheckCall = None
        self._recheck()

    def expectEnd(self, deadline: float | None) -> None:
        """
        Ask the store on the deadline whether it was put off.

        @param deadline: In seconds since the epoch; L{None} for never.
        """
        self._end = deadline
        if deadline is None or self._live.isClosed:
            self._cancel(self._deadline)
            self._deadline = None
            return
        now = self._backend.now()
        at = max(deadline, now + _SOONEST)
        # Each write puts the deadline off, and most sessions end before it:
        # what comes too soon looks again.
        if self._deadline is None or self._deadline.getTime() > at:
            self._cancel(self._deadline)
            self._deadline = self._backend.later(at - now, self._onDeadline)

    def _onDeadline(self) -> None:
        self._deadline = None
        if self._end is not None and self._end > self._backend.now():
            self.expectEnd(self._end)
            return

        def failed(failure: Failure) -> None:
            failure.trap(SessionError)
            if failure.check(StoreFailure) and not self._live.dropOverdue():
                self.expectEnd(self._backend.now() + self._patience())

        reading = Deferred.fromCoroutine(self.read(always=True))
        reading.addErrback(failed).addErrback(self._unexpected)

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("a session could not be read", failure)

    def stop(self) -> None:
        """
        Listen no more.
        """
        stopWatching, self._stopWatching = self._stopWatching, None
        if stopWatching is not None:
            stopWatching()
        self._cancel(self._deadline)
        self._cancel(self._recheckCall)
        self._deadline = self._recheckCall = None

    def _cancel(self, call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()
