"""
Nothing is lost: sockets, pages and processes that count in one session.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, gatherResults

from tests.support.servers import VERBS, inReactor, twistd
from tests.support.visitors import Socket, Visitor


TIMES = 200


async def count(socket: Socket, verb: str, key: str = "n") -> None:
    """
    Count to C{TIMES}, without waiting for any answer.
    """
    socket.say(*[[verb, key]] * TIMES)
    await socket.until(lambda: len(socket.received) == TIMES or socket.closed)
    assert socket.closed is None


async def browse(visitor: Visitor, *keys: str) -> None:
    """
    Count by requests, one after the other.
    """
    for key in keys:
        answer = await visitor.post(f"/add?{key}")
        assert answer.code == 200, answer


async def together(*works: object) -> None:
    """
    Do several things at once.
    """
    await gatherResults(
        [Deferred.fromCoroutine(work) for work in works],  # type: ignore[arg-type]  # Coroutines of any kind.
        consumeErrors=True,
    )


async def begin(port: int) -> Visitor:
    """
    Have a session.
    """
    visitor = Visitor(port)
    await visitor.post("/add?visits")
    return visitor


def stores(directory: Path) -> Sequence[str]:
    return "memory:", f"sqlite:{directory / 'sessions.db'}"


@pytest.mark.parametrize("store", [0, 1], ids=["memory", "sqlite"])
@inReactor
async def test_twoSockets(store: int, tmp_path: Path) -> None:
    """
    Two sockets of one session, each with 200 messages sent without waiting and
    a handler that just adds one: 400.  What pages put under other keys
    meanwhile is there as well.
    """
    where = stores(tmp_path)[store]
    async with twistd(*VERBS, "--per-message", "--store", where) as server:
        visitor = await begin(server.port)
        one, two = await visitor.connect(), await visitor.connect()
        await together(
            count(one, "add"),
            count(two, "add"),
            browse(visitor, *["page"] * 30),
            browse(visitor, *[f"key{n}" for n in range(30)]),
        )
        session = (await visitor.get("/session")).value
        assert session.pop("n") == 2 * TIMES
        assert session.pop("page") == 30
        assert session == {"visits": 1, **{f"key{n}": 1 for n in range(30)}}
        assert sorted(one.received + two.received) == list(range(1, 2 * TIMES + 1))


@inReactor
async def test_twoProcesses(tmp_path: Path) -> None:
    """
    Two processes with one file: what C{increment} adds is added on both, with
    pages at work on both.
    """
    options = [*VERBS, "--per-message", "--store", stores(tmp_path)[1]]
    async with twistd(*options) as here, twistd(*options) as there:
        visitor = await begin(here.port)
        other = Visitor(there.port, visitor.cookies["connect.sid"])
        one, two = await visitor.connect(), await other.connect()
        await together(
            count(one, "increment"),
            count(two, "increment"),
            browse(visitor, *["page"] * 15, *[f"here{n}" for n in range(15)]),
            browse(other, *["page"] * 15, *[f"there{n}" for n in range(15)]),
        )
        expected = {"visits": 1, "n": 2 * TIMES, "page": 30}
        expected |= {f"{who}{n}": 1 for who in ("here", "there") for n in range(15)}
        assert (await visitor.get("/session")).value == expected
        assert (await other.get("/session")).value == expected


@inReactor
async def test_fresh(tmp_path: Path) -> None:
    """
    A message sees what a page of another process has answered before, and a
    page what a socket has.
    """
    options = [*VERBS, "--per-message", "--store", stores(tmp_path)[1]]
    async with twistd(*options) as here, twistd(*options) as there:
        visitor = await begin(here.port)
        socket = await Visitor(there.port, visitor.cookies["connect.sid"]).connect()
        for number in range(0, 20, 2):
            assert (await visitor.post("/add?n")).value == number + 1
            assert await socket.ask(["get", "n"]) == number + 1
            assert await socket.ask(["add", "n"]) == number + 2
            assert (await visitor.get("/session")).value["n"] == number + 2
