"""
Clients of Engine.IO over wires that are not there, and a server whose connections
write down what they are told.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.support.frames import BINARY, CLOSE, TEXT, frame, parsed
from tests.support.managing import ManagerCase, timers
from tests.support.pages import Answer, Wire, parse
from txsessionsock.clients import SessionSockets
from txsessionsock.forwarded import Proxies
from txsessionsock.limits import Limits
from txsessionsock.origins import Origins
from txsessionsock.protocol import Equipment
from txsessionsock.socketio import SocketIO
from txsessionsock.socketio.engine import Engine
from txsessionsock.socketio.engineconnection import EngineConnection
from txsessionsock.socketio.resource import SocketIOResource
from txsessionsock.web import BoundedSite


__all__ = ["PATH", "Asked", "BareIO", "EngineCase", "LooseWire", "Recording", "Socket"]

PATH = "/socket.io/"

Message = tuple[bytes, bool]


class LooseWire(Wire):
    """
    A wire that tells its protocol when it is cut, a moment later.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.isGone = False
        self.isRead = True

    def loseConnection(self) -> None:
        super().loseConnection()
        # As those of the reactor, it waits for a producer.
        if self.producer is None:
            self._clock.callLater(0, self.leave, ConnectionDone())

    def abortConnection(self) -> None:
        self.isAborted = True
        self.disconnecting = True
        self._clock.callLater(0, self.leave, ConnectionLost())

    def leave(self, why: Exception | None = None) -> None:
        """
        The connection is lost.
        """
        if not self.isGone:
            self.isGone = True
            self.protocol.connectionLost(Failure(why or ConnectionLost()))

    def receive(self, data: bytes) -> None:
        """
        Something comes.
        """
        if not self.isGone:
            self.protocol.dataReceived(data)

    def write(self, data: bytes) -> None:
        super().write(data)
        # The client's end reads nothing more.
        if not self.isRead and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def readOn(self) -> None:
        """
        The client reads what there is, and what is written then.
        """
        self.isRead = True
        if self.producer is not None:
            self.producer.resumeProducing()


class Recording:
    """
    Writes down what it is told.
    """

    def __init__(self, connection: EngineConnection) -> None:
        self.connection = connection
        self.messages: list[Message] = []
        self.reliefs = 0
        self.losses: list[tuple[int, str]] = []
        self.do: Callable[[Recording, bytes], object] = lambda *_: None

    def received(self, payload: bytes, isBinary: bool) -> None:
        assert not self.losses
        self.messages.append((payload, isBinary))
        self.do(self, payload)

    def relieved(self) -> None:
        assert not self.losses
        self.reliefs += 1

    def lost(self, code: int, reason: str) -> None:
        self.losses.append((code, reason))

    @property
    def texts(self) -> list[bytes]:
        """
        What came.
        """
        return [payload for payload, _ in self.messages]


class Asked:
    """
    One request of a client, on a connection of its own unless one is given.
    """

    def __init__(self, wire: LooseWire, data: bytes) -> None:
        self.wire = wire
        self._before = len(parse(wire.value()))
        wire.receive(data)

    @property
    def answer(self) -> Answer | None:
        """
        What came.
        """
        answers = parse(self.wire.value())[self._before :]
        return answers[0] if answers else None

    @property
    def body(self) -> bytes | None:
        """
        Its body.
        """
        return None if self.answer is None else self.answer.body

    @property
    def code(self) -> int | None:
        """
        Its status.
        """
        return None if self.answer is None else self.answer.code

    @property
    def trouble(self) -> tuple[int, Any]:
        """
        What is said to be wrong.
        """
        assert self.answer is not None
        return self.answer.code, json.loads(self.answer.body)["code"]


class Socket:
    """
    One WebSocket of a client.
    """

    def __init__(self, wire: LooseWire, data: bytes) -> None:
        self.wire = wire
        wire.receive(data)

    @property
    def status(self) -> int:
        """
        That of the answer.
        """
        return int(self.wire.value().split(b" ", 2)[1])

    def _frames(self) -> list[tuple[int, bytes]]:
        _, _, rest = self.wire.value().partition(b"\r\n\r\n")
        return [(first & 15, payload) for first, payload in parsed(rest)]

    @property
    def got(self) -> list[bytes]:
        """
        The messages that came.
        """
        return [payload for opcode, payload in self._frames() if opcode in (1, 2)]

    @property
    def closed(self) -> int | None:
        """
        The code of the close frame that came.
        """
        for opcode, payload in self._frames():
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else 1005
        return None

    def send(self, *messages: str | bytes) -> None:
        """
        Send messages, in one go.
        """
        self.wire.receive(
            b"".join(
                frame(BINARY, each)
                if isinstance(each, bytes)
                else frame(TEXT, each.encode())
                for each in messages
            )
        )

    def close(self, code: int | None = 1000) -> None:
        """
        Close it as browsers do.
        """
        self.wire.receive(frame(CLOSE, b"" if code is None else code.to_bytes(2)))


