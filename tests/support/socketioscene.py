"""
A server of Socket.IO in this process that is attacked, and a client that it has to
serve meanwhile.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from twisted.web.resource import Resource
from zope.interface import implementer

from tests.support.cutting import descriptors, objects, residentSize
from tests.support.doors import cookieOf
from tests.support.managing import timers
from tests.support.servers import PATIENCE, SECRET, reactor
from tests.support.socketioattacks import WEBSOCKET, Attacker, Web, event
from txsessionsock.frameworks.express import Express
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.socketio import (
    Recovery,
    SocketIO,
    SocketIOResource,
    SocketIOSocket,
    enable,
)
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore
from txsessionsock.web import BoundedSite


__all__ = ["Attacked", "Target", "attacked"]

MEMORY = 48 * 1024 * 1024
"""
How many bytes more this process may take at the end of an attack.
"""

LATE = 2.0
"""
How many seconds the client that has to be served may wait: everybody is in this
process.
"""

LINES = 25
"""
How many lines there may be in the log, errors not at all.
"""

_PAUSE = 0.01

_REQUEST = '"127.0.0.1" - - '
"""
How the line of a request begins, of which there is one for each.
"""


class Target(SocketIOSocket):
    """
    Counts, says what it is told, or as much as is asked for, to one or to all.
    """

    scene: Attacked

    def on_add(self, *args: Any) -> int:
        session: Any = self.session
        session["n"] = count = session.get("n", 0) + 1
        return int(count)

    def on_say(self, *args: Any) -> Any:
        return args

    def on_big(self, size: object, often: int = 1, *_: Any) -> None:
        if isinstance(size, int):
            for _each in range(min(often, 1000)):
                self.emit("big", "x" * size)

    def on_join(self, room: str) -> None:
        self.join(room)

    def on_wait(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self.scene.waiting.append(waiting)
        return waiting

    def sessionConnected(self, session: Session) -> None:
        self.scene.came += 1

    def sessionDisconnected(self, session: Session, code: int) -> None:
        self.scene.reasons[self.id] = self.reason
        self.scene.left += 1


@implementer(ILogObserver)
class Attacked:
    """
    What is attacked.

    @ivar reasons: Why clients were disconnected, by the ids of their sockets.

    @ivar waiting: What C{on_wait} waits for.

    @ivar came: How many clients have had C{sconnection}, and C{left},
        C{disconnect}.

    @ivar log: What was logged: whether it is a failure, and the line.

    @ivar requests: The lines about requests.
    """

    port: int
    cookie: str

    def __init__(
        self,
        *,
        perMessage: bool,
        timeout: float,
        recovery: Recovery | None,
        limits: Limits,
    ) -> None:
        self.reasons: dict[str, str] = {}
        self.waiting: list[Deferred[None]] = []
        self.came = self.left = 0
        self.log: list[tuple[bool, str]] = []
        self.requests: list[str] = []
        self.store = FlakyStore(MemoryStore(reactor))
        self.manager = SessionManager(self.store, Express([SECRET]), reactor)
        self.io: Any = SocketIO(
            type("Its", (Target,), {"scene": self}), recovery=recovery
        )
        self.sockets = enable(
            self.io, self.manager, perMessage=perMessage, limits=limits
        )
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(self.io))
        self.site = BoundedSite(root, reactor=reactor, limits=limits, timeout=timeout)
        self._attackers: list[Any] = []
        self._isOver = False
        self._times: list[float] = []

    def __call__(self, event: Any) -> None:
        """
        Something was logged.
        """
        isFailure = event["log_level"] >= LogLevel.error or "log_failure" in event
        if isFailure or event["log_level"] >= LogLevel.info:
            text = formatEvent(event)
            failure = event.get("log_failure")
            if text.startswith(_REQUEST):
                self.requests.append(text)
            else:
                self.log.append((isFailure, f"{text} {failure or ''}"))

    async def attacker(
        self, transport: str, *, connects: bool = True, cookie: str | None = None
    ) -> Attacker:
        """
        Have one come.

        @param connects: Whether it is in the main namespace, too.
        """
        made = Attacker(self.port, transport, self.cookie if cookie is None else cookie)
        self._attackers.append(made)
        await made.open()
        if connects:
            await made.connect()
        return made

    async def web(self) -> Web:
        """
        A bare connection.
        """
        made = await Web.to(self.port)
        self._attackers.append(made)
        return made

    async def another(self) -> str:
        """
        The cookie of a new session.
        """
        return await cookieOf(self, n=0)

    async def until(self, condition: Any, patience: float = PATIENCE) -> None:
        """
        Wait for something of which nobody is told.
        """
        end = monotonic() + patience
        while not condition():
            assert monotonic() < end, "it never came about"
            await self.turn()

    async def turn(self) -> None:
        """
        Let everything go on for a moment.
        """
        await deferLater(reactor, 0.005, lambda: None)

    def served(self) -> int:
        """
        How many answers the good client has had.
        """
        return len(self._times)

    async def stillServes(self) -> None:
        """
        Wait until the good client has had two more answers.
        """
        had = self.served()
        await self.until(lambda: self.served() > had + 1)

    async def serve(self) -> None:
        """
        Have the good client be answered, until it is over.
        """
        good = self.good
        number = 0
        while not self._isOver:
            began = monotonic()
            await good.say(event("add", id=number))
            answer = await good.next()
            assert answer == b"43%d[%d]" % (number, number + 1), answer
            self._times.append(monotonic() - began)
            number += 1
            await deferLater(reactor, _PAUSE, lambda: None)

    async def begin(self) -> None:
        """
        Have the good client come, and see what there is.
        """
        self._serving: Deferred[None] = succeed(None)
        self.good = Attacker(self.port, WEBSOCKET, await self.another())
        await (await self.good.open()).connect()
        # What the first ones leave behind is kept for all others.
        for transport in "polling", WEBSOCKET:
            first = await self.attacker(transport)
            await first.say(event("add", id=1), event("big", 300_000))
            first.leave()
        await self.until(self._isAlone)
        self._serving = Deferred.fromCoroutine(self.serve())
        await self.stillServes()
        gc.collect()
        self._before = objects(), descriptors(), len(timers(reactor)), residentSize()
        self.reasons.clear()
        self.log.clear()
        self.requests.clear()

    def _isAlone(self) -> bool:
        return (
            len(self.io.sockets) == len(self.io.engine) == 1
            and self.manager.statistics().sessions == 1
        )

    async def end(self) -> None:
        """
        Have the attackers leave, and see that nothing is left of them.
        """
        await self.stillServes()
        for attacker in self._attackers:
            attacker.leave()
        self.store.heal()
        for waiting in self.waiting:
            waiting.callback(None)
        counted, files, calls, size = self._before
        await self.until(self._isAlone)
        await self.until(lambda: descriptors() <= files)
        await self.stillServes()
        self._isOver = True
        await self._serving
        assert self.came == self.left + 1
        gc.collect()
        assert len(timers(reactor)) <= calls, timers(reactor)
        assert not self._more(counted), self._more(counted)
        more = residentSize() - size
        assert more < MEMORY, more
        assert not [line for isFailure, line in self.log if isFailure], self.log
        assert len(self.log) <= LINES, self.log
        assert max(self._times) < LATE, max(self._times)
        self.told = (
            f"{len(self._times)} answers within {max(self._times):.3f} s,"
            f" {more // 1024:+} KiB, {len(self.log)} lines"
        )
        print(self.told)

    def stop(self) -> None:
        """
        Stop serving, also where a test has failed.
        """
        self._isOver = True
        self.good.leave()
        self._serving.addErrback(lambda _: None)

    def _more(self, counted: Counter[str]) -> dict[str, int]:
        """
        What of ours there is, that was not.
        """
        found = objects() - counted
        return {
            name: count
            for name, count in found.items()
            if name.startswith("txsessionsock.socketio.")
            or name.startswith(("txsessionsock.clients.", "txsessionsock.session."))
        }


@asynccontextmanager
async def attacked(
    *,
    perMessage: bool = False,
    timeout: float = 60.0,
    recovery: Recovery | None = None,
    **limits: Any,
) -> AsyncIterator[Attacked]:
    """
    Serve until the end of the block, and see that all is well then.

    @param timeout: For how many seconds a connection of HTTP may say nothing.
    """
    limits.setdefault("socketsPerSession", 10_000)
    limits.setdefault("pingInterval", 4.0)
    limits.setdefault("pingTimeout", 4.0)
    scene = Attacked(
        perMessage=perMessage,
        timeout=timeout,
        recovery=recovery,
        limits=Limits(**limits),
    )
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1", backlog=1024)
    port = await endpoint.listen(scene.site)
    scene.port = port.getHost().port
    scene.cookie = await scene.another()
    globalLogPublisher.addObserver(scene)
    try:
        await scene.begin()
        yield scene
        await scene.end()
    finally:
        globalLogPublisher.removeObserver(scene)
        scene.stop()
        await port.stopListening()
        for ending in scene.sockets.goAway(), scene.manager.stop(0):
            await ending.addTimeout(PATIENCE, reactor)
