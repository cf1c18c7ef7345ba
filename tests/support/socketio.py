"""
Clients of Socket.IO over engines that are not there, for the tests of the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.python.failure import Failure

from tests.support.managing import SID, ManagerCase, timers
from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits
from txsessionsock.messages import Event
from txsessionsock.session import Session
from txsessionsock.socketio import SocketIO, SocketIOSocket, enable
from txsessionsock.socketio.connection import Connection
from txsessionsock.socketio.packets import TEXT, Kind, Message, Packet, Parser


__all__ = ["Page", "Recording", "SocketIOCase"]


class _Engine:
    """
    An Engine.IO connection of which the test is the other end.
    """

    sid = "engine"
    mostUnsent = 2 * 1024 * 1024

    def __init__(self, request: Handshake, clock: Any) -> None:
        self.request = request
        self.connectedAt = clock.seconds()
        self.clock = clock
        self.isPaused = False
        self.isWritable = True
        self.unsent = 0
        self.sent: list[Message] = []
        self.closed: tuple[int, str] | None = None
        self.receiver: Any = None

    def send(self, messages: Sequence[Message]) -> None:
        assert self.closed is None, "something is sent behind the end"
        self.sent += messages

    def pause(self) -> None:
        self.isPaused = True

    def resume(self) -> None:
        self.isPaused = False

    def close(self, code: int, reason: str) -> None:
        assert self.closed is None, "it is closed twice"
        self.closed = code, reason
        # It may be closed by whoever is asked to receive.
        self.clock.callLater(0, lambda: self.receiver.lost(code, "forced close"))

    def cut(self, why: str) -> None:
        self.closed = 1006, why
        self.clock.callLater(0, self.receiver.lost, 1006, "transport close")


class Page:
    """
    What a page with the official client would be.

    @ivar sids: The id of its socket, by namespace.

    @ivar got: All packets that came.
    """

    def __init__(
        self,
        io: Any,
        clock: Any,
        cookie: str | None,
        parser: Parser = TEXT,
        further: Mapping[str, str] | None = None,
    ) -> None:
        headers = {} if cookie is None else {"cookie": [cookie]}
        headers |= {name: [value] for name, value in (further or {}).items()}
        self.clock = clock
        self.engine = _Engine(Handshake(headers, False, peer="192.0.2.1"), clock)
        self.connection: Connection = io._connected(self.engine)
        self.engine.receiver = self.connection
        self.parser = parser
        self._decoder = parser.decoder(Limits())
        self.got: list[Packet] = []

    def send(self, packet: Packet) -> None:
        for payload, isBinary in self.parser.encode(packet):
            self.raw(payload if isBinary else payload[1:], isBinary)

    def raw(self, payload: bytes, isBinary: bool = False) -> None:
        self.connection.received(payload, isBinary)
        self.read()

    def connect(self, namespace: str = "/", auth: Any = None) -> None:
        self.send(Packet(Kind.CONNECT, namespace, auth))

    def emit(
        self, name: str, *args: Any, id: int | None = None, namespace: str = "/"
    ) -> None:
        self.send(Packet(Kind.EVENT, namespace, [name, *args], id))

    def read(self) -> None:
        sent, self.engine.sent = self.engine.sent, []
        for payload, isBinary in sent:
            assert isBinary or payload.startswith(b"4"), payload
            packet = self._decoder.add(payload if isBinary else payload[1:], isBinary)
            if packet is not None:
                self.got.append(packet)

    def of(self, kind: Kind, namespace: str = "/") -> list[Any]:
        """
        What the packets of a kind held.
        """
        self.read()
        return [
            (packet.id, packet.data) if kind is Kind.ACK else packet.data
            for packet in self.got
            if packet.kind is kind and packet.namespace == namespace
        ]

    @property
    def events(self) -> list[Any]:
        """
        The events that came.
        """
        return self.of(Kind.EVENT)

    @property
    def acks(self) -> list[Any]:
        """
        The answers that came, each with its number.
        """
        return self.of(Kind.ACK)

    @property
    def isConnected(self) -> bool:
        return bool(self.of(Kind.CONNECT)) and not self.of(Kind.DISCONNECT)

    def lose(self, code: int = 1006, reason: str = "transport close") -> None:
        self.connection.lost(code, reason)


class Recording(SocketIOSocket):
    """
    A socket that writes down what it is told, in its class's C{seen}.
    """

    seen: list[tuple[Any, ...]]
    do: dict[str, Callable[..., object]]

    def sessionConnected(self, session: Session) -> object:
        return self.saw("sconnection", session)

    def sessionMessageReceived(self, event: Event, session: Session) -> object:
        return self.saw("smessage", event, session)

    def sessionInvalid(self, reason: Any) -> object:
        return self.saw("sinvalid", reason)

    def sessionChanged(self, session: Session, keys: Any) -> object:
        return self.saw("schanged", session, keys)

    def sessionDestroyed(self, session: Session, reason: Any) -> object:
        return self.saw("sdestroyed", session, reason)

    def sessionError(self, failure: Failure) -> object:
        return self.saw("serror", failure.value)

    def sessionDisconnected(self, session: Session, code: int) -> object:
        return self.saw("disconnect", session, code)

    def saw(self, event: str, *args: Any) -> object:
        plain = [arg for arg in args if not isinstance(arg, Session)]
        self.seen.append((event, *plain))
        do = self.do.get(event)
        return None if do is None else do(self, *args)


class SocketIOCase(ManagerCase):
    """
    Tests with clients of Socket.IO.

    @ivar seen: The events of all L{Recording}s.

    @ivar do: What is done at an event, by its name.
    """

    perMessage = False

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[tuple[Any, ...]] = []
        self.do: dict[str, Callable[..., object]] = {}
        self.pages: list[Page] = []

    def serve(
        self, protocol: type[SocketIOSocket] | None = None, **options: Any
    ) -> Any:
        """
        Make a server.
        """
        options.setdefault("perMessage", self.perMessage)
        recovery = options.pop("recovery", None)
        protocol = self.recording() if protocol is None else protocol
        self.io: Any = SocketIO(protocol, recovery=recovery)
        enable(self.io, self.manager, **options)
        return self.io

    def recording(self) -> type[Recording]:
        members = {"seen": self.seen, "do": self.do}
        return type("Recorded", (Recording,), members)

    def cookie(self, sid: str = SID) -> str:
        return f"connect.sid={self.manager.framework.cookieValue(sid)}"  # type: ignore[arg-type]  # any text

    def browse(
        self,
        cookie: str | None = "",
        parser: Parser = TEXT,
        connects: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """
        Open a page.

        @param cookie: The cookie header; that of L{SID} unless given.

        @param headers: Further headers, by lower-case name.
        """
        header = None if cookie is None else cookie or self.cookie()
        page = Page(self.io, self.clock, header, parser, headers)
        self.pages.append(page)
        if connects:
            page.connect()
        return page

    def wait(self, seconds: float = 0.0) -> None:
        """
        Let time pass, and everything arrive.
        """
        for step in [0.25] * round(seconds * 4) or [0.0, 0.0]:
            self.clock.advance(step)
        for page in self.pages:
            page.read()

    def events(self, event: str) -> list[Any]:
        """
        The arguments of all events of one name.
        """
        return [args[0] if args else None for name, *args in self.seen if name == event]

    def assertNothingLeft(self) -> None:
        """
        All clients are gone, and nothing of them stays behind.
        """
        for page in self.pages:
            if page.connection._engine is not None:
                page.lose()
        self.run_(1)
        self.assertEqual(len(self.io.sockets), 0)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertEqual(timers(self.clock), [])