class BareIO(SocketIO):
    """
    A server of Socket.IO, of which the resource uses nothing but the engine.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    @property
    def engine(self) -> Engine:
        assert self._engine is not None
        return self._engine


class EngineCase(ManagerCase):
    """
    A server of Engine.IO.

    @ivar made: What each of its connections has told.
    """

    limits = Limits()
    origins: tuple[str, ...] = ()
    trustProxy: bool | Proxies = False

    def setUp(self) -> None:
        super().setUp()
        self.made: list[Recording] = []
        self.wires: list[LooseWire] = []
        self.serve()

    def serve(self) -> None:
        """
        Make a server.
        """
        sockets = SessionSockets(self.manager, limits=self.limits)
        equipment = Equipment(sockets, Origins(self.origins), self.trustProxy)
        self.engine = Engine(equipment, self.clock, self.connected)
        io: Any = BareIO(self.engine)
        self.resource = SocketIOResource(io)
        root = Resource()
        root.putChild(b"socket.io", self.resource)
        self.root = root
        self.site: Site = BoundedSite(root, reactor=self.clock, timeout=None)
        self.site.displayTracebacks = False

    def connected(self, connection: EngineConnection) -> Recording:
        """
        A connection has come.
        """
        recording = Recording(connection)
        self.made.append(recording)
        return recording

    # A client.

    def wire(self) -> LooseWire:
        """
        A connection of a client.
        """
        wire = LooseWire(self.clock)
        wire.protocol = self.site.buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)
        self.wires.append(wire)
        return wire

    def ask(
        self,
        query: str,
        method: str = "GET",
        body: Any = None,
        wire: Any = None,
        path: str = PATH,
        **headers: str,
    ) -> Asked:
        """
        Make a request.
        """
        payload = body.encode() if isinstance(body, str) else body
        if payload is not None:
            headers["Content-Length"] = str(len(payload))
        head = self.head(f"{path}?{query}", method, **headers)
        return Asked(wire or self.wire(), head + (payload or b""))

    def head(self, target: str, method: str = "GET", **headers: str) -> bytes:
        """
        The head of a request.
        """
        lines = [f"{method} {target} HTTP/1.1"]
        headers.setdefault("Host", "example.com")
        lines += [f"{name.replace('_', '-')}: {v}" for name, v in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def begin(self, **headers: str) -> str:
        """
        Begin by polling.

        @return: The name of the connection.
        """
        asked = self.ask("EIO=4&transport=polling", **headers)
        if asked.answer is None:
            # Others came before it.
            self.turn()
        body = asked.body
        assert body is not None
        sid: str = json.loads(body[1:])["sid"]
        return sid

    def poll(self, sid: str, **more: Any) -> Asked:
        """
        Ask for what there is.
        """
        return self.ask(f"EIO=4&transport=polling&sid={sid}", **more)

    def post(self, sid: str, body: bytes | str, **more: Any) -> Asked:
        """
        Send something.
        """
        return self.ask(f"EIO=4&transport=polling&sid={sid}", "POST", body, **more)

    def socket(self, sid: str | None = None, **headers: str) -> Socket:
        """
        Connect by WebSocket.
        """
        query = "EIO=4&transport=websocket" + ("" if sid is None else f"&sid={sid}")
        return Socket(self.wire(), self.upgrade(f"{PATH}?{query}", **headers))

    def upgrade(self, target: str, **headers: str) -> bytes:
        """
        The handshake of a WebSocket.
        """
        given = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        return self.head(target, **given)

    def upgraded(self, sid: str) -> Socket:
        """
        Go over to a WebSocket.
        """
        socket = self.socket(sid)
        socket.send("2probe")
        socket.send("5")
        return socket

    # What becomes of it.

    def turn(self, seconds: float = 0.0) -> None:
        """
        Let time pass, a quarter of a second at once.
        """
        for step in [0.25] * round(seconds * 4) or [0.0, 0.0]:
            self.clock.advance(step)

    @property
    def last(self) -> Recording:
        """
        What the connection has told that came last.
        """
        return self.made[-1]

    def assertLost(self, code: int, reason: str, number: int = -1) -> None:
        """
        A connection is over, and was told so once.
        """
        self.turn()
        self.assertEqual(self.made[number].losses, [(code, reason)])

    def assertNothingLeft(self) -> None:
        """
        When all clients have left, nothing of them stays behind.
        """
        for wire in self.wires:
            wire.leave()
        self.turn(1)
        self.assertEqual(len(self.engine), 0)
        self.assertEqual(len(self.engine.equipment.admission), 0)
        self.assertEqual(self.engine.factory.countConnections, 0)
        self.assertEqual(timers(self.clock), [])
        for recording in self.made:
            self.assertEqual(len(recording.losses), 1)
        gc.collect()
