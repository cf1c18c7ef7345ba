"""
Tests for what is said of clients of Socket.IO that come to a site without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.support.doors import handshake
from tests.support.pages import View, Wire, parse
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import BoundedSite, SessionSocketResource


POLL = "?EIO=4&transport=polling&t=x"
"""
The query of a client's first request.
"""

RIGHT = "right is a SocketIOResource at /socket.io (twistd: --socketio)"


def get(path: str) -> bytes:
    """
    A request for a page.
    """
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


class KnockTests(SynchronousTestCase):
    """
    Tests for the lines of the log about them.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        manager = SessionManager(MemoryStore(self.clock), Express("x"), self.clock)
        self.factory = SessionSocketFactory(manager)
        root = Resource()
        root.putChild(b"ws", SessionSocketResource(self.factory))
        root.putChild(b"page", View(self.page))
        root.putChild(b"other", View(self.other))
        root.putChild(b"broken", View(self.broken))
        self.site = BoundedSite(root, reactor=self.clock)

    def page(self, request: Request) -> bytes:
        return b"<h1>Hello</h1>"

    def other(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=UTF-8")
        return b'0{"sid":"x"}'

    def broken(self, request: Request) -> bytes:
        request.setResponseCode(503)
        return b"<h1>Later</h1>"

    def connect(self, server: object) -> Wire:
        """
        Connect a client to a site, or to a port.
        """
        wire = Wire()
        wire.protocol = server.buildProtocol(wire.getPeer())  # type: ignore[attr-defined]  # Either has it.
        wire.protocol.makeConnection(wire)
        return wire

    @contextmanager
    def logged(self) -> Iterator[list[str]]:
        """
        @return: The lines that are logged meanwhile.
        """
        lines: list[str] = []
        with capturedLogs() as events:
            yield lines
        lines += [formatEvent(each) for each in events]

    def asked(self, path: str) -> tuple[int, list[str]]:
        """
        Ask the site for something.

        @return: The code of the answer, and what was logged.
        """
        wire = self.connect(self.site)
        with self.logged() as lines:
            wire.protocol.dataReceived(get(path))
        (answer,) = parse(wire.value())
        return answer.code, lines

    def test_notFound(self) -> None:
        """
        A client of Socket.IO that gets 404 is told of in the log, with what is
        right and without what it said.  There is a line a minute.
        """
        code, (line,) = self.asked("/socket.io/" + POLL)
        self.assertEqual(code, 404)
        self.assertIn(RIGHT, line)
        self.assertTrue(line.endswith("of sessionsock.js"), line)
        self.assertNotIn("transport", line)
        self.assertEqual(self.asked("/socket.io/" + POLL), (404, []))
        with self.logged() as lines:
            self.clock.advance(61)
        self.assertIn("1 more of: a client of Socket.IO", "".join(lines))

    def test_onePageForAll(self) -> None:
        """
        So is one that gets a page of HTML.
        """
        code, (line,) = self.asked("/page" + POLL)
        self.assertEqual(code, 200)
        self.assertIn(RIGHT, line)

    def test_others(self) -> None:
        """
        Nothing is said of others that get 404, nor of one that somebody answers
        who speaks its protocol, or whose page fails.
        """
        self.assertEqual(self.asked("/none?transport=polling"), (404, []))
        self.assertEqual(self.asked("/page"), (200, []))
        self.assertEqual(self.asked("/other" + POLL), (200, []))
        self.assertEqual(self.asked("/broken" + POLL), (503, []))

    def test_resource(self) -> None:
        """
        Where it comes to the socket of a site, by polling or by WebSocket, the log
        says so.
        """
        code, (line,) = self.asked("/ws" + POLL)
        self.assertEqual(code, 426)
        self.assertIn(RIGHT, line)
        self.assertEqual(self.asked("/ws")[1], [])
        self.clock.advance(61)
        wire = self.connect(self.site)
        with self.logged() as lines:
            wire.protocol.dataReceived(handshake(path="/ws?EIO=4&transport=websocket"))
        self.assertIn(b" 101 ", wire.value())
        self.assertIn(RIGHT, lines[0])

    def test_port(self) -> None:
        """
        The same at a port of its own.
        """
        wire = self.connect(self.factory)
        with self.logged() as lines:
            wire.protocol.dataReceived(get("/socket.io/" + POLL))
        self.assertIn(b"HTTP/1.1 426 this is a plain WebSocket", wire.value())
        self.assertIn(RIGHT, lines[0])
        self.assertEqual(len(lines), 1)
        self.clock.advance(61)
        wire = self.connect(self.factory)
        path = "/socket.io/?EIO=4&transport=websocket"
        with self.logged() as lines:
            wire.protocol.dataReceived(handshake(path=path))
        self.assertIn(b" 101 ", wire.value())
        self.assertIn(RIGHT, lines[0])
