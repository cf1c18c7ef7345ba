"""
Nodes on one Redis that take tickets: each is good once, on any of them.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from tests.support.redisprocesses import begin, nodes, together
from tests.support.redisserver import proxy, sharedServer
from tests.support.servers import inReactor
from tests.support.visitors import Refused, Socket, Visitor


pytestmark = pytest.mark.e2e

RACES = 20

SAID = {"X_Sessionsock": "ticket"}

WAYS = ("--tickets", "--bearer")


async def ticketFor(visitor: Visitor) -> str:
    """
    Get a ticket, as a page does.
    """
    path = "/sessionsock/ticket"
    answer = await visitor.send(path, b"", Origin=visitor.site, **SAID)
    assert answer.code == 200, answer
    assert answer.headers.getRawHeaders(b"cache-control") == [b"no-store"]
    ticket: str = answer.value["ticket"]
    return ticket


async def show(port: int, ticket: str) -> Socket:
    """
    Connect with a ticket, and no cookie.
    """
    names = ["sessionsock", f"base64url.ticket.{ticket}"]
    return await Visitor(port).connect(protocols=names)


async def outcome(socket: Socket) -> object:
    """
    What a socket is told: an answer, or why it is closed.
    """
    if socket.closed is None and socket.state == socket.STATE_OPEN:
        socket.say(["get", "user"])
    await socket.until(lambda: socket.received or socket.closed)
    return socket.closed or socket.received[0]


@inReactor
async def test_raced() -> None:
    """
    A ticket of one node is good on the other, with no cookie.  If it is shown on both
    at once, again and again, one has the session each time, and each of them may be
    it.  Redis keeps nothing of it, and the logs have none.
    """
    redis = sharedServer()
    _, cookie = begin(redis, user="al")
    tickets: list[str] = []
    async with nodes(2, redis.url, *WAYS) as members:
        one, other = (each.port for each in members)
        page = Visitor(one, cookie)
        tickets.append(await ticketFor(page))
        socket = await show(other, tickets[0])
        assert await outcome(socket) == "al"
        assert socket.websocket_protocol_in_use == "sessionsock"
        for _ in range(RACES):
            ticket = await ticketFor(page)
            tickets.append(ticket)
            both = await together(show(one, ticket), show(other, ticket))
            told = await together(*map(outcome, both))
            assert sorted(map(str, told)) == ["(4401, 'session-unknown')", "al"]
        for ticket in tickets:
            late = await show(one, ticket)
            assert await outcome(late) == (4401, "session-unknown")
    assert redis.command("KEYS", "sessionsock*ticket*") == []
    for each in members:
        assert not each.errors, each.errors
        assert not [ticket for ticket in tickets if ticket in each.log]


@inReactor
async def test_ended() -> None:
    """
    A ticket whose session ended on another node is worth nothing.
    """
    redis = sharedServer()
    key, cookie = begin(redis, user="al")
    async with nodes(2, redis.url, *WAYS) as members:
        one, other = (each.port for each in members)
        ticket = await ticketFor(Visitor(one, cookie))
        redis.command("DEL", key)
        assert await outcome(await show(other, ticket)) == (4401, "session-unknown")
        answer = await Visitor(one, cookie).send("/sessionsock/ticket", b"", **SAID)
        assert (answer.code, answer.value) == (401, {"reason": "unknown"})


@inReactor
async def test_outage() -> None:
    """
    While Redis does not answer, sockets with a ticket are told to come again, and
    pages get 503: nobody is told that there is no session.
    """
    redis = sharedServer()
    _, cookie = begin(redis, user="al")
    async with (
        proxy(redis.port) as line,
        nodes(1, f"redis://127.0.0.1:{line.port}", *WAYS) as (node,),
    ):
        page = Visitor(node.port, cookie)
        ticket = await ticketFor(page)
        line.hold()
        socket = await show(node.port, ticket)
        assert (await socket.closes())[0] == 1013
        answer = await page.send("/sessionsock/ticket", b"", **SAID)
        assert answer.code == 503
        line.release()
        await line.heal()
        assert await outcome(await show(node.port, await ticketFor(page))) == "al"


@inReactor
async def test_bearer() -> None:
    """
    A client that is no browser shows the signed value, in a header or as a
    subprotocol.  Nothing of it is in the log, and a bad one is refused beside a good
    cookie.
    """
    redis = sharedServer()
    _, cookie = begin(redis, user="al")
    async with nodes(1, redis.url, *WAYS) as (node,):
        visitor = Visitor(node.port)
        for value, told in (cookie, "al"), ("junk", (4401, "session-bad-signature")):
            encoded = urlsafe_b64encode(value.encode()).decode().rstrip("=")
            names = ["sessionsock", f"base64url.bearer.{encoded}"]
            browser = Visitor(node.port, cookie)
            for socket in await together(
                visitor.connect(Authorization=f"Bearer {value}"),
                visitor.connect(protocols=names),
                browser.connect(Authorization=f"Bearer {value}"),
            ):
                assert await outcome(socket) == told
            assert encoded not in node.log
        assert cookie not in node.log
        with pytest.raises(Refused):
            await visitor.connect(
                origin="https://evil.example", Authorization=f"Bearer {cookie}"
            )
