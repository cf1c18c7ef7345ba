# -*- test-case-name: tests.simulation.test_socketio -*-
"""
The server of Socket.IO of a node: the library's, from the connections of Engine.IO on.
Only the WebSockets that carry these are a model.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock._waiting import waitable
from txsessionsock.credentials import Auth, Cookie
from txsessionsock.handshake import Handshake
from txsessionsock.hub import Hub, Reached
from txsessionsock.interfaces import SessionID, StoreFailure
from txsessionsock.limits import Limits
from txsessionsock.messages import Event
from txsessionsock.session import Session
from txsessionsock.socketio import (
    Kind,
    Packet,
    Recovery,
    SocketIO,
    SocketIOSocket,
    enable,
)
from txsessionsock.socketio.packets import Decoder, parserFor

from .messages import HANDLERS, Message
from .node import Node, Notes, seen
from .wire import Line, Wire


__all__ = ["FIELDS", "NAMESPACES", "Server", "attachment"]

NAMESPACES: Final = ("/", "/b")
ROOM: Final = "news"
FIELDS: Final = ("token", "do", "key", "digit", "waitsToBeSaved")
"""
Of a L{Message}, as they are sent.
"""

_ALL = "session"
_MESSAGE = b"4"
_FRAME_HEAD = 6
_ATTACHED = 3
"""
Each message whose number can be divided by this has something attached.
"""


def attachment(token: int) -> bytes | None:
    """
    What is attached to a message, and to its answer.
    """
    return None if token % _ATTACHED else b"attached to %d" % token


class Face(Notes, SocketIOSocket):
    """
    A client in a namespace, as handlers get it.
    """

    io: Server

    # Taken for that of a plain socket by handlers.
    @property
    def client(self) -> Face:
        return self

    @property
    def _sessionsock(self) -> Any:
        return self._carrier

    @_sessionsock.setter
    def _sessionsock(self, carrier: Any) -> None:
        self._carrier = carrier
        self.node = self.io.node
        self.clock = self.node.clock
        self._history = self.node.history
        self._name = self.io.met(carrier)
        for what, do, more in (
            ("closes", "close", lambda code, reason: {"code": int(code)}),
            ("lost", "lost", lambda code, reason: {"code": int(code)}),
            ("cuts", "cut", lambda why: {"why": why}),
            ("arrives", "event", self._arrives),
        ):
            setattr(carrier, do, self._noting(what, getattr(carrier, do), more))

    def _noting(
        self, what: str, do: Callable[..., object], more: Callable[..., dict[str, Any]]
    ) -> Callable[..., object]:
        """
        Have something be noted before it is done.
        """

        def noted(*args: Any) -> object:
            self._history.note(what, self._name, **more(*args))
            return do(*args)

        return noted

    def _arrives(self, packet: Packet, size: int) -> dict[str, Any]:
        token = packet.data[1]["token"]
        self.io.came(self._name, token)
        return {"token": token}

    def sessionConnected(self, session: Session) -> None:
        self._history.note(
            "connected",
            self._name,
            node=self.node.name,
            sid=self.id,
            recovered=self.recovered,
        )
        if not self.recovered:
            self.join(ROOM)

    # Events.

    def on_do(self, fields: dict[str, Any], attached: bytes | None = None) -> object:
        """
        The one event that browsers send.
        """
        isAsked = fields.pop("acks")
        message, session = Message(**fields), self.session
        if attached != attachment(message.token):
            self._history.note("error", self._name, text=f"{attached!r} is attached")
        sees = seen(session)
        self._history.note("handles", self._name, token=message.token, sees=sees)
        handler: Any = HANDLERS[message.do]
        if isAsked and message.do == "ask":
            handler = _call
        did = partial(self._did, message, session, isAsked)
        try:
            result: Any = waitable(handler(self, message, session))
            result = result.addCallback(did) if _waits(result) else did(None)
        except Exception:
            self._failed(message, Failure())
            raise
        if _waits(result):
            return result.addErrback(partial(self._failed, message))
        return result

    def _did(self, message: Message, session: Session, isAsked: bool, _: object) -> Any:
        done = partial(self._done, message, isAsked)
        if message.waitsToBeSaved:
            self._history.note("saves", self._name, token=message.token)
            return session.save().addCallback(done)
        return done(None)

    def _done(self, message: Message, isAsked: bool, _: object) -> object:
        token = message.token
        self._history.note("done", self._name, token=token)
        attached = attachment(token)
        answer = {"token": token} | ({} if attached is None else {"also": attached})
        if not isAsked:
            self.send(answer)
        elif token % 2:
            self.answer(answer)
        else:
            return answer
        return None

    def takes(self, message: Any) -> None:
        event: Event = message
        token = event.args[0]["token"]
        self._history.note("takes", self._name, token=token)

    def toldBack(self, token: int, answer: object) -> None:
        """
        The browser answered what it was asked.
        """
        sees = seen(self.session)
        self._history.note("is told", self._name, token=token, sees=sees)
        if answer != token:
            self._history.note("error", self._name, text=f"{answer!r} is the answer")


def _waits(result: object) -> bool:
    return isinstance(result, Deferred)


async def _call(face: Face, message: Message, session: Session) -> None:
    """
    Change something, ask the client by an event, and wait for its answer.
    """
    session[message.key] = message.token
    face.changed(message)
    face.toldBack(message.token, await face.call("asked", message.token))


class EngineLine(Line):
    """
    A WebSocket that carries Engine.IO: as much of L{txsessionsock.socketio.wire.Wire}
    as matters.
    """

    mostFrames = 128

    def __init__(self, server: Server, wire: Wire, request: Handshake) -> None:
        node = server.node
        super().__init__(node.clock, wire, node.history, server.io.sockets.limits)
        self._server = server
        self.request = request
        self.connectedAt = self.clock.seconds()
        self.names: dict[str, str] = {}
        self._decoder: Decoder | None = None
        self._wasAborted = False
        self.connection: Any = None
        engine: Any = server.io.engine
        self.connection = engine.openedBy(self)

    @property
    def awaits(self) -> bool:
        """
        Whether something came that is not handled.
        """
        return self.isHeld or bool(self._unread)

    def write(self, message: tuple[bytes, bool]) -> None:
        """
        Send a packet.
        """
        if self.isOpen:
            self._tell(*message)
            heard = partial(self.wire.heard, *message)
            self.put(len(message[0]) + _FRAME_HEAD, heard)

    def _tell(self, payload: bytes, isBinary: bool) -> None:
        """
        Note what is sent.
        """
        if not (isBinary or payload.startswith(_MESSAGE)):
            return
        if self._decoder is None:
            self._decoder = parserFor(isBinary).decoder(Limits())
        packet = self._decoder.add(payload if isBinary else payload[1:], isBinary)
        if packet is not None:
            self._server.tell(self.names[packet.namespace], packet)

    def arrived(self, payload: bytes, isBinary: bool) -> None:
        """
        The browser sent a packet.
        """
        if self.connection is not None:
            self.connection.wireTook(self, (payload, isBinary))

    def relieved(self) -> None:
        if self.connection is not None:
            self.connection.wireRelieved(self)

    def letGo(self, code: int, text: str) -> None:
        """
        The connection has no use for it any more.
        """
        self.connection = None
        self.close(code, text)

    def close(self, code: int, reason: str) -> None:
        if self.isOpen:
            self._history.note("hangs up", self.wire.name, code=int(code))
        super().close(code, reason)

    def cut(self, why: str) -> None:
        self._wasAborted = True
        super().cut(why)

    def noticed(self) -> None:
        """
        The heartbeat is the connection's own.
        """

    def gone(self, code: int) -> None:
        self._history.note("is gone", self.wire.name, code=code)
        connection, self.connection = self.connection, None
        if connection is not None:
            reason = "transport error" if self._wasAborted else "transport close"
            connection.wireLost(self, code, reason)


class Server:
    """
    All clients of Socket.IO of a node.
    """

    def __init__(
        self, node: Node, *, limits: Limits, recovery: Recovery | None
    ) -> None:
        self.node = node
        self._lines: dict[str, EngineLine] = {}
        self._came: dict[str, dict[int, None]] = {}
        protocol = type("Face", (Face,), {"io": self})
        self.io = SocketIO(protocol, recovery=recovery)
        for name in NAMESPACES[1:]:
            self.io.of(name, protocol)
        sockets = enable(
            self.io,
            node.manager,
            perMessage=node.sockets.perMessage,
            shortMessages=node.sockets.shared.shortMessages,
            credentials=[Auth(), Cookie()],
            limits=limits,
        )
        assert node.bus is not None
        self._hub = Hub(node.sockets, node.bus)
        self._hub.include(sockets)
        node.io = self

    def accept(self, wire: Wire, sessionID: SessionID) -> None:
        """
        A browser connects.
        """
        node = self.node
        node.wires[wire] = None
        headers = {"cookie": [node.cookie(sessionID)], "host": ["localhost"]}
        request = Handshake(headers, isTLS=False, peer="127.0.0.1")
        self._lines[wire.name] = EngineLine(self, wire, request)

    def met(self, carrier: Any) -> str:
        """
        A client comes to a namespace.

        @return: The name of its socket.
        """
        name: str = carrier.handshake.auth["name"]
        line = self._lines[name.partition("/")[0]]
        line.names[carrier.namespace] = name
        return name

    def tell(self, name: str, packet: Packet) -> None:
        """
        Note what a client is sent.
        """
        note = partial(self.node.history.note, node=self.node.name)
        if packet.kind is Kind.ACK:
            said: dict[str, Any] = packet.data[0] if packet.data else {}
            note("answers", name, token=said.get("token", -1), ack=packet.id)
        elif packet.kind is not Kind.EVENT:
            note("sends word", name, kind=packet.kind.name)
        elif packet.data[0] == "asked":
            note("asks", name, token=packet.data[1])
        else:
            said = {key: each for key, each in packet.data[1].items() if key != "also"}
            asks = said.pop("asks", False)
            token = said.get("token")
            if token is not None and token not in self._came.get(name, ()):
                # It was kept for a client that came back.
                said["again"] = True
            what = "asks" if asks else "answers" if token else "carries"
            note(what, name, **said)

    def came(self, name: str, token: int) -> None:
        """
        A message came to a client.
        """
        self._came.setdefault(name, {})[token] = None

    def shout(self, namespace: str, number: int) -> None:
        """
        Send something to a room.
        """
        place = self.io.of(namespace)
        self._tellMany(place.to(ROOM).send, namespace, number)

    def tellAll(self, sessionID: SessionID, number: int) -> None:
        """
        Send something to all sockets of a session, of both kinds.
        """
        self._tellMany(self._hub.session(sessionID).send, _ALL, number)

    def _tellMany(
        self, send: Callable[[Any], Deferred[Reached]], room: str, number: int
    ) -> None:
        by, note = self.node.name, self.node.history.note
        note("shouts", by, number=number, room=room)

        def reached(nodes: Reached) -> None:
            if nodes.get(by) is not None:
                note("shouted", by, number=number)

        def failed(failure: Failure) -> None:
            failure.trap(StoreFailure)

        send({"number": number, "by": by}).addCallbacks(reached, failed)

    def rest(self) -> list[str]:
        """
        @return: What is left, when nothing should be.
        """
        ghosts = self.io.ghosts
        left = {
            "clients": len(self.io.sockets),
            "connections": len(self.io.engine),
            "ghosts": 0 if ghosts is None else len(ghosts),
        }
        return [
            f"{number} {what} of Socket.IO" for what, number in left.items() if number
        ]
