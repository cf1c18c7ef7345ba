"""
Tests for L{txsessionsock.stores.cached}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import Recorder
from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    ISessionStore,
    ISharedStore,
    IWatchableStore,
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
    UndecodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import (
    FlakyStore,
    StoreContract,
    UnwatchableStore,
    WatchableContract,
)


CACHED = DjangoDatabase("for tests").cacheKey


if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    # Before a contract, which prepares after this.
    _Base = object


class _Case(_Base):
    """
    Sessions, and copies of them.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        self.rows = MemoryStore(self.clock)
        self.cache = MemoryStore(self.clock)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        super().setUp()

    def open(self, rows: ISessionStore, cache: ISessionStore) -> CachedStore:
        """
        A store that is closed in the end.
        """
        store = CachedStore(rows, cache, CACHED, self.clock)
        self.addCleanup(self.closed, store)
        return store

    def closed(self, store: CachedStore) -> None:
        """
        Close it, and wait for that.
        """
        closing = store.close()
        self.clock.advance(1)
        self.successResultOf(closing)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def now(self) -> float:
        return self.clock.seconds()


class CachedContractTests(_Case, WatchableContract, SynchronousTestCase):
    """
    L{CachedStore} keeps what stores promise that can be watched.
    """

    def makeStore(self) -> ISessionStore:
        return self.open(self.rows, self.cache)

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        return self.open(MemoryStore(place=self.rows), MemoryStore(place=self.cache))


class UnwatchableContractTests(_Case, StoreContract, SynchronousTestCase):
    """
    L{CachedStore} keeps what stores promise, and no more than what it is given
    can do.
    """

    def makeStore(self) -> ISessionStore:
        return self.open(UnwatchableStore(self.rows), self.cache)

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        return self.open(UnwatchableStore(self.rows), self.cache)

    def test_unwatchable(self) -> None:
        """
        What cannot be watched cannot be watched.
        """
        self.assertFalse(IWatchableStore.providedBy(self.store))


class _ClosableStore(FlakyStore):
    isClosed = False

    def close(self) -> Deferred[None]:
        self.isClosed = True
        return succeed(None)


