"""
Tests for the manager: how sessions end, and how that is put off.
"""

from __future__ import annotations

from tests.support.managing import KEY, ManagerCase, Recorder, raw
from txsessionsock.interfaces import (
    FOREVER,
    NoSuchSession,
    StoreTimeout,
    StoreUnavailable,
)


class EndCase(ManagerCase):
    """
    A session with two holders.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.session, self.other = self.open(), Recorder()
        self.open(self.other)
        del self.store.calls[:]

    def assertEnded(self, reason: str) -> None:
        self.assertEqual((self.holder.reasons, self.other.reasons), ([reason],) * 2)


class EndTests(EndCase):
    """
    Each holder is told once.
    """

    def test_destroy(self) -> None:
        """
        Destroyed here.
        """
        self.successResultOf(self.session.destroy())
        self.assertIsNone(self.stored())
        self.assertEnded("destroyed")
        self.successResultOf(self.session.destroy())
        self.run_(2)
        self.assertEnded("destroyed")
        self.assertQuiet()

    def test_destroyedElsewhere(self) -> None:
        """
        Destroyed by others, as the store reports.
        """
        self.successResultOf(self.place.destroy(KEY))
        self.clock.advance(0)
        self.assertEnded("destroyed")
        self.assertQuiet()

    def test_final(self) -> None:
        """
        The end is final for who had it open, though it is written again; who
        opens it later has another one.
        """
        self.successResultOf(self.place.destroy(KEY))
        self.clock.advance(0)
        self.put(n=5)
        self.clock.advance(0)
        self.failureResultOf(self.session.save(), NoSuchSession)
        again = self.open(Recorder())
        self.assertIsNot(again, self.session)
        self.assertEqual(again["n"], 5)

    def test_releasedMeanwhile(self) -> None:
        """
        A holder that releases because another was told is not told.
        """
        self.holder.whenEnded = lambda: self.manager.release(self.session, self.other)
        self.successResultOf(self.session.destroy())
        self.assertEqual(len(self.holder.reasons), 1)
        self.successResultOf(self.manager.release(self.session, self.holder))

    def test_destroyFails(self) -> None:
        """
        When it could not be destroyed it lives on, and may be destroyed again.
        """
        self.store.fail(StoreUnavailable())
        self.failureResultOf(self.session.destroy(), StoreUnavailable)
        self.assertEqual(self.holder.reasons, [])
        self.store.heal()
        self.successResultOf(self.session.destroy())
        self.assertEnded("destroyed")

    def test_destroyInDoubt(self) -> None:
        """
        When the store does not answer, what it did is found out.
        """
        self.store.lose("destroy")
        self.failureResultOf(self.session.destroy(), StoreTimeout)
        self.run_(1)
        self.assertEnded("destroyed")


class DeadlineTests(EndCase):
    """
    Expiry.
    """

    lifetime = 100

    def test_expires(self) -> None:
        """
        A session ends within a second of its deadline.
        """
        self.run_(99, 1)
        self.assertEqual(self.holder.reasons, [])
        self.run_(2, 0.25)
        self.assertEnded("expired")
        self.assertQuiet()

    def test_notReported(self) -> None:
        """
        Also if the store does not report that.
        """
        self.store._missed = True
        self.run_(101, 0.5)
        self.assertEnded("expired")

    def test_putOffElsewhere(self) -> None:
        """
        Not if it was put off elsewhere, reported or not.
        """
        self.store._missed = True
        self.clock.advance(50)
        self.successResultOf(self.place.touch(KEY, 100))
        self.run_(60, 1)
        self.assertEqual(self.holder.reasons, [])
        self.assertEqual(self.session.expires, self.clock.seconds() + 40)
        self.run_(42, 0.5)
        self.assertEnded("expired")

    def test_madeSooner(self) -> None:
        """
        A deadline that was brought forward counts.
        """
        self.successResultOf(self.place.touch(KEY, 10))
        self.run_(11, 0.5)
        self.assertEnded("expired")

    def test_forever(self) -> None:
        """
        A session that does not end does not end.
        """
        self.putRaw(raw(n=1), FOREVER)
        self.run_(1000, 50)
        self.assertEqual((self.holder.reasons, self.session.expires), ([], None))

    def test_storeFails(self) -> None:
        """
        A store that fails at the deadline is asked again, though it reports
        nothing.
        """
        self.store._missed = True
        self.store.fail(StoreUnavailable(), "load")
        self.run_(110, 1)
        self.assertEqual(self.holder.reasons, [])
        self.store._modes.clear()
        self.run_(10)
        self.assertEnded("expired")

    def test_undecodable(self) -> None:
        """
        What cannot be understood expires like anything else.
        """
        self.clock.advance(50)
        self.putRaw(b"?")
        self.run_(60, 1)
        self.assertEqual(self.holder.reasons, [])
        self.run_(42, 1)
        self.assertEnded("expired")
