"""
Tests for L{txsessionsock.manager.saving}: sessions that are gone, and stores that do
not say what they did.
"""

from __future__ import annotations

from typing import Any

from tests.manager.test_manager_save import SaveCase
from tests.support.managing import KEY, Recorder
from txsessionsock.interfaces import (
    NoSuchSession,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)


class GoneTests(SaveCase):
    """
    A session that is gone is never created again.
    """

    def assertGone(self, deferred: Any, reason: str = "destroyed") -> None:
        self.failureResultOf(deferred, NoSuchSession)
        self.assertIsNone(self.stored())
        self.assertEqual(self.holder.reasons, [reason])
        self.failureResultOf(self.session.save(), NoSuchSession)
        self.run_(20, 1)
        self.assertIsNone(self.stored())
        self.assertQuiet()

    def test_save(self) -> None:
        """
        Not when it is saved.
        """
        self.session["n"] = 1
        self.successResultOf(self.place.destroy(KEY))
        self.assertGone(self.session.save())

    def test_update(self) -> None:
        """
        Not when it is updated, changed or not.
        """
        self.successResultOf(self.place.destroy(KEY))
        self.assertGone(self.session.update(lambda data: data.update(n=1)))

    def test_updateOfNothing(self) -> None:
        """
        An update that changes nothing notices too.
        """
        self.successResultOf(self.place.destroy(KEY))
        self.assertGone(self.session.update(len))

    def test_whileWriting(self) -> None:
        """
        Not when it is destroyed while a write is under way, nor is what was
        to be written next.
        """
        self.store.hold("replace")
        self.session["n"] = 1
        first = self.session.save()
        self.session["n"] = 2
        second = self.session.save()
        update = self.session.update(len)
        self.successResultOf(self.session.destroy())
        self.store.release()
        self.successResultOf(first)
        self.failureResultOf(second, NoSuchSession)
        self.failureResultOf(update, NoSuchSession)
        self.assertGone(self.session.save())

    def test_whileConflict(self) -> None:
        """
        Not when it is destroyed between two tries.
        """
        self.session["mine"] = 1
        self.put(n=1)
        self.store.hold("replace")
        update = self.session.update(len)
        saved = self.session.save()
        self.successResultOf(self.session.destroy())
        self.store.release()
        self.run_(1)
        self.failureResultOf(update, NoSuchSession)
        self.assertGone(saved)

    def test_timeout(self) -> None:
        """
        Not when the store did not answer.
        """
        self.session["n"] = 1
        self.successResultOf(self.place.destroy(KEY))
        self.store.lose("replace")
        self.assertGone(self.session.save())

    def test_timeoutInDoubt(self) -> None:
        """
        Not when nobody knows what became of the last write.
        """
        self.session["n"] = 1
        self.store.lose("replace", "load")
        self.failureResultOf(self.session.save(), StoreTimeout)
        self.successResultOf(self.place.destroy(KEY))
        self.store.heal()
        self.assertGone(self.session.save())

    def test_expired(self) -> None:
        """
        Not when it expired before anybody noticed.
        """
        self.session["n"] = 1
        self.clock.rightNow += self.lifetime + 1
        self.assertGone(self.session.save(), "expired")

    def test_assignmentsGoNowhere(self) -> None:
        """
        A handler that goes on after the end changes nothing that anybody
        sees.
        """
        keeper = self.session.keeper
        keeper.handlerBegins(self.holder)
        self.successResultOf(self.session.destroy())
        self.session["n"] = 1
        self.assertIsNone(keeper.unsaved())
        keeper.handlerEnds(self.holder, wasSync=False, saveNow=True)
        keeper.clientActed(isFresh=True)
        self.assertEqual(self.holder.keys, [])
        self.failureResultOf(self.session.touch(), NoSuchSession)
        self.failureResultOf(self.session.reload(), NoSuchSession)
        self.assertGone(self.session.save())


class StampedDoubtTests(SaveCase):
    """
    L{StoreTimeout}, where our stamp tells whether it was us who wrote.
    """

    def setUp(self) -> None:
        super().setUp()
        self.manager = self.newManager(self.store, repair=True)
        self.session = self.open()
        del self.store.calls[:]

    def test_done(self) -> None:
        """
        It was done, as our stamp in the store shows.
        """
        self.session.increment("n")
        self.store.lose("replace")
        self.successResultOf(self.session.save())
        self.assertEqual(self.calls("replace"), 1)
        self.assertEqual(self.session["n"], 1)

    def test_notDone(self) -> None:
        """
        It was not done, as the old one shows; so it is done again.
        """
        self.session.increment("n")
        self.store.fail(StoreTimeout(), "replace")
        saved = self.session.save()
        self.store.heal()
        self.settled(saved, 11)
        self.assertEqual(self.session["n"], 1)

    def test_countedByBoth(self) -> None:
        """
        Another process counts to the same number, while ours is not done: both
        count.
        """
        other = self.newManager(repair=True)
        session = self.open(Recorder(), other)
        self.session.increment("n")
        self.store.fail(StoreTimeout())
        self.failureResultOf(self.session.save(), StoreTimeout)
        session.increment("n")
        self.successResultOf(session.save())
        self.store.heal()
        self.settled(self.session.save())
        self.assertEqual((self.session["n"], session["n"]), (2, 2))


