"""
Tests for L{txsessionsock.web.visits}, on a clock and wires that are not there.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any
from weakref import ref

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.pages import View, Wire
from txsessionsock.credentials import Cookie, Credential, InBand
from txsessionsock.frameworks.django import DjangoSignedCookies
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import Flask
from txsessionsock.frameworks.starlette import Starlette
from txsessionsock.interfaces import IFramework, ISessionStore, SessionID
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import enable
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import SessionSocketResource, VisitedSite
from txsessionsock.web.visits import IDLE


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class _Protocol(WebSocketServerProtocol):
    """
    A WebSocket that may take its time to accept its client.
    """

    welcome: Deferred[None] | None = None

    def onConnect(self, request: object) -> Any:
        return self.welcome


class _VisitCase(SynchronousTestCase):
    """
    Connections to a L{VisitedSite}.
    """

    site: VisitedSite

    def setUp(self) -> None:
        self.clock = Clock()

    def resource(
        self, framework: IFramework, store: ISessionStore, *credentials: Credential
    ) -> SessionSocketResource:
        """
        The resource of the sockets.
        """
        factory = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = _Protocol
        manager = SessionManager(store, framework, self.clock)
        enable(factory, manager, credentials=credentials)
        return SessionSocketResource(factory)

    def connect(self, *data: bytes) -> Wire:
        """
        Connect, and say something.
        """
        wire = Wire()
        wire.protocol = self.site.buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)
        for some in data:
            self.say(wire, some)
        return wire

    def say(self, wire: Wire, data: bytes) -> None:
        """
        Say something more.
        """
        wire.protocol.dataReceived(data)
        self.settle(wire)

    def settle(self, wire: Wire) -> None:
        """
        Close the connection, if the server asked for that.
        """
        if wire.disconnecting and wire.protocol is not None:
            protocol, wire.protocol = wire.protocol, None
            protocol.connectionLost(Failure(ConnectionDone()))

    def advance(self, seconds: float, *wires: Wire) -> None:
        """
        Let time pass.
        """
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)
            for wire in wires:
                self.settle(wire)


class VisitTests(_VisitCase):
    """
    L{VisitedSite}, with a page that is slow and a socket.
    """

    def setUp(self) -> None:
        super().setUp()
        self.requests: list[Request] = []
        root = Resource()
        sockets = self.resource(Express("x"), MemoryStore(self.clock), InBand())
        root.putChild(b"ws", sockets)
        root.putChild(b"fast", View(lambda request: b"done"))
        root.putChild(b"slow", View(self.slow))
        root.putChild(b"late", View(partial(self.late, sockets)))
        self.site = VisitedSite(root, self.clock)

    def slow(self, request: Request) -> int:
        self.requests.append(request)
        return NOT_DONE_YET

    def late(self, sockets: SessionSocketResource, request: Request) -> int:
        self.clock.callLater(5, sockets.render, request)
        return NOT_DONE_YET

    def test_nobody(self) -> None:
        """
        A server without connections ends at once.
        """
        self.successResultOf(self.site.goAway())

    def test_gone(self) -> None:
        """
        A connection that is closed is not counted any more.
        """
        wire = self.connect()
        self.assertEqual(len(self.site), 1)
        wire.loseConnection()
        self.settle(wire)
        self.assertEqual(len(self.site), 0)

    def test_idle(self) -> None:
        """
        Connections without a request, and those whose request is answered, are
        kept for a moment.
        """
        wires = [self.connect(), self.connect(b"GET /fast HTTP/1.1\r\n\r\n")]
        emptied = self.site.goAway()
        self.advance(IDLE - 0.1, *wires)
        self.assertNoResult(emptied)
        self.assertEqual([wire.disconnecting for wire in wires], [False] * 2)
        self.advance(0.3, *wires)
        self.successResultOf(emptied)
        self.assertIn(b"done", wires[1].value())

    def test_goodbye(self) -> None:
        """
        Over TLS, a connection ends when the client has answered.  It is cut off if
        it does not, and a producer does not keep it.
        """
        wire = self.connect(b"GET /fast HTTP/1.1\r\n\r\n")
        wire.producer = object()
        emptied = self.site.goAway()
        # Nobody closes these, for the client says nothing.
        self.clock.pump([0.1] * round(10 * IDLE + 2))
        self.assertEqual((wire.disconnecting, wire.isAborted), (True, False))
        self.assertIsNone(wire.producer)
        self.clock.pump([0.1] * 11)
        self.assertTrue(wire.isAborted)
        self.assertNoResult(emptied)
        self.advance(0.2, wire)
        self.successResultOf(emptied)

    def test_busy(self) -> None:
        """
        A request that has begun is answered first, however long that takes.
        """
        slow = self.connect(b"GET /slow HTTP/1.1\r\n\r\n")
        begun = self.connect(b"GET /fast HTTP/1.1\r\nHost: ")
        emptied = self.site.goAway()
        self.advance(IDLE + 5, slow, begun)
        self.assertNoResult(emptied)
        self.say(begun, b"localhost\r\n\r\n")
        self.assertIn(b"done", begun.value())
        self.advance(0.2, slow, begun)
        self.assertTrue(begun.disconnecting)
        self.assertNoResult(emptied)
        self.requests[0].write(b"at last")
        self.requests[0].finish()
        self.advance(0.2, slow)
        self.assertIn(b"at last", slow.value())
        self.successResultOf(emptied)

    def test_socket(self) -> None:
        """
        A handshake that comes in the meantime is answered; the socket is not a
        visit any more, and nothing is kept of it.
        """
        wire = self.connect(HANDSHAKE[:40])
        emptied = self.site.goAway()
        self.advance(1, wire)
        self.assertNoResult(emptied)
        self.say(wire, HANDSHAKE[40:])
        self.assertIn(b"101 Switching Protocols", wire.value())
        self.assertEqual(len(self.site), 0)
        self.advance(0.1, wire)
        self.successResultOf(emptied)
        self.assertFalse(wire.disconnecting)

    def test_welcome(self) -> None:
        """
        A server that ends waits for a socket that is not open yet.
        """
        self.patch(_Protocol, "welcome", Deferred())
        wire = self.connect(HANDSHAKE)
        emptied = self.site.goAway()
        self.advance(IDLE + 1, wire)
        self.assertNoResult(emptied)
        self.assertFalse(wire.disconnecting)
        assert _Protocol.welcome is not None
        _Protocol.welcome.callback(None)
        self.assertIn(b"101 Switching Protocols", wire.value())
        self.advance(0.1, wire)
        self.successResultOf(emptied)

    def test_notWelcome(self) -> None:
        """
        It waits no longer when the client of that socket leaves.
        """
        self.patch(_Protocol, "welcome", Deferred())
        wire = self.connect(HANDSHAKE)
        emptied = self.site.goAway()
        self.assertNoResult(emptied)
        wire.loseConnection()
        self.settle(wire)
        self.advance(0.1)
        self.successResultOf(emptied)

    def test_late(self) -> None:
        """
        A page may take its time before it makes a socket of its connection.
        """
        self.patch(_Protocol, "welcome", Deferred())
        wire = self.connect(HANDSHAKE.replace(b"/ws", b"/late"))
        emptied = self.site.goAway()
        self.advance(6, wire)
        self.assertNoResult(emptied)
        self.assertFalse(wire.disconnecting)
        assert _Protocol.welcome is not None
        _Protocol.welcome.callback(None)
        self.advance(0.1, wire)
        self.successResultOf(emptied)

    def test_lateAndGone(self) -> None:
        """
        Such a socket may be closed before anybody looks at its connection,
        which then has no protocol.
        """
        wire = self.connect(HANDSHAKE.replace(b"/ws", b"/late"))
        self.advance(6, wire)
        protocol = wire.protocol
        del wire.protocol
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.site), 0)
        self.successResultOf(self.site.goAway())

    def test_keptAlive(self) -> None:
        """
        A socket is not counted, also if something still refers to the
        connection that it was.
        """
        wire = self.connect(HANDSHAKE[:40])
        visit = wire.protocol
        self.say(wire, HANDSHAKE[40:])
        self.assertIsNot(wire.protocol, visit)
        self.assertEqual(len(self.site), 0)
        self.successResultOf(self.site.goAway())


class RefusedTests(_VisitCase):
    """
    Sockets that are refused.
    """

    def assertGone(
        self, framework: IFramework, store: ISessionStore, cookie: str
    ) -> None:
        """
        Assert that nothing of a connection is kept when it is closed, also
        before the garbage collector ran.
        """
        self.site = VisitedSite(Resource(), self.clock)
        self.site.resource.putChild(b"ws", self.resource(framework, store, Cookie()))
        header = f"Cookie: {framework.cookieName}={cookie}\r\n\r\n".encode()
        gc.disable()
        try:
            wire = self.connect()
            visit = ref(wire.protocol)
            self.say(wire, HANDSHAKE[:-2] + header)
            self.assertIn(b"\r\n\r\n\x88", wire.value())  # It is closed.
            protocol, wire.protocol = wire.protocol, None
            protocol.connectionLost(Failure(ConnectionDone()))
            self.assertIsNone(visit())
        finally:
            gc.enable()

    def test_badSignature(self) -> None:
        """
        Sockets that are refused for the signature of their cookie are not
        waited for.
        """
        for framework in Flask("x"), Starlette("x"), DjangoSignedCookies("x"):
            for cookie in "abc.def.ghi", "abc:1xVBlY:def", "":
                with self.subTest(framework=framework, cookie=cookie):
                    store = CookieStore(framework, self.clock)
                    self.assertGone(framework, store, cookie)

    def test_store(self) -> None:
        """
        Sockets that are refused for what is stored are not waited for.
        """
        framework, sessionID = Express("x"), SessionID("a")
        cookie = framework.cookieValue(sessionID)
        for raw in None, b"junk":
            store = MemoryStore(self.clock)
            if raw is not None:
                store.create(framework.key(sessionID), raw, 60)
            self.assertGone(framework, store, cookie)
