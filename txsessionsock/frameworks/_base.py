# -*- test-case-name: tests.frameworks.test_express -*-
"""
What all frameworks have in common: those whose sessions are in a store, and
those whose sessions are in the browser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from math import inf
from typing import Any

from txsessionsock._waiting import refuseAsync, refuseToWait
from txsessionsock.cookies import (
    MAX_COOKIE,
    cookieAttributes,
    isToken,
    quoted,
    unquoted,
)
from txsessionsock.interfaces import (
    KEEP,
    TTL,
    CookieAttributes,
    Document,
    InvalidCredential,
    SessionID,
    UnencodableSession,
)

from ._same import same


__all__ = [
    "CookieOptions",
    "Identity",
    "InBrowser",
    "Prefixed",
    "Secrets",
    "Sessions",
    "loggedInBy",
    "secretsFrom",
]


Identity = Callable[[dict[str, Any]], object]
"""
Tells from a session's data who is logged in; L{None} is nobody.
"""

CookieOptions = Mapping[str, object]
"""
What a web application sets on its session cookie: C{domain}, C{path},
C{secure}, C{httpOnly}, C{sameSite}, C{partitioned} and C{priority}.
"""

Secrets = str | bytes | Sequence[str | bytes]
"""
One secret, or several: the first signs, all verify.  Text is what it is in
UTF-8.
"""

_OF_PEOPLE = (
    *("id", "_id", "ID", "uid", "uuid", "pk", "sub", "oid"),
    *("user_id", "userId", "userid", "username", "userName", "login", "email"),
)
"""
What names one person among all, in databases and in the claims of OpenID
Connect.
"""
_OF_GIVERS = ("iss", "provider")
"""
The issuer of that name, in the claims of OpenID Connect (Core 1.0, section 5.7)
and in the profiles of Passport: two issuers may give the same one to two people.
"""
_CONTROLS = re.compile(r"[\0-\x1f\x7f-\x9f]")
_MAX_SIGNED = 8192
_SKEW = 60
"""
By how many seconds the clock of the web application may be ahead of ours.
"""


def loggedInBy(*names: str) -> Identity:
    """
    Make a function that tells who is logged in: the first of these keys that
    has a value.  Where that is an object, the first of its keys that names
    somebody: C{id}, C{_id} and the like, together with C{iss} or C{provider},
    who gave that name.  If it has none of these, what is in it that a visit does
    not change: texts that are no dates, and integers under a key that ends in
    C{id}; or else all texts and integers, or all of it.

    @return: A function whose result is L{None} for nobody; false, the empty
        string and an empty object or list are nobody too.
    """

    def identity(data: dict[str, Any]) -> object:
        people = (_personIn(data.get(name)) for name in names)
        return next(filter(_isSomebody, people), None)

    return identity


def _personIn(user: object) -> object:
    if not isinstance(user, dict):
        return user
    claims = user.get("userinfo")  # Where Authlib keeps them beside the tokens.
    if isinstance(claims, dict):
        user = claims
    known = [user[name] for name in _OF_PEOPLE if name in user]
    if known:
        who = next(filter(_isSomebody, known), None)
        givers = [user[name] for name in _OF_GIVERS if type(user.get(name)) is str]
        return who if who is None or not givers else (who, *givers)
    # What else applications keep there changes: a basket, the last visit.
    simple = {key: item for key, item in user.items() if type(item) in (int, str)}
    lasting = {key: item for key, item in simple.items() if _isLasting(key, item)}
    return lasting or simple or user


def _isLasting(key: object, item: object) -> bool:
    if isinstance(item, str):
        # Digits alone are rather the number of a customer.
        if item[4:5] == "-":
            with suppress(ValueError):
                datetime.fromisoformat(item)
                return False
        return True
    return type(item) is int and isinstance(key, str) and key.lower().endswith("id")


def _isSomebody(who: object) -> bool:
    return who is not None and who is not False and who not in ("", {}, [])


def secretsFrom(
    secrets: object, read: Callable[[object], object] = lambda secret: secret
) -> tuple[bytes, ...]:
    """
    Take one secret, or several.

    @param read: What the framework makes of a secret before it signs: L{str}
        or L{bytes}, or what is refused.

    @raise ValueError: These are none; it does not show them.
    """
    given: Sequence[object] = [secrets]
    if isinstance(secrets, Sequence) and not isinstance(secrets, (str, bytes)):
        given = secrets
    known = [_inBytes(read(secret)) for secret in given]
    if not known or not all(known):
        raise ValueError(
            "secrets is one str or bytes, or a list of several; no text with half"
            " a character in it, and none is empty"
        )
    return tuple(known)


def _inBytes(secret: object) -> bytes:
    """
    @return: Nothing, if it is no secret.
    """
    if not isinstance(secret, str):
        return secret if isinstance(secret, bytes) else b""
    try:
        return secret.encode()
    except UnicodeEncodeError:
        return b""


class Sessions:
    """
    A framework whose cookie is the session's id, unless a subclass says
    otherwise.

    @cvar shortestID: How many characters an id has at least.

    @cvar charset: In which bytes its cookies quote what they cannot hold.
    """

    shortestID = 1
    charset = "latin-1"
    firstCookieWins = False
    readOnly = False
    rolling = False
    same = staticmethod(same)

    def __init__(
        self, cookieName: str, identity: Identity, cookie: CookieOptions | None = None
    ) -> None:
        if not isToken(cookieName):
            raise ValueError(f"{cookieName!r} cannot be the name of a cookie")
        refuseAsync(identity, "identity")
        self.cookieName = cookieName
        self._identity = identity
        self._attributes = cookieAttributes(cookieName, cookie or {})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} cookieName={self.cookieName!r}>"

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        """
        Take the cookie for the id itself, which is not signed: whether there
        is such a session, only the store knows.  Applications may choose ids
        as they like.

        @raise InvalidCredential: It is C{malformed}: too short, longer than a
            cookie can be, or with control characters in it.
        """
        sessionID = ""
        if cookieValue.isascii() and len(cookieValue) <= MAX_COOKIE:
            with suppress(ValueError):
                sessionID = unquoted(cookieValue, self.charset)
        if len(sessionID) < self.shortestID or _CONTROLS.search(sessionID):
            raise InvalidCredential("malformed")
        return SessionID(sessionID)

    def cookieValue(self, sessionID: SessionID) -> str:
        return quoted(sessionID, self.charset)

    def cookieAttributes(self, document: Document) -> CookieAttributes:
        return self._attributes

    def newDocument(self, now: float, like: Document | None = None) -> Document:
        return Document({}, {})

    def identity(self, data: dict[str, Any]) -> object:
        who = self._identity(data)
        refuseToWait(who, "identity")
        return who

    def isEnded(self, data: dict[str, Any]) -> bool:
        return False


class Prefixed(Sessions):
    """
    A framework whose keys in the store are ids behind a prefix.
    """

    def __init__(
        self,
        cookieName: str,
        prefix: str,
        identity: Identity,
        cookie: CookieOptions | None = None,
    ) -> None:
        super().__init__(cookieName, identity, cookie)
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} prefix={self._prefix!r}>"

    def key(self, sessionID: SessionID) -> str:
        return self._prefix + sessionID


class InBrowser(Sessions):
    """
    A framework whose sessions are cookies, signed with the time.  The id of a
    session is the whole cookie, so each time the web application sets the
    cookie anew, that is another session to us, and nothing can be stored.
    """

    readOnly = True

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        """
        Verify the value of a session cookie.

        @raise InvalidCredential: C{malformed} if it does not look signed or
            holds no session, C{bad-signature} if it is not by any of our
            secrets, C{expired} if that was too long ago.
        """
        if len(cookieValue) > _MAX_SIGNED:
            raise InvalidCredential("malformed")
        signed, end = self._times(cookieValue)
        if signed > now + _SKEW or now >= end:
            raise InvalidCredential("expired")
        return SessionID(cookieValue)

    def deadline(self, sessionID: SessionID) -> float | None:
        """
        When the cookie is too old, in seconds since the epoch; L{None} for
        never.

        @raise InvalidCredential: It is not signed by us.
        """
        end = self._times(sessionID)[1]
        return None if end == inf else end

    def _times(self, cookie: str) -> tuple[float, float]:
        """
        @return: When the cookie was signed, and when it is too old.

        @raise InvalidCredential: It is not signed by us.
        """
        raise NotImplementedError

    def key(self, sessionID: SessionID) -> str:
        return sessionID

    def dumps(self, document: Document, now: float) -> bytes:
        raise UnencodableSession(
            "this session lives in the browser, where nothing can be stored",
            tuple(document.data),
        )

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return KEEP
