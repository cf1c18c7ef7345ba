"""
Sessions of a real Express, in a real Redis, with the official client of Socket.IO.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.e2e.socketio.node import Node
from tests.support.expresses import PROGRAM, expressIsThere
from tests.support.redisserver import RedisServer, sharedServer
from tests.support.servers import PATIENCE, SECRET, inReactor, mint, reactor
from tests.support.socketioclients import (
    KINDS,
    Clients,
    Socket,
    clients,
    socketIOIsThere,
)
from tests.support.socketioservers import inGroup, nodes
from tests.support.visitors import Socket as PlainSocket
from tests.support.visitors import Visitor
from tests.support.webapplications import running
from txsessionsock.credentials import InBand
from txsessionsock.frameworks.express import Express
from txsessionsock.limits import Limits
from txsessionsock.session.journal import STAMP


pytestmark = [pytest.mark.redis, socketIOIsThere]

everyKind = pytest.mark.parametrize("kind", KINDS)
bothModes = pytest.mark.parametrize("perMessage", [False, True])

TIMES = 200
"""
How often each of two clients counts.
"""


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
    def stored(self) -> dict[str, Any]:
        """
        What another program finds in the only session.
        """
        (key,) = self.redis.command("KEYS", "sess:*")
        data: dict[str, Any] = json.loads(self.redis.command("GET", key))
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


async def express(shop: Shop) -> dict[str, Any]:
    """
    What the application has in the session.
    """
    session: dict[str, Any] = (await shop.pages.get("/session")).value
    session.pop(STAMP, None)
    return session


async def eventually(find: Any, expected: object) -> None:
    """
    Wait until something is as it has to be.
    """
    end = reactor.seconds() + PATIENCE
    while (found := await find()) != expected:
        assert reactor.seconds() < end, f"still {found}, not {expected}"
        await deferLater(reactor, 0.01)


@pytest.mark.webapps
@expressIsThere
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


@pytest.mark.parametrize(
    ("second", "number"), [*zip(KINDS, [1] * len(KINDS), strict=True), ("upgrade", 2)]
)
@inReactor
async def test_increments(second: str, number: int) -> None:
    """
    Two clients of a session count at the same time, on one node or on two: 400 of
    400 are stored, and each answer is another number if one process gives them.
    """
    async with alone(number) as made:
        counting = [
            await made.open("websocket"),
            await made.open(second, number - 1),
        ]
        answers = await gatherResults(
            Deferred.fromCoroutine(each.askMany("increment", "n", times=TIMES))
            for each in counting
        )
        assert made.stored["n"] == 2 * TIMES
        if number == 1:
            given = sorted(number for each in answers for number in each)
            assert given == list(range(1, 2 * TIMES + 1))


@everyKind
@inReactor
async def test_besidePlain(kind: str) -> None:
    """
    A client and a plain socket of the same session count at the same time: 400 of
    400.
    """
    async with alone() as made:
        plain = await made.plain()
        socket = await made.open(kind)
        for _ in range(TIMES):
            plain.say(["increment", "n"])
        answers = await socket.askMany("increment", "n", times=TIMES)
        await plain.until(lambda: len(plain.received) == TIMES)
        assert made.stored["n"] == 2 * TIMES
        numbers = sorted([*answers, *plain.received])
        assert numbers == list(range(1, 2 * TIMES + 1))


@pytest.mark.webapps
@expressIsThere
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


@pytest.mark.webapps
@expressIsThere
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


@inReactor
async def test_login() -> None:
    """
    A login that gives the session a new id closes the connections on its node; the
    clients come again by themselves, with the new cookie, as in a browser.  To
    another node it looks like a logout.
    """
    async with alone(2) as made:
        # Those of the client itself, so that the page has its cookie by then.
        slow = {"reconnectionDelay": 1000, "reconnectionDelayMax": 5000}
        sockets = await made.everywhere(options=slow)
        here, elsewhere = sockets[: len(KINDS)], sockets[len(KINDS) :]
        assert await sockets[0].ask("add", "n") == 1
        await made.pages.post("/login?ann")
        for socket in sockets:
            await socket.change(headers={"Cookie": made.pages.cookie})
        for socket in here:
            assert await socket.happens("disconnect") == ["transport close"]
        for socket in elsewhere:
            assert await socket.happens("disconnect") == ["io server disconnect"]
            await socket.connect()
        for socket in sockets:
            await socket.happens("connect", 2)
            assert await socket.ask("get", "user") == "ann"
            assert await socket.ask("get", "n") == 1
            assert socket.details("connect_error") == []


@inReactor
async def test_outage() -> None:
    """
    While the Redis is down, nobody is told that there is no session: the clients
    are closed or refused, try again by themselves, and are there when it is back.
    """
    with RedisServer() as redis:
        async with alone(redis=redis) as made:
            sockets = await made.everywhere()
            store = made.nodes[0].store
            late = [f"connect.sid={await mint(store, {})}" for _ in KINDS]
            redis.command("SAVE")
            redis.stop()
            opened = [
                await made.open(kind, cookie=cookie, isConnected=False)
                for kind, cookie in zip(KINDS, late, strict=True)
            ]
            for socket in sockets:
                await socket.emit("add", "n")
            for socket in opened:
                await socket.happens("reconnect_attempt")
            for socket in sockets:
                await socket.happens("disconnect")
            redis.start()
            for socket in [*sockets, *opened]:
                await socket.happens("connect", 1 + (socket in sockets))
                assert await socket.ask("add", "n")
                assert refusals(socket) == []


def refusals(socket: Socket) -> list[list[Any]]:
    """
    What a client was told by the server when it wanted to connect.
    """
    network = "xhr poll error", "websocket error", "timeout"
    errors = socket.details("connect_error")
    return [each for each in errors if each[0] not in network]


@everyKind
@inReactor
async def test_storedFirst(kind: str) -> None:
    """
    While the Redis hangs, nothing that a handler sends goes out, neither its
    events nor its answer; both do when what it changed is stored.
    """
    with RedisServer() as redis:
        async with alone(redis=redis) as made:
            socket, other = [await made.open(kind) for _ in "ab"]
            assert await socket.ask("add", "n") == 1
            redis.pause()
            asking = socket.askAll("add", "n")
            await socket.emit("echo", "behind it")
            # What is not of the session goes on.
            assert not await other.asks(300, "add", "m")
            assert socket.events("echo") == []
            redis.resume()
            assert await asking == [2]
            assert await socket.hears("echo") == ["behind it"]
            assert made.stored["n"] == 2


@everyKind
@inReactor
async def test_hub(kind: str) -> None:
    """
    What is sent to a user reaches clients and plain sockets on both nodes, once.
    """
    async with alone(2) as made:
        sockets = [await made.open(kind, node) for node in range(2)]
        plain = await made.plain()
        await sockets[0].askAll("login", "ann")
        for node in made.nodes:
            await inGroup(node.hub.by("user", "ann"), [1, 2])
        await made.nodes[1].hub.by("user", "ann").send({"hello": [1]})
        assert await plain.next() == {"hello": [1]}
        for socket in sockets:
            assert await socket.hears("message") == [{"hello": [1]}]
            await socket.ask("where")
            assert len(socket.events("message")) == 1


@pytest.mark.parametrize(
    "said",
    [
        ["connect_with_session", {"__sid": None}],
        ["message", {"__sid": None, "connect": 1}],
    ],
)
@bothModes
@everyKind
@inReactor
async def test_inBand(said: list[Any], kind: str, perMessage: bool) -> None:
    """
    A client names its session in its first event, as those of socket.io-sessions
    do; what is no session is refused with the reason.
    """
    settings = {"perMessage": perMessage, "credentials": [InBand()]}
    async with alone(**settings) as made:
        for value in made.pages.cookies["connect.sid"], "s:x.y":
            socket = await made.open(kind, cookie="a=b")
            name, argument = said
            await socket.emit(name, {**argument, "__sid": value})
            if value == "s:x.y":
                told = {"reason": "bad-signature"}
                assert await socket.hears("sinvalid") == [told]
                assert await socket.happens("disconnect") == ["io server disconnect"]
            else:
                assert await socket.ask("add", "n") == 1


@everyKind
@inReactor
async def test_inBandTooLate(kind: str) -> None:
    """
    A client that does not name its session in time is disconnected.
    """
    settings = {
        "credentials": [InBand()],
        "limits": Limits(handshakeTimeout=0.3),
    }
    async with alone(**settings) as made:
        socket = await made.open(kind, cookie="a=b")
        assert await socket.happens("disconnect") == ["io server disconnect"]
        assert await socket.hears("sinvalid") == [{"reason": "timeout"}]


@everyKind
@inReactor
async def test_tooMany(kind: str) -> None:
    """
    A session with as many sockets as it may have gets no more.
    """
    async with alone(limits=Limits(socketsPerSession=1)) as made:
        await made.open(kind)
        more = await made.open(kind, isConnected=False)
        message, _ = await more.happens("connect_error")
        assert message == "session-limit"
