"""
The four doors by which a client comes to a WebSocket: a port of its own or a
place in a site of Twisted Web, each plain and over TLS.  All are open on real
sockets, in the running reactor::

    @pytest.mark.parametrize("door", DOORS, ids=str)
    @inReactor
    async def test_something(door: Door) -> None:
        factory = sessionFactory()
        async with door.open(factory) as entrance:
            visitor = await entrance.connect()
            visitor.send(handshake())
            assert (await visitor.head()).startswith(b"HTTP/1.1 101 ")
            visitor.send(frame(b"1"))
            await visitor.until(lambda: b"..." in visitor.received)
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.endpoints import (
    SSL4ClientEndpoint,
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    DefaultOpenSSLContextFactory,
    optionsForClientTLS,
)
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from tests.support.certificates import Certificates
from tests.support.pages import Socket
from tests.support.servers import PATIENCE, SECRET, Conditions, reactor
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import (
    SessionedFactory,
    SessionSocketFactory,
    SessionSocketProtocol,
)
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import SessionSocketResource


__all__ = [
    "DOORS",
    "KEY",
    "Door",
    "Entrance",
    "Visitor",
    "cookieOf",
    "frame",
    "handshake",
    "sessionFactory",
]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""
The key of RFC 6455's own example.
"""

_TEXT = 0x1


def handshake(*headers: str, path: str = "/ws") -> bytes:
    """
    The bytes with which a browser asks for a WebSocket.

    @param headers: Further ones, in ISO 8859-1.
    """
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("iso-8859-1")


def frame(payload: bytes, opcode: int = _TEXT, *, final: bool = True) -> bytes:
    """
    A frame as browsers send it, with a mask of zeros, which is one too.
    """
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([(0x80 if final else 0) | opcode]) + length + bytes(4) + payload


def sessionFactory(
    protocol: type[SessionSocketProtocol] = SessionSocketProtocol, **options: Any
) -> Any:
    """
    Make a factory whose sessions are in memory.

    @param options: Those of L{SessionSocketFactory}.
    """
    framework = Express(secrets=[SECRET])
    manager = SessionManager(MemoryStore(reactor), framework, reactor)
    factory = SessionSocketFactory(manager, **options)
    factory.protocol = protocol
    return factory


async def cookieOf(factory: Any, **values: Any) -> str:
    """
    Store a new session.

    @return: The value of the C{Cookie} header of its browser.
    """
    manager: SessionManager = factory.sockets.manager
    holder = Socket()
    session = manager.create(holder)
    # One with nothing in it would not be stored.
    session.update(values or {"n": 1})
    await session.save()
    await manager.release(session, holder)
    return f"connect.sid={manager.framework.cookieValue(session.id)}"


