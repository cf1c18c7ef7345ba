# -*- test-case-name: tests.test_manager_touch -*-
"""
Putting off the end of one live session, and not too often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from .interfaces import KEEP, TTL, Lifetime, NoSuchSession, SessionError


if TYPE_CHECKING:
    from ._live import Live

__all__ = ["Touching"]

_AT_MOST = 60.0
"""
Every how many seconds at most a session is touched because of its visitors.
"""


class Touching:
    """
    The visits of one live session.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._next = 0.0

    def visited(self) -> None:
        """
        Touch the session, if that was not done lately.
        """
        now = self._live.backend.now()
        if now < self._next:
            return
        framework = self._live.backend.framework
        ttl = framework.touchLifetime(self._live.record.document, now)
        self.touched(ttl)
        if ttl is not KEEP:
            self._touch(ttl).addErrback(lambda failure: failure.trap(SessionError))

    def now(self) -> Deferred[None]:
        """
        Touch the session.
        """
        framework, now = self._live.backend.framework, self._live.backend.now()
        document = self._live.record.document
        ttl = framework.touchLifetime(document, now)
        if ttl is KEEP:
            ttl = framework.lifetime(document, now)
        self.touched(ttl)
        return self._touch(ttl)

    def touched(self, ttl: TTL) -> None:
        """
        Note that the deadline was put off, and need not be again for a while.
        """
        wait = _AT_MOST if isinstance(ttl, Lifetime) else min(_AT_MOST, ttl / 10)
        self._next = self._live.backend.now() + wait

    def _touch(self, ttl: TTL) -> Deferred[None]:
        live = self._live

        def failed(failure: Failure) -> Failure:
            self._next = 0.0
            if failure.check(NoSuchSession):
                live.endGone()
            return failure

        return live.backend.touch(live.key, ttl).addCallbacks(live.expiresAt, failed)
