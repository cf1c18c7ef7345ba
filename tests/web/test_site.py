"""
Tests for L{txsessionsock.web.BoundedSite}, on a clock and wires that are not there.
"""

from __future__ import annotations

import re
from io import StringIO
from random import Random
from types import SimpleNamespace
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.support.doors import frame, handshake
from tests.support.managing import turn
from tests.support.pages import Answer, View, Wire, parse
from tests.websocket.test_opening import FUZZ, HEADS, SEED, anyHead, cut
from twisted import __version__ as twisted
from txsessionsock.frameworks.express import Express
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import BoundedSite, SessionedResource, SessionSocketResource


LIMITS = Limits(headerSize=500, bodySize=1000)

GET = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"


def post(path: str, *headers: str) -> bytes:
    """
    The head of a request with a body.
    """
    lines = [f"POST {path} HTTP/1.1", "Host: a", *headers, "", ""]
    return "\r\n".join(lines).encode()


class SiteTests(SynchronousTestCase):
    """
    Tests for L{BoundedSite}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.waiting: list[Request] = []
        root = Resource()
        root.putChild(b"page", View(self.page))
        root.putChild(b"slow", View(self.slow))
        manager = SessionManager(MemoryStore(self.clock), Express("x"), self.clock)
        socket = SessionSocketResource(SessionSocketFactory(manager))
        root.putChild(b"ws", socket)
        inside = Resource()
        inside.putChild(b"w s", socket)
        root.putChild(b"in", SessionedResource(inside, manager))
        self.root = root
        self.site = BoundedSite(root, limits=LIMITS, reactor=self.clock)
        self.site.displayTracebacks = False

    def page(self, request: Request) -> bytes:
        content: Any = request.content
        return b"%d" % (len(content.read()),)

    def slow(self, request: Request) -> int:
        self.waiting.append(request)
        return NOT_DONE_YET

    def connect(self, site: Site | None = None) -> Wire:
        """
        Connect a client.
        """
        wire = Wire()
        wire.protocol = (site or self.site).buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)
        return wire

    def answers(self, wire: Wire, *data: bytes) -> list[Answer]:
        """
        Say something, and see what the answers are until now.
        """
        for each in data:
            wire.protocol.dataReceived(each)
        return parse(wire.value())

    def status(self, *data: bytes) -> int:
        """
        Say something, which is refused.
        """
        wire = self.connect()
        (answer,) = self.answers(wire, *data)
        self.assertTrue(wire.disconnecting)
        self.assertEqual(answer.headers["connection"], ["close"])
        return answer.code

    def test_head(self) -> None:
        """
        The first head has to be there in time, however the client sends it.
        """
        silent, slow = self.connect(), self.connect()
        for byte in GET[:9]:
            self.assertFalse(silent.isAborted)
            self.answers(slow, bytes([byte]))
            self.clock.advance(1)
        self.clock.advance(0.9)
        self.assertFalse(silent.isAborted or slow.isAborted)
        self.clock.advance(0.2)
        self.assertTrue(silent.isAborted)
        self.assertTrue(slow.isAborted)

    def test_laterHead(self) -> None:
        """
        Between two requests a client may take the time that Twisted gives it; the
        head of the second has to be there in time again.  Some of it may come with
        the first request, and while that is answered.
        """
        idle, second = self.connect(), self.connect()
        for wire in idle, second:
            self.assertEqual(len(self.answers(wire, GET)), 1)
        self.clock.pump([5] * 11)
        self.answers(second, b"G")
        self.assertFalse(idle.disconnecting)
        self.clock.advance(9)
        self.assertTrue(idle.disconnecting)
        self.answers(second, GET[1:] + b"GET ")
        self.assertEqual(len(self.answers(second)), 2)
        self.clock.advance(9)
        self.assertFalse(second.isAborted)
        self.clock.advance(1.1)
        self.assertTrue(second.isAborted)
        third = self.connect()
        self.answers(third, GET.replace(b"page", b"slow"), b"GET /pa")
        self.clock.pump([5] * 20)
        self.assertFalse(third.disconnecting)
        self.waiting[0].finish()
        self.clock.advance(9)
        self.assertFalse(third.isAborted)
        self.clock.advance(1.1)
        self.assertTrue(third.isAborted)

    def test_oneGo(self) -> None:
        """
        Of many requests in one go, one is handled in each turn of the reactor; those
        of a client that is gone are not.
        """
        wire, other = self.connect(), self.connect()
        wire.protocol.dataReceived(GET * 500)
        for number in range(1, 6):
            self.assertEqual(len(self.answers(wire)), number)
            self.assertEqual(len(self.answers(other, GET)), number)
            turn(self.clock)
        self.assertEqual(len(self.answers(wire)), 6)
        wire.protocol.connectionLost(Failure(ConnectionDone()))
        turn(self.clock)
        self.assertEqual(len(self.answers(wire)), 6)
        other.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_upload(self) -> None:
        """
        A body may come as slowly as the client likes, and is bounded; one that is
        too large is refused before it comes, if its length is told.
        """
        wire = self.connect()
        self.answers(wire, post("/page", "Content-Length: 1000"))
        for _ in range(1000):
            self.clock.advance(20)
            self.answers(wire, b"x")
        (answer,) = self.answers(wire)
        self.assertEqual(answer.body, b"1000")
        self.assertEqual(self.status(post("/page", "Content-Length: 1001")), 413)
        expecting = post("/page", "Content-Length: 1001", "Expect: 100-continue")
        self.assertEqual(self.status(expecting), 413)

    def test_chunks(self) -> None:
        """
        So is one whose length is not told.  Of what is too much, nothing is made.
        """
        chunked = post("/slow", "Transfer-Encoding: chunked")
        chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
        wire = self.connect()
        self.answers(wire, chunked.replace(b"slow", b"page"), *[chunk] * 10)
        (answer,) = self.answers(wire, b"0\r\n\r\n")
        self.assertEqual(answer.body, b"1000")
        end = b"0\r\n\r\n" + GET
        self.assertEqual(self.status(chunked, *[chunk] * 11, end), 413)
        self.assertEqual(self.status(chunked + chunk * 30 + end), 413)
        self.assertEqual(self.waiting, [])
        self.assertEqual(self.status(chunked + b"nonsense\r\n" + end), 400)

    def test_sockets(self) -> None:
        """
        A request to the place of a socket has no body, and a handshake has none
        wherever it goes.  To a page, C{Upgrade} means nothing otherwise.
        """
        for path in "/ws", "/ws?a", "/ws/below", "/in/w%20s":
            for header in "Content-Length: 1", "Transfer-Encoding: chunked":
                self.assertEqual(self.status(post(path, header)), 400)
        upgrade = post("/page", "Content-Length: 1", "Upgrade: websocket")
        self.assertEqual(self.status(upgrade.replace(b"POST", b"GET")), 400)
        self.assertEqual(self.answers(self.connect(), upgrade), [])
        for path in "/page", "/in", "/in/x":
            wire = self.connect()
            self.assertEqual(self.answers(wire, post(path, "Content-Length: 1")), [])

    def test_headSize(self) -> None:
        """
        A head that is too large is refused, as one line or as many; and a bad one.
        """
        line = b"X-A: " + b"a" * 45 + b"\r\n"
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\n", *[line] * 12), 431)
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\n", *[b"x" * 50] * 12), 431)
        self.assertEqual(self.status(b"GET /" + b"x" * 500 + b" HTTP/1.1\r\n"), 431)
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\n" + line * 11 + GET), 431)
        self.assertEqual(
            self.status(b"GET / HTTP/1.1\r\n" + line * 5 + b"X-B\r\n" * 2), 400
        )
        wire = self.connect()
        self.answers(wire, b"GET / HTTP/1.1\r\n" + line * 8 + b"\r\n")
        self.assertFalse(wire.disconnecting)

    def test_notClosing(self) -> None:
        """
        Who was refused and does not agree to the end is cut off.
        """
        wire = self.connect()
        self.answers(wire, b"nonsense\r\n" + GET)
        self.assertFalse(wire.isAborted)
        self.clock.advance(LIMITS.closeTimeout)
        self.assertTrue(wire.isAborted)

    def test_banner(self) -> None:
        """
        It does not say which version it is of; a page may.
        """
        wire = self.connect()
        (answer,) = self.answers(wire, GET)
        self.assertNotIn("server", answer.headers)

        def bragging(request: Request) -> bytes:
            request.setHeader(b"Server", b"mine")
            return b""

        self.root.putChild(b"page", View(bragging))
        _, answer = self.answers(wire, GET)
        self.assertEqual(answer.headers["server"], ["mine"])

    def test_http2(self) -> None:
        """
        Browsers are not told that it speaks HTTP/2, which has no WebSockets and
        none of these bounds.
        """
        self.assertEqual(self.site.acceptableProtocols(), [b"http/1.1"])

    def test_log(self) -> None:
        """
        The log of requests has no queries.
        """
        self.site.logFile = written = StringIO()
        asked = GET.replace(b"page", b"page?token=hunter2")
        asked = asked[:-2] + b'Referer: http://a/?hunter2"x\r\n\r\n'
        self.answers(self.connect(), asked)
        said = written.getvalue()
        self.assertIn("GET /page?... HTTP/1.1", said)
        self.assertNotIn("hunter2", said)

    def test_nothingLeft(self) -> None:
        """
        A client that left, or was answered, has no timer any more.
        """
        for data in GET, b"GET /", b"nonsense\r\n", b"":
            wire = self.connect()
            self.answers(wire, data)
            wire.protocol.connectionLost(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unbounded(self) -> None:
        """
        A socket in another site says once in the log what that does not bound.
        """
        handshake = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"
        plain = Site(self.root, reactor=self.clock)
        with capturedLogs() as logs:
            for site in plain, self.site, plain:
                self.answers(self.connect(site), handshake)
        said = [log for log in logs if "BoundedSite" in log.get("log_format", "")]
        self.assertEqual(len(said), 1)


class Asked(SessionSocketProtocol):
    """
    Keeps what C{onConnect} is asked.
    """

    def onConnect(self, request: Any) -> None:
        self.factory.asked.append(request.__json__())


_IS_OLD = int(twisted.partition(".")[0]) < 26

_TWISTEDS = rb"\r\n[ \t]|^GET \* " + (rb"|\r(?!\n)|(?<!\r)\n" if _IS_OLD else b"")


class DoorsTests(SynchronousTestCase):
    """
    A site and a port of its own take the same handshakes, and read the same.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        manager = SessionManager(MemoryStore(self.clock), Express("x"), self.clock)
        factory: Any = SessionSocketFactory(manager)
        factory.protocol = Asked
        factory.asked = []
        self.factory = factory
        self.site = BoundedSite(SessionSocketResource(factory), reactor=self.clock)

    def test_storm(self) -> None:
        """
        Through both, few are accepted at once, and handshakes wait for their turn.
        """
        for door in self.factory, self.site:
            wire: Any = Wire()
            wire.server = SimpleNamespace(numberAccepts=100)
            wire.protocol = door.buildProtocol(wire.getPeer())
            wire.protocol.makeConnection(wire)
            self.clock.advance(0)
            self.assertLess(wire.server.numberAccepts, 50)
            self.factory._sessionsock.turns._spent = 0.01
            wire.protocol.dataReceived(handshake())
            self.assertEqual(self.factory.asked, [])
            self.clock.advance(0)
            self.assertEqual(len(self.factory.asked), 1)
            wire.protocol.connectionLost(Failure(ConnectionDone()))
            self.factory.asked.clear()

    def ask(self, door: Any, pieces: list[bytes]) -> tuple[int | None, list[Any]]:
        """
        @return: The status of the first answer, and what C{onConnect} was asked.
        """
        self.factory.asked = []
        wire = Wire()
        wire.protocol = door.buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)
        for piece in pieces:
            if not wire.disconnecting:
                wire.protocol.dataReceived(piece)
        answer = wire.value()
        wire.protocol.connectionLost(Failure(ConnectionDone()))
        # A clock is slow when much is to be called.
        self.clock.advance(5)
        return int(answer.split(b" ")[1]) if answer else None, self.factory.asked

    def test_fuzz(self) -> None:
        """
        So it is for heads good and bad, which come in pieces; C{FUZZ=100} tries a
        hundred times as many.
        """
        random = Random(SEED)
        opened = 0
        for _ in range(round(HEADS * FUZZ / 2)):
            head = anyHead(random)
            pieces = cut(random, head + frame(b"behind"))
            port = self.ask(self.factory, pieces)
            site = self.ask(self.site, pieces)
            # Twisted joins a header that goes on in the next line with that, has an
            # answer of its own for the whole site, and before 26 drops a bare CR or LF.
            if port != site and not re.search(_TWISTEDS, head):
                self.assertNotIn(101, (port[0], site[0]), head)
                self.assertEqual(site[1], [], head)
            opened += port[0] == 101
        self.assertGreater(opened, HEADS * FUZZ / 20)

    def test_hugeLength(self) -> None:
        """
        A length with more digits than Python reads is one that is too large, and
        not an error in the log.
        """
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\n\r\n"
        self.assertEqual(self.ask(self.site, [head % (b"9" * 5000,)])[0], 413)
