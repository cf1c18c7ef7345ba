# -*- test-case-name: tests.websocket.test_websocket -*-
"""
Autobahn's WebSocket, hardened: who may connect, what may wait for a client that
does not read, what the end of a connection has to wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, ClassVar, Protocol

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.util import encode_truncate
from autobahn.websocket.protocol import PreparedMessage
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._seldom import Seldom
from txsessionsock.forwarded import Proxies, trusted
from txsessionsock.handshake import Handshake, handshakeOf
from txsessionsock.limits import Limits
from txsessionsock.origins import Origins

from .admission import Admission, addressOf
from .opening import accept, proceed, refuse
from .options import takeOptions
from .outflow import Outflow
from .quiet import ProtocolLog, Quiet, consumed
from .reading import Refused


__all__ = ["Hardened", "Line", "Rules"]

_log = Logger()

_REASON_SIZE = 123
"""
How many bytes of a reason fit into a close frame (RFC 6455, section 5.5).
"""


class Rules(Protocol):
    """
    The attribute C{_sessionsock} of a factory of L{Hardened} protocols.

    @ivar refusals: The lines of the log about handshakes that do not do.
    """

    @property
    def limits(self) -> Limits: ...

    @property
    def origins(self) -> Origins: ...

    @property
    def trustProxy(self) -> bool | Proxies: ...

    @property
    def refusals(self) -> Seldom: ...

    @property
    def admission(self) -> Admission: ...


class Line:
    """
    All that a protocol has beside Autobahn's own, in one place so that few names
    are taken from those who write protocols.  It sends messages in order, and
    can stop receiving.

    @ivar connectedAt: When the connection came, in seconds since the epoch.

    @ivar request: The request of the handshake, once it has come whole.

    @ivar place: The place that it takes among all connections.

    @ivar isPaused: Whether nothing is received for now.
    """

    request: Handshake | None = None
    isPaused = False

    def __init__(
        self,
        protocol: Any,
        sendMessage: Callable[..., None],
        unregisterProducer: Callable[[], None],
    ) -> None:
        """
        @param sendMessage: Sends at once, as Autobahn's does, and for
            C{unregisterProducer} alike.
        """
        self._protocol = protocol
        self._sendMessage = sendMessage
        self._unregisterProducer = unregisterProducer
        self._reactor = protocol.factory.reactor
        self.connectedAt = self._reactor.seconds()
        rules = self.rules
        address = addressOf(protocol.transport, trusted(rules.trustProxy))
        self.place = rules.admission.arrive(address)
        self._outflow: Outflow | None = None
        # These wait for the end of a message that is sent in several frames.
        self._behind: list[tuple[Any, ...] | PreparedMessage] = []

    @cached_property
    def quiet(self) -> Quiet:
        """
        What Autobahn's own methods log to.
        """
        return Quiet(self.rules.refusals, self._reactor)

    @property
    def rules(self) -> Rules:
        """
        Those of the factory.
        """
        rules: Rules = self._protocol.factory._sessionsock
        return rules

    def began(self, at: float) -> None:
        """
        The connection came before we had it.

        @param at: When, in seconds since the epoch.
        """
        self.connectedAt = at
        timeout = self._protocol.openHandshakeTimeoutCall
        if timeout is not None:
            elapsed = self._reactor.seconds() - at
            timeout.reset(max(0.0, self._protocol.openHandshakeTimeout - elapsed))

    def opened(self) -> None:
        """
        The handshake is done.
        """
        self._outflow = Outflow(
            self._protocol.transport,
            self._reactor,
            self.rules.limits,
            partial(self._protocol.dropConnection, abort=True),
        )

    def drop(self) -> None:
        """
        The connection is about to be cut; a transport with a producer would
        wait for it.
        """
        outflow, self._outflow = self._outflow, None
        if outflow is not None:
            outflow.end()

    # What goes out.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let something of the application's produce.
        """
        if self._outflow is None:
            self._protocol.transport.registerProducer(producer, streaming)
        else:
            self._outflow.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        Let it produce no more.
        """
        if self._outflow is None:
            self._unregisterProducer()
        else:
            self._outflow.unregister()

    def wrote(self, size: int) -> None:
        """
        Something was given to the transport.
        """
        if self._outflow is not None:
            self._outflow.wrote(size)

    def check(self, frame: tuple[Any, ...]) -> None:
        """
        @param frame: What L{write} takes.

        @raise ValueError: Autobahn would not send that much.
        """
        limit = self._protocol.maxMessagePayloadSize
        if 0 < limit < len(frame[0]):
            raise ValueError(
                f"a message of {len(frame[0])} bytes; no more than {limit} can be"
                " sent (Limits.messageSize)"
            )

    def write(self, frame: tuple[Any, ...] | PreparedMessage) -> None:
        """
        Send a message, between two others.

        @param frame: The arguments of Autobahn's C{sendMessage}, or what its
            factory has prepared.
        """
        protocol = self._protocol
        if protocol.state != protocol.STATE_OPEN:
            return
        if protocol.send_state != protocol.SEND_STATE_GROUND:
            # The application is in the middle of a message (beginMessage), and
            # no other may come between its frames (RFC 6455, section 5.4).
            self._behind.append(frame)
        elif not isinstance(frame, PreparedMessage):
            self._sendMessage(*frame)
        elif protocol._perMessageCompress is None or frame.doNotCompress:
            protocol.sendData(frame.payloadHybi)
        else:
            self._sendMessage(frame.payload, frame.binary)

    def messageEnded(self) -> None:
        """
        The application has sent the last frame of a message.
        """
        behind, self._behind = self._behind, []
        for frame in behind:
            self.write(frame)

    def close(self, code: int, reason: str) -> None:
        """
        Send a close frame, with any code that can be sent.
        """
        if self._protocol.state == self._protocol.STATE_OPEN:
            text = reason.encode("utf-8", "replace").decode("utf-8")
            # sendClose refuses every code below 3000 but 1000.
            self._protocol.sendCloseFrame(
                code=int(code), reasonUtf8=encode_truncate(text, _REASON_SIZE) or None
            )

    # What comes in.

    def pause(self) -> None:
        """
        Receive nothing more for now.
        """
        self.isPaused = True
        self._protocol.transport.pauseProducing()

    def resume(self) -> None:
        """
        Receive again.
        """
        self.isPaused = False
        if self._protocol.state != self._protocol.STATE_CLOSED:
            self._protocol.transport.resumeProducing()


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

    # The handshake.

    def connectionMade(self) -> None:
        self._sessionsock = self._sessionsockLine(
            self, super().sendMessage, super().unregisterProducer
        )
        # An HTTP channel leaves itself as the transport's producer.
        self.transport.unregisterProducer()
        takeOptions(self)
        super().connectionMade()
        tooMany = self._sessionsock.place.hopeless
        if tooMany is not None:
            now = self.factory.reactor.seconds()
            refusals = self._sessionsock.rules.refusals
            refusals.warn(_log, tooMany.why, now, tooMany.status)
            self.wasNotCleanReason = tooMany.reason
            self.dropConnection(abort=True)

    def processHandshake(self) -> None:
        proceed(self)

    def succeedHandshake(self, res: Any) -> None:
        accept(self, res)

    def failHandshake(
        self,
        reason: str,
        code: int = 400,
        responseHeaders: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        refuse(self, Refused(reason, code, headers=responseHeaders or ()))

    def consumeData(self) -> None:
        if self.state == self.STATE_CLOSED:
            # Over TLS, a client that was refused can send on until it agrees to the
            # end, and Autobahn would keep all of it.
            self.data = b""
        else:
            super().consumeData()

    def _requestOf(self, fields: Iterable[tuple[bytes, bytes]]) -> Handshake:
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
        if self.state == self.STATE_CLOSED:
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
        if self.websocket_protocols and self.websocket_protocol_in_use is None:
            # One of them may be a token, so the log does not say which they are.
            line.rules.refusals.warn(
                _log,
                "a client offered subprotocols and none was chosen, so browsers drop"
                " the connection; onConnect(request) returns the one to speak, of"
                " request.protocols",
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

    def sendData(self, data: bytes, *args: Any, **more: Any) -> None:
        # All goes through here, also pongs, which the client can ask for.
        super().sendData(data, *args, **more)
        self._sessionsock.wrote(len(data))

    def fire(self, event: str, *args: Any, **named: Any) -> Any:
        return consumed(super().fire(event, *args, **named))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._sessionsock.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._sessionsock.unregisterProducer()

    # Its end.

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        try:
            super().connectionLost(reason)
        finally:
            self._sessionsock.place.leave()

    def onAutoPingTimeout(self) -> None:
        if self._sessionsock.isPaused:
            # The pong may wait in the socket that we do not read.
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.autoPingTimeout, self.onAutoPingTimeout
            )
        else:
            super().onAutoPingTimeout()

    def dropConnection(self, abort: bool = False) -> None:
        self._sessionsock.drop()
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
