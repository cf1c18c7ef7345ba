"""
Events of Socket.IO that are acknowledged, beside Socket.IO on Node and python-socketio
on uvicorn: a message of 64 bytes that counts in the session, 50 connections over
WebSocket, one and sixteen events in flight on each.

    python -m benchmarks.socketio                          # all, some minutes
    python -m benchmarks.socketio "ours" "Node"            # these
    python -m benchmarks.socketio --profile [--depth 1]    # where our time goes
    python -m benchmarks.socketio idle                     # clients that only wait

The others need their packages, which C{make build/peers/.has-python
build/peers/.has-node} installs, as C{make bench} does.

Each server runs on one processor, with nobody else; what loads it, and its Redis, run
on another.  Servers take turns.  Each acknowledgement is compared with what it has to
be, and in the end, so is the count in each session as it is stored.  Where others work
on the machine too, the time that a server takes for an event says more than how many
come back.  The load is no bottleneck as long as its own share of its processor is below
one and the server's share is one: both are told.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.serving import OTHERS
from benchmarks.socketioclients import Counted, Idle, Loaded, load, page
from tests.support.redisserver import RedisServer


CONNECTIONS = 50
DEPTHS = 1, 16

IDLE = 2000
TRANSPORTS = "polling", "websocket"

INTERVAL = 25.0
"""
How many seconds are between pings, with all of them.
"""

_ROOT = Path(__file__).resolve().parent.parent
_PEERS = _ROOT / "benchmarks" / "peers"
_OURS = sys.executable, "-P", "-m", "benchmarks.socketioserver"
_NODE = "node", str(_PEERS / "server.js")
_PYTHON = str(OTHERS / "venv" / "bin" / "python"), str(_PEERS / "asgi.py")


@dataclass(frozen=True)
class Kind:
    """
    A server, and how it keeps what it counts.

    @ivar hasSessions: Whether that outlives the connection.
    """

    command: Sequence[str]
    mode: str
    hasSessions: bool = True
    needsRedis: bool = False


KINDS = {
    "ours": Kind(_OURS, "connection"),
    "ours, per message": Kind(_OURS, "message"),
    "ours, Redis": Kind(_OURS, "connection", needsRedis=True),
    "ours, per message, Redis": Kind(_OURS, "message", needsRedis=True),
    "Node, no session": Kind(_NODE, "none", hasSessions=False),
    "Node": Kind(_NODE, "connection"),
    "Node, per message": Kind(_NODE, "message"),
    "Node, Redis": Kind(_NODE, "connection", needsRedis=True),
    "Node, per message, Redis": Kind(_NODE, "message", needsRedis=True),
    "python-socketio, no session": Kind(_PYTHON, "none", hasSessions=False),
    "python-socketio": Kind(_PYTHON, "session", hasSessions=False),
}
"""
All of them.
"""

RATIOS = {
    "ours": (
        *("Node", "Node, no session"),
        *("python-socketio", "python-socketio, no session"),
    ),
    "ours, per message": ("Node, per message", "python-socketio"),
    "ours, Redis": ("Node, Redis",),
    "ours, per message, Redis": ("Node, per message, Redis",),
}
"""
What is compared with what.
"""

IDLERS = "ours", "Node", "python-socketio"


class _Server:
    """
    One in a process of its own.
    """

    def __init__(
        self, kind: Kind, counted: Counted, redis: RedisServer | None, *more: str
    ) -> None:
        self.counted = counted
        self._hasSessions = kind.hasSessions
        place = [redis.url] if kind.needsRedis and redis else []
        # Not by os.sched_setaffinity: Node has threads by then.
        pinned = "taskset", "-c", str(min(os.sched_getaffinity(os.getppid())))
        self._process = subprocess.Popen(
            [*pinned, *kind.command, kind.mode, *place, *more],
            env={
                **os.environ,
                "PYTHONPATH": str(_ROOT),
                "NODE_ENV": "production",
                "NODE_PATH": str(OTHERS / "node_modules"),
            },
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._sessions: list[str] = []
        self._done: list[int] = []

    @property
    def seconds(self) -> float:
        """
        How much time of a processor it has taken.
        """
        stat = Path(f"/proc/{self._process.pid}/stat").read_text("ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """
        How many bytes it has.
        """
        text = Path(f"/proc/{self._process.pid}/statm").read_text("ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cookies(self, count: int) -> list[str]:
        """
        @return: Those of so many sessions; of none, where there are none.
        """
        if not self._hasSessions:
            return [""] * count
        return [page(self.port, "POST", "/new")[1] for _ in range(count)]

    def load(self, depth: int, seconds: float) -> Loaded:
        if not self._sessions:
            self._sessions = self.cookies(CONNECTIONS)
            self._done = [0] * CONNECTIONS
        done = self._done if self._hasSessions else [0] * CONNECTIONS
        return load(self, self._sessions, done, depth, seconds)

    def check(self) -> None:
        """
        See that the sessions, as they are stored, have counted all.
        """
        if self._hasSessions:
            stored = [
                int(page(self.port, "GET", "/n", each)[0]) for each in self._sessions
            ]
            assert stored == self._done, (stored, self._done)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def compare(names: Sequence[str], rounds: int, seconds: float) -> None:
    """
    Load the servers, in turns, and print what is typical.
    """
    counted = Counted(max(DEPTHS))
    with ExitStack() as stack:
        needsRedis = any(KINDS[name].needsRedis for name in names)
        redis = stack.enter_context(RedisServer()) if needsRedis else None
        servers = {}
        for name in names:
            servers[name] = _Server(KINDS[name], counted, redis)
            stack.callback(servers[name].stop)
        for depth in DEPTHS:
            found: dict[str, list[Loaded]] = {name: [] for name in names}
            for _ in range(rounds):
                for name, server in servers.items():
                    found[name].append(server.load(depth, seconds))
            _show(depth, found)
        for server in servers.values():
            server.check()
        print("\nEach acknowledgement was right, and so is each count that is stored.")


def _show(depth: int, found: dict[str, list[Loaded]]) -> None:
    columns = "events/s", "us for each", "p50 ms", "p99 ms", "its share", "the load's"
    print(f"\n{depth:2} in flight{'':18}{''.join(f'{each:>13}' for each in columns)}")
    for name, results in found.items():
        cells = (
            f"{median(each.rate for each in results):13.0f}",
            f"{median(each.work for each in results):13.1f}",
            f"{1000 * median(each.half for each in results):13.2f}",
            f"{1000 * median(each.most for each in results):13.2f}",
            f"{median(each.busy for each in results):13.2f}",
            f"{median(each.ownBusy for each in results):13.2f}",
        )
        print(f"{name:30}{''.join(cells)}")
    for name, others in RATIOS.items():
        for other in others:
            if name in found and other in found:
                pairs = list(zip(found[name], found[other], strict=True))
                rate = median(a.rate / b.rate for a, b in pairs)
                work = median(b.work / a.work for a, b in pairs)
                print(
                    f"{name} : {other}".ljust(52)
                    + f"{rate:6.2f} of the events, {work:6.2f} by time of the server",
                    flush=True,
                )


def idle(names: Sequence[str], count: int, seconds: float) -> None:
    """
    Have clients that only wait, and print what they cost.
    """
    print(
        f"{count} clients{'':17}{'KiB for each':>15}{'MiB then':>10}"
        f"{'timers for each':>17}{'% of a processor':>18}{'pings':>8}"
    )
    for name in names:
        for transport in TRANSPORTS:
            server = _Server(KINDS[name], Counted(0), None)
            try:
                cells = _idle(server, name, transport, count, seconds)
            finally:
                server.stop()
            print(f"{name + ', ' + transport:26}{cells}", flush=True)


def _idle(
    server: _Server, name: str, transport: str, count: int, seconds: float
) -> str:
    def timers() -> int:
        isOurs = name == "ours"
        return int(page(server.port, "GET", "/timers")[0]) if isOurs else 0

    # What the first ones cost is not of each.
    first = Idle(server.port, transport, server.cookies(count // 10))
    first.leave()
    cookies = server.cookies(count)
    memory, before = server.memory, timers()
    idlers = Idle(server.port, transport, cookies)
    idlers.rest(2)
    most, waiting = server.memory, timers() - before
    used = server.seconds
    idlers.rest(seconds)
    used, pings = server.seconds - used, idlers.pings
    idlers.leave()
    return (
        f"{(most - memory) / count / 1024:15.1f}{most / 2**20:10.1f}"
        + (f"{waiting / count:17.2f}" if name == "ours" else f"{'':17}")
        + f"{100 * used / seconds:18.1f}{pings:8}"
    )


def profile(depth: int, seconds: float) -> None:
    server = _Server(KINDS["ours"], Counted(depth), None, "--profile")
    try:
        print(server.load(depth, seconds))
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a server; or idle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--depth", type=int, help="with --profile", default=16)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--quick", action="store_true", help="no figures")
    options = parser.parse_intermixed_args()
    isIdle = options.names[:1] == ["idle"]
    names = options.names[isIdle:] or (IDLERS if isIdle else list(KINDS))
    unknown = set(names) - set(KINDS)
    if unknown:
        raise SystemExit(f"there is only idle, {', '.join(KINDS)}")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if options.profile:
        profile(options.depth, options.seconds)
    elif isIdle:
        idle(names, *((50, 3.0) if options.quick else (IDLE, 2 * INTERVAL)))
    elif options.quick:
        compare(names, 1, 0.5)
    else:
        compare(names, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
