"""
Tests for the manager: a store that fails for a while.
"""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from tests.support.managing import KEY, SID, ManagerCase, Recorder, raw, withoutEvents
from txsessionsock import _deferreds
from txsessionsock.interfaces import SessionID, StoreUnavailable
from txsessionsock.manager import SessionManager


class OutageTests(ManagerCase):
    """
    What was changed stays, and is tried again.
    """

    lifetime = 1000

    def setUp(self) -> None:
        super().setUp()
        self.patch(_deferreds, "_uniform", lambda low, high: high)
        self.put(n=0)
        self.session = self.open()

    def beginOutage(self) -> None:
        """
        Begin an outage.
        """
        self.store.fail(StoreUnavailable())
        del self.store.calls[:]

    def test_told(self) -> None:
        """
        Who holds the session is told, and what was changed is stored when the
        store is well, by itself.
        """
        self.beginOutage()
        self.handle(self.session, lambda s: s.update(n=1))
        self.clock.advance(0)
        self.assertIsInstance(self.holder.failures[0], StoreUnavailable)
        self.assertEqual((self.holder.numbers, self.holder.reasons), ([], []))
        self.assertEqual(self.session["n"], 1)
        self.store.heal()
        self.run_(1.1)
        self.assertEqual(self.stored(), {"n": 1})
        self.assertEqual(self.holder.numbers, [1])

    def test_rhythm(self) -> None:
        """
        It is tried again after one second, and every ten in the long run.
        """
        self.beginOutage()
        self.handle(self.session, lambda s: s.update(n=1))
        self.clock.advance(0)
        tried: list[int] = []
        for second in range(60):
            tried += [second] * (self.calls("replace") - 1 - len(tried))
            self.clock.advance(1)
        self.assertEqual(tried, [1, 3, 7, 15, 25, 35, 45, 55])

    def test_rhythmBeginsAnew(self) -> None:
        """
        The next outage begins anew, and after a save that somebody asked for
        nothing is tried again.
        """
        self.beginOutage()
        self.handle(self.session, lambda s: s.update(n=1))
        self.run_(20, 1)
        self.store.heal()
        self.successResultOf(self.session.save())
        self.beginOutage()
        self.run_(10, 1)
        self.assertEqual(self.calls("replace"), 0)
        self.handle(self.session, lambda s: s.update(n=2))
        self.store.heal()
        self.run_(1.1)
        self.assertEqual(self.stored(), {"n": 2})

    def test_savedByHand(self) -> None:
        """
        When somebody saved it meanwhile, the outage is over: who releases the
        session then waits for the store, and leaves nothing behind.
        """
        self.beginOutage()
        self.handle(self.session, lambda s: s.update(n=1))
        self.store.heal()
        self.successResultOf(self.session.save())
        self.assertFalse(self.session.keeper.saving.isFailing)  # type: ignore[attr-defined]  # a SessionKeeper
        self.successResultOf(self.manager.release(self.session, self.holder))
        self.clock.advance(0)
        self.assertQuiet()

    def test_othersMeanwhile(self) -> None:
        """
        What others wrote meanwhile is merged.
        """
        self.beginOutage()
        self.handle(self.session, lambda s: s.increment("n"))
        self.handle(self.session, lambda s: s.update(mine=1))
        self.put(n=10, theirs=1)
        self.store.heal()
        self.run_(11)
        self.assertEqual(self.stored(), {"n": 11, "mine": 1, "theirs": 1})

    def test_othersToldMeanwhile(self) -> None:
        """
        Though nobody knows what became of a write, the other holders hear of what
        is changed, in a handler that waits and outside of handlers.
        """
        self.put(n=0, cart=[])
        other = Recorder()
        self.open(other)
        self.store.hold()
        self.session["n"] = 1
        self.run_(6, 0.25)
        self.assertTrue(self.session.keeper.live.record.isInDoubt)  # type: ignore[attr-defined]  # a SessionKeeper
        self.assertEqual(other.keys, [("n",)])
        del other.keys[:]
        self.session["m"] = 1
        self.run_(1.25, 0.25)
        self.assertEqual(other.keys, [("m",)])
        self.session.keeper.handlerBegins(self.holder)
        cart = self.session["cart"]
        self.session.keeper.handlerWaits(looks=True)
        self.run_(1.25, 0.25)
        cart.append("figs")
        self.run_(1.25, 0.25)
        self.assertEqual(other.keys, [("m",), ("cart",)])
        self.store.heal()
        self.run_(12, 0.5)
        self.assertEqual(self.stored(), {"n": 1, "m": 1, "cart": ["figs"]})

    def test_orphan(self) -> None:
        """
        A session that nobody holds any more is stored all the same, and then
        forgotten.
        """
        self.beginOutage()
        self.session["n"] = 1
        released = self.manager.release(self.session, self.holder)
        self.failureResultOf(released, StoreUnavailable)
        self.run_(60, 1)
        self.store.heal()
        self.run_(11)
        self.assertEqual(
            (self.stored(), self.manager.statistics().sessions), ({"n": 1}, 0)
        )
        self.assertEqual(self.manager.statistics().abandonedSessions, 0)
        self.assertQuiet()

    def test_orphanFound(self) -> None:
        """
        Who opens it meanwhile gets it with its changes, also when the store
        can be read again but not written.
        """
        self.beginOutage()
        self.session["n"] = 1
        self.failureResultOf(
            self.manager.release(self.session, self.holder), StoreUnavailable
        )
        self.failureResultOf(self.manager.open(SID, self.holder), StoreUnavailable)
        self.store.heal()
        self.store.fail(StoreUnavailable(), "replace")
        self.assertIs(self.open(), self.session)
        self.assertEqual(self.manager.statistics().abandonedSessions, 0)
        self.store.heal()
        self.run_(11)
        self.assertEqual(self.stored(), {"n": 1})

    def test_orphanExpires(self) -> None:
        """
        Its deadline is when it is given up; that is logged with its size,
        never with its id or what is in it.
        """
        self.beginOutage()
        self.session["n"] = "a secret"
        self.failureResultOf(
            self.manager.release(self.session, self.holder), StoreUnavailable
        )
        with capturedLogs() as logs:
            self.run_(1001, 1)
        [text] = [formatEvent(event) for event in logs]
        self.assertRegex(text, r"^gave up .* session [0-9a-f]{8}, \d+ bytes$")
        self.assertNotIn(SID, text)
        self.assertNotIn("a secret", repr(logs))
        found = self.manager.statistics()
        self.assertEqual((found.sessions, found.abandonedBytes), (0, 0))
        self.assertQuiet()

    def test_orphanInDoubt(self) -> None:
        """
        A session of which only is unknown what is stored is kept until it is
        known.
        """
        self.store.lose("replace", "load")
        self.session["n"] = 1
        self.manager.release(self.session, self.holder).addErrback(lambda _: None)
        self.assertEqual(self.manager.statistics().sessions, 1)
        self.store.heal()
        self.run_(11)
        self.assertEqual(
            (self.manager.statistics().sessions, self.stored()), (0, {"n": 1})
        )

    def test_orphanFoundOut(self) -> None:
        """
        It is let go of, too, when it is a report of the store by which that is
        found out, before the write is tried again.
        """
        manager = self.newManager(self.store, repair=True)
        session = self.open(manager=manager)
        self.store.lose("replace", "load")
        session["n"] = 1
        manager.release(session, self.holder).addErrback(lambda _: None)
        self.run_(0.1)
        self.store.heal()
        self.successResultOf(self.place.touch(KEY, 1000))
        self.run_(20, 0.25)
        self.assertEqual(manager.statistics().sessions, 0)

    def test_orphanGone(self) -> None:
        """
        One that is gone when the store is well stays gone.
        """
        self.beginOutage()
        self.session["n"] = 1
        self.failureResultOf(
            self.manager.release(self.session, self.holder), StoreUnavailable
        )
        self.successResultOf(self.place.destroy(KEY))
        self.store.heal()
        self.run_(11)
        self.assertEqual((self.stored(), self.manager.statistics().sessions), (None, 0))
        self.assertQuiet()

    def orphan(self, manager: SessionManager, name: str, size: int) -> None:
        """
        Leave a session of some size that could not be stored.
        """
        self.store.heal()
        id, holder = SessionID(name), Recorder()
        self.successResultOf(self.place.create(f"sess:{id}", raw(), 1000))
        session = self.successResultOf(manager.open(id, holder))
        self.beginOutage()
        session["x"] = "x" * size
        self.failureResultOf(manager.release(session, holder), StoreUnavailable)

    def test_limit(self) -> None:
        """
        Of those there are no more than C{unsavedLimit} bytes; what is more is
        given up, and logged.
        """
        manager = self.newManager(self.store, unsavedLimit=2500)
        with capturedLogs() as logs:
            for name in ("first", "second", "third"):
                self.orphan(manager, name, 1000)
        lines = withoutEvents(logs)
        self.assertEqual([event["size"] > 1000 for event in lines], [True])
        found = manager.statistics()
        self.assertEqual((found.sessions, found.abandonedSessions), (2, 2))
        self.assertTrue(2000 < found.abandonedBytes <= 2500)
        self.store.heal()
        self.run_(11)
        lengths = [len(self.stored(f"sess:{n}") or {}) for n in ("first", "third")]
        self.assertEqual((lengths, manager.statistics().sessions), ([1, 0], 0))

    def test_limitCountsOrphansOnly(self) -> None:
        """
        A session that somebody holds again does not count.
        """
        manager = self.newManager(self.store, unsavedLimit=2500)
        self.orphan(manager, "first", 1000)
        self.store.heal()
        self.store.fail(StoreUnavailable(), "replace")
        self.successResultOf(manager.open(SessionID("first"), Recorder()))
        for name in ("second", "third"):
            self.orphan(manager, name, 1000)
        found = manager.statistics()
        self.assertEqual((found.sessions, found.abandonedSessions), (3, 2))
