"""
Tests for a L{RedisStore} whose sentinels put another server in the master's
place, while it is written to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.support.redisload import Load, load
from tests.support.redisscene import Node, node, quiet, storing
from tests.support.redisserver import (
    RedisServer,
    SentinelSetup,
    eventually,
)
from tests.support.servers import inReactor, reactor
from tests.support.visitors import Visitor
from txsessionsock.interfaces import FOREVER, StoreFailure
from txsessionsock.stores.redis import RedisStore


class Talk:
    """
    Somebody who counts, by one socket that stays open.

    @ivar answers: What was counted.
    """

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.answers: list[int] = []
        self._isOver = False
        self._talking = Deferred.fromCoroutine(self._talk())

    async def _talk(self) -> None:
        socket = await self.visitor.connect()
        while not self._isOver:
            self.answers.append(await socket.ask(["increment", "n"]))
            await deferLater(reactor, 0.02)
        socket.sendClose()
        await socket.closes()

    async def end(self) -> None:
        """
        Hang up.
        """
        self._isOver = True
        await self._talking


class Scene:
    """
    Writers, and sockets that are open all the time, on what has sentinels.

    @ivar old: The first master.
    """

    def __init__(self, setup: SentinelSetup, load: Load, site: Node) -> None:
        self.setup = setup
        self.load = load
        self.site = site
        self.old = setup.master

    async def start(self) -> None:
        """
        Write for a while.
        """
        self.talks = [Talk(await self.site.visitor(n=0)) for _ in range(3)]
        await self.load.more()

    async def newMaster(self) -> RedisServer:
        """
        Wait until there is another master, and all nodes use it.
        """
        found = partial(self.setup.waitForMaster, lambda each: each is not self.old)
        server = await deferToThread(found)
        await self.load.reconnected(3)
        await self.load.more()
        return server

    async def lost(self, server: RedisServer) -> list[float]:
        """
        Nothing is lost that was acknowledged after the fail-over, no socket
        was closed, and no session is said to be over that is there.

        @return: When that was acknowledged which is lost.
        """
        for talk in self.talks:
            await talk.end()
            await self.site.saved(server, talk.visitor, talk.answers[-1])
            stored = self.site.stored(server, talk.visitor)["n"]
            assert stored == talk.answers[-1] <= len(talk.answers)
        assert (self.site.invalid, self.site.ended) == ([], [])
        await self.load.stop()
        lost = self.load.lost(server)
        assert max(lost, default=0.0) < max(self.load.connected)
        return lost


@asynccontextmanager
async def scene(setup: SentinelSetup, url: str | None = None) -> AsyncIterator[Scene]:
    """
    Write, from the beginning to the end of the block.
    """
    url = url or setup.url
    with quiet():
        async with load(url) as writers, node(url, False) as site:
            made = Scene(setup, writers, site)
            await made.start()
            yield made


async def anew(store: RedisStore, key: str) -> bytes | None:
    """
    Load, as soon as the store can.
    """
    while True:
        try:
            found = await store.load(key)
        except StoreFailure:
            await deferLater(reactor, 0.01)
        else:
            return None if found is None else found.raw


@inReactor
async def test_killed() -> None:
    """
    The master is killed, and one sentinel with it: what was acknowledged
    just before may be lost, as replicas may not have had it.
    """
    with SentinelSetup() as setup:
        async with scene(setup) as it:
            setup.sentinels.pop(0).kill()
            killed = reactor.seconds()
            it.old.kill()
            server = await it.newMaster()
            lost = await it.lost(server)
            assert min(lost, default=killed) > killed - 1.0
            assert max(lost, default=killed) < killed + 0.5
            assert 1.0 < it.load.outage < 15.0


@inReactor
async def test_paused() -> None:
    """
    The master hangs, and comes back when there is another one: that it still
    takes itself for the master does not mislead us, nor somebody who was
    connected to it all the time and asked nothing.
    """
    with SentinelSetup() as setup:
        async with scene(setup) as it, storing(setup.url, timeout=2.0) as idle:
            await idle.create("k", b"old", FOREVER)
            assert it.old.replicated(2)
            it.old.pause()
            server = await it.newMaster()
            it.old.resume()
            key = server.command("KEYS", "*:k")[0]
            server.command("SET", key, b"new")
            await it.load.more()
            assert await anew(idle, "k") == b"new"
            await deferToThread(eventually, lambda: it.old.role == "follower")
            await it.load.more()
            assert await it.lost(server) == []
            assert 1.0 < it.load.outage < 15.0


@inReactor
async def test_planned() -> None:
    """
    C{SENTINEL FAILOVER} alone makes a master of a replica while the old master
    goes on: what is written there until the sentinels say so is lost, and
    nothing later.
    """
    with SentinelSetup() as setup:
        async with scene(setup) as it:
            begun = reactor.seconds()
            setup.sentinels[0].command("SENTINEL", "FAILOVER", "mymaster")
            lost = await it.lost(await it.newMaster())
            assert min(lost, default=begun) >= begun
            assert it.load.outage < 5.0


@inReactor
async def test_plannedSafely() -> None:
    """
    Nothing is lost by a fail-over for which writing is paused, and nobody
    hears of a failure.  The sentinels have a password here, and Redis another.
    """
    with SentinelSetup(password="p@ss/word") as setup:
        for sentinel in setup.sentinels:
            sentinel.command("ACL", "SETUSER", "default", "resetpass", ">s/cret")
            sentinel.credentials = "default", "s/cret"
        url = f"{setup.url}?sentinel-password=s%2Fcret"
        async with scene(setup, url) as it:
            it.old.command("CLIENT", "PAUSE", 20_000, "WRITE")
            setup.sentinels[0].command("SENTINEL", "FAILOVER", "mymaster")
            assert await it.lost(await it.newMaster()) == []
