"""
C{twistd sessionsock --workers}: several processes at one port, as its users
run them, and what becomes of them and their clients when some are stopped.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.web.client import Agent
from zope.interface import implementer

from tests.real.twistd.test_e2e_stopping import opened, stored
from tests.support.certificates import Certificates
from tests.support.redisserver import RedisServer
from tests.support.servers import (
    MODULES,
    PATIENCE,
    SECRET,
    STARTING,
    Conditions,
    Twistd,
    inReactor,
    program,
    reactor,
    twistd,
)
from tests.support.visitors import Refused, Socket, Trusting, Visitor


PROCESSES = (
    "--protocol",
    "e2e.processes.Processes",
    "--class",
    "e2e.processes.ProcessPages",
)
PATHS = {"PYTHONPATH": f"{MODULES}{os.pathsep}{Path(MODULES).parent}"}


@asynccontextmanager
async def workersAt(
    directory: Path, *options: str, ready: int = 2, **more: Any
) -> AsyncIterator[Twistd]:
    """
    Run two workers at a port, and wait until they serve.
    """
    given = {**PATHS, "SESSIONSOCK_SECRET": SECRET}
    arguments = (*PROCESSES, "--workers=2", f"--store=sqlite:{directory}/sessions.db")
    more = {"cwd": directory, "environment": given, **more}
    async with twistd(*arguments, *options, **more) as server:
        await server.until(lambda: len(readied(server)) == ready, patience=STARTING)
        yield server


def readied(server: Twistd) -> list[int]:
    """
    @return: The process ids of the workers that were ready, in that order.
    """
    return [int(pid) for pid in re.findall(r"\(pid (\d+)\) is ready\n", server.log)]


async def together(works: Iterable[Awaitable[Any]]) -> list[Any]:
    """
    Do several things at once.
    """

    async def wrap(work: Awaitable[Any]) -> Any:
        return await work

    found: list[Any] = await gatherResults(
        [Deferred.fromCoroutine(wrap(work)) for work in works], consumeErrors=True
    )
    return found


async def visitorOf(server: Twistd) -> Visitor:
    """
    @return: Somebody with a session.
    """
    visitor = Visitor(server.port)
    assert (await visitor.post("/add?visits")).code == 200
    return visitor


async def manned(visitor: Visitor, count: int) -> dict[int, list[Socket]]:
    """
    Open sockets.

    @return: By the process that has them.
    """
    sockets = await together(visitor.connect() for _ in range(count))
    found: dict[int, list[Socket]] = {}
    for each in sockets:
        pid, _ = await each.ask(["get", "visits"])
        found.setdefault(pid, []).append(each)
    return found


async def untilGreeted(socket: Socket, counts: list[int]) -> None:
    """
    Say hello to Ada, until so many of each worker have it.
    """
    found: Any = None
    while found != sorted(counts):
        socket.say(["greet", "Ada"])
        while isinstance(answer := await socket.next(), str) or len(answer) != 2:
            assert answer == "hello"
        found = answer[1]


@implementer(IReadDescriptor)
class _Death:
    """
    Becomes readable when a process ends.
    """

    def __init__(self, pid: int, died: Callable[[], None]) -> None:
        self._descriptor = os.pidfd_open(pid)
        self._died = died

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        reactor.removeReader(self)
        os.close(self._descriptor)
        self._died()

    def connectionLost(self, reason: object) -> None:
        os.close(self._descriptor)

    def logPrefix(self) -> str:
        return "death"


def death(pid: int) -> Deferred[None]:
    """
    @return: Fires when a process is gone.
    """
    gone: Deferred[None] = Deferred()
    reactor.addReader(_Death(pid, lambda: gone.callback(None)))
    return gone


async def haveDied(*gone: Deferred[None]) -> None:
    """
    Wait for deaths.
    """
    await gatherResults(gone).addTimeout(PATIENCE, reactor)


@inReactor
async def test_oneSession(tmp_path: Path) -> None:
    """
    New connections are spread over the workers.  Pages and sockets of one
    browser have one session, whichever has them, and a logout at one ends the
    sockets at the other.  Without a secret, the workers have the same one.
    """
    async with workersAt(tmp_path, "--per-message", environment=PATHS) as server:
        assert server.log.count("no secret given") == 1
        visitor = await visitorOf(server)
        found = await manned(visitor, 40)
        assert set(found) == set(readied(server))
        assert min(map(len, found.values())) >= 4, found
        one, two = found.values()
        for n in range(1, 11):
            await visitor.post("/add?visits")
            for each in one[0], two[0]:
                assert (await each.ask(["get", "visits"]))[1] == 1 + n
            assert (await one[1].ask(["add", "n"]))[1] == 2 * n - 1
            assert (await two[1].ask(["add", "n"]))[1] == 2 * n
            assert (await visitor.get("/session")).value["n"] == 2 * n
        await visitor.post("/logout")
        codes = {(await each.closes())[0] for each in [*one, *two]}
        assert codes == {4401}
        print({pid: len(sockets) for pid, sockets in found.items()})


@inReactor
async def test_collector(tmp_path: Path) -> None:
    """
    The garbage collector leaves out the program: of each worker, and of a process that
    serves alone.
    """
    async with workersAt(tmp_path) as server:
        assert await leftOut(server) > _PROGRAM
    store = f"--store=sqlite:{tmp_path}/sessions.db"
    given = {**PATHS, "SESSIONSOCK_SECRET": SECRET}
    async with twistd(*PROCESSES, store, environment=given, cwd=tmp_path) as server:
        assert await leftOut(server) > _PROGRAM


_PROGRAM = 20_000
"""
How many objects a program has at the least that serves.
"""


async def leftOut(server: Twistd) -> int:
    """
    @return: How many objects the collector of a process leaves out.
    """
    socket = await (await visitorOf(server)).connect()
    _, count = await socket.ask(["frozen", ""])
    return int(count)


@pytest.mark.redis
@inReactor
async def test_redis(tmp_path: Path) -> None:
    """
    The same with a Redis, whose password is in no log and on no command line.
    """
    with RedisServer(password="hush-hush") as redis:
        given = {**PATHS, "SESSIONSOCK_STORE": redis.url, "SESSIONSOCK_SECRET": SECRET}
        options = (*PROCESSES, "--workers=2", "--per-message")
        async with twistd(*options, cwd=tmp_path, environment=given) as server:
            await server.until(lambda: len(readied(server)) == 2)
            visitor = await visitorOf(server)
            one, two = (await manned(visitor, 20)).values()
            for n in range(1, 11):
                await visitor.post("/add?visits")
                for each in one[0], two[0]:
                    assert (await each.ask(["get", "visits"]))[1] == 1 + n
            await one[0].ask(["name", "Ada"])
            await untilGreeted(one[0], [len(one), len(two)])
            await visitor.post("/logout")
            codes = {(await each.closes())[0] for each in [*one, *two]}
            assert codes == {4401}
            for pid in server.transport.pid, *readied(server):
                command = Path(f"/proc/{pid}/cmdline").read_text()
                assert "hush-hush" not in command
                assert "--per-message" in command
            server.signal("TERM")
            assert await server.ends() == 0
        assert "hush-hush" not in server.log + server.errors
        assert "Traceback" not in server.log


@inReactor
async def test_killed(tmp_path: Path) -> None:
    """
    A worker that is killed has a successor; nobody who comes meanwhile is
    refused, and the sockets of the other stay open.
    """
    async with workersAt(tmp_path) as server:
        visitor = await visitorOf(server)
        (victim, lost), (other, kept) = (await manned(visitor, 20)).items()
        os.kill(victim, signal.SIGKILL)
        for each in lost:
            assert (await each.closes())[0] == 1006
        began = reactor.seconds()
        found = await manned(visitor, 40)
        took = reactor.seconds() - began
        # Who serves may not have been reported yet.
        await server.until(lambda: len(readied(server)) == 3)
        assert set(found) == {other, readied(server)[-1]}
        assert f"(pid {victim}) died (SIGKILL); again in 0.2 s" in server.log
        for each in kept:
            assert (await each.ask(["get", "visits"]))[0] == other
        print(f"killed: 40 of 40 new clients served within {took:.2f} s")


@inReactor
async def test_crashLoop(tmp_path: Path) -> None:
    """
    Workers that cannot start are given up at once: one line that says why, and
    exit code 1.
    """
    (tmp_path / "doomed.py").write_text(
        "import pathlib\n"
        "from e2e.processes import Processes as Twice\n"
        "been = pathlib.Path('been')\n"
        "if been.exists(): raise RuntimeError('not twice')\n"
        "been.touch()\n"
    )
    options = ("--protocol", "doomed.Twice", "--listen=tcp:0", "--drain=1")
    async with twistd(
        *(*options, "--workers=2", "--store=sqlite:sessions.db"),
        listen=0,
        cwd=tmp_path,
        environment=PATHS,
    ) as server:
        assert await server.ends() == 1
    (line,) = server.errors.splitlines()
    assert re.match(
        r"twistd sessionsock: worker \d \(pid \d+\) cannot start \(exit code 1\):"
        r" --protocol doomed.Twice: cannot be imported \(RuntimeError: not twice\)$",
        line,
    ), line
    assert "Traceback" not in server.log


@inReactor
async def test_terminated(tmp_path: Path) -> None:
    """
    SIGTERM with 40 sockets, of sessions that were just changed, to all
    processes at once, as systemd does it: all are closed with 1001, all
    sessions are stored, all processes end, with 0, and nothing is in the log
    that should not.
    """
    async with workersAt(tmp_path) as server:
        visitors = await together(visitorOf(server) for _ in range(40))
        sockets = await together(visitor.connect() for visitor in visitors)
        await together(each.ask(["add", "last"]) for each in sockets)
        gone = [death(pid) for pid in readied(server)]
        began = reactor.seconds()
        for pid in [server.transport.pid, *readied(server)]:
            os.kill(pid, signal.SIGTERM)
        codes = {await each.closes() for each in sockets}
        assert await server.ends() == 0
        took = reactor.seconds() - began
        await haveDied(*gone)
    assert codes == {(1001, "server going away")}
    assert "Traceback" not in server.log
    assert "gave up" not in server.log
    assert "Server Shut Down." in server.log
    async with opened(tmp_path / "sessions.db") as store:
        for visitor in visitors:
            session = await stored(store, visitor.cookies["connect.sid"])
            assert session == {"visits": 1, "last": 1}
    print(f"SIGTERM, 40 sockets at 2 workers: ended after {took:.2f} s")


@inReactor
async def test_twice(tmp_path: Path) -> None:
    """
    A second SIGINT does not wait for clients that do not answer.
    """
    # Without being asked, a parent kills after that: later than a test waits.
    async with workersAt(tmp_path, "--drain=120") as server:
        visitor = await visitorOf(server)
        dead = await visitor.connect()
        pid, _ = await dead.ask(["get", "n"])
        dead.transport.pauseProducing()
        server.signal("INT")
        await server.until(lambda: "the workers end" in server.log)
        # Now it does not end before it is killed.
        os.kill(pid, signal.SIGSTOP)
        server.signal("INT")
        assert await server.ends() == -signal.SIGINT
        assert "workers are killed" in server.log
        dead.transport.abortConnection()


def _isAnswered(socket: Socket) -> bool:
    return bool(socket.received or socket.closed)


class Callers(Conditions):
    """
    Come, get an answer and leave, all the time.

    @ivar served: How many each process served.

    @ivar lost: How those ended who were not.
    """

    def __init__(self, visitor: Visitor) -> None:
        super().__init__()
        self.served: Counter[int] = Counter()
        self.lost: list[object] = []
        self._visitor = visitor
        self._isOver = False

    def begin(self, count: int) -> Deferred[None]:
        """
        @param count: How many at once.

        @return: Fires when the last has left.
        """
        calling = [Deferred.fromCoroutine(self._call()) for _ in range(count)]
        return gatherResults(calling).addCallback(lambda _: None)

    def end(self) -> None:
        """
        Have nobody come any more.
        """
        self._isOver = True

    async def _call(self) -> None:
        while not self._isOver:
            try:
                each = await self._visitor.connect()
            except Refused as refused:
                self.lost.append(refused)
                return
            each.say(["get", "visits"])
            await each.until(partial(_isAnswered, each))
            if each.received:
                self.served[each.received[0][0]] += 1
            elif each.closed != (1001, "server going away"):
                self.lost.append(each.closed)
            each.sendClose(1000)
            self.happened()


@inReactor
async def test_hungUp(tmp_path: Path) -> None:
    """
    SIGHUP replaces all workers, one by one, while clients come and go: none is
    refused or lost; who stays with an old one gets 1001.
    """
    async with workersAt(tmp_path) as server:
        visitor = await visitorOf(server)
        old = await manned(visitor, 10)
        callers = Callers(visitor)
        calling = callers.begin(2)
        await callers.until(lambda: sum(callers.served.values()) > 20)
        gone = [death(pid) for pid in old]
        server.signal("HUP")
        # One after the other.
        await server.until(lambda: len(readied(server)) == 3)
        await server.until(lambda: len(readied(server)) == 4)
        for sockets in old.values():
            for each in sockets:
                assert await each.closes() == (1001, "server going away")
        await haveDied(*gone)
        after = set(readied(server)[2:])
        await callers.until(lambda: after <= set(callers.served))
        callers.end()
        await calling
        assert callers.lost == []
        assert after.isdisjoint(old)
        assert set(await manned(visitor, 20)) == after
        print(f"SIGHUP: {dict(callers.served)} served, none lost")


@inReactor
async def test_stopped(tmp_path: Path) -> None:
    """
    A worker that is stopped while it is busy, so that connections wait for it:
    every one is served, by it or by its successor, or gets its 1001.
    """
    async with workersAt(tmp_path) as server:
        visitor = await visitorOf(server)
        (busy, (one, *_)), _ = (await manned(visitor, 20)).items()
        callers = Callers(visitor)
        calling = callers.begin(40)
        await callers.until(lambda: sum(callers.served.values()) > 30)
        one.say(["block", 0.3])
        os.kill(busy, signal.SIGTERM)
        await server.until(lambda: len(readied(server)) == 3)
        await callers.until(lambda: callers.served[readied(server)[-1]] > 10)
        callers.end()
        await calling
        assert callers.lost == []
        print(f"stopped while busy: {dict(callers.served)} served, none lost")


class Raw(Protocol, Conditions):
    """
    A connection to which one writes what one likes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.isOver = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.happened()

    def connectionLost(self, reason: object = None) -> None:
        self.isOver = True
        self.happened()


