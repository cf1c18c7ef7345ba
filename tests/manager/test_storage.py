"""
Tests for L{txsessionsock.manager.storage}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.exceptions import DoesNotImplement

from txsessionsock._deferreds import isFired
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    FOREVER,
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.manager.storage import Storage
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import UnwatchableStore


class StorageTests(SynchronousTestCase):
    """
    L{Storage}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.storage = self.make(self.store)

    def make(self, store: Any) -> Storage:
        # A call has a quarter more: 2 seconds.
        return Storage(store, Express(secrets=["s"]), self.clock, 1.6)

    def answering(self, load: Any) -> Storage:
        """
        One whose store loads so.
        """
        store = UnwatchableStore(self.store)
        self.patch(store, "load", load)
        return self.make(store)

    def test_passedOn(self) -> None:
        """
        What is asked is passed on, and so is the answer.
        """
        ask = self.successResultOf
        self.assertIs(ask(self.storage.create("k", b"1", FOREVER)), True)
        self.assertEqual(ask(self.storage.load("k")), Stored(b"1", None))
        stored = ask(self.storage.replace("k", b"1", b"2", FOREVER))
        self.assertEqual(stored, Stored(b"2", None))
        self.assertEqual(ask(self.storage.touch("k", 5)), 5.0)
        self.assertIsNone(ask(self.storage.fence("k")))
        self.failureResultOf(self.storage.destroy("k", b"1"), SessionConflict)
        self.assertIs(ask(self.storage.destroy("k", b"2")), True)
        self.assertIs(ask(self.storage.destroy("k")), False)
        self.failureResultOf(self.storage.touch("k", 5), NoSuchSession)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unfit(self) -> None:
        """
        What is no store is refused, and so is a store that cannot end a
        session on condition; it is told what to write.  What takes anything
        takes that.
        """

        class Old(UnwatchableStore):
            def destroy(self, key: str) -> Any:  # type: ignore[override]  # as it was
                return self.inner.destroy(key)

        class Keyword(UnwatchableStore):
            def destroy(self, key: str, *, old: bytes | None = None) -> Any:  # type: ignore[override]  # too little
                return self.inner.destroy(key, old)

        class Any_(UnwatchableStore):
            def destroy(self, *args: Any, **more: Any) -> Any:
                return self.inner.destroy(*args, **more)

        class Longer(UnwatchableStore):
            def destroy(self, k: str, was: bytes | None = None, more: int = 0) -> Any:
                return self.inner.destroy(k, was)

        self.assertRaises(DoesNotImplement, self.make, object())
        lacking = MemoryStore(self.clock)
        self.patch(MemoryStore, "fence", None)
        self.assertRaises(TypeError, self.make, lacking)
        for unfit in Old, Keyword:
            error = self.assertRaises(TypeError, self.make, unfit(self.store))
            self.assertIn("destroy(key, old=None)", str(error))
            self.assertIn(unfit.__name__, str(error))
            stores = [unfit(self.store), self.store]
            for pair in stores, stores[::-1]:
                self.assertRaises(TypeError, CachedStore, *pair, str, self.clock)
        for fit in Any_, Longer:
            storage = self.make(fit(self.store))
            self.assertIs(self.successResultOf(storage.destroy("k", b"1")), False)

    def test_watch(self) -> None:
        """
        A store that can be watched is; one that cannot is not.
        """
        heard: list[str] = []
        stop = self.storage.watch("k", heard.append)
        other = MemoryStore(place=self.store)
        self.successResultOf(other.create("k", b"1", FOREVER))
        self.clock.advance(0)
        self.assertEqual(heard, ["k"])
        stop()
        self.successResultOf(other.destroy("k"))
        self.clock.advance(0)
        self.assertEqual(heard, ["k"])
        unwatchable = self.make(UnwatchableStore(self.store))
        self.assertFalse(unwatchable.isWatchable)
        unwatchable.watch("k", heard.append)()

    def test_deadline(self) -> None:
        """
        An answer that takes too long is none, and its L{Deferred} is
        cancelled.
        """
        cancelled: list[Deferred[None]] = []
        storage = self.answering(lambda key: Deferred(cancelled.append))
        answer = storage.load("k")
        self.clock.advance(1.9)
        self.assertNoResult(answer)
        self.clock.advance(0.2)
        self.failureResultOf(answer, StoreTimeout)
        self.assertEqual(len(cancelled), 1)

    def test_storeFirst(self) -> None:
        """
        A store with a deadline of its own, which is that of those who wait, is
        not cut short: it knows what it has sent.
        """

        def load(key: str) -> Deferred[None]:
            answer: Deferred[None] = Deferred()
            self.clock.callLater(1.6, answer.errback, StoreUnavailable())
            return answer

        answer = self.answering(load).load("k")
        self.clock.advance(1.6)
        self.failureResultOf(answer, StoreUnavailable)

    def test_ownTimeout(self) -> None:
        """
        A store that, when it is told to give up, knows that it sent nothing
        may say so.
        """
        storage = self.answering(
            lambda key: Deferred(lambda d: d.errback(StoreUnavailable()))
        )
        answer = storage.load("k")
        self.clock.advance(2)
        self.failureResultOf(answer, StoreUnavailable)

    def test_answeredInTime(self) -> None:
        """
        An answer in time leaves no timer for longer than it might have taken.
        """
        late: Deferred[None] = Deferred()
        answer = self.answering(lambda key: late).load("k")
        late.callback(None)
        self.assertIsNone(self.successResultOf(answer))
        self.clock.advance(2.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_rest(self) -> None:
        """
        It can be told to leave none, but not to forget who waits.
        """
        asked: list[Deferred[None]] = []

        def load(key: str) -> Deferred[None]:
            asked.append(Deferred())
            return asked[-1]

        storage = self.answering(load)
        storage.rest()
        storage.load("k")
        late = storage.load("k")
        asked[0].callback(None)
        storage.rest()
        self.clock.advance(2)
        self.failureResultOf(late, StoreTimeout)
        answer = storage.load("k")
        asked[2].callback(None)
        storage.rest()
        self.assertIsNone(self.successResultOf(answer))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        last = storage.load("k")
        self.clock.advance(2)
        self.failureResultOf(last, StoreTimeout)

    def test_restLater(self) -> None:
        """
        Before the end, the last answer takes the timer away, also if it is
        the first one that comes last.
        """
        asked: list[Deferred[None]] = []

        def load(key: str) -> Deferred[None]:
            asked.append(Deferred())
            return asked[-1]

        storage = self.answering(load)
        answers = [storage.load("k") for _ in range(3)]
        storage.rest()
        asked[1].callback(None)
        asked[2].callback(None)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        asked[0].callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for answer in answers:
            self.assertIsNone(self.successResultOf(answer))

    def test_manyLate(self) -> None:
        """
        Each answer has its own time, and answers in between do not matter;
        when very many are late at once, it takes some turns to say so.
        """
        asked: list[Deferred[None]] = []

        def load(key: str) -> Deferred[None]:
            asked.append(Deferred())
            return asked[-1]

        storage = self.answering(load)
        early = [storage.load("k") for _ in range(250)]
        self.clock.advance(1.0)
        answered, late = storage.load("k"), storage.load("k")
        asked[250].callback(None)
        self.assertIsNone(self.successResultOf(answered))
        self.clock.pump([1.0, 0.0, 0.0])
        for answer in early:
            self.failureResultOf(answer, StoreTimeout)
        self.assertNoResult(late)
        self.clock.advance(1.0)
        self.failureResultOf(late, StoreTimeout)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_foreignError(self) -> None:
        """
        What a store should not fail with becomes a L{StoreError} that does not
        show its text; it is logged.
        """

        def raises(key: str) -> Deferred[None]:
            raise KeyError("a secret")

        for load in (raises, lambda key: fail(KeyError("a secret"))):
            answer = self.answering(load).load("k")
            error = self.failureResultOf(answer, StoreError).value
            self.assertNotIn("a secret", str(error))
            self.assertIn("KeyError", str(error))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)

    def test_isFired(self) -> None:
        """
        A L{Deferred} that waits for another one has not fired.
        """
        inner: Deferred[None] = Deferred()
        outer = succeed(None).addCallback(lambda _: inner)
        self.assertFalse(isFired(outer))
        self.assertFalse(isFired(inner))
        inner.callback(None)
        self.assertTrue(isFired(outer))
        failed = fail(Failure(KeyError()))
        self.assertTrue(isFired(failed))
        self.failureResultOf(failed, KeyError)

    def test_time(self) -> None:
        """
        Time is the clock's.
        """
        self.clock.advance(5)
        self.assertEqual(self.storage.now(), 5)
        slept, called = self.storage.sleep(1), []
        self.storage.later(2, lambda: called.append(1))
        self.assertNoResult(slept)
        self.clock.advance(1)
        self.successResultOf(slept)
        self.assertEqual(called, [])
        self.clock.advance(1)
        self.assertEqual(called, [1])
