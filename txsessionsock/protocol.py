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

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ._events import Listener
from ._wire import Carrier, applicationOf, handshakeOf, overrides
from .client import Client
from .credentials import Credential, Handshake, Origins
from .interfaces import EndReason, InvalidReason, StoreFailure
from .manager import SessionManager
from .messages import JSON, Messages, Raw
from .session import Session
from .sockets import Code, Limits, SessionSockets


__all__ = ["SessionSocketFactory", "SessionSocketProtocol", "enable"]

_STANDARD = frozenset(range(1000, 1015)) - {1004, 1005, 1006}
_PRIVATE = range(3000, 5000)
"""
The close codes that may be sent (RFC 6455, section 7.4).
"""

_NO_STATUS = 1005
"""
The code of a close frame without one (RFC 6455, section 7.1.5).
"""


class SessionSocketProtocol(WebSocketServerProtocol):
    """
    One WebSocket, with the session of the browser at its other end.

    Override the C{session...} methods; each may return a L{Deferred} or be a
    coroutine, and is waited for before the next message is handled.  What
    Autobahn calls C{onOpen}, C{onMessage} and C{onClose} is called after
    C{sessionConnected}, C{sessionMessageReceived} and C{sessionDisconnected},
    as part of the same handler.

    @cvar messages: What messages are: L{JSON}, or L{Raw}.
    """

    messages: Messages = JSON()
    transport: Any
    autoPingTimeout: float

    _log = Logger()  # Autobahn owns C{log}.

    _handshake: Handshake | None = None

    # For applications.

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
        if self.client.handlers.hear("serror"):
            return None
        if failure.check(StoreFailure):
            self._log.error("the session store failed: {why}", why=failure.value)
        else:
            self._log.failure("a session socket failed", failure)
        return None

    def sessionDisconnected(self, session: Session, code: int) -> object:
        """
        The client is gone; what it sent before was handled.  What is changed
        now is still stored.

        @param code: The close code, ours if we closed; 1006 if there was
            none.
        """

    @property
    def session(self) -> Session | None:
        """
        The client's session, once it is there.
        """
        return self.client.session

    def send(self, value: Any) -> None:
        """
        Send a message.  In C{perMessage} mode it goes out when all that was
        changed in the session until now is stored.  When the client is gone,
        nothing happens.

        @raise ValueError: The value is no message.
        """
        self.client.send(value)

    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """
        Disconnect, when what was sent before has gone out.

        @param code: The close code that the client gets.

        @raise ValueError: That code cannot be sent (RFC 6455, section 7.4).
        """
        if code not in _STANDARD and code not in _PRIVATE:
            raise ValueError(f"{code} is no close code to send")
        self.client.close(code, reason)

    def receive(self) -> Deferred[Any]:
        """
        Wait for the client's next message; for a handler that asks its client
        something and awaits the answer.  That message fires no C{smessage}.

        @return: A L{Deferred} that fires with the message.  It fails with
            L{ClientGone<txsessionsock.interfaces.ClientGone>} or
            L{NoSuchSession<txsessionsock.interfaces.NoSuchSession>} if none
            will come.
        """
        return self.client.receive()

    def on(self, event: str, listener: Listener | None = None) -> Any:
        """
        Have a function called on each event of this client: C{"smessage"}
        with the message and the session, C{"disconnect"} with the session and
        the code, and so on.  Without a function, a decorator.  Autobahn's own
        event C{"message"} is still there.

        @raise ValueError: There is no such event.
        """
        if event == "message":
            return super().on(event, listener)
        listeners: Any = self.client.handlers.listeners
        return listeners.on(event, listener)

    # Autobahn's, made good.

    def sendMessage(
        self,
        payload: bytes,
        isBinary: bool = False,
        fragmentSize: int | None = None,
        sync: bool = False,
        doNotCompress: bool = False,
    ) -> None:
        """
        Like L{send}, for what is encoded already.
        """
        if not isinstance(payload, bytes):
            raise TypeError(f"a payload is bytes, not {type(payload).__name__}")
        frame = (payload, isBinary, fragmentSize, sync, doNotCompress)
        self.client.sendFrame(frame)

    def sendClose(self, code: int | None = None, reason: str | None = None) -> None:
        """
        Like L{close}.  Autobahn's refuses most codes.
        """
        self.close(Code.NORMAL if code is None else code, reason or "")

    def connectionMade(self) -> None:
        self._connectedAt = self.factory.reactor.seconds()
        sockets: SessionSockets = self.factory.sockets
        self._carrier = Carrier(self, sockets.limits, super().sendMessage)
        self.client = Client(sockets, self._carrier, applicationOf(self), self)
        super().connectionMade()

    def succeedHandshake(self, response: Any) -> None:
        # Here rather than in onConnect, which applications override.
        handshake = handshakeOf(self.http_request_data, self._isSecure())
        if not self.factory.origins.permits(handshake):
            self._log.warn(
                "refused a page of {origin!r}; it is not listed in origins",
                origin=self.http_headers.get("origin"),
            )
            self.failHandshake("origin not allowed", 403)
            return
        self._handshake = handshake
        super().succeedHandshake(response)

    def _isSecure(self) -> bool:
        details = self._transport_details
        return details is not None and bool(details.is_secure)

    def _onOpen(self) -> None:
        assert self._handshake is not None
        # Autobahn's does some things and then calls onOpen, whose time is
        # after sconnection.
        vars(self)["onOpen"] = lambda: None
        try:
            super()._onOpen()
        finally:
            del vars(self)["onOpen"]
        self._carrier.begin()
        elapsed = self.factory.reactor.seconds() - self._connectedAt
        self._guard(self.client.start, self._handshake, elapsed)

    def _onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            message = self.messages.decode(payload, isBinary)
        except ValueError:
            self.client.closeNow(Code.BAD_PAYLOAD, "bad message")
        else:
            self._guard(self.client.received, message, len(payload))

    def _onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._howItClosed = (wasClean, code, reason)
        self._carrier.end()
        if self._handshake is None:
            return
        if self.closedByMe and self.localCloseCode is not None:
            code = self.localCloseCode
        self._guard(self.client.lost, _NO_STATUS if code is None else code)

    def _guard(self, call: Callable[..., object], *args: Any) -> None:
        """
        Autobahn has no good answer to an exception in what it calls.
        """
        try:
            call(*args)
        except Exception:
            self._log.failure("a session socket failed")
            self._carrier.close(Code.INTERNAL_ERROR, "")

    def onAutoPingTimeout(self) -> None:
        if self._carrier.isPaused:
            # The pong may wait in the socket that we do not read.
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.autoPingTimeout, self.onAutoPingTimeout
            )
        else:
            super().onAutoPingTimeout()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._carrier.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._carrier.unregisterProducer()


