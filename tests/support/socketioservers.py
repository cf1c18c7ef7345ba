"""
Servers of Socket.IO for the official client: the official one, and ours.
"""

from __future__ import annotations

import atexit
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.e2e.socketio.node import Node
from tests.support.programs import Program
from tests.support.redisscene import noErrors
from tests.support.servers import (
    PATIENCE,
    SECRET,
    STARTING,
    mint,
    reactor,
)
from tests.support.socketioclients import DIRECTORY, Clients, Socket, clients
from txsessionsock.bus import RedisBus
from txsessionsock.credentials import Auth, Cookie
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Group
from txsessionsock.interfaces import StoreFailure
from txsessionsock.limits import Limits
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore


__all__ = [
    "SERVERS",
    "Scene",
    "Server",
    "inGroup",
    "nodes",
    "official",
    "ours",
    "scene",
    "settled",
]


class Server(Protocol):
    """
    A server that does what the clients say.
    """

    def url(self, kind: str) -> str:
        """
        @return: Where clients of a kind go.
        """

    async def session(self, **data: Any) -> str:
        """
        @return: The signed value of the cookie of a new session.
        """


class Official(Program):
    """
    The official server, which has a port for each parser.
    """

    def __init__(self, *arguments: str) -> None:
        super().__init__("node", str(DIRECTORY / "server.js"), *arguments)

    @property
    def _ports(self) -> dict[str, str]:
        return dict(re.findall(r"(\w+) (\d+)\n", self.said))

    async def starts(self) -> None:
        """
        Wait until it listens.
        """
        await self.until(lambda: len(self._ports) > 1 or self.isGone, patience=STARTING)
        assert not self.isGone, self.errors

    def url(self, kind: str) -> str:
        parser = "msgpack" if kind.startswith("msgpack") else "text"
        return f"http://127.0.0.1:{self._ports[parser]}"

    async def session(self, **data: Any) -> str:
        assert not data, "it begins all its sessions itself"
        framework = Express(SECRET)
        return framework.cookieValue(framework.newSessionID())


_kept: dict[tuple[str, ...], Official] = {}


@asynccontextmanager
async def official(*ping: float) -> AsyncIterator[Official]:
    """
    Have the official server: one that has served earlier tests, or a new one if
    these failed.

    @param ping: The interval of pings and the time for the answer, in seconds.
    """
    arguments = tuple(str(round(seconds * 1000)) for seconds in ping)
    made = _kept.pop(arguments, None) or Official(*arguments)
    try:
        await made.starts()
        yield made
        assert not made.errors, made.errors
        _kept[arguments] = made
    finally:
        if _kept.get(arguments) is not made:
            await made.ends()


@atexit.register
def _killAll() -> None:
    for each in _kept.values():
        each.kill()


class _Ours:
    """
    Our server, in this process.

    @ivar node: Itself.
    """

    def __init__(self, *ping: float) -> None:
        self._store = MemoryStore(reactor)
        limits = Limits()
        if ping:
            limits = Limits(pingInterval=ping[0], pingTimeout=ping[1])
        both = [Auth(), Cookie()]
        self.node = Node(reactor, self._store, limits=limits, credentials=both)

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.node.port}"

    async def session(self, **data: Any) -> str:
        return await mint(self._store, data)


_ours: dict[tuple[float, ...], _Ours] = {}


@asynccontextmanager
async def ours(*ping: float) -> AsyncIterator[_Ours]:
    """
    Have our server, in this process, for as long as that runs.

    @param ping: See L{official}.
    """
    if ping not in _ours:
        _ours[ping] = _Ours(*ping)
        await _ours[ping].node.listen()
    with noErrors():
        yield _ours[ping]
        await settled(_ours[ping].node)


@asynccontextmanager
async def nodes(url: str, number: int, **settings: Any) -> AsyncIterator[list[Node]]:
    """
    Have so many nodes of ours in this process, which know each other and nothing
    else in common than a Redis.

    @param settings: Of each L{Node}.
    """
    made = []
    with noErrors():
        try:
            for _ in range(number):
                bus = RedisBus(url, reactor)
                made.append(Node(reactor, RedisStore(url, reactor), bus, **settings))
                await made[-1].listen()
            for each in made:
                await inGroup(each.hub.room("nobody"), [0] * number)
            yield made
            await settled(*made)
        finally:
            for each in made:
                ending = Deferred.fromCoroutine(each.end())
                await ending.addTimeout(PATIENCE, reactor)
                await each.store.close()


async def inGroup(group: Group, numbers: list[int]) -> None:
    """
    Wait until a group has so many members on the nodes, in any order.
    """
    end, found = reactor.seconds() + PATIENCE, [-1]
    while sorted(found) != sorted(numbers):
        assert reactor.seconds() < end, f"{found}, not {numbers}"
        with suppress(StoreFailure):
            found = [-1 if n is None else n for n in (await group.count()).values()]
        await deferLater(reactor, 0.01)


async def settled(*nodes: Node) -> None:
    """
    Wait until nothing is left of clients that have gone.
    """
    end = reactor.seconds() + PATIENCE
    while left := _left(nodes):
        assert reactor.seconds() < end, left
        await deferLater(reactor, 0.005)


def _left(nodes: Sequence[Node]) -> list[str]:
    """
    What nodes have, and what is to be done later for a client.
    """
    left = [
        f"{count} of {what}"
        for node in nodes
        for what, count in {
            "clients": len(node.io.sockets),
            "connections": len(node.io.engine),
            # Sessions are guarded for some seconds against other writers.
            "holders": node.manager.statistics().holders,
        }.items()
        if count
    ]
    ours = "EngineConnection", "Connection.", "Client", "Outflow", "Polling"
    calls = map(str, reactor.getDelayedCalls())
    return left + [call for call in calls if any(name in call for name in ours)]


SERVERS: dict[str, Callable[..., AbstractAsyncContextManager[Server]]] = {
    "official": official,
    "ours": ours,
}


class Scene:
    """
    Clients of a kind, on a server.
    """

    def __init__(self, server: Server, clients: Clients, kind: str) -> None:
        self.server = server
        self._clients = clients
        self._kind = kind

    async def open(
        self,
        kind: str = "",
        *,
        clients: Clients | None = None,
        port: int = 0,
        **settings: Any,
    ) -> Socket:
        """
        Open a client, with a new session unless one is given.

        @param kind: If it is to be another one.

        @param clients: If it is to be in another process.

        @param port: Where it goes, if there is something before the server.
        """
        if not {"cookie", "auth"} & set(settings):
            settings["cookie"] = f"connect.sid={await self.server.session()}"
        kind = kind or self._kind
        url = f"http://127.0.0.1:{port}" if port else self.server.url(kind)
        return await (clients or self._clients).open(url, kind, **settings)

    async def observer(self) -> Socket:
        """
        Open a client that is told what happens to the others.
        """
        observer = await self.open()
        await observer.askAll("join", "observers")
        return observer


@asynccontextmanager
async def scene(name: str, kind: str, *ping: float) -> AsyncIterator[Scene]:
    """
    Have a server and clients.

    @param ping: The interval of pings and the time for the answer, in seconds.
    """
    async with SERVERS[name](*ping) as server, clients() as made:
        yield Scene(server, made, kind)
