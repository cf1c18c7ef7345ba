"""
Two nodes of a site of Klein, whose pages share their sessions with its sockets, by
Redis and by SQLite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater

from tests.e2e.verbs import Verbs
from tests.support.redisserver import RedisServer
from tests.support.servers import PATIENCE, SECRET, inReactor, reactor
from tests.support.visitors import Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.web import VisitedSite


pytest.importorskip("klein", reason="not installed here: klein")

from tests.e2e.kleinsite import kleinSite


_NewStore = Callable[[], Any]


@asynccontextmanager
async def node(newStore: _NewStore) -> AsyncIterator[int]:
    """
    Serve the site in this process.
    """
    store = newStore()
    manager = SessionManager(store, Express(SECRET), reactor)
    factory = SessionSocketFactory(manager, perMessage=True)
    factory.protocol = Verbs
    site = VisitedSite(kleinSite(manager, factory), reactor)
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(site)
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()
        for ending in factory.sockets.goAway(), manager.stop(0):
            await ending.addTimeout(PATIENCE, reactor)
        await store.close()


@asynccontextmanager
async def places(kind: str, folder: Path) -> AsyncIterator[_NewStore]:
    """
    @return: What makes a store for the sessions, as one more node has it.
    """
    if kind == "sqlite":
        yield lambda: SQLiteStore(str(folder / "sessions.db"), reactor)
        return
    with RedisServer() as server:
        yield lambda: RedisStore(server.url, reactor)


PLACES = pytest.mark.parametrize(
    "kind", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)]
)


@asynccontextmanager
async def nodes(kind: str, folder: Path) -> AsyncIterator[tuple[int, int]]:
    """
    Two of them.
    """
    async with AsyncExitStack() as stack:
        newStore = await stack.enter_async_context(places(kind, folder))
        here = await stack.enter_async_context(node(newStore))
        there = await stack.enter_async_context(node(newStore))
        yield here, there


@PLACES
@inReactor
async def test_shared(kind: str, tmp_path: Path) -> None:
    """
    What a page changes, the sockets of all nodes have with the next message, and
    what a socket changes, the pages have.
    """
    async with nodes(kind, tmp_path) as (here, there):
        visitor = Visitor(here)
        assert (await visitor.get("/session")).value == {}
        assert visitor.cookies == {}
        assert (await visitor.post("/add/n")).value == 1
        elsewhere = Visitor(there, visitor.cookies["connect.sid"])
        sockets = [await visitor.connect(), await elsewhere.connect()]
        for count, socket in enumerate(sockets, 2):
            assert await socket.ask(["add", "n"]) == count
        assert (await elsewhere.post("/add/n")).value == 4
        for socket in sockets:
            assert await socket.ask(["get", "n"]) == 4
        for each in visitor, elsewhere:
            assert (await each.get("/session")).value == {"n": 4}


@PLACES
@inReactor
async def test_loginAndLogout(kind: str, tmp_path: Path) -> None:
    """
    A login gets a new id with its cookie, and the sockets of the old one are closed:
    with 4307 where the page is, and with 4401 on the other node, for which the old
    session is gone.  A logout drops the cookie, and closes all with 4401.
    """
    async with nodes(kind, tmp_path) as (here, there):
        visitor = Visitor(here)
        await visitor.post("/add/n")
        old = visitor.cookies["connect.sid"]
        sockets = [await visitor.connect(), await Visitor(there, old).connect()]
        for socket in sockets:
            # With its first answer it has its session.
            assert await socket.ask(["get", "n"]) == 1
        assert (await visitor.post("/login/ann")).code == 303
        new = visitor.cookies["connect.sid"]
        assert new != old
        assert await sockets[0].closes() == (4307, "session-moved")
        assert await sockets[1].closes() == (4401, "session-destroyed")
        assert (await Visitor(there, old).get("/session")).value == {}
        for port in here, there:
            session = await Visitor(port, new).get("/session")
            assert session.value == {"n": 1, "user": "ann"}
        again = [await visitor.connect(), await Visitor(there, new).connect()]
        for socket in again:
            assert await socket.ask(["get", "user"]) == "ann"
        assert (await visitor.post("/logout")).code == 200
        assert visitor.cookies == {}
        for socket in again:
            assert await socket.closes() == (4401, "session-destroyed")
        assert (await Visitor(there, new).get("/session")).value == {}


@pytest.mark.redis
@inReactor
async def test_outage(tmp_path: Path) -> None:
    """
    A Redis that is away is 503 for pages and for logins, and logs nobody out.
    """
    with RedisServer() as server:
        async with node(lambda: RedisStore(server.url, reactor, timeout=1)) as port:
            visitor = Visitor(port)
            await visitor.post("/add/n")
            cookies = dict(visitor.cookies)
            server.pause()
            for path in "/add/n", "/login/ann":
                answer = await visitor.post(path)
                assert (answer.code, visitor.setCookies) == (503, [])
            server.resume()
            assert visitor.cookies == cookies
            for _ in range(100):
                if (answer := await visitor.get("/session")).code == 200:
                    break
                await deferLater(reactor, 0.1)
            assert answer.value["n"] == 1
