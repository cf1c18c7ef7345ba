# -*- test-case-name: tests.stores.test_store_memory -*-
"""
What every watchable store promises, as tests; published in
L{txsessionsock.testing}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from txsessionsock._kinds import WatchableStore
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    IWatchableStore,
    SessionConflict,
    Stored,
)

from .storecontract import KEY, StoreContract


__all__ = ["WatchableContract"]


class WatchableContract(StoreContract):
    """
    Tests for what every L{IWatchableStore} promises, the promises of
    L{StoreContract} among them.
    """

    store: WatchableStore
    other: WatchableStore

    def setUp(self) -> None:
        super().setUp()
        self.reported: list[str] = []

    def watch(self) -> Callable[[], None]:
        """
        Watch the session; from then on, only news are in C{reported}.
        """
        stop = self.store.watch(KEY, self.reported.append)
        self.wait(self.store.load(KEY))
        self.fence()
        self.reported.clear()
        return stop

    def fence(self) -> None:
        """
        Wait until all that was changed was reported.
        """
        self.assertIsNone(self.wait(self.store.fence(KEY)))

    def assertReported(self) -> None:
        """
        The session is reported by the time the fence is passed.  Then it is
        loaded, as a manager does that was told.
        """
        self.fence()
        self.assertEqual(set(self.reported), {KEY})
        self.reported.clear()
        self.wait(self.store.load(KEY))

    def until(self, happened: Callable[[], bool]) -> None:
        """
        Let time pass, ten seconds at most, until something has happened.  To be
        overridden where C{wait} is.
        """
        for _ in range(1000):
            if happened():
                return
            self.advance(0.01)
        self.fail("it did not happen: override until(happened) where wait() is")

    def test_watchableInterface(self) -> None:
        """
        The store provides L{IWatchableStore}.
        """
        verifyObject(IWatchableStore, self.store)

    def test_changesByOthers(self) -> None:
        """
        What others do to a session is reported before a fence is passed.
        """
        self.create(b"1")
        self.watch()
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        self.assertReported()
        self.wait(self.other.touch(KEY, 1000.0))
        self.assertReported()
        self.wait(self.other.destroy(KEY))
        self.assertReported()
        self.wait(self.other.create(KEY, b"3", FOREVER))
        self.assertReported()
        self.wait(self.other.destroy(KEY, b"3"))
        self.assertReported()
        self.fence()
        self.assertEqual(self.reported, [])

    def test_changesByOthersUnfenced(self) -> None:
        """
        What others do is reported also if nobody waits for it.
        """
        self.create(b"1")
        self.watch()
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        self.until(lambda: bool(self.reported))
        self.assertEqual(set(self.reported), {KEY})

    def test_overwritten(self) -> None:
        """
        What others did is reported even if it was written over before anybody
        looked.
        """
        self.create(b"1")
        self.watch()
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        self.wait(self.store.replace(KEY, b"2", b"3", KEEP))
        self.assertReported()

    def test_watchBegins(self) -> None:
        """
        Changes are reported from the moment that what is watched is read.
        """
        self.create(b"1")
        self.store.watch(KEY, self.reported.append)
        self.wait(self.store.load(KEY))
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        self.assertReported()

    def test_own(self) -> None:
        """
        What was done through the store itself is not reported, nor what
        changed nothing.
        """
        self.create(b"1", 1000.0)
        self.watch()
        self.wait(self.store.replace(KEY, b"1", b"2", KEEP))
        self.failing(self.other.replace(KEY, b"1", b"2", KEEP), SessionConflict)
        self.assertIs(self.wait(self.other.create(KEY, b"x", FOREVER)), False)
        self.failing(self.other.destroy(KEY, b"1"), SessionConflict)
        self.wait(self.other.load(KEY))
        self.fence()
        self.wait(self.store.touch(KEY, 2000.0))
        self.failing(self.store.destroy(KEY, b"1"), SessionConflict)
        self.wait(self.store.destroy(KEY, b"2"))
        self.assertIs(self.wait(self.other.destroy(KEY)), False)
        self.assertIs(self.wait(self.other.destroy(KEY, b"2")), False)
        self.wait(self.store.create(KEY, b"1", FOREVER))
        self.wait(self.store.destroy(KEY))
        self.wait(self.store.create(KEY, b"1", FOREVER))
        self.fence()
        self.assertEqual(self.reported, [])

    def test_otherKeys(self) -> None:
        """
        What is done to other sessions is not reported.
        """
        self.create()
        self.watch()
        self.wait(self.other.create(KEY + "2", b"", FOREVER))
        self.fence()
        self.assertEqual(self.reported, [])

    def test_expiry(self) -> None:
        """
        The end of a session's time is reported, whoever set it, without any
        fence.
        """
        for store in self.store, self.other:
            self.create(ttl=self.lifetime)
            stop = self.watch()
            self.wait(store.touch(KEY, self.lifetime))
            self.fence()
            self.wait(self.store.load(KEY))
            self.reported.clear()
            self.advance(self.lifetime * 0.5)
            self.fence()
            self.assertEqual(self.reported, [])
            self.advance(self.lifetime * 0.6)
            self.until(lambda: bool(self.reported))
            self.assertEqual(set(self.reported), {KEY})
            self.assertIsNone(self.stored())
            stop()

    def test_expiryFenced(self) -> None:
        """
        The end of a session's time is reported before a fence is passed, also
        when the key is in use again.
        """
        self.create(ttl=self.lifetime)
        self.watch()
        self.advance(self.lifetime * 1.1)
        self.wait(self.store.create(KEY, b"new", FOREVER))
        self.assertReported()

    def test_stop(self) -> None:
        """
        After C{stop}, which may be called twice, nothing is reported.
        """
        self.create(b"1")
        stop = self.watch()
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        stop()
        stop()
        self.reported.clear()
        self.wait(self.other.destroy(KEY))
        self.fence()
        self.assertEqual(self.reported, [])

    def test_several(self) -> None:
        """
        Each watcher of a session is told, until it stops.
        """
        self.create(b"1")
        second: list[str] = []
        stop = self.watch()
        self.store.watch(KEY, second.append)
        self.fence()
        second.clear()
        self.reported.clear()
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        self.fence()
        self.assertEqual((set(second), set(self.reported)), ({KEY}, {KEY}))
        self.wait(self.store.load(KEY))
        stop()
        second.clear()
        self.reported.clear()
        self.wait(self.other.replace(KEY, b"2", b"3", KEEP))
        self.fence()
        self.assertEqual((set(second), self.reported), ({KEY}, []))

    def test_notWithinCalls(self) -> None:
        """
        Nothing is reported from within a call that is not a fence.
        """
        self.create(b"1")
        self.watch()
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        # A store that pushes may have said so by now.
        before = list(self.reported)
        answers: list[Deferred[object]] = [
            self.store.load(KEY),  # type: ignore[list-item]  # any answer will do
            self.store.replace(KEY, b"1", b"9", KEEP),  # type: ignore[list-item]  # so
            self.store.create(KEY, b"9", FOREVER),  # type: ignore[list-item]  # so
            self.store.touch(KEY, KEEP),  # type: ignore[list-item]  # so
            self.store.destroy(KEY),  # type: ignore[list-item]  # so
        ]
        self.store.watch(KEY, self.reported.append)()
        self.assertEqual(self.reported, before)
        answers[1].addErrback(lambda failure: failure.trap(SessionConflict) and None)
        for answer in answers:
            self.wait(answer)
        self.assertReported()

    def test_reentrant(self) -> None:
        """
        A watcher that is told may use the store, and stop watching, at once.
        """
        self.create(b"1")
        loaded: list[Stored | None] = []

        def changed(key: str) -> None:
            self.reported.append(key)
            stop()
            self.store.load(key).addCallback(loaded.append)

        stop = self.store.watch(KEY, changed)
        self.wait(self.other.replace(KEY, b"1", b"2", KEEP))
        self.assertReported()
        self.wait(self.store.load(KEY))
        self.assertIn(loaded, ([Stored(b"2", None)], [Stored(b"1", None)]))
        self.wait(self.other.destroy(KEY))
        self.fence()
        self.assertEqual(self.reported, [])
