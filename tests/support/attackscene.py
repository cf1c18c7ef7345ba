"""
A server that is attacked, and what becomes of it and of those whom it serves
meanwhile.  All attackers are processes of their own.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from tests.support.attackers import GOOD, NEWCOMER
from tests.support.attackscripts import ATTACKS, SOCKETIO, Attack
from tests.support.rawsocket import RawSocket, RawSocketIO
from tests.support.redisserver import RedisServer, eventually


__all__ = ["SERVERS", "Found", "Server", "attacks", "served", "under", "whole"]

_ROOT = Path(__file__).parents[2]

_MEMORY = 10 * 1024**3
"""
No server is to take the whole machine.
"""

_SITE = (
    *(str(Path(sysconfig.get_path("scripts")) / "twistd"), "-n", "--pidfile="),
    *("sessionsock", "--protocol=attacked.Target", "--class=verbs.Pages"),
    "--listen=tcp:0:interface=127.0.0.1",
)

SERVERS: dict[str, Sequence[str]] = {
    "port": (sys.executable, str(_ROOT / "tests" / "e2e" / "attacked.py")),
    "site": _SITE,
    "workers": (*_SITE, "--workers=2"),
    "socketio": (*_SITE, "--socketio", "--protocol=attacked.Events", "--recovery=60"),
}
"""
A bare port, a site, a site at two workers with a Redis, and one with Socket.IO.
"""

_SESSIONS = 401
"""
How many attackers may have sessions; more share them.
"""

_STARTING = 60.0
_SETTLING = 15.0

_PATIENCE = 10.0
"""
How long a client that has to be served waits for what is late.
"""


@dataclass(frozen=True)
class Found:
    """
    What came of an attack.  Sizes are in bytes, times in seconds.

    @ivar good: How long each answer took.

    @ivar unanswered: How many answers did not come, and C{lost}, why.

    @ivar joined: How long newcomers took to have an answer.

    @ivar refused: Why newcomers had none.

    @ivar peak: The most memory that the server had, in all processes, C{before}
        and C{after}.

    @ivar descriptors: Of the server, before and after.

    @ivar log: What it wrote meanwhile.

    @ivar attackers: What each kind did.
    """

    good: list[float]
    unanswered: int
    lost: list[str]
    joined: list[float]
    refused: list[str]
    peak: int
    before: int
    after: int
    descriptors: tuple[int, int]
    log: str
    attackers: Mapping[str, Mapping[str, Any]]

    @property
    def errors(self) -> int:
        """
        How many errors nobody handled.
        """
        return len(re.findall(r"Traceback|Unhandled", self.log))

    def share(self, part: float) -> float:
        """
        @return: How long answers took at most, for a part of them; what did not
            come counts as endless.
        """
        times = [*sorted(self.good), *[float("inf")] * self.unanswered]
        return times[min(int(part * len(times)), len(times) - 1)]


class Server:
    """
    A server that runs.

    @ivar port: Of the sockets.

    @ivar isSocketIO: Whether those that are to be served come to Socket.IO.

    @ivar pids: Its processes.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        log: Path,
        *,
        workers: int,
        ports: int,
        isSocketIO: bool,
    ) -> None:
        self.isSocketIO = isSocketIO
        self._process = process
        self._log = log
        eventually(lambda: self._isReady(workers, ports), _STARTING)
        said = re.findall(r"(?m)^\S+ \[(?!w\d+ ).*starting on (\d+)\n", self.log)
        self.port, self._pages = int(said[0]), int(said[-1])
        ready = re.findall(r"\(pid (\d+)\) is ready\n", self.log)
        self.pids = [process.pid, *map(int, ready)]

    def _isReady(self, workers: int, ports: int) -> bool:
        assert self._process.poll() is None, self.log
        isListening = self.log.count(" starting on ") >= ports
        return isListening and self.log.count(" is ready\n") >= workers

    @property
    def log(self) -> str:
        """
        What it wrote.
        """
        return self._log.read_text("utf-8", "replace")

    @property
    def descriptors(self) -> int:
        """
        How many it has.
        """
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids)

    def memory(self, what: str) -> int:
        """
        @param what: C{VmRSS}, or C{VmHWM} for the most that there was.
        """
        total = 0
        for pid in self.pids:
            text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
            (size,) = re.findall(rf"(?m)^{what}:\s+(\d+) kB$", text)
            total += int(size) * 1024
        return total

    def cookies(self, count: int) -> list[str]:
        """
        @return: Of sessions that are made for that.
        """
        made = []
        connection = http.client.HTTPConnection("127.0.0.1", self._pages, timeout=20)
        for _ in range(count):
            connection.request("POST", "/add?n")
            answer = connection.getresponse()
            answer.read()
            cookie = answer.getheader("set-cookie") or ""
            made.append(cookie.partition("=")[2].partition(";")[0])
        connection.close()
        return made

    def warm(self, cookie: str) -> None:
        """
        Have each process do once what it does for each client: what it keeps from
        then on is not of an attack.
        """
        for _ in range(8 * len(self.pids)):
            client = (RawSocketIO if self.isSocketIO else RawSocket)(self.port, cookie)
            client.ask(1)
            client.close()


