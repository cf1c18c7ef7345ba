"""
Tests for L{txsessionsock.websocket.turns}: much that comes from one client is handled
in slices, between which others come.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frames import (
    MORE,
    PING,
    PONG,
    TEXT,
    Eavesdropping,
    Server,
    closeFrame,
    frame,
    parsed,
)
from tests.support.managing import turn
from txsessionsock.limits import Limits
from txsessionsock.websocket import Turns


class Hooked(Eavesdropping):
    """
    One whose frames Autobahn reads.
    """

    def onPing(self, payload: bytes) -> None:
        self.factory.seen.append(payload)

    def onPong(self, payload: bytes) -> None:
        self.factory.seen.append(payload)

    def onMessageFrame(self, payload: Any) -> None:
        super().onMessageFrame(payload)
        self.factory.seen.append(payload)


def cut(protocol: Any, *_: Any) -> None:
    """
    Lose the connection in a handler.
    """
    protocol.connectionLost(Failure(ConnectionLost()))


def cutAndRaise(protocol: Any, *_: Any) -> None:
    """
    And fail.
    """
    cut(protocol)
    raise ZeroDivisionError


class SliceTests(SynchronousTestCase):
    """
    One client sends much.
    """

    def test_slices(self) -> None:
        """
        Of frames of any kind, 64 are handled at once.  As long as some wait,
        nothing is read.
        """
        kinds = frame(TEXT), frame(PING), frame(PONG), frame(MORE, fin=False)
        for kind in kinds:
            for protocol in Eavesdropping, Hooked:
                server = Server(protocol)
                handled: list[int] = []
                frames = server.protocol._sessionsock.frames
                if kind == kinds[-1]:
                    server.read(frame(TEXT, fin=False))
                server.read(kind * 200)
                while frames.waits:
                    handled.append(frames._at // len(kind))
                    self.assertTrue(server.wire.isPaused)
                    server.turn()
                self.assertEqual(handled, [64, 128, 192])
                self.assertFalse(server.wire.isPaused)
                self.assertEqual(server.protocol.state, server.protocol.STATE_OPEN)

    def test_slow(self) -> None:
        """
        Fewer are handled at once where each takes long.
        """

        def do(protocol: Any, payload: bytes, isBinary: bool) -> None:
            server.clock.rightNow += 0.001

        for protocol in Eavesdropping, Hooked:
            server = Server(protocol, do=do)
            handled = []
            server.read(frame(TEXT) * 7)
            while server.protocol._sessionsock.frames.waits:
                handled.append(len(self.messages(server)))
                server.turn()
            self.assertEqual(handled, [2, 4, 6])

    def test_pausedInTheMiddle(self) -> None:
        """
        When the application pauses, what is behind waits until it resumes, is
        not read in the midst of its doing so, and comes in order.
        """
        for protocol in Eavesdropping, Hooked:
            server = Server(protocol)
            line = server.protocol._sessionsock
            server.factory.do = lambda protocol, payload, isBinary: (
                protocol._sessionsock.pause() if payload == b"stop" else None
            )
            server.read(
                b"".join(frame(TEXT, x) for x in (b"a", b"stop", b"b")) + b"\x81"
            )
            server.clock.advance(60)
            got = self.messages(server)
            self.assertEqual(got, [b"a", b"stop"])
            # TLS may have more.
            server.read(frame(TEXT, b"c")[1:] + frame(TEXT, b"d"))
            line.resume()
            self.assertEqual(self.messages(server), got)
            self.assertTrue(server.wire.isPaused)
            server.turn()
            self.assertEqual(self.messages(server), [b"a", b"stop", b"b", b"c", b"d"])
            self.assertFalse(server.wire.isPaused)

    def test_pausedAtTheEnd(self) -> None:
        """
        One that pauses with the last of what waited reads nothing more.
        """
        server = Server()
        server.read(frame(TEXT) * 65)
        server.factory.do = lambda protocol, *_: protocol._sessionsock.pause()
        server.turn()
        self.assertEqual(len(server.seen), 65)
        self.assertTrue(server.wire.isPaused)
        server.protocol._sessionsock.resume()
        self.assertFalse(server.wire.isPaused)

    def test_pausedForAMoment(self) -> None:
        """
        One that resumes in the same breath loses nothing and hears nothing twice.
        """
        server = Server()
        line = server.protocol._sessionsock

        def do(protocol: Any, payload: bytes, isBinary: bool) -> None:
            line.pause()
            line.resume()

        server.factory.do = do
        server.receive(b"".join(frame(TEXT, b"%d" % i) for i in range(200)))
        self.assertEqual(self.messages(server), [b"%d" % i for i in range(200)])
        self.assertEqual(server.factory._sessionsock.turns._listed, set())

    def test_pausedBetween(self) -> None:
        """
        One that is paused while it waits for its turn has none.
        """
        server = Server()
        line = server.protocol._sessionsock
        server.read(frame(TEXT) * 100)
        line.pause()
        server.clock.advance(1)
        self.assertEqual(len(server.seen), 64)
        line.resume()
        server.turn()
        self.assertEqual(len(server.seen), 100)
        self.assertFalse(server.wire.isPaused)

    def test_once(self) -> None:
        """
        One that was paused and resumed many times has not more turns than others.
        """
        server = Server()
        server.read(frame(TEXT) * 200)
        for _ in range(5):
            server.protocol._sessionsock.pause()
            server.protocol._sessionsock.resume()
        server.turn()
        self.assertEqual(len(server.seen), 128)

    def test_raises(self) -> None:
        """
        What the application raises in a later slice ends the connection and is in
        the log, as if a reactor had got it; what was answered before went out.
        """

        def do(protocol: Any, payload: bytes, isBinary: bool) -> None:
            protocol.sendMessage(payload, isBinary)
            if len(server.seen) == 70:
                raise ZeroDivisionError

        server = Server(do=do)
        server.read(frame(TEXT) * 100)
        server.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(server.seen), 70)
        self.assertEqual(len(parsed(server.sent)), 70)
        self.assertTrue(server.wire.isAborted)

    def test_lost(self) -> None:
        """
        What was read before the connection was lost is handled, in slices too, and
        then the application hears that it is lost.
        """
        for protocol in Eavesdropping, Hooked:
            server = Server(protocol)
            server.read(frame(TEXT) * 150)
            server.cut()
            for count in 128, 150:
                self.assertNotIn("close", [seen[0] for seen in server.seen if seen])
                server.turn()
                self.assertEqual(len(self.messages(server)), count)
            self.assertEqual(server.seen[-1][:3], ("close", False, 1006))
            server.turn()
            self.assertEqual(server.seen[-1][:3], ("close", False, 1006))
            self.assertEqual(server.factory._sessionsock.turns._listed, set())

    def test_lostAndPaused(self) -> None:
        """
        Where the line is paused, what a client left behind waits as it came, which
        takes less memory than its messages do.
        """
        server = Server()
        line = server.protocol._sessionsock
        server.factory.do = lambda *_: line.pause()
        server.read(frame(TEXT) * 3)
        server.cut()
        for count in 1, 2:
            server.turn()
            self.assertEqual(len(self.messages(server)), count)
            self.assertNotIn("close", [seen[0] for seen in server.seen])
            line.resume()
        server.turn()
        self.assertEqual(len(self.messages(server)), 3)
        self.assertEqual(server.seen[-1][:3], ("close", False, 1006))

    def test_lostPausedAndClosed(self) -> None:
        """
        One that is paused when it is lost, and dropped then, hears of its end when
        it is resumed.
        """
        server = Server()
        line = server.protocol._sessionsock
        server.factory.do = lambda *_: line.pause()
        server.read(frame(TEXT) * 3)
        server.cut()
        server.protocol.dropConnection(abort=True)
        line.resume()
        server.turn()
        self.assertEqual(server.seen[-1][0], "close")
        self.assertEqual(server.factory.countConnections, 0)

    def test_lostAndClosed(self) -> None:
        """
        The close frame of a client may be in there; and one that raises meanwhile
        is told so, too.
        """
        server = Server()
        server.read(frame(TEXT) * 100 + closeFrame(1001))
        server.cut()
        server.clock.advance(0)
        self.assertEqual(server.seen[-1], ("close", True, 1001, None))
        server = Server()
        server.read(frame(TEXT) * 100)
        server.cut()
        server.factory.do = lambda *_: 1 / 0
        server.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(server.seen[-1][:3], ("close", False, 1006))
        self.assertEqual(len(server.seen), 66)

    def test_dropped(self) -> None:
        """
        What waits when we drop the connection is lost.
        """
        server = Server(do=lambda protocol, *_: protocol.dropConnection())
        server.receive(frame(TEXT) * 100)
        self.assertEqual(len(server.seen), 1)
        server = Server()
        server.read(frame(TEXT) * 100)
        server.protocol.dropConnection()
        server.cut()
        self.assertEqual(len(server.seen), 65)
        server.clock.advance(0)
        self.assertEqual(len(server.seen), 65)
        server.read(frame(TEXT) * 100)
        self.assertEqual((len(server.seen), server.protocol.data), (65, b""))

    def test_lostMeanwhile(self) -> None:
        """
        The connection may be lost in the midst of it, and the application may
        raise besides.
        """
        for count in 1, 2, 100:
            for protocol in Eavesdropping, Hooked:
                server = Server(protocol, do=cut)
                server.read(frame(TEXT))
                self.assertEqual(server.seen[-1][:3], ("close", False, 1006))
                server = Server(protocol)
                server.read(frame(TEXT) * 64 + frame(TEXT) * count)
                server.factory.do = cutAndRaise
                server.clock.advance(0)
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                closes = [seen for seen in server.seen if seen and seen[0] == "close"]
                self.assertEqual(len(closes), 1)

    def test_close(self) -> None:
        """
        A close frame waits for its turn like everything else.
        """
        server = Server()
        server.read(frame(TEXT) * 100 + closeFrame())
        self.assertFalse(server.wire.isClosed)
        server.turn()
        self.assertEqual(len(server.seen), 100)
        self.assertTrue(server.wire.isClosed)

    def messages(self, server: Server) -> list[bytes]:
        """
        @return: Those that it got.
        """
        return [seen[1] for seen in server.seen if seen and seen[0] == "message"]


class Waits:
    """
    Somebody who waits for a turn, and takes a millisecond.
    """

    used = 0.0

    def __init__(self, name: str, clock: Clock, done: list[str], *, isBulk: bool):
        self._name, self._clock, self._done = name, clock, done
        self.isBulk = isBulk

    def goOn(self) -> None:
        self._clock.rightNow += 0.001
        self._done.append(self._name)


class StormTests(SynchronousTestCase):
    """
    Very many come, or go, at once.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns()
        self.done: list[str] = []

    def one(self, name: str, *, isBulk: bool = False) -> Waits:
        """
        Make somebody.
        """
        return Waits(name, self.clock, self.done, isBulk=isBulk)

    def come(self, count: int) -> None:
        """
        Have some come.
        """
        for _ in range(count):
            self.turns.offer(self.one("new", isBulk=True), self.clock)

    def turn(self) -> list[str]:
        """
        Let the reactor go round once.

        @return: Who was handled then.
        """
        self.done.clear()
        turn(self.clock)
        return list(self.done)

    def test_few(self) -> None:
        """
        In one turn of the reactor, 5 ms of them are handled, in the order in which
        they came, and nobody is forgotten.
        """
        self.come(100)
        # When the garbage collector comes, that time does not count.
        atOnce = len(self.done)
        self.assertIn(atOnce, range(5, 8))
        counts = [len(self.turn()) for _ in range(20)]
        self.assertLessEqual(max(counts), 7)
        self.assertEqual(sum(counts), 100 - atOnce)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.come(1)
        self.assertEqual(self.done, ["new"])

    def test_before(self) -> None:
        """
        Nobody overtakes those who came before.
        """
        self.come(10)
        self.turns._spent = 0.0
        late = self.one("late", isBulk=True)
        self.turns.offer(late, self.clock)
        self.assertNotIn("late", self.done)
        done = [*self.done, *self.turn(), *self.turn()]
        self.assertEqual(done, ["new"] * 10 + ["late"])

    def test_there(self) -> None:
        """
        Whoever is there goes on in the next turn, each time, however long it has been
        there, and may be handled at once.
        """
        there = self.one("there")
        there.used = 3600.0
        self.come(1000)
        for _ in range(50):
            self.assertTrue(self.turns.hasTimeFor(there))
            self.turns.add(there, self.clock)
            self.come(20)
            self.assertEqual(self.turn()[0], "there")

    def test_half(self) -> None:
        """
        Where those who are there want more than can be done, those who come have half.
        """
        for _ in range(1000):
            self.turns.add(self.one("there"), self.clock)
        self.come(1000)
        done = [name for _ in range(100) for name in self.turn()]
        self.assertLess(abs(done.count("new") - done.count("there")), 3)

    def test_idle(self) -> None:
        """
        What one had while nobody else waited is not held against it.
        """
        old, *young = self.one("old"), *(self.one("young") for _ in range(20))
        for _ in range(100):
            self.turns.spent(old, 1.0, self.clock)
        done = []
        for _ in range(30):
            for each in old, *young:
                each.used = each.used or 0.001
                self.turns.add(each, self.clock)
            done += self.turn()
        self.assertIn("old", done)

    def test_first(self) -> None:
        """
        The first that a client sends is of one that comes, what is behind is not.
        """
        server = Server()
        turns = server.factory._sessionsock.turns
        turns._spent = 0.01
        server.read(frame(TEXT, b"a"))
        self.assertEqual(server.seen, [])
        server.turn()
        self.assertEqual(len(server.seen), 1)
        turns._spent = 0.01
        server.read(frame(TEXT, b"b"))
        self.assertEqual(len(server.seen), 2)

    def test_lost(self) -> None:
        """
        Thousands of connections that are lost at once are done with a few at a time.
        Nobody else's frames wait for that, and their places are free at once.
        """
        server = Server()
        turns, clock = server.factory._sessionsock.turns, server.clock
        admission = server.factory._sessionsock.admission
        turns._spent = 1.0
        server.cut()
        self.assertEqual(len(admission), 0)
        self.assertEqual(server.seen, [])
        turn(clock)
        self.assertEqual([each[:3] for each in server.seen], [("close", False, 1006)])
        self.assertEqual(clock.getDelayedCalls(), [])


