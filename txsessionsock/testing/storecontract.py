# -*- test-case-name: tests.stores.test_store_memory -*-
"""
What every store promises, as tests; published in L{txsessionsock.testing}.
"""

from __future__ import annotations

from contextlib import suppress
from time import time
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from txsessionsock._kinds import Store
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    AtLeast,
    ISessionStore,
    NoSuchSession,
    SessionConflict,
    Stored,
)

from .contract import Contract, toOverride


__all__ = ["KEY", "StoreContract"]


T = TypeVar("T")
E = TypeVar("E", bound=Exception)

KEY = "sess:key"


class StoreContract(Contract):
    """
    Tests for what every L{ISessionStore} promises.

    Mix into a L{twisted.trial.unittest.SynchronousTestCase}, and override what
    is below up to L{now}.

    @cvar lifetime: A number of seconds that L{advance} can let pass.

    @cvar tolerance: By how many seconds a deadline may be off.

    @cvar precision: By how many seconds a deadline may differ between two looks
        at it.
    """

    lifetime = 60.0
    tolerance = 1.0
    precision = 0.002

    def makeStore(self) -> Store:
        """
        A store on a new, empty place.
        """
        raise toOverride(self, "makeStore()", "returns a store on a new, empty place")

    def makeOther(self, store: Any) -> Store:
        """
        Another store on the same place, as another process would have it.
        """
        task = "returns another store on the same place"
        raise toOverride(self, "makeOther(store)", task)

    def advance(self, seconds: float) -> None:
        """
        Let time pass for the store: put forward the clock that it was given, or
        wait where that of a server counts, with a small L{lifetime}.
        """
        task = f"lets {seconds:g} seconds pass for the store"
        raise toOverride(self, "advance(seconds)", task)

    def now(self) -> float:
        """
        What the store thinks the time is, in seconds since the epoch.
        """
        return time()

    def setUp(self) -> None:
        super().setUp()
        self.store = self.makeStore()
        self.other = self.makeOther(self.store)

    def failing(self, answer: Deferred[T], kind: type[E]) -> E:
        """
        Wait for an answer that is to fail.
        """
        with self.assertRaises(kind) as caught:
            self.wait(answer)
        error: E = caught.exception
        return error

    def create(self, raw: bytes = b"old", ttl: TTL = FOREVER) -> None:
        """
        Have a session.
        """
        self.assertIs(self.wait(self.store.create(KEY, raw, ttl)), True)

    def stored(self) -> Stored | None:
        """
        The session as both stores see it.
        """
        seen = self.wait(self.store.load(KEY))
        other = self.wait(self.other.load(KEY))
        self.assertEqual(seen and seen.raw, other and other.raw)
        ends = [stored.expires for stored in (seen, other) if stored is not None]
        if any(ends):
            self.assertLess(abs((ends[0] or 0.0) - (ends[1] or 0.0)), self.precision)
        return seen

    def assertRaw(self, raw: bytes) -> None:
        """
        There is a session, and these are its bytes.
        """
        seen = self.stored()
        self.assertIsNotNone(seen)
        assert seen is not None
        self.assertEqual(seen.raw, raw)
        self.assertIs(type(seen.raw), bytes)

    def assertDeadline(self, expires: float | None, ttl: float) -> None:
        """
        A deadline is so many seconds away, and is what is stored.
        """
        assert expires is not None, "there is no deadline"
        self.assertLess(abs(self.now() + ttl - expires), self.tolerance)
        seen = self.stored()
        assert seen is not None and seen.expires is not None
        self.assertLess(abs(seen.expires - expires), self.precision)

    def test_interface(self) -> None:
        """
        The store provides L{ISessionStore}.
        """
        verifyObject(ISessionStore, self.store)

    def test_missing(self) -> None:
        """
        Of a session that is not there, each method says so, and none makes it.
        """
        self.assertIsNone(self.stored())
        self.failing(self.store.replace(KEY, b"", b"new", FOREVER), NoSuchSession)
        self.failing(self.store.replace(KEY, b"", b"new", KEEP), NoSuchSession)
        self.failing(self.store.touch(KEY, 60.0), NoSuchSession)
        self.failing(self.store.touch(KEY, KEEP), NoSuchSession)
        self.assertIs(self.wait(self.store.destroy(KEY)), False)
        self.assertIsNone(self.stored())

    def test_create(self) -> None:
        """
        A new session is there for all, and stays as it is when somebody wants
        to create it again.
        """
        self.create(b"first")
        self.assertEqual(self.stored(), Stored(b"first", None))
        for store in self.store, self.other:
            self.assertIs(self.wait(store.create(KEY, b"second", 60.0)), False)
        self.assertEqual(self.stored(), Stored(b"first", None))

    def test_createForAWhile(self) -> None:
        """
        A session may be created with a number of seconds to live.
        """
        self.create(ttl=1000)
        seen = self.stored()
        assert seen is not None
        self.assertDeadline(seen.expires, 1000)

    def test_keys(self) -> None:
        """
        Keys that differ in anything are different sessions.
        """
        keys = [
            "k",
            "K",
            "k ",
            "k:1",
            "k*",
            "k'",
            'k"',
            "k%",
            "k/../k",
            "ké",
            "k" * 500,
        ]
        for key in keys:
            self.assertIs(self.wait(self.store.create(key, key.encode(), 60.0)), True)
        for key in keys:
            seen = self.wait(self.other.load(key))
            assert seen is not None
            self.assertEqual(seen.raw, key.encode())

    def test_exactBytes(self) -> None:
        """
        Bytes come back as they were stored, and are compared as such.
        """
        was = b"old"
        self.create(was)
        for raw in (
            b"",
            b"\0",
            b"a\0b",
            b"a\0c",
            b"\xff\xfe\x80",
            b"1",
            b"01",
            b" \r\n",
            bytes(range(256)) * 4096,
        ):
            self.failing(
                self.other.replace(KEY, was + b"\0", raw, KEEP), SessionConflict
            )
            result = self.wait(self.other.replace(KEY, was, raw, KEEP))
            self.assertEqual(result, Stored(raw, None))
            self.assertRaw(raw)
            was = raw

    def test_conflict(self) -> None:
        """
        Other bytes than the expected ones are left alone, and shown to who
        wanted to replace them.
        """
        self.create(b"a")
        self.wait(self.other.replace(KEY, b"a", b"b", 1000.0))
        error = self.failing(self.store.replace(KEY, b"a", b"c", 5.0), SessionConflict)
        self.assertEqual(error.current.raw, b"b")
        self.assertRaw(b"b")
        self.assertDeadline(error.current.expires, 1000)

    def test_replaceLifetimes(self) -> None:
        """
        A write sets the deadline anew, ends it, or leaves it.
        """
        self.create(b"1", 1000)
        kept = self.wait(self.store.replace(KEY, b"1", b"2", KEEP))
        self.assertDeadline(kept.expires, 1000)
        longer = self.wait(self.store.replace(KEY, b"2", b"3", 2000))
        self.assertDeadline(longer.expires, 2000)
        self.assertEqual(
            self.wait(self.store.replace(KEY, b"3", b"4", FOREVER)), Stored(b"4", None)
        )
        self.assertEqual(
            self.wait(self.store.replace(KEY, b"4", b"5", KEEP)), Stored(b"5", None)
        )
        self.assertEqual(self.stored(), Stored(b"5", None))

    def test_touch(self) -> None:
        """
        A touch sets the deadline anew, ends it, or leaves it, and leaves the
        bytes.
        """
        self.create(ttl=1000)
        self.assertDeadline(self.wait(self.store.touch(KEY, 2000)), 2000)
        self.assertDeadline(self.wait(self.store.touch(KEY, 500)), 500)
        self.assertDeadline(self.wait(self.store.touch(KEY, KEEP)), 500)
        self.assertIsNone(self.wait(self.store.touch(KEY, FOREVER)))
        self.assertIsNone(self.wait(self.store.touch(KEY, KEEP)))
        self.assertEqual(self.stored(), Stored(b"old", None))

    def test_atLeast(self) -> None:
        """
        With L{AtLeast} a deadline is put off and never brought forward, also
        if it is another store that put it off meanwhile.
        """
        self.create(b"1", 1000)
        self.assertDeadline(self.wait(self.store.touch(KEY, AtLeast(2000))), 2000)
        self.wait(self.other.touch(KEY, 3000))
        self.assertDeadline(self.wait(self.store.touch(KEY, AtLeast(500))), 3000)
        kept = self.wait(self.store.replace(KEY, b"1", b"2", AtLeast(500)))
        self.assertEqual(kept.raw, b"2")
        self.assertDeadline(kept.expires, 3000)
        longer = self.wait(self.store.replace(KEY, b"2", b"3", AtLeast(4000)))
        self.assertDeadline(longer.expires, 4000)
        self.wait(self.other.touch(KEY, FOREVER))
        self.assertIsNone(self.wait(self.store.touch(KEY, AtLeast(500))))
        self.assertEqual(
            self.wait(self.store.replace(KEY, b"3", b"4", AtLeast(500))),
            Stored(b"4", None),
        )
        self.assertEqual(self.stored(), Stored(b"4", None))
        self.failing(self.store.touch("none", AtLeast(500)), NoSuchSession)

    def test_createAtLeast(self) -> None:
        """
        A session that begins has no deadline to keep.
        """
        self.create(ttl=AtLeast(1000))
        seen = self.stored()
        assert seen is not None
        self.assertDeadline(seen.expires, 1000)

    def test_destroy(self) -> None:
        """
        A session that was destroyed is gone for all, once.
        """
        self.create()
        self.assertIs(self.wait(self.other.destroy(KEY)), True)
        self.assertIs(self.wait(self.store.destroy(KEY)), False)
        self.assertIsNone(self.stored())
        self.failing(self.store.replace(KEY, b"old", b"new", KEEP), NoSuchSession)
        self.failing(self.store.touch(KEY, KEEP), NoSuchSession)
        self.assertIsNone(self.stored())
        self.create(b"again")
        self.assertEqual(self.stored(), Stored(b"again", None))

    def test_compareAndDestroy(self) -> None:
        """
        A session may be ended on condition that it is still what somebody
        knows of it; if it is not, it stays, and is shown to him.
        """
        for was in b"1", b"", b"\0", b"\xff\0a", b"01":
            self.create(was, 1000.0)
            for old in b"1" + was, was + b"\0", b"\0" + was:
                error = self.failing(self.other.destroy(KEY, old), SessionConflict)
                self.assertEqual(error.current.raw, was)
                self.assertDeadline(error.current.expires, 1000)
            self.assertRaw(was)
            self.assertIs(self.wait(self.other.destroy(KEY, was)), True)
            self.assertIsNone(self.stored())
            self.assertIs(self.wait(self.store.destroy(KEY, was)), False)

    def test_destroyWhileReplaced(self) -> None:
        """
        Several calls replace or destroy the same bytes at once: one succeeds.
        """
        for _ in range(4):
            self.create()
            stores = [self.store, self.other] * 2
            ended = [store.destroy(KEY, b"old") for store in stores]
            replaced = [store.replace(KEY, b"old", b"new", KEEP) for store in stores]
            won = 0
            for answer in ended:
                with suppress(SessionConflict):
                    won += self.wait(answer)
            for other in replaced:
                with suppress(SessionConflict, NoSuchSession):
                    won += self.wait(other).raw == b"new"
            self.assertEqual(won, 1)
            self.wait(self.store.destroy(KEY))

    def test_expired(self) -> None:
        """
        A session whose deadline has passed is gone for every method.
        """
        self.create(ttl=self.lifetime)
        self.advance(self.lifetime * 0.5)
        self.assertRaw(b"old")
        self.advance(self.lifetime * 0.6)
        self.failing(self.store.replace(KEY, b"old", b"new", FOREVER), NoSuchSession)
        self.failing(self.store.replace(KEY, b"old", b"new", KEEP), NoSuchSession)
        self.failing(self.store.touch(KEY, FOREVER), NoSuchSession)
        self.assertIs(self.wait(self.store.destroy(KEY, b"old")), False)
        self.assertIs(self.wait(self.store.destroy(KEY)), False)
        self.assertIsNone(self.stored())

    def test_createdOnExpired(self) -> None:
        """
        The key of a session that has expired is free, and nothing of that
        session is left.
        """
        self.create(b"first", self.lifetime)
        self.advance(self.lifetime * 1.1)
        self.create(b"second")
        self.assertEqual(self.stored(), Stored(b"second", None))

    def test_deadlineMoves(self) -> None:
        """
        It is the last deadline that counts: touches and writes put it off,
        C{KEEP} does not.
        """
        self.create(b"1", self.lifetime)
        self.advance(self.lifetime * 0.6)
        self.wait(self.store.touch(KEY, self.lifetime))
        self.advance(self.lifetime * 0.6)
        self.wait(self.store.replace(KEY, b"1", b"2", self.lifetime))
        self.advance(self.lifetime * 0.6)
        self.wait(self.store.replace(KEY, b"2", b"3", KEEP))
        self.assertRaw(b"3")
        self.advance(self.lifetime * 0.6)
        self.assertIsNone(self.stored())

    def test_endless(self) -> None:
        """
        A session that once had a deadline and has none now does not end.
        """
        self.create(ttl=self.lifetime)
        self.wait(self.store.touch(KEY, FOREVER))
        self.advance(self.lifetime * 1.5)
        self.assertEqual(self.stored(), Stored(b"old", None))

    def test_concurrent(self) -> None:
        """
        Several calls replace the same bytes at once: one succeeds.
        """
        self.create(b"old")
        stores = [self.store, self.other] * 4
        answers = [
            store.replace(KEY, b"old", b"%d" % n, KEEP)
            for n, store in enumerate(stores)
        ]
        won = []
        for answer in answers:
            with suppress(SessionConflict):
                won.append(self.wait(answer))
        self.assertEqual(len(won), 1)
        self.assertEqual(self.stored(), won[0])
