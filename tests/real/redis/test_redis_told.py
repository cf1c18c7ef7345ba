"""
A Redis that fails under idle sessions: after how much time those are told who
ask for something then.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.redisserver import RedisServer
from tests.support.servers import SECRET, inReactor, mint, reactor, site
from tests.support.visitors import Socket, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.stores.redis import RedisStore


pytestmark = pytest.mark.e2e

TIMEOUT = 2.0
MARGIN = 1.2
"""
For a machine that does other things as well; a second wait would take 1.8 s
more.
"""

MANY = 6


async def afterwards(fail: Callable[[RedisServer], None]) -> None:
    """
    Have Redis fail, and look how long everybody waits who comes a moment later,
    while a question about each session is under way.
    """
    with RedisServer() as server:
        store = RedisStore(server.url, reactor, timeout=TIMEOUT)
        manager = SessionManager(store, Express(SECRET), reactor, storeTimeout=TIMEOUT)
        async with site(manager, perMessage=True) as (port, _):
            talking: list[tuple[Visitor, Socket]] = []
            for _ in range(MANY):
                visitor = Visitor(port, await mint(store, {"n": 1}))
                talking.append((visitor, await visitor.connect()))
                assert await talking[-1][1].ask(["get", "n"]) == 1
            fail(server)
            for keeper in list(manager._registry.live.values()):
                keeper.reading.suspect()
            await deferLater(reactor, 0.2)
            told = [tell(visitor, socket) for visitor, socket in talking]
            for waits in await gatherResults(told, consumeErrors=True):
                assert max(waits) < TIMEOUT + MARGIN, waits
            server.kill()
        await store.close()


def tell(visitor: Visitor, socket: Socket) -> Deferred[list[float]]:
    """
    @return: For how many seconds a socket, a page and a handshake waited.
    """
    began = reactor.seconds()

    async def message() -> float:
        socket.say(["get", "n"])
        assert await socket.closes() == (1013, "store failed")
        return float(reactor.seconds() - began)

    async def page() -> float:
        assert (await visitor.get("/session")).code == 503
        return float(reactor.seconds() - began)

    async def handshake() -> float:
        closed = await (await visitor.connect()).closes()
        assert closed == (1013, "store failed")
        return float(reactor.seconds() - began)

    asked = [Deferred.fromCoroutine(each()) for each in (message, page, handshake)]
    return gatherResults(asked, consumeErrors=True)


@inReactor
async def test_killed() -> None:
    """
    It is killed.
    """
    await afterwards(lambda server: server.kill())


@inReactor
async def test_hangs() -> None:
    """
    It hangs.
    """
    await afterwards(lambda server: server.pause())
