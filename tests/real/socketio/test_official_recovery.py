"""
Clients that come back after their connection was lost: the official one, whose
C{recovered} says so, on a real Redis.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.support.servers import PATIENCE, inReactor, mint, reactor
from tests.support.socketioclients import KINDS, Socket, socketIOIsThere
from tests.support.socketioservers import settled
from tests.support.socketioshop import Shop, alone
from tests.support.tcpproxy import Proxy, proxy
from txsessionsock.socketio import Recovery


pytestmark = [pytest.mark.redis, socketIOIsThere]

everyKind = pytest.mark.parametrize("kind", KINDS)


class Away:
    """
    Clients behind a network of their own, which can be taken from them, and somebody
    who tells them something.
    """

    def __init__(self, made: Shop, network: Proxy, speaker: Socket) -> None:
        self.made = made
        self.network = network
        self.speaker = speaker

    async def open(self, kind: str) -> Socket:
        """
        Open a client that is in a room.
        """
        url = f"http://127.0.0.1:{self.network.port}"
        cookie = self.made.pages.cookie
        socket = await self.made.clients.open(url, kind, cookie=cookie)
        await socket.askAll("join", "news")
        return socket

    async def leave(self, *sockets: Socket) -> None:
        """
        Take the network away, until they have noticed.
        """
        times = [len(socket.details("disconnect")) + 1 for socket in sockets]
        # What is not polling just now does not seem to be lost.
        end = reactor.seconds() + PATIENCE
        engines = [node.io.engine for node in self.made.nodes]
        while not all(each.isWritable for engine in engines for each in engine):
            assert reactor.seconds() < end, "a client that does not poll"
            await deferLater(reactor, 0.001)
        await self.network.refuse()
        await self.network.cut()
        for socket, number in zip(sockets, times, strict=True):
            await socket.happens("disconnect", number)

    async def tell(self, *values: object) -> None:
        """
        Have the room told something.
        """
        for value in values:
            how = {"from": "io", "to": ["news"], "but": [], "isVolatile": False}
            await self.speaker.ask("tell", {**how, "event": ["told", value]})


@asynccontextmanager
async def away(number: int = 1, **settings: Any) -> AsyncIterator[Away]:
    """
    Have so many nodes; the network leads to the first.
    """
    async with alone(number, recovery=Recovery(), **settings) as made:
        speaker = await made.open("websocket", number - 1)
        async with proxy(made.nodes[0].port) as network:
            yield Away(made, network, speaker)
            # While what they say to that can pass.
            await made.clients.forgetAll()
            await settled(*made.nodes)


def told(socket: Socket) -> list[Any]:
    """
    What a client was told; the official one hands on what numbers the event, too.
    """
    return [value for value, *_ in socket.events("told")]


def connected(socket: Socket) -> list[Any]:
    """
    The id, and whether it is back, of the last connection.
    """
    id_, _, isBack = socket.details("connect")[-1]
    return [id_, bool(isBack)]


@pytest.mark.parametrize("perMessage", [False, True])
@everyKind
@inReactor
async def test_back(kind: str, perMessage: bool) -> None:
    """
    A client that was away is back with its id and its rooms, and is told once what
    it missed; and so again after a second time.
    """
    async with away(perMessage=perMessage) as made:
        socket = await made.open(kind)
        first = connected(socket)[0]
        await made.tell(1)
        await socket.hears("told")
        for times in 2, 3:
            await made.leave(socket)
            await made.tell(10 * times, [times, "x"])
            await made.network.listen()
            await socket.happens("connect", times)
            assert connected(socket) == [first, True]
            assert await socket.ask("rooms") == ["news"]
        await made.tell("last")
        await socket.hears("told", 6)
        assert told(socket) == [1, 20, [2, "x"], 30, [3, "x"], "last"]


@everyKind
@inReactor
async def test_onAnotherNode(kind: str) -> None:
    """
    So it is where it comes to another node.
    """
    async with away(2) as made:
        socket = await made.open(kind)
        first = connected(socket)[0]
        await made.tell(1)
        await socket.hears("told")
        await made.leave(socket)
        await made.tell(2, 3)
        made.network.target = made.made.nodes[1].port
        await made.network.listen()
        await socket.happens("connect", 2)
        assert connected(socket) == [first, True]
        await made.tell(4)
        await socket.hears("told", 4)
        assert told(socket) == [1, 2, 3, 4]
        assert await socket.ask("rooms") == ["news"]


@everyKind
@inReactor
async def test_afterLogout(kind: str) -> None:
    """
    Who was logged out meanwhile is not let in, and told nothing of what was said.
    """
    async with away() as made:
        socket = await made.open(kind)
        await made.tell(1)
        await socket.hears("told")
        await made.leave(socket)
        cookie = await mint(made.made.nodes[0].store, {})
        made.made.redis.command("DEL", made.made.key)
        # Whoever spoke had the same session.
        made.speaker = await made.made.open("websocket", cookie=f"connect.sid={cookie}")
        await made.tell(2)
        await made.network.listen()
        await socket.until(lambda: "sinvalid" in refusals(socket))
        assert told(socket) == [1]


def refusals(socket: Socket) -> list[str]:
    """
    What a client was told when it wanted to connect, by the server or its network.
    """
    return [message for message, _ in socket.details("connect_error")]


@everyKind
@inReactor
async def test_anotherSession(kind: str) -> None:
    """
    Who comes with another session is somebody else, and told nothing either.
    """
    async with away() as made:
        socket = await made.open(kind)
        first = connected(socket)[0]
        await made.tell(1)
        await socket.hears("told")
        await made.leave(socket)
        await made.tell(2)
        cookie = await mint(made.made.nodes[0].store, {})
        await socket.change(headers={"Cookie": f"connect.sid={cookie}"})
        await made.network.listen()
        await socket.happens("connect", 2)
        id_, isBack = connected(socket)
        assert not isBack
        assert id_ != first
        assert await socket.ask("rooms") == []
        assert told(socket) == [1]
        # The client of the first is still waited for.
        made.made.redis.command("DEL", made.made.key)


@everyKind
@inReactor
async def test_sentAway(kind: str) -> None:
    """
    Who was disconnected by the server is not waited for.
    """
    async with away() as made:
        socket = await made.open(kind)
        await made.tell(1)
        await socket.hears("told")
        await socket.emit("leave")
        await socket.happens("disconnect")
        await made.tell(2)
        await socket.connect()
        await socket.happens("connect", 2)
        assert not connected(socket)[1]
        assert await socket.ask("rooms") == []
        assert told(socket) == [1]
