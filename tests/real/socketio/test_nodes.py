"""
Two nodes behind one address: nginx before them, a Redis behind them, the official
client in front.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.nginx import nginxWith
from tests.support.redisprocess import freePort
from tests.support.redisserver import RedisServer, sharedServer
from tests.support.servers import SECRET, Twistd, inReactor, mint, program, reactor
from tests.support.socketioclients import Clients, Socket, clients, socketIOIsThere
from txsessionsock.frameworks.express import Express
from txsessionsock.stores.redis import RedisStore


pytestmark = [pytest.mark.redis, socketIOIsThere]

_ROOT = str(Path(__file__).parents[3])

_NGINX = """
map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
map $http_cookie $session {{ "~connect\\.sid=([^;]+)" $1; }}
upstream sticky {{ hash $session consistent; {servers} }}
upstream any {{ {servers} }}
proxy_http_version 1.1;
proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
server {{ listen 127.0.0.1:{sticky}; location / {{ proxy_pass http://sticky; }} }}
server {{ listen 127.0.0.1:{any}; location / {{ proxy_pass http://any; }} }}
"""

ROOM = ["join", "all"]

TIMES = 100


class Cluster:
    """
    Two nodes and their clients.

    @ivar nodes: By their process ids.
    """

    def __init__(
        self,
        redis: RedisServer,
        store: RedisStore,
        clients: Clients,
        nodes: list[Twistd],
        ports: dict[str, int],
    ) -> None:
        self.nodes = {node.transport.pid: node for node in nodes}
        self._redis = redis
        self._store = store
        self._clients = clients
        self._ports = ports

    async def cookie(self) -> str:
        """
        That of a new session.
        """
        return f"connect.sid={await mint(self._store, {})}"

    async def open(self, kind: str, address: str, cookie: str) -> Socket:
        """
        Open a client that is in the room, after each connection.
        """
        url = f"http://127.0.0.1:{self._ports[address]}"
        socket = await self._clients.open(url, kind, cookie=cookie, first=ROOM)
        await socket.ask("where")
        return socket

    async def onEach(self, kind: str, address: str, number: int) -> list[Socket]:
        """
        Open so many clients on each node.
        """
        opened: dict[int, list[Socket]] = {process: [] for process in self.nodes}
        for _ in range(60):
            socket = await self.open(kind, address, await self.cookie())
            there = opened[await socket.ask("process")]
            if len(there) < number:
                there.append(socket)
            else:
                await socket.disconnect()
            if all(len(each) == number for each in opened.values()):
                return [socket for each in opened.values() for socket in each]
        raise AssertionError("all clients come to the same node")

    def stored(self, cookie: str) -> dict[str, Any]:
        """
        What is in a session.
        """
        framework = Express(SECRET)
        sessionID = framework.sessionID(cookie.partition("=")[2], reactor.seconds())
        raw = self._redis.command("GET", framework.key(sessionID))
        data: dict[str, Any] = json.loads(raw)
        return data


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """
    Have two nodes behind nginx, which has an address where it is sticky, and another
    where it is not.
    """
    redis = sharedServer()
    command = [sys.executable, "-m", "tests.e2e.socketio.node", redis.url, redis.url]
    store = RedisStore(redis.url, reactor)
    async with (
        program(*command, cwd=_ROOT) as first,
        program(*command, cwd=_ROOT) as second,
        clients() as made,
    ):
        nodes = [first, second]
        servers = " ".join(f"server 127.0.0.1:{node.port};" for node in nodes)
        ports = {"sticky": freePort(), "any": freePort()}
        async with nginxWith(directory, _NGINX.format(servers=servers, **ports)):
            yield Cluster(redis, store, made, nodes, ports)
        await store.close()
        for node in nodes:
            assert "Traceback" not in node.log, node.log
            assert not node.errors


async def told(socket: Socket, number: int) -> list[Any]:
    """
    Wait until a client was told so much.

    @return: What it was told.
    """
    await socket.hears("told", number)
    return [value for (value,) in socket.events("told")]


def telling(value: object, *rooms: str) -> list[Any]:
    """
    An event that has others told something, who are in some rooms.
    """
    how = {"from": "io", "to": rooms, "but": [], "isVolatile": False}
    return ["tell", {**how, "event": ["told", value]}]


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("polling", "sticky"),
        ("upgrade", "sticky"),
        ("websocket", "sticky"),
        ("websocket", "any"),
        ("msgpack-polling", "sticky"),
    ],
)
@inReactor
async def test_everywhere(kind: str, address: str, tmp_path: Path) -> None:
    """
    What each of the nodes tells two rooms, and everybody, reaches all clients on
    both nodes once, and in its order.
    """
    async with cluster(tmp_path) as made:
        sockets = await made.onEach(kind, address, 2)
        for socket in sockets:
            await socket.askAll("join", "same")
        for name, speaker in zip("ab", (sockets[0], sockets[-1]), strict=True):
            for n in range(TIMES):
                rooms = ["all", "same"] if n % 2 else []
                await speaker.emit(*telling([name, n], *rooms))
            await speaker.emit(*telling([name, "last"]))
        for socket in sockets:
            values = await told(socket, 2 * TIMES + 2)
            await socket.ask("where")
            assert len(values) == len(socket.events("told"))
            for name in "ab":
                said = [value for each, value in values if each == name]
                assert said == [*range(TIMES), "last"]


@pytest.mark.parametrize(
    ("kind", "address"),
    [("polling", "sticky"), ("upgrade", "sticky"), ("websocket", "any")],
)
@inReactor
async def test_killed(kind: str, address: str, tmp_path: Path) -> None:
    """
    One node is killed while all clients count and tell.  Its clients come to the
    other; nobody is told anything twice, who stays hears all that others are said to
    have been told, and no change of a session is lost that was answered.
    """
    async with cluster(tmp_path) as made:
        sockets = await made.onEach(kind, address, 2)
        for socket in sockets:
            number = ["increment", "n"]
            await socket.begin(number, telling([socket.name, "$n"], "all"))
        for socket in sockets:
            await socket.more(20)
        victim = await sockets[0].ask("process")
        survivors = [each for each in sockets if await each.ask("process") != victim]
        assert len(survivors) == 2
        made.nodes[victim].signal("KILL")
        await made.nodes[victim].ends()
        for socket in sockets:
            await socket.more(20)
            assert len(socket.details("connect")) == 1 + (socket not in survivors)
        acked = {each.name: await each.stop() for each in sockets}
        for socket in sockets:
            sent, answered = acked[socket.name]
            counted = sum(n % 2 == 0 for n in answered)
            assert counted <= made.stored(socket.cookie)["n"] <= (sent + 1) // 2
            await socket.ask("where")
            values = [tuple(value) for (value,) in socket.events("told")]
            assert len(values) == len(set(values))
        for hearer in survivors:
            for speaker in survivors:
                _, answered = acked[speaker.name]
                heard = [v[1] for (v,) in hearer.events("told") if v[0] == speaker.name]
                assert {n for n in answered if n % 2} <= set(heard)
