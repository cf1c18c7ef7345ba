# -*- test-case-name: tests.simulation.test_socketio -*-
"""
Tabs with the client of Socket.IO: one connection, with a socket in each namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from txsessionsock.interfaces import SessionID
from txsessionsock.limits import Limits
from txsessionsock.socketio import Kind, Packet
from txsessionsock.socketio.packets import MSGPACK, TEXT, Decoder, Parser

from .browser import Tab
from .messages import Message
from .node import Node
from .socketio import FIELDS, NAMESPACES, attachment
from .wire import Wire


__all__ = ["Page"]

_HANDSHAKE = 200
_FRAME_HEAD = 6
_PING, _PONG, _MESSAGE, _OPEN = b"2", b"3", b"4", b"0"
_NOT_AGAIN: Final = 1000


@dataclass
class _Space:
    """
    A socket of a page, in a namespace.

    @ivar asked: The messages that ask for an acknowledgement, by their numbers.
    """

    name: str
    isConnected: bool = False
    asked: dict[int, int] = field(default_factory=dict)


@dataclass
class _Past:
    """
    What a page knows of who it was in a namespace.
    """

    sid: str = ""
    pid: str = ""
    offset: str | None = None


class Page(Tab):
    """
    A tab, as one with the official client.
    """

    def __init__(
        self,
        *args: Any,
        acks: Callable[[], bool],
        other: Callable[[], SessionID | None],
        cookieValue: Callable[[SessionID], str],
        parser: str,
        **more: Any,
    ) -> None:
        """
        @param acks: Says whether the next message asks for an acknowledgement.

        @param other: Another session, to be named for a second namespace.
        """
        super().__init__(*args, **more)
        self._acks = acks
        self._other = other
        self._cookieValue = cookieValue
        self._parser: Parser = MSGPACK if parser == "msgpack" else TEXT
        self._decoder: Decoder = self._parser.decoder(Limits())
        self._spaces: dict[str, _Space] = {}
        self._past: dict[str, _Past] = {name: _Past() for name in NAMESPACES}
        self._wanted = dict.fromkeys(NAMESPACES)
        self._sessionID: SessionID | None = None
        self._isOpened = False
        # Which namespaces it has left, of this connection.
        self._left: dict[str, None] = {}
        self._ids = 0

    # Connecting.

    def connect(self) -> None:
        """
        Open the connection, and go to each namespace.
        """
        self._wanted = dict.fromkeys(NAMESPACES)
        if self._wire is None:
            super().connect()
        elif self._isOpened:
            self._enter()

    def _comes(self, node: Node, wire: Wire, sessionID: SessionID) -> None:
        self._sessionID = sessionID
        self._isOpened = False
        self._left = {}
        self._decoder = self._parser.decoder(Limits())
        wire.up(_HANDSHAKE, partial(self._accepted, node, wire, sessionID))

    def _accepted(self, node: Node, wire: Wire, sessionID: SessionID) -> None:
        node.io.accept(wire, sessionID)

    def _enter(self) -> None:
        """
        Go to each namespace where it is not.
        """
        wire = self._wire
        assert wire is not None
        for name in self._wanted:
            if name not in self._spaces:
                self._goTo(wire, name)

    def _goTo(self, wire: Wire, namespace: str) -> None:
        self._ids += 1
        name = f"{wire.name}{namespace}{self._ids}"
        past = self._past[namespace]
        auth: dict[str, Any] = {"name": name}
        if past.pid:
            auth["pid"] = past.pid
            if past.offset is not None:
                auth["offset"] = past.offset
        sessionID = self._sessionID
        other = self._other() if self._spaces else None
        if other is not None:
            sessionID = other
            auth["__sid"] = self._cookieValue(other)
        self._spaces[namespace] = _Space(name)
        self._history.note("connects", name, node=self._nodeName, session=sessionID)
        self._packet(Kind.CONNECT, namespace, auth)

    # Sending.

    def send(self, message: Message) -> None:
        """
        Send something in one of the namespaces.
        """
        namespace = NAMESPACES[message.token % len(NAMESPACES)]
        space = self._spaces.get(namespace)
        if space is None:
            self.connect()
        elif space.isConnected:
            self._send(namespace, space, message)

    def _send(self, namespace: str, space: _Space, message: Message) -> None:
        fields = {name: getattr(message, name) for name in FIELDS}
        number = None
        if self._acks():
            self._ids += 1
            number = self._ids
            space.asked[number] = message.token
        data: list[Any] = ["do", fields | {"acks": number is not None}]
        attached = attachment(message.token)
        if attached is not None:
            data.append(attached)
        more = {} if number is None else {"ack": number}
        self._history.note(
            "sends", space.name, token=message.token, do=message.do, **more
        )
        self._packet(Kind.EVENT, namespace, data, number)

    def _packet(
        self, kind: Kind, namespace: str, data: Any, number: int | None = None
    ) -> None:
        for each in self._parser.encode(Packet(kind, namespace, data, number)):
            self._up(*each)

    def _up(self, payload: bytes, isBinary: bool = False) -> None:
        wire = self._wire
        assert wire is not None

        def arrived() -> None:
            line: Any = wire.line
            line.came(partial(line.arrived, payload, isBinary))

        wire.up(len(payload) + _FRAME_HEAD, arrived)

    def leaveNamespace(self, number: int) -> None:
        """
        Leave one of the namespaces.
        """
        namespace = NAMESPACES[number % len(NAMESPACES)]
        space = self._spaces.get(namespace)
        if space is not None and space.isConnected:
            self._history.note("leaves", space.name)
            self._packet(Kind.DISCONNECT, namespace, None)
            self._drop(namespace)

    def _drop(self, namespace: str) -> None:
        del self._spaces[namespace]
        self._left[namespace] = None
        self._wanted.pop(namespace, None)

    def leave(self, *, forGood: bool = False) -> None:
        if self._wire is not None:
            self._end("leaves")
        super().leave(forGood=forGood)

    def _end(self, what: str, **more: Any) -> None:
        spaces, self._spaces = self._spaces, {}
        for space in spaces.values():
            self._history.note(what, space.name, **more)

    # Hearing.

    def _heard(self, wire: Wire, what: Any, isMore: bool) -> None:
        """
        A packet came.

        @param isMore: Whether it is binary.
        """
        payload, isBinary = what, isMore
        if wire is not self._wire:
            return
        if isBinary or payload.startswith(_MESSAGE):
            packet = self._decoder.add(payload if isBinary else payload[1:], isBinary)
            if packet is not None:
                self._take(packet)
        elif payload.startswith(_OPEN):
            self._isOpened = True
            self._enter()
        elif payload == _PING:
            self._up(_PONG)

    def _take(self, packet: Packet) -> None:
        namespace, kind = packet.namespace, packet.kind
        space = self._spaces.get(namespace)
        if space is None:
            return  # It has left.
        if kind in (Kind.EVENT, Kind.ACK) and not space.isConnected:
            if namespace in self._left:
                return  # It was for the one that has left.
            self._history.note("error", space.name, text="hears, and is not in")
        if kind is Kind.CONNECT:
            space.isConnected = True
            self._isAdmitted(namespace, packet.data)
        elif kind is Kind.EVENT:
            self._event(space, packet)
        elif kind is Kind.ACK:
            asked = space.asked.pop(packet.id or 0, None)
            (said,) = packet.data or ({},)
            self._hears(space, said, ack=asked)
        else:
            self._history.note("ended", space.name, code=_NOT_AGAIN)
            self._drop(namespace)

    def _isAdmitted(self, namespace: str, data: dict[str, Any]) -> None:
        past = self._past[namespace]
        isSame = past.sid == data["sid"]
        offset = past.offset if isSame else None
        self._past[namespace] = _Past(data["sid"], data.get("pid", ""), offset)
        name = self._spaces[namespace].name
        self._history.note("is in", name, sid=data["sid"])

    def _event(self, space: _Space, packet: Packet) -> None:
        name, said, *rest = packet.data
        if packet.id is None and rest:
            self._past[packet.namespace].offset = rest[-1]
        if name == "asked":
            seconds = self._queue.random.random()
            self._queue.after(seconds, partial(self._replies, space, packet))
        elif isinstance(said, dict):
            self._hears(space, said)
            if said.get("asks"):
                self._send(packet.namespace, space, self._reply())

    def _replies(self, space: _Space, packet: Packet) -> None:
        """
        Reply to what was asked, if the socket is still there.
        """
        if self._spaces.get(packet.namespace) is space:
            token = packet.data[1]
            self._history.note("replies", space.name, token=token)
            self._packet(Kind.ACK, packet.namespace, [token], packet.id)

    def _hears(self, space: _Space, said: dict[str, Any], **more: Any) -> None:
        said = dict(said)
        token, attached = said.get("token"), said.pop("also", None)
        asks = said.pop("asks", False)
        what = "is asked" if asks else "overhears" if "number" in said else "hears"
        self._history.note(what, space.name, **said, **more)
        if what == "hears" and token is not None and attached != attachment(token):
            self._history.note("error", space.name, text=f"{attached!r} is attached")

    def _ended(self, wire: Wire, code: int) -> None:
        if wire is self._wire:
            self._end("ended", code=code)
        super()._ended(wire, code)