class SessionSocketFactory(WebSocketServerFactory):
    """
    Builds one L{SessionSocketProtocol} for each connection.

    @ivar sockets: All its clients.
    """

    protocol: type[SessionSocketProtocol] = SessionSocketProtocol
    sockets: SessionSockets
    origins: Origins

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
        _equip(
            self,
            SessionSockets(
                manager, perMessage=perMessage, credentials=credentials, limits=limits
            ),
            Origins(origins, trustProxy=trustProxy),
        )

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

    @param messages: What C{smessage} gets.  L{Raw} if the protocol has an
        C{onMessage} of its own, L{JSON} otherwise.

    The other arguments are those of L{SessionSocketFactory}.

    @return: What to listen to: C{sockets.on("smessage", f)}.

    @raise ValueError: The factory is enabled already, or one of C{origins} is
        no origin.
    """
    if hasattr(factory, "sockets"):
        raise ValueError(f"{factory!r} has sessions already")
    protocol: Any = factory.protocol
    if messages is None:
        messages = Raw() if overrides(protocol, "onMessage") else JSON()
    sockets = SessionSockets(
        manager, perMessage=perMessage, credentials=credentials, limits=limits
    )
    _equip(factory, sockets, Origins(origins, trustProxy=trustProxy))
    factory.protocol = type(
        f"Sessioned{protocol.__name__}",
        (SessionSocketProtocol, protocol),
        {"messages": messages},
    )
    return sockets


def _equip(factory: Any, sockets: SessionSockets, origins: Origins) -> None:
    """
    Set the limits that nobody set.
    """
    factory.sockets = sockets
    factory.origins = origins
    limits = sockets.limits
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
