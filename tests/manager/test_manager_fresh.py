"""
Tests for L{txsessionsock.manager.reading}: what a session shows of others' writes.
"""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred

from tests.support.managing import KEY, ManagerCase
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionReplaced,
    StoreUnavailable,
    UndecodableSession,
)
from txsessionsock.session import Session


_T = TypeVar("_T")


class FreshCase(ManagerCase):
    """
    A session that somebody holds.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.session = self.open()
        del self.store.calls[:]

    def fresh(self, session: Session | None = None) -> Deferred[None] | None:
        """
        A message arrives, and is to be handled at once.
        """
        keeper = (session or self.session).keeper
        return keeper.fresh(keeper.arrival())


class StrictTests(FreshCase):
    """
    Every write whose writer had its answer before the message was sent shows.
    """

    def test_atOnce(self) -> None:
        """
        A write that the store did not report yet shows, without waiting if
        the store does not make us wait.
        """
        self.put(n=1)
        self.assertIsNone(self.fresh())
        self.assertEqual(self.session["n"], 1)

    def test_unchanged(self) -> None:
        """
        A session that was not changed costs a fence, and no load.
        """
        self.assertIsNone(self.fresh())
        self.assertEqual(self.store.calls, [("fence", KEY)])

    def test_oneFence(self) -> None:
        """
        One fence serves everyone who came before it began; who comes later
        waits for the next one.
        """
        self.store.hold("fence")
        first = self.fresh()
        arrivals = [self.session.keeper.arrival() for _ in range(5)]
        later = [self.session.keeper.fresh(arrival) for arrival in arrivals]
        self.assertEqual(self.calls("fence"), 1)
        self.put(n=1)
        # What is reported meanwhile needs none of its own.
        self.clock.advance(0)
        self.store.release()
        self.clock.advance(0)
        for waiting in (first, *later):
            assert waiting is not None
            self.successResultOf(waiting)
        self.assertEqual((self.calls("fence"), self.session["n"]), (2, 1))

    def test_overMeanwhile(self) -> None:
        """
        Who waits for a session that ends meanwhile hears that, whatever the store
        tells of it.
        """
        self.store.hold("fence")
        waiting = self.fresh()
        assert waiting is not None
        self.successResultOf(self.session.destroy())
        self.store.release()
        self.failureResultOf(waiting, NoSuchSession)

    def test_messagesThatWaited(self) -> None:
        """
        A message that waited in a queue while a fence began and passed needs
        none of its own.
        """
        keeper = self.session.keeper
        arrivals = [keeper.arrival(), keeper.arrival()]
        self.assertIsNone(keeper.fresh(arrivals[0]))
        self.assertIsNone(keeper.fresh(arrivals[1]))
        self.assertEqual(self.calls("fence"), 1)

    def test_loadUnderWay(self) -> None:
        """
        While the answer to a question about a reported change is awaited, the
        session is not fresh, though the fence passed.
        """
        self.store.hold("load")
        self.put(n=1)
        self.clock.advance(0)
        waiting = self.fresh()
        assert waiting is not None
        self.assertNoResult(waiting)
        self.store.release()
        self.successResultOf(waiting)
        self.assertEqual(self.session["n"], 1)

    def test_loadBegunBefore(self) -> None:
        """
        A load that began before a write does not count.
        """
        self.store.hold("load")
        self.put(n=1)
        self.clock.advance(0)
        self.put(n=2)
        waiting = self.fresh()
        assert waiting is not None
        self.store.release()
        self.successResultOf(waiting)
        self.assertEqual(self.session["n"], 2)

    def test_cancelled(self) -> None:
        """
        Who gives up does not disturb the others.
        """
        self.store.hold("fence")
        self.fresh()
        one, other = self.fresh(), self.fresh()
        assert one is not None and other is not None
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.store.release()
        self.clock.advance(0)
        self.successResultOf(other)

    def test_blind(self) -> None:
        """
        While the store cannot see changes, each message reads the session.
        """
        self.store.fail(StoreUnavailable(), "fence")
        for n in (1, 2):
            self.put(n=n)
            self.assertIsNone(self.fresh())
            self.assertEqual(self.session["n"], n)
        self.assertEqual(self.calls("load"), 2)

    def test_blindAndIdle(self) -> None:
        """
        While the store does not see what others do, a session that nobody
        asks for is looked at now and then, so that a logout closes its sockets
        all the same; that ends when the store sees again.
        """
        self.put()
        self.store.fail(StoreUnavailable("blind"), "fence")
        self.open()
        self.successResultOf(self.place.destroy(KEY))
        self.clock.pump([1.0] * 9)
        self.assertEqual(self.holder.reasons, [])
        self.clock.pump([1.0])
        self.assertEqual(self.holder.reasons, ["destroyed"])

    def test_blindLater(self) -> None:
        """
        So it is when the store lost sight while the session was open, and
        said no more than that it may have changed.
        """
        self.store.fail(StoreUnavailable("blind"), "fence")
        for key, changed in list(self.store._watchers.values()):
            changed(key)
        self.successResultOf(self.place.destroy(KEY))
        self.clock.pump([1.0] * 9)
        self.assertEqual(self.holder.reasons, [])
        self.clock.pump([1.0])
        self.assertEqual(self.holder.reasons, ["destroyed"])

    def test_seesAgain(self) -> None:
        """
        Once the store sees again, it is not asked without need.
        """
        self.put()
        self.store.fail(StoreUnavailable("blind"), "fence")
        self.open()
        self.store.heal()
        self.clock.pump([1.0] * 30)
        self.store.calls.clear()
        self.clock.pump([1.0] * 30)
        self.assertEqual(self.store.calls, [])

    def test_failing(self) -> None:
        """
        When it cannot read it either, there is no freshness, and no logout.
        """
        self.store.fail(StoreUnavailable())
        waiting = self.fresh()
        assert waiting is not None
        self.failureResultOf(waiting, StoreUnavailable)
        self.assertEqual(self.holder.reasons, [])
        self.put(n=1)
        self.store.heal()
        self.assertIsNone(self.fresh())
        self.assertEqual(self.session["n"], 1)

    def test_noAnswer(self) -> None:
        """
        A fence that is not answered is a store that cannot see.
        """
        self.store.hold("fence")
        waiting = self.fresh()
        assert waiting is not None
        self.put(n=1)
        self.run_(1.05)
        self.successResultOf(waiting)
        self.assertEqual(self.session["n"], 1)

    def test_gone(self) -> None:
        """
        A session that is gone is not fresh; its end is told.
        """
        self.successResultOf(self.place.destroy(KEY))
        waiting = self.fresh()
        assert waiting is not None
        self.failureResultOf(waiting, NoSuchSession)
        self.assertEqual(self.holder.reasons, ["destroyed"])
        again = self.fresh()
        assert again is not None
        self.failureResultOf(again, NoSuchSession)

    def test_replaced(self) -> None:
        """
        One that is somebody else's now ends for those who hold it.
        """
        self.put(userId=1)
        self.assertIsNone(self.fresh())
        self.put(userId=2)
        waiting = self.fresh()
        assert waiting is not None
        self.failureResultOf(waiting, NoSuchSession, SessionReplaced)
        self.assertEqual(self.holder.reasons, ["replaced"])
        self.assertEqual(dict(self.session), {"userId": 1})
        self.assertEqual(self.stored(), {"userId": 2})

    def test_keepsReferences(self) -> None:
        """
        What was handed out stays attached when others' changes come in.
        """
        self.put(cart={"a": 1, "list": [{"x": 1}]})
        self.assertIsNone(self.fresh())
        cart = self.session["cart"]
        item = cart["list"][0]
        self.put(cart={"a": 2, "list": [{"x": 2}, 3]})
        self.assertIsNone(self.fresh())
        self.assertEqual((cart, item), ({"a": 2, "list": [{"x": 2}, 3]}, {"x": 2}))
        cart["b"] = 1
        self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"cart": cart})


class ReportedTests(FreshCase):
    """
    Without any message, what the store reports comes in too.
    """

    def test_change(self) -> None:
        """
        A change is merged, and everybody is told which keys.
        """
        self.session["mine"] = 1
        self.put(n=1, new=2)
        self.clock.advance(0)
        self.assertEqual(dict(self.session), {"n": 1, "new": 2, "mine": 1})
        self.assertEqual(self.holder.keys, [("mine",), ("n", "new")])

    def test_touch(self) -> None:
        """
        Equal bytes are no change; a new deadline is noticed.
        """
        self.clock.advance(10)
        self.successResultOf(self.place.touch(KEY, 1000))
        self.clock.advance(0)
        self.assertEqual(self.holder.keys, [])
        self.assertEqual(self.session.expires, self.clock.seconds() + 1000)

    def test_whileReading(self) -> None:
        """
        A change that is reported while another one is read is read too.
        """
        self.store.hold("load")
        self.put(n=1)
        self.clock.advance(0)
        self.put(n=2)
        self.clock.advance(0)
        self.store.release()
        self.clock.advance(0)
        self.assertEqual(self.session["n"], 2)

    def test_storeFails(self) -> None:
        """
        When it cannot be read, it is read a second later.
        """
        self.store.fail(StoreUnavailable(), "load")
        self.put(n=1)
        self.clock.advance(0)
        self.assertEqual(self.session["n"], 0)
        self.store.heal()
        self.run_(1.1)
        self.assertEqual(self.session["n"], 1)
        self.assertEqual(self.holder.reasons, [])

    def test_undecodable(self) -> None:
        """
        What cannot be understood is reported once, is no logout, and comes
        back when it can be understood again.
        """
        for junk in (b"?", b"??"):
            self.putRaw(junk)
            self.clock.advance(0)
        [failure] = self.holder.failures
        self.assertIsInstance(failure, UndecodableSession)
        self.assertEqual((self.holder.reasons, dict(self.session)), ([], {"n": 0}))
        waiting = self.fresh()
        assert waiting is not None
        self.failureResultOf(waiting, UndecodableSession)
        self.put(n=1)
        self.clock.advance(0)
        self.assertEqual(dict(self.session), {"n": 1})
        self.putRaw(b"?")
        self.clock.advance(0)
        self.assertEqual(len(self.holder.failures), 2)

    def test_undecodableNotOverwritten(self) -> None:
        """
        It is never overwritten; what was changed is stored when it can be
        understood again.
        """
        self.putRaw(b"?")
        self.session["mine"] = 1
        self.failureResultOf(self.session.save(), UndecodableSession)
        self.failureResultOf(self.session.update(len), UndecodableSession)
        self.run_(5)
        current = self.successResultOf(self.place.load(KEY))
        assert current is not None
        self.assertEqual(current.raw, b"?")
        self.put(n=1)
        self.run_(11)
        self.assertEqual(self.stored(), {"n": 1, "mine": 1})
