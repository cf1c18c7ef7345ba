"""
Tests for what L{txsessionsock.stores.redis} knows of others' changes, on a real
server: each way in which it could be wrong.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.managing import Recorder, raw
from tests.support.rediscase import RedisCase
from tests.support.redisrounds import Rounds
from tests.support.redisserver import RedisServer
from tests.support.servers import reactor
from txsessionsock._redis import link as _redis
from txsessionsock._redis.call import RedisCall
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    SessionID,
    Stored,
    StoreUnavailable,
)
from txsessionsock.manager import SessionManager
from txsessionsock.stores import redis as storing
from txsessionsock.stores._tracking import Tracking


class MissedTests(RedisCase):
    """
    Nothing that others do is missed, whatever we do at the same time.
    """

    def test_nothing(self) -> None:
        """
        Of 29 ways to change a key, before, while and after we change it, none
        is missed in 5,500 rounds.
        """
        rounds = Rounds(self, self.server, 50)
        rounds.run(110)
        self.assertEqual((rounds.missed, rounds.missedEnds), (0, 0))
        # Most of it is not just for fear.
        self.assertGreater(rounds.fresh, 2000)
        self.assertGreater(rounds.stale, 1000)
        self.assertLess(rounds.needless, 1500)
        self.assertEqual(self.warnings, [])

    def test_smallTable(self) -> None:
        """
        Nothing is missed if the server can track three keys only, and forgets
        the others.
        """
        server = self.start("tracking-table-max-keys 3")
        rounds = Rounds(self, server, 5)
        rounds.run(200)
        self.assertEqual((rounds.missed, rounds.missedEnds), (0, 0))
        self.assertGreater(rounds.fresh, 100)
        self.assertEqual(self.warnings, [])

    def test_unreadScript(self) -> None:
        """
        The test would notice a script that does not read the key again: what
        is done after it is not reported.  The guard cannot.
        """
        for name, last, instead in (
            ("_REPLACE", "return redis.call('PTTL', KEYS[1])", "return -1"),
            ("_TOUCH", "redis.call('PTTL', KEYS[1])}", "-1}"),
            ("_CREATE", "redis.call('PTTL', KEYS[1])}", "-1}"),
        ):
            before, found, after = getattr(storing, name).text.decode().rpartition(last)
            self.assertTrue(found)
            self.patch(storing, name, storing._Script(before + instead + after))
        rounds = Rounds(self, self.server, 50)
        rounds.run(10)
        self.assertGreater(rounds.missed, 10)

    def test_deaf(self) -> None:
        """
        The test would notice a connection with C{NOLOOP}, if the guard did not
        come before it.
        """
        self.patch(_redis, "RedisCall", _noLoop)
        self.patch(Tracking, "isOwed", lambda *_: False)
        rounds = Rounds(self, self.server, 50)
        rounds.run(10)
        self.assertGreater(rounds.missed, 10)


def _noLoop(*arguments: bytes) -> RedisCall:
    """
    What would not have our own changes reported.
    """
    isTracking = arguments[:2] == (b"CLIENT", b"TRACKING")
    return RedisCall(*arguments, *([b"NOLOOP"] if isTracking else []))


class ReportTests(RedisCase):
    """
    What is reported, and what is not.
    """

    def setUp(self) -> None:
        super().setUp()
        self.store = self.open()
        self.wait(self.store.load(""))
        self.told: list[str] = []
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    def watch(self, key: str = "k", ttl: TTL = FOREVER) -> None:
        """
        Watch a session that there is.
        """
        self.wait(self.store.create(key, b"0", ttl))
        self.store.watch(key, self.told.append)
        self.wait(self.store.load(key))
        self.wait(self.store.fence(key))
        # Of the creation, which was before.
        self.told.clear()

    async def changes(self) -> None:
        """
        Do everything that can be done, alone, many times.
        """
        for n in range(125):
            await self.store.replace("k", b"%d" % n, b"%d" % (n + 1), KEEP)
            await self.store.touch("k", 1000.0)
            await self.store.touch("k", FOREVER)
            # It changes nothing.
            await self.store.touch("k", FOREVER)
            await self.store.fence("k")
            await self.store.destroy("k")
            await self.store.destroy("k")
            assert await self.store.create("k", b"%d" % (n + 1), 1000.0)
            assert not await self.store.create("k", b"", 1000.0)

    def test_own(self) -> None:
        """
        A store that is alone is told nothing, in a thousand changes.
        """
        self.watch()
        self.wait(self.changes())
        self.wait(self.store.fence("k"))
        self.assertEqual((self.told, self.warnings), ([], []))
        self.client.command("SET", self.prefix + "k", "x")
        self.wait(self.store.fence("k"))
        self.assertEqual(self.told, ["k"])

    def test_ownAtOnce(self) -> None:
        """
        A store that is alone is told nothing, if its changes are all under way
        at once, with fences between.
        """
        self.watch()
        answers: list[Deferred[Any]] = []
        for n in range(1000):
            new = b"%d" % (n + 1)
            answers += [self.store.replace("k", b"%d" % n, new, KEEP)]
            answers += [self.store.fence("k")] if n % 7 == 0 else []
            if n % 100 == 0:
                self.advance()
        self.wait(gatherResults(answers))
        self.wait(self.store.fence("k"))
        self.assertEqual((self.told, self.warnings), ([], []))

    def test_ownElsewhere(self) -> None:
        """
        What another store of the same process does is others' doing.
        """
        self.watch()
        self.wait(self.open().replace("k", b"0", b"1", KEEP))
        self.wait(self.store.fence("k"))
        self.assertEqual(self.told, ["k"])

    def test_stopped(self) -> None:
        """
        A watch that ends while a change is under way leaves no suspicion.
        """
        self.watch("k2")
        stop = self.store.watch("k", self.told.append)
        self.wait(self.store.create("k", b"0", FOREVER))
        # So that the server knows the script.
        self.wait(self.store.replace("k", b"0", b"1", KEEP))
        changing = self.store.replace("k", b"1", b"2", KEEP)
        stop()
        self.wait(changing)
        self.wait(self.store.fence("k2"))
        self.assertEqual((self.told, self.warnings), ([], []))

    def test_flush(self) -> None:
        """
        When somebody empties the database, that is reported for every key, and
        so is what comes after.
        """
        for command in ["FLUSHALL"], ["FLUSHDB"], ["FLUSHALL", "ASYNC"]:
            for key in "a", "b":
                self.watch(key)
            self.client.command(*command)
            self.wait(self.store.fence("a"))
            self.assertEqual(sorted(set(self.told)), ["a", "b"])
            self.assertIsNone(self.wait(self.store.load("a")))
            self.told.clear()
            self.client.command("SET", self.prefix + "a", "x")
            self.wait(self.store.fence("a"))
            self.assertEqual(set(self.told), {"a"})
            self.client.command("DEL", self.prefix + "a")
            self.wait(self.store.load("a"))
            self.told.clear()

    def test_expiry(self) -> None:
        """
        The end of a session's time is told when it is there, without the
        server.
        """
        self.store.pushed = ignore  # type: ignore[method-assign]  # On purpose.
        told: dict[str, float] = {}
        keys = [f"k{n}" for n in range(20)]

        def tell(key: str) -> None:
            # In the end, when the store is closed, all are told again.
            told.setdefault(key, reactor.seconds())

        for n, key in enumerate(keys):
            self.client.command("SET", self.prefix + key, "x", "PX", 400 + 10 * n)
            self.store.watch(key, tell)

        async def isTold(key: str) -> None:
            asked = reactor.seconds()
            stored = await self.store.load(key)
            assert stored is not None and stored.expires is not None
            # However late the reactor is, its timers keep their order.
            await deferLater(reactor, stored.expires - asked + 0.05)
            self.assertGreaterEqual(told[key], stored.expires)

        telling = [Deferred.fromCoroutine(isTold(key)) for key in keys]
        self.wait(gatherResults(telling))
        for key in keys:
            self.assertIsNone(self.wait(self.store.load(key)))

    def test_touched(self) -> None:
        """
        A touch by others is reported, and nobody who holds the session is told
        of a change; a change is.
        """
        framework = Express("secret")
        manager = SessionManager(self.store, framework, reactor)
        sessionID, holder = SessionID("an-id"), Recorder()
        key = self.prefix + framework.key(sessionID)
        self.client.command("SET", key, raw(n=1), "PX", 60_000)
        session = self.wait(manager.open(sessionID, holder))
        self.store.watch(framework.key(sessionID), self.told.append)

        def fresh() -> None:
            keeper = session.keeper
            waiting = keeper.fresh(keeper.arrival())
            if waiting is not None:
                self.wait(waiting)

        try:
            fresh()
            for command in f"PEXPIRE {key} 90000", f"GETEX {key} EX 100":
                self.told.clear()
                self.client.command(*command.split(" "))
                fresh()
                self.assertEqual(set(self.told), {framework.key(sessionID)})
                self.assertEqual(holder.keys, [])
            self.client.command("SET", key, raw(n=2), "PX", 90_000)
            fresh()
            self.assertEqual((holder.keys, session["n"]), ([("n",)], 2))
        finally:
            self.wait(manager.release(session, holder))


class GuardTests(RedisCase):
    """
    A server that cannot be believed is not.
    """

    def test_noLoop(self) -> None:
        """
        A server that does not report our own changes is found out by the
        first fence after one: it fails, all are told, and there is one warning.
        """
        self.patch(_redis, "RedisCall", _noLoop)
        store, told = self.open(), list[str]()
        self.wait(store.create("k", b"0", FOREVER))
        for key in "k", "k2":
            store.watch(key, told.append)
            self.wait(store.load(key))
            self.wait(store.fence(key))
        self.wait(store.replace("k", b"0", b"1", KEEP))
        self.assertEqual(told, [])
        self.assertIn("blind", self.failing(store.fence("k2"), StoreUnavailable))
        self.assertEqual(told, ["k", "k2"])
        for _ in range(3):
            self.failing(store.fence("k"), StoreUnavailable)
        self.assertEqual(self.wait(store.load("k")), Stored(b"1", None))
        self.assertEqual(len(self.warnings), 1)
        self.assertIn("does not report our own changes", self.warnings[0])
        self.assertIn("read for each batch", self.warnings[0])

    def test_batches(self) -> None:
        """
        A manager then reads the session for each batch of messages, and sees
        every change.
        """
        self.patch(_redis, "RedisCall", _noLoop)
        framework, server = Express("secret"), self.start()
        manager = SessionManager(
            self.open(server.url), framework, reactor, repair=False
        )
        sessionID = SessionID("an-id")
        key = self.prefix + framework.key(sessionID)
        server.command("SET", key, raw(n=0))
        holder = Recorder()
        session = self.wait(manager.open(sessionID, holder))
        keeper = session.keeper

        def fresh(batch: int) -> None:
            arrivals = [keeper.arrival() for _ in range(batch)]
            for waiting in [keeper.fresh(arrival) for arrival in arrivals]:
                if waiting is not None:
                    self.wait(waiting)

        try:
            session["ours"] = 1
            self.wait(session.save())
            fresh(1)
            before = _calls(server, "evalsha")
            for n in range(1, 11):
                server.command("SET", key, raw(n=n))
                fresh(16)
                self.assertEqual(session["n"], n)
            # Others' changes are still reported, and looked at.
            self.assertIn(_calls(server, "evalsha") - before, range(10, 21))
        finally:
            self.wait(manager.release(session, holder))

    def test_again(self) -> None:
        """
        The next connection is believed again.
        """
        self.patch(_redis, "RedisCall", _noLoop)
        server = self.start()
        store = self.open(server.url)
        self.wait(store.create("k", b"0", FOREVER))
        told: list[str] = []
        store.watch("k", told.append)
        self.wait(store.load("k"))
        self.wait(store.replace("k", b"0", b"1", KEEP))
        self.failing(store.fence("k"), StoreUnavailable)
        self.patch(_redis, "RedisCall", RedisCall)
        told.clear()
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.until(lambda: told)
        self.until(lambda: store._link.isTracking)
        self.wait(store.replace("k", b"1", b"2", KEEP))
        self.wait(store.fence("k"))


def ignore(message: object) -> None:
    """
    For who does not care.
    """


def _calls(server: RedisServer, command: str) -> int:
    stats: bytes = server.command("INFO", "commandstats")
    found = re.search(rb"cmdstat_%s:calls=(\d+)" % command.encode(), stats)
    return int(found[1]) if found else 0
