# -*- test-case-name: tests.frameworks.test_cookie_sessions -*-
"""
Sessions in the browser: each is the cookie that its id is.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._kinds import Clock, CookieFramework
from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import (
    TTL,
    InvalidCredential,
    ISessionStore,
    ISignedCookies,
    Stored,
    StoreError,
)


__all__ = ["CookieStore"]


@checked
@implementer(ISessionStore)
class CookieStore:
    """
    A store that holds nothing: what is asked for is what it answers with, if
    its signature is good and not too old.  Nothing can be stored or ended.
    """

    def __init__(
        self, framework: CookieFramework, reactor: Clock | None = None
    ) -> None:
        """
        @param framework: What verifies the cookies; the same one as the
            manager's.

        @param reactor: The clock; the global reactor unless said otherwise.
        """
        if not ISignedCookies.providedBy(framework):
            raise TypeError(f"{framework!r} does not keep its sessions in cookies")
        self._framework = framework
        self._reactor = clockOf(reactor)

    def load(self, key: str) -> Deferred[Stored | None]:
        try:
            sessionID = self._framework.sessionID(key, self._reactor.seconds())
            deadline = self._framework.deadline(sessionID)
        except InvalidCredential:
            return succeed(None)
        return succeed(Stored(key.encode("utf-8"), deadline))

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return fail(_refusal("begin one"))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        return fail(_refusal("change one"))

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return fail(_refusal("extend one"))

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return fail(_refusal("end one"))


def _refusal(what: str) -> StoreError:
    return StoreError(
        f"sessions live in the browser: only the web application can {what},"
        " by setting its cookie"
    )
