"""
Sessions in a Redis that we and others change at the same time.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress as ignoring
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.rediscase import RedisCase
from tests.support.redisserver import RedisServer, ReplyError
from tests.support.servers import PATIENCE, reactor
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    NoSuchSession,
    SessionConflict,
    Stored,
)
from txsessionsock.stores.redis import RedisStore


__all__ = ["Rounds"]

_FOREIGN: list[str] = [
    "SET {k} {v}",
    "SET {k} {v} PX 600000",
    "SET {k} {v} KEEPTTL",
    "SETEX {k} 700 {v}",
    "GETSET {k} {v}",
    "EVAL {same} 1 {k}",
    "EVAL {set} 1 {k} {v}",
    "COPY {k} {k}:was REPLACE; SET {k} {v}; COPY {k}:was {k} REPLACE",  # A-B-A
    "EXPIRE {k} {n}",
    "PEXPIRE {k} {n}000",
    "PEXPIREAT {k} 99999999{n}000",
    "PERSIST {k}",
    "GETEX {k} EX {n}",
    "GETEX {k} PERSIST",
    "MULTI; SET {k} {v}; EXPIRE {k} {n}; EXEC",
    "DEL {k}",
    "UNLINK {k}",
    "GETDEL {k}",
    "EXPIRE {k} 0",
    "DEL {k}; SET {k} {v}",
    "COPY {k} {k}:was REPLACE; DEL {k}; COPY {k}:was {k}",
    "APPEND {k} {v}",
    "SETRANGE {k} 0 {v}",
    "SETBIT {k} {n} 1",
    "SET {k}:2 {v}; RENAME {k}:2 {k}",
    "RENAME {k} {k}:2",
    "SET {k}:2 {v}; COPY {k}:2 {k} REPLACE",
    "DEL {k}; RPUSH {k} {v}; DEL {k}",
    "cas",
]
"""
What others do: commands, with C{{v}} for a new value; C{cas} for another store.
"""

_SCRIPTS = {
    "{same}": "redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]) or '')",
    "{set}": "redis.call('SET', KEYS[1], ARGV[1])",
}


class Held:
    """
    A session as its holder knows it.

    @ivar known: What was last read, or written by us over that.

    @ivar wasTold: Whether something was reported since.
    """

    def __init__(self, store: RedisStore, key: str) -> None:
        self.store = store
        self.key = key
        self.known: Stored | None = None
        self.wasTold = False
        self.tellings = 0
        self.stop = store.watch(key, self.changed)

    def changed(self, key: str) -> None:
        self.wasTold = True
        self.tellings += 1

    async def load(self) -> None:
        tellings = self.tellings
        self.known = await self.store.load(self.key)
        self.wasTold = tellings != self.tellings

    async def write(self, random: Random) -> None:
        """
        Change something, as a manager would.
        """
        known, ttl = self.known, _ttl(random)
        new = b"own %d" % random.getrandbits(32)
        try:
            match random.choice(["replace", "replace", "touch", "destroy", "load"]):
                case "load":
                    await self.load()
                case "destroy" if known is not None and random.random() < 0.3:
                    await self.store.destroy(self.key)
                    self.known = None
                case "touch":
                    expires = await self.store.touch(self.key, ttl)
                    if known is not None:
                        self.known = Stored(known.raw, expires)
                case _ if known is None:
                    ttl = FOREVER if ttl is KEEP else ttl
                    if await self.store.create(self.key, new, ttl):
                        expires = (
                            reactor.seconds() + ttl if ttl is not FOREVER else None
                        )
                        self.known = Stored(new, expires)
                    else:
                        await self.load()
                case _:
                    assert known is not None
                    self.known = await self.store.replace(self.key, known.raw, new, ttl)
        except (NoSuchSession, SessionConflict):
            await self.load()


def _ttl(random: Random) -> TTL:
    ttls: list[TTL] = [KEEP, FOREVER, 1000.0 + random.randrange(1000)]
    return random.choice(ttls)


class Rounds:
    """
    Sessions that we and others change at the same time.

    @ivar missed: How often the fence was passed, nothing had been reported,
        and other bytes were stored than the holder had.

    @ivar missedEnds: How often it was another deadline.

    @ivar fresh: How often the holder had what was stored, and knew that.

    @ivar stale: How often the holder was told that it had something else.

    @ivar needless: How often it was told, and nothing was different.
    """

    def __init__(self, case: RedisCase, server: RedisServer, keys: int) -> None:
        self.missed = self.missedEnds = self.fresh = self.stale = self.needless = 0
        self.random = Random(case.prefix)
        self.client = server.client()
        case.addCleanup(self.client.close)
        self.prefix = case.prefix
        self._case = case
        self.store, self.other = (case.open(server.url, PATIENCE) for _ in range(2))
        self.held = [Held(self.store, f"k{n}") for n in range(keys)]

    def run(self, times: int) -> None:
        """
        Have each session changed so many times.
        """
        wait = self._case.wait
        wait(gatherResults([_go(held.load()) for held in self.held]))
        for _ in range(times):
            wait(self._round())

    async def _round(self) -> None:
        random = self.random
        await self._foreign(0.2)
        own = [_go(held.write(random)) for held in self.held if random.random() < 0.8]
        for _ in range(random.randrange(3)):
            await deferLater(reactor, 0)
        await self._foreign(0.2)
        await gatherResults(own)
        await self._foreign(0.2)
        await gatherResults([self.store.fence(held.key) for held in self.held])
        for held in self.held:
            self.client.send("GET", self.prefix + held.key)
            self.client.send("PTTL", self.prefix + held.key)
        for held in self.held:
            self._judge(held, self.client.receive(), self.client.receive())
        told = [held for held in self.held if held.wasTold]
        await gatherResults([_go(held.load()) for held in told])

    async def _foreign(self, share: float) -> None:
        """
        Have others change a share of the sessions, and wait for their answers.
        """
        sent, swaps = 0, []
        for held in self.held:
            if self.random.random() < share:
                action = self.random.choice(_FOREIGN)
                if action == "cas":
                    swaps.append(_go(self._swap(held.key)))
                else:
                    sent += self._send(action, self.prefix + held.key)
        for _ in range(sent):
            with ignoring(ReplyError):
                self.client.receive()
        await gatherResults(swaps)

    def _send(self, action: str, key: str) -> int:
        new, number = f"their{self.random.random()}", self.random.randrange(3000, 9000)
        commands = action.split("; ")
        for command in commands:
            words = [
                _SCRIPTS.get(word) or word.format(k=key, v=new, n=number)
                for word in command.split(" ")
            ]
            self.client.send(*words)
        return len(commands)

    async def _swap(self, key: str) -> None:
        with ignoring(NoSuchSession, SessionConflict):
            stored = await self.other.load(key)
            if stored is not None:
                new = b"theirs %f" % self.random.random()
                await self.other.replace(key, stored.raw, new, KEEP)

    def _judge(self, held: Held, raw: bytes | None, remaining: int) -> None:
        known, now = held.known, reactor.seconds()
        expires = now + remaining / 1000 if remaining > 0 else now
        ends = None if known is None or known.expires is None else known.expires
        isSame = raw == (None if known is None else known.raw)
        # A deadline that somebody else set is off by more.
        isSameEnd = (remaining < 0) == (ends is None) and abs(
            expires - (ends or now)
        ) < 20.0
        if held.wasTold:
            self.stale += not (isSame and isSameEnd)
            self.needless += isSame and isSameEnd
        else:
            self.missed += not isSame
            self.missedEnds += isSame and not isSameEnd
            self.fresh += isSame and isSameEnd


def _go(coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)
