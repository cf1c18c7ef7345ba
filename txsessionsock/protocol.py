# -*- test-case-name: tests.test_protocol -*-
"""
WebSockets that carry web sessions.

Subclass L{SessionSocketProtocol} and give it to a L{SessionSocketFactory}::

    class Counter(SessionSocketProtocol):
        def sessionMessageReceived(self, message, session):
            session["count"] = session.get("count", 0) + 1
            self.send(session["count"])

Or have L{enable} do it for the Autobahn factory that you have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ._events import Listener
from ._sessioned import Sessioned
from ._wire import Equipment, Timer, Wire, overrides
from .credentials import Credential, Origins
from .interfaces import EndReason, InvalidReason, StoreFailure, UndecodableSession
from .manager import SessionManager
from .messages import JSON, Messages, Raw
from .session import Session
from .sockets import Code, Limits, SessionSockets, refuseCode


__all__ = ["SessionSocketFactory", "SessionSocketProtocol", "enable"]

_log = Logger()


class _SessionOf:
    """
    An attribute that a protocol of somebody else may set to something else.
    """

    def __get__(self, protocol: Any, owner: object) -> Session | None:
        return None if protocol is None else protocol._sessionsock.client.session


class _Application:
    """
    What an application overrides, and what it calls.  It comes after the
    protocol that L{enable} is given, whose own names win.

    @cvar messages: What messages are: L{JSON}, or L{Raw}.

    @ivar session: The client's session, once it is there.
    """

    messages: Messages = JSON()
    session = _SessionOf()

    _sessionsock: Wire

    def sessionConnected(self, session: Session) -> object:
        """
        The session is there.  Called once, before any message.
        """

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        """
        The client sent a message.
        """

    def sessionInvalid(self, reason: InvalidReason) -> object:
        """
        There is no session.  The client can still be told; then it is
        disconnected.
        """

    def sessionChanged(self, session: Session, keys: Sequence[str]) -> object:
        """
        Somebody else changed these keys: another socket or page, on this node
        or another, or the web application.
        """

    def sessionDestroyed(self, session: Session, reason: EndReason) -> object:
        """
        The session ended while the client was connected.  It cannot be told
        any more than the close code does.
        """

    def sessionError(self, failure: Failure) -> object:
        """
        The store failed, the session cannot be decoded or encoded, or a
        handler raised.  Unless overridden or listened to, it is logged.
        """
        if self._sessionsock.client.handlers.hear("serror"):
            return None
        if failure.check(StoreFailure):
            _log.error("the session store failed: {why}", why=failure.value)
        elif failure.check(UndecodableSession):
            _log.error("a session cannot be read: {why}", why=failure.value)
        else:
            _log.failure("a session socket failed", failure)
        return None

    def sessionDisconnected(self, session: Session, code: int) -> object:
        """
        The client is gone; what it sent before was handled.  What is changed
        now is still stored.

        @param code: The close code, ours if we closed; 1006 if there was
            none.
        """

    def send(self, value: Any) -> None:
        """
        Send a message.  In C{perMessage} mode it goes out when all that was
        changed in the session until now is stored.  When the client is gone,
        nothing happens.

        @raise ValueError: The value is no message.
        """
        self._sessionsock.client.send(value)

    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """
        Disconnect, when what was sent before has gone out.

        @param code: The close code that the client gets.

        @raise ValueError: That code cannot be sent (RFC 6455, section 7.4).
        """
        refuseCode(code)
        self._sessionsock.client.close(code, reason)

    def receive(self) -> Deferred[Any]:
        """
        Wait for the client's next message; for a handler that asks its client
        something and awaits the answer.  That message fires no C{smessage}.

        @return: A L{Deferred} that fires with the message.  It fails with
            L{ClientGone<txsessionsock.interfaces.ClientGone>} or
            L{NoSuchSession<txsessionsock.interfaces.NoSuchSession>} if none
            will come.
        """
        return self._sessionsock.client.receive()


class SessionSocketProtocol(Sessioned, _Application):
    """
    One WebSocket, with the session of the browser at its other end.

    Override the C{session...} methods; each may return a L{Deferred} or be a
    coroutine, and is waited for before the next message is handled.  What
    Autobahn calls C{onOpen}, C{onMessage} and C{onClose} is called after
    C{sessionConnected}, C{sessionMessageReceived} and C{sessionDisconnected},
    as part of the same handler.

    @cvar indexes: By what else than their sessions the L{Hub<txsessionsock.hub.Hub>}
        of C{twistd sessionsock} is to find them: for each name, what makes a
        value of a session; see C{Hub.index}.
    """

    indexes: ClassVar[Mapping[str, Callable[[Session], object]]] = {}


class SessionSocketFactory(WebSocketServerFactory):
    """
    Builds one L{SessionSocketProtocol} for each connection.

    @ivar sockets: All its clients.
    """

    protocol: type[SessionSocketProtocol] = SessionSocketProtocol

    def __init__(
        self,
        manager: SessionManager,
        *,
        perMessage: bool = False,
        origins: Iterable[str] = (),
        trustProxy: bool = False,
        credentials: Sequence[Credential] | None = None,
        limits: Limits | None = None,
        url: str | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        """
        @param manager: Where sessions come from.

        @param perMessage: Make the session fresh for each message and store
            it after, instead of loading it once and storing it at the end.

        @param origins: Further web sites whose pages may connect, beside the
            one that they connect to, such as C{"https://example.com"}.

        @param trustProxy: Whether there is a proxy in front that sets
            C{X-Forwarded-Proto} and C{X-Forwarded-Host}.

        @param credentials: The ways to name a session; L{Cookie
            <txsessionsock.credentials.Cookie>} unless given.

        @param limits: What one client may take.

        @param url: The public address of this server, if it is known.

        @param reactor: The clock; the manager's unless given.

        @raise ValueError: One of C{origins} is no origin.
        """
        super().__init__(url, reactor=reactor or manager.reactor)
        self.sockets = SessionSockets(
            manager, perMessage=perMessage, credentials=credentials, limits=limits
        )
        self._sessionsock = Equipment(
            self.sockets, Origins(origins, trustProxy=trustProxy)
        )
        _limit(self, self.sockets.limits)

    def on(self, event: str, listener: Any = None) -> Any:
        """
        See L{SessionSockets.on}.
        """
        return self.sockets.on(event, listener)

    def off(self, event: str, listener: Listener) -> None:
        """
        See L{SessionSockets.off}.
        """
        self.sockets.off(event, listener)


def enable(
    factory: WebSocketServerFactory,
    manager: SessionManager,
    perMessage: bool = False,
    *,
    origins: Iterable[str] = (),
    trustProxy: bool = False,
    credentials: Sequence[Credential] | None = None,
    limits: Limits | None = None,
    messages: Messages | None = None,
) -> SessionSockets:
    """
    Give the clients of an Autobahn factory the sessions of their browsers.

    The C{onMessage} of its protocol becomes part of the handler of each
    message: C{smessage} comes before it, what it returns is waited for, and
    what it sends goes out when the session is stored.

    Call it when the factory has its C{protocol}, and before it builds any.

    @param messages: What C{smessage} gets.  Unless given, what a
        L{SessionSocketProtocol} says; of others, L{Raw} if the protocol has
        an C{onMessage} of its own, L{JSON} otherwise.

    The other arguments are those of L{SessionSocketFactory}.

    @return: What to listen to: C{sockets.on("smessage", f)}.

    @raise ValueError: The factory is enabled already, or one of C{origins} is
        no origin.
    """
    if hasattr(factory, "_sessionsock"):
        raise ValueError(f"{factory!r} has sessions already")
    sockets = SessionSockets(
        manager, perMessage=perMessage, credentials=credentials, limits=limits
    )
    protocol: Any = factory.protocol
    if not issubclass(protocol, SessionSocketProtocol):
        if messages is None:
            messages = Raw() if overrides(protocol, "onMessage") else JSON()
        name = f"Sessioned{protocol.__name__}"
        enabled: Any = type(name, (Sessioned, protocol, _Application), {})
        factory.protocol = enabled
    anyFactory: Any = factory
    anyFactory._sessionsock = Equipment(
        sockets, Origins(origins, trustProxy=trustProxy), messages
    )
    _limit(factory, limits=sockets.limits)
    return sockets


def _limit(factory: Any, limits: Limits) -> None:
    """
    Set the limits that nobody set.
    """
    factory._batched_timer = Timer(factory.reactor)
    defaults = WebSocketServerFactory(reactor=factory.reactor)
    options = {
        "maxFramePayloadSize": limits.messageSize,
        "maxMessagePayloadSize": limits.messageSize,
        "openHandshakeTimeout": limits.handshakeTimeout,
        "closeHandshakeTimeout": limits.closeTimeout,
        "autoPingInterval": limits.pingInterval,
        "autoPingTimeout": limits.pingTimeout,
        # Or a bad message would be answered by a reset, not by a close code.
        "failByDrop": False,
    }
    factory.setProtocolOptions(
        # Who may connect is ours to say; Autobahn would answer 400.
        allowNullOrigin=True,
        **{
            name: value
            for name, value in options.items()
            if getattr(factory, name) == getattr(defaults, name)
        },
    )
