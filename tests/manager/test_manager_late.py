"""
Tests for L{txsessionsock.manager.asking}: whoever waits hears of an outage within the
store's C{timeout}, whatever others wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.support.managing import ManagerCase, Recorder, raw
from txsessionsock.interfaces import SessionID, StoreFailure, StoreUnavailable
from txsessionsock.session import Session
from txsessionsock.testing import UnwatchableStore


TIMEOUT = 2.0


class LateCase(ManagerCase):
    """
    A store that does what it is asked, or not, and never says so.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.session = self.open()
        self.told: list[tuple[str, float]] = []

    def tearDown(self) -> None:
        # What waits in a coroutine must not be collected while it waits.
        self.store.heal()
        self.run_(12, 0.5)

    def hang(self) -> None:
        """
        The store answers nothing any more.
        """
        self.store.hold()

    def expect(self, name: str, waiting: Deferred[Any] | None) -> None:
        """
        Note after how many seconds this fails.
        """
        assert waiting is not None, name
        began = self.clock.seconds()

        def told(result: object) -> None:
            assert isinstance(result, Failure), name
            result.trap(StoreFailure)
            self.told.append((name, self.clock.seconds() - began))

        waiting.addBoth(told)

    def ways(self, session: Session) -> dict[str, Callable[[], Any]]:
        """
        What one can wait for.
        """
        keeper = session.keeper

        def save() -> Any:
            session["n"] = self.clock.seconds()
            return session.save()

        return {
            "fresh": lambda: keeper.fresh(keeper.arrival()),
            "open": lambda: self.manager.open(session.id, Recorder()),
            "reload": session.reload,
            "save": save,
            "update": lambda: session.update(lambda data: data.update(u=1)),
            "destroy": session.destroy,
            "touch": session.touch,
            "regenerate": lambda: self.manager.regenerate(session, Recorder()),
        }

    def assertInTime(self, count: int) -> None:
        """
        So many waited, and each heard of it in time.
        """
        self.run_(5, 0.25)
        self.assertEqual(len(self.told), count)
        late = [(name, after) for name, after in self.told if after > TIMEOUT]
        self.assertEqual(late, [])


