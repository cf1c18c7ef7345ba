"""
Sessions of a real Express, in a real Redis, with the official client of Socket.IO.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.support.expresses import expressIsThere
from tests.support.servers import PATIENCE, inReactor, mint, reactor
from tests.support.socketioclients import KINDS, socketIOIsThere
from tests.support.socketioshop import Shop, shop
from txsessionsock.session.journal import STAMP


pytestmark = [
    pytest.mark.redis,
    pytest.mark.webapps,
    expressIsThere,
    socketIOIsThere,
]

everyKind = pytest.mark.parametrize("kind", KINDS)
bothModes = pytest.mark.parametrize("perMessage", [False, True])


async def express(shop: Shop) -> dict[str, Any]:
    """
    What the application has in the session.
    """
    session: dict[str, Any] = (await shop.pages.get("/session")).value
    session.pop(STAMP, None)
    return session


async def eventually(find: Callable[[], Awaitable[object]], expected: object) -> None:
    """
    Wait until something is as it has to be.
    """
    end = reactor.seconds() + PATIENCE
    while (found := await find()) != expected:
        assert reactor.seconds() < end, f"still {found}, not {expected}"
        await deferLater(reactor, 0.01)


@bothModes
@everyKind
@inReactor
async def test_shared(kind: str, perMessage: bool) -> None:
    """
    What Express writes, handlers read, and what they write, Express reads: before
    the answer is there in one mode, when the client has left at the latest in the
    other.  A logout disconnects the client, which does not come again by itself,
    and is not let in.
    """
    async with shop(perMessage=perMessage) as made:
        socket = await made.open(kind)
        assert await socket.ask("get", "user") == "ann"
        assert await socket.ask("add", "n") == 1
        if not perMessage:
            await socket.disconnect()
            seen = {"user": "ann", "n": 1, "left": "client namespace disconnect"}
            await eventually(lambda: express(made), seen)
            await socket.connect()
            await socket.happens("connect", 2)
        assert (await express(made))["n"] == 1
        await made.pages.post("/add?n")
        if perMessage:
            assert await socket.ask("get", "n") == 2
        else:
            await eventually(lambda: socket.ask("get", "n"), 2)
        await made.pages.post("/logout")
        assert await socket.happens("disconnect", 2 - perMessage) == [
            "io server disconnect"
        ]
        await socket.connect()
        assert await socket.happens("connect_error") == [
            "sinvalid",
            {"reason": "unknown"},
        ]
        assert socket.details("reconnect_attempt") == []


@bothModes
@inReactor
async def test_logout(perMessage: bool) -> None:
    """
    A logout, which is the end of a key in Redis, disconnects the clients of the
    session on both nodes, on each transport, and nobody else; none of them comes
    again by itself.
    """
    async with shop(2, perMessage=perMessage) as made:
        sockets = await made.everywhere()
        plain = [await made.plain(node) for node in range(2)]
        for number, each in enumerate(plain, 1):
            # With its first answer it has its session.
            assert await each.ask(["increment", "n"]) == number
        stranger = await mint(made.nodes[0].store, {})
        other = await made.open("websocket", 1, cookie=f"connect.sid={stranger}")
        await made.pages.post("/logout")
        for socket in sockets:
            assert await socket.happens("disconnect") == ["io server disconnect"]
            assert not (await socket.state())["active"]
        for each in plain:
            assert await each.closes() == (4401, "session-destroyed")
        assert await other.ask("add", "n") == 1
        assert other.details("disconnect") == []
        assert not any(socket.details("reconnect_attempt") for socket in sockets)


@everyKind
@inReactor
async def test_again(kind: str) -> None:
    """
    A client that comes again has its session as it is then; with the cookie of a
    later login, that one; and with the old cookie none.
    """
    async with shop() as made:
        socket, old = await made.open(kind), made.pages.cookie
        assert await socket.ask("add", "n") == 1
        await socket.emit("close")
        await made.pages.post("/add?n")
        await socket.happens("connect", 2)
        assert await socket.ask("get", "n") == 2
        await made.pages.post("/logout")
        await socket.happens("disconnect", 2)
        await made.pages.post("/login?bob")
        await socket.change(headers={"Cookie": made.pages.cookie})
        await socket.connect()
        await socket.happens("connect", 3)
        assert await socket.ask("get", "user") == "bob"
        again = await made.open(kind, cookie=old, isConnected=False)
        assert (await again.happens("connect_error"))[0] == "sinvalid"
