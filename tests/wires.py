"""
Sockets over wires that are not there, for the tests of clients and protocols.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
)
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.websocket import Timer

from .managing import SID, ManagerCase, timers


ADDRESS = IPv4Address("TCP", "127.0.0.1", 9)
HOST = "127.0.0.1:9"


class Wire(FakeTransport):
    """
    A transport that can be paused.
    """

    isPaused = False
    isAborted = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.unread: list[Any] = []

    def pauseProducing(self) -> None:
        self.isPaused = True

    def resumeProducing(self) -> None:
        self.isPaused = False
        while self.unread and not self.isPaused:
            super().bufferReceived(self.unread.pop(0))

    def bufferReceived(self, buf: Any) -> None:
        if self.isPaused:
            self.unread.append(buf)
        else:
            super().bufferReceived(buf)

    def abortConnection(self) -> None:
        self.isAborted = True
        super().abortConnection()


class _Client(WebSocketClientProtocol):
    browser: Browser

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.browser.got.append(payload if isBinary else _read(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.browser.closed = (code, reason)


def _read(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()


class Browser:
    """
    The other end of a socket.

    @ivar got: What it received.

    @ivar closed: The close code and the reason, once it is closed.

    @ivar server: The server's protocol.
    """

    def __init__(self, server: Any, client: Any) -> None:
        self.got: list[Any] = []
        self.closed: tuple[int | None, str | None] | None = None
        self.server = server
        self.client = client
        client.browser = self
        self.wire = Wire(server, isServer=True, peerAddress=ADDRESS)
        other = Wire(client, isServer=False, peerAddress=ADDRESS)
        self.pump: IOPump = connect(server, self.wire, client, other)
        self.flush()

    @property
    def producer(self) -> Any:
        """
        What the server's transport tells when its buffer is full.
        """
        return self.wire.producer

    def flush(self) -> None:
        """
        Let everything arrive.
        """
        self.pump.flush()

    def send(self, *values: Any, isBinary: bool = False) -> None:
        """
        Send messages, in one go.
        """
        for value in values:
            payload = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.client.sendMessage(payload, isBinary)
        self.flush()

    def close(self) -> None:
        """
        Go, politely.
        """
        self.client.sendClose(1000)
        self.flush()

    def cut(self) -> None:
        """
        Be gone.
        """
        if not self.wire.disconnected:
            self.wire.disconnected = True
            self.server.connectionLost(Failure(ConnectionLost()))


class Recording(SessionSocketProtocol):
    """
    A protocol that writes down what it is told, in its factory's C{seen}.
    """

    def sessionConnected(self, session: Session) -> object:
        return self.seen("sconnection", session)

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        return self.seen("smessage", message, session)

    def sessionInvalid(self, reason: Any) -> object:
        return self.seen("sinvalid", reason)

    def sessionChanged(self, session: Session, keys: Any) -> object:
        return self.seen("schanged", session, keys)

    def sessionDestroyed(self, session: Session, reason: Any) -> object:
        return self.seen("sdestroyed", session, reason)

    def sessionError(self, failure: Failure) -> object:
        return self.seen("serror", failure.value)

    def sessionDisconnected(self, session: Session, code: int) -> object:
        return self.seen("disconnect", session, code)

    def seen(self, event: str, *args: Any) -> object:
        plain = [arg for arg in args if not isinstance(arg, Session)]
        self.factory.seen.append((event, *plain))
        do = self.factory.do.get(event)
        return None if do is None else do(self, *args)


def count(client: Recording, message: Any, session: Session) -> None:
    """
    A handler that counts and answers with the count.
    """
    session["n"] = session.get("n", 0) + 1
    client.send(session["n"])


class SocketCase(ManagerCase):
    """
    Tests that connect sockets.

    @ivar seen: The events of all L{Recording}s.
    """

    perMessage = False

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[tuple[Any, ...]] = []
        self.do: dict[str, Callable[..., object]] = {}
        self.browsers: list[Browser] = []

    def serve(
        self, protocol: type[SessionSocketProtocol] = Recording, **options: Any
    ) -> Any:
        """
        Make a server.
        """
        options.setdefault("perMessage", self.perMessage)
        factory: Any = SessionSocketFactory(self.manager, **options)
        factory.protocol = protocol
        self.equip(factory)
        self.factory: Any = factory
        return factory

    def equip(self, factory: Any) -> None:
        """
        Give a factory what L{Recording} wants.
        """
        factory.seen, factory.do = self.seen, self.do

    def cookie(self, sid: str = SID) -> str:
        """
        What a browser sends along.
        """
        return f"connect.sid={self.manager.framework.cookieValue(sid)}"  # type: ignore[arg-type]  # any text

    def browse(
        self,
        factory: Any = None,
        cookie: str | None = "",
        origin: str | None = None,
        query: str = "",
        **options: Any,
    ) -> Browser:
        """
        Connect.

        @param cookie: The cookie header; that of L{SID} unless given.

        @param query: What stands after a C{?} in the address.
        """
        headers = {} if cookie is None else {"cookie": cookie or self.cookie()}
        client = WebSocketClientFactory(
            f"ws://{HOST}/?{query}" if query else f"ws://{HOST}",
            origin=origin,
            headers=headers,
            reactor=self.clock,
            **options,
        )
        client.protocol = _Client
        client._batched_timer = Timer(self.clock)
        server = (self.factory if factory is None else factory).buildProtocol(ADDRESS)
        browser = Browser(server, client.buildProtocol(ADDRESS))
        self.browsers.append(browser)
        return browser

    def wait(self, seconds: float = 0.0) -> None:
        """
        Let time pass, and everything arrive.
        """
        for step in [0.25] * round(seconds * 4) or [0.0, 0.0]:
            self.clock.advance(step)
            for browser in self.browsers:
                browser.flush()

    def events(self, event: str) -> list[Any]:
        """
        The arguments of all events of one name.
        """
        return [args[0] if args else None for name, *args in self.seen if name == event]

    def assertClosed(self, browser: Browser, code: int, reason: str | None) -> None:
        """
        It was closed, and for this reason.
        """
        self.wait()
        self.assertEqual(browser.closed, (code, reason))

    def assertNothingLeft(self, factory: WebSocketServerFactory | None = None) -> None:
        """
        All clients are gone, and nothing of them stays behind.
        """
        server: Any = self.factory if factory is None else factory
        for browser in self.browsers:
            browser.cut()
        self.run_(1)
        self.assertEqual(len(server._sessionsock.sockets), 0)
        self.assertEqual(server.countConnections, 0)
        self.assertEqual(self.manager._lives, {})
        self.assertEqual(timers(self.clock), [])
        gc.collect()


def shake(factory: Any, *headers: str, isSecure: bool = False) -> int:
    """
    Send a handshake of one's own making.

    @return: The status of the answer.
    """
    protocol = factory.buildProtocol(ADDRESS)
    transport = Wire(protocol, isServer=True, peerAddress=ADDRESS)
    protocol.makeConnection(transport)
    if isSecure:
        protocol._transport_details.is_secure = True
        # There is no certificate to look at.
        protocol._onOpen = lambda: None
    lines = [
        "GET / HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    protocol.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1"))
    status = int(transport.getOutBuffer().split(b" ")[1])
    protocol.connectionLost(Failure(ConnectionLost()))
    return status
