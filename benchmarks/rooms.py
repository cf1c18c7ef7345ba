"""
What it costs to send a message to a room of ten thousand clients.

    python -m benchmarks.rooms                          # this tree, all kinds
    python -m benchmarks.rooms --clients 1000 "Socket.IO, text"

The clients are in this process, without sockets.  Of each kind of client it tells
the time of the processor that a send takes, median and least of some sends; how often
one send encodes a value and deflates; how many frames the transports have of it, and
how often each was written to.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from autobahn.websocket import compress_deflate
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
)
from twisted.internet import reactor
from twisted.internet.address import IPv4Address

from txsessionsock import SessionSocketFactory, _json
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Hub, hubOf
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.socketio import TEXT, Kind, Packet, SocketIO, enable
from txsessionsock.socketio.packets import MSGPACK
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import putSession


CLIENTS = 10_000
SENDS = 7
SESSIONS = 200
VALUE = {"headline": "x" * 200, "n": 12345, "tags": ["a", "b"]}

_reactor: Any = reactor
_HERE = IPv4Address("TCP", "127.0.0.1", 8080)
_THERE = IPv4Address("TCP", "192.0.2.1", 5555)
_MASK = bytes(4)
_MOST_TURNS = 1000


class _Transport:
    """
    Counts what is written to it.
    """

    disconnecting = False

    def __init__(self) -> None:
        self.writes = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.last = data

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def getHost(self) -> IPv4Address:
        return _HERE

    def getPeer(self) -> IPv4Address:
        return _THERE

    def __getattr__(self, name: str) -> Any:
        if name not in _IDLE:
            raise AttributeError(name)
        return _nothing


_IDLE = frozenset(
    (
        "registerProducer",
        "unregisterProducer",
        "pauseProducing",
        "resumeProducing",
        "setTcpNoDelay",
        "setTcpKeepAlive",
        "loseConnection",
        "abortConnection",
    )
)


def _nothing(*_: Any) -> None:
    pass


def _frame(payload: bytes, kind: int = 0x81) -> bytes:
    size = len(payload)
    head = (0x80 | size,) if size <= 125 else (0xFE, size >> 8, size & 0xFF)  # noqa: PLR2004 - RFC 6455
    return bytes((kind, *head)) + _MASK + payload


class _Room:
    """
    A server, and a room in which all its clients are.
    """

    def __init__(self) -> None:
        self.store, self.framework = MemoryStore(_reactor), Express(secrets=["s"])
        # It takes its time until all are in.
        limits = Limits(handshakeTimeout=1000.0, pingInterval=1000.0)
        self.limits = limits
        self.manager = SessionManager(self.store, self.framework, _reactor)
        self.transports: list[_Transport] = []
        self.cookies = [
            putSession(self.store, self.framework, _reactor, {"n": n})
            for n in range(SESSIONS)
        ]
        self.sockets: Any = None
        self.factory = self.serve()

    def serve(self) -> Any:
        raise NotImplementedError

    def send(self) -> Any:
        raise NotImplementedError

    def count(self) -> Any:
        raise NotImplementedError

    @property
    def node(self) -> str:
        return hubOf(self.sockets).node

    def fill(self, clients: int) -> None:
        for number in range(clients):
            self.enter(str(self.cookies[number % SESSIONS]))
            if number % 50 == 0:
                self.settle()
        self.settle()
        reached = self.count().result
        assert reached == {self.node: clients}, f"only {reached} came in"

    def settle(self) -> None:
        for _ in range(20):
            _reactor.iterate(0)

    path = "/"
    extensions = ""

    def enter(self, cookie: str) -> Any:
        protocol = self.factory.buildProtocol(_THERE)
        transport = _Transport()
        protocol.makeConnection(transport)
        head = (
            f"GET {self.path} HTTP/1.1\r\nHost: localhost:8080\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\nOrigin: http://localhost:8080\r\n"
            f"{self.extensions}Cookie: {cookie}\r\n\r\n"
        )
        protocol.dataReceived(head.encode())
        self.transports.append(transport)
        return protocol


class _Plain(_Room):
    name = "plain"

    def serve(self) -> Any:
        class Member(SessionSocketProtocol):
            def sessionConnected(self, session: Any) -> None:
                room.add(self)

        factory: Any = SessionSocketFactory(
            self.manager, url="ws://localhost:8080", limits=self.limits
        )
        factory.protocol = Member
        self.sockets = factory.sockets
        room = self.room = Hub(factory.sockets).room("all")
        return factory

    def send(self) -> Any:
        return self.room.send(VALUE)

    def count(self) -> Any:
        return self.room.count()


class _Deflating(_Plain):
    name = "deflate"
    extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    isAlone = False

    def serve(self) -> Any:
        def accept(offers: list[PerMessageDeflateOffer]) -> Any:
            return PerMessageDeflateOfferAccept(
                offers[0], no_context_takeover=self.isAlone or None
            )

        factory = super().serve()
        factory.setProtocolOptions(perMessageCompressionAccept=accept)
        return factory


class _Alone(_Deflating):
    name = "deflate, no context takeover"
    isAlone = True


class _SocketIO(_Room):
    name = "Socket.IO, text"
    parser: Any = TEXT
    path = "/socket.io/?EIO=4&transport=websocket"

    def serve(self) -> Any:
        self.io: Any = SocketIO()
        enable(self.io, self.manager, limits=self.limits)
        self.sockets = self.io.sockets
        self.io.on("sconnection", lambda socket, _: socket.join("all", "some"))
        return self.io.engine.factory

    def enter(self, cookie: str) -> Any:
        protocol = super().enter(cookie)
        for payload, isBinary in self.parser.encode(Packet(Kind.CONNECT, "/", None)):
            protocol.dataReceived(_frame(payload, 0x82 if isBinary else 0x81))
        return protocol

    def send(self) -> Any:
        return self.io.to("all", "some").emit("headline", VALUE)

    def count(self) -> Any:
        return self.io.to("all", "some").count()


class _Msgpack(_SocketIO):
    name = "Socket.IO, msgpack"
    parser = MSGPACK


class _Counts:
    """
    Counts calls of some functions.
    """

    def __init__(self) -> None:
        self.values = dict.fromkeys(("JSON", "packets", "deflate"), 0)
        self._undone: list[Callable[[], None]] = []
        self._count(_json, "dumps", "JSON")
        self._count(type(TEXT), "encode", "packets")
        self._count(type(MSGPACK), "encode", "packets")
        self._count(
            compress_deflate.PerMessageDeflate, "compress_message_data", "deflate"
        )

    def _count(self, owner: Any, name: str, what: str) -> None:
        before = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.values[what] += 1
            return before(*args, **kwargs)

        setattr(owner, name, counted)
        self._undone.append(lambda: setattr(owner, name, before))

    def undo(self) -> None:
        for undo in self._undone:
            undo()


def _sent(room: _Room) -> float:
    """
    Send once.

    @return: How many seconds of the processor that took.
    """
    before = room.transports[-1].writes
    began = time.process_time()
    done = room.send()
    for _ in range(_MOST_TURNS):
        if room.transports[-1].writes > before:
            break
        _reactor.iterate(0)
    used = time.process_time() - began
    room.settle()
    (reached,) = done.result.values()
    assert reached == len(room.transports), reached
    return used


def measure(kind: type[Any], clients: int) -> None:
    room = kind()
    room.fill(clients)
    gc.collect()
    gc.freeze()
    _sent(room)
    found = [_sent(room) * 1000 for _ in range(SENDS)]
    before = [each.writes for each in room.transports]
    counts = _Counts()
    _sent(room)
    counts.undo()
    writes = {each.writes - n for each, n in zip(room.transports, before, strict=True)}
    frames = len({id(each.last) for each in room.transports})
    size = len(room.transports[0].last)
    called = ", ".join(f"{n} {name}" for name, n in counts.values.items() if n)
    print(
        f"{kind.name:30} {median(found):6.1f} ms a send, {min(found):6.1f} at least; "
        f"{called}; {frames} frames of {size} bytes, "
        f"{'/'.join(map(str, sorted(writes)))} write for each client",
        flush=True,
    )


KINDS = _Plain, _Alone, _Deflating, _SocketIO, _Msgpack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="of clients; all unless named")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    options = parser.parse_args()
    for kind in KINDS:
        if not options.kinds or kind.name in options.kinds:
            measure(kind, options.clients)


if __name__ == "__main__":
    main()
