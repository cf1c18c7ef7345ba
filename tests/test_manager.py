"""
Tests for L{txsessionsock.manager}: opening, sharing and releasing sessions.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.exceptions import DoesNotImplement, Invalid

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionError,
    StoreFailure,
    StoreUnavailable,
    TooManySockets,
    UndecodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import UnwatchableStore

from .managing import KEY, SID, ManagerCase, Recorder, raw


class MakingTests(SynchronousTestCase):
    """
    Making a manager.
    """

    def test_wrongFreshness(self) -> None:
        """
        There are two kinds of freshness.
        """
        store, framework = MemoryStore(Clock()), Express(secrets=["s"])
        with self.assertRaisesRegex(ValueError, "strict or tracked"):
            SessionManager(store, framework, Clock(), freshness="new")  # type: ignore[arg-type]  # wrong on purpose

    def test_noStore(self) -> None:
        """
        What is no store is refused at once, and so is what is no framework.
        """
        with self.assertRaises(DoesNotImplement):
            SessionManager(object(), Express(secrets=["s"]), Clock())  # type: ignore[arg-type]  # wrong on purpose
        with self.assertRaises(Invalid):
            SessionManager(MemoryStore(Clock()), object(), Clock())  # type: ignore[arg-type]  # wrong on purpose

    def test_clock(self) -> None:
        """
        The manager shows the clock it was given.
        """
        clock = Clock()
        manager = SessionManager(MemoryStore(clock), Express(secrets=["s"]), clock)
        self.assertIs(manager.reactor, clock)


class OpenTests(ManagerCase):
    """
    L{SessionManager.open} and L{SessionManager.release}.
    """

    def test_oneObject(self) -> None:
        """
        All holders share one session, loaded once; the last one to release it
        ends the watching.
        """
        self.put(n=1)
        other = Recorder()
        session = self.open()
        self.assertIs(self.open(other), session)
        self.assertEqual(self.calls("load"), 1)
        self.assertEqual(
            (dict(session), session.isNew, session.created), ({"n": 1}, False, None)
        )
        self.assertEqual(session.expires, self.clock.seconds() + self.lifetime)
        self.successResultOf(self.manager.release(session, self.holder))
        self.assertIs(self.open(), session)
        self.successResultOf(self.manager.release(session, self.holder))
        self.successResultOf(self.manager.release(session, other))
        self.assertIsNot(self.open(), session)

    def test_quietAfterRelease(self) -> None:
        """
        A session that nobody holds leaves nothing behind.
        """
        self.put()
        self.successResultOf(self.manager.release(self.open(), self.holder))
        self.place._place.arm()
        self.assertQuiet()

    def test_concurrent(self) -> None:
        """
        Who opens a session while it is being loaded shares that load, and has
        a L{Deferred} of its own: cancelling it is nothing to the others.
        """
        self.put(n=1)
        self.store.hold("load")
        opening = [self.manager.open(SID, Recorder()) for _ in range(3)]
        opening[1].cancel()
        self.failureResultOf(opening[1], CancelledError)
        self.assertNoResult(opening[0])
        self.store.release()
        sessions = [self.successResultOf(opening[n]) for n in (0, 2)]
        self.assertIs(sessions[0], sessions[1])
        self.assertEqual(self.calls("load"), 1)

    def test_cancelAll(self) -> None:
        """
        When all who wanted a session gave up, nothing stays of it.
        """
        self.put(n=1)
        self.store.hold("load")
        opening = [self.manager.open(SID, Recorder()) for _ in range(2)]
        for deferred in opening:
            deferred.cancel()
            self.failureResultOf(deferred, CancelledError)
        self.store.release()
        self.clock.advance(2)
        self.assertEqual(self.manager._lives, {})
        self.assertQuiet()

    def test_cancelledAndOpenedAgain(self) -> None:
        """
        Who comes after all others gave up gets the session all the same.
        """
        self.put(n=1)
        self.store.hold("load")
        first = self.manager.open(SID, Recorder())
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second = self.manager.open(SID, self.holder)
        self.store.release()
        session = self.successResultOf(second)
        self.handle(session, lambda s: s.increment("n"))
        self.assertEqual(self.stored(), {"n": 2})

    def test_missing(self) -> None:
        """
        A session that is not there is not made.
        """
        self.failureResultOf(self.manager.open(SID, self.holder), NoSuchSession)
        self.assertIsNone(self.stored())
        self.assertEqual(self.manager._lives, {})
        self.assertEqual(self.holder.reasons, [])
        self.assertQuiet()

    def test_missingForAll(self) -> None:
        """
        All who wait for it learn that.
        """
        self.store.hold("load")
        opening = [self.manager.open(SID, Recorder()) for _ in range(3)]
        self.store.release()
        for deferred in opening:
            self.failureResultOf(deferred, NoSuchSession)

    def test_endsMeanwhile(self) -> None:
        """
        A session that ends while somebody waits for it is not handed out.
        """
        self.put()
        session = self.open()
        self.store.hold("fence")
        opening = self.manager.open(SID, Recorder())
        self.successResultOf(session.destroy())
        self.store.release()
        self.failureResultOf(opening, NoSuchSession)
        self.assertEqual(self.holder.reasons, ["destroyed"])

    def test_destroyedWhileLoading(self) -> None:
        """
        Nor is one that was destroyed when the store had read it already.
        """
        self.put()
        self.store.hold("load")
        opening = self.manager.open(SID, self.holder)
        self.successResultOf(self.place.destroy(KEY))
        self.clock.advance(0)
        self.store.release()
        self.failureResultOf(opening, NoSuchSession)
        self.assertEqual(self.holder.reasons, [])

    def test_storeFails(self) -> None:
        """
        A store that fails is not a session that is missing.
        """
        self.put()
        self.store.fail(StoreUnavailable())
        self.failureResultOf(self.manager.open(SID, self.holder), StoreUnavailable)
        self.assertEqual(self.manager._lives, {})
        self.assertQuiet()

    def test_noAnswer(self) -> None:
        """
        Nor is one that does not answer.
        """
        self.put()
        self.store.hold("load")
        opening = self.manager.open(SID, self.holder)
        self.clock.advance(1.9)
        self.assertNoResult(opening)
        self.clock.advance(0.2)
        self.failureResultOf(opening, StoreFailure)

    def test_undecodable(self) -> None:
        """
        Nor is one that cannot be understood.
        """
        self.putRaw(b"?")
        self.failureResultOf(self.manager.open(SID, self.holder), UndecodableSession)
        self.assertEqual(self.manager._lives, {})
        self.put(n=1)
        self.assertEqual(dict(self.open()), {"n": 1})

    def test_limit(self) -> None:
        """
        Only so many may hold a session, those counted who wait for it.
        """
        self.put()
        self.store.hold("load")
        holders = [Recorder(), Recorder()]
        first, second = [self.manager.open(SID, holder, 2) for holder in holders]
        self.failureResultOf(self.manager.open(SID, Recorder(), 2), TooManySockets)
        self.store.release()
        self.successResultOf(first)
        self.failureResultOf(self.manager.open(SID, Recorder(), 2), TooManySockets)
        session = self.successResultOf(second)
        self.successResultOf(self.manager.release(session, holders[0]))
        self.successResultOf(self.manager.open(SID, Recorder(), 2))

    def test_freshAlsoWhenThere(self) -> None:
        """
        Opening a session that is live already shows what others wrote before.
        """
        self.put(n=1)
        session = self.open()
        self.put(n=2)
        self.assertIs(self.open(Recorder()), session)
        self.assertEqual(session["n"], 2)

    def test_releasedSession(self) -> None:
        """
        Who still has a session that nobody holds cannot store it.
        """
        self.put()
        session = self.open()
        self.successResultOf(self.manager.release(session, self.holder))
        session["n"] = 1
        for deferred in (session.save(), session.reload(), session.update(len)):
            self.failureResultOf(deferred, SessionError)
        self.assertEqual(self.stored(), {})

    def test_releaseWaits(self) -> None:
        """
        Releasing fires when all is stored, what others write meanwhile too.
        """
        self.put()
        session = self.open()
        self.store.hold("replace")
        session["n"] = 1
        released = self.manager.release(session, self.holder)
        self.assertNoResult(released)
        self.store.release()
        self.successResultOf(released)
        self.assertEqual(self.stored(), {"n": 1})

    def test_reopenedWhileReleased(self) -> None:
        """
        Who opens a session while it is stored for the last time holds the
        same one, which lives on.
        """
        self.put()
        session = self.open()
        self.store.hold("replace")
        session["n"] = 1
        released = self.manager.release(session, self.holder)
        again = self.manager.open(SID, self.holder)
        self.store.release()
        self.successResultOf(released)
        self.assertIs(self.successResultOf(again), session)
        session["n"] = 2
        self.successResultOf(session.save())
        self.assertEqual(self.stored(), {"n": 2})

    def test_touchAfterRelease(self) -> None:
        """
        An answer to a touch that comes after the release sets no timer.
        """
        self.put()
        session = self.open()
        self.store.hold("touch")
        session.keeper.visited()
        self.successResultOf(self.manager.release(session, self.holder))
        self.store.release()
        self.assertQuiet()


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
        self.assertEqual(self.manager._new, {})
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
        self.assertNotIn(session.id, self.manager._lives)
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
        self.place._place.arm()
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
        self.store.release()
        self.successResultOf(stopped)
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
        [text] = [formatEvent(event) for event in logs]
        self.assertRegex(
            text, r"^session [0-9a-f]{8}, \d\d bytes, was not stored: Store"
        )
        self.assertNotIn("a secret", repr(logs))

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
