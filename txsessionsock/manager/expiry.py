# -*- test-case-name: tests.test_manager_touch -*-
"""
Putting off the end of one live session, and not too often.

What others know of its lifetime, we may not: nothing here ends a session
sooner than the store says.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    AtLeast,
    Document,
    Lifetime,
    NoSuchSession,
    SessionError,
)
from txsessionsock.session import shortHash


if TYPE_CHECKING:
    from .keeper import Live

__all__ = ["Touching"]

_AT_MOST = 60.0
"""
Every how many seconds at most a session is touched because of its visitors.
"""


class Touching:
    """
    The visits of one live session.
    """

    _log = Logger()

    def __init__(self, live: Live) -> None:
        self._live = live
        # When a visit puts the deadline off, as far as is known.
        self._due: float | None = None
        self._isTouching = False
        self._notBefore = 0.0

    def moved(self) -> None:
        """
        The deadline, or what it depends on, may be another one.
        """
        self._due = None

    def outlive(self, deadline: float | None) -> None:
        """
        Be stored for the first time with a deadline that is no sooner.
        """
        self._notBefore = inf if deadline is None else deadline

    def visited(self, *, isFresh: bool) -> None:
        """
        Touch the session, if that puts its end off by more than a little.

        @param isFresh: Whether what is known of the session is not older than
            the visit; otherwise that is asked first.
        """
        if not self._isTouching and self._isDue():
            self._isTouching = True
            visit = Deferred.fromCoroutine(self._visit(isFresh))
            visit.addBoth(self._visited).addErrback(lambda f: f.trap(SessionError))

    def _isDue(self) -> bool:
        if self._due is None:
            self._due = self._whenDue()
        return self._due <= self._live.backend.now()

    def _whenDue(self) -> float:
        live = self._live
        now, expires = live.backend.now(), live.expires
        ttl = live.backend.framework.touchLifetime(live.record.document, now)
        if ttl is KEEP or (expires is None and ttl is FOREVER):
            return inf
        if isinstance(ttl, Lifetime):
            return now
        self._compare(ttl)
        return inf if expires is None else expires - ttl + min(_AT_MOST, ttl / 10)

    def _visited(self, result: object) -> object:
        self._isTouching = False
        return result

    async def _visit(self, isFresh: bool) -> None:
        live = self._live
        if not isFresh:
            await self._learn()
            if not self._isDue():
                return
        framework, now = live.backend.framework, live.backend.now()
        await self._touch(framework.touchLifetime(live.record.document, now))

    async def _learn(self) -> None:
        """
        Find out how long the session is to live.
        """
        fresh = self._live.fresh(self._live.arrival())
        if fresh is not None:
            await fresh

    async def _now(self) -> None:
        live = self._live
        await self._learn()
        framework, now = live.backend.framework, live.backend.now()
        document = live.record.document
        ttl = framework.touchLifetime(document, now)
        await self._touch(framework.lifetime(document, now) if ttl is KEEP else ttl)

    def now(self) -> Deferred[None]:
        """
        Touch the session.
        """
        return Deferred.fromCoroutine(self._now())

    async def _touch(self, ttl: TTL) -> None:
        live = self._live
        try:
            deadline = await live.backend.touch(live.key, _atLeast(ttl))
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
        live, now = self._live, self._live.backend.now()
        if isinstance(ttl, Lifetime):
            return ttl
        stored = Document(live.record.copy.stored, live.record.document.envelope)
        before = live.backend.framework.lifetime(stored, now)
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
        return max(ttl, self._notBefore - self._live.backend.now())

    def _compare(self, ttl: float) -> None:
        """
        Say so if the application lets its sessions live longer than we would.
        """
        live = self._live
        left = inf if live.expires is None else live.expires - live.backend.now()
        if left > ttl * 1.1 + _AT_MOST and live.settings.isNews("lifetime"):
            self._log.warn(
                "session {session} lives for {left} s more, where its framework"
                " has {ttl:g} s. It is not cut short; but give the framework the"
                " lifetime that the web application has: ttl or maxAge for Express,"
                " cookieAge for Django, maxLifetime for PHP, lifetime for Flask and"
                " Starlette, maxAge for aiohttp (--framework-option).",
                session=shortHash(live.id),
                left="infinitely many" if left == inf else f"{left:.0f}",
                ttl=ttl,
            )


def _atLeast(ttl: TTL) -> TTL:
    return ttl if isinstance(ttl, Lifetime) else AtLeast(ttl)