class TurnTests(SynchronousTestCase):
    """
    Many clients send much.
    """

    def test_turns(self) -> None:
        """
        They take turns; and one that sends little does not wait for those.
        """
        flooders = [Server() for _ in range(3)]
        first = flooders[0]
        order: list[Any] = []
        for number, server in enumerate(flooders):
            server.clock = first.clock
            server.factory.reactor = first.clock
            frames = server.protocol._sessionsock.frames
            frames._turns = first.factory._sessionsock.turns
            server.factory.do = lambda *args, number=number: order.append(number)
        for server in flooders:
            server.read(frame(TEXT) * (200 if server is flooders[2] else 150))
        # While somebody waits, those who send little at once begin with eight, and
        # those who send much with one.
        self.assertEqual(order, [0] * 64 + [1] * 8 + [2])
        order.clear()
        first.turn()
        self.assertEqual(order, [0] * 64 + [1] * 64 + [2] * 64)
        for _ in range(3):
            first.turn()
        self.assertEqual(sorted(order), [0] * 86 + [1] * 142 + [2] * 199)
        self.assertFalse(any(server.wire.isPaused for server in flooders))

    def test_fails(self) -> None:
        """
        One that fails in its turn keeps nobody from theirs, nor itself.
        """
        clock, turns, done = Clock(), Turns(), list[str]()

        class Fails(Waits):
            def goOn(self) -> None:
                super().goOn()
                raise ZeroDivisionError

        bad, good = (Fails(name, clock, done, isBulk=False) for name in ("bad", "good"))
        for each in bad, good:
            turns.add(each, clock)
        clock.advance(0)
        self.assertEqual(done, ["bad", "good"])
        turns.add(bad, clock)
        clock.advance(0)
        self.assertEqual(done, ["bad", "good", "bad"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_least(self) -> None:
        """
        Of those who wait, the one that has had the least goes on first, and nothing
        is handled at once when the time for that is over.
        """
        flooder, other = Server(), Server()
        other.clock = flooder.clock
        other.factory.reactor = flooder.clock
        turns = flooder.factory._sessionsock.turns
        other.protocol._sessionsock.frames._turns = turns
        order: list[Any] = []

        def work(name: str) -> None:
            order.append(name)
            flooder.clock.rightNow += 0.03

        # It has been there before.
        other.read(frame(TEXT))
        other.protocol._sessionsock.frames.used = 0.001
        flooder.factory.do = lambda *_: work("flooder")
        other.factory.do = lambda *_: work("other")
        flooder.read(frame(TEXT) * 100)
        other.read(frame(TEXT) * 2)
        self.assertEqual(order, ["flooder"])
        self.assertTrue(other.wire.isPaused)
        for _ in range(3):
            flooder.turn()
        self.assertEqual(order[:4], ["flooder", "other", "other", "flooder"])
        self.assertFalse(other.wire.isPaused)

    def test_time(self) -> None:
        """
        All of them together have only so much of a turn of the reactor.
        """
        limits = Limits()
        servers = [Server(limits=limits) for _ in range(20)]
        clock = servers[0].clock
        turns = servers[0].factory._sessionsock.turns
        handled: list[int] = []

        def do(number: int) -> None:
            handled.append(number)
            clock.rightNow += 0.001

        for number, server in enumerate(servers):
            server.factory.reactor = clock
            frames = server.protocol._sessionsock.frames
            frames._turns, frames._seconds = turns, clock.seconds
            server.factory.do = lambda *args, number=number: do(number)
            server.read(frame(TEXT) * 40)
        for _ in range(4):
            handled.clear()
            servers[0].turn()
            self.assertLessEqual(len(handled), 12)
        # Nobody is left out: those who come have half of the time.
        everybody = set()
        for _ in range(15):
            handled.clear()
            servers[0].turn()
            everybody.update(handled)
        self.assertEqual(everybody, set(range(20)))
