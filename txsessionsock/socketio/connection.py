# -*- test-case-name: tests.socketio.test_connection -*-
"""
The packets of one connection, and the namespaces that its client is connected to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock import _json
from txsessionsock._deferreds import Timer
from txsessionsock._seldom import shown
from txsessionsock.clients import Phase
from txsessionsock.closecodes import Code
from txsessionsock.interfaces import SessionID

from .carrier import NamespaceCarrier
from .engineconnection import EngineConnection
from .ghost import Ghost
from .lobby import sizeOf
from .packets import BadPacket, Decoder, Kind, Message, Packet, Parser, parserFor
from .places import Places


__all__ = ["Connection"]

_log = Logger()

# Names of their own: Python 3.11 is slow to find the members of an Enum, and these
# are asked for at each packet.
_CONNECT, _DISCONNECT, _EVENT, _ACK = (
    *(Kind.CONNECT, Kind.DISCONNECT),
    *(Kind.EVENT, Kind.ACK),
)

_PARSE_ERROR = "parse error"

_WORDS: dict[int, str] = {
    Code.GOING_AWAY: "server shutting down",
    Code.BAD_PAYLOAD: _PARSE_ERROR,
}
"""
Why a connection ends that we close, in Socket.IO's words; else C{_CLOSED}.
"""

_CLOSED = "forced server close"

_GOING_AWAY = "server going away"


class Connection:
    """
    What an Engine.IO connection carries: packets, of which each belongs to a
    namespace.  The namespaces of a client share its session, and each has a client
    of its own, with its own handlers.

    @ivar parser: What makes packets of messages, and messages of packets: what the
        first message is tells which one.

    @ivar peer: Where the client is.
    """

    parser: Parser

    def __init__(self, places: Places, engine: EngineConnection) -> None:
        """
        @param places: The namespaces of the server.
        """
        self._places = places
        self.equipment = places.equipment
        self._engine: EngineConnection | None = engine
        reactor = self.equipment.sockets.manager.reactor
        self._limits = self.equipment.limits
        self._decoder: Decoder | None = None
        self.peer = engine.request.client or "somebody"
        self._carriers: dict[str, NamespaceCarrier] = {}
        # What stands in for those of its clients that were lost and may come back.
        self._ghosts: list[Ghost] = []
        # Which namespaces we have disconnected: what the client sent to them before
        # it knew is no fault of its.
        self._left: set[str] = set()
        self._leaving: list[tuple[NamespaceCarrier, int]] = []
        self._leave = Timer(reactor)
        self._pausing: set[NamespaceCarrier] = set()
        self._closesWhenEmpty = False
        # With which code and reason the connection is to be closed, once it is.
        self._end: tuple[int, str] | None = None
        self._ending = Timer(reactor)
        self._words: str | None = None
        self._gone: list[Deferred[None]] = []
        # For a client that is in no namespace, and for one whose attachments are
        # missing.
        self._idle = Timer(reactor)
        self._half = Timer(reactor)
        self._due = 0.0
        self._putOff()
        self._size = sizeOf(engine.request)
        self._waitForNamespace()

    # What comes in.

    def received(self, payload: bytes, isBinary: bool) -> None:
        """
        See L{Receiver<txsessionsock.socketio.engineconnection.Receiver>}.
        """
        if self._words is not None:
            return
        try:
            self._received(payload, isBinary)
        except BadPacket:
            self.close(Code.BAD_PAYLOAD, _PARSE_ERROR)
        except Exception:
            manager = self.equipment.sockets.manager
            manager.failed(_log, "a client of Socket.IO failed", Failure())
            self.close(Code.INTERNAL_ERROR, "")

    def _received(self, payload: bytes, isBinary: bool) -> None:
        decoder = self._decoder
        if decoder is None:
            self.parser = parserFor(isBinary)
            decoder = self._decoder = self.parser.decoder(self._limits)
        packet = decoder.add(payload, isBinary)
        if packet is None:
            if not self._half.isRunning:
                self._half.start(self._limits.handshakeTimeout, self._isHalf)
            return
        if self._half.isRunning:
            self._half.stop()
        if packet.kind is _CONNECT:
            self._connect(packet)
            return
        carrier = self._carriers.get(packet.namespace)
        if packet.kind is _DISCONNECT:
            if carrier is not None:
                self._disconnected(carrier)
        elif carrier is None or not carrier.isAnswered:
            if packet.namespace not in self._left:
                raise BadPacket("a packet for a namespace that was not connected")
        elif packet.kind is _EVENT:
            carrier.event(packet, decoder.size)
        elif packet.kind is _ACK:
            carrier.answered(packet)
        else:
            raise BadPacket("a packet that only servers send")

    def _isHalf(self) -> None:
        self.close(Code.BAD_PAYLOAD, _PARSE_ERROR)

    def _connect(self, packet: Packet) -> None:
        name = packet.namespace
        engine, place = self._engine, self._places.named(name)
        assert engine is not None
        if self._closesWhenEmpty:
            return  # It is disconnected from all of them.
        if place is None:
            self._refuse(name, {"message": "Invalid namespace"})
            self._warn(
                f"a client asked for the namespace {shown(name)}, which there is not;"
                " right is io.of(name) before (twistd: namespaces of the class)",
                "namespace",
            )
        elif name not in self._carriers:
            # A second CONNECT may come before the session is read: there is to be
            # one client of a namespace.
            self._refuseLarge(packet.data)
            isAgain = name in self._left
            self._left.discard(name)
            self._waitsNoMore()
            known, request = (
                self._sessionID(),
                replace(
                    engine.request, auth={} if packet.data is None else packet.data
                ),
            )
            carrier = self._carriers[name] = NamespaceCarrier(self, place, request)
            carrier.mayRecover = not isAgain
            carrier.client.start(request, known=known)

    def _refuseLarge(self, auth: Any) -> None:
        """
        Refuse what would be kept as long as the client is there.

        @raise BadPacket: So it is.
        """
        most, size = self._limits.headerSize, 0
        if auth:
            try:
                size = _json.sizeOf(_json.dumps(auth))
            except ValueError:
                raise BadPacket("auth that is no JSON") from None
        if size > most:
            self._warn(
                f"a client sent auth of more than {most} bytes (Limits.headerSize)"
            )
            raise BadPacket("auth that is too large")

    def _warn(self, line: str, kind: object = None) -> None:
        now = self.equipment.sockets.manager.reactor.seconds()
        self.equipment.refusals.warn(_log, line, now, kind)

    def _sessionID(self) -> SessionID | None:
        """
        The session that the client has in another namespace.
        """
        for carrier in self._carriers.values():
            if carrier.sessionID is not None:
                client = carrier.client
                # One that is to be closed still waits for what it is sent.
                if client.isOpen or client.life.phase is Phase.CLOSING:
                    return carrier.sessionID
        return None

    def isSecond(self, sessionID: SessionID) -> bool:
        """
        Whether the client has another session in another namespace.
        """
        known = self._sessionID()
        return known is not None and known != sessionID

    def _disconnected(self, carrier: NamespaceCarrier) -> None:
        """
        The client has left a namespace.
        """
        del self._carriers[carrier.namespace]
        carrier.lost(Code.NORMAL, "client namespace disconnect")
        self._left.add(carrier.namespace)
        self._hasLeft(carrier)
        self._waitForNamespace()

    def _hasLeft(self, carrier: NamespaceCarrier) -> None:
        if carrier.sessionID is not None:
            self._putOff()

    def _putOff(self) -> None:
        """
        Wait as long for the client's next namespace as for the first.  Whoever has no
        session has no more time, however often it asks.
        """
        now = self.equipment.sockets.manager.reactor.seconds()
        self._due = now + self._limits.handshakeTimeout

    def _waitForNamespace(self) -> None:
        self._closeAtEnd()
        if self._carriers or self._engine is None:
            return
        if self._gone:
            # Somebody waits for its end, not for the client.
            self.close(Code.GOING_AWAY, _GOING_AWAY)
        elif self._closesWhenEmpty:
            self.close(Code.NORMAL, "")
        else:
            now = self.equipment.sockets.manager.reactor.seconds()
            self._idle.start(self._due - now, self._isIdle)
            self._places.lobby.enter(self, self._size)

    def _waitsNoMore(self) -> None:
        self._idle.stop()
        self._places.lobby.leave(self)

    def awaitSession(self) -> None:
        """
        The client is in a namespace, and is to name its session there.
        """
        if self._sessionID() is None:
            self._places.lobby.enter(self, self._size)

    def hasSession(self) -> None:
        """
        It has one.
        """
        self._places.lobby.leave(self)

    def _isIdle(self) -> None:
        self.close(Code.NO_CREDENTIAL_IN_TIME, "no namespace")

    # What goes out.

    def _refuse(self, name: str, why: dict[str, Any]) -> None:
        self.packet(Packet(Kind.CONNECT_ERROR, name, why))

    def packet(self, packet: Packet) -> None:
        """
        Send a packet.
        """
        self.send(self.parser.encode(packet))

    def send(self, messages: Sequence[Message]) -> None:
        """
        Send what was encoded.
        """
        if self._engine is not None and self._words is None:
            self._engine.send(messages)

    @property
    def unsent(self) -> int:
        """
        See L{Carrier<txsessionsock.clients.carrier.Carrier>}.
        """
        return 0 if self._engine is None else self._engine.unsent

    @property
    def mostUnsent(self) -> int:
        """
        See L{Carrier<txsessionsock.clients.carrier.Carrier>}.
        """
        return 0 if self._engine is None else self._engine.mostUnsent

    @property
    def isWritable(self) -> bool:
        """
        Whether what is sent now goes out at once.
        """
        return self._engine is not None and self._engine.isWritable

    def relieved(self) -> None:
        """
        See L{Receiver<txsessionsock.socketio.engineconnection.Receiver>}.
        """
        for carrier in list(self._carriers.values()):
            carrier.client.relieved()

    # Stopping to receive.

    def pause(self, carrier: NamespaceCarrier) -> None:
        """
        Receive nothing for now: too much waits for one of the namespaces.
        """
        self._pausing.add(carrier)
        if self._engine is not None and not self._engine.isPaused:
            self._engine.pause()

    def resume(self, carrier: NamespaceCarrier) -> None:
        """
        Receive again, if none of the others minds.
        """
        self._pausing.discard(carrier)
        if self._engine is not None and self._engine.isPaused and not self._pausing:
            self._engine.resume()

    # The end.

    def disconnect(self, carrier: NamespaceCarrier, code: int) -> None:
        """
        Have the client leave a namespace, and not come back by itself.
        """
        self.packet(Packet(Kind.DISCONNECT, carrier.namespace))
        self._leaves(carrier, code)

    def refuse(self, carrier: NamespaceCarrier, code: int, why: dict[str, Any]) -> None:
        """
        Do not let the client into a namespace.
        """
        self._refuse(carrier.namespace, why)
        self._leaves(carrier, code)

    def _leaves(self, carrier: NamespaceCarrier, code: int) -> None:
        if self._engine is None:
            return  # It is about to be told, with all others.
        del self._carriers[carrier.namespace]
        self._left.add(carrier.namespace)
        # A carrier calls no client: it may be in the middle of something.
        self._leaving.append((carrier, code))
        self._leave.start(0, self._haveLeft)

    def _haveLeft(self) -> None:
        leaving, self._leaving = self._leaving, []
        for carrier, code in leaving:
            carrier.lost(code, "server namespace disconnect")
            self._hasLeft(carrier)
        self._waitForNamespace()

    def disconnectAll(self) -> None:
        """
        Have the client leave all namespaces, when what was sent before has gone
        out, and close the connection; if it was lost before, wherever it is since.
        """
        self._closesWhenEmpty = True
        for carrier in list(self._carriers.values()):
            carrier.client.close(Code.NORMAL, "")
        for ghost in self._ghosts:
            ghost.current.close(Code.NORMAL, "")

    def goAway(self) -> Deferred[None]:
        """
        Close the connection because the server ends.  Clients that are in a
        namespace do that when they have what they are sent.

        @return: A L{Deferred} that fires when it is closed.
        """
        if not self._carriers:
            self.close(Code.GOING_AWAY, _GOING_AWAY)
        gone: Deferred[None] = Deferred()
        if self._engine is None:
            gone.callback(None)
        else:
            self._gone.append(gone)
        return gone

    def close(self, code: int, reason: str) -> None:
        """
        Close the connection, when what was sent before has gone out.  The client
        comes again by itself.
        """
        if self._engine is None or self._words is not None:
            return
        self._words = _WORDS.get(code, _CLOSED)
        self._waitsNoMore()
        self._half.stop()
        self._engine.close(code, reason)

    def closeSoon(self, code: int, reason: str) -> None:
        """
        The same, when what was sent in those namespaces that are to be closed, too,
        is stored, and has gone out.
        """
        if self._end is None:
            # Later: the others may not have been told yet.
            self._end = code, reason
        self._ending.start(0, self._closeAtEnd)

    def _closeAtEnd(self) -> None:
        carriers = self._carriers.values()
        isAwaited = any(c.client.life.phase is Phase.CLOSING for c in carriers)
        if self._end is not None and not isAwaited:
            self.close(*self._end)

    def cut(self, why: str) -> None:
        """
        Drop the connection at once.
        """
        if self._engine is not None:
            self._engine.cut(why)

    def lost(self, code: int, reason: str) -> None:
        """
        See L{Receiver<txsessionsock.socketio.engineconnection.Receiver>}.
        """
        self._engine = None
        self._ending.stop()
        self._waitsNoMore()
        self._half.stop()
        # Later: a client may have been in the middle of closing the connection.
        self._leave.start(0, self._lost, code, self._words or reason)

    def _lost(self, code: int, reason: str) -> None:
        self._haveLeft()
        carriers, self._carriers = self._carriers, {}
        for carrier in carriers.values():
            ghost = carrier.lost(code, reason)
            if ghost is not None:
                self._ghosts.append(ghost)
        self._pausing.clear()
        gone, self._gone = self._gone, []
        for deferred in gone:
            deferred.callback(None)
