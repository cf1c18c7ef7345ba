"""
Tests for L{txsessionsock.stores.memory}.
"""

from __future__ import annotations

import tracemalloc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.interfaces import FOREVER, KEEP, ISessionStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import WatchableContract


class MemoryStoreContractTests(WatchableContract, SynchronousTestCase):
    """
    L{MemoryStore} keeps what stores promise.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        super().setUp()

    def makeStore(self) -> ISessionStore:
        return MemoryStore(self.clock)

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        assert isinstance(store, MemoryStore)
        return MemoryStore(place=store)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def now(self) -> float:
        return self.clock.seconds()


class MemoryStoreTests(SynchronousTestCase):
    """
    Tests for what L{MemoryStore} does beyond that.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.other = MemoryStore(place=self.store)
        self.reported: list[str] = []

    def create(self, *keys: str, ttl: float = 60.0) -> None:
        """
        Have sessions.
        """
        for key in keys:
            self.assertTrue(self.successResultOf(self.store.create(key, b"", ttl)))

    def test_createdToKeep(self) -> None:
        """
        There is no deadline that a new session could keep.
        """
        self.assertRaises(ValueError, self.store.create, "k", b"", KEEP)

    def test_onlyBytes(self) -> None:
        """
        What is no bytes is refused, and what could be changed is copied.
        """
        self.assertRaises(TypeError, self.store.create, "k", "text", FOREVER)
        raw = bytearray(b"1")
        self.store.create("k", raw, FOREVER)  # type: ignore[arg-type]  # on purpose
        raw[0] = 0
        stored = self.successResultOf(self.store.load("k"))
        assert stored is not None
        self.assertEqual(stored.raw, b"1")

    def test_apart(self) -> None:
        """
        Two stores have nothing in common unless told.
        """
        self.create("a")
        stranger = MemoryStore(self.clock)
        self.assertIsNone(self.successResultOf(stranger.load("a")))

    def test_noTimerWithoutWatchers(self) -> None:
        """
        A store that nobody watches leaves nothing in the reactor.
        """
        self.create("a", "b")
        self.store.destroy("a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneTimer(self) -> None:
        """
        There is one timer for all deadlines, for the nearest; it goes with the
        last watcher, and with the last session.
        """
        self.create("a", "b", "c")
        self.create("d", ttl=10.0)
        stops = [self.store.watch(key, self.reported.append) for key in "abd"]
        (timer,) = self.clock.getDelayedCalls()
        self.assertEqual(timer.getTime(), 10.0)
        self.store.touch("a", 5.0)
        (timer,) = self.clock.getDelayedCalls()
        self.assertEqual(timer.getTime(), 5.0)
        for stop in stops:
            stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.store.watch("a", self.reported.append)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for key in "abcd":
            self.store.destroy(key)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_expiryOnTime(self) -> None:
        """
        Watchers, and only they, hear of the end in the moment of the deadline.
        """
        self.create("a", "b")
        self.create("c", ttl=61.0)
        for key in "ac":
            self.store.watch(key, self.reported.append)
        self.clock.advance(59.9)
        self.assertEqual(self.reported, [])
        self.clock.advance(0.1)
        self.assertEqual(self.reported, ["a"])
        self.clock.advance(1.0)
        self.assertEqual(self.reported, ["a", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_later(self) -> None:
        """
        A change is reported in the next turn of the reactor, once.
        """
        self.create("a")
        self.store.watch("a", self.reported.append)
        self.other.touch("a", FOREVER)
        self.other.destroy("a")
        self.assertEqual(self.reported, [])
        self.clock.advance(0)
        self.assertEqual(self.reported, ["a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopForgetsWhatIsPending(self) -> None:
        """
        A report under way when the last watcher stops leaves nothing behind.
        """
        self.create("a", ttl=FOREVER)  # type: ignore[arg-type]  # as good a ttl
        stop = self.store.watch("a", self.reported.append)
        self.other.touch("a", FOREVER)
        stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(1)
        self.assertEqual(self.reported, [])

    def test_failingWatcher(self) -> None:
        """
        A watcher that raises is logged, and the others are told.
        """
        self.create("a")
        self.store.watch("a", lambda key: 1 // 0)  # type: ignore[arg-type]  # raises
        self.store.watch("a", self.reported.append)
        self.other.destroy("a")
        self.clock.advance(0)
        self.assertEqual(self.reported, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopAnother(self) -> None:
        """
        A watcher that another one stopped is not told.
        """
        self.create("a")
        self.store.watch("a", lambda key: stop())
        stop = self.store.watch("a", self.reported.append)
        self.other.destroy("a")
        self.clock.advance(0)
        self.assertEqual(self.reported, [])

    def test_memory(self) -> None:
        """
        What has expired takes no memory, nor do sessions that come and go, nor
        touches.
        """
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.create("warm", ttl=1e9)
        before, _ = tracemalloc.get_traced_memory()
        for n in range(5_000):
            raw = bytes(1000)
            self.store.create(f"gone{n}", raw, 1e6)
            self.store.destroy(f"gone{n}")
            for m in range(10):
                self.store.touch("warm", 1e9 - 10 * n - m)
            self.store.create(f"expired{n}", raw, 60.0)
        full, _ = tracemalloc.get_traced_memory()
        self.assertGreater(full - before, 5_000_000)
        self.clock.advance(60.0)
        self.store.load("warm")
        after, _ = tracemalloc.get_traced_memory()
        # Dictionaries keep their tables, at some 60 bytes for each key they had.
        self.assertLess(after - before, 1_000_000)

    def test_memoryOfTouches(self) -> None:
        """
        A deadline that comes nearer and nearer takes the room of one.
        """
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.create("k", ttl=1e9)
        before, _ = tracemalloc.get_traced_memory()
        for n in range(20_000):
            self.store.touch("k", 1e9 - n)
        after, _ = tracemalloc.get_traced_memory()
        self.assertLess(after - before, 100_000)
