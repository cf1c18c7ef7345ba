"""
A Redis whose master changes, behind one name: for tests of what notices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.redisscene import quiet, storing
from tests.support.redisserver import Proxy, RedisServer, eventually, proxy
from tests.support.servers import PATIENCE, reactor
from txsessionsock.interfaces import StoreFailure
from txsessionsock.stores.redis import RedisStore


__all__ = ["Pair", "Place", "pair", "place", "until"]

QUICK = "repl-diskless-sync-delay 0", "repl-ping-replica-period 1"


@dataclass
class Pair:
    """
    A master and a replica that has all data.

    @ivar old: The first master.

    @ivar new: The other server.
    """

    old: RedisServer
    new: RedisServer

    async def swap(self) -> None:
        """
        Change the roles, as a planned fail-over does; connections stay.
        """
        assert self.old.replicated(1)
        self.new.command("REPLICAOF", "NO", "ONE")
        self.old.command("REPLICAOF", "127.0.0.1", self.new.port)
        await deferToThread(eventually, lambda: self.old.role == "follower")


@contextmanager
def pair(*lines: str) -> Iterator[Pair]:
    """
    @param lines: More configuration for both.
    """
    with RedisServer(*QUICK, *lines) as old:
        replica = f"replicaof 127.0.0.1 {old.port}"
        with RedisServer(*QUICK, *lines, replica) as new:
            eventually(lambda: new.role == "follower")
            yield Pair(old, new)


@dataclass
class Place:
    """
    Two servers, a name that leads to the first, and a store that has C{"k"}
    there, and watches it.

    @ivar told: What the store told that may have changed.
    """

    servers: Pair
    name: Proxy
    store: RedisStore
    told: list[str]
    events: Sequence[dict[str, Any]]

    @property
    def said(self) -> list[str]:
        """
        What the link warned of.
        """
        warned = [e for e in self.events if e["log_level"] >= LogLevel.warn]
        return [formatEvent(event).partition(": ")[2] for event in warned]

    def move(self) -> None:
        """
        Have the name lead to the other server; connections stay.
        """
        self.name.target = self.servers.new.port

    def has(self, server: RedisServer, key: str) -> bool:
        """
        Whether a server has a key of the store.
        """
        return bool(server.command("EXISTS", self.store._prefix.decode() + key))

    async def connecting(self, times: int) -> AsyncIterator[None]:
        """
        Go on, until the name was connected to so often.
        """
        wanted, end = self.name.accepted + times, reactor.seconds() + PATIENCE
        while self.name.accepted < wanted:
            assert reactor.seconds() < end, self.said
            yield
            await deferLater(reactor, 0.01)

    async def written(self, key: str) -> None:
        """
        Write, as soon as that can be done.
        """
        end = reactor.seconds() + PATIENCE
        while True:
            try:
                await self.store.create(key, b"x", 600.0)
            except StoreFailure:
                assert reactor.seconds() < end, self.said
                await deferLater(reactor, 0.01)
            else:
                return


@asynccontextmanager
async def place(servers: Pair, timeout: float = 2.0) -> AsyncIterator[Place]:
    """
    A store that is connected, until the end of the block.
    """
    with quiet(), capturedLogs() as events:
        async with proxy(servers.old.port) as name:
            url = f"redis://127.0.0.1:{name.port}"
            async with storing(url, timeout=timeout) as store:
                told: list[str] = []
                store.watch("k", told.append)
                assert await store.create("k", b"1", 600.0)
                if servers.new.role == "follower":
                    assert servers.old.replicated(1)
                await store.load("k")
                told.clear()
                yield Place(servers, name, store, told, events)


async def until(condition: Callable[[], object]) -> None:
    """
    Wait until something is so.
    """
    end = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < end, "waited in vain"
        await deferLater(reactor, 0.005)
