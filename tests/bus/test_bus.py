"""
Tests for L{txsessionsock.bus}, without a Redis.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.bus import LocalBus
from txsessionsock.bus.envelopes import Answer, Bye, Hello, Question, open_, seal
from txsessionsock.bus.node import newNode
from txsessionsock.bus.presence import Nodes, Presence
from txsessionsock.bus.requests import Answers, Requests
from txsessionsock.interfaces import (
    BusFull,
    IBus,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.testing import BusContract


_T = TypeVar("_T")


class LocalBusContractTests(BusContract, SynchronousTestCase):
    """
    L{LocalBus} keeps what buses promise.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        super().setUp()

    def makeBus(self) -> IBus:
        return LocalBus(self.clock)

    def makeOther(self, bus: IBus) -> IBus:
        assert isinstance(bus, LocalBus)
        return LocalBus(place=bus)

    def wait(self, answer: Deferred[_T]) -> _T:
        # Nested requests take one more turn.
        self.clock.pump([0, 0])
        return super().wait(answer)


class LocalBusTests(SynchronousTestCase):
    """
    Tests for what L{LocalBus} does beyond that.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.one = LocalBus(self.clock)
        self.other = LocalBus(place=self.one)
        self.got: list[bytes] = []
        self.one.handle(lambda command: command)

    def handle(self, command: bytes) -> bytes:
        """
        Keep a command.
        """
        self.got.append(command)
        return b""

    def test_later(self) -> None:
        """
        Other nodes get a command in a later turn of the reactor, as real ones
        do.
        """
        self.other.handle(self.handle)
        asking = self.one.request(b"1")
        self.assertEqual(self.got, [])
        self.assertNoResult(asking)
        self.clock.advance(0)
        self.assertEqual(self.got, [b"1"])
        self.assertEqual(len(self.successResultOf(asking)), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_notHandling(self) -> None:
        """
        A node that takes part in nothing yet is not asked.
        """
        answers = self.successResultOf(self.one.request(b"1"))
        self.assertEqual(answers, {self.one.node: b"1"})

    def test_closedMeanwhile(self) -> None:
        """
        A node that closes before it got a command did not answer.
        """
        self.other.handle(self.handle)
        asking = self.one.request(b"1")
        self.other.close()
        self.clock.advance(0)
        self.assertIsNone(self.successResultOf(asking)[self.other.node])
        self.assertEqual(self.got, [])

    def test_apart(self) -> None:
        """
        Two buses have nothing in common unless told.
        """
        stranger = LocalBus(self.clock)
        stranger.handle(self.handle)
        self.assertEqual(len(self.successResultOf(self.one.request(b""))), 1)


class RequestsTests(SynchronousTestCase):
    """
    Tests for L{Requests}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.requests = Requests("me", self.clock, 2.0, 3, 100)

    def begin(self, *others: str, size: int = 1) -> tuple[int, Deferred[Answers]]:
        """
        Ask, and have the own answer.
        """
        number, done = self.requests.add(size, others)
        self.requests.answered(number, "me", b"mine")
        return number, done

    def test_answered(self) -> None:
        """
        It is done when all who are expected have answered, in any order, and
        it is known that it went out.
        """
        number, done = self.begin("a", "b")
        self.requests.answered(number, "b", b"2")
        self.requests.answered(number, "a", None)
        self.assertNoResult(done)
        self.requests.reached(number, 2)
        answers = self.successResultOf(done)
        self.assertEqual(answers, {"me": b"mine", "a": None, "b": b"2"})

    def test_ownAnswerComesLate(self) -> None:
        """
        The own answer is waited for too.
        """
        number, done = self.requests.add(1, ())
        self.requests.reached(number, 0)
        self.assertNoResult(done)
        self.requests.answered(number, "me", b"")
        self.assertEqual(self.successResultOf(done), {"me": b""})

    def test_unexpected(self) -> None:
        """
        A node that nobody knew of counts, whenever it answers.
        """
        expected = {"me": b"mine", "a": b"a", "new": b"n"}
        for order in ["a", "new"], ["new", "a"]:
            number, done = self.begin("a")
            self.assertTrue(self.requests.reached(number, 2))
            for node in order:
                self.assertNoResult(done)
                self.requests.answered(number, node, node[:1].encode())
            self.assertEqual(self.successResultOf(done), expected)

    def test_unexpectedIsFound(self) -> None:
        """
        It is waited for until somebody looked who it is, and then as others
        are; if it is nobody, no longer.
        """
        for others in ["a"], ["a", "new"]:
            number, done = self.begin("a")
            self.requests.answered(number, "a", b"a")
            self.assertTrue(self.requests.reached(number, 2))
            self.assertNoResult(done)
            self.requests.awaits(number, others)
            if "new" in others:
                self.assertNoResult(done)
                self.clock.advance(2.1)
            answers = self.successResultOf(done)
            self.assertEqual(set(answers), {"me", *others})

    def test_expected(self) -> None:
        """
        When those who got it are those who are known, nobody has to look.
        """
        number, _ = self.begin("a", "b")
        self.assertFalse(self.requests.reached(number, 2))
        number, _ = self.begin()
        self.assertFalse(self.requests.reached(number, 0))
        self.assertFalse(self.requests.reached(number, 1))

    def test_notReached(self) -> None:
        """
        When as many have answered as got it, the others are not waited for.
        """
        number, done = self.begin("a", "killed")
        self.requests.reached(number, 1)
        self.assertNoResult(done)
        self.requests.answered(number, "a", b"a")
        answers = self.successResultOf(done)
        self.assertEqual(answers, {"me": b"mine", "a": b"a", "killed": None})

    def test_deadline(self) -> None:
        """
        A node that does not answer in time has L{None} in the answer.  An
        answer that comes later, or twice, changes nothing.
        """
        number, done = self.begin("a", "slow")
        self.requests.reached(number, 2)
        self.requests.answered(number, "a", b"1")
        self.requests.answered(number, "a", b"2")
        self.clock.advance(1.9)
        self.assertNoResult(done)
        self.clock.advance(0.2)
        expected = {"me": b"mine", "a": b"1", "slow": None}
        self.assertEqual(self.successResultOf(done), expected)
        self.requests.answered(number, "slow", b"late")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_deadlines(self) -> None:
        """
        Each request has its own, also one that is asked when another's is
        over.
        """
        dones = [self.begin("a")[1]]
        self.requests.reached(1, 1)
        self.clock.advance(1)
        dones.append(self.begin("a")[1])
        self.requests.reached(2, 1)

        def again(answers: Answers) -> Answers:
            dones.append(self.begin("a")[1])
            self.requests.reached(3, 1)
            return answers

        dones[0].addCallback(again)
        self.clock.advance(1)
        self.successResultOf(dones[0])
        self.assertNoResult(dones[1])
        self.clock.advance(1)
        self.successResultOf(dones[1])
        self.assertNoResult(dones[2])
        self.clock.advance(1)
        self.successResultOf(dones[2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unconfirmed(self) -> None:
        """
        When it is not known whether a request went out, that is no answer.
        """
        _, done = self.begin()
        self.clock.advance(2.1)
        self.failureResultOf(done, StoreTimeout)
        number, done = self.begin("a")
        self.requests.failed(number, Failure(StoreTimeout("no answer")))
        self.failureResultOf(done, StoreTimeout)
        self.requests.failed(number, Failure(StoreTimeout("again")))

    def test_refused(self) -> None:
        """
        What was not passed on, as a Redis is busy, is done here already: so it
        does not fail as if it had been done nowhere.
        """
        number, done = self.begin("a")
        self.requests.failed(number, Failure(StoreUnavailable("BUSY")))
        error = self.failureResultOf(done, StoreError)
        self.assertIn("BUSY", error.getErrorMessage())

    def test_left(self) -> None:
        """
        A node that says goodbye is gone.
        """
        number, done = self.begin("a", "left")
        self.requests.lost("left")
        self.requests.reached(number, 1)
        self.assertNoResult(done)
        self.requests.answered(number, "a", b"a")
        answers = self.successResultOf(done)
        self.assertEqual(answers, {"me": b"mine", "a": b"a", "left": None})

    def test_answeredAndLeft(self) -> None:
        """
        A node that answered before it left has answered.
        """
        number, done = self.begin("a", "b")
        self.requests.reached(number, 2)
        self.requests.answered(number, "a", b"a")
        self.requests.lost("a")
        self.assertNoResult(done)
        self.requests.answered(number, "b", b"b")
        self.assertEqual(self.successResultOf(done)["a"], b"a")

    def test_mostCommands(self) -> None:
        """
        When too many wait, another is refused; what is answered makes room.
        """
        for _ in range(3):
            number, done = self.begin("slow")
            self.requests.reached(number, 1)
        error = self.assertRaises(BusFull, self.requests.add, 1, ())
        self.assertIn("3 commands of 3 bytes", str(error))
        self.requests.answered(number, "slow", b"")
        self.successResultOf(done)
        self.begin("slow")

    def test_mostBytes(self) -> None:
        """
        When the commands that wait have too many bytes, another one is refused.
        """
        number, done = self.begin("slow", size=60)
        self.requests.reached(number, 1)
        self.assertRaises(BusFull, self.requests.add, 41, ())
        second, _ = self.begin("slow", size=40)
        self.requests.reached(second, 1)
        self.clock.advance(2.1)
        self.successResultOf(done)
        self.begin("slow", size=100)

    def test_giveUp(self) -> None:
        """
        When the connection is lost nobody is waited for; and what could not
        be confirmed failed.
        """
        number, sent = self.begin("a")
        self.requests.reached(number, 1)
        _, unsent = self.begin("a")
        self.requests.stop()
        self.assertEqual(self.successResultOf(sent), {"me": b"mine", "a": None})
        self.failureResultOf(unsent, StoreTimeout)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class NodesTests(SynchronousTestCase):
    """
    Tests for L{Nodes}: a lifetime of 15 seconds, looked up every 5.
    """

    def setUp(self) -> None:
        self.nodes = Nodes("me", 15.0, 5.0)
        self.nodes.looked(100.0)

    def test_heard(self) -> None:
        """
        A node that said something counts as there for a lifetime.  This node
        does not count as another one.
        """
        self.nodes.heard("a", 100.0)
        self.nodes.heard("me", 100.0)
        self.nodes.looked(114.0)
        self.assertEqual(self.nodes.others(114.9), {"a"})
        self.assertEqual(self.nodes.others(115.1), set())

    def test_listed(self) -> None:
        """
        A node that is listed counts as there for the time that is listed with
        it, or longer if it was heard since.
        """
        self.nodes.listed("a", 3.0, 100.0)
        self.nodes.listed("b", 3.0, 100.0)
        self.nodes.heard("b", 90.0)
        self.assertEqual(self.nodes.others(102.9), {"a", "b"})
        self.assertEqual(self.nodes.others(103.1), {"b"})

    def test_left(self) -> None:
        """
        Who says goodbye is gone.
        """
        self.nodes.heard("a", 100.0)
        self.nodes.saidBye("a")
        self.nodes.saidBye("stranger")
        self.assertEqual(self.nodes.others(100.0), set())

    def test_asks(self) -> None:
        """
        What a node asks is to be answered once, in order, as long as it is there.
        """
        self.nodes.heard("a", 100.0)
        asked = [self.nodes.asks("a", number) for number in (3, 3, 5, 4, 6)]
        self.assertEqual(asked, [True, False, True, False, True])
        self.assertTrue(self.nodes.asks("b", 1))
        self.nodes.saidBye("a")
        self.assertTrue(self.nodes.asks("a", 1))

    def test_gap(self) -> None:
        """
        A node that was there before the connection was lost is expected for
        another lifetime after that, even if the Redis forgot it.  A node that
        was gone before is not.
        """
        self.nodes.listed("gone", 1.0, 100.0)
        self.nodes.heard("a", 100.0)
        self.nodes.resume(lost=101.5, now=200.0)
        self.nodes.looked(214.0)
        self.assertEqual(self.nodes.others(214.9), {"a"})
        self.assertEqual(self.nodes.others(215.1), set())

    def test_wasOut(self) -> None:
        """
        A node that was stopped itself does not take others for gone.
        """
        self.nodes.heard("a", 100.0)
        self.assertEqual(self.nodes.others(1000.0), {"a"})
        self.nodes.looked(1001.0)
        self.assertEqual(self.nodes.others(1001.0), set())


class PresenceTests(SynchronousTestCase):
    """
    Tests for L{Presence}.
    """

    def test_goodbyeMeanwhile(self) -> None:
        """
        A node that says goodbye while the Redis is asked for others is gone.
        """
        asked: list[Deferred[Any]] = []

        def ask(*arguments: bytes) -> Deferred[Any]:
            asked.append(Deferred())
            return asked[-1]

        nodes = Nodes("me", 15.0, 5.0)
        presence = Presence("me", nodes, "", 15.0, ask)
        looking = Deferred.fromCoroutine(presence.look(lambda: 100.0))
        asked[0].callback([b"a", b"b"])
        asked[1].callback(9000)
        nodes.saidBye("a")
        asked[2].callback(9000)
        self.successResultOf(looking)
        self.assertEqual(nodes.others(100.0), {"b"})


class EnvelopeTests(SynchronousTestCase):
    """
    Tests for what nodes say to each other.
    """

    def test_roundTrip(self) -> None:
        """
        What was sealed is opened.
        """
        for envelope in (
            Hello("n"),
            Bye("n"),
            Question("n", 7, b"\x00\xff"),
            Answer("n", 7, b""),
            Answer("n", 2**60, None),
        ):
            self.assertEqual(open_(seal(envelope)), envelope)

    @given(st.binary(max_size=200))
    def test_noise(self, raw: bytes) -> None:
        """
        Bytes are an envelope or a L{ValueError}, which does not show them.
        """
        try:
            opened = open_(raw)
        except ValueError as error:
            self.assertEqual(str(error), "not understood")
        else:
            self.assertEqual(open_(seal(opened)), opened)

    def test_hostile(self) -> None:
        """
        Well-formed values that are no envelope are refused.
        """
        pack = msgspec.msgpack.encode
        deep = b"\x91" * 100_000
        for raw in (
            b"",
            deep,
            pack("Hello"),
            pack(["Hello"]),
            pack(["Hello", ""]),
            pack(["Hello", "n" * 301]),
            pack(["Hello", 1]),
            pack(["Sudo", "n", 1, b""]),
            pack(["Question", "n", -1, b""]),
            pack(["Question", "n", 1.5, b""]),
            pack(["Question", "n", 1, "text"]),
            pack(["Question", "n", 1]),
            pack(["Answer", "n", 1, 2]),
            pack(["Hello", "n"]) + b"\x00",
        ):
            self.assertRaises(ValueError, open_, raw)

    def test_node(self) -> None:
        """
        No two nodes have the same id, and each has one that can be sent.
        """
        one, other = newNode(), newNode()
        self.assertNotEqual(one, other)
        self.assertEqual(open_(seal(Hello(one))), Hello(one))
