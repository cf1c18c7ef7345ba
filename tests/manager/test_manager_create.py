"""
Tests for L{txsessionsock.manager}: new sessions, and the end of a process.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from tests.support.managing import SID, ManagerCase, Recorder, raw, withoutEvents
from txsessionsock.interfaces import NoSuchSession, StoreFailure, StoreUnavailable
from txsessionsock.session import Session
from txsessionsock.testing import UnwatchableStore


class CreateTests(ManagerCase):
    """
    L{SessionManager.create}.
    """

    def key(self, session: Session) -> str:
        return f"sess:{session.id}"

    def test_notStoredWhileEmpty(self) -> None:
        """
        A new session into which nothing is put is not stored.
        """
        session = self.manager.create(self.holder)
        self.assertTrue(session.isNew)
        self.assertEqual(session.created, self.clock.seconds())
        self.successResultOf(session.save())
        self.successResultOf(session.touch())
        self.successResultOf(session.reload())
        self.assertIsNone(session.keeper.fresh(session.keeper.arrival()))
        self.assertEqual(self.successResultOf(session.update(len)), 0)
        session["n"] = 1
        del session["n"]
        self.successResultOf(self.manager.release(session, self.holder))
        self.assertIsNone(self.stored(self.key(session)))
        self.assertEqual((self.holder.reasons, self.calls("create")), ([], 0))
        self.assertEqual(self.manager.statistics().newSessions, 0)
        self.assertQuiet()

    def test_stored(self) -> None:
        """
        One into which something is put is stored, and found by its id.
        """
        session = self.manager.create(self.holder)
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertFalse(session.isNew)
        self.assertEqual(self.stored(self.key(session)), {"n": 1})
        self.assertEqual(session.expires, self.clock.seconds() + self.lifetime)
        found = self.successResultOf(self.manager.open(session.id, Recorder()))
        self.assertIs(found, session)

    def test_update(self) -> None:
        """
        An update stores it too.
        """
        session = self.manager.create(self.holder)
        self.successResultOf(session.update(lambda data: data.update(n=1)))
        self.assertEqual(self.stored(self.key(session)), {"n": 1})
        self.assertEqual(dict(session), {"n": 1})

    def test_taken(self) -> None:
        """
        When its id is taken, it takes another and leaves the other session
        alone.
        """
        session = self.manager.create(self.holder)
        taken = session.id
        self.successResultOf(self.place.create(self.key(session), raw(n=2), 100))
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertNotEqual(session.id, taken)
        self.assertEqual(self.stored(f"sess:{taken}"), {"n": 2})
        self.assertEqual(self.stored(self.key(session)), {"n": 1})
        # It is the new one's changes that it hears of.
        self.successResultOf(self.place.destroy(self.key(session)))
        self.clock.advance(0)
        self.assertEqual(self.holder.reasons, ["destroyed"])

    def test_createLost(self) -> None:
        """
        When the store does not answer, what it did is found out.
        """
        self.store.lose("create")
        session = self.manager.create(self.holder)
        session["n"] = 1
        self.successResultOf(session.save())
        self.assertEqual(self.stored(self.key(session)), {"n": 1})
        self.assertFalse(session.isNew)

    def test_createFails(self) -> None:
        """
        When it cannot be stored, it is tried again, and stays new until then,
        whatever the store reports.
        """
        self.store.fail(StoreUnavailable())
        session = self.manager.create(self.holder)
        session["n"] = 1
        self.failureResultOf(session.save(), StoreUnavailable)
        self.store.heal()
        self.clock.advance(0)
        self.assertEqual((session.isNew, self.holder.reasons), (True, []))
        self.assertEqual(self.manager.statistics().newSessions, 1)
        self.run_(1.1)
        self.assertEqual(self.stored(self.key(session)), {"n": 1})

    def test_destroyedWhileStored(self) -> None:
        """
        A new session that is destroyed while it is stored is gone.
        """
        session = self.manager.create(self.holder)
        session["n"] = 1
        self.store.hold("create")
        saved = session.save()
        destroyed = session.destroy()
        self.store.release()
        self.successResultOf(saved)
        self.successResultOf(destroyed)
        self.assertIsNone(self.stored(self.key(session)))
        self.assertEqual(self.holder.reasons, ["destroyed"])

    def test_destroyedInDoubt(self) -> None:
        """
        So is one of which nobody knows whether it was stored.
        """
        session = self.manager.create(self.holder)
        session["n"] = 1
        self.store.lose("create", "load")
        self.failureResultOf(session.save(), StoreFailure)
        self.successResultOf(session.destroy())
        self.assertIsNone(self.stored(self.key(session)))
        self.assertQuiet()

    def test_destroyedBeforeStored(self) -> None:
        """
        One that was never stored can be destroyed without asking anybody.
        """
        session = self.manager.create(self.holder)
        session["n"] = 1
        self.successResultOf(session.destroy())
        self.assertEqual((self.store.calls, self.holder.reasons), ([], ["destroyed"]))
        self.failureResultOf(session.save(), NoSuchSession)


class StopTests(ManagerCase):
    """
    L{SessionManager.stop}.
    """

    def test_storesAll(self) -> None:
        """
        It stores every session, also new ones, and waits for that.
        """
        self.put()
        session, new = self.open(), self.manager.create(Recorder())
        session["n"], new["n"] = 1, 2
        self.store.hold("replace")
        stopped: Deferred[None] = self.manager.stop()
        self.assertNoResult(stopped)
        watching = [c for c in self.clock.getDelayedCalls() if "Storage" in repr(c)]
        self.assertEqual(len(watching), 1)
        self.store.release()
        self.successResultOf(stopped)
        # Tests of users would complain.
        self.assertFalse(watching[0].active())
        self.assertEqual(self.stored(), {"n": 1})
        self.assertEqual(self.stored(f"sess:{new.id}"), {"n": 2})

    def test_failing(self) -> None:
        """
        What cannot be stored does not keep it from ending; it is logged with
        its size, and without what is in it.
        """
        self.put()
        session = self.open()
        session["n"] = "a secret"
        self.store.fail(StoreUnavailable())
        with capturedLogs() as logs:
            self.successResultOf(self.manager.stop())
        [text] = [formatEvent(event) for event in withoutEvents(logs)]
        self.assertRegex(
            text, r"^session [0-9a-f]{8}, \d\d bytes, was not stored: Store"
        )
        self.assertNotIn("a secret", repr(logs))

    def test_triedAgain(self) -> None:
        """
        Within its time it tries again while the store is away, also what is new, and
        ends when all is stored.
        """
        self.put()
        session, new = self.open(), self.manager.create(Recorder())
        session["n"], new["n"] = 1, 2
        self.store.fail(StoreUnavailable())
        with capturedLogs() as logs:
            stopped: Deferred[None] = self.manager.stop(9)
            self.clock.pump([0.1] * 75)
            self.assertNoResult(stopped)
            self.assertEqual(self.stored(), {})
            self.store.heal()
            self.clock.pump([0.1] * 20)
            self.successResultOf(stopped)
        self.assertEqual(withoutEvents(logs), [])
        self.assertEqual(self.stored(), {"n": 1})
        self.assertEqual(self.stored(f"sess:{new.id}"), {"n": 2})

    def test_atOnce(self) -> None:
        """
        It tries soon, also when the store had been away for long: then the session's
        own next try is ten seconds away.
        """
        self.put()
        session = self.open()
        session["n"] = 1
        self.store.fail(StoreUnavailable())
        session.save().addErrback(lambda _: None)
        self.clock.pump([1.0] * 60)
        stopped: Deferred[None] = self.manager.stop(9)
        self.clock.advance(0.3)
        self.store.heal()
        self.clock.advance(0.7)
        self.successResultOf(stopped)
        self.assertEqual(self.stored(), {"n": 1})

    def test_staysAway(self) -> None:
        """
        If the store stays away, it ends in its time, and what was not stored is
        logged once.
        """
        self.put()
        self.open()["n"] = 1
        self.store.fail(StoreUnavailable())
        with capturedLogs() as logs:
            stopped: Deferred[None] = self.manager.stop(9)
            self.clock.pump([0.1] * 90)
            self.successResultOf(stopped)
        [text] = [formatEvent(event) for event in withoutEvents(logs)]
        self.assertRegex(text, "was not stored: StoreUnavailable")

    def test_hangsThen(self) -> None:
        """
        So it does if the store fails at first, and then does not answer.
        """
        self.put()
        self.open()["n"] = 1
        self.store.fail(StoreUnavailable())
        with capturedLogs() as logs:
            stopped: Deferred[None] = self.manager.stop(2)
            self.store.heal()
            self.store.hold("replace")
            self.clock.pump([0.1] * 15)
            self.assertNoResult(stopped)
            self.clock.pump([0.1] * 6)
            self.successResultOf(stopped)
        [text] = [formatEvent(event) for event in withoutEvents(logs)]
        self.assertRegex(text, "was not stored: StoreUnavailable")

    def test_storedMeanwhile(self) -> None:
        """
        What was stored before it was tried again, and is held by nobody since, is not
        logged.
        """
        self.put()
        session = self.open()
        session["n"] = 1
        self.store.fail(StoreUnavailable())
        released = self.manager.release(session, self.holder)
        self.failureResultOf(released, StoreUnavailable)
        with capturedLogs() as logs:
            stopped: Deferred[None] = self.manager.stop(9)
            self.store.heal()
            self.successResultOf(session.save())
            self.assertEqual(self.manager.statistics().sessions, 0)
            self.clock.pump([0.1] * 30)
            self.successResultOf(stopped)
        self.assertEqual((withoutEvents(logs), self.stored()), ([], {"n": 1}))

    def test_nothingToDo(self) -> None:
        """
        Without sessions, or with one that is not loaded, it ends at once.
        """
        self.successResultOf(self.manager.stop())
        self.put()
        self.store.hold("load")
        self.manager.open(SID, self.holder)
        self.successResultOf(self.manager.stop())

    def test_unwatchable(self) -> None:
        """
        A store that has only the five methods will do.
        """
        self.put(n=1)
        manager = self.newManager(UnwatchableStore(self.newStore()))
        session = self.open(manager=manager)
        session["n"] = 2
        self.successResultOf(manager.stop())
        self.assertEqual(self.stored(), {"n": 2})
