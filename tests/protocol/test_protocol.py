"""
Tests for L{txsessionsock.protocol}: what is sent and received, and how much.
"""

from __future__ import annotations

from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock.limits import Limits
from txsessionsock.messages import Raw
from txsessionsock.protocol import SessionSocketProtocol


class SendingTests(SocketCase):
    """
    What can be sent, and what can be received.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()

    def test_notSendable(self) -> None:
        """
        What is no message raises where it is sent.
        """
        server = self.browse().server
        for bad in object(), [object()], "\ud800".encode:
            with self.assertRaises(ValueError):
                server.send(bad)
        for value, kind in (float("inf"), "float that"), (b"", "bytes"), ({1}, "set"):
            with self.assertRaisesRegex(ValueError, rf"message\['a'\]: {kind}"):
                server.send({"a": value})
        with self.assertRaises(TypeError):
            server.sendMessage("text")
        server._sessionsock.messages = Raw()
        for bad in 1, None, {}, "\ud800":
            with self.assertRaises(ValueError):
                server.send(bad)

    def test_tooBigToSend(self) -> None:
        """
        What Autobahn would not send raises where it is sent, not later.
        """
        self.serve(limits=Limits(messageSize=100))
        server = self.browse().server
        for send, message in (server.send, "x" * 99), (server.sendMessage, b"x" * 101):
            with self.assertRaisesRegex(ValueError, "101 bytes; no more than 100"):
                send(message)

    def test_closeCodes(self) -> None:
        """
        Codes that cannot be sent raise; reasons are cut between characters.
        """
        for code in 0, 999, 1004, 1005, 1006, 1015, 2999, 5000:
            for close in "close", "sendClose":
                with self.assertRaises(ValueError):
                    getattr(self.browse().server, close)(code)
        browser = self.browse()
        browser.server.close(1013, "€" * 100 + "\ud800")
        self.assertClosed(browser, 1013, "€" * 41)

    def test_badPayloads(self) -> None:
        """
        What is no message closes the socket: 1007; what is too big: 1009.
        """
        for payload, isBinary, code in (
            (b"{x", False, 1007),
            (b"\xff", True, 1007),
            (b"NaN", False, 1007),
            (b"1" * 101, False, 1009),
        ):
            self.serve(limits=Limits(messageSize=100))
            browser = self.browse()
            browser.send(payload, isBinary=isBinary)
            assert browser.closed is not None
            self.assertEqual(browser.closed[0], code)
            self.assertEqual(self.seen[-1], ("disconnect", code))
            self.assertNothingLeft()

    def test_manyValues(self) -> None:
        """
        So is what has too many values, for JSON alone; and what is nested too
        deeply is no message, however deep.
        """
        self.put()
        for perMessage in True, False:
            self.serve(perMessage=perMessage, limits=Limits(messageValues=10))
            for payload, closed in (
                (b"[1,2,3,4,5,6,7,8,9]", None),
                (b'["%s"]' % (b"[,]" * 20), None),
                (b"[1,2,3,4,5,6,7,8,9,10]", (1009, "too many values")),
                (b"[[],[],[],[],[],[],[]]", (1009, "too many values")),
                (b"[" * 100_000, (1009, "too many values")),
            ):
                browser = self.browse()
                browser.client.sendMessage(payload, isBinary=closed is None)
                browser.flush()
                self.assertEqual(browser.closed, closed, payload[:50])
        self.serve()
        browser = self.browse()
        browser.client.sendMessage(b"[" * 50_000 + b"]" * 50_000)
        browser.flush()
        self.assertEqual(browser.closed, (1007, "bad message"))

    def test_manyRaw(self) -> None:
        """
        What is no JSON has no values.
        """

        class Plain(Recording):
            messages = Raw()

        self.put()
        self.serve(Plain, limits=Limits(messageValues=10))
        browser = self.browse()
        text = "[1,2,3,4,5,6,7,8,9,10,11]"
        browser.client.sendMessage(text.encode())
        browser.flush()
        self.assertEqual(self.events("smessage"), [text])

    def test_fragments(self) -> None:
        """
        The limit holds for a message in many frames.
        """
        self.serve(limits=Limits(messageSize=100))
        browser = self.browse()
        browser.client.sendMessage(b"1" * 101, fragmentSize=50)
        browser.flush()
        assert browser.closed is not None
        self.assertEqual(browser.closed[0], 1009)


class UndecodableTests(SocketCase):
    """
    Sessions that cannot be read.
    """

    def test_logged(self) -> None:
        """
        Unless somebody listens, the log has one line, without the session.
        """
        self.putRaw(b"s3cret")
        self.serve(SessionSocketProtocol)
        with capturedLogs() as logs:
            self.assertClosed(self.browse(), 1011, "session failed")
        self.assertEqual(self.flushLoggedErrors(), [])
        (said,) = (formatEvent(log) for log in logs if log["log_level"] > LogLevel.info)
        self.assertIn("a session cannot be read: ", said)
        self.assertNotIn("s3cret", said)
        self.factory.on("serror", lambda client, failure: None)
        with capturedLogs() as logs:
            self.browse()
        self.assertNotIn("cannot be read", "".join(map(formatEvent, logs)))


class Producer:
    """
    Writes down what it is told.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class OutflowTests(SocketCase):
    """
    Slow readers, and other producers.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(limits=Limits(unsentBytes=1000, unsentTimeout=10.0))

    def slow(self, size: int) -> Browser:
        """
        A client for which so much waits.
        """
        browser = self.browse()
        browser.producer.pauseProducing()
        browser.server.send("x" * size)
        return browser

    def test_dropped(self) -> None:
        """
        Who has too much waiting for too long is dropped, and not before.
        """
        browser = self.slow(1001)
        self.clock.advance(9.9)
        self.assertFalse(browser.wire.isAborted)
        self.clock.advance(0.2)
        self.assertTrue(browser.wire.isAborted)
        browser.cut()
        self.assertEqual(self.seen[-1], ("disconnect", 1006))
        self.assertNothingLeft()

    def test_pongs(self) -> None:
        """
        What the client makes us send is nothing else.
        """
        browser = self.slow(0)
        for _ in range(10):
            browser.client.sendPing(b"x" * 125)
        browser.flush()
        self.clock.advance(10.1)
        self.assertTrue(browser.wire.isAborted)

    def test_notDropped(self) -> None:
        """
        Who has less waiting, or reads in time, is not.
        """
        little, intime = self.slow(900), self.slow(1001)
        self.clock.advance(9)
        intime.producer.resumeProducing()
        self.clock.advance(9)
        for browser in little, intime:
            self.assertFalse(browser.wire.isAborted)

    def test_push(self) -> None:
        """
        A producer of the application's is told what ours is told, and the
        limit holds beside it and after it.
        """
        browser = self.slow(1)
        producer = Producer()
        browser.server.registerProducer(producer, True)
        with self.assertRaises(RuntimeError):
            browser.server.registerProducer(Producer(), True)
        browser.producer.resumeProducing()
        browser.server.unregisterProducer()
        browser.producer.pauseProducing()
        self.assertEqual(producer.told, ["pause", "resume"])
        browser.server.send("x" * 1001)
        self.clock.advance(11)
        self.assertTrue(browser.wire.isAborted)

    def test_pull(self) -> None:
        """
        So is one that is asked each time.
        """
        browser = self.slow(1)
        producer = Producer()
        browser.server.registerProducer(producer, False)
        self.assertEqual(producer.told, [])
        browser.producer.resumeProducing()
        browser.server.unregisterProducer()
        self.assertEqual(producer.told, ["resume"])
        browser.producer.pauseProducing()
        browser.server.send("x" * 1001)
        self.clock.advance(11)
        self.assertTrue(browser.wire.isAborted)


class EquipmentTests(SocketCase):
    """
    Tests for what the connections of two servers share.
    """

    def test_countWith(self) -> None:
        """
        Connections of two servers count together, and take turns with each other.
        """
        one, two = self.serve()._sessionsock, self.serve()._sessionsock
        two.countWith(one)
        self.assertIs(two.admission, one.admission)
        self.assertIs(two.turns, one.turns)
