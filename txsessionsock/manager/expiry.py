# -*- test-case-name: tests.manager.test_manager_touch -*-
"""
The end of one live session: putting it off, but not too often, and asking the
store when it comes.

Others may know more of its lifetime than we do: nothing here ends a session
sooner than the store says.
"""

from __future__ import annotations

from math import inf

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import backOff
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    AtLeast,
    Document,
    Lifetime,
    NoSuchSession,
    SessionError,
    StoreFailure,
)
from txsessionsock.session import shortHash

from .live import Live
from .reading import ASK_AGAIN, Reading


__all__ = ["Expiry"]

_AT_MOST = 60.0
"""
Every how many seconds at most a session is touched because of what clients do.
"""


_SOONEST = 0.25
"""
After how many seconds at the soonest to ask about a deadline.
"""


class Expiry:
    """
    The deadline of one live session.
    """

    _log = Logger()

    # When a message puts the deadline off, as far as is known.
    _due: float | None = None
    _isTouching = False
    _notBefore = 0.0
    _askAt: float | None = None
    _failures = 0
    # The alarm that is to come, and when.
    _alarm = 0
    _alarmAt = inf

    def __init__(self, live: Live, reading: Reading) -> None:
        self._live = live
        self._storage = live.storage
        self._reading = reading

    def moved(self, deadline: float | None) -> None:
        """
        The deadline, or what it depends on, may be another one.

        @param deadline: In seconds since the epoch; L{None} for never.
        """
        self._due = None
        self._failures = 0
        self._ask(deadline)

    def stop(self) -> None:
        """
        The session is live no more.
        """
        self._storage.alarms.stop(self._alarm)
        self._alarmAt = inf

    # When the deadline comes.

    def _ask(self, at: float | None) -> None:
        """
        Ask the store at some time whether the deadline was put off.
        """
        self._askAt = at
        if at is None or self._live.isClosed:
            self.stop()
            return
        now = self._storage.now()
        at = max(at, now + _SOONEST)
        # Each write puts the deadline off, and most sessions end before it.  So
        # an alarm that is too soon stays, and waits for the rest when it comes.
        if self._alarmAt > at:
            self.stop()
            self._alarm = self._storage.alarms.start(at, self)
            self._alarmAt = at

    def wake(self) -> None:
        """
        The deadline may be there.
        """
        self._alarmAt = inf
        if self._askAt is not None and self._askAt > self._storage.now():
            self._ask(self._askAt)
            return

        def failed(failure: Failure) -> None:
            failure.trap(SessionError)
            if failure.check(StoreFailure) and not self._live.upkeep.dropOverdue():
                first, most, jitter = ASK_AGAIN
                patience = backOff(first, most, self._failures, jitter)
                self._failures += 1
                self._ask(self._storage.now() + patience)

        reading = Deferred.fromCoroutine(self._reading.read(always=True))
        reading.addErrback(failed).addErrback(self._unexpected)

    def _unexpected(self, failure: Failure) -> None:
        self._storage.failed(self._log, "a session could not be read", failure)

    # Putting the deadline off.

    def outlive(self, deadline: float | None) -> None:
        """
        Be stored for the first time with a deadline that is no sooner.
        """
        self._notBefore = inf if deadline is None else deadline

    def clientActed(self, *, isFresh: bool) -> None:
        """
        Touch the session, if that puts its end off by more than a little.

        @param isFresh: Whether what is known of the session is not older than
            what the client did; otherwise that is asked first.
        """
        if not self._isTouching and self.isDue(self._storage.now()):
            self._isTouching = True
            touched = Deferred.fromCoroutine(self._touchIfDue(isFresh))
            touched.addBoth(self._touched).addErrback(lambda f: f.trap(SessionError))

    def isDue(self, now: float) -> bool:
        """
        Whether L{clientActed} does more than look.
        """
        due = self._due
        if due is None:
            due = self._due = self._whenDue()
        return due <= now

    def _whenDue(self) -> float:
        live = self._live
        now, expires = self._storage.now(), live.expires
        ttl = self._storage.framework.touchLifetime(live.record.document, now)
        if ttl is KEEP or (expires is None and ttl is FOREVER):
            return inf
        if isinstance(ttl, Lifetime):
            return now
        self._compare(ttl)
        return inf if expires is None else expires - ttl + min(_AT_MOST, ttl / 10)

    def _touched(self, result: object) -> object:
        self._isTouching = False
        return result

    async def _touchIfDue(self, isFresh: bool) -> None:
        live = self._live
        if not isFresh:
            await self._learn()
            if not self.isDue(self._storage.now()):
                return
        framework, now = self._storage.framework, self._storage.now()
        await self._touch(framework.touchLifetime(live.record.document, now))

    async def _learn(self) -> None:
        """
        Find out how long the session is to live.
        """
        fresh = self._reading.fresh(self._reading.arrival())
        if fresh is not None:
            await fresh

    async def _touchNow(self) -> None:
        live = self._live
        await self._learn()
        framework, now = self._storage.framework, self._storage.now()
        document = live.record.document
        ttl = framework.touchLifetime(document, now)
        await self._touch(framework.lifetime(document, now) if ttl is KEEP else ttl)

    def touch(self) -> Deferred[None]:
        """
        Touch the session now.
        """
        return Deferred.fromCoroutine(self._touchNow())

    def announce(self) -> None:
        """
        Let other nodes know that there is somebody who would store something: a touch
        is reported to them, and may be done at any time.
        """
        framework, now = self._storage.framework, self._storage.now()
        ttl = framework.touchLifetime(self._live.record.document, now)
        if ttl is not KEEP and not self._live.isNew:
            touched = Deferred.fromCoroutine(self._touch(ttl))
            touched.addErrback(lambda failure: failure.trap(SessionError))

    async def _touch(self, ttl: TTL) -> None:
        live = self._live
        try:
            deadline = await self._storage.touch(live.key, _atLeast(ttl))
        except NoSuchSession:
            live.endGone()
            raise
        live.expiresAt(deadline)

    # Writes.

    def ofWrite(self, ttl: TTL) -> TTL:
        """
        How long the session lives after a write: no less long than before,
        unless what is written says so itself.

        @param ttl: What the framework says of what is written.
        """
        live, now = self._live, self._storage.now()
        if isinstance(ttl, Lifetime):
            return ttl
        stored = Document(live.record.copy.stored, live.record.document.envelope)
        before = self._storage.framework.lifetime(stored, now)
        if before is FOREVER or (not isinstance(before, Lifetime) and ttl < before):
            return ttl
        self._compare(ttl)
        if live.expires is None or live.expires > now + ttl:
            return KEEP
        return AtLeast(ttl)

    def ofNew(self, ttl: TTL) -> TTL:
        """
        How long the session lives that is stored for the first time.
        """
        if isinstance(ttl, Lifetime):
            return ttl
        if self._notBefore == inf:
            return FOREVER
        return max(ttl, self._notBefore - self._storage.now())

    def _compare(self, ttl: float) -> None:
        """
        Say so if the application lets its sessions live longer than we would.
        """
        live = self._live
        remaining = inf if live.expires is None else live.expires - self._storage.now()
        if remaining > ttl * 1.1 + _AT_MOST and live.upkeep.isNews("lifetime"):
            self._log.warn(
                "session {session} lives for {left} s more, where its framework"
                " has {ttl:g} s. It is not cut short; but give the framework the"
                " lifetime that the web application has: ttl or maxAge for Express,"
                " cookieAge for Django, maxLifetime for PHP, lifetime for Flask and"
                " Starlette, maxAge for aiohttp (--framework-option).",
                session=shortHash(live.id),
                left="infinitely many" if remaining == inf else f"{remaining:.0f}",
                ttl=ttl,
            )


def _atLeast(ttl: TTL) -> TTL:
    return ttl if isinstance(ttl, Lifetime) else AtLeast(ttl)
