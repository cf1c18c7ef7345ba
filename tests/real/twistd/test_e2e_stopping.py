"""
A server that is killed, and one that is asked to end.
"""

from __future__ import annotations

import random
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from tests.support.servers import (
    SECRET,
    VERBS,
    Conditions,
    Twistd,
    inReactor,
    mint,
    reactor,
    twistd,
)
from tests.support.visitors import Socket, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.stores.sqlite import SQLiteStore


SOCKETS = 500
ROUNDS = 4


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SQLiteStore]:
    """
    Look into a file of sessions.
    """
    store = SQLiteStore(str(path), reactor)
    try:
        yield store
    finally:
        await store.close()


async def stored(store: SQLiteStore, cookie: str) -> dict[str, Any]:
    """
    What a session holds.
    """
    framework = Express(SECRET)
    now = reactor.seconds()
    found = await store.load(framework.key(framework.sessionID(cookie, now)))
    assert found is not None, "the session is gone"
    return framework.loads(found.raw, now).data


class Traffic(Conditions):
    """
    Clients that send the next message as soon as they have an answer, and
    three more in advance.  Two have each session, and count to keys of their
    own and to one that they share.
    """

    def __init__(self, cookies: list[str]) -> None:
        super().__init__()
        self.cookies = cookies
        self.answers: dict[tuple[str, str], int] = {}
        self.total = 0

    async def begin(self, port: int) -> list[Socket]:
        """
        Connect, and begin.
        """
        sockets = []
        for cookie in self.cookies:
            for name in "a", "b":
                socket = await Visitor(port, cookie).connect()
                sockets.append(socket)
                Deferred.fromCoroutine(self._talk(socket, cookie, name)).addErrback(
                    Failure.trap, AssertionError
                )
        return sockets

    async def _talk(self, socket: Socket, cookie: str, name: str) -> None:
        messages = [["add", name], ["increment", "both"]]
        socket.say(*messages * 2)
        while True:
            for verb, key in messages:
                answer = await socket.next()
                known = self.answers.get((cookie, key), 0)
                self.answers[cookie, key] = max(answer, known)
                self.total += 1
                if socket.closed is None:
                    socket.say([verb, key])
            self.happened()


async def crash(server: Twistd, traffic: Traffic, store: SQLiteStore) -> int:
    """
    Kill a server in the middle of traffic.

    @return: How many answers there were before.
    """
    before = traffic.total
    sockets = await traffic.begin(server.port)
    enough = before + random.randrange(20, 400)
    await traffic.until(lambda: traffic.total >= enough)
    server.signal("KILL")
    assert await server.ends() == -9
    for socket in sockets:
        await socket.closes()
    for cookie in traffic.cookies:
        session = await stored(store, cookie)
        for (owner, key), answer in traffic.answers.items():
            if owner == cookie:
                assert session[key] >= answer, f"{key}: {answer} was acknowledged"
    return traffic.total - before


@inReactor
async def test_killed(tmp_path: Path) -> None:
    """
    No client of a server that was killed had an answer whose change is not
    stored, at whatever moment that was, and its session goes on from there.
    """
    path = tmp_path / "sessions.db"
    options = (*VERBS, "--per-message", "--store", f"sqlite:{path}")
    async with opened(path) as store:
        traffic = Traffic([await mint(store, {}) for _ in range(4)])
        answers = []
        for _ in range(ROUNDS):
            async with twistd(*options) as server:
                answers.append(await crash(server, traffic, store))
    print(f"killed {ROUNDS} times, after {answers} answers: all of them stored")


@pytest.mark.parametrize("mode", [[], ["--per-message"]], ids=["connection", "message"])
@inReactor
async def test_terminated(mode: list[str], tmp_path: Path) -> None:
    """
    SIGTERM with 500 sockets, each of a session that was just changed: all are
    closed with 1001, all sessions are stored, and the process ends by itself
    within the drain time.
    """
    enoughFiles()
    path = tmp_path / "sessions.db"
    async with opened(path) as store:
        minting = [Deferred.fromCoroutine(mint(store, {})) for _ in range(SOCKETS)]
        cookies: list[str] = await gatherResults(minting)
        async with twistd(*VERBS, *mode, "--store", f"sqlite:{path}") as server:
            sockets = [await Visitor(server.port, each).connect() for each in cookies]
            for socket in sockets:
                socket.say(["add", "n"], ["add", "n"])
            for socket in sockets:
                assert [await socket.next(), await socket.next()] == [1, 2]
                socket.say(["add", "last"])
                await socket.next()
            began = reactor.seconds()
            server.signal("TERM")
            codes = {await socket.closes() for socket in sockets}
            # How Twisted ends after SIGTERM: well, and then by that very signal.
            assert await server.ends() == -15
            assert "Server Shut Down." in server.log
            took = reactor.seconds() - began
        sessions = [await stored(store, cookie) for cookie in cookies]
    assert codes == {(1001, "server going away")}
    assert sessions == [{"n": 2, "last": 1}] * SOCKETS
    assert took < 10, took
    assert "gave up" not in server.log
    print(f"SIGTERM, {SOCKETS} sockets: ended after {took:.2f} s")


def enoughFiles() -> None:
    """
    This process and the server, which inherits it, need a file for each socket.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    assert most == resource.RLIM_INFINITY or most > SOCKETS + 100
