"""
More of the official client: groups, changing the transport, and how connections end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.servers import inReactor
from tests.support.socketioclients import (
    KINDS,
    Socket,
    clients,
    socketIOIsThere,
)
from tests.support.socketioservers import SERVERS, Scene, scene
from tests.support.tcpproxy import Proxy, proxy


pytestmark = [socketIOIsThere, pytest.mark.parametrize("name", SERVERS)]

everyKind = pytest.mark.parametrize("kind", KINDS)


@inReactor
async def test_upgrade(name: str) -> None:
    """
    The client begins with polling and goes on with a WebSocket.  100 events of
    each side when it connects, and 100 when it changes over, come once and in
    order.
    """
    async with behindNetwork(name, "upgrade") as (made, network):
        # Time to speak, between the answers.
        network.delay(0.005)
        burst = {"event": "take", "times": 100}
        socket = await made.open(port=network.port, burst=burst)
        assert (await socket.happens("connect"))[1] == "polling"
        assert await socket.happens("upgrade") == ["websocket"]
        await socket.hears("n", 200)
        assert await socket.ask("taken") == list(range(200))
        # What came twice may be behind the others.
        assert socket.events("n") == [[n] for n in range(100)] * 2
        assert (await socket.state())["transport"] == "websocket"


@everyKind
@inReactor
async def test_rooms(name: str, kind: str) -> None:
    """
    Who is in any of some rooms gets an event once, and nobody who is excepted,
    nor who has left, nor who speaks.
    """
    async with scene(name, kind) as made:
        a, b, c = sockets = [await made.open() for _ in "abc"]
        await a.askAll("join", "x")
        await b.askAll("join", "x", "y")
        await c.askAll("join", "y", "z")
        assert await c.ask("rooms") == ["y", "z"]
        await c.askAll("part", "z")
        assert await c.ask("rooms") == ["y"]
        await tell(a, 1, to=["x", "y"])
        await tell(a, 2, to=["x"], but=["y"])
        await tell(a, 3, who="socket", to=["x"])
        await tell(a, 4, but=["x"])
        await tell(a, 5, who="socket")
        await tell(a, 6)
        await tell(a, 7, to=["z"])
        assert await heard(*sockets) == [[1, 2, 6], [1, 3, 5, 6], [1, 4, 5, 6]]


@inReactor
async def test_broadcastOfBytes(name: str) -> None:
    """
    An event with bytes reaches clients of each transport, and each parser that
    the server has.
    """
    async with scene(name, "websocket") as made:
        kinds = KINDS if name == "ours" else KINDS[:3]
        sockets = [await made.open(kind) for kind in kinds]
        for socket in sockets:
            value = [b"\x00\xff", {"from": b"", "n": 1.5}]
            before = len(sockets[0].events("told"))
            await tell(socket, value)
            for each in sockets:
                assert await each.hears("told", before + 1) == [value]


@everyKind
@inReactor
async def test_volatile(name: str, kind: str) -> None:
    """
    An event that is volatile comes like any other where nothing is in its way.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        # The answer waits behind it.
        await tell(socket, 1, isVolatile=True)
        await socket.hears("told")


@inReactor
async def test_volatileIsLost(name: str) -> None:
    """
    While a polling client is not asking for anything, what is volatile is lost,
    and nothing else is.
    """
    async with scene(name, "polling") as made, clients(isKept=False) as others:
        socket = await made.open(clients=others)
        await socket.ask("where")
        speaker = await made.open()
        others.pause()
        for n in range(5):
            await tell(speaker, n, isVolatile=True)
        await tell(speaker, "kept")
        others.resume()
        await socket.until(lambda: ["kept"] in socket.events("told"))
        assert socket.events("told") == [[0], ["kept"]]


async def tell(
    speaker: Socket,
    value: object,
    *,
    who: str = "io",
    to: list[str] | None = None,
    but: list[str] | None = None,
    isVolatile: bool = False,
) -> None:
    """
    Have a value sent to a group, and wait until it is.

    @param who: Sends it: C{"io"} does to all, C{"socket"} not to itself.
    """
    how = {"from": who, "to": to or [], "but": but or [], "isVolatile": isVolatile}
    await speaker.emit("tell", {**how, "event": ["told", value]})
    await speaker.ask("where")


async def heard(*sockets: Socket) -> list[list[object]]:
    """
    What all have been told by now.
    """
    for socket in sockets:
        await socket.ask("where")
    return [[value for (value,) in each.events("told")] for each in sockets]


@everyKind
@inReactor
async def test_storedInTheEnd(name: str, kind: str) -> None:
    """
    What a handler puts into the session when its client is gone is stored.
    """
    async with scene(name, kind) as made:
        cookie = f"connect.sid={await made.server.session()}"
        observer = await made.observer()
        socket = await made.open(cookie=cookie)
        await socket.disconnect()
        await gone(observer, socket)
        again = await made.open(cookie=cookie)
        assert await again.ask("get", "left") == "client namespace disconnect"