class DoubtTests(SaveCase):
    """
    L{StoreTimeout}: nobody knows what the store did.
    """

    def test_equalBytes(self) -> None:
        """
        Without a stamp, our bytes in the store may be somebody else's, who
        counted, too: an increment is not taken for stored.
        """
        self.session.increment("n")
        self.store.lose("replace")
        self.failureResultOf(self.session.save(), StoreTimeout)
        self.assertEqual(self.stored(), {"n": 1})
        self.assertEqual(self.session["n"], 1)
        self.successResultOf(self.session.save())
        self.assertEqual(self.calls("replace"), 1)

    def test_notDone(self) -> None:
        """
        Nor do the old bytes tell that it was not; but an assignment is made
        again.
        """
        self.session.increment("n")
        self.session["mine"] = 1
        self.store.fail(StoreTimeout(), "replace")
        saved = self.session.save()
        self.store.heal()
        self.run_(11)
        self.failureResultOf(saved, StoreTimeout)
        self.assertEqual(self.stored(), {"n": 0, "mine": 1})

    def test_unknown(self) -> None:
        """
        Other bytes are there: increments are given up rather than added
        twice, and that is said; assignments are made again.
        """
        self.session.increment("n")
        self.session["mine"] = 1
        self.store.lose("replace", "load")
        self.failureResultOf(self.session.save(), StoreTimeout)
        self.put(n=10)
        self.store.heal()
        saved = self.session.save()
        self.run_(1)
        self.failureResultOf(saved, StoreTimeout)
        self.assertEqual(self.stored(), {"n": 10, "mine": 1})
        self.assertEqual(self.session["n"], 10)
        self.successResultOf(self.session.save())

    def test_unknownWithOthers(self) -> None:
        """
        Whoever saves hears of an increment that was given up, also if it went
        along with a write that others waited for.
        """
        self.store.hold("load")
        reading = self.session.reload()
        self.session["mine"] = 1
        first = self.session.save()
        self.session.increment("n")
        second = self.session.save()
        self.store.fail(StoreTimeout(), "replace")
        self.store.release()
        self.successResultOf(reading)
        self.store.heal()
        self.run_(11)
        self.failureResultOf(first, StoreTimeout)
        self.failureResultOf(second, StoreTimeout)
        self.assertEqual(self.stored(), {"n": 0, "mine": 1})
        self.successResultOf(self.session.save())

    def test_unknownBeforeUpdate(self) -> None:
        """
        So does whoever waited for an update that was stored when the increment was
        given up, and saves then.
        """
        self.session.increment("n")
        self.store.fail(StoreTimeout(), "replace")
        first = self.session.save()
        self.store.heal()
        updated = self.session.update(lambda data: data.update(u=1))
        second = updated.addCallback(lambda _: self.session.save())
        self.run_(1)
        self.failureResultOf(first, StoreTimeout)
        self.failureResultOf(second, StoreTimeout)
        self.assertEqual(self.stored(), {"n": 0, "u": 1})
        self.successResultOf(self.session.save())

    def test_unknownAssignments(self) -> None:
        """
        Without increments, nothing has to be given up.
        """
        self.session["mine"] = 1
        self.store.lose("replace", "load")
        self.failureResultOf(self.session.save(), StoreTimeout)
        self.put(n=10)
        self.store.heal()
        self.settled(self.session.save())
        self.assertEqual(self.stored(), {"n": 10, "mine": 1})

    def test_updateUnknown(self) -> None:
        """
        An update fails then, and is not made again.
        """
        self.store.lose("replace", "load")
        updated = self.session.update(lambda data: data.update(u=data.get("u", 0) + 1))
        self.failureResultOf(updated, StoreTimeout)
        self.store.heal()
        self.run_(11)
        self.assertEqual((self.stored(), self.session["u"]), ({"n": 0, "u": 1}, 1))

    def test_refused(self) -> None:
        """
        A store that says no did nothing; it is tried again.
        """
        self.session.increment("n")
        self.store.fail(StoreError(), "replace")
        self.failureResultOf(self.session.save(), StoreError)
        self.store.fail(StoreUnavailable(), "replace")
        self.failureResultOf(self.session.save(), StoreUnavailable)
        self.store.heal()
        self.run_(11)
        self.assertEqual(self.stored(), {"n": 1})
