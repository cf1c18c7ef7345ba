"""
How many messages of a session, or of a user, are handled a second.
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from tests.real.twistd.test_e2e_counting import begin, together
from tests.support.servers import VERBS, inReactor, reactor, twistd
from tests.support.visitors import Socket, Visitor


RATE, BURST, TABS, EACH = 100, 10, 5, 60


async def all_(tab: Socket) -> None:
    """
    Wait for all answers.
    """
    await tab.until(lambda: len(tab.received) == EACH or tab.closed)
    assert tab.closed is None


async def slowest(socket: Socket, tabs: list[Socket]) -> float:
    """
    Ask one thing after the other while others are at work.

    @return: How long the slowest answer took.
    """
    longest = 0.0
    while not all(len(tab.received) == EACH for tab in tabs):
        began = reactor.seconds()
        await socket.ask(["increment", "x"])
        longest = max(longest, reactor.seconds() - began)
        pause: Deferred[None] = Deferred()
        reactor.callLater(0.02, pause.callback, None)
        await pause
    return longest


@pytest.mark.parametrize("mode", ["per-connection", "per-message"])
@inReactor
async def test_tabs(mode: str) -> None:
    """
    Five tabs of a session send at once what the session may in three seconds:
    all of it is handled, in order, at that rate; another session does not
    notice.
    """
    options = ["--session-rate", f"{RATE}/{BURST}"]
    options += ["--per-message"] * (mode == "per-message")
    async with twistd(*VERBS, *options) as server:
        visitor, other = await begin(server.port), await begin(server.port)
        tabs = [await visitor.connect() for _ in range(TABS)]
        socket = await other.connect()
        began = reactor.seconds()
        for tab in tabs:
            tab.say(*[["add", "n"]] * EACH)
        asking = Deferred.fromCoroutine(slowest(socket, tabs))
        await together(*map(all_, tabs))
        took = reactor.seconds() - began
        expected = (TABS * EACH - BURST) / RATE
        assert 0.9 * expected < took < 1.1 * expected
        for tab in tabs:
            assert tab.received == sorted(tab.received)
        answers = [number for tab in tabs for number in tab.received]
        assert sorted(answers) == list(range(1, TABS * EACH + 1))
        assert await asking < 0.5


@inReactor
async def test_user() -> None:
    """
    Two sessions of one user have one rate.
    """
    options = ["--per-message", "--user-rate", f"{RATE}/{BURST}"]
    async with twistd(*VERBS, *options) as server:
        sockets = []
        for _ in range(2):
            visitor = Visitor(server.port)
            await visitor.post("/login?jane")
            sockets.append(await visitor.connect())
        began = reactor.seconds()
        for socket in sockets:
            socket.say(*[["add", "n"]] * EACH)
        await together(*map(all_, sockets))
        took = reactor.seconds() - began
        expected = (2 * EACH - BURST) / RATE
        assert 0.9 * expected < took < 1.1 * expected
