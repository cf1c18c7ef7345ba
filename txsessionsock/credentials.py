# -*- test-case-name: tests.package.test_credentials -*-
"""
Where in a handshake, or in the first message, the session id is.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Iterable
from typing import Any, Protocol

from . import _json
from ._arguments import checked
from ._kinds import Store
from .cookies import cookieNamed
from .handshake import Handshake
from .interfaces import IFramework, InvalidCredential, SecondSession, SessionID
from .messages import Event
from .tickets import Tickets


__all__ = [
    "SUBPROTOCOL",
    "Auth",
    "Bearer",
    "Cookie",
    "Credential",
    "Found",
    "InBand",
    "Ticket",
]

SUBPROTOCOL = "sessionsock"
"""
The subprotocol that is chosen beside one that is a credential, which is never
echoed.
"""

_BEARER = "base64url.bearer."
_TICKET = "base64url.ticket."
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")

_AMBIENT = 9
"""
The rank of those that say nothing of it; see L{inOrder}.
"""

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

    It may have a method C{serves(manager)}, which is called with the manager of
    each server that it is given to, and raises L{ValueError} if it cannot serve
    there.

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


class Server(Protocol):
    """
    What a credential is told of whom it serves: the part of a L{SessionManager
    <txsessionsock.manager.SessionManager>} that it needs.
    """

    @property
    def framework(self) -> IFramework: ...

    def tickets(self, store: Any = None) -> Tickets:
        """
        The tickets for its sessions, which lie in that store.
        """


def inOrder(credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """
    @return: Those that are explicit before all others, however they were listed: a
        cookie counts only without them.
    """

    def rank(each: Credential) -> int:
        found: int = getattr(each, "rank", _AMBIENT)
        return found

    return tuple(sorted(credentials, key=rank))


def refuseSecond(credentials: Iterable[Credential], handshake: Handshake) -> None:
    """
    @param credentials: Those that are explicit have a method C{given}, which returns
        all that the handshake has of them, be it good or bad.

    @raise SecondSession: The handshake has two of these: nobody could say which one
        is meant.
    """
    explicit: Any = [each for each in credentials if hasattr(each, "given")]
    given = [value for each in explicit for value in each.given(handshake)]
    if len(given) > 1:
        raise SecondSession("a handshake names two sessions")


def isAmbient(credential: Credential) -> bool:
    """
    Whether browsers send it along whatever a page means: where the client may name
    its session in a message, a bad one is not the last word.
    """
    return isinstance(credential, Cookie)


def takesSubprotocols(credentials: Iterable[Credential]) -> bool:
    """
    Whether a subprotocol may be one of these.
    """
    return any(isinstance(each, (Bearer, Ticket)) for each in credentials)


def isSecret(subprotocol: str) -> bool:
    """
    Whether a subprotocol is a credential.
    """
    return subprotocol.startswith((_BEARER, _TICKET))


def _offered(handshake: Handshake, kind: str) -> list[object]:
    """
    @return: The subprotocols that are credentials of a kind, without its name.
    """
    headers = handshake.headers.get("sec-websocket-protocol", ())
    names = [each.strip(" \t") for header in headers for each in header.split(",")]
    return [name[len(kind) :] for name in names if name.startswith(kind)]


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


class Bearer:
    """
    C{Authorization: Bearer VALUE}, for clients that are no browsers, or a
    subprotocol C{base64url.bearer.VALUE}, with the value in base64url, beside the
    subprotocol C{sessionsock}.  The value is what the signed cookie would hold.
    """

    awaitsMessage = False
    rank = 0

    def serves(self, server: Server) -> None:
        """
        It is given to a server; see L{Credential}.

        @raise ValueError: Ids are not signed there.
        """
        if not _signs(server.framework):
            name = type(server.framework).__name__
            raise ValueError(
                f"Bearer() is for frameworks that sign their ids, which {name} does not"
                " here: whoever can guess or read an id would have the session; right"
                " is Ticket()"
            )

    def given(self, handshake: Handshake) -> list[object]:
        """
        See L{refuseSecond}.
        """
        return [*self._inHeaders(handshake), *_offered(handshake, _BEARER)]

    @staticmethod
    def _inHeaders(handshake: Handshake) -> list[str]:
        headers = handshake.headers.get("authorization", ())
        parts = [header.partition(" ") for header in headers]
        return [value.strip(" ") for name, _, value in parts if _isBearer(name)]

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        for value in self._inHeaders(handshake):
            return framework.sessionID(value, now)
        for encoded in _offered(handshake, _BEARER):
            return framework.sessionID(_decoded(str(encoded)), now)
        return None

    def inMessage(
        self, message: object, framework: IFramework, now: float
    ) -> SessionID | None:
        return None


def _isBearer(scheme: str) -> bool:
    # The names of schemes are the same in upper and lower case (RFC 9110, section
    # 11.1).
    return scheme.lower() == "bearer"


def _signs(framework: IFramework) -> bool:
    """
    Whether a framework takes no id that it has not signed.
    """
    if framework.readOnly:
        return True
    try:
        framework.sessionID(framework.newSessionID(), 0.0)
    except InvalidCredential:
        return True
    return False


def _decoded(encoded: str) -> str:
    if _BASE64URL.fullmatch(encoded):
        try:
            padded = encoded + "=" * (-len(encoded) % 4)
            return urlsafe_b64decode(padded).decode("utf-8")
        except ValueError:
            pass
    raise InvalidCredential("malformed")


@checked
class Ticket:
    """
    A ticket from a L{TicketResource<txsessionsock.web.TicketResource>}: as a
    subprotocol C{base64url.ticket.VALUE}, beside the subprotocol C{sessionsock};
    with Socket.IO as C{auth: {ticket: VALUE}}.
    """

    awaitsMessage = False
    rank = 1

    def __init__(self, store: Store | None = None) -> None:
        """
        @param store: Where tickets lie, if that is not the store of the sessions:
            the one that the L{TicketResource<txsessionsock.web.TicketResource>}
            has.
        """
        self._store = store
        self._server: Server | None = None
        self._tickets: Tickets | None = None

    def serves(self, server: Server) -> None:
        """
        It is given to a server; see L{Credential}.

        @raise ValueError: It serves another manager, or tickets cannot lie where
            the sessions are.
        """
        if self._server is not None and self._server is not server:
            raise ValueError(
                "this Ticket() serves a manager already: give each its own"
            )
        self._tickets = server.tickets(self._store)
        self._server = server

    def given(self, handshake: Handshake) -> list[object]:
        """
        See L{refuseSecond}.
        """
        auth, found = handshake.auth, _offered(handshake, _TICKET)
        if isinstance(auth, dict) and "ticket" in auth:
            found.append(auth["ticket"])
        return found

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> Found:
        given = self.given(handshake)
        if not given:
            return None
        if handshake.auth is not None and _offered(handshake, _TICKET):
            # Each namespace would show the one ticket of the connection.
            raise InvalidCredential("malformed")
        if self._tickets is None:
            raise RuntimeError("this Ticket() was given to no server")
        return self._tickets.redeem(given[0])

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
    rank = 2

    def __init__(self, *, allowUnsigned: bool = False) -> None:
        """
        @param allowUnsigned: Take a bare session id too, where the framework
            would take only a signed one.

        @raise TypeError: It is neither L{True} nor L{False}.
        """
        self._allowUnsigned = allowUnsigned

    def given(self, handshake: Handshake) -> list[object]:
        """
        See L{refuseSecond}.
        """
        auth = handshake.auth
        return [auth[_VALUE]] if isinstance(auth, dict) and _VALUE in auth else []

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        for value in self.given(handshake):
            return _verified(value, framework, now, self._allowUnsigned)
        return None

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