class HangTests(LateCase):
    """
    A store that hangs.
    """

    def test_alone(self) -> None:
        """
        Each way, with nothing else under way: after exactly the time-out.
        """
        for name in self.ways(self.session):
            id = SessionID(f"a-{name}")
            self.successResultOf(self.place.create(f"sess:{id}", raw(n=0), 1000))
            session = self.successResultOf(self.manager.open(id, Recorder()))
            self.hang()
            self.expect(name, self.ways(session)[name]())
            self.run_(3, 0.25)
            self.assertEqual(self.told.pop(), (name, TIMEOUT))
            self.store.heal()
            self.run_(0.5, 0.25)

    def test_behindEachOther(self) -> None:
        """
        Each way, half a second after each other way, and behind a recheck.
        """
        names = list(self.ways(self.session))
        for number, first in enumerate(names):
            for second in names:
                id = SessionID(f"{number}-{second}")
                created = self.place.create(f"sess:{id}", raw(n=0), 1000)
                self.successResultOf(created)
                session = self.successResultOf(self.manager.open(id, Recorder()))
                self.hang()
                session.keeper.reading.suspect()  # type: ignore[attr-defined]  # a SessionKeeper
                self.clock.advance(0.5)
                self.expect(first, self.ways(session)[first]())
                self.clock.advance(0.5)
                self.expect(second, self.ways(session)[second]())
                with self.subTest(first=first, second=second):
                    self.assertInTime(2)
                del self.told[:]
                self.store.heal()
                self.run_(0.5, 0.25)

    def test_allTheTime(self) -> None:
        """
        Messages that come all the time, also during the second outage, in
        which nothing was answered between.
        """
        keeper = self.session.keeper
        self.hang()
        keeper.reading.suspect()  # type: ignore[attr-defined]  # a SessionKeeper
        for _ in range(40):
            self.expect("fresh", keeper.fresh(keeper.arrival()))
            self.expect("save", self.ways(self.session)["save"]())
            self.run_(0.25, 0.125)
        self.assertInTime(80)

    def test_many(self) -> None:
        """
        Many sessions.
        """
        sessions = []
        for number in range(200):
            id = SessionID(f"many-{number}")
            self.successResultOf(self.place.create(f"sess:{id}", raw(n=0), 1000))
            sessions.append(self.successResultOf(self.manager.open(id, Recorder())))
        self.hang()
        for session in sessions:
            session.keeper.reading.suspect()  # type: ignore[attr-defined]  # a SessionKeeper
        self.clock.pump([0.01] * 100)
        for session in sessions:
            self.expect("fresh", session.keeper.fresh(session.keeper.arrival()))
        self.clock.pump([0.01] * 250)
        self.assertEqual(len(self.told), 200)
        # Fifty are given up in a turn of the reactor.
        self.assertLess(max(after for _, after in self.told), TIMEOUT + 0.3)

    def test_slowIsNoOutage(self) -> None:
        """
        Who waits for long because others are served first, by a store that
        answers, hears of no outage.
        """
        inner: Any = self.store.inner
        load = inner.load
        inner.load = lambda key: deferLater(self.clock, 0.9, load, key)
        waiting = [self.session.reload() for _ in range(5)]
        self.run_(5, 0.1)
        for reloaded in waiting:
            self.successResultOf(reloaded)

    def test_nothingLeft(self) -> None:
        """
        Who waited for long leaves no timer behind when the answer is there.
        """
        self.assertFalse(self.timersOfWaiting())
        inner: Any = self.store.inner
        load = inner.load
        inner.load = lambda key: deferLater(self.clock, 0.9, load, key)
        waiting = [self.session.reload() for _ in range(3)]
        self.run_(2.5, 0.1)
        self.assertNoResult(waiting[-1])
        self.assertTrue(self.timersOfWaiting())
        while not waiting[-1].called:
            self.clock.advance(0.1)
        self.assertFalse(self.timersOfWaiting())

    def timersOfWaiting(self) -> list[str]:
        """
        The calls to come that are for somebody who waits.
        """
        shown = map(str, self.clock.getDelayedCalls())
        return [call for call in shown if "Asking._late" in call]

    def test_backInTime(self) -> None:
        """
        When the store is back before the time of who waits is up, they hear
        of no outage, though somebody before them did.
        """
        keeper = self.session.keeper
        self.hang()
        self.expect("reload", self.session.reload())
        self.clock.advance(1.5)
        waiting = keeper.fresh(keeper.arrival())
        assert waiting is not None
        self.clock.advance(0.25)
        self.store._modes.clear()
        self.run_(1, 0.25)
        self.assertEqual(self.told, [("reload", TIMEOUT)])
        self.successResultOf(waiting)

    def test_released(self) -> None:
        """
        Who released the session is told in time, and it counts among those
        that could not be stored.
        """
        self.session["n"] = 1
        self.hang()
        self.expect("release", self.manager.release(self.session, self.holder))
        self.assertInTime(1)
        self.assertEqual(self.manager.statistics().abandonedSessions, 1)

    def test_foundOut(self) -> None:
        """
        What became of a write is found out at once, though nobody waits for
        that any more.
        """
        self.session.increment("n")
        self.hang()
        self.expect("save", self.session.save())
        self.clock.advance(TIMEOUT)
        self.assertEqual(len(self.told), 1)
        self.store.heal()
        self.clock.advance(0.1)
        self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"n": 1})
        self.assertEqual(self.calls("replace"), 1)


class UnwatchableHangTests(HangTests):
    """
    One that tells nothing.
    """

    def setUp(self) -> None:
        super().setUp()
        self.manager = self.newManager(UnwatchableStore(self.store))
        self.session = self.open()


class BlindHangTests(HangTests):
    """
    One that cannot see.
    """

    def hang(self) -> None:
        self.store.hold("load", "create", "replace", "touch", "destroy")
        self.store.inner.fence = self.blind  # type: ignore[method-assign]  # fails

    def blind(self, key: str) -> Deferred[None]:
        return fail(StoreUnavailable("blind"))
