"""
C{twistd sessionsock --metrics --health}: what those see who watch over a server, in
one process and with workers, while it ends, while the store is away, and when a
worker is killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.real.twistd.test_e2e_workers import manned, readied, visitorOf, workersAt
from tests.support.figures import OPEN, Read, read
from tests.support.redisserver import RedisServer
from tests.support.servers import VERBS, Twistd, inReactor, reactor, twistd
from tests.support.visitors import Visitor


METRICS = "--metrics=tcp:0:interface=127.0.0.1"

_OFTEN = 0.1

_PATIENCE = 400
"""
How often to look, before something should have happened.
"""


class Watcher:
    """
    Watches over a server.
    """

    def __init__(self, server: Twistd) -> None:
        self._visitor = Visitor(server.ports[-1])

    async def code(self, path: str) -> int:
        """
        What a place answers.
        """
        return (await self._visitor.get(path)).code

    async def figures(self, **headers: str) -> Read:
        """
        All figures.
        """
        answer = await self._visitor.get("/metrics", **headers)
        assert answer.code == 200
        (kind,) = answer.headers.getRawHeaders(b"content-type", [])
        return read(answer.body, kind.decode())

    async def until(
        self, condition: Callable[[Read], bool], before: Read | None = None
    ) -> Read:
        """
        Look until the figures are as they should be.  None that may only go up goes
        down meanwhile.
        """
        for _ in range(_PATIENCE):
            found = await self.figures()
            if before is not None:
                now = found.counts()
                for key, value in before.counts().items():
                    assert now[key] >= value, (key, value, now[key])
            before = found
            if condition(found):
                return found
            await deferLater(reactor, _OFTEN)
        raise AssertionError("waited in vain")


async def eventually(ask: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """
    Ask until the answer is the right one.
    """
    for _ in range(_PATIENCE):
        if await ask() == wanted:
            return
        await deferLater(reactor, _OFTEN)
    raise AssertionError(f"waited in vain for {wanted}")


@asynccontextmanager
async def watched(*options: str, **more: Any) -> AsyncIterator[tuple[Twistd, Watcher]]:
    """
    Run a server in one process, with a port for figures.
    """
    async with twistd(*VERBS, METRICS, *options, **more) as server:
        await server.until(lambda: len(server.ports) == 2)
        yield server, Watcher(server)


@inReactor
async def test_one() -> None:
    """
    A server has figures at a port of its own, and health there and, if that is said,
    in the site; and no figures in the site.
    """
    async with watched("--health=health", "--per-message") as (server, watcher):
        visitor = await visitorOf(server)
        socket = await visitor.connect()
        for _ in range(3):
            await socket.ask(["get", "visits"])
        found = await watcher.figures(Accept=OPEN)
        assert found("processes") == found("sockets") == found("sessions") == 1
        assert found("messages_total") == 3
        assert found("saves_total") == 1
        assert found("handler_seconds_count") >= 3
        for path in "/live", "/ready":
            assert await watcher.code(path) == 200
            assert (await visitor.get(f"/health{path}")).code == 200
        assert (await visitor.get("/health")).code == 404
        for path in "/metrics", "/health/metrics", "/live":
            answer = await visitor.get(path)
            assert b"sessionsock_" not in answer.body
            assert b"alive" not in answer.body
        socket.sendClose(1000)
        await socket.closes()
        assert (await watcher.figures())("closes_total", code="1000") == 1


@inReactor
async def test_drains() -> None:
    """
    While it ends, it lives and is not ready, and its figures are there.
    """
    async with watched("--drain=20") as (server, watcher):
        visitor = await visitorOf(server)
        socket = await visitor.connect()
        # A client that does not answer the good-bye, so that it has to be waited for.
        socket.transport.pauseProducing()
        server.signal("TERM")
        await eventually(lambda: watcher.code("/ready"), 503)
        assert await watcher.code("/live") == 200
        assert (await watcher.figures())("ending") == 1
        socket.transport.resumeProducing()
        assert await server.ends() == -signal.SIGTERM


@inReactor
async def test_public() -> None:
    """
    It does not start where figures would be public.
    """
    options = "--listen=tcp:18431", "--metrics=tcp:18431"
    async with twistd(*VERBS, *options, listen=0) as server:
        assert await server.ends() == 1
        assert "is where everybody is served" in server.errors


@pytest.mark.redis
@inReactor
async def test_away() -> None:
    """
    While Redis is stopped, a server lives and is not ready; when it is back, so is the
    server, though nobody came.
    """
    with RedisServer(keepsData=True) as redis:
        store = f"--store=redis://127.0.0.1:{redis.port}/0"
        async with watched(store, "--health=health") as (server, watcher):
            site = Visitor(server.port)
            assert await watcher.code("/ready") == 200
            redis.stop()
            await eventually(lambda: watcher.code("/ready"), 503)
            assert (await site.get("/health/ready")).code == 503
            assert await watcher.code("/live") == 200
            found = await watcher.figures()
            assert found("store_away") == 1
            assert found("store_failures_total") >= 1
            assert "the session store failed" in server.log
            redis.start()
            await eventually(lambda: watcher.code("/ready"), 200)
            assert (await site.get("/health/ready")).code == 200
            assert (await watcher.figures())("store_away") == 0
            assert "the session store is back" in server.log


@pytest.mark.redis
@inReactor
async def test_awayOfWorkers(tmp_path: Path) -> None:
    """
    The same with workers, who tell their parent.
    """
    with RedisServer(keepsData=True) as redis:
        store = f"--store=redis://127.0.0.1:{redis.port}/0"
        async with workersAt(tmp_path, METRICS, store) as server:
            watcher = Watcher(server)
            await eventually(lambda: watcher.code("/ready"), 200)
            redis.stop()
            await eventually(lambda: watcher.code("/ready"), 503)
            assert (await watcher.figures())("store_away") == 2
            redis.start()
            await eventually(lambda: watcher.code("/ready"), 200)


@inReactor
async def test_workers(tmp_path: Path) -> None:
    """
    With workers, the figures are the sums of all.  A worker that is killed takes its
    sockets out of them, what it had counted is there once, and no counter ever goes
    down; so it is with all that are replaced.
    """
    async with workersAt(tmp_path, METRICS) as server:
        watcher = Watcher(server)
        visitor = await visitorOf(server)
        sockets = await manned(visitor, 16)
        assert len(sockets) == 2
        both = await watcher.until(lambda found: found("messages_total") == 16)
        assert both("processes") == 2
        assert both("sockets") == both("connects_total") == 16
        first, *_ = sockets
        os.kill(first, signal.SIGKILL)
        await server.until(lambda: len(readied(server)) == 3)
        left = 16 - len(sockets.pop(first))
        one = await watcher.until(
            lambda found: (found("processes"), found("sockets")) == (2, left), both
        )
        assert one("messages_total") == one("connects_total") == 16
        server.signal("HUP")
        await server.until(lambda: len(readied(server)) == 5)
        none = await watcher.until(
            lambda found: (found("processes"), found("sockets")) == (2, 0), one
        )
        assert none("messages_total") == 16
        # Those that were asked to end told all that they had counted.
        assert none("closes_total", code="1001") == left
        assert await watcher.code("/ready") == 200


@inReactor
async def test_workersEnd(tmp_path: Path) -> None:
    """
    A parent whose workers end lives and is not ready.
    """
    async with workersAt(tmp_path, METRICS, "--drain=20") as server:
        watcher = Watcher(server)
        await eventually(lambda: watcher.code("/ready"), 200)
        visitor = await visitorOf(server)
        socket = await visitor.connect()
        socket.transport.pauseProducing()
        server.signal("TERM")
        await eventually(lambda: watcher.code("/ready"), 503)
        assert await watcher.code("/live") == 200
        socket.transport.resumeProducing()
        assert await server.ends() == 0