@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_halfway(workers: int, tmp_path: Path) -> None:
    """
    Who is connected, but has no socket yet when the server ends, still gets
    one, and its 1001; a request that has begun is answered; and who asks for
    nothing does not keep it from ending.
    """
    more = (f"--workers={workers}", "--drain=20")
    async with workersAt(
        tmp_path, *more, ready=workers if workers > 1 else 0
    ) as server:
        visitor = await visitorOf(server)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port)
        idle, half, page = [await connectProtocol(endpoint, Raw()) for _ in range(3)]
        for raw in idle, half, page:
            raw.transport.write(b"GET /sessionsock.js HTTP/1.1\r\n\r\n")
            await raw.until(lambda raw=raw: b"class SessionSocket" in raw.received)
        handshake = (
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Cookie: {visitor.cookie}\r\n\r\n"
        ).encode()
        request = f"GET /session HTTP/1.1\r\nCookie: {visitor.cookie}\r\n\r\n".encode()
        half.transport.write(handshake[:60])
        page.transport.write(request[:30])
        server.signal("TERM")
        closed = rf"\(TCP Port {server.port} Closed\)"
        await server.until(lambda: len(re.findall(closed, server.log)) == workers)
        began = reactor.seconds()
        half.transport.write(handshake[60:])
        await half.until(lambda: b"server going away" in half.received)
        assert b"101 Switching Protocols" in half.received
        assert (1001).to_bytes(2) + b"server going away" in half.received
        half.transport.loseConnection()
        await idle.until(lambda: idle.isOver)
        assert not page.isOver
        page.transport.write(request[30:])
        await page.until(lambda: page.isOver)
        assert b'{"visits": 1}' in page.received
        assert await server.ends() == (0 if workers > 1 else -signal.SIGTERM)
        print(f"halfway, {workers}: ended after {reactor.seconds() - began:.2f} s")


