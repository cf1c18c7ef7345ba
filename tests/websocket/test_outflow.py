"""
Tests for L{txsessionsock.websocket.Outflow}: a bound on what waits for a client
that does not read.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.limits import Limits
from txsessionsock.websocket import Outflow


_SLICE = 64 * 1024


class Transport:
    """
    A transport that has room for so many bytes.

    @ivar got: What it was given.
    """

    producer: Any = None

    def __init__(self, room: int) -> None:
        self.room = room
        self.got = b""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.got += data
        self.room -= len(data)
        if self.room < 0 and self.producer is not None:
            self.producer.pauseProducing()

    def sent(self, room: int) -> None:
        """
        All is gone.
        """
        self.room = room
        self.producer.resumeProducing()


class Pulled:
    """
    A producer that is asked each time.

    @ivar left: How often it has still something.
    """

    def __init__(self, outflow: Outflow, left: int) -> None:
        self._outflow = outflow
        self.left = left
        self.isStopped = False

    def resumeProducing(self) -> None:
        if self.left:
            self.left -= 1
            self._outflow.write(b"0123456789")

    def stopProducing(self) -> None:
        self.isStopped = True


class OutflowTests(SynchronousTestCase):
    """
    Tests for L{Outflow} without any WebSocket.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.dropped: list[str] = []
        self.turns: list[bool] = []

    def sendAsAutobahn(self, data: bytes) -> None:
        """
        Nothing goes that way.
        """
        raise NotImplementedError

    def cut(self, why: str) -> None:
        """
        Too much waits.
        """
        self.dropped.append(why)

    def turned(self) -> None:
        """
        The client is to cause no more, or may again.
        """
        self.turns.append(self.made.isFull)

    def outflow(self, room: int, unsent: int = 1000, most: int = 3000) -> Outflow:
        """
        Make one whose transport has so much room.
        """
        self.transport = Transport(room)
        limits = Limits(unsentBytes=unsent, unsentTimeout=10.0)
        self.made = Outflow(self.transport, self, self.clock, limits, most)
        return self.made

    def test_room(self) -> None:
        """
        What the transport has room for does not wait.
        """
        outflow = self.outflow(room=100)
        for _ in range(10):
            outflow.write(b"0123456789")
        self.assertEqual((len(outflow), self.transport.got), (0, b"0123456789" * 10))

    def test_order(self) -> None:
        """
        A transport that is full is given no more until it has sent all, and
        then everything in its order.
        """
        outflow = self.outflow(room=5)
        sent = [bytes([65 + n]) * 100 for n in range(9)]
        for data in sent:
            outflow.write(data)
        self.assertEqual((self.transport.got, len(outflow)), (sent[0], 800))
        self.transport.sent(room=10_000)
        self.assertEqual((self.transport.got, len(outflow)), (b"".join(sent), 0))
        outflow.write(b"more")
        self.assertEqual(self.transport.got, b"".join(sent) + b"more")

    def test_slices(self) -> None:
        """
        A large message is given to the transport in pieces, so that little of
        it waits where it cannot be counted.
        """
        outflow = self.outflow(room=_SLICE - 1, unsent=1 << 20, most=1 << 20)
        outflow.write(b"x" * 10 * _SLICE)
        self.assertEqual(len(self.transport.got), _SLICE)
        for n in range(2, 11):
            self.transport.sent(room=_SLICE - 1)
            self.assertEqual(len(self.transport.got), n * _SLICE)
            self.assertEqual(len(outflow), (10 - n) * _SLICE)

    def test_small(self) -> None:
        """
        A great many small things take no more than their bytes.
        """
        outflow = self.outflow(room=0, unsent=100_000, most=100_000)
        for _ in range(50_001):
            outflow.write(b"ab")
        self.assertLess(outflow.waiting.__sizeof__(), 120_000)
        self.assertEqual(self.dropped, [])

    def test_full(self) -> None:
        """
        It is told when so much waits that there should not be more, and when
        there is room again.
        """
        outflow = self.outflow(room=0)
        outflow.write(b"x")
        outflow.write(b"x" * 1000)
        self.assertEqual(self.turns, [])
        outflow.write(b"x")
        self.assertEqual(self.turns, [True])
        self.transport.sent(room=10_000)
        self.assertEqual(self.turns, [True, False])
        self.clock.advance(60)
        self.assertEqual(self.dropped, [])

    def test_most(self) -> None:
        """
        At no moment more than the bound waits: who is sent more is dropped at
        once.
        """
        outflow = self.outflow(room=0)
        outflow.write(b"x")
        outflow.write(b"x" * 2999)
        outflow.write(b"x")
        self.assertEqual((self.dropped, len(outflow)), ([], 3000))
        outflow.write(b"x")
        self.assertEqual(len(outflow), 3000)
        (why,) = self.dropped
        self.assertIn("more than may wait", why)

    def test_timeout(self) -> None:
        """
        Who has too much waiting for too long is dropped, too.
        """
        outflow = self.outflow(room=0)
        outflow.write(b"x" * 10)
        outflow.write(b"x" * 1001)
        self.clock.advance(9.9)
        self.assertEqual(self.dropped, [])
        self.clock.advance(0.2)
        (why,) = self.dropped
        self.assertIn("not read for too long", why)

    def test_aborted(self) -> None:
        """
        What waits for a client that is dropped is freed at once.
        """
        outflow = self.outflow(room=0)
        outflow.write(b"x")
        outflow.write(b"y" * 2000)
        outflow.end(isAborted=True)
        self.assertEqual((len(outflow), self.transport.got), (0, b"x"))
        self.assertIsNone(self.transport.producer)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """
        What waits for a client that is not dropped is handed over.
        """
        outflow = self.outflow(room=0)
        outflow.write(b"x")
        outflow.write(b"y" * 2000)
        outflow.end(isAborted=False)
        self.assertEqual(self.transport.got, b"x" + b"y" * 2000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pull(self) -> None:
        """
        A producer that is asked each time is asked no more while the transport
        is full, nor when it has nothing more; the bound holds beside it.
        """
        outflow = self.outflow(room=25)
        producer = Pulled(outflow, 5)
        outflow.register(producer, False)
        with self.assertRaises(RuntimeError):
            outflow.register(Pulled(outflow, 1), False)
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual((producer.left, len(outflow)), (2, 0))
        outflow.write(b"x" * 500)
        self.assertEqual(len(outflow), 500)
        self.transport.sent(room=1000)
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual(producer.left, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        outflow.unregister()
        outflow.write(b"x" * 1000)
        self.clock.advance(0)
        outflow.register(producer, False)
        self.transport.producer.stopProducing()
        self.assertTrue(producer.isStopped)
