"""
Sessions in a real Redis, with the official client of Socket.IO.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from tests.support.redisserver import RedisServer
from tests.support.servers import inReactor, mint
from tests.support.socketioclients import KINDS, Socket, socketIOIsThere
from tests.support.socketioservers import inGroup
from tests.support.socketioshop import alone
from txsessionsock.credentials import Bearer, Cookie, InBand, Ticket
from txsessionsock.limits import Limits


pytestmark = [pytest.mark.redis, socketIOIsThere]

everyKind = pytest.mark.parametrize("kind", KINDS)
bothModes = pytest.mark.parametrize("perMessage", [False, True])

TIMES = 200
"""
How often each of two clients counts.
"""


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


@pytest.mark.parametrize("freshness", ["strict", "tracked"])
@everyKind
@inReactor
async def test_storedFirst(kind: str, freshness: str) -> None:
    """
    While the Redis hangs, nothing that a handler sends goes out, neither its event
    nor its answer; both do when what it changed is stored.  With C{tracked}, the
    handler runs meanwhile.
    """
    with RedisServer() as redis:
        async with alone(redis=redis, freshness=freshness) as made:
            socket = await made.open(kind)
            assert await socket.ask("add", "n") == 1
            redis.pause()
            asking = Deferred.fromCoroutine(socket.ask("addLoudly", "n"))
            # Long enough for an answer, and not for the store to give up.
            assert not await socket.asks(300, "addLoudly", "n")
            assert socket.events("told") == []
            redis.resume()
            assert await asking == 2
            await socket.hears("told", 2)
            assert made.stored["n"] == 3


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
    async with alone(perMessage=perMessage, credentials=[InBand()]) as made:
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
    soon = Limits(handshakeTimeout=0.3)
    async with alone(credentials=[InBand()], limits=soon) as made:
        socket = await made.open(kind, cookie="a=b")
        assert await socket.happens("disconnect") == ["io server disconnect"]
        assert await socket.hears("sinvalid") == [{"reason": "timeout"}]


@everyKind
@inReactor
async def test_ticket(kind: str) -> None:
    """
    A client without a cookie shows a ticket, once; with another one it comes again.
    """
    async with alone(credentials=[Cookie(), Ticket()]) as made:
        manager = made.nodes[0].manager
        sessionID = manager.framework.sessionID(made.pages.cookies["connect.sid"], 0.0)

        async def ticket() -> dict[str, str]:
            return {"ticket": await manager.tickets().issue(sessionID)}

        first = await ticket()
        for auth in first, await ticket():
            socket = await made.open(kind, auth=auth)
            assert await socket.ask("get", "n") is None
        refused = await made.open(kind, auth=first, isConnected=False)
        message, data = await refused.happens("connect_error")
        assert (message, data) == ("sinvalid", {"reason": "unknown"})


@everyKind
@inReactor
async def test_bearer(kind: str) -> None:
    """
    A client of Node.js shows the signed value in a header; a bad one is refused.
    """
    async with alone(credentials=[Cookie(), Bearer()]) as made:
        value = made.pages.cookies["connect.sid"]
        headers = {"Authorization": f"Bearer {value}"}
        socket = await made.open(kind, cookie="", headers=headers)
        assert await socket.ask("add", "n") == 1
        bad = {"Authorization": f"Bearer {value}x", "Cookie": made.pages.cookie}
        refused = await made.open(kind, cookie="", headers=bad, isConnected=False)
        message, data = await refused.happens("connect_error")
        assert (message, data) == ("sinvalid", {"reason": "bad-signature"})


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
