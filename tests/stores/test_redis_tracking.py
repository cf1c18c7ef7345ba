"""
Tests for L{txsessionsock.stores._tracking}, without any server.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.trackingmodel import Holder, TrackingServer, ignore
from txsessionsock.stores._tracking import Tracked, Tracking


class TrackingTests(SynchronousTestCase):
    """
    Tests for L{Tracking}, report by report.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.tracking = Tracking()
        self.told: list[str] = []
        self.stop = self.tracking.watch("k", self.told.append, ignore)

    def change(self) -> Callable[[], None]:
        """
        Send a change of C{k}.

        @return: What is to be called when the reply says that it was made.
        """
        tracked = self.tracking.get("k")
        assert tracked is not None
        foreign = tracked.foreign
        return lambda: self.tracking.landed(tracked, foreign)

    def test_others(self) -> None:
        """
        A report that is not owed is told, and each of them.
        """
        self.tracking.reported("k")
        self.tracking.reported("k")
        self.tracking.reported("another")
        self.assertEqual(self.told, ["k", "k"])

    def test_own(self) -> None:
        """
        The report of our own change is not told, and the next one is.
        """
        for _ in range(3):
            self.change()()
        for _ in range(3):
            self.tracking.reported("k")
        self.assertEqual(self.told, [])
        self.tracking.reported("k")
        self.assertEqual(self.told, ["k"])

    def test_early(self) -> None:
        """
        After a report while a change is under way, the next one is told too.
        """
        landed = self.change()
        self.tracking.reported("k")
        landed()
        self.tracking.reported("k")
        self.assertEqual(self.told, ["k", "k"])

    def test_debts(self) -> None:
        """
        What is owed is known until it comes, and is not mistaken for what is
        owed later.
        """
        self.assertFalse(self.tracking.isOwed(self.tracking.debts()))
        self.change()()
        debts = self.tracking.debts()
        self.assertTrue(self.tracking.isOwed(debts))
        self.change()()
        self.tracking.reported("k")
        self.assertFalse(self.tracking.isOwed(debts))
        self.assertTrue(self.tracking.isOwed(self.tracking.debts()))
        self.tracking.reported("k")
        self.assertFalse(self.tracking.isOwed(self.tracking.debts()))

    def test_lost(self) -> None:
        """
        With the connection, what is owed is gone: on the next one, the first
        report is somebody else's.
        """
        self.change()()
        debts = self.tracking.debts()
        self.tracking.lost()
        self.assertFalse(self.tracking.isOwed(debts))
        self.assertEqual(self.tracking.debts(), [])
        self.tracking.reported("k")
        self.assertEqual(self.told, ["k"])

    def test_underWay(self) -> None:
        """
        Of a change that is under way when all are told, no report is expected.
        """
        self.stop()
        for n in range(1000):
            self.tracking.watch(f"k{n}", ignore, ignore)
        self.tracking.watch("k", self.told.append, ignore)
        landed = self.change()
        self.tracking.tellAll()
        self.assertEqual(self.told, ["k"])
        landed()
        self.assertEqual(self.tracking.debts(), [])

    def test_stopped(self) -> None:
        """
        Nothing is owed for what nobody watches, also if the change is under
        way when its watching ends; nor is it if the key is watched again.
        """
        for changes in [self.change()], [self.change(), self.change()]:
            last = changes.pop()
            for landed in changes:
                landed()
            self.stop()
            self.assertIsNone(self.tracking.get("k"))
            last()
            self.assertEqual(self.tracking.debts(), [])
            self.stop = self.tracking.watch("k", self.told.append, ignore)
            last()
            self.assertEqual(self.tracking.debts(), [])
            self.tracking.reported("k")
            self.assertEqual(self.told, ["k"])
            self.told.clear()

    def test_watchers(self) -> None:
        """
        A key is known as long as somebody watches it; C{ended} is called when
        nobody does.
        """
        ended: list[str] = []
        tracked = self.tracking.get("k")
        second = self.tracking.watch("k", self.told.append, ended.append)
        self.assertEqual(len(self.tracking), 1)
        self.stop()
        self.assertIs(self.tracking.get("k"), tracked)
        self.tracking.reported("k")
        self.assertEqual((self.told, ended), (["k"], []))
        stop = self.tracking.watch("k2", ignore, ended.append)
        stop()
        second()
        self.assertEqual((ended, len(self.tracking)), (["k2", "k"], 0))

    def test_all(self) -> None:
        """
        All are told, once.
        """
        keys = [f"k{n}" for n in range(1000)]
        for key in keys:
            self.tracking.watch(key, self.told.append, ignore)
        self.stop()
        self.tracking.tellAll()
        self.assertEqual(self.told, keys)


_READ = ["execute", "deliver"]
_ACTIONS = ["foreign", "write", "touch", "load", "evict", "fence", "expire"]
_ACTIONS += ["early write", "early touch", "watch again", "cut"]
# Most of what happens is that time passes.
_actions = st.lists(st.sampled_from(_READ) | st.sampled_from(_ACTIONS), max_size=60)


class TrackingModelTests(SynchronousTestCase):
    """
    Tests for L{Tracking} with a server that is a model of Redis, where
    anything happens in any order.
    """

    @settings(max_examples=500)
    @given(_actions)
    @example(["execute", "deliver", "early write", "execute", "deliver", "deliver"])
    @example([*_READ, "touch", *_READ, "cut", *_READ, "foreign", *_READ])
    @example([*_READ, "touch", "watch again", *_READ])
    def test_nothingMissed(self, actions: list[str]) -> None:
        """
        A copy that is held for fresh when a fence is passed is as new as the
        fence, whatever was written and reported in whatever order; and no
        report is ever believed to be missing.
        """
        server = TrackingServer()
        holder = Holder(server)
        for action in actions:
            holder.act(action)
        holder.settle()
        holder.fence()
        holder.settle()
        for isFresh, known, asked, owed in holder.fences:
            self.assertFalse(isFresh and known < asked, "missed")
            self.assertFalse(owed)
        self.assertEqual(holder.known, server.version)
        self.assertTrue(holder.fences[-1][0])

    @given(_actions)
    def test_mute(self, actions: list[str]) -> None:
        """
        A server that does not report our own changes is found out by the
        first fence after one, unless something else was reported.
        """
        server = TrackingServer()
        server.isMute = True
        holder = Holder(server)
        for action in actions:
            holder.act(action)
        holder.settle()
        tellings = holder.tellings
        holder.fences.clear()
        holder.act("touch")
        holder.settle()
        holder.fence()
        holder.settle()
        self.assertEqual(tellings, holder.tellings)
        self.assertTrue(holder.fences[-1][3])

    @given(st.lists(st.sampled_from(["write", "touch", "fence", "execute", "deliver"])))
    def test_quiet(self, actions: list[str]) -> None:
        """
        A store that is alone is told nothing, however many changes are under
        way.
        """
        server = TrackingServer()
        holder = Holder(server)
        for action in actions:
            holder.act(action)
        holder.settle()
        self.assertEqual(holder.tellings, 0)


class TrackedTests(SynchronousTestCase):
    """
    Tests for L{Tracked}.
    """

    def test_small(self) -> None:
        """
        There is one for each session: it has no dictionary.
        """
        self.assertFalse(hasattr(Tracked(), "__dict__"))
