"""
Tests for L{SessionManager.statistics}: what those who watch over a process see.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

from tests.support.managing import SID, ManagerCase, Recorder, raw
from txsessionsock.interfaces import SessionID, StoreUnavailable
from txsessionsock.manager import SessionManager, SessionStatistics


class StatisticsTests(ManagerCase):
    """
    L{SessionManager.statistics}.
    """

    def assertCounts(
        self, manager: SessionManager | None = None, **counts: Any
    ) -> None:
        """
        Check what is counted; what is not given is 0.
        """
        found = vars((manager or self.manager).statistics())
        self.assertEqual({name: n for name, n in found.items() if n}, counts)

    def test_frozen(self) -> None:
        """
        They are those of one moment, and nobody's to change.
        """
        found = self.manager.statistics()
        self.assertEqual(found, SessionStatistics(*[0] * 9))
        with self.assertRaises(FrozenInstanceError):
            found.sessions = 1  # type: ignore[misc]  # That is what is tested.

    def test_life(self) -> None:
        """
        A session is opened, changed, stored and let go of.
        """
        self.put(n=0)
        other = Recorder()
        self.store.hold("load")
        opening = self.manager.open(SID, self.holder)
        self.assertCounts(sessions=1, watchedKeys=1, unanswered=1)
        self.store.release()
        session = self.successResultOf(opening)
        opening = self.manager.open(SID, other)
        self.clock.advance(0)
        self.successResultOf(opening)
        self.assertCounts(sessions=1, holders=2, watchedKeys=1)
        self.handle(session, lambda s: s.increment("n"))
        self.assertCounts(sessions=1, holders=2, watchedKeys=1, unsavedSessions=1)
        self.store.hold("replace")
        self.clock.advance(0)
        self.assertCounts(
            sessions=1,
            holders=2,
            watchedKeys=1,
            unsavedSessions=1,
            writes=1,
            unanswered=1,
        )
        self.store.release()
        self.assertCounts(sessions=1, holders=2, watchedKeys=1)
        for holder in self.holder, other:
            self.manager.release(session, holder)
        self.assertCounts()

    def test_new(self) -> None:
        """
        A session that begins here counts as new until it is stored.
        """
        session = self.manager.create(self.holder)
        self.assertCounts(sessions=1, newSessions=1, holders=1)
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertCounts(sessions=1, holders=1, watchedKeys=1)
        self.successResultOf(session.destroy())
        self.assertCounts()

    def test_outage(self) -> None:
        """
        What cannot be stored is seen as such: while somebody holds it, and
        afterwards with what it takes.
        """
        self.put(n=0)
        session = self.open()
        self.store.fail(StoreUnavailable(), "replace")
        self.handle(session, lambda s: s.update(n="x" * 1000))
        self.clock.advance(0)
        self.assertCounts(sessions=1, holders=1, watchedKeys=1, unsavedSessions=1)
        released = self.manager.release(session, self.holder)
        self.failureResultOf(released, StoreUnavailable)
        found = self.manager.statistics()
        self.assertEqual((found.holders, found.abandonedSessions), (0, 1))
        self.assertTrue(1000 < found.abandonedBytes < 1200)
        self.store.heal()
        self.run_(11)
        self.assertCounts()

    def test_storedLater(self) -> None:
        """
        What was stored after an outage is abandoned no more, though it is guarded
        for a while: else it would count as what is given up beyond the limit.
        """
        store = self.newStore()
        manager = self.newManager(store, repair=True, repairWindow=30.0)
        self.put(n=0)
        session = self.open(manager=manager)
        store.fail(StoreUnavailable())
        session["n"] = 1
        released = manager.release(session, self.holder)
        self.failureResultOf(released, StoreUnavailable)
        self.assertEqual(manager.statistics().abandonedSessions, 1)
        store.heal()
        self.run_(11)
        self.assertCounts(manager, sessions=1, watchedKeys=1)

    def test_lateAnswer(self) -> None:
        """
        What the store never answers is counted until it is given up.
        """
        self.put(n=0)
        session = self.open()
        self.store.hold("replace", "load")
        self.handle(session, lambda s: s.update(n=1))
        self.clock.advance(0)
        self.assertEqual(self.manager.statistics().unanswered, 1)
        self.run_(5)
        self.store.heal()
        self.run_(11)
        self.assertCounts(sessions=1, holders=1, watchedKeys=1)

    def test_foreign(self) -> None:
        """
        What others change, and what is repaired, is counted like the rest.
        """
        manager = self.newManager(self.store, repair=True)
        self.put(n=0)
        old = raw(n=0)
        session = self.open(manager=manager)
        self.handle(session, lambda s: s.update(m=1))
        self.clock.advance(0)
        self.assertCounts(manager, sessions=1, holders=1, watchedKeys=1)
        self.store.fail(StoreUnavailable(), "replace")
        self.putRaw(old)
        self.clock.advance(0)
        self.assertEqual(session["m"], 1)
        self.assertEqual(manager.statistics().unsavedSessions, 1)
        self.store.heal()
        self.run_(11)
        self.assertEqual(manager.statistics().unsavedSessions, 0)

    def test_several(self) -> None:
        """
        They are sums over all sessions.
        """
        for n in range(5):
            id = SessionID(f"id-{n}")
            self.successResultOf(self.place.create(f"sess:{id}", raw(n=n), 1000))
            session = self.successResultOf(self.manager.open(id, Recorder()))
            if n % 2:
                self.handle(session, lambda s: s.increment("n"))
        self.assertCounts(sessions=5, holders=5, watchedKeys=5, unsavedSessions=2)
        self.clock.advance(0)
        self.assertCounts(sessions=5, holders=5, watchedKeys=5)
