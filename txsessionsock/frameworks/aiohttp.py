# -*- test-case-name: tests.frameworks.test_aiohttp -*-
"""
aiohttp: the sessions of C{aiohttp-session}, as its C{RedisStorage} stores
them.
"""

from __future__ import annotations

from secrets import token_hex
from typing import Any

from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    Document,
    IFramework,
    NoSuchSession,
    SessionID,
    UndecodableSession,
)

from ._base import CookieOptions, Identity, Sessions, loggedInBy
from ._encodings import JSON, decodeJSON, encode
from ._same import sameInJSON


__all__ = ["Aiohttp", "whoIsLoggedIn"]


whoIsLoggedIn = loggedInBy("AIOHTTP_SECURITY", "user_id", "user", "username")
"""
Who is logged in, by the names that applications commonly use: that of
C{aiohttp-security}, else C{user_id}, C{user} or C{username}.
"""


@checked
@implementer(IFramework)
class Aiohttp(Sessions):
    """
    Sessions that are shared with an aiohttp application.

    What C{invalidate()} leaves there is an empty object in the place of the
    session: it is gone.
    """

    same = staticmethod(sameInJSON)

    def __init__(
        self,
        *,
        cookieName: str = "AIOHTTP_SESSION",
        maxAge: int | None = None,
        cookie: CookieOptions | None = None,
        identity: Identity | None = None,
    ) -> None:
        """
        @param cookieName: C{cookie_name}, which is the beginning of the keys
            in the store, too.

        @param maxAge: C{max_age}: how many seconds a session lives after each
            change; L{None}: until somebody deletes it.

        @param cookie: What the storage was given for its cookie, by
            the names of L{CookieAttributes
            <txsessionsock.interfaces.CookieAttributes>}, such as
            C{{"domain": "example.com"}}.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.
        """
        super().__init__(cookieName, identity or whoIsLoggedIn, cookie)
        self._maxAge = maxAge

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        return self._maxAge

    def newSessionID(self) -> SessionID:
        # The framework takes a UUID, of which six bits are the same in all.
        return SessionID(token_hex(16))

    def newDocument(self, now: float, like: Document | None = None) -> Document:
        return Document({}, {"created": int(now)})

    def key(self, sessionID: SessionID) -> str:
        return f"{self.cookieName}_{sessionID}"

    def loads(self, raw: bytes, now: float) -> Document:
        """
        Decode what is stored.

        @raise NoSuchSession: It says that the session was ended, or is too
            old to be one still.

        @raise UndecodableSession: It is no session of C{aiohttp-session}.
        """
        envelope = decodeJSON(raw)
        if not envelope:
            raise NoSuchSession
        created = envelope.get("created")
        if created is not None and type(created) not in (int, float):
            raise UndecodableSession("the stored session was created at no time")
        if self._maxAge is not None and int(now) - (created or 0) > self._maxAge:
            raise NoSuchSession
        data = envelope.pop("session", None)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise UndecodableSession("the stored session has no dictionary in it")
        return Document(data, envelope)

    def dumps(self, document: Document, now: float) -> bytes:
        # The framework counts the age from the last change.
        envelope = {**document.envelope, "created": int(now)}
        return encode(
            JSON,
            document.data,
            within=lambda data: {**envelope, "session": data},
            known=document.known,
        )

    def lifetime(self, document: Document, now: float) -> TTL:
        return FOREVER if self._maxAge is None else self._maxAge

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return KEEP

    def isEnded(self, data: dict[str, Any]) -> bool:
        return not data
