"""
Tests for L{txsessionsock._touching}: putting off the end of a session.
"""

from __future__ import annotations

from typing import Any

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    KEEP,
    NoSuchSession,
    StoreUnavailable,
)
from txsessionsock.session import Session

from .managing import KEY, SID, ManagerCase, raw
from .test_manager_end import EndCase


class TouchTests(EndCase):
    """
    Putting the end off.
    """

    lifetime = 1000

    def visit(self) -> int:
        """
        A message arrives; how often was the store asked to touch so far?
        """
        self.session.keeper.visited()
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
        self.manager._backend.framework = framework
        return self.successResultOf(self.manager.open(SID, self.holder))

    def test_keep(self) -> None:
        """
        Where visits do nothing, the store is not asked; C{touch} does as a
        write would.
        """
        session = self.holding(disableTouch=True, ttl=500)
        session.keeper.visited()
        self.assertEqual(self.calls("touch"), 0)
        self.successResultOf(session.touch())
        self.assertEqual(session.expires, self.clock.seconds() + 500)

    def test_keepOnWrite(self) -> None:
        """
        A write that keeps the deadline is no touch.
        """
        session = self.holding(ttl=500)
        self.patch(self.manager._backend.framework, "lifetime", lambda d, now: KEEP)
        self.patch(
            self.manager._backend.framework, "touchLifetime", lambda d, now: 2000
        )
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertEqual(session.expires, self.clock.seconds() + 1000)
        session.keeper.visited()
        self.assertEqual(session.expires, self.clock.seconds() + 2000)

    def test_forever(self) -> None:
        """
        A write may take the deadline away.
        """
        session = self.holding(disableTTL=True)
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertIsNone(session.expires)
