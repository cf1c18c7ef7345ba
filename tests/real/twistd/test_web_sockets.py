"""
Tests for L{txsessionsock.web.SessionSocketResource}, and for pages and sockets
together on a real connection.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # It has no types.
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet import reactor as globalReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request, Site

from tests.support.pages import Connection, Socket, View, WebTestCase, World
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import SessionID
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import enable
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import (
    ClientScript,
    SessionedResource,
    SessionSocketResource,
    sessionOf,
)
from txsessionsock.websocket import Outflow


reactor: Any = globalReactor


class Echo(WebSocketServerProtocol):
    """
    Plain Autobahn.
    """

    def onConnect(self, request: Any) -> None:
        self.factory.cookies.append(request.headers.get("cookie"))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


class EchoFactory(WebSocketServerFactory):
    """
    Builds L{Echo}.
    """

    protocol = Echo

    def __init__(self, clock: Any) -> None:
        super().__init__(reactor=clock)
        self.cookies: list[str | None] = []


def frame(text: bytes) -> bytes:
    """
    A text frame as browsers send it, with a mask that changes nothing.
    """
    return b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text


def handshake(*headers: str) -> bytes:
    """
    The bytes with which a browser asks for a WebSocket.
    """
    lines = [
        "GET /ws HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


class SocketResourceTests(WebTestCase):
    """
    Tests for L{SessionSocketResource}, over wires that are not there.
    """

    def setUp(self) -> None:
        super().setUp()
        self.factory = EchoFactory(self.world.clock)
        enable(self.factory, self.world.manager)
        self.cookie, _ = self.login()
        self.pages = Resource()
        self.pages.putChild(b"ws", SessionSocketResource(self.factory))

    def connect(self) -> Connection:
        """
        Connect a browser to a site with pages and a WebSocket.
        """
        return self.world.connect(SessionedResource(self.pages, self.world.manager))

    def test_opened(self) -> None:
        """
        The socket opens, inside of pages that have sessions, and no page holds
        a session for it when it is gone.
        """
        browser = self.connect()
        browser.protocol.dataReceived(handshake(f"Cookie: {self.cookie}"))
        self.assertIn(b"101 Switching Protocols", browser.wire.value())
        browser.wire.clear()
        # The transport gives what comes later to whom it belongs now.
        browser.wire.protocol.dataReceived(frame(b"hello"))
        self.assertEqual(browser.wire.value(), b"\x81\x05hello")
        browser.wire.protocol.connectionLost(Failure(ConnectionDone()))
        self.world.clock.advance(1)
        self.assertIdle()

    def test_wrapped(self) -> None:
        """
        It opens also where it is below other pages with sessions, or is wrapped.
        """
        socket = SessionSocketResource(self.factory)
        inside = Resource()
        inside.putChild(b"ws", socket)
        self.pages.putChild(b"in", SessionedResource(inside, self.world.manager))
        other = SessionedResource(inside, World().manager)
        self.pages.putChild(b"other", other)
        wrapped = EncodingResourceWrapper(socket, [GzipEncoderFactory()])
        self.pages.putChild(b"gzip", wrapped)
        for path in b"/in/ws", b"/other/ws", b"/gzip":
            browser = self.connect()
            asked = handshake(f"Cookie: {self.cookie}").replace(b"/ws", path, 1)
            browser.protocol.dataReceived(asked)
            self.assertIn(b"101 Switching Protocols", browser.wire.value())
            browser.wire.clear()
            browser.wire.protocol.dataReceived(frame(b"hello"))
            self.assertEqual(browser.wire.value(), b"\x81\x05hello")

    def test_framesWithHandshake(self) -> None:
        """
        Frames that come together with the handshake are all handled, in their
        order.
        """
        browser = self.connect()
        request = handshake(f"Cookie: {self.cookie}")
        browser.protocol.dataReceived(request + frame(b"1") + frame(b"2")[:3])
        browser.wire.protocol.dataReceived(frame(b"2")[3:])
        self.assertTrue(browser.wire.value().endswith(b"\x81\x011\x81\x012"))

    def test_cookies(self) -> None:
        """
        Repeated C{Cookie} headers are joined with semicolons.
        """
        self.connect().protocol.dataReceived(handshake("Cookie: a=1", "Cookie: b=2,3"))
        self.connect().protocol.dataReceived(handshake())
        self.assertEqual(self.factory.cookies, ["a=1; b=2,3", None])

    def test_producer(self) -> None:
        """
        The transport is free for the socket's own producer.
        """
        browser = self.connect()
        browser.protocol.dataReceived(handshake(f"Cookie: {self.cookie}"))
        self.assertIsInstance(browser.wire.producer, Outflow)

    def test_refused(self) -> None:
        """
        A factory that builds nothing is an error, and the connection is usable
        after it.
        """
        self.factory.buildProtocol = lambda address: None  # type: ignore[method-assign,assignment]  # Full.
        browser = self.connect()
        browser.protocol.dataReceived(handshake())
        browser.send("/ws")
        self.assertEqual([a.code for a in browser.answers()], [500, 426])

    def test_noHandshake(self) -> None:
        """
        A request that is no handshake is answered with 426.
        """
        browser = self.connect()
        browser.send("/ws")
        browser.send("/ws/below")
        for answer in browser.answers():
            self.assertEqual(answer.code, 426)
            self.assertEqual(answer.headers["upgrade"], ["websocket"])
            self.assertEqual(
                answer.headers["content-type"], ["text/plain; charset=utf-8"]
            )

    def test_noUpgrade(self) -> None:
        """
        A handshake whose C{Upgrade} a proxy has dropped is in the log, once.
        Requests that are no handshakes are not.
        """
        browser = self.connect()
        with capturedLogs() as logs:
            browser.send("/ws")
            browser.send("/ws", Sec_WebSocket_Key="x")
            browser.send("/ws", Sec_WebSocket_Key="x", Upgrade="h2c")
        said = [str(formatEvent(log)) for log in logs]
        self.assertEqual([answer.code for answer in browser.answers()], [426] * 3)
        said = [line for line in said if "without Upgrade: websocket, which" in line]
        self.assertEqual(len(said), 1)

    def test_http2(self) -> None:
        """
        HTTP/2 has no such handshake.  The answer has no header that HTTP/2
        forbids.
        """
        resource = SessionSocketResource(self.factory)

        def page(request: Request) -> Any:
            request.clientproto = b"HTTP/2"
            body = resource.render(request)
            request.clientproto = b"HTTP/1.1"
            return body

        browser = self.world.connect(View(page))
        browser.protocol.dataReceived(handshake())
        (answer,) = browser.answers()
        self.assertEqual(answer.code, 426)
        self.assertNotIn("upgrade", answer.headers)
        self.assertNotIn("connection", answer.headers)

    def test_children(self) -> None:
        """
        Nothing can be put below a socket.
        """
        with self.assertRaises(ValueError):
            SessionSocketResource(self.factory).putChild(b"a", Resource())


class Client(WebSocketClientProtocol):
    """
    A browser's socket.
    """

    def onOpen(self) -> None:
        self.sendMessage(b"early")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.received.callback(payload)
        self.sendClose()


class Body(Protocol):
    """
    Reads an answer to its end, and notes whether it is whole.
    """

    def __init__(self) -> None:
        self.data = b""
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone):
            self.done.callback(self.data)
        else:
            self.done.errback(reason)


def bodyOf(answer: IResponse) -> Deferred[bytes]:
    """
    Read an answer.
    """
    body = Body()
    answer.deliverBody(body)
    return body.done


class Login(Resource):
    """
    A page that logs in.
    """

    isLeaf = True

    def render_POST(self, request: Request) -> int:
        Deferred.fromCoroutine(self.login(request))
        return NOT_DONE_YET

    async def login(self, request: Request) -> None:
        """
        Log in.
        """
        session = await sessionOf(request).regenerate()
        session["user"] = "ann"
        request.write(b"welcome ")
        request.write(b"ann")
        request.finish()


@asynccontextmanager
async def site(root: Resource, manager: SessionManager) -> AsyncIterator[int]:
    """
    Serve a site on a port of its own.
    """
    served = Site(SessionedResource(root, manager), reactor=reactor, timeout=None)
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(served)
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


@pytest.mark.e2e
@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # The same.
async def test_realConnections() -> None:
    """
    Over TCP: a page, a login with a new id, the script and a socket, with
    Twisted's own client.
    """
    manager = SessionManager(MemoryStore(reactor), Express(secrets=["x"]), reactor)
    pages = Resource()
    echo = EchoFactory(reactor)
    enable(echo, manager)
    pages.putChild(b"login", Login())
    pages.putChild(b"ws", SessionSocketResource(echo))
    pages.putChild(b"sessionsock.js", ClientScript())
    holder = Socket()
    old: Session = manager.create(holder)
    old["basket"] = ["pear"]
    await old.save()
    del holder.seen[:]
    cookie = f"connect.sid={manager.framework.cookieValue(old.id)}".encode()
    pool = HTTPConnectionPool(reactor, persistent=False)
    agent = Agent(reactor, pool=pool)
    async with site(pages, manager) as port:
        root = f"http://127.0.0.1:{port}/".encode()
        headers = Headers({b"Cookie": [cookie]})
        answer = await agent.request(b"POST", root + b"login", headers)
        assert await bodyOf(answer) == b"welcome ann"
        (setCookie,) = answer.headers.getRawHeaders(b"set-cookie")
        value = setCookie.partition(b";")[0].partition(b"=")[2].decode()
        newID: SessionID = manager.framework.sessionID(value, 0)
        session = await manager.open(newID, holder)
        assert dict(session) == {"basket": ["pear"], "user": "ann"}
        assert holder.seen == ["moved"]
        script = await agent.request(b"GET", root + b"sessionsock.js")
        assert b"SessionSocket" in await bodyOf(script)

        client: Any = WebSocketClientFactory(
            f"ws://127.0.0.1:{port}/ws",
            headers={"Cookie": setCookie.partition(b";")[0].decode()},
            reactor=reactor,
        )
        client.protocol = Client
        client.received = Deferred()
        protocol: Any = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(
            client
        )
        assert await client.received == b"early"
        await protocol.is_closed
        await manager.release(session, holder)


@pytest.mark.e2e
@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # The same.
async def test_realFirstSegment() -> None:
    """
    Over TCP: a frame that was sent together with the handshake is answered.
    """
    manager = SessionManager(MemoryStore(reactor), Express(secrets=["x"]), reactor)
    pages = Resource()
    echo = EchoFactory(reactor)
    enable(echo, manager)
    pages.putChild(b"ws", SessionSocketResource(echo))
    holder = Socket()
    session = manager.create(holder)
    session["user"] = "al"
    await manager.release(session, holder)
    cookie = f"Cookie: connect.sid={manager.framework.cookieValue(session.id)}"
    async with site(pages, manager) as port:

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
                wire.sendall(handshake(cookie) + frame(b"hello"))
                got = b""
                while not got.endswith(b"hello"):
                    data = wire.recv(4096)
                    assert data, "hung up"
                    got += data
                return got

        assert (await deferToThread(ask)).endswith(b"\x81\x05hello")
