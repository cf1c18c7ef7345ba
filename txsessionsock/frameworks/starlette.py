# -*- test-case-name: tests.frameworks.test_starlette -*-
"""
Starlette and FastAPI: the sessions of C{starsessions}, and Starlette's own,
which are signed cookies.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Protocol

from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock.interfaces import (
    KEEP,
    TTL,
    Document,
    IFramework,
    ISignedCookies,
    SessionID,
    UndecodableSession,
)

from ._base import CookieOptions, Identity, Prefixed, Secrets, loggedInBy, secretsFrom
from ._encodings import JSON, decodeJSON, encode
from ._itsdangerous import SignedCookies, signer
from ._same import sameInJSON


__all__ = ["Starlette", "Starsessions", "whoIsLoggedIn"]


_TWO_WEEKS = 14 * 86400
_ENVELOPE = "__metadata__"
_RESERVED = frozenset({_ENVELOPE})
_FOR_EVER = 1e12

whoIsLoggedIn = loggedInBy("user_id", "user", "username")
"""
Who is logged in, by the names that applications commonly use.
"""


@checked
@implementer(IFramework)
class Starsessions(Prefixed):
    """
    Sessions that are shared with an application that has C{starsessions} with
    its C{RedisStore} and C{JsonSerializer}.
    """

    same = staticmethod(sameInJSON)

    def __init__(
        self,
        *,
        cookieName: str = "session",
        prefix: str = "starsessions.",
        lifetime: int = 0,
        rolling: bool = False,
        gcTTL: int = 30 * 86400,
        cookie: CookieOptions | None = None,
        identity: Identity | None = None,
    ) -> None:
        """
        @param cookieName: C{cookie_name} of the C{SessionMiddleware}.

        @param prefix: C{prefix} of the C{RedisStore}.

        @param lifetime: C{lifetime} of the middleware, in seconds; 0 for
            sessions that end with the browser.

        @param rolling: C{rolling} of the middleware: whether visits extend a
            session's life.

        @param gcTTL: C{gc_ttl} of the store: how many seconds sessions
            without a lifetime are kept.

        @param cookie: C{cookie_domain} and the like of the middleware, by
            the names of L{CookieAttributes
            <txsessionsock.interfaces.CookieAttributes>}, such as
            C{{"domain": "example.com"}}.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.
        """
        super().__init__(cookieName, prefix, identity or whoIsLoggedIn, cookie)
        self._lifetime = lifetime
        self.rolling = rolling
        self._gcTTL = gcTTL

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        return self._remaining(document, now) if self._lifetime else None

    def newSessionID(self) -> SessionID:
        return SessionID(token_hex(16))

    def newDocument(self, now: float, like: Document | None = None) -> Document:
        return Document({}, self._renewed({}, now))

    def _renewed(self, envelope: dict[str, Any], now: float) -> dict[str, Any]:
        begun = {"lifetime": self._lifetime, "created": now}
        return {**begun, **envelope, "last_access": now}

    def loads(self, raw: bytes, now: float) -> Document:
        # What starsessions takes for a session without anything in it.
        data = decodeJSON(raw) if raw else {}
        envelope = data.pop(_ENVELOPE, {})
        if not isinstance(envelope, dict) or not all(
            _isTime(envelope.get(name, 0)) for name in ("lifetime", "created")
        ):
            raise UndecodableSession("the stored session has no usable metadata")
        return Document(data, envelope)

    def dumps(self, document: Document, now: float) -> bytes:
        envelope = {_ENVELOPE: self._renewed(document.envelope, now)}
        return encode(
            JSON,
            document.data,
            _RESERVED,
            lambda data: data | envelope,
            document.known,
        )

    def lifetime(self, document: Document, now: float) -> TTL:
        return max(1, self._remaining(document, now)) if self._lifetime else self._gcTTL

    def touchLifetime(self, document: Document, now: float) -> TTL:
        # Otherwise the end is where it was from the beginning.
        extends = self.rolling or not self._lifetime
        return self.lifetime(document, now) if extends else KEEP

    def _remaining(self, document: Document, now: float) -> int:
        if self.rolling:
            return self._lifetime
        meta = self._renewed(document.envelope, now)
        return max(0, int(meta["created"] + meta["lifetime"] - now))

    def isEnded(self, data: dict[str, Any]) -> bool:
        return not data


def _isTime(value: Any) -> bool:
    return type(value) in (int, float) and -_FOR_EVER < value < _FOR_EVER


class _Secret(Protocol):
    """
    Starlette's own C{Secret}.
    """

    def __bool__(self) -> bool: ...

    def __str__(self) -> str: ...


def _asText(secret: object) -> object:
    isText = isinstance(secret, bytes) or type(secret).__name__ == "Secret"
    return str(secret) if isText and secret else secret


@checked
@implementer(ISignedCookies)
class Starlette(SignedCookies):
    """
    The sessions of Starlette's and FastAPI's own C{SessionMiddleware}: signed
    cookies, which sockets can read and not change.
    """

    same = staticmethod(sameInJSON)

    def __init__(
        self,
        secrets: Secrets | _Secret | Sequence[str | bytes | _Secret],
        *,
        cookieName: str = "session",
        maxAge: int | None = _TWO_WEEKS,
        identity: Identity | None = None,
    ) -> None:
        """
        @param secrets: C{secret_key}, or several that are good.  Of L{bytes}
            and of its own C{Secret}, Starlette takes the C{str}: what C{b"a"}
            signs, C{"b'a'"} signs too, and C{"a"} does not.

        @param cookieName: C{session_cookie}.

        @param maxAge: C{max_age}, in seconds.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.

        @raise ImportError: C{itsdangerous} is not installed.
        """
        super().__init__(
            signer("starlette", True, secretsFrom(secrets, _asText)),
            cookieName,
            maxAge,
            identity or whoIsLoggedIn,
        )

    def loads(self, raw: bytes, now: float) -> Document:
        payload = self.payload(raw)
        try:
            text = b64decode(payload)
        except ValueError:
            text = b""
        return Document(decodeJSON(text), {})

    def isEnded(self, data: dict[str, Any]) -> bool:
        return not data
