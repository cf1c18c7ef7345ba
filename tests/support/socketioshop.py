"""
Nodes of ours on a real Redis, and clients of Socket.IO that have one session there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.socketio.node import Node
from tests.support.expresses import PROGRAM
from tests.support.redisserver import RedisServer, sharedServer
from tests.support.servers import SECRET, mint, reactor
from tests.support.socketioclients import KINDS, Clients, Socket, clients
from tests.support.socketioservers import nodes
from tests.support.visitors import Socket as PlainSocket
from tests.support.visitors import Visitor
from tests.support.webapplications import running
from txsessionsock.frameworks.express import Express


__all__ = ["Shop", "alone", "shop"]


class Shop:
    """
    A session in Redis, and nodes of ours where it has clients.

    @ivar pages: A browser that visits the application.
    """

    def __init__(
        self, redis: RedisServer, nodes: list[Node], clients: Clients, pages: Visitor
    ) -> None:
        self.redis = redis
        self.nodes = nodes
        self.pages = pages
        self.clients = clients
        self._plain: list[PlainSocket] = []

    async def open(self, kind: str, node: int = 0, **settings: Any) -> Socket:
        """
        Open a client with the cookie of the browser.
        """
        if not {"cookie", "auth"} & set(settings):
            settings["cookie"] = self.pages.cookie
        url = f"http://127.0.0.1:{self.nodes[node].port}"
        return await self.clients.open(url, kind, **settings)

    async def plain(self, node: int = 0) -> PlainSocket:
        """
        Open a plain socket with it.
        """
        value = self.pages.cookies["connect.sid"]
        socket = await Visitor(self.nodes[node].port, value).connect()
        self._plain.append(socket)
        return socket

    async def close(self) -> None:
        """
        Close these.
        """
        for socket in self._plain:
            socket.sendClose()
            await socket.closes()

    async def everywhere(self, **settings: Any) -> list[Socket]:
        """
        Open a client of each kind on each node.
        """
        return [
            await self.open(kind, node, **settings)
            for node in range(len(self.nodes))
            for kind in KINDS
        ]

    @property
    def key(self) -> str:
        """
        Where the session is.
        """
        framework = Express(SECRET)
        value = self.pages.cookies["connect.sid"]
        return framework.key(framework.sessionID(value, reactor.seconds()))

    @property
    def stored(self) -> dict[str, Any]:
        """
        What another program finds in it.
        """
        data: dict[str, Any] = json.loads(self.redis.command("GET", self.key))
        return data


@asynccontextmanager
async def shop(number: int = 1, **settings: Any) -> AsyncIterator[Shop]:
    """
    Have so many nodes, and an Express where ann is logged in.
    """
    async with running(PROGRAM, "redis", Express(SECRET)) as express:
        await express.pages.post("/login?ann")
        redis = express.redis
        async with nodes(redis.url, number, **settings) as made, clients() as them:
            opened = Shop(redis, made, them, express.pages)
            yield opened
            await opened.close()


@asynccontextmanager
async def alone(
    number: int = 1, *, redis: RedisServer | None = None, **settings: Any
) -> AsyncIterator[Shop]:
    """
    Have so many nodes, and one session.

    @param redis: If it is the test's own.
    """
    redis = redis or sharedServer()
    async with nodes(redis.url, number, **settings) as made, clients() as them:
        cookie = await mint(made[0].store, {})
        opened = Shop(redis, made, them, Visitor(made[0].port, cookie))
        yield opened
        await opened.close()
