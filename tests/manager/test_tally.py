"""
Tests for what a manager counts for those who watch over a process, and for what it
tells them in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.manager.test_manager_repair import RepairCase
from tests.support.managing import KEY, SID, ManagerCase
from txsessionsock.interfaces import (
    NoSuchSession,
    StoreError,
    StoreRefusal,
    StoreUnavailable,
)
from txsessionsock.manager import BOUNDS, Tally, Times
from txsessionsock.session import shortHash


class TimesTests(SynchronousTestCase):
    """
    L{Times}
    """

    def test_parts(self) -> None:
        """
        Each time is in the first part whose bound it does not pass.
        """
        times = Times()
        for seconds in -1.0, 0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], 1e9:
            times.note(seconds)
        counts = [0] * (len(BOUNDS) + 1)
        counts[:2], counts[-2:] = [3, 1], [1, 1]
        self.assertEqual(times.counts, counts)
        self.assertAlmostEqual(times.total, 2.01 * BOUNDS[0] + BOUNDS[-1] + 1e9)


class CodeTests(SynchronousTestCase):
    """
    L{Tally.closed}
    """

    def test_bounded(self) -> None:
        """
        Codes that clients make up are counted together.
        """
        tally = Tally()
        for code in range(-1, 70000):
            tally.closed(code)
        self.assertEqual(sum(tally.closes.values()), 70001)
        self.assertLess(len(tally.closes), 30)
        self.assertEqual(tally.closes["1000"], 1)
        self.assertEqual(tally.closes["4401"], 1)
        self.assertGreater(tally.closes["other"], 60000)


def events(logs: Sequence[Any]) -> list[str]:
    """
    The names of the events in a log.
    """
    return [each["event"] for each in logs if "event" in each]


class SavingTests(ManagerCase):
    """
    Writes, and those before which somebody else was.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=1)
        self.session = self.open()
        self.tally = self.manager.tally

    def test_saves(self) -> None:
        """
        What is stored is counted once, and what changes nothing is not.
        """
        self.assertEqual(self.tally.saves, 0)
        for n in 2, 3, 3:
            self.session["n"] = n
            self.settled(self.session.save())
        self.assertEqual((self.tally.saves, self.tally.conflicts), (2, 0))
        self.assertEqual((self.tally.repairs, self.tally.storeFailures), (0, 0))

    def test_ends(self) -> None:
        """
        A session that ends is counted by the reason, and told by its hash.
        """
        with capturedLogs() as logs:
            self.settled(self.session.destroy())
        self.assertEqual(dict(self.tally.ends), {"destroyed": 1})
        (event,) = [each for each in logs if "event" in each]
        self.assertEqual(event["event"], "destroyed")
        self.assertEqual(event["reason"], "destroyed")
        self.assertEqual(event["session"], shortHash(SID))
        self.assertNotIn(SID, repr(event))

    def test_gone(self) -> None:
        """
        Also one that somebody else ends.
        """
        self.successResultOf(self.place.destroy(KEY))
        self.run_(1)
        self.assertEqual(dict(self.tally.ends), {"destroyed": 1})
        self.failureResultOf(self.session.save(), NoSuchSession)


class ConflictTests(ManagerCase):
    """
    Of two nodes that write at once, one has a conflict.
    """

    def test_conflict(self) -> None:
        """
        It is counted there, and told once.
        """
        self.put(n=1)
        other = self.newManager(freshness="tracked")
        one, two = self.open(), self.open(manager=other)
        one["a"], two["b"] = 1, 2
        with capturedLogs() as logs:
            first, second = one.save(), two.save()
            self.run_(1)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.stored(), {**(self.stored() or {}), "a": 1, "b": 2})
        tallies = self.manager.tally, other.tally
        self.assertEqual(sum(tally.conflicts for tally in tallies), 1)
        self.assertEqual(sum(tally.saves for tally in tallies), 2)
        self.assertEqual(events(logs), ["conflict"])
        self.assertNotIn(SID, repr(logs))


class RepairedTests(RepairCase):
    """
    What is put back is counted.
    """

    def test_repaired(self) -> None:
        """
        Once, and the log tells it.
        """
        copy = self.request()
        self.save(mine=[1])
        before = self.manager.tally.saves
        with capturedLogs() as logs:
            self.ends(copy, seen=True)
        self.assertEqual((self.stored() or {})["mine"], [1])
        self.assertEqual(self.manager.tally.repairs, 1)
        self.assertEqual(self.manager.tally.saves, before + 1)
        self.assertEqual(events(logs), ["repaired"])


