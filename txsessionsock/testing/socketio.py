# -*- test-case-name: tests.testing.test_testing_socketio -*-
"""
A page with C{io()} for the tests of one's own L{SocketIOSocket}, without a network.  It
comes by WebSocket: that of L{Browser}, with all that the server does about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from txsessionsock._arguments import checked
from txsessionsock.socketio import TEXT, Kind, Packet, SocketIO, SocketIOSocket

from .browser import Browser


__all__ = ["SocketIOBrowser"]


_PATH = "/socket.io/?EIO=4&transport=websocket"
_PING, _PONG, _MESSAGE = b"2", b"3", b"4"


class _Line(Browser):
    """
    The connection of a page, which its namespaces share.

    @ivar tabs: They, by their names.
    """

    def __init__(self, io: SocketIO, **options: Any) -> None:
        self.tabs: dict[str, SocketIOBrowser] = {}
        self._decoder = TEXT.decoder(io.engine.equipment.limits)
        super().__init__(io.engine.factory, path=_PATH, **options)

    def take(self, payload: bytes, isBinary: bool) -> None:
        """
        See L{Browser.take}.
        """
        if payload == _PING and not isBinary:
            self.client.sendMessage(_PONG)
        if not (isBinary or payload.startswith(_MESSAGE)):
            return
        packet = self._decoder.add(payload if isBinary else payload[1:], isBinary)
        if packet is not None:
            self.tabs[packet.namespace].take(packet)


@checked
class SocketIOBrowser:
    """
    The other end of a socket of Socket.IO.

    @ivar status: See L{Browser}.

    @ivar id: What the page knows its socket by, once it is connected.

    @ivar refused: What a C{connect_error} said: its C{message}, and its C{data} if it
        has any.

    @ivar got: All events that came, each a tuple of its name and what came with it.

    @ivar answers: What answers events of the server that ask for it: functions, by
        the name of the event.  What one returns is the answer.

    @ivar server: The server's end: a L{SocketIOSocket}, once it is connected.
    """

    def __init__(
        self,
        io: SocketIO,
        *,
        namespace: str = "/",
        auth: Any = None,
        cookie: str | None = None,
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
        beside: SocketIOBrowser | None = None,
    ) -> None:
        """
        Connect.

        @param io: A server with sessions; the reactor of its manager is a L{Clock
            <twisted.internet.task.Clock>}.

        @param cookie: See L{Browser}, as for C{origin} and C{headers}.

        @param beside: Another one, whose connection this one shares.
        """
        self.id: str | None = None
        self.refused: dict[str, Any] | None = None
        self.got: list[tuple[Any, ...]] = []
        self.answers: dict[str, Callable[..., Any]] = {}
        self.server: SocketIOSocket | None = None
        self._io, self._namespace = io, namespace
        self._read = self._asked = 0
        self._answered: dict[int | None, tuple[Any, ...]] = {}
        self._reason: str | None = None
        ours = {"cookie": cookie, "origin": origin, "headers": headers}
        self._line: _Line = _Line(io, **ours) if beside is None else beside._line
        self._line.tabs[namespace] = self
        self.status = self._line.status
        if self.closed is None:
            self._send(Kind.CONNECT, auth)
            self.wait()

    @property
    def closed(self) -> str | None:
        """
        Why it is disconnected, as the page is told.
        """
        isGone = self._line.closed is not None or self._line.wire.disconnected
        return self._reason or ("transport close" if isGone else None)

    def take(self, packet: Packet) -> None:
        """
        A packet came.
        """
        data = packet.data
        if packet.kind is Kind.CONNECT:
            self.id = data["sid"]
            faces: Any = (client.handlers.face for client in self._io.sockets)
            self.server = next(face for face in faces if face.id == self.id)
        elif packet.kind is Kind.CONNECT_ERROR:
            self.refused = data
        elif packet.kind is Kind.DISCONNECT:
            self._reason = "io server disconnect"
        elif packet.kind is Kind.ACK:
            self._answered[packet.id] = tuple(data)
        else:
            self.got.append(tuple(data))
            answer = self.answers.get(data[0])
            if answer is not None and packet.id is not None:
                self._send(Kind.ACK, [answer(*data[1:])], packet.id)

    def _send(self, kind: Kind, data: Any = None, number: int | None = None) -> None:
        for payload, isBinary in TEXT.encode(
            Packet(kind, self._namespace, data, number)
        ):
            self._line.client.sendMessage(payload, isBinary)
        self._line.flush()

    def wait(self, seconds: float = 0.0) -> None:
        """
        See L{Browser.wait}.
        """
        self._line.wait(seconds)

    def emit(self, name: str, *args: Any) -> None:
        """
        Send an event.
        """
        self._send(Kind.EVENT, [name, *args])

    def call(self, name: str, *args: Any, seconds: float = 0.0) -> Any:
        """
        Send an event, and take the answer.

        @param seconds: How long it takes.

        @return: L{None}, a value, or a tuple of several.

        @raise AssertionError: None came.
        """
        self._asked += 1
        self._send(Kind.EVENT, [name, *args], self._asked)
        self.wait(seconds)
        values = self._answered.pop(self._asked, None)
        if values is None:
            raise AssertionError(f"no answer to {name!r} came; closed: {self.closed}")
        return values[0] if len(values) == 1 else values or None

    def next(self) -> tuple[Any, ...]:
        """
        @return: The first event that was not yet asked for: its name, and what came
            with it.

        @raise AssertionError: No more came; L{wait}, if it takes its time.
        """
        if self._read == len(self.got):
            self.wait()
        if self._read == len(self.got):
            raise AssertionError(f"no event after {self.got}; closed: {self.closed}")
        self._read += 1
        return self.got[self._read - 1]

    def disconnect(self) -> None:
        """
        Leave this namespace.
        """
        self._send(Kind.DISCONNECT)
        self._reason = "io client disconnect"
        self.wait()

    def cut(self) -> None:
        """
        Be gone, with all namespaces, as when a cable is pulled.
        """
        self._line.cut()
