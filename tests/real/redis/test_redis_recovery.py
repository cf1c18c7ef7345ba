"""
Tests for L{txsessionsock.socketio.handover} over a Redis: sessions, and what nodes
say to each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.recovering import missedBy, offsetOf, pidOf
from tests.support.redisserver import RedisServer
from tests.support.servers import PATIENCE, SECRET, inReactor, mint, reactor
from tests.support.socketio import Page
from txsessionsock.bus import RedisBus
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Hub
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.socketio import Recovery, SocketIO, SocketIOSocket, enable
from txsessionsock.socketio.packets import Kind
from txsessionsock.stores.redis import RedisStore


pytestmark = [
    pytest.mark.e2e,
]

TIMES = 20
LONG = 3.0
"""
How many seconds a client waits at most that is not found.
"""


class Chat(SocketIOSocket):
    """
    Is in one room.
    """

    def sessionConnected(self, session: Session) -> None:
        if not self.recovered:
            self.join("news")


class Node:
    """
    A server that has a store and a bus of its own.
    """

    def __init__(self, server: RedisServer, bus: RedisServer) -> None:
        self.store = RedisStore(server.url, reactor)
        self.manager = SessionManager(self.store, Express(SECRET), reactor)
        self.io = SocketIO(Chat, recovery=Recovery(seconds=60))
        enable(self.io, self.manager, perMessage=True)
        self.bus = RedisBus(bus.url, reactor, timeout=1.0)
        self.hub = Hub(self.io.sockets, self.bus)

    @property
    def ghosts(self) -> int:
        """
        How many clients it waits for.
        """
        return len(self.io.ghosts or ())


async def until(condition: Callable[[], object]) -> None:
    """
    Wait until something is so.
    """
    end = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < end
        await deferLater(reactor, 0.002)


class Scene:
    """
    Two nodes and a session.
    """

    def __init__(self, nodes: list[Node], cookie: str) -> None:
        self.nodes = nodes
        self.header = f"connect.sid={cookie}"

    async def come(self, node: Node, before: Page | None = None) -> Page:
        """
        Connect, as the client of another page if there was one.
        """
        page = Page(node.io, reactor, self.header)
        auth = None
        if before is not None:
            auth = {"pid": pidOf(before), "offset": offsetOf(before)}
        page.connect("/", auth)
        await until(lambda: page.of(Kind.CONNECT) or page.of(Kind.CONNECT_ERROR))
        return page

    async def lose(self, page: Page) -> None:
        """
        Have a client lose its connection.
        """
        before = sum(node.ghosts for node in self.nodes)
        page.lose()
        await until(lambda: sum(node.ghosts for node in self.nodes) > before)


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[Scene, RedisServer]]:
    """
    Two nodes, with a Redis for sessions and one for what nodes say.
    """
    with RedisServer() as server, RedisServer() as bus:
        nodes = [Node(server, bus) for _ in range(2)]
        try:
            await gatherResults([node.bus.ready() for node in nodes])
            cookie = await mint(nodes[0].store, {"user": 42})
            made = Scene(nodes, cookie)
            # Each knows the other.
            await until(lambda: all(len(n.bus._nodes._until) == 1 for n in nodes))
            # And answers.
            for node in nodes:
                page = await made.come(node)
                page.connection.close(1012, "")
            yield made, bus
        finally:
            for node in nodes:
                ending: Any = node.manager.end(drain=1)
                await ending.addTimeout(PATIENCE, reactor)


@inReactor
async def test_backAndForth() -> None:
    """
    A client goes from node to node, while both send to its room: each event comes
    once, and those of one node in their order.
    """
    async with scene() as (made, _):
        here, there = made.nodes
        page = first = await made.come(here)
        sent: list[list[Any]] = []
        isOver = False

        def send() -> None:
            for number, node in enumerate(made.nodes):
                sent.append([f"{number}", len(sent)])
                # It is known by what arrives.
                node.io.to("news").emit(*sent[-1]).addErrback(lambda _: None)
            if not isOver:
                reactor.callLater(0.001, send)

        send()
        got: list[Any] = []
        for n in range(TIMES):
            await until(partial(getattr, page, "events"))
            await made.lose(page)
            got += missedBy(page)
            page = await made.come((there, here)[n % 2], page)
            assert page.of(Kind.CONNECT) == first.of(Kind.CONNECT)
        isOver = True
        await until(lambda: len(got) + len(missedBy(page)) >= len(sent))
        await deferLater(reactor, 0.05)
        got += missedBy(page)
        assert sorted(got) == sorted(sent)
        for number in "01":
            mine = [each for each in got if each[0] == number]
            assert mine == sorted(mine)
        assert [node.ghosts for node in made.nodes] == [0, 0]


@inReactor
async def test_loggedOut() -> None:
    """
    Who logged out gets nothing at another node, and who came in the same moment to
    both is one client.
    """
    async with scene() as (made, _):
        here, there = made.nodes
        page = await made.come(here)
        await here.io.emit("seen")
        await made.lose(page)
        await there.io.emit("secret")
        await until(lambda: page.events)
        twins = await gatherResults(
            [Deferred.fromCoroutine(made.come(node, page)) for node in (here, there)]
        )
        backs = [twin for twin in twins if pidOf(twin) == pidOf(page)]
        assert len(backs) == 1
        assert missedBy(backs[0]) == [["secret"]]
        (new,) = (twin for twin in twins if twin not in backs)
        assert new.events == []
        await made.lose(backs[0])
        await here.io.emit("more")
        session = next(iter(made.nodes[twins.index(new)].io.sockets)).session
        assert session is not None
        await session.destroy()
        late = await made.come(there, backs[0])
        assert late.events == []
        assert late.of(Kind.CONNECT) == []
        await until(lambda: [node.ghosts for node in made.nodes] == [0, 0])


@inReactor
async def test_noBus() -> None:
    """
    While nodes cannot talk, a client comes back to its own node, and as a new one to
    another.
    """
    async with scene() as (made, bus):
        here, there = made.nodes
        page = await made.come(here)
        await here.io.emit("seen")
        await until(lambda: page.events)
        await made.lose(page)
        bus.stop()
        began = reactor.seconds()
        other = await made.come(there, page)
        assert reactor.seconds() - began < LONG + 1
        assert pidOf(other) != pidOf(page)
        assert other.events == []
        back = await made.come(here, page)
        assert back.of(Kind.CONNECT) == page.of(Kind.CONNECT)
