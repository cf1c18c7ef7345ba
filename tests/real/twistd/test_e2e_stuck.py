"""
A server that is asked to end while something does not: a store, a handler, a thread;
and one that is asked twice.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.real.twistd.test_e2e_stopping import opened, stored
from tests.support.redisserver import RedisServer, proxy
from tests.support.servers import (
    MODULES,
    SECRET,
    STARTING,
    Twistd,
    inReactor,
    program,
    reactor,
    twistd,
)
from tests.support.visitors import Socket, Visitor


pytestmark = pytest.mark.timed

STUCK = ("--protocol", "stuck.Stuck", "--class", "verbs.Pages")
PATHS = {
    "PYTHONPATH": os.pathsep.join([MODULES, str(Path(MODULES).parents[1])]),
    "SESSIONSOCK_SECRET": SECRET,
}

DRAIN = 2.0

SLACK = 4.0
"""
How many seconds more a server may take to be gone, on a machine that is loaded.
"""


@asynccontextmanager
async def served(*options: str, workers: int = 1, **more: Any) -> AsyncIterator[Twistd]:
    """
    Run a server.
    """
    arguments = (*STUCK, f"--drain={DRAIN}", f"--workers={workers}", *options)
    async with twistd(*arguments, environment=PATHS, **more) as server:
        ready = workers if workers > 1 else 0
        await server.until(
            lambda: server.log.count(" is ready\n") == ready, patience=STARTING
        )
        yield server


async def visited(server: Twistd) -> tuple[Visitor, Socket]:
    """
    Begin a session, and open a socket.
    """
    visitor = Visitor(server.port)
    await visitor.post("/add?n")
    socket = await visitor.connect()
    assert await socket.ask(["add", "n"]) == 2
    return visitor, socket


async def endsInTime(server: Twistd, drain: float = DRAIN) -> None:
    """
    Ask a server to end, and see that it does so within its time.
    """
    began = reactor.seconds()
    server.signal("TERM")
    assert await server.ends() in (0, -15)
    took = reactor.seconds() - began
    assert took < drain + SLACK, f"{took:.1f} s: {server.log}"
    for word in "Traceback", "Unhandled":
        assert word not in server.log + server.errors, server.log + server.errors


@pytest.mark.redis
@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_hungRedis(workers: int) -> None:
    """
    A Redis that accepts and answers no more holds nothing up, and the log says how
    many sessions are not stored.
    """
    with RedisServer() as redis:
        async with proxy(redis.port) as network:
            store = f"--store=redis://127.0.0.1:{network.port}"
            async with served(store, workers=workers) as server:
                _, socket = await visited(server)
                network.hold()
                socket.say(["add", "n"])
                await socket.next()
                await endsInTime(server)
                assert await socket.closes() == (1001, "server going away")
    assert "gave up storing sessions" in server.log, server.log


@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_silentRedis(workers: int) -> None:
    """
    Nor does one that never answered.
    """
    async with proxy(1) as network:
        network.hold()
        store = f"--store=redis://127.0.0.1:{network.port}"
        async with served(store, workers=workers) as server:
            await endsInTime(server)


@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_lockedSQLite(workers: int, tmp_path: Path) -> None:
    """
    Nor does an SQLite file that somebody keeps locked.
    """
    path = tmp_path / "sessions.db"
    async with served(f"--store=sqlite:{path}", workers=workers) as server:
        _, socket = await visited(server)
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            socket.say(["add", "n"])
            await socket.next()
            await endsInTime(server)
            assert await socket.closes() == (1001, "server going away")
            other.rollback()
    assert "gave up storing sessions" in server.log, server.log


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("what", ["wait", "thread"])
@inReactor
async def test_handler(what: str, workers: int, tmp_path: Path) -> None:
    """
    Nor does a handler, be it in a thread: the log names it, and what it had done
    is stored.
    """
    path = tmp_path / "sessions.db"
    async with served(f"--store=sqlite:{path}", workers=workers) as server:
        visitor, socket = await visited(server)
        socket.say(what)
        await server.until(lambda: "is under way" in server.log)
        await endsInTime(server)
        assert await socket.closes() == (1001, "server going away")
    said = r"longer: \S+ has been at work on smessage for \d\.\d s, with the session"
    assert re.search(said, server.log), server.log
    said = r"longer: the thread PoolThread-\S+, which is in _block"
    assert bool(re.search(said, server.log)) is (what == "thread"), server.log
    assert "killed" not in server.log, server.log
    async with opened(path) as store:
        session = await stored(store, visitor.cookies["connect.sid"])
        assert session == {"n": 2, "begun": what}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["TERM", "INT"])
@inReactor
async def test_blocked(name: str, workers: int, tmp_path: Path) -> None:
    """
    A process that a handler blocks cannot end well.  Asked again, it ends at once.
    """
    store = f"--store=sqlite:{tmp_path / 'sessions.db'}"
    async with served(store, workers=workers) as server:
        _, socket = await visited(server)
        socket.say("block")
        await server.until(lambda: "is under way" in server.log)
        await askedAgain(server, name)


async def askedAgain(server: Twistd, name: str) -> None:
    """
    Ask a server to end, again and again, and see that it ends at once, of that
    signal.
    """
    began = reactor.seconds()
    # What a handler of signals logs may be lost, and of two signals that come at
    # once one is.
    while server.status is None:
        server.signal(name)
        await deferLater(reactor, 0.2)
    assert server.status == {"TERM": -15, "INT": -2}[name]
    assert reactor.seconds() - began < SLACK
    for word in "Traceback", "Unhandled":
        assert word not in server.log + server.errors, server.log + server.errors


@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_controlC(workers: int, tmp_path: Path) -> None:
    """
    Ctrl-C in a terminal, twice, while a handler does not end.
    """
    store = f"--store=sqlite:{tmp_path / 'sessions.db'}"
    more: dict[str, Any] = {"workers": workers, "terminal": True}
    async with served(store, "--drain=120", **more) as server:
        _, socket = await visited(server)
        socket.say("wait")
        await server.until(lambda: "is under way" in server.log)
        server.transport.write(b"\x03")
        assert await socket.closes() == (1001, "server going away")
        await server.until(lambda: _again(server))
        began = reactor.seconds()
        server.transport.write(b"\x03")
        assert await server.ends() == -2
        assert reactor.seconds() - began < SLACK
    assert "Traceback" not in server.log, server.log


def _again(server: Twistd) -> bool:
    return (
        "SIGINT ends this process at once now" in server.log
        or "the workers end" in server.log
    )


@pytest.mark.parametrize("runner", ["twistd", "twist"])
@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_twice(runner: str, workers: int, tmp_path: Path) -> None:
    """
    A second SIGTERM ends it at once, whoever runs it, and its workers with it.
    """
    scripts = sysconfig.get_path("scripts")
    store = f"--store=sqlite:{tmp_path / 'sessions.db'}"
    front = ["-n", "--pidfile="] if runner == "twistd" else ["--log-format=text"]
    async with program(
        *(f"{scripts}/{runner}", *front, "sessionsock", *STUCK, store),
        *("--listen=tcp:0:interface=127.0.0.1", "--drain=120", f"--workers={workers}"),
        environment=PATHS,
    ) as server:
        ready = workers if workers > 1 else 0
        await server.until(lambda: server.log.count(" is ready\n") == ready)
        _, socket = await visited(server)
        socket.say("wait")
        await server.until(lambda: "is under way" in server.log)
        pids = [int(pid) for pid in re.findall(r"\(pid (\d+)\) is ready", server.log)]
        server.signal("TERM")
        assert await socket.closes() == (1001, "server going away")
        await askedAgain(server, "TERM")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("name", ["TERM", "INT"])
@inReactor
async def test_program(name: str) -> None:
    """
    A program of one's own, which a handler blocks, ends at once when it is asked
    again.
    """
    where = "tcp:0:interface=127.0.0.1"
    command = (sys.executable, f"{MODULES}/stuck.py", where, where)
    async with program(*command, listen=2, environment=PATHS) as server:
        visitor = Visitor(server.ports[1])
        await visitor.post("/add?n")
        socket = await Visitor(server.port, visitor.cookies["connect.sid"]).connect()
        socket.say("block")
        await server.until(lambda: "is under way" in server.log)
        await askedAgain(server, name)


_EXECUTOR = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from txsessionsock.service.deadline import endBy

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
endBy(0.5, reactor)
ThreadPoolExecutor(1).submit(time.sleep, 60)
reactor.callWhenRunning(reactor.stop)
reactor.run()
"""


def test_executor() -> None:
    """
    Nor does a thread that is not one of Twisted's, for which Python waits when the
    reactor has ended.
    """
    ended = subprocess.run(
        [sys.executable, "-c", _EXECUTOR],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 128 + signal.SIGTERM, ended
    assert "not waited for any longer: the thread ThreadPoolExecutor" in ended.stdout
