"""
Tests for L{txsessionsock.manager}: opening, sharing and releasing sessions.
"""

from __future__ import annotations

import gc

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import KEY, SID, ManagerCase, Recorder
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
from txsessionsock.manager.live import Turn
from txsessionsock.stores.memory import MemoryStore


class MakingTests(SynchronousTestCase):
    """
    Making a manager.
    """

    def test_wrongFreshness(self) -> None:
        """
        There are two kinds of freshness.
        """
        store, framework = MemoryStore(Clock()), Express(secrets=["s"])
        with self.assertRaisesRegex(ValueError, "'strict' or 'tracked', not 'new'"):
            SessionManager(store, framework, Clock(), freshness="new")  # type: ignore[arg-type]  # wrong on purpose

    def test_noStore(self) -> None:
        """
        What is no store is refused at once, and so is what is no framework.
        """
        with self.assertRaisesRegex(TypeError, "provides ISessionStore, such as"):
            SessionManager(object(), Express(secrets=["s"]), Clock())  # type: ignore[arg-type]  # wrong on purpose
        with self.assertRaisesRegex(TypeError, "provides IFramework, such as Express"):
            SessionManager(MemoryStore(Clock()), object(), Clock())  # type: ignore[arg-type]  # wrong on purpose

    def test_clock(self) -> None:
        """
        The manager shows the clock it was given.
        """
        clock = Clock()
        manager = SessionManager(MemoryStore(clock), Express(secrets=["s"]), clock)
        self.assertIs(manager.reactor, clock)

    def test_decorators(self) -> None:
        """
        What takes a function leaves it as it is, and takes nothing else.
        """
        manager = SessionManager(MemoryStore(Clock()), Express(secrets=["s"]), Clock())

        @manager.watch
        def changed(session: object) -> str:
            return "changed"

        @manager.closeAtEnd
        def close() -> str:
            return "closed"

        self.assertEqual((changed(None), close()), ("changed", "closed"))
        for take in manager.watch, manager.closeAtEnd:
            with self.assertRaisesRegex(TypeError, "wants a function, not a str"):
                take("changed")  # type: ignore[type-var]  # wrong on purpose

        async def late(session: object) -> None:
            pass

        with self.assertRaisesRegex(TypeError, "which does not wait"):
            manager.watch(late)


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
        self.clock.advance(0)
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
        self.assertEqual(self.manager.statistics().sessions, 0)
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
        self.clock.advance(0)
        self.assertEqual(self.stored(), {"n": 2})

    def test_missing(self) -> None:
        """
        A session that is not there is not made.
        """
        self.failureResultOf(self.manager.open(SID, self.holder), NoSuchSession)
        self.assertIsNone(self.stored())
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertEqual(self.holder.reasons, [])
        self.assertQuiet()

    def test_missingForAll(self) -> None:
        """
        All who wait for it learn that.
        """
        self.store.hold("load")
        opening = [self.manager.open(SID, Recorder()) for _ in range(3)]
        self.store.release()
        self.clock.advance(0)
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
        self.assertEqual(self.manager.statistics().sessions, 0)
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
        self.assertEqual(self.manager.statistics().sessions, 0)
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
        self.clock.advance(0)
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
        session.keeper.clientActed(isFresh=True)
        self.successResultOf(self.manager.release(session, self.holder))
        self.store.release()
        self.assertQuiet()


class _Live:
    """
    Nothing but what is told that a turn ended.
    """

    def turnEnded(self, turn: object) -> None:
        pass


class TurnTests(SynchronousTestCase):
    """
    The turn of a session, where it is collected as garbage.
    """

    def test_collected(self) -> None:
        """
        Who has it hands it on to nobody, who may be gone already, and nothing is
        logged.
        """
        turn, never = Turn(_Live()), Deferred[None]()

        async def wait() -> None:
            async with turn:
                await never

        steps = [wait() for _ in range(3)]
        for each in steps:
            Deferred.fromCoroutine(each)
        for each in steps[2], steps[0]:
            each.close()
        self.assertFalse(turn.locked)
        del each, steps
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_fails(self) -> None:
        """
        Who has it and fails hands it on.
        """
        turn, first = Turn(_Live()), Deferred[None]()
        done: list[int] = []

        async def wait(number: int) -> None:
            async with turn:
                done.append(number)
                await first

        failing = Deferred.fromCoroutine(wait(1))
        Deferred.fromCoroutine(wait(2)).addErrback(lambda _: None)
        self.assertEqual(done, [1])
        first.errback(ValueError())
        self.failureResultOf(failing, ValueError)
        self.assertEqual(done, [1, 2])
