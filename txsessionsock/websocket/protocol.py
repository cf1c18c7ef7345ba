# -*- test-case-name: tests.websocket.test_websocket -*-
"""
Autobahn's WebSocket, hardened: its methods, as far as ours take their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from autobahn.twisted.util import peer2str
from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._events import EVENTS
from txsessionsock.credentials import SUBPROTOCOL
from txsessionsock.handshake import Handshake, handshakeOf

from .doors import acceptFew
from .letgo import forgetErrors, letGo
from .line import Line
from .opening import accept, proceed, refuse
from .options import LEFT, NO_QUEUE, takeOptions
from .quiet import ProtocolLog, consumed
from .reading import Refused


__all__ = ["Hardened"]

_log = Logger()


class Hardened(WebSocketServerProtocol):
    """
    Stands before an Autobahn protocol.  It takes the names of Autobahn's own
    methods, and two more.

    @ivar _sessionsock: All else that it has.

    @cvar _sessionsockLine: What makes that.
    """

    CONFIG_ATTRS = []  # noqa: RUF012 - never changed; takeOptions takes them

    factory: Any
    transport: Any
    maxConnections: int
    autoPingTimeout: float
    openHandshakeTimeout: float
    websocket_protocols: list[str]
    websocket_protocol_in_use: str | None
    _transport_details: Any

    _sessionsock: Line
    _sessionsockLine: ClassVar[type[Line]] = Line

    log: Any = ProtocolLog()

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        # The application may have a logger of that name.
        cls.log = ProtocolLog(cls)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            # This is called for what a protocol has not got, nor its class.
            if name in LEFT:
                return getattr(self.factory, name)
            theirs = getattr(super(), "__getattr__", None)
            if theirs is None:
                kind = type(self).__name__
                raise AttributeError(
                    f"{kind!r} object has no attribute {name!r}", name=name, obj=self
                )
            return theirs(name)

    # The handshake.

    def connectionMade(self) -> None:
        acceptFew(self.transport, self.factory.reactor)
        self._sessionsock = self._sessionsockLine(self, Hardened)
        # An HTTP channel leaves itself as the transport's producer.
        self.transport.unregisterProducer()
        takeOptions(self)
        forgetErrors(self.transport)
        super().connectionMade()
        self.send_queue = NO_QUEUE
        tooMany = self._sessionsock.arrive()
        if tooMany is not None:
            now = self.factory.reactor.seconds()
            rules = self._sessionsock.rules
            rules.refused("limit")
            fields = {"event": "refused", "reason": "limit"}
            rules.refusals.warn(EVENTS, tooMany.why, now, tooMany.status, **fields)
            self.wasNotCleanReason = tooMany.reason
            self.dropConnection(abort=True)

    def processHandshake(self) -> None:
        proceed(self)

    def _meet(self) -> None:
        """
        Know who is at the other end.  Where the PROXY protocol is spoken, the proxy
        says whom it brings after the connection was made, when Autobahn had asked.
        """
        self.peer = peer2str(self.transport)
        if self._transport_details is not None:
            self._transport_details.peer = self.peer

    def succeedHandshake(self, res: Any) -> None:
        accept(self, res)

    def failHandshake(
        self,
        reason: str,
        code: int = 400,
        responseHeaders: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        headers = responseHeaders or ()
        refuse(self, Refused(reason, code, headers=headers, kind="application"))

    def consumeData(self) -> None:
        if self.state == self.STATE_CLOSED:
            # Over TLS, a client that was refused can send on until it agrees to the
            # end, and Autobahn would keep all of it.
            self.data = b""
        elif self.state in (self.STATE_OPEN, self.STATE_CLOSING):
            self._sessionsock.frames.consume()
        else:
            super().consumeData()

    def _requestOf(self, fields: Iterable[tuple[bytes, bytes]]) -> Handshake:
        self._meet()
        details, rules = self._transport_details, self._sessionsock.rules
        request = handshakeOf(
            fields,
            isTLS=details is not None and bool(details.is_secure),
            trustProxy=rules.trustProxy,
            peer=self.transport.getPeer(),
        )
        doubt = request.doubt
        if doubt is not None:
            rules.refusals.warn(_log, doubt, self.factory.reactor.seconds(), "proxy")
        return request

    def onOpenHandshakeTimeout(self) -> None:
        if self.state == self.STATE_CONNECTING and self._sessionsock.awaitsTurn:
            # The client has done its part.
            self.openHandshakeTimeoutCall = self.factory._batched_timer.call_later(
                self.openHandshakeTimeout, self.onOpenHandshakeTimeout
            )
        elif self.state == self.STATE_CLOSED:
            # It was refused, and over TLS waits for the client to agree to the end.
            self.openHandshakeTimeoutCall = None
            self._closeConnection(abort=True)
        else:
            super().onOpenHandshakeTimeout()

    def _onOpen(self) -> None:
        line = self._sessionsock
        # First, for onOpen may send, or register a producer.
        line.opened()
        super()._onOpen()
        isOffered = line.request and "sec-websocket-protocol" in line.request.headers
        if isOffered and self.websocket_protocol_in_use is None:
            right = "onConnect(request) returns the one to speak, of request.protocols"
            if not self.websocket_protocols:
                right = f"beside a ticket or bearer, offer {SUBPROTOCOL}, too"
            # One of them may be a token, so the log does not say which they are.
            line.rules.refusals.warn(
                _log,
                "a client offered subprotocols and none was chosen, so browsers drop"
                f" the connection; {right}",
                self.factory.reactor.seconds(),
                "subprotocol",
            )

    @contextmanager
    def _instead(self, name: str, call: Callable[..., object]) -> Iterator[None]:
        """
        Have Autobahn call something else than a method of the application.  An
        attribute of the protocol itself comes before those of its class.
        """
        own = vars(self)
        theirs = own.get(name)
        own[name] = call
        try:
            yield
        finally:
            del own[name]
            if theirs is not None:
                own[name] = theirs

    # While it is open.

    def endMessage(self) -> None:
        super().endMessage()
        self._sessionsock.messageEnded()

    def dataReceived(self, data: bytes) -> None:
        if not self._sessionsock.frames.received(data):
            super().dataReceived(data)

    def onFrameBegin(self) -> None:
        super().onFrameBegin()
        self._sessionsock.frames.began()

    def sendData(
        self, data: bytes, sync: bool = False, chopsize: int | None = None
    ) -> None:
        # All goes through here, also pongs, which the client can ask for.  Autobahn
        # has a queue of its own, without a bound, for what is to leave in pieces
        # or one by one, as its own tests want it.
        self._sessionsock.put(data)

    def sendCloseFrame(self, *args: Any, **more: Any) -> None:
        super().sendCloseFrame(*args, **more)
        self._sessionsock.closing()

    def fire(self, event: str, *args: Any, **named: Any) -> Any:
        return consumed(super().fire(event, *args, **named))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._sessionsock.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._sessionsock.unregisterProducer()

    # Its end.

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        line, lost = self._sessionsock, super().connectionLost

        def gone() -> None:
            try:
                lost(reason)
            finally:
                line.place.leave()
                line.end()
                letGo(self)

        if not line.frames.waits:
            # Otherwise later: what it left behind takes memory until it is handled.
            line.place.leave()
        if not line.frames.lost(gone):
            gone()

    def onAutoPingTimeout(self) -> None:
        line = self._sessionsock
        if line.isHeld or line.frames.waits:
            # The pong may wait in the socket that we do not read.
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.autoPingTimeout, self.onAutoPingTimeout
            )
        else:
            super().onAutoPingTimeout()

    def dropConnection(self, abort: bool = False) -> None:
        if self.state != self.STATE_CLOSED:
            self._sessionsock.drop(isAborted=abort)
        super().dropConnection(abort)

    def _onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._sessionsock.drop()
        try:
            super()._onClose(wasClean, code, reason)
        except Exception:
            # Autobahn would not count the connection as closed (autobahn-python,
            # issue 501), and refuse all others after maxConnections of these.
            now = self.factory.reactor.seconds()
            rules = self._sessionsock.rules
            rules.refusals.failure(_log, "onClose failed", Failure(), now)
