"""
Hubs of several processes, on a Redis: who is reached, and what happens when a
node or the Redis does not do what it should.
"""

from __future__ import annotations

import operator
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import deferLater

from tests.e2e.hubserver import SECRET, serve
from tests.support.redisserver import RedisServer
from tests.support.servers import PATIENCE, Twistd, inReactor, mint, reactor
from tests.support.visitors import Socket, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Group, Hub, Reached, hubOf
from txsessionsock.interfaces import SessionID, StoreFailure


pytestmark = [
    pytest.mark.e2e,
]

MANY = 1000
TIMES = 200
TIMEOUT, LIFETIME = 0.8, 2.0


class Far(Twistd):
    """
    A node in a process of its own.
    """

    @property
    def node(self) -> str:
        """
        What it is called.
        """
        return str(re.findall(r"node (\S+)\n", self.log)[0])

    @property
    def ports(self) -> list[int]:
        return [int(port) for port in re.findall(r"starting on (\d+)\n", self.log)]

    async def listens(self) -> None:
        """
        Wait until it does.
        """
        await self.until(lambda: self.ports or self.status is not None)
        assert self.status is None, self.log + self.errors


class Scene:
    """
    A node in this process and others in their own.

    @ivar nodes: All of them, this one first.

    @ivar cookie: Of a session.
    """

    cookie: str

    def __init__(self, server: RedisServer, hub: Hub, far: Sequence[Far]) -> None:
        self.server = server
        self.hub = hub
        self.far = far
        self.nodes = [hub.node, *(each.node for each in far)]
        self.ports: list[int] = []

    @property
    def sessionID(self) -> SessionID:
        """
        Of the same session.
        """
        return Express(SECRET).sessionID(self.cookie, reactor.seconds())

    async def sockets(self) -> list[Socket]:
        """
        A socket of the session at each node.
        """
        visitor = Visitor(self.ports[0], self.cookie)
        opened = []
        for port in self.ports:
            visitor.port = port
            opened.append(await visitor.connect("/"))
            # It has its session.
            await opened[-1].ask(["join", "all"])
        return opened

    async def reaches(self, group: Group, *counts: int | None) -> Reached:
        """
        Count a group until it has that many on the first nodes, and there are
        no others.
        """
        expected = dict(zip(self.nodes, counts, strict=False))
        end = reactor.seconds() + PATIENCE
        reached: Reached = {}
        while reached != expected:
            assert reactor.seconds() < end, reached
            with suppress(StoreFailure):
                reached = await group.count()
            await deferLater(reactor, 0.01)
        return reached


@asynccontextmanager
async def scene(
    others: int = 1,
    bus: RedisServer | None = None,
    timeout: float = PATIENCE,
    lifetime: float = PATIENCE,
) -> AsyncIterator[Scene]:
    """
    Some nodes that know each other.

    @param bus: Another Redis than that of the sessions.

    @param timeout: How many seconds a node has to answer.

    @param lifetime: After how many seconds of silence a node is gone.
    """
    root = str(Path(__file__).parents[3])
    with RedisServer() as server:
        busURL = (bus or server).url
        far = [Far() for _ in range(others)]
        times = [str(timeout), str(lifetime)]
        arguments = ["-m", "tests.e2e.hubserver", server.url, busURL, *times]
        for each in far:
            command = [sys.executable, *arguments]
            reactor.spawnProcess(each, command[0], command, env=None, path=root)
        factory, store, port = await serve(
            reactor, server.url, busURL, timeout, lifetime
        )
        hub = hubOf(factory)
        try:
            for each in far:
                await each.listens()
            made = Scene(server, hub, far)
            address: Any = port.getHost()
            made.ports = [address.port, *(each.port for each in far)]
            made.cookie = await mint(store, {})
            await made.reaches(hub.room("nobody"), *[0] * (others + 1))
            yield made
        finally:
            for each in far:
                with suppress(ProcessExitedAlready):
                    each.signal("KILL")
                await each.ends()
                assert "Traceback" not in each.errors, each.errors
            await maybeDeferred(port.stopListening)
            for ending in factory.sockets.goAway(), factory.sockets.manager.stop(0):
                await ending.addTimeout(PATIENCE, reactor)
            await gatherResults([hub.close(), store.close()])


@inReactor
async def test_everywhere() -> None:
    """
    A session, a user and a room are reached on three nodes, whichever sends;
    closing closes on all.
    """
    async with scene(2) as made:
        sockets = await made.sockets()
        other = Visitor(made.ports[1], await second(made))
        stranger = await other.connect("/")
        hub = made.hub
        # Logged in in one process, known to the others.
        assert await sockets[2].ask(["login", "ann"]) == ["done", "login"]
        await made.reaches(hub.by("user", "ann"), 1, 1, 1)
        groups = [hub.session(made.sessionID), hub.by("user", "ann"), hub.room("all")]
        for number, group in enumerate(groups):
            reached = await group.send({"number": number})
            assert reached == dict.fromkeys(made.nodes, 1)
            for socket in sockets:
                assert await socket.next() == {"number": number}
        # And one of the other processes sends.
        assert await stranger.ask(["tell", "user", "ann", ["from afar"]]) == [
            "done",
            "tell",
        ]
        for socket in sockets:
            assert await socket.next() == "from afar"
        assert await hub.by("user", "ann").close() == dict.fromkeys(made.nodes, 1)
        for socket in sockets:
            assert await socket.closes() == (1000, "closed by server")
        await made.reaches(hub.room("all"), 0, 0, 0)
        assert stranger.closed is None


