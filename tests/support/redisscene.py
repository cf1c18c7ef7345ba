"""
Stores, and sites with sockets on them, for tests in which a Redis fails.
"""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.e2e.verbs import Verbs
from tests.support.managing import leftIn
from tests.support.redisserver import RedisServer
from tests.support.servers import PATIENCE, SECRET, Conditions, mint, reactor, site
from tests.support.visitors import Socket, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import EndReason, InvalidReason
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.redis import RedisStore


__all__ = ["TIMEOUT", "Node", "Teller", "noErrors", "node", "quiet", "storing"]

TIMEOUT = 0.4
"""
After how many seconds these stores give up.
"""

_numbers = count()


@contextmanager
def noErrors() -> Iterator[None]:
    """
    Nothing is logged as an error in this block.
    """
    errors: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error:
            failure = event.get("log_failure")
            trace = failure.getTraceback() if failure else ""
            errors.append(f"{formatEvent(event)}\n{trace}")

    globalLogPublisher.addObserver(observe)
    try:
        yield
        # What was forgotten is reported when it is collected.
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not errors, "\n".join(errors)


@contextmanager
def quiet() -> Iterator[None]:
    """
    Nothing is logged as an error in this block, and nothing of ours is left to
    be done later.
    """
    before = {id(call) for call in reactor.getDelayedCalls()}
    with noErrors():
        yield
    assert not leftIn(reactor, before)


@asynccontextmanager
async def storing(
    url: str, prefix: str | None = None, timeout: float = TIMEOUT
) -> AsyncIterator[RedisStore]:
    """
    A store, until the end of the block.

    @param prefix: Which keys it has; by default, its own.
    """
    prefix = f"{next(_numbers)}:" if prefix is None else prefix
    store = RedisStore(url, reactor, prefix=prefix, timeout=timeout)
    try:
        yield store
    finally:
        await store.close().addTimeout(PATIENCE, reactor)


class Node(Conditions):
    """
    A site in one of the modes, and what happens on it.

    @ivar invalid: Why handshakes had no session.

    @ivar errors: What sockets were told that went wrong.

    @ivar ended: Why sessions ended.
    """

    def __init__(self, store: RedisStore, perMessage: bool) -> None:
        super().__init__()
        self.store = store
        self.perMessage = perMessage
        self.invalid: list[InvalidReason] = []
        self.errors: list[BaseException | None] = []
        self.ended: list[EndReason] = []
        self.port = 0

    async def visitor(self, **data: Any) -> Visitor:
        """
        Somebody with a session.
        """
        return Visitor(self.port, await mint(self.store, data))

    def keyOf(self, visitor: Visitor) -> str:
        """
        Where the server has the session.
        """
        framework = Express(SECRET)
        sessionID = framework.sessionID(visitor.cookies["connect.sid"], 0)
        return self.store._prefix.decode() + framework.key(sessionID)

    def stored(self, server: RedisServer, visitor: Visitor) -> dict[str, Any]:
        """
        What another program finds in the session.
        """
        data: dict[str, Any] = json.loads(server.command("GET", self.keyOf(visitor)))
        return data

    def put(self, server: RedisServer, visitor: Visitor, **data: Any) -> None:
        """
        Have another program write into the session.
        """
        new = json.dumps({**self.stored(server, visitor), **data})
        key = self.keyOf(visitor)
        assert server.command("SET", key, new, "XX", "KEEPTTL") == "OK"

    async def saved(self, server: RedisServer, visitor: Visitor, number: int) -> None:
        """
        Wait until so much is stored, without anybody's doing; there may be ten
        seconds between two attempts.
        """
        end = reactor.seconds() + PATIENCE
        while self.stored(server, visitor)["n"] < number:
            assert reactor.seconds() < end, "not stored by itself"
            await deferLater(reactor, 0.01)

    async def trouble(self) -> None:
        """
        Wait until a socket was told that the store failed.
        """
        await self.until(lambda: self.errors)


class _Witness(Verbs):
    node: Node

    def sessionInvalid(self, reason: InvalidReason) -> None:
        self.node.invalid.append(reason)
        self.node.happened()

    def sessionError(self, failure: Failure) -> None:
        self.node.errors.append(failure.value)
        self.node.happened()

    def sessionDestroyed(self, session: Session, reason: EndReason) -> None:
        self.node.ended.append(reason)
        self.node.happened()


@asynccontextmanager
async def node(
    url: str, perMessage: bool, prefix: str | None = None
) -> AsyncIterator[Node]:
    """
    Serve sockets on a Redis, until the end of the block.
    """
    async with storing(url, prefix) as store:
        made = Node(store, perMessage)
        manager = SessionManager(store, Express(SECRET), reactor)
        protocol: Any = type("Witness", (_Witness,), {"node": made})
        async with site(manager, protocol, perMessage=perMessage) as (port, _):
            made.port = port
            yield made


class Teller(Conditions):
    """
    Counts, by a socket that it opens anew whenever it is closed.

    @ivar sent: How often it counted.

    @ivar answered: How often it heard of that.

    @ivar codes: With what its sockets were closed by the server.
    """

    def __init__(self, visitor: Visitor, key: str = "n") -> None:
        super().__init__()
        self.sent = self.answered = 0
        self.codes: list[int] = []
        self._visitor = visitor
        self._key = key
        self._isStopping = False
        self._done = Deferred.fromCoroutine(self._count())

    async def _count(self) -> None:
        while not self._isStopping:
            socket = await self._visitor.connect()
            while await self._counted(socket):
                pass
            if socket.closed is not None:
                self.codes.append(socket.closed[0])
                await deferLater(reactor, 0.02)
            else:
                socket.sendClose()
                await socket.closes()

    async def _counted(self, socket: Socket) -> bool:
        if self._isStopping or socket.closed:
            return False
        self.sent += 1
        had = len(socket.received)
        socket.say(["increment", self._key])
        await socket.until(lambda: len(socket.received) > had or socket.closed)
        if len(socket.received) == had:
            return False
        self.answered += 1
        self.happened()
        return True

    async def more(self, times: int = 10) -> None:
        """
        Wait for so many more answers.
        """
        wanted = self.answered + times
        await self.until(lambda: self.answered >= wanted or self._done.called)
        assert self.answered >= wanted, self._done

    async def stop(self) -> None:
        """
        Count no more.
        """
        self._isStopping = True
        await self._done