class CopyTests(_Case, SynchronousTestCase):
    """
    What becomes of the copies.
    """

    def setUp(self) -> None:
        super().setUp()
        self.flaky = _ClosableStore(self.rows)
        self.flakyCache = _ClosableStore(self.cache)
        self.store = self.open(self.flaky, self.flakyCache)
        self.have(self.rows, "k", b"1")
        self.copy()

    def have(self, store: ISessionStore, key: str, raw: bytes) -> None:
        self.assertTrue(self.successResultOf(store.create(key, raw, 1000.0)))

    def copy(self) -> None:
        """
        Be the web application, that reads the session.
        """
        self.have(self.cache, CACHED("k"), b"a pickle")

    def hasCopy(self) -> bool:
        return self.successResultOf(self.cache.load(CACHED("k"))) is not None

    def replace(self, new: bytes = b"2") -> Deferred[Stored]:
        return self.store.replace("k", b"1", new, KEEP)

    def stored(self) -> bytes:
        """
        The session itself.
        """
        stored = self.successResultOf(self.rows.load("k"))
        assert stored is not None
        return stored.raw

    def test_deleted(self) -> None:
        """
        Each change deletes the copy, and only that of the session; reading
        leaves it.
        """
        self.assertTrue(ISharedStore.providedBy(self.store))
        self.have(self.cache, CACHED("k2"), b"another one")
        self.successResultOf(self.store.load("k"))
        self.assertTrue(self.hasCopy())
        self.successResultOf(self.replace())
        self.assertFalse(self.hasCopy())
        self.copy()
        self.successResultOf(self.store.load("k"))
        self.assertTrue(self.hasCopy())
        changes: list[Callable[[], Deferred[Any]]] = [
            lambda: self.store.touch("k", 10.0),
            lambda: self.store.destroy("k"),
            lambda: self.store.destroy("k"),
            lambda: self.store.create("k", b"3", FOREVER),
        ]
        for change in changes:
            self.successResultOf(change())
            self.assertFalse(self.hasCopy())
            self.copy()
        key = CACHED("k2")
        self.assertIsNotNone(self.successResultOf(self.cache.load(key)))

    def test_whileChanging(self) -> None:
        """
        A copy is deleted that is made while the session is changed.
        """
        self.flaky.hold("replace")
        answer = self.replace()
        self.copy()
        self.flaky.release()
        self.successResultOf(answer)
        self.assertFalse(self.hasCopy())

    def test_answered(self) -> None:
        """
        A change is answered when the copy is deleted, not before.
        """
        self.flaky.hold("replace")
        answer = self.replace()
        self.flakyCache.hold()
        self.flaky.release()
        self.assertEqual(self.stored(), b"2")
        self.assertNoResult(answer)
        self.flakyCache.release()
        self.assertEqual(self.successResultOf(answer).raw, b"2")

    def test_again(self) -> None:
        """
        A copy of what was read before is deleted that is made after all:
        mostly it is soon, and at the latest some 1.3 seconds after the last
        change.
        """
        self.successResultOf(self.replace())
        self.clock.advance(0.04)
        self.successResultOf(self.store.touch("k", KEEP))
        for wait in 0.05, 0.25, 1.0:
            self.copy()
            self.clock.advance(wait - 0.01)
            self.assertTrue(self.hasCopy())
            self.clock.advance(0.01)
            self.assertFalse(self.hasCopy())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noCache(self) -> None:
        """
        While the cache cannot be reached, nothing is changed, whatever it
        says; sessions are read.
        """
        for error, kind in (
            (StoreUnavailable("gone"), StoreUnavailable),
            (StoreTimeout("hangs"), StoreUnavailable),
            (StoreError("forbidden"), StoreError),
        ):
            self.flakyCache.fail(error)
            for change in (
                self.replace(),
                self.store.touch("k", 10.0),
                self.store.destroy("k"),
                self.store.create("k3", b"", FOREVER),
            ):
                failure = self.failureResultOf(change, kind)
                self.assertIs(failure.type, kind)
            self.assertEqual(self.flaky.calls, [])
        loaded = self.successResultOf(self.store.load("k"))
        self.assertEqual(loaded, self.successResultOf(self.rows.load("k")))

    def lostCache(self) -> None:
        """
        Change the session, and lose the cache in the middle.
        """
        self.flaky.hold("replace")
        answer = self.replace()
        self.copy()
        self.flakyCache.fail(StoreUnavailable("gone"))
        self.flaky.release()
        failure = self.failureResultOf(answer, StoreTimeout)
        self.assertIn("older copy may be left: gone", failure.getErrorMessage())
        self.assertEqual(self.stored(), b"2")

    def test_lostCache(self) -> None:
        """
        If the cache is lost after the session was changed, that fails, and
        nothing is said about the session until its copy is deleted.
        """
        self.lostCache()
        self.failureResultOf(self.store.load("k"), StoreUnavailable)
        self.have(self.rows, "k2", b"")
        self.successResultOf(self.store.load("k2"))
        self.flakyCache.heal()
        self.assertTrue(self.hasCopy())
        loaded = self.successResultOf(self.store.load("k"))
        assert loaded is not None
        self.assertEqual(loaded.raw, b"2")
        self.assertFalse(self.hasCopy())
        # That is done with.
        self.flakyCache.fail(StoreUnavailable("gone"))
        self.successResultOf(self.store.load("k"))
        self.flakyCache.heal()

    def test_triedAgain(self) -> None:
        """
        It is tried each second, and said once each time.
        """
        with capturedLogs() as logs:
            self.lostCache()
            self.clock.pump([1.0] * 5)
        self.assertEqual(len(logs), 1)
        self.assertIn("trying again: gone", formatEvent(logs[0]))
        self.flakyCache.heal()
        self.assertTrue(self.hasCopy())
        self.clock.advance(1.0)
        self.assertFalse(self.hasCopy())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(self.store.touch("k", KEEP))
        self.flakyCache.fail(StoreUnavailable("gone"))
        with capturedLogs() as logs:
            self.clock.pump([1.0] * 3)
        self.assertEqual(len(logs), 1)

    def test_close(self) -> None:
        """
        What is to be deleted is deleted at the end; both stores are closed.
        """
        self.lostCache()
        self.flakyCache.heal()
        closing = self.store.close()
        self.assertFalse(self.hasCopy())
        self.clock.advance(1)
        self.successResultOf(closing)
        self.assertTrue(self.flaky.isClosed and self.flakyCache.isClosed)

    def assertDeletesLate(self, closing: Deferred[None]) -> None:
        """
        A copy that comes later is deleted before the store has closed.
        """
        self.clock.advance(0.5)
        self.copy()
        self.assertNoResult(closing)
        self.clock.advance(0.5)
        self.successResultOf(closing)
        self.assertFalse(self.hasCopy())

    def test_closeSoon(self) -> None:
        """
        So is a copy that a request stores that had read the session before it was
        changed.
        """
        self.successResultOf(self.replace())
        self.assertDeletesLate(self.store.close())

    def test_closeMeanwhile(self) -> None:
        """
        Also if the copy is just being deleted once more.
        """
        self.successResultOf(self.replace())
        self.flakyCache.hold("destroy")
        self.clock.advance(0.05)
        closing = self.store.close()
        self.flakyCache.release()
        self.assertDeletesLate(closing)

    def test_closeLater(self) -> None:
        """
        There is nothing to wait for when nothing was changed just before.
        """
        self.successResultOf(self.replace())
        self.clock.pump([0.1] * 14)
        self.successResultOf(self.store.close())

    def test_closeInVain(self) -> None:
        """
        What cannot be deleted does not keep it from ending.
        """
        self.lostCache()
        closing = self.store.close()
        self.clock.advance(1)
        self.successResultOf(closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closeAfterACut(self) -> None:
        """
        What could not be deleted because a connection was lost is, a second later.
        """
        self.lostCache()
        closing = self.store.close()
        self.flakyCache.heal()
        self.assertTrue(self.hasCopy())
        self.clock.advance(1)
        self.successResultOf(closing)
        self.assertFalse(self.hasCopy())

    def test_doubt(self) -> None:
        """
        What may have been changed counts as changed.
        """
        self.flaky.lose("replace")
        self.failureResultOf(self.replace(), StoreTimeout)
        self.copy()
        self.flaky.heal()
        self.successResultOf(self.store.load("k"))
        self.assertFalse(self.hasCopy())

    def test_doubtUndecodable(self) -> None:
        """
        That a session cannot be read is an answer: what may have been changed
        is known to be done, or not.
        """
        self.flaky.lose("replace")
        self.failureResultOf(self.replace(), StoreTimeout)
        self.flaky.fail(UndecodableSession(), "load")
        self.copy()
        self.failureResultOf(self.store.load("k"), UndecodableSession)
        self.assertFalse(self.hasCopy())
        self.failureResultOf(self.replace(), StoreTimeout)
        for delay in 0.05, 0.25, 1.0:
            self.copy()
            self.clock.advance(delay)
            self.assertFalse(self.hasCopy())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_doubtForLong(self) -> None:
        """
        As long as it is unknown whether the session was changed, deleting the
        copy does not settle it.
        """
        self.flaky.lose("replace")
        self.failureResultOf(self.replace(), StoreTimeout)
        self.flaky.fail(StoreUnavailable("down"), "load")
        self.copy()
        self.clock.advance(1.0)
        self.assertTrue(self.hasCopy())
        self.flaky.heal()
        self.clock.advance(1.0)
        self.assertFalse(self.hasCopy())

    def test_cancelled(self) -> None:
        """
        So does what nobody waits for any more.
        """
        self.flaky.hold("replace")
        answer = self.replace()
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.copy()
        self.flaky.heal()
        self.successResultOf(self.store.load("k"))
        self.assertFalse(self.hasCopy())

    def test_doubtRemains(self) -> None:
        """
        What was asked before a change does not tell what became of it, nor
        does what was deleted before the answer to what was asked later.
        """
        self.flaky.hold("load")
        early = self.store.load("k")
        self.flaky.lose("replace")
        self.failureResultOf(self.replace(), StoreTimeout)
        self.flaky.release()
        self.successResultOf(early)
        self.copy()
        self.flaky.heal()
        self.failureResultOf(self.store.replace("k", b"x", b"", KEEP), SessionConflict)
        self.copy()
        self.successResultOf(self.store.load("k"))
        self.assertFalse(self.hasCopy())

    def test_nothingDone(self) -> None:
        """
        What is known to have changed nothing leaves nothing to delete.
        """
        for error in StoreUnavailable("down"), StoreError("no"), UndecodableSession():
            self.flaky.fail(error, "replace")
            self.failureResultOf(self.replace(), type(error))
        self.flaky.heal()
        wrong = self.store.replace("k", b"x", b"", KEEP)
        self.failureResultOf(wrong, SessionConflict)
        missing = self.store.replace("k2", b"", b"", KEEP)
        self.failureResultOf(missing, NoSuchSession)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ManagerTests(_Case, SynchronousTestCase):
    """
    A manager with such a store.
    """

    def test_lostCache(self) -> None:
        """
        A change is stored when the copy is deleted: whoever waits for that is
        told of a cache that is lost, and later that all is well.
        """
        cache = FlakyStore(self.cache)
        rows = FlakyStore(self.rows)
        framework = DjangoDatabase("for tests")
        store = CachedStore(rows, cache, framework.cacheKey, self.clock)
        manager = SessionManager(store, framework, self.clock)
        sessionID = framework.newSessionID()
        raw = framework.dumps(framework.newDocument(self.now()), self.now())
        self.successResultOf(store.create(framework.key(sessionID), raw, 1000.0))
        holder = Recorder()
        session = self.successResultOf(manager.open(sessionID, holder))
        rows.hold("replace")
        session["n"] = 1
        saved = session.save()
        cache.fail(StoreUnavailable("gone"))
        rows.release()
        self.failureResultOf(saved, StoreTimeout)
        self.failureResultOf(session.save(), StoreUnavailable)
        cache.heal()
        self.successResultOf(session.save())
        calls = [call for call, _ in rows.calls if call == "replace"]
        self.assertEqual(len(calls), 1)
        self.successResultOf(manager.release(session, holder))
        stopped = manager.stop()
        self.clock.pump([1.0] * 6)
        self.successResultOf(stopped)
        self.successResultOf(store.close())
