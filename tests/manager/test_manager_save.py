"""
Tests for L{txsessionsock.manager.saving}: what is written, and when.
"""

from __future__ import annotations

from itertools import count
from operator import methodcaller
from typing import Any

from twisted.internet.task import LoopingCall

from tests.support.managing import KEY, ManagerCase, Recorder, raw
from txsessionsock import _deferreds
from txsessionsock.interfaces import (
    IncrementError,
    NoSuchSession,
    SessionID,
    SessionReplaced,
    UnencodableSession,
)
from txsessionsock.manager import saving
from txsessionsock.manager.slices import SLICE


class SaveCase(ManagerCase):
    """
    A session that somebody holds.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(_deferreds, "_uniform", lambda low, high: high)
        self.put(n=0)
        self.session = self.open()
        del self.store.calls[:]


class WritingTests(SaveCase):
    """
    How many writes there are.
    """

    def test_nothingChanged(self) -> None:
        """
        What was not changed, or was changed back, is not written.
        """
        self.successResultOf(self.session.save())
        self.session["n"] = 1
        self.session["n"] = 0
        self.successResultOf(self.session.save())
        self.handle(self.session, lambda s: s["n"])
        self.assertEqual(self.store.calls, [])

    def test_manyAtOnce(self) -> None:
        """
        When very many are to be stored at one time, some are, as long as there is time
        in that turn of the reactor; the others have their turns with messages.
        """
        sessions = []
        for number in range(20):
            sessionID = SessionID(f"session {number}")
            key = self.manager.framework.key(sessionID)
            self.assertTrue(
                self.successResultOf(self.place.create(key, raw(n=0), self.lifetime))
            )
            opened = self.manager.open(sessionID, self.holder)
            sessions.append(self.successResultOf(opened))
        inner: Any = self.store.inner
        replace = inner.replace

        order: list[str] = []

        def work(*args: Any) -> Any:
            if not order:
                self.clock.callLater(0, order.append, "others")
            order.append("save")
            self.clock.rightNow += SLICE / 2.5
            return replace(*args)

        inner.replace = work
        for session in sessions:
            self.handle(session, lambda s: s.update(n=1), saveNow=False)
        self.run_(1.5)
        self.assertEqual(order, ["save"] * 3 + ["others"] + ["save"] * 17)

    def test_changedBackLater(self) -> None:
        """
        Nor is what was changed back in another handler.
        """
        self.handle(self.session, lambda s: s.update(n=1), saveNow=False)
        self.handle(self.session, lambda s: s.update(n=0), saveNow=False)
        self.run_(1.1)
        self.assertEqual(self.store.calls, [])
        self.assertIsNone(self.session.keeper.unsaved())
        self.assertEqual(self.holder.numbers[-1], 2)

    def test_groupCommit(self) -> None:
        """
        What changes while a write is under way goes with one more, whoever
        changed it.
        """
        self.store.hold("replace")
        self.session["n"] = 1
        saved = [self.session.save()]
        for n in range(20):
            self.handle(self.session, methodcaller("update", {f"k{n}": n}))
            saved.append(self.session.save())
        self.store.release()
        for deferred in saved:
            self.successResultOf(deferred)
        self.assertEqual(self.calls("replace"), 2)
        self.assertEqual(self.stored(), {"n": 1, **{f"k{n}": n for n in range(20)}})

    def test_saveWaitsForItsOwn(self) -> None:
        """
        What changed after a save began is not waited for by it, and what
        changed before is by the next one.
        """
        self.store.hold("replace")
        self.session["n"] = 1
        first = self.session.save()
        self.session["n"] = 2
        second = self.session.save()
        gate, self.store._gates = self.store._gates, []
        gate[0].callback(None)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.store.release()
        self.successResultOf(second)
        self.assertEqual(self.stored(), {"n": 2})

    def test_laterWithoutHolding(self) -> None:
        """
        Per connection, changes are stored after C{saveInterval} at the latest,
        together.
        """
        for _ in range(2):
            self.handle(self.session, lambda s: s.increment("n"), saveNow=False)
            self.clock.advance(0.4)
        self.assertEqual(self.store.calls, [])
        self.clock.advance(0.3)
        self.assertEqual((self.stored(), self.calls("replace")), ({"n": 2}, 1))

    def test_nested(self) -> None:
        """
        Who changes nested values outside of a handler calls C{save}.
        """
        self.session["d"] = {"a": []}
        self.successResultOf(self.session.save())
        self.session["d"]["a"].append(1)
        self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"n": 0, "d": {"a": [1]}})

    def test_waiting(self) -> None:
        """
        What a handler changes in place while it waits is stored within a second,
        also if somebody else's update was stored meanwhile.
        """
        self.put(cart=[])
        session = self.open()
        session.keeper.handlerBegins(self.holder)
        cart = session["cart"]
        session.keeper.handlerWaits(looks=True)
        self.run_(0.5)
        self.successResultOf(session.update(lambda data: data.update(u=1)))
        cart.append("figs")
        self.run_(1.05)
        self.assertEqual(self.stored(), {"cart": ["figs"], "u": 1})

    def test_equalBytes(self) -> None:
        """
        A write of equal bytes, as a touch is to some, is not announced.
        """
        current = self.successResultOf(self.place.load(KEY))
        assert current is not None
        self.putRaw(current.raw)
        self.clock.advance(0)
        self.assertEqual((self.holder.keys, self.calls("load")), ([], 1))

    def test_noTimerLeft(self) -> None:
        """
        A session that was changed, stored and released leaves nothing.
        """
        self.handle(self.session, lambda s: s.update(n=1), saveNow=False)
        self.successResultOf(self.manager.release(self.session, self.holder))
        self.assertEqual(self.stored(), {"n": 1})
        self.assertQuiet()

    def test_stopsWhileReleased(self) -> None:
        """
        What is stored already when the last holder leaves, or the process
        ends, is not missed.
        """
        self.session["n"] = 1
        self.store.hold("replace")
        saved = self.session.save()
        released = self.manager.release(self.session, self.holder)
        stopped = self.manager.stop()
        self.store.release()
        for done in saved, released, stopped:
            self.successResultOf(done)
        self.assertEqual(self.stored(), {"n": 1})
        self.assertEqual(self.flushLoggedErrors(), [])


class ConflictTests(SaveCase):
    """
    Somebody else was first.
    """

    def test_merged(self) -> None:
        """
        Both sides' changes are stored, and those of others are told.
        """
        self.session["mine"] = 1
        self.session.increment("n", 5)
        self.put(n=10, theirs=1)
        self.settled(self.session.save())
        self.assertEqual(self.stored(), {"n": 15, "theirs": 1, "mine": 1})
        self.assertEqual(dict(self.session), {"n": 15, "theirs": 1, "mine": 1})
        self.assertIn(("n", "theirs"), self.holder.keys)

    def test_oursWins(self) -> None:
        """
        Of two assignments to one key, ours stays.
        """
        self.session["n"] = 1
        self.put(n=2)
        self.settled(self.session.save())
        self.assertEqual((self.stored(), self.session["n"]), ({"n": 1}, 1))

    def test_changedWhileItWaits(self) -> None:
        """
        What is changed between two tries goes with the next one.
        """
        self.session["mine"] = 1
        self.put(n=10)
        self.patch(saving, "TRIES_WITHOUT_WAITING", 0)
        saved = self.session.save()
        self.assertNoResult(saved)
        self.session["mine"] = 2
        self.session["n"] += 1
        self.settled(saved)
        self.assertEqual(self.stored(), {"n": 11, "mine": 2})

    def test_alwaysLate(self) -> None:
        """
        Whoever writes all the time does not keep others from it: the first
        tries follow each other at once, and later ones a look at what there is.
        """
        others = LoopingCall(lambda: self.put(n=next(numbers)))
        others.clock = self.clock
        numbers = count(1)
        self.addCleanup(others.stop)
        others.start(0.001)
        inner: Any = self.store.inner
        replace = inner.replace

        def late(*args: Any) -> Any:
            if self.calls("replace") <= 5:
                self.put(n=next(numbers))
            return replace(*args)

        inner.replace = late
        self.session["mine"] = 1
        self.settled(self.session.save())
        self.assertEqual(self.calls("replace"), 6)

    def test_noNumber(self) -> None:
        """
        An increment of what is no number any more fails; the rest is stored.
        """
        self.session.increment("n")
        self.session["mine"] = 1
        self.put(n="x")
        saved = self.session.save()
        self.run_(1)
        error = self.failureResultOf(saved, IncrementError).value
        self.assertIn("'n'", str(error))
        self.assertEqual(self.stored(), {"n": "x", "mine": 1})
        self.assertEqual(self.holder.failures, [error])
        self.successResultOf(self.session.save())

    def test_replaced(self) -> None:
        """
        What is somebody else's now is not merged, and ends for its holders.
        """
        self.session["userId"] = 1
        self.successResultOf(self.session.save())
        self.session["mine"] = 1
        updated = self.session.update(len)
        self.successResultOf(updated)
        self.session["mine"] = 2
        self.put(userId=2)
        updated = self.session.update(len)
        self.failureResultOf(updated, SessionReplaced)
        self.assertEqual(self.holder.reasons, ["replaced"])
        self.assertEqual(self.stored(), {"userId": 2})
        self.failureResultOf(self.session.save(), NoSuchSession)

    def test_openedAnew(self) -> None:
        """
        A session that ended for its holders when somebody opened it is there
        for that one, as it is stored.
        """
        self.session["userId"] = 1
        self.settled(self.session.save())
        self.put(userId=2)
        late = Recorder()
        session = self.open(late)
        self.assertEqual(dict(session), {"userId": 2})
        self.assertEqual((self.holder.reasons, late.reasons), (["replaced"], []))

    def test_replacedOnSave(self) -> None:
        """
        C{save} says so too, also if both sides logged in where nobody was.
        """
        self.session["userId"] = 1
        self.put(userId=2, n=0)
        self.failureResultOf(self.session.save(), SessionReplaced)
        self.assertEqual(self.stored(), {"userId": 2, "n": 0})

    def test_login(self) -> None:
        """
        Logging in or out on one side is a change like any other.
        """
        self.session["mine"] = 1
        self.put(userId=2, n=0)
        self.settled(self.session.save())
        self.assertEqual(self.stored(), {"n": 0, "userId": 2, "mine": 1})
        self.session["mine"] = 2
        self.put(n=0)
        self.settled(self.session.save())
        self.assertEqual(self.stored(), {"n": 0, "mine": 2})
        self.assertEqual(self.holder.reasons, [])


class UnencodableTests(SaveCase):
    """
    What cannot be stored.
    """

    def test_reverts(self) -> None:
        """
        The key is as it was, everything else is stored, and C{save} names it.
        """
        other = Recorder()
        self.open(other)
        self.session["n"] = {1, 2}
        self.session["a"] = 1
        error = self.failureResultOf(self.session.save(), UnencodableSession).value
        self.assertEqual(error.keys, ("n",))
        self.assertEqual((self.stored(), dict(self.session)), ({"n": 0, "a": 1},) * 2)
        self.assertEqual(self.holder.failures, [error])
        self.assertEqual(other.keys, [("n", "a"), ("n",)])
        self.successResultOf(self.session.save())

    def test_cycle(self) -> None:
        """
        Nor can what contains itself.
        """
        cycle: list[Any] = []
        cycle.append(cycle)
        self.session["n"] = cycle
        self.session["a"] = 1
        error = self.failureResultOf(self.session.save(), UnencodableSession).value
        self.assertIn("stored: session['n']: nested too deeply, or con", str(error))
        self.assertEqual((self.stored(), dict(self.session)), ({"n": 0, "a": 1},) * 2)

    def test_inBackground(self) -> None:
        """
        Without anybody who waits, who holds the session is told.
        """
        self.handle(self.session, lambda s: s.update(n=object()))
        self.clock.advance(0)
        [failure] = self.holder.failures
        self.assertIsInstance(failure, UnencodableSession)
        self.assertEqual(self.session["n"], 0)

    def test_new(self) -> None:
        """
        A new session in which nothing else is, is not stored.
        """
        session = self.manager.create(self.holder)
        session["n"] = object()
        self.failureResultOf(session.save(), UnencodableSession)
        self.assertTrue(session.isNew)

    def test_everything(self) -> None:
        """
        A framework that does not say which keys: all are as they were.
        """

        def dumps(document: Any, now: float) -> bytes:
            if "big" in document.data:
                raise UnencodableSession("too big")
            raw: bytes = original(document, now)
            return raw

        original = self.manager.framework.dumps
        self.patch(self.manager.framework, "dumps", dumps)
        self.session["big"] = self.session["n"] = 1
        self.failureResultOf(self.session.save(), UnencodableSession)
        self.assertEqual((self.stored(), dict(self.session)), ({"n": 0},) * 2)

    def test_frameworkFails(self) -> None:
        """
        A framework that raises what it should not is heard of, and nothing is
        lost.
        """
        original = self.manager.framework.dumps
        self.patch(self.manager.framework, "dumps", lambda document, now: 1 / 0)
        self.session["n"] = 1
        updated = self.session.update(lambda data: data.update(u=1))
        self.failureResultOf(updated, ZeroDivisionError)
        self.assertIsInstance(self.holder.failures[0], ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.patch(self.manager.framework, "dumps", original)
        self.run_(11)
        self.assertEqual(self.stored(), {"n": 1})