@inReactor
async def test_orphans(tmp_path: Path) -> None:
    """
    When the parent is killed, the workers end, and end well.
    """
    async with workersAt(tmp_path) as server:
        visitor = await visitorOf(server)
        found = await manned(visitor, 10)
        gone = [death(pid) for pid in readied(server)]
        server.signal("KILL")
        for sockets in found.values():
            for each in sockets:
                assert await each.closes() == (1001, "server going away")
        await haveDied(*gone)


@inReactor
async def test_second(tmp_path: Path) -> None:
    """
    A port that other workers have is as taken as any other.
    """
    async with workersAt(tmp_path) as server:
        listen = f"tcp:{server.port}:interface=127.0.0.1"
        command = (*PROCESSES, "--workers=2", "--store=sqlite:x.db", "--listen", listen)
        more: dict[str, Any] = {"cwd": tmp_path, "environment": PATHS}
        async with twistd(*command, listen=0, **more) as second:
            assert await second.ends() == 1
        said = f"cannot listen on {listen}: Address already in use"
        assert second.errors == f"twistd sessionsock: {said}\n"
        assert len(await manned(await visitorOf(server), 20)) == 2


@inReactor
async def test_endpoints(tmp_path: Path) -> None:
    """
    Workers share several ports at once: IPv6, and TLS by C{ssl:} and C{tls:}.
    """
    made = Certificates.make(tmp_path)
    names = tmp_path / "names"
    names.mkdir()
    both = made.certificate.read_text() + made.key.read_text()
    (names / "localhost.pem").write_text(both)
    listen = (
        r"--listen=tcp6:0:interface=\:\:1",
        f"--listen=ssl:0:privateKey={made.key}:certKey={made.certificate}"
        ":interface=127.0.0.1:backlog=100",
        f"--listen=tls:{names}:0:interface=127.0.0.1",
    )
    async with workersAt(tmp_path, *listen) as server:
        _, six, ssl, tls = server.ports
        with socket.create_connection(("::1", six)):
            pass
        agent: Any = Agent(reactor, Trusting(made))
        for address in f"[::1]:{six}", f"s127.0.0.1:{ssl}", f"s127.0.0.1:{tls}":
            scheme, host = "https" * (address[0] == "s") or "http", address.lstrip("s")
            urls = [f"{scheme}://{host}/session".encode()] * 12
            answers = await together(agent.request(b"GET", url) for url in urls)
            processes = {a.headers.getRawHeaders("x-process")[0] for a in answers}
            assert processes == {str(pid) for pid in readied(server)}, address
        server.signal("TERM")
        assert await server.ends() == 0


