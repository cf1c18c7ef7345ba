# -*- test-case-name: tests.frameworks.test_express -*-
"""
Express: the sessions of C{express-session}, as C{connect-redis} and its like
store them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil, floor
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote, unquote

from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._json import STRICT
from txsessionsock.cookies import MAX_COOKIE, sign, storedAttributes, unsign
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    CookieAttributes,
    Document,
    IFramework,
    InvalidCredential,
    SessionID,
    UndecodableSession,
)

from ._base import CookieOptions, Identity, Prefixed, Secrets, loggedInBy, secretsFrom
from ._encodings import STRICT_JSON, decodeJSON, encode
from ._same import sameInJavaScript


__all__ = ["ATTRIBUTES", "Express", "whoIsLoggedIn"]


_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LEFT_BY_ENCODE_URI_COMPONENT = "!~*'()"
_EPOCH = datetime(1970, 1, 1)
_ENVELOPE = "cookie"
_COOKIE = (
    *("originalMaxAge", "partitioned", "priority", "expires", "secure"),
    *("httpOnly", "domain", "path", "sameSite"),
)
_OF_OBJECTS = (
    "__defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__"
    " constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString"
    " toString valueOf"
)
_OF_SESSIONS = "destroy id regenerate reload req resetMaxAge save touch"
ATTRIBUTES = frozenset(f"{_OF_OBJECTS} {_OF_SESSIONS}".split())
"""
What the C{req.session} of Express has by itself.  It does not read what is
stored under these names, and next time drops it.
"""
_RESERVED = ATTRIBUTES | {_ENVELOPE}
_byPassport, _byName = loggedInBy("user"), loggedInBy("userId", "user")
_A_THOUSAND_YEARS = 1000 * 365 * 86400 * 1000  # In milliseconds.


def whoIsLoggedIn(data: dict[str, Any]) -> object:
    """
    Who is logged in, by the names that Express applications commonly use:
    C{passport.user}, else C{userId}, else C{user}.  See L{loggedInBy} for
    objects.

    @return: L{None} for nobody.
    """
    passport = data.get("passport")
    who = _byPassport(passport) if isinstance(passport, dict) else None
    return _byName(data) if who is None else who


@checked
@implementer(IFramework)
class Express(Prefixed):
    """
    Sessions that are shared with an Express application, or just look as if
    they were.

    Numbers have the limits of JavaScript there: integers beyond 2**53 are
    rounded, and C{1.0} comes back as C{1}.
    """

    firstCookieWins = True
    same = staticmethod(sameInJavaScript)

    def __init__(
        self,
        secrets: Secrets,
        *,
        cookieName: str = "connect.sid",
        prefix: str = "sess:",
        ttl: int = 86400,
        maxAge: float | None = None,
        identity: Identity | None = None,
        disableTTL: bool = False,
        disableTouch: bool = False,
        cookie: CookieOptions | None = None,
        rolling: bool = False,
    ) -> None:
        """
        @param secrets: The secret that signs session ids, or several: the
            first signs, all verify.  L{bytes} where Express has a C{Buffer}.

        @param prefix: What comes before the session id in the store.

        @param ttl: The lifetime, in seconds, of sessions whose cookie has
            none; the option of C{connect-redis}.

        @param maxAge: How many seconds a new session's cookie lives, and
            with it the session; L{None}: until the browser is closed.  The
            option C{cookie.maxAge} of C{express-session}, which has it in
            milliseconds.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.

        @param disableTTL: Sessions do not end by themselves.

        @param disableTouch: Only writes extend a session's life.

        @param cookie: What else is in the option C{cookie} of
            C{express-session}, for sessions that begin here: C{domain},
            C{path}, C{secure}, C{httpOnly}, C{sameSite}, C{partitioned} or
            C{priority}.  A session that Express began says so itself.

        @param rolling: The option C{rolling} of C{express-session}: every
            answer renews the cookie.

        @raise ValueError: One of these cannot be.
        """
        super().__init__(cookieName, prefix, identity or whoIsLoggedIn, cookie)
        self._secrets = secretsFrom(secrets)
        self._ttl = ttl
        self._maxAge = maxAge
        self._cookie = {"httpOnly": True, "path": "/", **(cookie or {})}
        if self._cookie.get("secure") == "auto":
            # Express puts in what it comes to.
            del self._cookie["secure"]
        self.rolling = rolling
        self._disableTTL = disableTTL
        self._disableTouch = disableTouch or disableTTL

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        """
        Verify the value of a session cookie.

        @raise InvalidCredential: C{malformed} if there is no session id in
            it, C{bad-signature} if there is one that is not signed, or not
            with any of our secrets.  What is signed is an id, whatever it is:
            C{genid} made it.
        """
        text = ""
        if len(cookieValue) <= MAX_COOKIE and not _BAD_ESCAPE.search(cookieValue):
            with suppress(ValueError):
                text = unquote(cookieValue, errors="strict")
        signed = text.removeprefix("s:")
        isSigned = signed != text and "." in signed
        claimed = signed.rpartition(".")[0] if isSigned else signed
        if not claimed:
            raise InvalidCredential("malformed")
        if not isSigned or unsign(signed, self._secrets) is None:
            raise InvalidCredential("bad-signature")
        return SessionID(claimed)

    def cookieValue(self, sessionID: SessionID) -> str:
        signed = "s:" + sign(sessionID, self._secrets[0])
        return quote(signed, safe=_LEFT_BY_ENCODE_URI_COMPONENT)

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        maxAge = _originalMaxAge(document.envelope)
        return None if maxAge is None else max(0.0, maxAge / 1000)

    def cookieAttributes(self, document: Document) -> CookieAttributes:
        return storedAttributes(document.envelope)

    def newSessionID(self) -> SessionID:
        return SessionID(token_urlsafe(24))

    def newDocument(self, now: float, like: Document | None = None) -> Document:
        maxAge = None if self._maxAge is None else ceil(self._maxAge * 1000)
        others = self._cookie if like is None else like.envelope
        cookie = {**others, "originalMaxAge": maxAge, "expires": None}
        envelope = {name: cookie[name] for name in _COOKIE if name in cookie}
        return Document({}, _touched(envelope, now))

    def loads(self, raw: bytes, now: float) -> Document:
        data = decodeJSON(raw, STRICT)
        envelope = data.pop(_ENVELOPE, None)
        # Express itself answers such a session with an error.
        if not isinstance(envelope, dict):
            raise UndecodableSession("the stored session has no cookie in it")
        for name in ATTRIBUTES.intersection(data):
            del data[name]
        return Document(data, envelope)

    def dumps(self, document: Document, now: float) -> bytes:
        envelope = {_ENVELOPE: _touched(document.envelope, now)}
        return encode(
            STRICT_JSON,
            document.data,
            _RESERVED,
            lambda data: envelope | data,
            document.known,
        )

    def lifetime(self, document: Document, now: float) -> TTL:
        if self._disableTTL:
            return FOREVER
        maxAge = _originalMaxAge(document.envelope)
        return self._ttl if maxAge is None else max(0, ceil(maxAge / 1000))

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return KEEP if self._disableTouch else self.lifetime(document, now)


def _originalMaxAge(envelope: dict[str, Any]) -> float | None:
    """
    How many milliseconds the cookie lives from each visit on; L{None} if it
    has no lifetime, or none that a date could express.
    """
    maxAge: Any = envelope.get("originalMaxAge")
    if type(maxAge) in (int, float) and abs(maxAge) < _A_THOUSAND_YEARS:
        return float(maxAge)
    return None


def _touched(envelope: dict[str, Any], now: float) -> dict[str, Any]:
    """
    What C{express-session} does to the cookie before it saves a session.
    C{connect-redis} computes the lifetime from C{expires}, so a date from the
    past that went back as it came would end the session.
    """
    maxAge = _originalMaxAge(envelope)
    if maxAge is None:
        if envelope.get("expires") is None:
            return envelope
        return envelope | {"expires": None}
    end = _EPOCH + timedelta(milliseconds=floor(now * 1000) + floor(maxAge))
    return envelope | {"expires": end.isoformat(timespec="milliseconds") + "Z"}
