"""
Tests for L{txsessionsock.manager.reading}: who trusts reports, stores that make none,
and stores that answer in odd ways.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from twisted.internet.defer import Deferred

from tests.manager.test_manager_fresh import FreshCase
from tests.support.managing import KEY, ManagerCase, Recorder, raw
from txsessionsock.interfaces import FOREVER, SessionID, StoreFailure, StoreUnavailable
from txsessionsock.testing import FlakyStore, UnwatchableStore


_T = TypeVar("_T")


class TrackedTests(FreshCase):
    """
    C{freshness="tracked"}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.manager = self.newManager(self.store, freshness="tracked")
        self.holder = Recorder()
        self.session = self.open()
        del self.store.calls[:]

    def test_noRoundTrip(self) -> None:
        """
        A message asks nothing; what was reported is there.
        """
        self.put(n=1)
        self.assertIsNone(self.fresh())
        self.assertEqual((self.session["n"], self.store.calls), (0, []))
        self.clock.advance(0)
        self.assertIsNone(self.fresh())
        self.assertEqual(self.session["n"], 1)

    def test_loadUnderWay(self) -> None:
        """
        What was reported is waited for.
        """
        self.store.hold("load")
        self.put(n=1)
        self.clock.advance(0)
        waiting = self.fresh()
        assert waiting is not None
        self.assertNoResult(waiting)
        self.store.release()
        self.successResultOf(waiting)
        self.assertEqual(self.session["n"], 1)

    def test_blind(self) -> None:
        """
        Since the store may have missed changes, until a fence passes again,
        each message reads the session.
        """
        self.store.fail(StoreUnavailable(), "fence")
        self.session.keeper.reading._changed(KEY)  # type: ignore[attr-defined]  # a SessionKeeper
        for n in (1, 2):
            self.put(n=n)
            self.assertIsNone(self.fresh())
            self.assertEqual(self.session["n"], n)
        self.store.heal()
        self.assertIsNone(self.fresh())
        del self.store.calls[:]
        self.assertIsNone(self.fresh())
        self.assertEqual(self.store.calls, [])


class UnwatchableTests(FreshCase):
    """
    A store that cannot tell what others do.
    """

    def setUp(self) -> None:
        super().setUp()
        # Its manager hears of everything.
        self.successResultOf(self.manager.release(self.session, self.holder))
        self.manager = self.newManager(UnwatchableStore(self.store))
        self.holder = Recorder()
        self.session = self.open()
        del self.store.calls[:]

    def test_loadPerBatch(self) -> None:
        """
        All messages that wait when a load begins share it.
        """
        self.put(n=1)
        self.store.hold("load")
        waiting = [self.fresh() for _ in range(5)]
        self.assertEqual(self.calls("load"), 1)
        self.put(n=2)
        self.store.release()
        self.clock.advance(0)
        for one in waiting:
            assert one is not None
            self.successResultOf(one)
        self.assertEqual((self.calls("load"), self.session["n"]), (2, 2))

    def test_each(self) -> None:
        """
        Each message that comes alone is a load.
        """
        for n in (1, 2):
            self.put(n=n)
            self.assertIsNone(self.fresh())
            self.assertEqual(self.session["n"], n)

    def test_tracked(self) -> None:
        """
        C{tracked} has nothing to track there.
        """
        manager = self.newManager(UnwatchableStore(self.store), freshness="tracked")
        session = self.open(manager=manager)
        self.put(n=1)
        self.assertIsNone(self.fresh(session))
        self.assertEqual(session["n"], 1)

    def test_recheck(self) -> None:
        """
        Now and then it is looked whether the session is still there, also
        after it could not be read or understood.
        """
        self.putRaw(b"?")
        self.run_(11, 1)
        self.store.fail(StoreUnavailable())
        self.run_(11, 1)
        self.store.heal()
        self.put(n=1)
        self.run_(11, 1)
        self.assertEqual((self.session["n"], len(self.holder.failures)), (1, 1))
        self.successResultOf(self.place.destroy(KEY))
        self.run_(11, 1)
        self.assertEqual(self.holder.reasons, ["destroyed"])
        self.assertQuietHere()

    def test_recheckEndsWithRelease(self) -> None:
        """
        That ends when nobody holds the session.
        """
        self.successResultOf(self.manager.release(self.session, self.holder))
        self.assertQuietHere()

    def assertQuietHere(self) -> None:
        """
        Only the place, which the outer test case watches, has a timer.
        """
        calls = map(repr, self.clock.getDelayedCalls())
        mine = [call for call in calls if "_recheckNow" in call]
        self.assertEqual(mine, [])


class PausedStore(FlakyStore):
    """
    Answers with L{Deferred}s that have fired, and wait for C{gate}.
    """

    gate: Deferred[None] | None = None

    def _ask(
        self, method: str, key: str, ask: Callable[[], Deferred[_T]]
    ) -> Deferred[_T]:
        answer, gate = super()._ask(method, key, ask), self.gate
        if gate is None:
            return answer
        return answer.addCallback(lambda result: gate.addCallback(lambda _: result))


class PausedTests(FreshCase):
    """
    Stores whose L{Deferred}s have fired and still wait for another one.
    """

    def test_fence(self) -> None:
        """
        Such a fence has not passed: what is reported before it has is read.
        """
        store = PausedStore(self.newStore())
        session = self.open(manager=self.newManager(store))
        store.gate = Deferred()
        waiting = self.fresh(session)
        assert waiting is not None
        self.assertNoResult(waiting)
        self.put(n=1)
        self.clock.advance(0)
        store.gate.callback(None)
        self.successResultOf(waiting)
        self.assertEqual(session["n"], 1)

    def test_deadline(self) -> None:
        """
        Such an answer has its deadline.
        """
        store = PausedStore(self.newStore())
        session = self.open(manager=self.newManager(store))
        store.gate = Deferred()
        reloaded = session.reload()
        self.clock.advance(2.1)
        self.failureResultOf(reloaded, StoreFailure)


class ManyTests(ManagerCase):
    """
    Very many sessions, all of which may have changed.
    """

    def test_allAtOnce(self) -> None:
        """
        None of them is trusted any more from that moment on, also where the
        store is not asked before messages; they are read some at a time.
        """
        manager = self.newManager(self.store, freshness="tracked")
        sessions = []
        for n in range(300):
            id = SessionID(f"id-{n}")
            self.successResultOf(self.place.create(f"sess:{id}", raw(n=n), FOREVER))
            opening = manager.open(id, self.holder)
            self.clock.advance(0)
            sessions.append(self.successResultOf(opening))
        self.clock.advance(0)
        self.store.hold("load", "fence")
        self.store.calls.clear()
        for key, changed in list(self.store._watchers.values()):
            changed(key)
        readings = [session.keeper.reading for session in sessions]  # type: ignore[attr-defined]  # a SessionKeeper
        self.assertEqual([r for r in readings if not r.sight.isStale], [])
        pace = manager._storage.pace
        turns, goOn = [0], pace._next

        def turn() -> None:
            turns.append(len(self.store.calls))
            goOn()

        self.patch(pace, "_next", turn)
        turns.append(len(self.store.calls))
        self.clock.advance(0)
        turns.append(len(self.store.calls))
        self.assertEqual(turns[-1], 300)
        self.assertLess(max(b - a for a, b in pairwise(turns)), 100)
        self.store.release()
        self.clock.pump([0.0] * 10)
        self.assertEqual([r for r in readings if r.sight.isStale], [])