@pytest.mark.parametrize(
    ("how", "ours", "theirs"),
    [
        ("disconnect", "io client disconnect", "client namespace disconnect"),
        ("drop", "forced close", "transport close"),
        ("leave", "io server disconnect", "server namespace disconnect"),
        ("leaveAll", "io server disconnect", "server namespace disconnect"),
        ("close", "transport close", "forced server close"),
        ("babble", "transport close", "parse error"),
        ("event of nowhere", "transport close", "parse error"),
    ],
)
@everyKind
@inReactor
async def test_reasons(how: str, ours: str, theirs: str, name: str, kind: str) -> None:
    """
    Both sides know why the client is gone, in the words of Socket.IO.
    """
    async with scene(name, kind) as made:
        observer, socket = await made.observer(), await made.open()
        if how == "disconnect":
            await socket.disconnect()
        elif how == "drop":
            await socket.drop()
        elif how == "babble":
            await socket.babble("9")
        elif how == "event of nowhere":
            await socket.babble('2/nowhere,["x"]')
        else:
            await socket.emit(how)
        assert await socket.happens("disconnect") == [ours]
        # The official server has these words, and does not use them here.
        isOther = name == "official" and theirs in (
            "parse error",
            "forced server close",
        )
        assert await gone(observer, socket) == ("forced close" if isOther else theirs)
        if ours in ("forced close", "transport close"):
            # A client that leaves in the midst of coming tells nobody.
            await socket.happens("connect", 2)


async def gone(observer: Socket, socket: Socket) -> str:
    """
    @return: Why the server says that a client is gone.
    """
    id_ = socket.details("connect")[0][0]

    def reason() -> str | None:
        happened = observer.events("happened")
        found = [each[2] for each in happened if each[:2] == ["gone", id_]]
        assert len(found) < 2, found
        return found[0] if found else None

    said: str = await observer.until(reason)
    return said


@everyKind
@inReactor
async def test_heartbeat(name: str, kind: str) -> None:
    """
    The server pings as often as it says, and who answers stays.
    """
    async with scene(name, kind, 0.06, 4) as made:
        socket = await made.open()
        await socket.happens("ping", 4)
        assert await socket.ask("where") == "/"
        assert socket.details("disconnect") == []


@inReactor
async def test_silentClients(name: str) -> None:
    """
    Clients that fall silent have timed out, on each transport, after the interval
    and the time for the answer; later they come again.
    """
    async with scene(name, "websocket", 0.1, 3) as made:
        observer = await made.observer()
        async with clients(isKept=False) as others:
            silent = await ofEachKind(made, clients=others)
            others.pause()
            for socket in silent:
                assert await gone(observer, socket) == "ping timeout"
            others.resume()
            for socket in silent:
                await socket.happens("connect", 2)
        assert observer.details("disconnect") == []


async def ofEachKind(made: Scene, **settings: Any) -> list[Socket]:
    """
    Open a client of each kind that speaks with the server as text.
    """
    opened = [await made.open(kind, **settings) for kind in KINDS[:3]]
    await opened[2].happens("upgrade")
    return opened


@asynccontextmanager
async def behindNetwork(
    name: str, kind: str, *ping: float
) -> AsyncIterator[tuple[Scene, Proxy]]:
    """
    Have a server and, between it and its clients, a network that can be broken.
    """
    async with scene(name, kind, *ping) as made:
        port = int(made.server.url(kind).rpartition(":")[2])
        async with proxy(port) as network:
            yield made, network


@inReactor
async def test_silentServer(name: str) -> None:
    """
    Clients notice that the server is silent, and come again when the network is
    well; what they said meanwhile comes too.
    """
    async with behindNetwork(name, "websocket", 0.1, 1) as (made, network):
        soon = {"timeout": 500}
        sockets = await ofEachKind(made, port=network.port, options=soon)
        network.hold()
        for socket in sockets:
            assert await socket.happens("disconnect") == ["ping timeout"]
            await socket.emit("echo", "meanwhile")
        await network.heal()
        for socket in sockets:
            assert await socket.hears("echo") == ["meanwhile"]


@inReactor
async def test_noNetwork(name: str) -> None:
    """
    Clients whose connections break, and who are refused for a while, come again.
    """
    # Whoever does not poll just then is missed when a ping is not answered.
    async with behindNetwork(name, "websocket", 1, 4) as (made, network):
        sockets = await ofEachKind(made, port=network.port)
        await network.refuse()
        await network.cut()
        for socket in sockets:
            (reason,) = await socket.happens("disconnect")
            assert reason in ("transport close", "transport error")
            await socket.happens("reconnect_attempt", 2)
        await network.listen()
        for socket in sockets:
            await socket.happens("connect", 2)
            assert await socket.ask("where") == "/"