@contextmanager
def served(kind: str, directory: Path, core: int | None = None) -> Iterator[Server]:
    """
    Run a server, and the Redis that it needs, until the end of the block.

    @param core: On which of the processors.
    """
    pinned = () if core is None else ("taskset", "-c", str(core))
    log, workers = directory / f"{kind}.log", 2 if kind == "workers" else 0
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "tests" / "e2e")]),
        "SESSIONSOCK_SECRET": "for tests",
    }
    with ExitStack() as stack:
        if workers:
            redis = stack.enter_context(RedisServer())
            environment["SESSIONSOCK_STORE"] = redis.url
        process = subprocess.Popen(
            [*pinned, *SERVERS[kind]],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
        )
        try:
            _bound(process.pid)
            yield Server(
                process,
                log,
                workers=workers,
                ports=1 + (kind == "port"),
                isSocketIO=kind == "socketio",
            )
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _bound(pid: int) -> None:
    """
    Bound the memory of a process, and let it have files.
    """
    resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))


class _Program:
    """
    Attackers, or a client that has to be served.
    """

    def __init__(self, kind: str, **told: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.attackers"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        _bound(self._process.pid)
        self._say(json.dumps({"kind": kind, **told}))
        self._hear()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def begin(self) -> None:
        self._say("begin")

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._hear())
        self._process.wait()
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def under(
    server: Server,
    counts: Mapping[str, int],
    seconds: float,
    cores: tuple[int, int] | None = None,
) -> Found:
    """
    Attack a server.

    @param counts: How many there are of each kind of attackers.

    @param seconds: For how long.

    @param cores: The processors for clients that have to be served, and for
        attackers.
    """
    good, bad = (None, None) if cores is None else cores
    cookies = server.cookies(min(max([2, *counts.values()]), _SESSIONS))
    server.warm(cookies[0])
    before, descriptors = server.memory("VmRSS"), server.descriptors
    logged = len(server.log)
    told: dict[str, Any] = {
        **{"port": server.port, "isSocketIO": server.isSocketIO},
        **{"seconds": seconds, "patience": _PATIENCE},
    }
    with ExitStack() as stack:
        programs: dict[str, _Program] = {}

        def start(kind: str, **more: Any) -> None:
            programs[kind] = _Program(kind, **told, **more)
            stack.callback(programs[kind].kill)

        for number, (kind, count) in enumerate(counts.items()):
            mine = cookies[1:]
            start(kind, count=count, core=bad, cookies=mine, network=10 + number)
        for kind in GOOD, NEWCOMER:
            start(kind, core=good, cookies=cookies, interval=0.02)
        for program in programs.values():
            program.begin()
        results = {kind: program.result() for kind, program in programs.items()}
    served, newcomer = results.pop(GOOD), results.pop(NEWCOMER)
    _settle(server, descriptors)
    return Found(
        served["times"],
        served["unanswered"],
        served["lost"],
        newcomer["times"],
        newcomer["lost"],
        server.memory("VmHWM"),
        before,
        server.memory("VmRSS"),
        (descriptors, server.descriptors),
        server.log[logged:],
        results,
    )


def _settle(server: Server, descriptors: int) -> None:
    """
    Wait until all connections are gone, but not for ever.
    """
    # What a client of Socket.IO sent without asking for answers is still handled when
    # it has left: that of hundreds takes a while.
    end = monotonic() + _SETTLING * (2 if server.isSocketIO else 1)
    while server.descriptors > descriptors and monotonic() < end:
        sleep(0.1)


def attacks(server: str) -> Mapping[str, Attack]:
    """
    @return: The kinds of attacks on one of L{SERVERS}.
    """
    return SOCKETIO if server == "socketio" else ATTACKS


def whole(server: str, *kinds: str) -> dict[str, int]:
    """
    @return: How many attackers of these kinds there are in a whole attack.
    """
    all_ = attacks(server)
    return {kind: all_[kind].count for kind in kinds or all_}
