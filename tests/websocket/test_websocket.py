"""
Tests for L{txsessionsock.websocket}: Autobahn's WebSocket, hardened, without any
session.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frames import Rules
from tests.support.wires import shake
from txsessionsock.limits import Limits
from txsessionsock.testing import HOST, Browser
from txsessionsock.websocket import (
    AutobahnTimer,
    Hardened,
    Line,
    setLimits,
)


class Echo(Hardened):
    """
    A protocol of Autobahn's kind.
    """

    def onConnect(self, request: Any) -> Any:
        # It may wait, as a generator.
        yield from ()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._sessionsock.write((payload, isBinary))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.seen.append((wasClean, code, reason))


class HardenedTests(SynchronousTestCase):
    """
    Tests for L{Hardened} with nothing above it.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        factory: Any = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = Echo
        factory._batched_timer = AutobahnTimer(self.clock)
        factory._sessionsock = Rules(
            limits=Limits(unsentBytes=1000, unsentTimeout=5.0), clock=self.clock
        )
        factory.allowNullOrigin = True
        factory.seen = []
        setLimits(factory, Limits(messageSize=2000))
        self.factory = factory

    def browse(self) -> Browser:
        """
        Connect.
        """
        return Browser(self.factory)

    def test_echo(self) -> None:
        """
        It is an Autobahn protocol, and closes with any code.
        """
        browser = self.browse()
        browser.send("a", "b")
        self.assertEqual(browser.got, ["a", "b"])
        line: Line = browser.server._sessionsock
        self.assertEqual(browser.server.http_request_host, HOST.partition(":")[0])
        # Nobody needs it any more, and it is large.
        self.assertIsNone(line.request)
        line.close(1013, "later" * 50)
        browser.flush()
        self.assertEqual(browser.closed, (1013, ("later" * 50)[:123]))
        ((wasClean, _, _),) = self.factory.seen
        self.assertTrue(wasClean)

    def test_origin(self) -> None:
        """
        Pages of other sites are refused.
        """
        headers = f"Host: {HOST}", "Origin: http://evil.example"
        self.assertEqual(shake(self.factory, *headers), 403)

    def test_size(self) -> None:
        """
        There is a limit to messages in both directions.
        """
        browser = self.browse()
        with self.assertRaisesRegex(ValueError, "no more than 2000 can be sent"):
            browser.server._sessionsock.check((b"x" * 2001, False))
        browser.client.maxMessagePayloadSize = 0
        browser.send("x" * 2001)
        assert browser.closed is not None
        self.assertEqual(browser.closed[0], 1009)

    def test_ownOptions(self) -> None:
        """
        Options that a protocol or its class has set come before those of the factory.
        """

        class Own(Echo):
            maxMessagePayloadSize = 4

            def __init__(self) -> None:
                super().__init__()
                self.maxFramePayloadSize = 5

        self.factory.protocol = Own
        server: Any = self.browse().server
        found = server.maxMessagePayloadSize, server.maxFramePayloadSize
        self.assertEqual(found, (4, 5))
        self.assertEqual(server.closeHandshakeTimeout, Limits().closeTimeout)

    def test_early(self) -> None:
        """
        A client that sends without end while C{onConnect} waits is cut off.
        """

        class Slow(Echo):
            def onConnect(self, request: Any) -> Any:
                return Deferred()

        self.factory.protocol = Slow
        server = self.browse().server
        for _ in range(20):
            self.assertFalse(server.transport.isAborted)
            server.dataReceived(b"X: y\r\n" * 1000)
        server.dataReceived(b"X: y\r\n" * 3000)
        self.assertTrue(server.transport.isAborted)

    def test_producer(self) -> None:
        """
        C{onOpen} may have something produce, and what it sends counts.  When the
        client is cut off, the producer hears of it.
        """

        class Produces:
            isPaused = isStopped = False

            def pauseProducing(self) -> None:
                self.isPaused = True

            def stopProducing(self) -> None:
                self.isStopped = True

        producer = Produces()

        class Producing(Echo):
            def onOpen(self) -> None:
                self.registerProducer(producer, True)
                self.transport.producer.pauseProducing()
                self._sessionsock.write((b"x" * 1500, False))

        self.factory.protocol = Producing
        browser = self.browse()
        self.assertEqual((producer.isPaused, producer.isStopped), (True, False))
        self.clock.advance(5.1)
        self.assertTrue(browser.wire.isAborted)
        self.assertTrue(producer.isStopped)

    def test_unread(self) -> None:
        """
        A client that does not read is cut off.
        """
        browser = self.browse()
        browser.producer.pauseProducing()
        for _ in range(3):
            browser.server._sessionsock.write((b"x" * 500, False))
        self.clock.advance(4.9)
        self.assertFalse(browser.wire.isAborted)
        self.clock.advance(0.2)
        self.assertTrue(browser.wire.isAborted)

    def test_paused(self) -> None:
        """
        While nothing is received, nobody says that there was no pong.
        """
        browser = self.browse()
        line: Line = browser.server._sessionsock
        line.pause()
        for _ in range(3):
            browser.server.onAutoPingTimeout()
        self.assertFalse(browser.wire.isAborted)
        self.assertTrue(browser.wire.isPaused)
        line.resume()
        browser.server.onAutoPingTimeout()
        self.assertTrue(browser.wire.isAborted)