@inReactor
async def test_circumstances(tmp_path: Path) -> None:
    """
    What was said to C{twistd} itself counts for workers as it does for one
    process: the reactor, the directory, and the umask.
    """
    (tmp_path / "var").mkdir()
    before = ["--reactor=asyncio", "--rundir=var", "--umask=027"]
    pages = ("--protocol=verbs.Verbs", "--class=mirror.Mirror")
    store = f"--store=sqlite:{tmp_path}/sessions.db"
    for workers in 1, 2:
        options = (*pages, store, f"--workers={workers}")
        async with twistd(*options, before=before, cwd=tmp_path) as server:
            page = await Visitor(server.port).get("/")
            seen = ["AsyncioSelectorReactor", str(tmp_path / "var"), 0o027]
            assert page.value == seen, workers
            if workers > 1:
                server.signal("TERM")
                assert await server.ends() == 0


@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_twist(workers: int, tmp_path: Path) -> None:
    """
    It serves by C{twist} too, which sheds no privileges, with its reactor.
    """
    command = (
        *(str(Path(sysconfig.get_path("scripts")) / "twist"), "--log-format=text"),
        *("--reactor=select", "sessionsock", f"--workers={workers}"),
        *("--protocol=verbs.Verbs", "--class=mirror.Mirror"),
        *(f"--store=sqlite:{tmp_path}/x.db", "--listen=tcp:0:interface=127.0.0.1"),
    )
    given = {"PYTHONPATH": MODULES, "SESSIONSOCK_SECRET": SECRET}
    async with program(*command, cwd=tmp_path, environment=given) as server:
        page = await Visitor(server.port).get("/")
        assert page.value[:2] == ["SelectReactor", str(tmp_path)]


