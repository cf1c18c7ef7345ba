"""
Tests for the journal at work: web applications that write whole sessions, as
they were when a request began.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf, nan
from typing import Any

from zope.interface import alsoProvides

from tests.support.managing import KEY, ManagerCase, Recorder
from txsessionsock.interfaces import (
    ISharedStore,
    NoSuchSession,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.session import Session
from txsessionsock.session.journal import STAMP
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore
from txsessionsock.stores.sqlite import SQLiteStore


class RepairCase(ManagerCase):
    """
    A process that guards what it stores, and a web application.
    """

    session: Session

    def setUp(self) -> None:
        super().setUp()
        self.manager = self.newManager(self.store, repair=True)
        self.put(user="ada", n=1)
        self.session = self.open()

    def stored(self, key: str = KEY) -> dict[str, Any] | None:
        data = super().stored(key)
        if data is not None:
            data.pop(STAMP, None)
        return data

    def request(self) -> dict[str, Any]:
        """
        A request of the web application begins.

        @return: Its copy of the session.
        """
        current = self.successResultOf(self.place.load(KEY))
        assert current is not None
        copy: dict[str, Any] = json.loads(current.raw)
        return copy

    def ends(self, copy: dict[str, Any], **values: Any) -> None:
        """
        It ends, and writes all that it has.
        """
        self.putRaw(json.dumps({**copy, **values}).encode())
        self.clock.advance(0)
        self.clock.advance(0)

    def save(self, **values: Any) -> None:
        """
        A handler changes the session.
        """
        self.session.update(values)
        self.settled(self.session.save())


class RepairTests(RepairCase):
    """
    What is overwritten comes back.
    """

    def test_overwritten(self) -> None:
        """
        A slow request does not undo what a socket stored meanwhile, and nobody
        is told of anything but what the request did.
        """
        copy = self.request()
        self.save(mine=[1])
        self.session.increment("n", 2)
        self.settled(self.session.save())
        self.holder.keys.clear()
        self.ends(copy, seen=True)
        expected = {"user": "ada", "n": 3, "mine": [1], "seen": True}
        self.assertEqual(self.stored(), expected)
        self.assertEqual(dict(self.session), expected)
        self.assertEqual(self.holder.keys, [("seen",)])

    def test_readOnly(self) -> None:
        """
        Nor does one that only reads, of which nobody is told at all.
        """
        copy = self.request()
        self.save(mine=1)
        self.holder.keys.clear()
        for _ in range(3):
            self.ends(copy)
            self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        self.assertEqual(self.holder.keys, [])

    def test_memory(self) -> None:
        """
        What sessions were is remembered within one bound for all of a manager;
        where that is too little, each node still does its own again.
        """
        memory = self.manager._policy.memory
        memory._limit = 0
        copy = self.request()
        self.save(mine=1)
        self.session.increment("n")
        self.settled(self.session.save())
        self.assertGreater(memory.forgotten, 0)
        self.assertEqual(memory.used, 0)
        self.ends(copy, seen=1)
        self.assertEqual((self.stored() or {})["n"], 2)

    def test_forgotten(self) -> None:
        """
        What is remembered for repairs is forgotten when it is too late for them,
        also if nobody changes the session again.
        """
        keeper: Any = self.session.keeper
        memory = self.manager._policy.memory
        copy = self.request()
        self.save(mine=1)
        self.run_(4)
        self.ends(copy, seen=1)
        self.assertEqual((self.stored() or {})["mine"], 1)
        self.assertTrue(keeper.live.isRemembering)
        self.run_(11)
        self.assertFalse(keeper.live.isRemembering)
        self.assertEqual((memory.used, len(memory._replaced)), (0, 0))
        self.save(mine=2)
        self.assertTrue(keeper.live.isRemembering)

    def test_repairIsTold(self) -> None:
        """
        A repair says in its stamp that it is none of this node's own changes.
        """
        self.save(first=[1], nest={"a": 1})
        copy = self.request()
        self.save(mine=1, nest={"a": 1, "b": 1})
        self.ends(copy, seen=1)
        (stamp,) = self.request()[STAMP].values()
        self.assertEqual((stamp[0], stamp[2]), (3, 2))

    def test_update(self) -> None:
        """
        So does what C{update} changed; what was stored again is not stored once
        more.
        """
        copy = self.request()
        self.settled(self.session.update(lambda data: data.update(mine=1)))
        self.ends(copy)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})
        written = self.calls("replace")
        self.settled(self.session.update(len))
        self.assertEqual(self.calls("replace"), written)

    def test_stampedBefore(self) -> None:
        """
        Who loads a session knows nothing of copies that are older.
        """
        copy = self.request()
        self.save(first=1)
        self.settled(self.manager.release(self.session, self.holder), 10)
        self.session = self.open()
        self.save(mine=1)
        self.ends(copy)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1})

    def test_meant(self) -> None:
        """
        What somebody deleted who knew it stays deleted, a logout is a logout
        and an emptied session is empty.
        """
        self.save(mine=1, other=1)
        copy = self.request()
        del copy["mine"]
        self.ends(copy)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "other": 1})
        copy = self.request()
        del copy["user"]
        self.save(other=2)
        self.ends(copy)
        self.assertEqual(self.stored(), {"n": 1, "other": 1})
        self.save(other=3)
        self.ends({"cookie": copy["cookie"]})
        self.assertEqual(self.stored(), {})
        self.successResultOf(self.place.destroy(KEY))
        self.clock.advance(0)
        self.assertEqual(self.holder.reasons, ["destroyed"])
        self.failureResultOf(self.session.save(), NoSuchSession)

    def test_loggedOut(self) -> None:
        """
        What was written for somebody who logged out meanwhile is not there for
        who comes next.
        """
        copy = self.request()
        del copy["user"]
        self.save(secret=1)
        self.ends(copy)
        self.ends(self.request(), user="eve")
        self.ends(self.request(), seen=1)
        self.assertEqual(self.stored(), {"user": "eve", "n": 1, "seen": 1})

    def test_answers(self) -> None:
        """
        What is sent while something is to be stored again waits for that, and
        not for ever.
        """
        waited: list[int | None] = []

        class Sender(Recorder):
            def changed(self, keys: Sequence[str]) -> None:
                waited.append(session.keeper.unsaved())

        sender = Sender()
        session = self.open(sender)
        copy = self.request()
        self.save(mine=1)
        told = len(sender.numbers)
        self.ends(copy, theirs=2)
        self.assertEqual(self.stored(), {"user": "ada", "n": 1, "mine": 1, "theirs": 2})
        self.assertEqual(len(waited), 2)
        self.assertIsNotNone(waited[1])
        self.assertIn(waited[1], sender.numbers[told:])

    def test_hidden(self) -> None:
        """
        Handlers do not see the stamp, whoever left it; a process that repairs
        nothing leaves it as it is.
        """
        self.save(mine=1)
        self.assertIn(STAMP, self.request())
        stamp = self.request()[STAMP]
        other = self.newManager(repair=False)
        session = self.open(Recorder(), other)
        self.assertEqual(set(session), {"user", "n", "mine"})
        self.assertEqual(set(self.session), {"user", "n", "mine"})
        session["theirs"] = 1
        self.settled(session.save())
        self.assertEqual(self.request()[STAMP], stamp)
        self.assertEqual(self.session["theirs"], 1)

    def test_window(self) -> None:
        """
        How long changes are guarded is bounded; 0 is not at all.
        """
        for window in (-1.0, 60.1, inf, nan):
            with self.assertRaises(ValueError):
                self.newManager(repairWindow=window)
        self.newManager(repairWindow=60)
        self.manager = self.newManager(self.store, repair=True, repairWindow=0)
        self.session = self.open()
        self.save(mine=1)
        self.run_(1)
        self.settled(self.manager.release(self.session, self.holder), 0)
        self.assertEqual(self.manager.statistics().sessions, 0)

    def test_byDefault(self) -> None:
        """
        Unless told otherwise, it is for stores that web applications share.
        """
        for isShared, repair, isStamped in (
            (False, None, False),
            (False, True, True),
            (True, None, True),
            (True, False, False),
        ):
            self.put(user="ada")
            if isShared:
                alsoProvides(self.store, ISharedStore)
            self.manager = self.newManager(self.store, repair=repair)
            self.session = self.open(Recorder())
            self.save(mine=1)
            self.assertIs(STAMP in self.request(), isStamped)
            self.clock.advance(6)

    def test_stores(self) -> None:
        """
        Those are in Redis and in the application's own database; not what is a
        file of ours.
        """
        shared = [RedisStore, SQLStore, WatchableSQLStore, CachedStore]
        for store in (*shared, MemoryStore, SQLiteStore, CookieStore):
            isShared = ISharedStore.implementedBy(store)
            self.assertIs(isShared, store in shared, store)

    def test_twoNodes(self) -> None:
        """
        Each node sees to what is its own, and counts are right.
        """
        other = self.newManager(repair=True)
        session = self.open(Recorder(), other)
        copy = self.request()
        self.session.increment("n")
        self.settled(self.session.save())
        session.increment("n")
        self.settled(session.save())
        self.session.increment("n")
        self.settled(self.session.save())
        self.ends(copy)
        self.clock.pump([0.1] * 5)
        self.assertEqual(self.stored(), {"user": "ada", "n": 4})
        self.assertEqual((self.session["n"], session["n"]), (4, 4))


class DeadNodeTests(RepairCase):
    """
    A node that has written, and cannot see to that any more.
    """

    def setUp(self) -> None:
        super().setUp()
        self.save(mine=1)
        store = self.newStore()
        self.dead = self.open(Recorder(), self.newManager(store, repair=True))
        copy = self.request()
        self.dead["theirs"] = 1
        self.dead.increment("n", 2)
        self.settled(self.dead.save(), 0.1)
        self.successResultOf(self.session.reload())
        store.fail(StoreUnavailable())
        self.copy = copy

    def test_atOnce(self) -> None:
        """
        A second after it was overwritten, another one puts it back: values, and
        counts where it counts, too.
        """
        self.session.increment("n")
        self.settled(self.session.save(), 0.1)
        self.ends(self.copy, n=10)
        self.assertEqual(self.stored(), {"user": "ada", "n": 11, "mine": 1})
        self.run_(0.8)
        self.assertEqual(self.stored(), {"user": "ada", "n": 11, "mine": 1})
        self.run_(0.4)
        expected = {"user": "ada", "n": 13, "mine": 1, "theirs": 1}
        self.assertEqual(self.stored(), expected)
        self.assertEqual(dict(self.session), expected)

    def test_later(self) -> None:
        """
        Where it cannot tell what to make of something, it waits for as long as
        a node that is slow may take, and then does what it can.
        """
        self.ends(self.copy, n=10)
        self.run_(4.8)
        self.assertEqual(self.stored(), {"user": "ada", "n": 10, "mine": 1})
        self.run_(0.4)
        expected = {"user": "ada", "n": 10, "mine": 1, "theirs": 1}
        self.assertEqual(self.stored(), expected)


class DoubtTests(RepairCase):
    """
    A write whose answer is lost, and somebody who writes before we look.
    """

    def lost(self) -> None:
        """
        An increment is stored, and nobody knows.
        """
        self.store.hold("replace")
        self.session.increment("n")
        self.session.save().addErrback(lambda failure: failure.trap(StoreTimeout))
        self.store.fail(StoreTimeout(), "load")
        self.run_(2.1, 0.1)
        self.store._modes.clear()
        self.store._gates.clear()

    def test_seenBySomebody(self) -> None:
        """
        Whoever overwrote it had it: it is not counted again, and is stored.
        """
        self.lost()
        copy = self.request()
        self.assertEqual(copy["n"], 2)
        self.ends(copy, seen=1)
        self.run_(15, 0.5)
        self.assertEqual(self.stored(), {"user": "ada", "n": 2, "seen": 1})
        self.assertEqual(self.session["n"], 2)

    def test_notSeen(self) -> None:
        """
        Whoever overwrote it had not: it is stored again, once.
        """
        before = self.request()
        self.lost()
        self.ends(before, seen=1)
        self.run_(15, 0.5)
        self.assertEqual(self.stored(), {"user": "ada", "n": 2, "seen": 1})

    def test_doneForAWhile(self) -> None:
        """
        It was stored, overwritten and stored again; then somebody writes who
        began with the first: it does not count twice.
        """
        before = self.request()
        self.lost()
        copy = self.request()
        self.ends(before, seen=1)
        self.run_(3, 0.25)
        self.assertEqual(self.stored(), {"user": "ada", "n": 2, "seen": 1})
        self.ends(copy, more=1)
        self.assertEqual(self.stored(), {"user": "ada", "n": 2, "more": 1})

    def test_hadAfterAll(self) -> None:
        """
        It was stored, and overwritten before we looked; then somebody writes who
        had it, before it is stored again: it is there, and nothing else of what
        was there in between.
        """
        before = self.request()
        self.lost()
        copy = self.request()
        self.store.fail(StoreUnavailable(), "replace")
        self.ends(before, seen=1)
        self.run_(1.5, 0.25)
        self.ends(copy, more=1)
        self.store.heal()
        self.run_(3, 0.25)
        self.assertEqual(self.stored(), {"user": "ada", "n": 2, "more": 1})
        self.assertEqual(dict(self.session), {"user": "ada", "n": 2, "more": 1})
        self.ends(before, seen=2)
        self.assertEqual(self.stored(), {"user": "ada", "n": 2, "seen": 2})

    def test_foundThenOverwritten(self) -> None:
        """
        What was found to be stored after all is guarded like the rest.
        """
        before = self.request()
        self.store.lose("replace")
        self.session.increment("n")
        self.settled(self.session.save())
        self.store.heal()
        self.ends(before, seen=1)
        self.assertEqual(self.stored(), {"user": "ada", "n": 2, "seen": 1})
