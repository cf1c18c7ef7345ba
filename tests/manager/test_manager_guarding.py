"""
Tests for L{txsessionsock.manager.keeper}: for how long it sees to it that what was
stored is not overwritten.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from tests.manager.test_manager_repair import RepairCase
from tests.support.managing import KEY, SID, Recorder
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.manager import SessionManager
from txsessionsock.testing import UnwatchableStore


class GuardingTests(RepairCase):
    """
    Sockets leave, and come back.
    """

    def test_afterTheLast(self) -> None:
        """
        Also what the last socket stored when it left is guarded for a while,
        and no longer.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.clock.advance(3)
        self.ends(copy)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()

    def test_answeredLate(self) -> None:
        """
        What was overwritten at the last moment comes back, though the store says so
        only when the window is over.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.run_(4.9)
        self.store.hold("load")
        self.ends(copy)
        self.run_(0.5)
        self.store.release()
        self.run_(0.1)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.run_(20)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()

    def test_changedLast(self) -> None:
        """
        What is set by nobody's handler while a session is only guarded is stored,
        though that ends before it is time to store it.
        """
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.run_(4.5)
        self.session["late"] = 1
        self.run_(2)
        expected = {"user": "ada", "n": 1, "mine": 1, "late": 1}
        self.assertEqual(self.stored(), expected)
        self.run_(20)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()

    def test_endsMeanwhile(self) -> None:
        """
        With its session guarding ends.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        for _ in range(2):
            self.clock.advance(1)
            self.ends(copy)
        self.successResultOf(self.place.destroy(KEY))
        self.clock.advance(0)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()

    def test_stop(self) -> None:
        """
        A process that ends stays until what it stored can be overwritten no
        more, and no longer, even if it is overwritten all the time.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.clock.advance(2)
        stopped = self.manager.stop()
        for _ in range(5):
            self.assertNoResult(stopped)
            self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
            self.clock.advance(1)
            self.ends(copy)
        self.successResultOf(stopped)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()

    def test_stopMeanwhile(self) -> None:
        """
        What is overwritten in the last moment is put back, even if that takes
        some time.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        stopped = self.manager.stop()
        self.clock.advance(4.9)
        self.store.hold("replace")
        self.ends(copy)
        self.clock.advance(0.2)
        self.assertNoResult(stopped)
        self.store.release()
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})

    def stopOverwritten(self, drain: float) -> tuple[Deferred[None], dict[str, Any]]:
        """
        Have a process stop, and the session overwritten meanwhile.

        @return: The copy of a request that began before it was put back.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        stopped = self.manager.stop(drain)
        self.clock.pump([0.5] * 8)
        self.putRaw(json.dumps(copy).encode())
        copy = self.request()
        self.clock.pump([0, 0])
        self.assertNotIn("mine", copy)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        return stopped, copy

    def test_stopOverwritten(self) -> None:
        """
        What it puts back meanwhile it guards as long, if there is time: also who
        read the session before that may write it.
        """
        stopped, copy = self.stopOverwritten(20)
        self.clock.pump([0.5] * 9)
        self.assertNoResult(stopped)
        self.ends(copy)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.clock.pump([0.5] * 9)
        self.assertNoResult(stopped)
        self.clock.advance(0.5)
        self.successResultOf(stopped)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()

    def test_stopInItsTime(self) -> None:
        """
        But not for longer than it has time.
        """
        stopped, _ = self.stopOverwritten(6)
        self.clock.pump([0.25] * 7)
        self.assertNoResult(stopped)
        self.clock.advance(0.25)
        self.successResultOf(stopped)
        self.assertQuiet()

    def test_stopInAnOutage(self) -> None:
        """
        Also if the store is away then, for a while.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        stopped = self.manager.stop(6)
        self.clock.advance(4.9)
        self.store.fail(StoreUnavailable(), "replace")
        self.ends(copy)
        self.clock.advance(0.2)
        self.assertNoResult(stopped)
        self.store.heal()
        self.clock.advance(1)
        self.successResultOf(stopped)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})

    def test_stopUntold(self) -> None:
        """
        Where the store tells nothing, it looks a last time, and for longer if
        something was overwritten.
        """
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.successResultOf(self.manager.stop(0))
        self.manager = self.newManager(UnwatchableStore(self.newStore()), repair=True)
        copy = self.request()
        session = self.open(manager=self.manager)
        session["mine"] = 1
        self.settled(session.save())
        stopped = self.manager.stop(8)
        self.clock.pump([0.1] * 20)
        self.ends(copy)
        self.clock.pump([0.1] * 30)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.assertNoResult(stopped)
        self.ends(copy)
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.clock.pump([0.1] * 27)
        self.assertNoResult(stopped)
        self.ends(copy)
        self.clock.pump([0.1] * 2)
        self.successResultOf(stopped)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})

    def test_stopLater(self) -> None:
        """
        What was stored before the window needs no guarding, and what is stored
        at the stop does.
        """
        self.save(mine=1)
        self.clock.pump([1.0] * 6)
        self.successResultOf(self.manager.stop())
        self.manager = self.newManager(repair=True)
        self.open()["mine"] = 2
        stopped = self.manager.stop()
        self.clock.pump([1.0] * 4)
        self.assertNoResult(stopped)
        self.clock.advance(1)
        self.successResultOf(stopped)

    def test_neverOpened(self) -> None:
        """
        What could not be loaded has nothing to guard.
        """
        manager = self.newManager(store := self.newStore(), repair=True)
        store.fail(StoreUnavailable())
        self.failureResultOf(manager.open(SID, Recorder()), StoreUnavailable)
        self.assertEqual(manager.statistics().sessions, 0)

    def test_openedAgain(self) -> None:
        """
        Who comes back in that time finds the session, and its journal.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.session = self.open()
        self.ends(copy)
        self.assertEqual(self.session["mine"], 1)
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.session["mine"], 1)

    def test_muchLater(self) -> None:
        """
        Who comes back when the journal is gone writes what is newer than all
        that was written before.
        """
        for number in range(3):
            self.save(x=number)
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.session = self.open()
        copy = self.request()
        self.save(mine=1)
        self.ends(copy)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "x": 2, "mine": 1})


class UnwatchableTests(RepairCase):
    """
    A store that does not tell who overwrites what.
    """

    def newManager(self, store: Any = None, **options: Any) -> SessionManager:
        store = UnwatchableStore(store or self.newStore())
        return super().newManager(store, **options)

    def test_nobodyAsks(self) -> None:
        """
        What is overwritten comes back soon, while it is guarded; then the
        session is read as seldom as before.
        """
        copy = self.request()
        self.save(mine=1)
        for _ in range(3):
            self.putRaw(json.dumps(copy).encode())
            self.run_(0.3)
            self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.run_(6)
        del self.store.calls[:]
        self.run_(20)
        self.assertEqual(self.calls("load"), 2)

    def test_seldom(self) -> None:
        """
        That takes five questions for each write: a quarter of a second after it,
        and then each time after twice as long.
        """
        # That takes a second, in which it is asked twice.
        self.save(mine=1)
        del self.store.calls[:]
        asked: list[float] = []
        for tick in range(1, 101):
            self.clock.advance(0.05)
            if self.calls("load") > len(asked):
                asked.append(tick / 20)
        self.assertEqual(asked, [0.2, 1.4, 3.8])

    def test_neverRead(self) -> None:
        """
        Also where nobody looks otherwise.
        """
        self.manager = self.newManager(self.store, repair=True, recheckInterval=0)
        self.session = self.open()
        copy = self.request()
        self.save(mine=1)
        self.putRaw(json.dumps(copy).encode())
        self.run_(0.3)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.run_(6)
        self.settled(self.manager.release(self.session, self.holder))
        self.assertEqual(self.manager.statistics().sessions, 0)

    def test_answersLate(self) -> None:
        """
        What the last look finds comes back, though the store answers it only when
        the window is over.
        """
        copy = self.request()
        self.save(mine=1)
        self.answersLate(copy)

    def test_answersLateToNobody(self) -> None:
        """
        Also when the last socket has left.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder))
        self.answersLate(copy)
        self.run_(20)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()

    def answersLate(self, copy: dict[str, Any]) -> None:
        """
        A second after a write, wait for the last look at it, and answer that late.
        """
        self.run_(3.7)
        self.ends(copy)
        self.store.hold("load")
        self.run_(0.5)
        self.store.release()
        self.run_(0.1)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})

    def test_nobodyIsThere(self) -> None:
        """
        Also when the last socket has left.
        """
        copy = self.request()
        self.session["mine"] = 1
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.run_(4.5)
        self.putRaw(json.dumps(copy).encode())
        self.run_(0.49)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.run_(20)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertQuiet()
