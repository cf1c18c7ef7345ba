"""
Nodes on a Redis, for the tests of the bus.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.servers import reactor
from txsessionsock.bus import RedisBus
from txsessionsock.bus.requests import Answers
from txsessionsock.interfaces import StoreFailure, StoreTimeout, StoreUnavailable


__all__ = ["Node", "nodes", "portOf"]


class Node(RedisBus):
    """
    A node that keeps what it gets, and answers how much that is.
    """

    def __init__(self, url: str, **options: Any) -> None:
        options.setdefault("timeout", 0.5)
        options.setdefault("lifetime", 1.5)
        super().__init__(url, reactor, **options)
        self.got: list[bytes] = []
        self.handle(self._keep)

    def _keep(self, command: bytes) -> bytes:
        self.got.append(command)
        return b"%d" % len(self.got)

    async def lost(self) -> None:
        """
        Ask until it is known that there is no connection.
        """
        with suppress(StoreUnavailable):
            while True:
                with suppress(StoreTimeout):
                    await self.request(b"?")

    async def until(self, expected: dict[str, bool]) -> Answers:
        """
        Ask until these nodes answer, or do not.
        """
        answers: Answers = {}
        end = reactor.seconds() + 8
        while {node: bool(answer) for node, answer in answers.items()} != expected:
            assert reactor.seconds() < end, answers
            try:
                answers = await self.request(b"?")
            except StoreFailure:
                answers = {}
            await deferLater(reactor, 0.01)
        return answers


@asynccontextmanager
async def nodes(
    *urls: str, among: Sequence[Node] = (), **options: Any
) -> AsyncIterator[list[Node]]:
    """
    Nodes that know each other.  Nothing may fail in a way that nobody expects.

    @param among: Who else is there.
    """
    with capturedLogs() as events:
        made = [Node(url, **options) for url in urls]
        try:
            await gatherResults([node.ready() for node in made])
            everybody = [*among, *made]
            for node in everybody:
                await node.until({each.node: True for each in everybody})
            yield made
        finally:
            await gatherResults([node.close() for node in made])
    failures = [e for e in events if e["log_level"] >= LogLevel.critical]
    assert not failures, [formatEvent(event) for event in failures]


def portOf(url: str) -> int:
    """
    The port of a server.
    """
    return int(url.rsplit(":", maxsplit=1)[-1].split("/", maxsplit=1)[0])
