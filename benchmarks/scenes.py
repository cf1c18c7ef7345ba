"""
Servers of this library for L{benchmarks.growth}, which nobody has used yet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.compare import information
from benchmarks.contestants import CONTESTANTS, Sessions
from benchmarks.crowds import Crowd
from benchmarks.load import Times
from benchmarks.serving import ROOT, Server, processorTime
from tests.support.redisserver import RedisServer


__all__ = ["ONE", "Place", "Scene", "amiss"]

ONE = next(one for one in CONTESTANTS if one.name == "this library")

_PINGS = "600"
"""
How many seconds there are between pings: the load compares each answer with what it
has to be, and knows of no pings.
"""

_PATIENCE = 5.0
"""
How many seconds later than its answer what was counted may be stored.
"""


@dataclass(frozen=True)
class Place:
    """
    Where servers run.

    @ivar redis: It has the processor of this program.

    @ivar processors: Of the servers; empty where the system chooses.
    """

    redis: RedisServer
    processors: Sequence[int]

    def sessions(self) -> Sessions:
        return Sessions(self.redis, ONE.framework)

    def command(self, mode: str, log: str | None = None) -> list[str]:
        """
        @param mode: As C{peers/ours.py} has it.

        @param log: Where L{benchmarks.collected} writes.
        """
        *python, server, _, url = ONE.arguments("connection", self.redis)
        if log is not None:
            python += [str(ROOT / "benchmarks" / "collected.py"), log]
        return [*python, server, mode, url, _PINGS]

    def _where(self, number: int) -> int | None:
        return (
            self.processors[number % len(self.processors)] if self.processors else None
        )

    @contextmanager
    def scene(
        self, mode: str, count: int = 1, log: str | None = None
    ) -> Iterator[Scene]:
        """
        Have so many servers until the end of the block.
        """
        servers: list[Server] = []
        try:
            for number in range(count):
                servers.append(Server(self.command(mode, log), self._where(number)))
            yield Scene(self, servers)
        finally:
            for server in servers:
                server.stop()


class Scene:
    """
    Servers of one mode.

    @ivar share: How much of a processor they can have together.
    """

    def __init__(self, place: Place, servers: Sequence[Server]) -> None:
        pid = int(information(place.redis, "server")["process_id"])
        self._servers = servers
        self.ports = [server.port for server in servers]
        self.pids = [server.pid for server in servers]
        self.share = min(len(servers), len(place.processors) or len(servers))
        self.times = Times(self.seconds, partial(processorTime, pid))

    def seconds(self) -> float:
        return sum(server.seconds for server in self._servers)

    def memory(self) -> int:
        return sum(server.memory for server in self._servers)


def amiss(sessions: Sessions, crowds: Sequence[Crowd]) -> float:
    """
    @return: The part of messages whose answers were wrong, or which the sessions have
        not counted in the end, or counted twice.
    """
    answered = sum(crowd.answered for crowd in crowds)
    end = time.monotonic() + _PATIENCE
    while (counted := sessions.counted()) < answered and time.monotonic() < end:
        time.sleep(0.1)
    wrong = sum(crowd.wrong for crowd in crowds)
    return max(abs(answered - counted), wrong) / answered
