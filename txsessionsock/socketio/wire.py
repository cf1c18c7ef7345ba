# -*- test-case-name: tests.socketio.test_engine_upgrade -*-
"""
A WebSocket that carries packets of Engine.IO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.closecodes import Code
from txsessionsock.protocol import Equipment
from txsessionsock.websocket import (
    AutobahnTimer,
    Hardened,
    Line,
    Overfull,
    setLimits,
)

from .enginepackets import Message


if TYPE_CHECKING:
    from typing import Protocol

    class _Connection(Protocol):
        """
        The connection of Engine.IO to which a WebSocket belongs.
        """

        def isProbedBy(self, wire: Wire) -> bool:
            """
            Whether a client may go over to this WebSocket.
            """

        def wireTook(self, wire: Wire, packet: Message) -> None:
            """
            The client sent a packet.
            """

        def wireRelieved(self, wire: Wire) -> None:
            """
            There is room again for what the client is sent.
            """

        def wireLost(self, wire: Wire, code: int, reason: str) -> None:
            """
            The WebSocket is gone.
            """

    class _Engine(Protocol):
        @property
        def equipment(self) -> Equipment: ...

        @property
        def reactor(self) -> Any: ...

        def openedBy(self, wire: Wire) -> _Connection:
            """
            A client has come by WebSocket.
            """


__all__ = ["Wire", "WireProtocol", "factoryFor"]

_log = Logger()

_NO_STATUS = 1005
"""
The code of a close frame without one (RFC 6455, section 7.1.5).
"""


class Wire(Line):
    """
    A WebSocket of one client.

    @ivar connection: To which it belongs; L{None} before it is open, and after the
        connection is over.
    """

    # A message may be made of eleven packets.
    mostFrames = 128

    connection: _Connection | None = None

    def __init__(self, protocol: Any, ours: type) -> None:
        super().__init__(protocol, ours)
        known: _Connection | None = protocol.known
        self._isNew = known is None
        if known is not None and known.isProbedBy(self):
            self.connection = known

    def arrive(self) -> Overfull | None:
        if self.connection is None:
            return super().arrive()
        # Its client has one already.
        self.place = self.rules.admission.beside()
        return None

    def begin(self) -> None:
        """
        The WebSocket is open.
        """
        if self._isNew:
            self.connection = self._protocol.factory.engine.openedBy(self)
        elif self.connection is None:
            # The client has gone over already, or does so by another one.
            self.close(Code.NORMAL, "")

    def letGo(self, code: int, reason: str) -> None:
        """
        The connection has no use for it any more.
        """
        self.connection = None
        self.close(code, reason)

    def took(self, payload: bytes, isBinary: bool) -> None:
        """
        Something was received.
        """
        if self.connection is not None:
            self.connection.wireTook(self, (payload, isBinary))

    def relieved(self) -> None:
        if self.connection is not None:
            self.connection.wireRelieved(self)

    @property
    def awaits(self) -> bool:
        """
        Whether nothing is received for now, or something came that is not handled
        yet.
        """
        return self.isHeld or self.frames.waits

    def gone(self, code: int, reason: str) -> None:
        """
        The WebSocket is closed.
        """
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.wireLost(self, code, reason)


class WireProtocol(Hardened):
    """
    The WebSocket itself.

    @ivar known: The connection that wants to go over to it; L{None} if it is to
        have one of its own.
    """

    _sessionsock: Wire
    _sessionsockLine = Wire

    known: _Connection | None = None

    def onOpen(self) -> None:
        self._sessionsock.begin()

    def _onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._sessionsock.took(payload, isBinary)

    def _onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        wire = self._sessionsock
        isOurs = self.closedByMe or self.droppedByMe
        if self.closedByMe and self.localCloseCode is not None:
            code = self.localCloseCode
        try:
            wire.drop()
            wire.gone(
                _NO_STATUS if code is None else code,
                "transport error" if isOurs and not wasClean else "transport close",
            )
        except Exception:
            # Autobahn would not count the connection as closed.
            now = self.factory.reactor.seconds()
            rules = wire.rules
            rules.refusals.failure(_log, "a WebSocket failed", Failure(), now)
        finally:
            self.known = None


class _WireFactory(WebSocketServerFactory):
    """
    Builds L{WireProtocol}s.
    """

    protocol = WireProtocol


def factoryFor(engine: _Engine) -> Any:
    """
    @return: What builds the WebSockets of a server.
    """
    factory: Any = _WireFactory(reactor=engine.reactor)
    factory.engine = engine
    factory._sessionsock = engine.equipment
    factory._batched_timer = AutobahnTimer(engine.reactor)
    setLimits(factory, engine.equipment.limits)
    # Engine.IO has pings of its own.
    factory.setProtocolOptions(autoPingInterval=0, autoPingTimeout=0)
    # Origins says which pages may connect.
    factory.allowNullOrigin = True
    return factory
