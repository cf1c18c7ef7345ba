# -*- test-case-name: tests.frameworks.test_signed_cookies -*-
"""
Sessions that live in the browser, in a cookie that C{itsdangerous} signed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from txsessionsock.interfaces import (
    FOREVER,
    TTL,
    Document,
    InvalidCredential,
    SessionID,
    UndecodableSession,
)

from ._base import Identity, InBrowser


if TYPE_CHECKING:
    from itsdangerous import Signer, TimestampSigner

__all__ = ["SignedCookies", "signer"]


_SIGNED = re.compile(r"[!-~]+\.[\w-]+\.[\w-]+", re.ASCII)


def signer(extra: str, isTimed: bool, secrets: Sequence[bytes], **options: Any) -> Any:
    """
    Make a signer of C{itsdangerous}.

    @param extra: What to install to have it.

    @param secrets: The first signs, all verify.

    @raise ImportError: It is not installed.
    """
    try:
        # Only here: all other frameworks work without it.
        import itsdangerous  # noqa: PLC0415 - an extra
    except ImportError:
        command = f'pip install "txsessionsock[{extra}]"'
        message = f"signed cookies need itsdangerous: {command}"
        raise ImportError(message) from None
    kind: type[Signer] = (
        itsdangerous.TimestampSigner if isTimed else itsdangerous.Signer
    )
    # There the newest comes last.
    return kind(secrets[::-1], **options)


class SignedCookies(InBrowser):
    """
    A framework whose cookies C{itsdangerous} signs.
    """

    _signer: TimestampSigner

    def __init__(
        self,
        signer: TimestampSigner,
        cookieName: str,
        maxAge: float | None,
        identity: Identity,
    ) -> None:
        """
        @param maxAge: For how many seconds a cookie is good; L{None} for
            ever.
        """
        super().__init__(cookieName, identity)
        self._signer = signer
        self._maxAge = maxAge

    def _times(self, cookie: str) -> tuple[float, float]:
        if not _SIGNED.fullmatch(cookie):
            raise InvalidCredential("malformed")
        opened = self._opened(cookie)
        if opened is None:
            raise InvalidCredential("bad-signature")
        # Whole seconds are counted, and one that is as old as it may be is good.
        signed, age = opened[1], inf if self._maxAge is None else self._maxAge + 1
        return signed, signed + age

    def _opened(self, value: str | bytes) -> tuple[bytes, float] | None:
        """
        @return: What was signed and when; L{None} if it was not.
        """
        from itsdangerous import BadSignature  # noqa: PLC0415 - an extra

        raw = value.encode() if isinstance(value, str) else value
        before, _, signature = raw.rpartition(b".")
        # C{unsign} keeps its error of a wrong signature in a cycle with its
        # frame, and so all that the callers have, such as a connection.
        if not self._signer.verify_signature(before, signature):
            return None
        try:
            payload, signed = self._signer.unsign(raw, return_timestamp=True)
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

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        return self._maxAge

    def newSessionID(self) -> SessionID:
        return SessionID(token_urlsafe(32))

    def lifetime(self, document: Document, now: float) -> TTL:
        return FOREVER if self._maxAge is None else self._maxAge
