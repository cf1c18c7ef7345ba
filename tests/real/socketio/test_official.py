"""
The official client of Socket.IO, on each transport and with each parser: beside
our server also the official one, so that what is expected is what that does.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support.servers import inReactor
from tests.support.socketioclients import KINDS, socketIOIsThere
from tests.support.socketioservers import SERVERS, scene


pytestmark = [
    socketIOIsThere,
    pytest.mark.parametrize("kind", KINDS),
    pytest.mark.parametrize("name", SERVERS),
]

ODD: list[Any] = [
    None,
    True,
    -1.5,
    2**53 - 1,
    "",
    "\N{SNOWMAN}\U0001f600\x00\x1e\u2028",
    [],
    {},
    {"a": [{"": None}], "_placeholder": False},
]

NESTED = {
    "list": [b"\x00\xff", {"deep": [bytes(range(256)) * 800, ["x", b""]]}],
    "text": "beside it",
}


@inReactor
async def test_cookie(name: str, kind: str) -> None:
    """
    The session is that of the cookie, and two clients with the same have one.
    """
    async with scene(name, kind) as made:
        cookie = f"connect.sid={await made.server.session()}"
        first, second = [await made.open(cookie=cookie) for _ in range(2)]
        stranger = await made.open()
        assert await first.ask("add", "n") == 1
        assert await second.ask("add", "n") == 2
        assert await stranger.ask("get", "n") is None


@inReactor
async def test_auth(name: str, kind: str) -> None:
    """
    Without a cookie, the session is that of the signed value in C{auth}.
    """
    async with scene(name, kind) as made:
        value = await made.server.session()
        first = await made.open(auth={"__sid": value})
        second = await made.open(cookie=f"connect.sid={value}")
        assert await first.ask("add", "n") == 1
        assert await second.ask("add", "n") == 2


@inReactor
async def test_authByFunction(name: str, kind: str) -> None:
    """
    C{auth} may be a function, which is asked again for the next connection.
    """
    async with scene(name, kind) as made:
        value = await made.server.session()
        socket = await made.open(auth={"__sid": value}, isAuthFunction=True)
        assert await socket.ask("add", "n") == 1
        await socket.drop()
        await socket.happens("connect", 2)
        assert await socket.ask("add", "n") == 2


@inReactor
async def test_events(name: str, kind: str) -> None:
    """
    Events come as they were sent, in both directions.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        await socket.emit("echo", *ODD)
        assert await socket.hears("echo") == ODD
        await socket.emit("echo")
        assert await socket.hears("echo", 2) == []


@pytest.mark.parametrize("handler", ["plain", "coroutine", "deferred"])
@inReactor
async def test_acks(handler: str, name: str, kind: str) -> None:
    """
    What a handler returns, now or later, is the answer; it may be several values.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        for values in (["x"], [1, {"a": [None]}], [b"\x00\x01", "and", b""], ODD):
            assert await socket.askAll(handler, *values) == values


@inReactor
async def test_calls(name: str, kind: str) -> None:
    """
    The server asks a client, which answers with bytes.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        values = ["text", b"\x00\xfe", {"in": [b"x", "y"]}]
        for value in values:
            await socket.emit("question", value)
        await socket.hears("answered", 3)
        assert socket.events("answered") == [[value] for value in values]


@inReactor
async def test_nestedBinary(name: str, kind: str) -> None:
    """
    So do bytes anywhere in a value, 200 KB of them.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        await socket.emit("echo", NESTED, os.urandom(0), "last")
        assert await socket.hears("echo") == [NESTED, b"", "last"]
        assert await socket.ask("plain", NESTED) == NESTED


@inReactor
async def test_inOrder(name: str, kind: str) -> None:
    """
    300 events of each side come once and in order.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        await socket.emit("count", 300)
        await socket.emitMany("take", 300)
        assert await socket.ask("taken") == list(range(300))
        await socket.hears("n", 300)
        assert socket.events("n") == [[n] for n in range(300)]


@inReactor
async def test_leave(name: str, kind: str) -> None:
    """
    Where the server disconnects a client, that does not come again by itself; it
    may when it is told to.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        await socket.emit("leave")
        assert await socket.happens("disconnect") == ["io server disconnect"]
        assert not (await socket.state())["active"]
        await socket.connect()
        await socket.happens("connect", 2)
        assert await socket.ask("where") == "/"
        assert socket.details("reconnect_attempt") == []


@inReactor
async def test_close(name: str, kind: str) -> None:
    """
    Where the server closes the connection, the client makes a new one.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        assert await socket.ask("add", "n") == 1
        old = (await socket.state())["id"]
        await socket.emit("close")
        assert await socket.happens("disconnect") == ["transport close"]
        await socket.happens("connect", 2)
        assert (await socket.state())["id"] != old
        assert await socket.ask("add", "n") == 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"auth": {}}, "missing"),
        ({"auth": {"__sid": "s:x.y"}}, "bad-signature"),
        ({"cookie": "connect.sid=s%3Ax.y"}, "bad-signature"),
    ],
)
@inReactor
async def test_invalid(
    wrong: dict[str, Any], reason: str, name: str, kind: str
) -> None:
    """
    A client without a session is told so, with the reason.  It does not try
    again by itself; with a session it comes in.
    """
    async with scene(name, kind) as made:
        socket = await made.open(**wrong, isConnected=False)
        message, data = await socket.happens("connect_error")
        assert (message, data) == ("sinvalid", {"reason": reason})
        assert not (await socket.state())["connected"]
        value = await made.server.session()
        how: Any = {"auth": {"__sid": value}}
        if "cookie" in wrong:
            how = {"headers": {"Cookie": f"connect.sid={value}"}}
        await socket.change(**how)
        await socket.connect()
        await socket.happens("connect")
        assert await socket.ask("add", "n") == 1
        assert socket.details("reconnect_attempt") == []


@inReactor
async def test_unknownNamespace(name: str, kind: str) -> None:
    """
    A namespace that the server has not is refused; the connection stays for
    those that it has.
    """
    async with scene(name, kind) as made:
        socket = await made.open(namespace="/nowhere", isConnected=False)
        assert await socket.happens("connect_error") == ["Invalid namespace", None]
        other = await made.open(beside=socket, namespace="/other")
        assert await other.ask("where") == "/other"


@inReactor
async def test_namespaces(name: str, kind: str) -> None:
    """
    Two namespaces of one connection have one session, and their own handlers;
    one is left without the other.
    """
    async with scene(name, kind) as made:
        main = await made.open()
        other = await made.open(beside=main, namespace="/other")
        assert [await each.ask("where") for each in (main, other)] == ["/", "/other"]
        assert await main.ask("add", "n") == 1
        assert await other.ask("add", "n") == 2
        engines = {(await each.state())["engine"] for each in (main, other)}
        assert len(engines) == 1
        await other.emit("leave")
        assert await other.happens("disconnect") == ["io server disconnect"]
        assert await main.ask("add", "n") == 3


@inReactor
async def test_dropped(name: str, kind: str) -> None:
    """
    A client that loses its connection makes a new one, and what it said while
    it had none is not lost.
    """
    async with scene(name, kind) as made:
        socket = await made.open()
        await socket.drop()
        assert await socket.happens("disconnect") == ["forced close"]
        await socket.emit("echo", "meanwhile")
        assert await socket.hears("echo") == ["meanwhile"]
        assert len(socket.details("connect")) == 2
