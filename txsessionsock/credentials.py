# -*- test-case-name: tests.package.test_credentials -*-
"""
Where in a handshake, or in the first message, the session id is.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Protocol

from . import _json
from ._arguments import checked
from .cookies import cookieNamed
from .handshake import Handshake
from .interfaces import IFramework, InvalidCredential, SessionID
from .messages import Event


__all__ = ["Auth", "Cookie", "Credential", "Found", "InBand"]

# What begins like a signed value of Express has to be one.
_PLAIN_SESSION_ID = re.compile(
    r"(?!s(?::|%3A))[^\0-\x1f\x7f-\x9f\ud800-\udfff]{1,4096}", re.IGNORECASE
)


_VALUE = "__sid"
"""
Under which name the value of the cookie is sent.
"""

_EVENT = "connect_with_session"
"""
The event by which clients of the Node library send it.
"""

Found = SessionID | None | Awaitable[SessionID | None]
"""
What a credential answers: the id of a session or L{None}, at once or later.
"""


class Credential(Protocol):
    """
    One way for a client to name its session.

    Either method may have to ask somebody, such as a store, and answer later:
    by a L{Deferred<twisted.internet.defer.Deferred>}, or as a coroutine.  What
    the client sends meanwhile waits.  When the client goes meanwhile, or the
    answer takes longer than C{Limits.handshakeTimeout}, the C{Deferred} is
    cancelled.  If it fails with a L{StoreFailure
    <txsessionsock.interfaces.StoreFailure>}, the client is told to come again
    later.

    @ivar awaitsMessage: Whether it may come in a message after the handshake.
    """

    awaitsMessage: bool

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> Found:
        """
        @return: The id, or L{None} if the handshake has no such credential.

        @raise InvalidCredential: It has one that cannot be verified.
        """

    def inMessage(self, message: object, framework: IFramework, now: float) -> Found:
        """
        The same for a message.  Of a client that has named its session every
        message is looked at, and may be a second credential, which is refused:
        so what is no credential has to be answered with L{None} at once.
        """


class Cookie:
    """
    The session cookie that browsers send along.
    """

    awaitsMessage = False

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        value = cookieNamed(
            handshake.headers.get("cookie", ()),
            framework.cookieName,
            framework.firstCookieWins,
        )
        return None if value is None else framework.sessionID(value, now)

    def inMessage(
        self, message: object, framework: IFramework, now: float
    ) -> SessionID | None:
        return None


@checked
class Auth:
    """
    What a client of Socket.IO sends along: C{auth: {__sid: value}}.  The page must
    know the value, so a script in it can steal it; cookies are safer.
    """

    awaitsMessage = False

    def __init__(self, *, allowUnsigned: bool = False) -> None:
        """
        @param allowUnsigned: Take a bare session id too, where the framework
            would take only a signed one.

        @raise TypeError: It is neither L{True} nor L{False}.
        """
        self._allowUnsigned = allowUnsigned

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        auth = handshake.auth
        if not isinstance(auth, dict) or _VALUE not in auth:
            return None
        return _verified(auth[_VALUE], framework, now, self._allowUnsigned)

    def inMessage(
        self, message: object, framework: IFramework, now: float
    ) -> SessionID | None:
        return None


@checked
class InBand:
    """
    The first message: C{{"__sid": value, "connect": 1}}, as the Node library
    has it; with Socket.IO also its event C{connect_with_session}, with C{{"__sid":
    value}}.  The page must know the value, so a script in it can steal it; cookies
    are safer.
    """

    awaitsMessage = True

    def __init__(self, *, allowUnsigned: bool = False) -> None:
        """
        @param allowUnsigned: See L{Auth}.

        @raise TypeError: It is neither L{True} nor L{False}.
        """
        self._allowUnsigned = allowUnsigned

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        return None

    def inMessage(
        self, message: object, framework: IFramework, now: float
    ) -> SessionID | None:
        isNamed = False
        if isinstance(message, (str, bytes)):
            message = _parsed(message)
        elif isinstance(message, Event):
            isNamed = message.name == _EVENT
            message = _onlyOne(message)
        if not isinstance(message, dict) or _VALUE not in message:
            return None
        if not isNamed and message.get("connect") != 1:
            raise InvalidCredential("malformed")
        return _verified(message[_VALUE], framework, now, self._allowUnsigned)


def _verified(
    value: object, framework: IFramework, now: float, allowUnsigned: bool
) -> SessionID:
    if not isinstance(value, str):
        raise InvalidCredential("malformed")
    try:
        return framework.sessionID(value, now)
    except InvalidCredential:
        if allowUnsigned and _PLAIN_SESSION_ID.fullmatch(value):
            return SessionID(value)
        raise


def _onlyOne(event: Event) -> object:
    """
    @return: The one value of an event that may name a session.
    """
    isOurs = event.name in (_EVENT, "message") and len(event.args) == 1
    return event.args[0] if isOurs else None


def _parsed(message: str | bytes) -> object:
    raw = message.encode() if isinstance(message, str) else message
    try:
        return _json.loads(raw)
    except ValueError:
        return None