class Visitor(Protocol, Conditions):
    """
    A client that sends bytes, and keeps what comes.

    @ivar received: All that came.

    @ivar isLost: Whether the connection has ended.

    @ivar isCut: Whether it did not end in order.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.isLost = self.isCut = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.happened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.isLost = True
        self.isCut = not reason.check(ConnectionDone)
        self.happened()

    def send(self, data: bytes) -> None:
        """
        Send, if the connection is still there.
        """
        self.transport.write(data)

    async def head(self) -> bytes:
        """
        Wait for the head of an answer, or for the end of the connection.

        @return: The head with the empty line, taken out of C{received}; what
            there is, if the connection ended before.
        """
        await self.until(lambda: b"\r\n\r\n" in self.received or self.isLost)
        head, end, self.received = self.received.partition(b"\r\n\r\n")
        return head + end

    async def status(self) -> int | None:
        """
        Wait for the status of an answer; L{None} if the connection ended
        without one.
        """
        head = await self.head()
        return int(head.split(b" ")[1]) if head else None

    async def ended(self, patience: float = PATIENCE) -> None:
        """
        Wait until the server has closed the connection.
        """
        await self.until(lambda: self.isLost, patience=patience)

    def leave(self) -> None:
        """
        Cut the connection.
        """
        if not self.isLost:
            self.transport.abortConnection()


@dataclass
class Entrance:
    """
    A door that is open.

    @ivar port: Where, on 127.0.0.1.

    @ivar factory: The factory of the WebSockets.

    @ivar site: The site; L{None} if there is none.
    """

    port: int
    factory: Any
    site: Any
    isTLS: bool
    _visitors: list[Visitor] = field(default_factory=list)

    async def connect(self) -> Visitor:
        """
        Come in.  Over TLS, the handshake of TLS may be still under way.
        """
        if self.isTLS:
            options = optionsForClientTLS("localhost", trustRoot=_trustAndOptions()[0])
            endpoint: Any = SSL4ClientEndpoint(reactor, "127.0.0.1", self.port, options)
        else:
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        visitor: Visitor = await endpoint.connect(Factory.forProtocol(Visitor))
        self._visitors.append(visitor)
        return visitor

    async def shake(self, *headers: str, more: bytes = b"") -> Visitor:
        """
        Come in, and become a WebSocket.

        @param more: What to send in the same write, behind the handshake.
        """
        visitor = await self.connect()
        visitor.send(handshake(*headers) + more)
        head = await visitor.head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        return visitor

    async def until(self, condition: Callable[[], Any]) -> None:
        """
        Wait for something of the server's, of which nobody is told.
        """
        end = reactor.seconds() + PATIENCE
        while not condition():
            assert reactor.seconds() < end, "it never came about"
            await self.turn()

    async def turn(self) -> None:
        """
        Let everything go on for a moment.
        """
        await deferLater(reactor, 0.005, lambda: None)

    async def _empty(self) -> None:
        for visitor in self._visitors:
            visitor.leave()
        await self.until(lambda: all(visitor.isLost for visitor in self._visitors))
        await self.until(lambda: not self.factory.countConnections)


@dataclass(frozen=True)
class Door:
    """
    One way to a WebSocket.

    @ivar isSite: Whether it is a place in a site, C{/ws}.
    """

    isSite: bool
    isTLS: bool

    def __str__(self) -> str:
        return f"{'site' if self.isSite else 'port'}-{'tls' if self.isTLS else 'plain'}"

    @asynccontextmanager
    async def open(
        self,
        factory: WebSocketServerFactory,
        *,
        site: Callable[[IResource], Any] | None = None,
        pages: dict[bytes, IResource] | None = None,
    ) -> AsyncIterator[Entrance]:
        """
        Listen until the block is left, and then have all connections end.

        @param factory: One that gives sessions; or Autobahn's own, to see what
            that does.

        @param site: Makes the site of its root; Twisted's own unless given.

        @param pages: What else is there in the site.
        """
        served: Any = factory
        if self.isSite:
            root = Resource()
            isOurs = isinstance(factory, SessionedFactory)
            kind: Any = SessionSocketResource if isOurs else WebSocketResource
            root.putChild(b"ws", kind(factory))
            for name, page in (pages or {}).items():
                root.putChild(name, page)
            served = (site or _plainSite)(root)
        if self.isTLS:
            endpoint: Any = SSL4ServerEndpoint(
                reactor, 0, _trustAndOptions()[1], interface="127.0.0.1"
            )
        else:
            endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(served)
        theSite = served if self.isSite else None
        entrance = Entrance(port.getHost().port, factory, theSite, self.isTLS)
        try:
            yield entrance
        finally:
            await port.stopListening()
            await entrance._empty()


def _plainSite(root: IResource) -> Site:
    return Site(root, reactor=reactor)


DOORS = tuple(
    Door(isSite=isSite, isTLS=isTLS)
    for isSite in (False, True)
    for isTLS in (False, True)
)


@lru_cache
def _trustAndOptions() -> tuple[Any, Any]:
    """
    Make a server's certificate.

    @return: What its clients trust, and what the server needs for TLS.
    """
    with tempfile.TemporaryDirectory() as directory:
        made = Certificates.make(Path(directory))
        trusted = Certificate.loadPEM(made.authority.read_bytes())
        # PrivateCertificate.options() gives pyOpenSSL what that is warning of.
        options = DefaultOpenSSLContextFactory(str(made.key), str(made.certificate))
        return trusted, options