class StoreTests(ManagerCase):
    """
    What is known of a store.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=1)
        self.session = self.open()

    def trouble(self) -> Any:
        """
        What L{SessionManager.trouble} says at once.
        """
        return self.successResultOf(self.manager.trouble())

    def test_away(self) -> None:
        """
        The log tells once that it fails, and once that it is back, however it
        answers.
        """
        with capturedLogs() as logs:
            self.store.fail(StoreUnavailable("secret"))
            for _ in range(3):
                self.failureResultOf(self.session.reload())
            self.assertTrue(self.manager.isStoreAway)
            self.store.heal()
            self.run_(20)
            self.settled(self.session.reload())
        self.assertFalse(self.manager.isStoreAway)
        self.assertGreaterEqual(self.manager.tally.storeFailures, 3)
        self.assertEqual(events(logs), ["store-failed", "store-back"])
        self.assertEqual(logs[0]["error"], "StoreUnavailable")
        self.assertNotIn("secret", repr(logs))

    def test_slow(self) -> None:
        """
        An answer that comes later counts as one that is there at once.
        """
        self.store.fail(StoreUnavailable("x"))
        self.failureResultOf(self.session.reload())
        self.store.hold("load", "fence")
        reloading = self.session.reload()
        self.assertTrue(self.manager.isStoreAway)
        self.store.release()
        self.settled(reloading)
        self.assertFalse(self.manager.isStoreAway)

    def test_blind(self) -> None:
        """
        A store that does not see what others do fails each fence, and is there.
        """
        session = self.open()
        self.store.fail(StoreUnavailable("sees no changes"), "fence")
        keeper = session.keeper
        with capturedLogs() as logs:
            for _ in range(3):
                fresh = keeper.fresh(keeper.arrival())
                if fresh is not None:
                    self.successResultOf(fresh)
                self.assertFalse(self.manager.isStoreAway)
                self.assertIsNone(self.successResultOf(self.manager.trouble()))
                self.clock.advance(2)
        self.assertGreater(self.calls("fence"), 0)
        self.assertEqual(self.manager.tally.storeFailures, 0)
        self.assertEqual([each for each in logs if "event" in each], [])

    def test_refused(self) -> None:
        """
        A store that takes no such value is there.
        """
        self.store.fail(StoreRefusal("no"), "replace")
        self.session["n"] = 2
        self.session.save().addErrback(lambda _: None)
        self.run_(1)
        self.assertFalse(self.manager.isStoreAway)

    def test_trouble(self) -> None:
        """
        Who asks whether this process can serve has the store asked, once a second
        at most, and hears at once of one that is away.
        """
        before = self.calls("load")
        for _ in range(5):
            self.assertIsNone(self.trouble())
        self.assertEqual(self.calls("load"), before + 1)
        self.store.fail(StoreUnavailable("x"))
        self.assertIsNone(self.trouble())
        self.clock.advance(1.1)
        for _ in range(5):
            self.assertEqual(self.trouble(), "store")
        self.assertEqual(self.calls("load"), before + 2)
        self.store.heal()
        self.clock.advance(1.1)
        self.assertIsNone(self.trouble())

    def test_otherQuestions(self) -> None:
        """
        That a question fails which is about a session is no trouble: it may be about
        what is stored there.
        """
        self.assertIsNone(self.trouble())
        self.store.fail(StoreError("of another type"), "replace")
        self.session["n"] = 2
        self.session.save().addErrback(lambda _: None)
        self.assertTrue(self.manager.isStoreAway)
        self.assertIsNone(self.trouble())
        self.clock.advance(1.1)
        self.assertIsNone(self.trouble())

    def test_hangs(self) -> None:
        """
        One that does not answer is away when its time is up, and who asks then does
        not wait for it.
        """
        self.store.hold("load")
        first = self.manager.trouble()
        second = self.manager.trouble()
        self.assertNoResult(first)
        self.clock.advance(2.6)
        self.assertEqual(self.successResultOf(first), "store")
        self.assertEqual(self.successResultOf(second), "store")
        self.assertEqual(self.trouble(), "store")
        self.store.heal()
        self.clock.advance(1.1)
        self.assertIsNone(self.trouble())

    def test_forgotten(self) -> None:
        """
        Who asked may have lost interest.
        """
        self.store.hold("load")
        asked = self.manager.trouble()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.store.heal()
        self.assertIsNone(self.trouble())

    def test_ending(self) -> None:
        """
        A process that ends cannot serve, and asks nobody.
        """
        ending: Deferred[None] = self.manager.end()
        before = len(self.store.calls)
        self.assertEqual(self.trouble(), "ending")
        self.assertEqual(len(self.store.calls), before)
        self.assertTrue(self.manager.isEnding)
        self.settled(ending, 12)

    def test_fences(self) -> None:
        """
        How long a fence takes is noted as soon as somebody wants to know.
        """
        tally = self.manager.tally
        self.settled(self.session.reload())
        self.assertEqual(sum(tally.fences.counts), 0)
        self.assertIs(self.manager.measure(), tally)
        self.store.hold("fence")
        fresh = self.session.keeper.fresh(self.session.keeper.arrival())
        assert fresh is not None
        self.run_(0.25)
        self.store.release()
        self.settled(fresh)
        self.assertEqual(sum(tally.fences.counts), 1)
        self.assertAlmostEqual(tally.fences.total, 0.25, 1)
