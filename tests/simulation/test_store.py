"""
Tests for the models of stores.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from simulation.queue import NodeClock, Queue
from simulation.store import LINKS, Link, Place, placeFor
from tests.support.storestages import withScripts
from txsessionsock.interfaces import (
    FOREVER,
    NoSuchSession,
    SessionConflict,
    StoreTimeout,
    StoreUnavailable,
)


class _Stage(SynchronousTestCase):
    """
    Models on which the scripts are played that are played on real stores, too.
    """

    kind: str
    offsets: tuple[float, ...] = (0.0,)

    def setUp(self) -> None:
        self.queue = Queue(self.id())
        self.place = placeFor(self.kind, self.queue, lambda *_: None)
        self.links: dict[str, Any] = {}
        self.clocks: dict[str, NodeClock] = {}

    def store(self, name: str) -> Any:
        """
        See L{tests.support.storescripts.Stage}; the same goes for the others.
        """
        if name not in self.links:
            offset = self.offsets[len(self.links) % len(self.offsets)]
            clock = self.clocks[name] = NodeClock(self.queue, offset)
            self.links[name] = LINKS[self.kind](name, self.place, clock, 0.01)
        return self.links[name]

    def now(self, name: str) -> float:
        return self.clocks[name].seconds()

    def waitForAll(self, answers: list[Deferred[Any]]) -> None:
        while not all(answer.called for answer in answers):
            self.assertTrue(self.queue.run(0.001, 100_000))

    def settle(self) -> None:
        if self.kind != "silent":
            self.waitForAll([link.fence("k") for link in self.links.values()])

    def advance(self, seconds: float) -> None:
        self.assertTrue(self.queue.run(seconds, 100_000))

    def foreign(self, what: str, key: str) -> None:
        if what == "spoil":
            self.place.spoil(key, "web")
        else:
            self.place.empty("web")


@withScripts("watched")
class WatchedScriptTests(_Stage):
    """
    L{WatchedLink<simulation.store.WatchedLink>} does what L{RedisStore} does.
    """

    kind = "watched"


@withScripts("watched")
class WrongClockScriptTests(WatchedScriptTests):
    """
    Nothing depends on the clocks of nodes where the store has one.
    """

    offsets = (7200.0, -7200.0)


@withScripts("polled")
class PolledScriptTests(_Stage):
    """
    L{PolledLink<simulation.store.PolledLink>} does what L{SQLiteStore} does.
    """

    kind = "polled"


@withScripts("apart")
class ApartScriptTests(_Stage):
    """
    L{ApartLink<simulation.store.ApartLink>} does what L{WatchableSQLStore} does.
    """

    kind = "apart"


@withScripts("silent")
class SilentScriptTests(_Stage):
    """
    L{SilentLink<simulation.store.SilentLink>} does what L{SQLStore} does.
    """

    kind = "silent"


class LinkTests(SynchronousTestCase):
    """
    Tests for L{Place} and those who are connected to it.
    """

    def setUp(self) -> None:
        self.queue = Queue(1)
        self.told: list[str] = []
        self.place = Place(self.queue, lambda what, *_: self.told.append(what))
        self.place.create("k", b"0", FOREVER, "web", None)
        self.reports: list[str] = []

    def link(self, kind: str, name: str = "node1") -> Any:
        """
        A node's connection.
        """
        return LINKS[kind](name, self.place, NodeClock(self.queue), 0.01)

    def run_(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.assertTrue(self.queue.run(seconds, 100_000))

    def answer(self, asked: Deferred[Any]) -> Any:
        """
        What is answered.
        """
        self.assertNoResult(asked)
        self.run_(0.1)
        return self.successResultOf(asked)

    def test_operations(self) -> None:
        """
        It does what stores do.
        """
        link: Link = self.link("watched")
        self.assertEqual(self.answer(link.load("k")).raw, b"0")
        self.assertFalse(self.answer(link.create("k", b"1", 5.0)))
        self.assertEqual(self.answer(link.replace("k", b"0", b"1", 5.0)).raw, b"1")
        conflict = link.replace("k", b"0", b"2", 5.0)
        self.run_(0.1)
        self.failureResultOf(conflict, SessionConflict)
        self.run_(6.0)
        self.assertEqual(self.told, ["created", "stored", "expired"])
        gone = link.touch("k", 5.0)
        self.run_(0.1)
        self.failureResultOf(gone, NoSuchSession)
        self.assertFalse(self.answer(link.destroy("k")))

    def test_reportedOnce(self) -> None:
        """
        As in Redis, a change is reported once, until the key is read again, and
        one's own is not.
        """
        link = self.link("watched")
        link.watch("k", self.reports.append)
        self.answer(link.load("k"))
        self.answer(link.replace("k", b"0", b"1", FOREVER))
        self.assertEqual(self.reports, [])
        for raw in (b"2", b"3"):
            self.place.put("k", raw, FOREVER, "web")
            self.run_(0.1)
        self.assertEqual(self.reports, ["k"])
        self.answer(link.load("k"))
        self.place.put("k", b"4", FOREVER, "web")
        self.run_(0.1)
        self.assertEqual(self.reports, ["k", "k"])

    def test_fenced(self) -> None:
        """
        A fence is answered behind the reports of what was changed before.
        """
        for kind in ("watched", "apart", "polled"):
            self.reports = []
            link = self.link(kind, kind)
            link.watch("k", self.reports.append)
            self.answer(link.load("k"))
            for number in range(50):
                self.reports.clear()
                self.place.put("k", b"%d" % number, FOREVER, "web")
                link.fence("k").addCallback(self._fenced)
                self.run_(0.1)
                # One that is polled may report twice what two questions found.
                self.assertEqual(self.reports[0], "k", kind)
                self.assertIn("fence", self.reports)
                self.answer(link.load("k"))

    def _fenced(self, _: object) -> None:
        self.reports.append("fence")

    def test_timeout(self) -> None:
        """
        What is not answered fails, and so does what is asked until there is a
        connection again; then all that is watched is reported.
        """
        link = self.link("watched")
        link.watch("k", self.reports.append)
        for trouble, isDone in (("deaf", False), ("mute", True)):
            self.reports.clear()
            self.place.put("k", b"0", FOREVER, "web")
            self.run_(0.5)
            link.trouble = trouble
            asked = link.replace("k", b"0", b"1", FOREVER)
            self.run_(1.9)
            self.assertNoResult(asked)
            self.run_(0.2)
            self.failureResultOf(asked, StoreTimeout)
            self.failureResultOf(link.load("k"), StoreUnavailable)
            stored = self.place.get("k")
            assert stored is not None
            self.assertEqual(stored.raw == b"1", isDone)
            link.heal()
            self.run_(1.0)
            self.assertIn("k", self.reports)
            self.answer(link.load("k"))

    def test_noticed(self) -> None:
        """
        A connection over which a report did not come is found to be dead, also if
        nobody asks anything.
        """
        link = self.link("watched")
        link.watch("k", self.reports.append)
        self.answer(link.load("k"))
        link.trouble = "mute"
        self.place.put("k", b"1", FOREVER, "web")
        link.heal()
        self.run_(1.9)
        self.assertEqual(self.reports, [])
        self.run_(1.0)
        self.assertEqual(self.reports, ["k"])

    def test_cut(self) -> None:
        """
        What was under way when the connection was cut is done, or is not, before
        anything is answered that is asked later.
        """
        done = set()
        for seed in range(20):
            self.queue = Queue(seed)
            self.place = Place(self.queue, lambda *_: None)
            self.place.create("k", b"0", FOREVER, "web", None)
            link = self.link("watched")
            asked = link.replace("k", b"0", b"1", FOREVER)
            link.cut()
            self.failureResultOf(asked, StoreTimeout)
            self.run_(0.5)
            found = self.answer(link.load("k")).raw
            self.run_(5.0)
            self.assertEqual(self.answer(link.load("k")).raw, found)
            done.add(found)
        self.assertEqual(done, {b"0", b"1"})

    def test_refused(self) -> None:
        """
        What cannot be sent fails at once.
        """
        link = self.link("silent")
        link.trouble = "refused"
        self.failureResultOf(link.load("k"), StoreUnavailable)

    def test_rest(self) -> None:
        """
        It says what is left.
        """
        link = self.link("polled")
        stop = link.watch("k", self.reports.append)
        self.answer(link.load("k"))
        self.assertEqual(link.rest(), ["1 watchers"])
        stop()
        self.run_(1.0)
        self.assertEqual(link.rest(), [])