@inReactor
async def test_order() -> None:
    """
    Two nodes send a thousand messages each to all: every socket gets all, those
    of each node in order.
    """
    async with scene() as made:
        sockets = await made.sockets()
        sender = sockets[1]
        values = [["far", n] for n in range(MANY)]
        sender.say(["tell", "room", "all", values])
        room = made.hub.room("all")
        reaching = [room.send(["near", n]) for n in range(MANY)]
        for reached in await gatherResults(reaching):
            assert reached == dict.fromkeys(made.nodes, 1)
        for socket in sockets:
            await socket.until(partial(hears, socket, 2 * MANY))
            for who in "near", "far":
                assert told(socket, who) == list(range(MANY))


@inReactor
async def test_killed() -> None:
    """
    A node that was killed is reported without waiting for it, and in no answer
    any more when its lifetime is over.
    """
    async with scene(timeout=TIMEOUT, lifetime=LIFETIME) as made:
        await made.sockets()
        room = made.hub.room("all")
        assert await room.send("x") == dict.fromkeys(made.nodes, 1)
        made.far[0].signal("KILL")
        await made.far[0].ends()
        killed = reactor.seconds()
        await made.reaches(room, 1, None)
        began = reactor.seconds()
        assert await room.send("y") == {made.nodes[0]: 1, made.nodes[1]: None}
        took = reactor.seconds() - began
        assert took < TIMEOUT / 2, took
        await made.reaches(room, 1)
        gone = reactor.seconds() - killed
        assert LIFETIME / 4 < gone < LIFETIME + 1, gone
        print(f"killed: known after {began - killed:.3f} s, gone after {gone:.2f} s")


@inReactor
async def test_paused() -> None:
    """
    A node that hangs is reported when the time is up, and not before; when it
    goes on, it is there again.
    """
    async with scene(timeout=TIMEOUT) as made:
        sockets = await made.sockets()
        room = made.hub.room("all")
        made.far[0].signal("STOP")
        began = reactor.seconds()
        reached = await room.send("x")
        took = reactor.seconds() - began
        assert reached == {made.nodes[0]: 1, made.nodes[1]: None}
        assert TIMEOUT - 0.1 < took < TIMEOUT + 0.5, took
        assert await sockets[0].next() == "x"
        os.kill(made.far[0].transport.pid, signal.SIGCONT)
        await made.reaches(room, 1, 1)
        await room.send("y")
        # It was only late.
        assert [await sockets[1].next() for _ in "xy"] == ["x", "y"]


@inReactor
async def test_restart() -> None:
    """
    A Redis that comes back, without its data, is used again by itself.
    """
    with RedisServer() as bus:
        async with scene(bus=bus) as made:
            sockets = await made.sockets()
            bus.stop()
            with pytest.raises(StoreFailure):
                while True:
                    await made.hub.room("all").send("lost")
            bus.lose()
            bus.start()
            await made.reaches(made.hub.room("all"), 1, 1)
            assert await made.hub.room("all").send("back") == dict.fromkeys(
                made.nodes, 1
            )
            for socket in sockets:
                await socket.until(partial(operator.contains, socket.received, "back"))


@inReactor
async def test_storeIsTheAuthority() -> None:
    """
    Without a bus, the end of a session still closes its sockets on all nodes.
    """
    with RedisServer() as bus:
        async with scene(bus=bus) as made:
            sockets = await made.sockets()
            bus.stop()
            key = Express(SECRET).key(made.sessionID)
            assert made.server.command("DEL", key) == 1
            for socket in sockets:
                assert await socket.closes() == (4401, "session-destroyed")


@pytest.mark.timed
@inReactor
async def test_latency() -> None:
    """
    How long it takes to reach a socket on each of two nodes, and to know it.
    """
    async with scene() as made:
        sockets = await made.sockets()
        room = made.hub.room("all")
        arrived, known = [], []
        for number in range(TIMES):
            began = reactor.seconds()

            def took(result: Any, began: float = began) -> Any:
                known.append(1000 * (reactor.seconds() - began))
                return result

            sending: Deferred[Reached] = room.send(number).addCallback(took)
            for socket in sockets:
                assert await socket.next() == number
            arrived.append(1000 * (reactor.seconds() - began))
            assert await sending == dict.fromkeys(made.nodes, 1)
    for what, times in ("at both sockets", arrived), ("counted", known):
        print(f"{what}: median {median(times):.2f} ms, worst {max(times):.1f} ms")
    assert median(arrived) < 100
    assert median(known) < 100
    assert max(known) < 1000 * TIMEOUT


async def second(made: Scene) -> str:
    """
    The cookie of another session.
    """
    framework = Express(SECRET)
    sessionID = framework.newSessionID()
    document = framework.newDocument(reactor.seconds())
    raw = framework.dumps(document, reactor.seconds())
    made.server.command("SET", framework.key(sessionID), raw)
    return framework.cookieValue(sessionID)


def hears(socket: Socket, many: int) -> bool:
    """
    Whether a socket got that many numbers.
    """
    return len(told(socket, "far") + told(socket, "near")) == many


def told(socket: Socket, who: str) -> list[int]:
    """
    The numbers that a socket got from one sender.
    """
    return [value[1] for value in socket.received if value[0] == who]
