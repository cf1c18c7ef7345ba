"""
Logins that give a session a new id, on one node, while sockets on another one
count in it, and a web application writes it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.rediscase import Ear
from tests.support.redisserver import sharedServer
from tests.support.servers import (
    MODULES,
    SECRET,
    Conditions,
    inReactor,
    reactor,
    twistd,
)
from tests.support.visitors import Refused, Visitor
from txsessionsock._redis.address import RedisAddress
from txsessionsock._redis.link import Link
from txsessionsock.frameworks.express import Express


TIMES = 40
"""
How often the session gets another id.
"""

EACH = 5
"""
How often everybody has counted in a session before it gets another id.
"""

MORE_VERBS = (
    "--protocol",
    "e2e.moreverbs.MoreVerbs",
    "--class",
    "e2e.verbs.Pages",
    "--per-message",
)

ENVIRONMENT = {"PYTHONPATH": str(Path(MODULES).parent), "SESSIONSOCK_SECRET": SECRET}


class Counters(Conditions):
    """
    Everybody counts under a key of his own, as fast as there are answers, and
    follows the session wherever it goes.

    @ivar acknowledged: How often that was answered, by key.

    @ivar unanswered: How often it was not, so that nobody knows.
    """

    def __init__(self, port: int, cookie: str) -> None:
        super().__init__()
        self.port, self.cookie = port, cookie
        self.acknowledged: dict[str, int] = {}
        self.unanswered: dict[str, int] = {}
        self._isOver = False
        self._counting: list[Deferred[None]] = []

    def begin(self, verb: str) -> None:
        """
        Count by a socket.
        """
        self.acknowledged[verb] = 0
        self._counting.append(Deferred.fromCoroutine(self._count(verb)))

    async def _count(self, verb: str) -> None:
        while not self._isOver:
            try:
                socket = await Visitor(self.port, self.cookie).connect()
            except Refused:
                continue
            while not (self._isOver or socket.closed):
                socket.say([verb, verb])
                wanted = len(socket.received) + 1
                await socket.until(
                    lambda: len(socket.received) >= wanted or socket.closed  # noqa: B023  # Waited for here.
                )
                self._did(verb, len(socket.received) >= wanted)
            socket.sendClose()
            await socket.closes()

    def beginForeign(self, link: Link) -> None:
        """
        Count as web applications do: read the session, and write all of it a
        little later.
        """
        self.acknowledged["foreign"] = 0
        self._counting.append(Deferred.fromCoroutine(self._countForeign(link)))

    async def _countForeign(self, link: Link) -> None:
        express = Express(SECRET)
        while not self._isOver:
            await deferLater(reactor, 0.1)
            sessionID = express.sessionID(self.cookie, reactor.seconds())
            key = express.key(sessionID).encode()
            raw = await link.ask(b"GET", key)
            if raw is not None:
                session = json.loads(raw)
                session["foreign"] = session.get("foreign", 0) + 1
                await deferLater(reactor, 0.02)
                raw = json.dumps(session).encode()
                # Who writes a session that is gone has written another one.
                done = await link.ask(b"SET", key, raw, b"XX", b"KEEPTTL")
                self._did("foreign", done is not None)

    def _did(self, key: str, isDone: bool) -> None:
        self.acknowledged[key] += isDone
        self.unanswered[key] = self.unanswered.get(key, 0) + (not isDone)
        self.happened()

    async def more(self) -> None:
        """
        Wait until everybody has counted further.
        """
        wanted = {key: done + EACH for key, done in self.acknowledged.items()}
        await self.until(
            lambda: all(self.acknowledged[key] >= wanted[key] for key in wanted)
        )

    async def end(self) -> None:
        """
        Have everybody stop.
        """
        self._isOver = True
        await gatherResults(self._counting)


@asynccontextmanager
async def logins(url: str, times: int = TIMES) -> AsyncIterator[Counters]:
    """
    Two nodes: one logs in, again and again, and at the other one there are
    those who count.
    """
    options = [*MORE_VERBS, "--store", url]
    async with (
        twistd(*options, environment=ENVIRONMENT) as here,
        twistd(*options, environment=ENVIRONMENT) as there,
    ):
        visitor = Visitor(here.port)
        await visitor.post("/add?visits")
        counters = Counters(there.port, visitor.cookies["connect.sid"])
        yield counters
        for _ in range(times):
            await counters.more()
            answer = await visitor.post("/renew")
            assert answer.code == 200, answer
            counters.cookie = visitor.cookies["connect.sid"]
        await counters.end()
        session = (await visitor.get("/session")).value
        assert session.pop("visits") == 1
        for key, count in counters.acknowledged.items():
            assert count <= session[key] <= count + counters.unanswered[key]


@pytest.mark.parametrize(
    "kind", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)]
)
@inReactor
async def test_nothingLost(kind: str, tmp_path: Path) -> None:
    """
    What sockets of another node were told is stored is in the new session.
    """
    url = sharedServer().url if kind == "redis" else f"sqlite:{tmp_path / 'sessions'}"
    async with logins(url) as counters:
        counters.begin("increment")
        counters.begin("update")


@pytest.mark.redis
@inReactor
async def test_webApplication() -> None:
    """
    What a web application writes is in it as well.
    """
    url = sharedServer().url
    link = Link(RedisAddress.parse(url), Ear(), reactor)
    try:
        async with logins(url, 10) as counters:
            counters.begin("increment")
            counters.beginForeign(link)
    finally:
        await link.close()
