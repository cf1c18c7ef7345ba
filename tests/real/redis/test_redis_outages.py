"""
Sites with sockets on a Redis that fails, in all the ways in which it can: what
is promised to those at the other end of the sockets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from tests.support.redisscene import TIMEOUT, Node, Teller, node, quiet
from tests.support.redisserver import Proxy, RedisServer, proxy
from tests.support.servers import inReactor
from tests.support.visitors import Visitor
from txsessionsock.interfaces import StoreError, StoreFailure, StoreUnavailable


pytestmark = pytest.mark.e2e


@dataclass
class Stage:
    """
    A server behind a network, and a node in each mode.
    """

    server: RedisServer
    network: Proxy
    nodes: list[Node]

    async def trouble(self) -> None:
        """
        Wait until sockets of both nodes were told of the outage.
        """
        for each in self.nodes:
            await each.trouble()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    with quiet(), RedisServer(keepsData=True) as server:
        async with proxy(server.port) as network:
            url = f"redis://127.0.0.1:{network.port}/0"
            async with node(url, True) as first, node(url, False) as second:
                yield Stage(server, network, [first, second])


async def stop(on: Stage) -> None:
    """
    It is stopped, and started later.
    """
    on.server.stop()
    await on.trouble()
    on.server.start()


async def kill(on: Stage) -> None:
    """
    It is killed in the middle of everything, and started later.
    """
    on.server.kill()
    await on.trouble()
    on.server.start()


async def killPending(on: Stage) -> None:
    """
    It is killed while calls wait for it.
    """
    on.server.pause()
    asked = on.network.asked
    await on.network.until(lambda: on.network.asked >= asked + 2)
    on.server.kill()
    await on.trouble()
    on.server.start()


async def restart(on: Stage) -> None:
    """
    It is there again before anybody is told.
    """
    on.server.restart()


async def pause(on: Stage) -> None:
    """
    It hangs, and then does what it was asked.
    """
    on.server.pause()
    await on.trouble()
    on.server.resume()


async def cut(on: Stage) -> None:
    """
    The connections are reset, again and again.
    """
    for wanted in range(4, 14, 2):
        await on.network.cut()
        await on.network.until(partial(on.network.hasAccepted, wanted))


async def halfOpen(on: Stage) -> None:
    """
    The connections are dead, and nobody is told.
    """
    on.network.hold()
    await on.trouble()
    await on.network.heal()


async def late(on: Stage) -> None:
    """
    The network holds everything, and then lets it go.
    """
    on.network.hold()
    await on.trouble()
    on.network.release()


async def tooSlow(on: Stage) -> None:
    """
    Answers come too late.
    """
    on.network.delay(TIMEOUT)
    await on.trouble()
    on.network.delay(0)


async def password(on: Stage) -> None:
    """
    The password is changed, and changed back.
    """
    on.server.command("CONFIG", "SET", "requirepass", "another")
    on.server.command("CLIENT", "KILL", "TYPE", "normal")
    await on.trouble()
    on.server.command("CONFIG", "SET", "requirepass", "")


async def memory(on: Stage) -> None:
    """
    There is no memory for writes.
    """
    on.server.command("CONFIG", "SET", "maxmemory", 1)
    await on.trouble()
    on.server.command("CONFIG", "SET", "maxmemory", 0)


OUTAGES = [
    stop,
    kill,
    killPending,
    restart,
    pause,
    cut,
    halfOpen,
    late,
    tooSlow,
    password,
    memory,
]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.__name__)
@inReactor
async def test_outage(outage: Callable[[Stage], Awaitable[None]]) -> None:
    """
    Nobody is logged out, nothing acknowledged is lost and nothing counted
    twice, what others write is seen at once when it is over, nothing is logged
    as an error, and all comes back by itself.
    """
    async with stage() as on:
        visitors = [await each.visitor(n=0) for each in on.nodes]
        tellers = [Teller(visitor) for visitor in visitors]
        for teller in tellers:
            await teller.more()
        await outage(on)
        for teller in tellers:
            await teller.more()
        for teller in tellers:
            await teller.stop()
        for each, visitor, teller in zip(on.nodes, visitors, tellers, strict=True):
            assert each.invalid == each.ended == []
            assert set(teller.codes) <= {1013}
            for error in each.errors:
                assert isinstance(error, StoreFailure), error
            await each.saved(on.server, visitor, teller.answered)
            assert each.stored(on.server, visitor)["n"] <= teller.sent
            await sees(each, on.server, visitor)
        # A socket that stayed open was not told more than once, nor less.
        assert tellers[1].answered == tellers[1].sent
        assert on.nodes[1].stored(on.server, visitors[1])["n"] == tellers[1].sent


async def sees(each: Node, server: RedisServer, visitor: Visitor) -> None:
    """
    What another program writes is seen: per message, by the next one.
    """
    socket = await visitor.connect()
    for told in range(5):
        each.put(server, visitor, told=told)
        seen = await socket.ask(["get", "told"])
        while not each.perMessage and seen != told:
            seen = await socket.ask(["get", "told"])
        assert seen == told


@inReactor
async def test_lost() -> None:
    """
    A Redis that comes back without its data has no sessions: sockets are closed
    as after a logout, and what was not stored yet stays so.
    """
    async with stage() as on:
        visitors = [await each.visitor(n=0) for each in on.nodes]
        sockets = [await visitor.connect() for visitor in visitors]
        for socket in sockets:
            assert await socket.ask(["get", "n"]) == 0
        on.server.stop()
        assert await sockets[1].ask(["increment", "n"]) == 1
        await on.nodes[1].trouble()
        on.server.lose()
        on.server.start()
        for socket, each in zip(sockets, on.nodes, strict=True):
            assert await socket.closes() == (4401, "session-destroyed")
            assert (each.ended, each.invalid) == (["destroyed"], [])
        assert on.server.command("DBSIZE") == 0


@inReactor
async def test_deleted() -> None:
    """
    What was deleted, and changed, while no connection could be had is found
    when there is one.
    """
    async with stage() as on:
        visitors = [await each.visitor(n=0) for each in on.nodes]
        others = [await each.visitor(n=0) for each in on.nodes]
        sockets = [await visitor.connect() for visitor in visitors + others]
        for socket in sockets:
            assert await socket.ask(["get", "n"]) == 0
        await on.network.refuse()
        await on.network.cut()
        for each, visitor, other in zip(on.nodes, visitors, others, strict=True):
            assert on.server.command("DEL", each.keyOf(visitor)) == 1
            each.put(on.server, other, n=5)
        await on.network.heal()
        for socket in sockets[:2]:
            assert await socket.closes() == (4401, "session-destroyed")
        assert await sockets[2].ask(["get", "n"]) == 5
        while await sockets[3].ask(["get", "n"]) != 5:
            pass


@pytest.mark.parametrize("perMessage", [False, True])
@pytest.mark.parametrize("isDown", [False, True])
@inReactor
async def test_fromTheStart(isDown: bool, perMessage: bool) -> None:
    """
    A process that begins while Redis is down, or does not let it in, asks its
    clients to come again, and works as soon as that is put right.
    """
    with quiet(), RedisServer(keepsData=True, password="another") as server:
        async with node(server.url, perMessage) as before:
            visitor = await before.visitor(n=0)
            prefix = before.store._prefix.decode()
        right = server.url.replace("another", "the-secret")
        if isDown:
            server.command("CONFIG", "SET", "requirepass", "the-secret")
            server.command("CONFIG", "REWRITE")
            server.stop()
        async with node(right, perMessage, prefix) as each:
            visitor.port = each.port
            for _ in range(2):
                socket = await visitor.connect()
                assert (await socket.closes())[0] == 1013
            if isDown:
                server.start()
            else:
                server.command("CONFIG", "SET", "requirepass", "the-secret")
            teller = Teller(visitor)
            await teller.more()
            await teller.stop()
            assert (each.ended, each.invalid) == ([], [])
            for error in each.errors:
                assert isinstance(error, StoreUnavailable)
                assert "the-secret" not in str(error)


@inReactor
async def test_readsWithoutMemory() -> None:
    """
    Without memory for writes, what only reads works on.
    """
    async with stage() as on:
        visitors = [await each.visitor(n=7) for each in on.nodes]
        sockets = [await visitor.connect() for visitor in visitors]
        on.server.command("CONFIG", "SET", "maxmemory", 1)
        for socket, visitor in zip(sockets, visitors, strict=True):
            assert await socket.ask(["get", "n"]) == 7
            assert await (await visitor.connect()).ask(["get", "n"]) == 7
        sockets[0].say(["increment", "n"])
        assert (await sockets[0].closes())[0] == 1013
        (error,) = on.nodes[0].errors
        assert isinstance(error, StoreError)
        on.server.command("CONFIG", "SET", "maxmemory", 0)


@inReactor
async def test_trackingOff() -> None:
    """
    A server that forgets to report changes is found out by the next change of
    ours, or else by a probe; what it did not report is found then.
    """
    async with stage() as on:
        for each in on.nodes:
            visitor = await each.visitor(n=0)
            socket = await visitor.connect()
            link = each.store._link
            await link.ask(b"CLIENT", b"TRACKING", b"OFF")
            # Without hiredis, there was nothing to forget.
            assert await socket.ask(["increment", "n"]) == 1
            await each.saved(on.server, visitor, 1)
            await sees(each, on.server, visitor)
