"""
C{twistd sessionsock --socketio} on real sockets.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.eventvisitors import PLACE, PollingClient, events
from tests.support.servers import SECRET, inReactor, mint, reactor, twistd
from tests.support.visitors import Refused, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.stores.sqlite import SQLiteStore


FIGS = ("--socketio", "--protocol", "figs.Figs")

BOTH = (*FIGS, "--protocol", "figs.Plain", "--per-message")


async def stored(directory: Path, **data: object) -> tuple[list[str], str]:
    """
    Put a session into a database.

    @return: The option that names that, and the session's cookie.
    """
    place = directory / "sessions.db"
    store = SQLiteStore(place, reactor)
    cookie = await mint(store, data, Express(SECRET))
    await store.close()
    return [f"--store=sqlite:{place}"], cookie


@inReactor
async def test_served(tmp_path: Path) -> None:
    """
    Clients of Socket.IO, by polling and by WebSocket, in two namespaces, and a plain
    WebSocket have one session.  With C{--recovery}, clients may come back.
    """
    place, cookie = await stored(tmp_path, user="ann")
    async with twistd(*BOTH, *place, "--recovery=60") as server:
        visitor = Visitor(server.port, cookie)
        polling = PollingClient(visitor)
        assert (await polling.open()).code == 200
        assert '"sid"' in await polling.says("40")
        assert await polling.says('421["add","figs"]') == "431[1]"
        socket = await events(visitor)
        assert '"pid"' in await socket.says("40")
        assert await socket.says('420["add","figs"]') == "430[2]"
        assert (await socket.says("40/news,")).startswith('40/news,{"sid"')
        assert await socket.says('42/news,7["add","figs"]') == "43/news,7[3]"
        plain = await visitor.connect()
        assert await plain.ask("figs") == 3
        # One hub has them all.
        socket.sendMessage(b'42["tell","ann",{"n":1}]')
        assert await plain.next() == {"n": 1}
        for beginning in "42", "42/news,":
            event = (await socket.next()).removeprefix(beginning)
            name, value, offset = json.loads(event)
            assert (name, value, type(offset)) == ("message", {"n": 1}, str)
        server.signal("TERM")
        assert (await socket.closes())[0] == 1001
        assert await server.ends() == -signal.SIGTERM


@inReactor
async def test_noSession() -> None:
    """
    Who has no session is refused, with the reason.
    """
    async with twistd(*FIGS) as server:
        socket = await events(Visitor(server.port))
        assert await socket.says("40") == (
            '44{"message":"sinvalid","data":{"reason":"missing"}}'
        )


@inReactor
async def test_scripts(tmp_path: Path) -> None:
    """
    The client for browsers is the user's own, and what is missing is said.
    """
    (tmp_path / "socket.io.js").write_text("var io;")
    options = ("--socketio-client", "socket.io.js")
    async with twistd(*FIGS, *options, cwd=tmp_path) as server:
        visitor = Visitor(server.port)
        assert (await visitor.get("/socket.io/socket.io.js")).body == b"var io;"
    async with twistd(*FIGS, cwd=tmp_path) as server:
        visitor = Visitor(server.port)
        answer = await visitor.get("/socket.io/socket.io.js")
        assert (answer.code, answer.body.count(b"npm install")) == (404, 1)
        await server.until(lambda: "npm install socket.io-client" in server.log)
        shims = await visitor.get("/socket.io/socket.io-sessions.js")
        assert b"io.connectWithSession" in shims.body


@inReactor
async def test_workers(tmp_path: Path) -> None:
    """
    Several processes serve WebSockets.  Long-polling, whose requests would come to
    any of them, is refused, and the log says what is right.
    """
    place, cookie = await stored(tmp_path)
    async with twistd(*BOTH, *place, "--workers=2") as server:
        right = 'transports: ["websocket"]'
        assert right in server.log
        visitor = Visitor(server.port, cookie)
        for n in range(1, 5):
            socket = await events(visitor)
            await socket.says("40")
            assert await socket.says('420["add","figs"]') == f"430[{n}]"
        answer = await PollingClient(visitor).open()
        assert (answer.code, answer.value["code"]) == (400, 0)
        assert "only websocket" in answer.value["message"]
        asked = "asked for long-polling"
        await server.until(lambda: asked in server.log)


@inReactor
async def test_knocks() -> None:
    """
    Without C{--socketio}, the log says what its clients need.
    """
    async with twistd("--protocol", "figs.Plain") as server:
        visitor = Visitor(server.port)
        assert (await visitor.get(f"{PLACE}polling")).code == 404
        await server.until(lambda: "(twistd: --socketio)" in server.log)
    async with twistd("--protocol", "figs.Plain") as server:
        with pytest.raises(Refused, match="404"):
            await Visitor(server.port).connect(f"{PLACE}websocket")
        await server.until(lambda: "(twistd: --socketio)" in server.log)
