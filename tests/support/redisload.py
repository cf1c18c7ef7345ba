"""
Two nodes that write into the same Redis all the time, and remember what they
were told is stored.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from tests.support.managing import Recorder
from tests.support.redisserver import RedisServer
from tests.support.servers import PATIENCE, SECRET, Conditions, mint, reactor
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import StoreFailure, StoreTimeout
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.redis import RedisStore


__all__ = ["Load", "load"]

_PAUSE = 0.01
"""
How many seconds a writer waits after each answer.
"""


@dataclass
class _Written:
    """
    A session, and what was written into it.

    @ivar acknowledged: By name, when somebody was told that it is stored.

    @ivar doubts: How often somebody was told that nobody knows.
    """

    key: str
    acknowledged: dict[str, float] = field(default_factory=dict)
    doubts: int = 0
    ended: list[Any] = field(default_factory=list)


@implementer(ILogObserver)
class Load(Conditions):
    """
    The writers.

    @ivar times: When something was acknowledged.

    @ivar failures: Of attempts to save.

    @ivar connected: When a store was connected again.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.stores = [RedisStore(url, reactor) for _ in range(2)]
        self.managers = [
            SessionManager(store, Express(SECRET), reactor) for store in self.stores
        ]
        self.times: list[float] = []
        self.failures: list[StoreFailure] = []
        self.connected: list[float] = []
        self._written: list[_Written] = []
        self._isOver = False
        self._busy: list[Deferred[None]] = []
        self._held: list[tuple[SessionManager, Session, Recorder]] = []

    async def start(self) -> None:
        """
        Two sessions that both nodes write into, one more for each node, and
        ever new ones.
        """
        framework = Express(SECRET)
        for writers in (0, 1), (0, 1), (0,), (1,):
            sessionID = framework.sessionID(await mint(self.stores[0], {"n": 0}), 0)
            written = _Written(framework.key(sessionID))
            for node in writers:
                manager, holder = self.managers[node], Recorder()
                session = await manager.open(sessionID, holder)
                self._hold(manager, session, holder, written)
                self._begin(self._count(session, written, node))
        for manager in self.managers:
            self._begin(self._create(manager))

    def _begin(self, doing: Coroutine[Deferred[Any], Any, None]) -> None:
        self._busy.append(Deferred.fromCoroutine(doing))

    def _hold(
        self,
        manager: SessionManager,
        session: Session,
        holder: Recorder,
        written: _Written,
    ) -> None:
        if written not in self._written:
            self._written.append(written)
        self._held.append((manager, session, holder))
        holder.whenEnded = lambda: written.ended.extend(holder.reasons)

    async def _count(self, session: Session, written: _Written, node: int) -> None:
        """
        Count, and leave a name for each number.
        """
        unsaved = []
        for number in count():
            unsaved.append(f"{node}-{number}")
            session[unsaved[-1]] = True
            session.increment("n")
            if await self._isSaved(session, written):
                written.acknowledged |= dict.fromkeys(unsaved, self.times[-1])
                unsaved.clear()
            if self._isOver:
                return
            await deferLater(reactor, _PAUSE)

    async def _create(self, manager: SessionManager) -> None:
        """
        Begin sessions, and keep them.
        """
        while not self._isOver:
            holder = Recorder()
            session = manager.create(holder)
            session["begun"] = True
            written = _Written(f"sess:{session.id}")
            self._hold(manager, session, holder, written)
            if await self._isSaved(session, written):
                # It had another id before, perhaps.
                written.key = f"sess:{session.id}"
                written.acknowledged["begun"] = self.times[-1]
            await deferLater(reactor, _PAUSE * 5)

    async def _isSaved(self, session: Session, written: _Written) -> bool:
        try:
            await session.save()
        except StoreFailure as failure:
            self.failures.append(failure)
            written.doubts += isinstance(failure, StoreTimeout)
            return False
        self.times.append(reactor.seconds())
        self.happened()
        return True

    async def more(self, number: int = 100) -> None:
        """
        Wait until so many more writes are acknowledged.
        """
        wanted = len(self.times) + number
        await self.until(lambda: len(self.times) >= wanted, patience=2 * PATIENCE)

    def __call__(self, event: LogEvent) -> None:
        """
        Learn from the log of connections.
        """
        if "connected again" in event.get("log_format", ""):
            self.connected.append(event["log_time"])
            self.happened()

    async def reconnected(self, stores: int) -> None:
        """
        Wait until so many stores, of whomever, were connected again.
        """
        await self.until(lambda: len(self.connected) >= stores, patience=2 * PATIENCE)

    async def stop(self) -> None:
        """
        Write no more.
        """
        if self._isOver:
            return
        self._isOver = True
        await gatherResults(self._busy, consumeErrors=True)
        for manager, session, holder in self._held:
            if not holder.reasons:
                await manager.release(session, holder)
        for manager in self.managers:
            await manager.stop(0)

    async def close(self) -> None:
        """
        Leave.
        """
        for store in self.stores:
            await store.close()

    @property
    def outage(self) -> float:
        """
        For how long nothing was acknowledged.
        """
        return max(second - first for first, second in pairwise(self.times))

    def lost(self, server: RedisServer) -> list[float]:
        """
        Hold what is stored against what was acknowledged.

        @return: When that was acknowledged which is not there.
        """
        lost: list[float] = []
        for written in self._written:
            raw = server.command("GET", written.key)
            stored = {} if raw is None else json.loads(raw)
            missing = [
                when
                for name, when in written.acknowledged.items()
                if name not in stored
            ]
            if written.acknowledged or written.ended:
                assert bool(written.ended) == (raw is None), "a wrong word on its end"
            if "n" in stored:
                counted = sum("-" in name for name in stored)
                assert counted - written.doubts <= stored["n"] <= counted
            lost += missing
        return lost


@asynccontextmanager
async def load(url: str) -> AsyncIterator[Load]:
    """
    Write, until the end of the block at the latest.
    """
    made = Load(url)
    globalLogPublisher.addObserver(made)
    try:
        await made.start()
        yield made
        await made.stop()
    finally:
        globalLogPublisher.removeObserver(made)
        await made.close()