@inReactor
async def test_daemon(tmp_path: Path) -> None:
    """
    As a daemon it writes its own and the workers' log to a file, and its pid
    file is gone when it is.
    """
    pidfile, logfile = tmp_path / "our.pid", tmp_path / "twistd.log"
    async with twistd(
        *(*PROCESSES, "--workers=2", "--store=sqlite:x.db", "--listen", "tcp:0"),
        listen=0,
        cwd=tmp_path,
        environment=PATHS,
        inFront=False,
        pidfile=pidfile,
    ) as starting:
        assert await starting.ends() == 0
    while logfile.read_text().count(" is ready\n") < 2:
        await deferLater(reactor, 0.05)
    pid = int(pidfile.read_text())
    gone = death(pid)
    os.kill(pid, signal.SIGTERM)
    await haveDied(gone)
    assert not pidfile.exists()
    log = logfile.read_text()
    assert "Server Shut Down." in log
    assert "Traceback" not in log


@inReactor
async def test_alone() -> None:
    """
    One process does not die of SIGHUP.
    """
    async with twistd("--protocol", "verbs.Verbs") as server:
        visitor = Visitor(server.port)
        assert (await visitor.get("/sessionsock.js")).code == 200
        server.signal("HUP")
        await server.until(lambda: "SIGHUP: nothing to do" in server.log)
        assert (await visitor.get("/sessionsock.js")).code == 200


@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_terminalClosed(workers: int, tmp_path: Path) -> None:
    """
    Who closes the terminal that a server was started from ends it, as ever;
    but its sockets are told.
    """
    store = f"sqlite:{tmp_path / 'sessions'}"
    options = "--store", store, "--workers", str(workers)
    async with twistd(*PROCESSES, *options, environment=PATHS, terminal=True) as server:
        await server.until(lambda: workers == 1 or server.log.count("is ready") == 2)
        visitor = Visitor(server.port)
        await visitor.post("/add?n")
        socket = await visitor.connect()
        server.transport.loseConnection()
        assert (await socket.closes())[0] == 1001
        await server.ends()
