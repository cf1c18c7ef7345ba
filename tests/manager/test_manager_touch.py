"""
Tests for L{txsessionsock.manager.expiry}: putting off the end of a session.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent

from tests.manager.test_manager_end import EndCase
from tests.support.managing import KEY, SID, ManagerCase, Recorder, raw
from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    Document,
    NoSuchSession,
    StoreUnavailable,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore, UnwatchableStore


class TouchTests(EndCase):
    """
    Putting the end off.
    """

    lifetime = 1000

    def setUp(self) -> None:
        super().setUp()
        self.clock.advance(60)

    def visit(self) -> int:
        """
        A message arrives; how often was the store asked to touch so far?
        """
        self.session.keeper.clientActed(isFresh=True)
        return self.calls("touch")

    def test_throttled(self) -> None:
        """
        At most every minute.
        """
        self.assertEqual([self.visit(), self.visit()], [1, 1])
        self.clock.advance(59)
        self.assertEqual(self.visit(), 1)
        self.clock.advance(1)
        self.assertEqual(self.visit(), 2)
        self.assertEqual(self.session.expires, self.clock.seconds() + 1000)

    def test_writeCounts(self) -> None:
        """
        A write is a touch.
        """
        self.session["n"] = 1
        self.successResultOf(self.session.save())
        self.assertEqual(self.visit(), 0)
        self.assertEqual(self.session.expires, self.clock.seconds() + 1000)
        self.clock.advance(60)
        self.assertEqual(self.visit(), 1)

    def test_readingDoesNotCount(self) -> None:
        """
        An update that only read is none.
        """
        self.successResultOf(self.session.update(len))
        self.assertEqual(self.visit(), 1)

    def test_elsewhere(self) -> None:
        """
        One that somebody else did just now is not done again.
        """
        self.successResultOf(self.place.touch(KEY, self.lifetime))
        self.clock.advance(0)
        self.assertEqual(self.visit(), 0)

    def test_oneAtATime(self) -> None:
        """
        While the store is asked, it is not asked again.
        """
        self.store.hold("touch")
        self.assertEqual([self.visit(), self.visit()], [1, 1])
        self.store.release()
        self.assertEqual(self.session.expires, self.clock.seconds() + self.lifetime)

    def test_fails(self) -> None:
        """
        One that failed is tried at the next visit.
        """
        self.store.fail(StoreUnavailable())
        self.assertEqual(self.visit(), 1)
        self.store.heal()
        self.assertEqual(self.visit(), 2)

    def test_gone(self) -> None:
        """
        One of a session that is gone tells its end.
        """
        self.successResultOf(self.place.destroy(KEY))
        self.visit()
        self.assertEnded("destroyed")
        self.failureResultOf(self.session.touch(), NoSuchSession)

    def test_explicit(self) -> None:
        """
        C{touch} does it at once.
        """
        self.clock.advance(10)
        self.successResultOf(self.session.touch())
        self.assertEqual(self.session.expires, self.clock.seconds() + 1000)
        self.assertEqual(self.visit(), 1)


class ShortTouchTests(TouchTests):
    """
    A session that lives for a hundred seconds.
    """

    lifetime = 100

    def test_throttled(self) -> None:
        """
        At most every tenth of its lifetime.
        """
        self.assertEqual(self.visit(), 1)
        self.clock.advance(9)
        self.assertEqual(self.visit(), 1)
        self.clock.advance(1)
        self.assertEqual(self.visit(), 2)

    test_explicit = test_writeCounts = None  # type: ignore[assignment]  # other times


class OtherLifetimesTests(ManagerCase):
    """
    Lifetimes that are no number.
    """

    def holding(self, **options: Any) -> Session:
        """
        Open the session with another framework.
        """
        self.putRaw(raw(n=0), 1000)
        self.manager = self.newManager(self.store)
        framework = Express(secrets=["keyboard cat"], **options)
        self.manager._storage.framework = framework
        return self.successResultOf(self.manager.open(SID, self.holder))

    def test_keep(self) -> None:
        """
        Where visits do nothing, the store is not asked; C{touch} does as a
        write would.
        """
        session = self.holding(disableTouch=True, ttl=2000)
        session.keeper.clientActed(isFresh=True)
        self.assertEqual(self.calls("touch"), 0)
        self.successResultOf(session.touch())
        self.assertEqual(session.expires, self.clock.seconds() + 2000)

    def test_keepOnWrite(self) -> None:
        """
        A write that keeps the deadline is no touch.
        """
        session = self.holding(ttl=500)
        self.patch(self.manager._storage.framework, "lifetime", lambda d, now: KEEP)
        self.patch(
            self.manager._storage.framework, "touchLifetime", lambda d, now: 2000
        )
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertEqual(session.expires, self.clock.seconds() + 1000)
        session.keeper.clientActed(isFresh=True)
        self.assertEqual(session.expires, self.clock.seconds() + 2000)

    def test_forever(self) -> None:
        """
        A write may take the deadline away.
        """
        session = self.holding(disableTTL=True)
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertIsNone(session.expires)


def lasting(seconds: float) -> bytes:
    """
    A session as Express stores it whose cookie has a lifetime.
    """
    return b'{"cookie": {"originalMaxAge": %d}, "n": 0}' % (seconds * 1000)


class LongerTests(ManagerCase):
    """
    The application lets its sessions live for ten days, and we would for one.
    """

    longer = 864000

    def setUp(self) -> None:
        super().setUp()
        self.putRaw(raw(n=0), self.longer)
        self.end = self.clock.seconds() + self.longer

    def assertWarned(self, logs: list[Any]) -> None:
        """
        One warning says which option to set, and not which session it is.
        """
        [text] = [formatEvent(event) for event in logs]
        self.assertIn("864000 s more", text)
        self.assertIn("has 86400 s", text)
        self.assertIn("ttl or maxAge for Express", text)
        self.assertNotIn(SID, text)

    def test_visit(self) -> None:
        """
        A visit does not cut that, and says once that it would have.
        """
        with capturedLogs() as logs:
            session = self.open()
            for _ in range(3):
                session.keeper.clientActed(isFresh=True)
                self.clock.advance(100)
        self.assertEqual((self.calls("touch"), session.expires), (0, self.end))
        logs[0]["left"] = "864000"
        self.assertWarned(list(logs))

    def test_write(self) -> None:
        """
        Nor does a write, whether visits do nothing or not.
        """
        with capturedLogs() as logs:
            session = self.open()
            session["n"] = 1
            self.successResultOf(session.save())
        self.assertEqual((self.stored(), session.expires), ({"n": 1}, self.end))
        self.assertWarned(list(logs))

    def test_explicit(self) -> None:
        """
        Nor does L{Session.touch}.
        """
        session = self.open()
        self.successResultOf(session.touch())
        self.assertEqual(session.expires, self.end)

    def test_forever(self) -> None:
        """
        Nor is there an end to what has none.
        """
        self.putRaw(raw(n=1), FOREVER)
        with capturedLogs() as logs:
            session = self.open()
            session.keeper.clientActed(isFresh=True)
            self.successResultOf(session.touch())
            session["n"] = 2
            self.successResultOf(session.save())
        self.assertEqual((self.stored(), session.expires), ({"n": 2}, None))
        self.assertEqual(len(logs), 1)

    def test_regenerated(self) -> None:
        """
        A session that goes on under a new id lives no less long.
        """
        for ttl, end in ((self.longer, self.end), (FOREVER, None)):
            self.putRaw(raw(n=1), ttl)
            holder = Recorder()
            session = self.open()
            regenerated = self.manager.regenerate(session, holder)
            new, tell = self.successResultOf(regenerated)
            tell()
            key = f"sess:{new.id}"
            current = self.successResultOf(self.place.load(key))
            assert current is not None
            self.assertEqual((current.expires, new.expires), (end, end))

    def test_putOffMeanwhile(self) -> None:
        """
        What another node put off, just before we ask, stays, though we have
        not heard of it.
        """
        self.putRaw(raw(n=1), 100)
        session = self.open()
        self.store._missed = True
        self.putRaw(raw(n=1), self.longer)
        session["n"] = 2
        self.successResultOf(session.save())
        self.assertEqual(session.expires, self.end)
        self.putRaw(raw(n=2), 100)
        self.successResultOf(session.reload())
        self.putRaw(raw(n=2), self.longer)
        session.keeper.clientActed(isFresh=True)
        self.assertEqual((self.calls("touch"), session.expires), (1, self.end))

    def test_simpleStore(self) -> None:
        """
        A store that takes L{AtLeast} for a number of seconds cuts nothing
        short of which we know that it is longer.
        """
        inner: Any = self.store.inner
        replace = inner.replace
        inner.replace = lambda key, old, new, ttl: replace(
            key, old, new, ttl if ttl is KEEP else float(ttl)
        )
        self.test_write()

    def test_shortenedByApplication(self) -> None:
        """
        Where the application makes a session's life shorter, that is what it
        has from then on, and visits put that off.
        """
        self.putRaw(lasting(self.longer), self.longer)
        session = self.open()
        self.putRaw(lasting(100), 100)
        self.clock.advance(50)
        session.keeper.clientActed(isFresh=True)
        self.assertEqual(session.expires, self.clock.seconds() + 100)
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertEqual(session.expires, self.clock.seconds() + 100)


class LearningTests(ManagerCase):
    """
    Per connection a message does not make the session fresh; its touch does,
    and goes by what is stored then.
    """

    def setUp(self) -> None:
        super().setUp()
        self.store = FlakyStore(MemoryStore(place=self.place))
        self.manager = self.newManager(UnwatchableStore(self.store))

    def test_longer(self) -> None:
        """
        A life that became longer becomes longer still.
        """
        self.putRaw(lasting(100), 100)
        session = self.open()
        self.clock.advance(20)
        self.putRaw(lasting(864000), 864000)
        self.clock.advance(5)
        session.keeper.clientActed(isFresh=False)
        self.assertEqual(session.expires, self.clock.seconds() + 864000 - 5)
        self.clock.advance(60)
        session.keeper.clientActed(isFresh=False)
        self.assertEqual(session.expires, self.clock.seconds() + 864000)

    def test_shorter(self) -> None:
        """
        One that became shorter stays so.
        """
        self.putRaw(lasting(1000), 1000)
        session = self.open()
        self.clock.advance(100)
        self.putRaw(lasting(100), 100)
        session.keeper.clientActed(isFresh=False)
        self.assertEqual(session.expires, self.clock.seconds() + 100)
        self.assertEqual(self.calls("touch"), 0)

    def test_fails(self) -> None:
        """
        When that cannot be found out, nothing is done until the next visit.
        """
        self.putRaw(lasting(100), 100)
        session = self.open()
        self.clock.advance(20)
        self.store.fail(StoreUnavailable())
        session.keeper.clientActed(isFresh=False)
        self.store.heal()
        self.assertEqual(self.calls("touch"), 0)
        session.keeper.clientActed(isFresh=False)
        self.assertEqual(session.expires, self.clock.seconds() + 100)


class MeantTests(ManagerCase):
    """
    What a handler writes may say itself that the session's life is shorter.
    """

    def newManager(self, store: Any = None, **options: Any) -> SessionManager:
        framework = DjangoDatabase("a secret")
        self.framework = framework
        return SessionManager(self.newStore(), framework, self.clock, **options)

    def test_django(self) -> None:
        """
        C{set_expiry}, in both directions.
        """
        now = self.clock.seconds()
        new = self.framework.dumps(Document({"n": 1}, {}), now)
        key = self.framework.key(SID)
        self.assertTrue(self.successResultOf(self.place.create(key, new, 2000000)))
        session = self.open()
        session["n"] = 2
        self.successResultOf(session.save())
        self.assertEqual(session.expires, now + 2000000)
        for seconds in 300, 600, 5000000:
            session["_session_expiry"] = seconds
            self.successResultOf(session.save())
            self.assertEqual(session.expires, now + seconds)
        session["_session_expiry"] = 300
        self.successResultOf(session.update(len))
        self.assertEqual(session.expires, now + 300)
