# -*- test-case-name: tests.test_signed_cookies -*-
"""
Sessions that live in the browser, in a cookie that C{itsdangerous} signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from txsessionsock.cookies import isToken
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    Document,
    InvalidCredential,
    SessionID,
    UndecodableSession,
    UnencodableSession,
)


if TYPE_CHECKING:
    from itsdangerous import Signer, TimestampSigner

__all__ = ["Secrets", "SignedCookies", "signer"]


Secrets = str | bytes | Sequence[str | bytes]
"""
One secret, or several: the first signs, all verify.
"""

_MAX_COOKIE = 8192
_SIGNED = re.compile(r"[!-~]+\.[\w-]+\.[\w-]+", re.ASCII)
_SKEW = 60
"""
By how many seconds the clock of the web application may be ahead of ours.
"""


def signer(extra: str, isTimed: bool, secrets: Secrets, **options: Any) -> Any:
    """
    Make a signer of C{itsdangerous}.

    @param extra: What to install to have it.

    @raise ImportError: It is not installed.

    @raise ValueError: These are no secrets.
    """
    try:
        # As nobody else needs it.
        import itsdangerous  # noqa: PLC0415 - an extra
    except ImportError:
        command = f'pip install "txsessionsock[{extra}]"'
        message = f"signed cookies need itsdangerous: {command}"
        raise ImportError(message) from None
    known: list[Any] = [secrets] if isinstance(secrets, (str, bytes)) else list(secrets)
    if not known or not all(map(_isUsable, known)):
        raise ValueError("secrets is one str or bytes or several, none empty")
    kind: type[Signer] = (
        itsdangerous.TimestampSigner if isTimed else itsdangerous.Signer
    )
    # There the newest comes last.
    return kind(known[::-1], **options)


def _isUsable(secret: object) -> bool:
    if isinstance(secret, str):
        try:
            return bool(secret.encode())
        except UnicodeEncodeError:
            return False
    return isinstance(secret, bytes) and bool(secret)


class SignedCookies:
    """
    A framework whose sessions are cookies, signed with the time; what is
    common to all of them.  The id of a session is the whole cookie, so each
    time the web application sets the cookie anew, that is another session to
    us, and nothing can be stored.
    """

    readOnly = True
    _signer: TimestampSigner

    def __init__(
        self,
        signer: TimestampSigner,
        cookieName: str,
        maxAge: float | None,
        identity: Callable[[dict[str, Any]], object],
    ) -> None:
        """
        @param maxAge: For how many seconds a cookie is good; L{None} for
            ever.
        """
        if not isToken(cookieName):
            raise ValueError(f"{cookieName!r} cannot be the name of a cookie")
        self.cookieName = cookieName
        self._signer = signer
        self._maxAge = maxAge
        self._identity = identity

    def __repr__(self) -> str:
        return f"<{type(self).__name__} cookieName={self.cookieName!r}>"

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        """
        Verify the value of a session cookie.

        @raise InvalidCredential: C{malformed} if it does not look signed,
            C{bad-signature} if it is not by any of our secrets, C{expired} if
            that was too long ago.
        """
        if len(cookieValue) > _MAX_COOKIE or not _SIGNED.fullmatch(cookieValue):
            raise InvalidCredential("malformed")
        opened = self._opened(cookieValue)
        if opened is None:
            raise InvalidCredential("bad-signature")
        signed = opened[1]
        if signed > now + _SKEW or now >= self._end(signed):
            raise InvalidCredential("expired")
        return SessionID(cookieValue)

    def deadline(self, sessionID: SessionID) -> float | None:
        """
        When the cookie is too old, in seconds since the epoch; L{None} for
        never.

        @raise InvalidCredential: It is not signed by us.
        """
        opened = self._opened(sessionID)
        if opened is None:
            raise InvalidCredential("bad-signature")
        end = self._end(opened[1])
        return None if end == float("inf") else end

    def _end(self, signed: float) -> float:
        # Whole seconds are counted, and one that is as old as it may be is good.
        return float("inf") if self._maxAge is None else signed + self._maxAge + 1

    def _opened(self, value: str | bytes) -> tuple[bytes, float] | None:
        """
        @return: What was signed and when; L{None} if it was not.
        """
        from itsdangerous import BadSignature  # noqa: PLC0415 - an extra

        try:
            payload, signed = self._signer.unsign(value, return_timestamp=True)
            return payload, signed.timestamp()
        except (BadSignature, OSError, OverflowError, ValueError):
            # The latter three are times that no date expresses.
            return None

    def payload(self, raw: bytes) -> bytes:
        """
        @return: What was signed.

        @raise UndecodableSession: Nothing was.
        """
        opened = self._opened(raw)
        if opened is None:
            raise UndecodableSession("the session cookie is not signed by us")
        return opened[0]

    def cookieValue(self, sessionID: SessionID) -> str:
        return sessionID

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        return self._maxAge

    def newSessionID(self) -> SessionID:
        return SessionID(token_urlsafe(32))

    def newDocument(self, now: float) -> Document:
        return Document({}, {})

    def key(self, sessionID: SessionID) -> str:
        return sessionID

    def dumps(self, document: Document, now: float) -> bytes:
        raise UnencodableSession(
            "this session lives in the browser, where nothing can be stored",
            tuple(document.data),
        )

    def lifetime(self, document: Document, now: float) -> TTL:
        return FOREVER if self._maxAge is None else self._maxAge

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return KEEP

    def identity(self, data: dict[str, Any]) -> object:
        return self._identity(data)
