"""
Web applications that write whole sessions, slowly, while sockets of two nodes
write keys of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from autobahn.exception import Disconnected
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.histories import Version
from tests.support.servers import reactor, site
from tests.support.visitors import Socket, Visitor
from tests.support.webstores import Application, Place
from txsessionsock.interfaces import NoSuchSession
from txsessionsock.manager import SessionManager


__all__ = ["Figures", "Traffic", "measure", "together", "traffic"]

INTERVAL = 0.05
"""
Every how many seconds a socket writes.
"""

PATIENCE = 5.0
"""
For how many seconds what was overwritten may be missing in the end.
"""


@dataclass
class Figures:
    """
    What came of a run.

    @ivar acknowledged: How many keys the sockets wrote, and had the answer.

    @ivar lost: Which of them the application does not have in the end.

    @ivar requests: How many the application answered.

    @ivar clobbers: How many of its writes dropped keys of the sockets.

    @ivar missing: For how many seconds each key was missing each time.
    """

    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    requests: int = 0
    clobbers: int = 0
    missing: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        times = "never missing"
        if self.missing:
            times = (
                f"{len(self.missing)} times a key missing,"
                f" median {1e3 * median(self.missing):.1f} ms,"
                f" worst {1e3 * max(self.missing):.0f} ms"
            )
        return (
            f"{len(self.lost)} of {self.acknowledged} lost"
            f"{self.lost or ''};"
            f" {self.clobbers} of {self.requests} requests overwrote something;"
            f" {times}"
        )


class Traffic:
    """
    What goes on at the same time on one session.

    @ivar scene: The web application, with somebody logged in.

    @ivar sockets: One of each node.

    @ivar interval: Every how many seconds a socket writes, unless its last
        answer is still to come.

    @ivar managers: Those of the nodes.

    @ivar acknowledged: The keys that they wrote.

    @ivar requests: How many requests of L{visit} were answered.
    """

    def __init__(self, place: Place) -> None:
        self.scene = place.scene
        self.sockets: list[Socket] = []
        self.acknowledged: list[str] = []
        self.requests = 0
        self.interval = INTERVAL
        self.isOver = False
        self.managers: list[SessionManager] = []
        self.tellsWhose = place.tellsWhose
        self._framework = place.framework
        self._history = place.history

    async def write(self, number: int) -> None:
        """
        Have a socket write one key after the other, until it is closed or
        everything is over.
        """
        socket, count = self.sockets[number], 0
        while not (self.isOver or socket.closed):
            due = reactor.seconds() + self.interval
            key = f"s{number}k{count}"
            have = len(socket.received)
            with suppress(Disconnected):
                socket.say(["add", key])
            await socket.until(partial(_isAnswered, socket, have))
            if len(socket.received) > have:
                assert socket.received[-1] == 1, (key, socket.received[-1])
                self.acknowledged.append(key)
            count += 1
            await deferLater(reactor, max(0.0, due - reactor.seconds()))

    async def visit(self, method: str, path: str) -> None:
        """
        Have a browser make one request after the other.
        """
        visitor = self.newVisitor()
        ask = visitor.get if method == "GET" else visitor.post
        while not self.isOver:
            answer = await ask(path)
            assert answer.code == 200, answer
            self.requests += 1

    def newVisitor(self) -> Visitor:
        """
        Another connection of the browser.
        """
        visitor = Visitor(self.scene.pages.port)
        visitor.cookies = dict(self.scene.pages.cookies)
        return visitor

    async def run(self, seconds: float, *others: Callable[[], Any]) -> None:
        """
        Have the sockets write, and others do what they do, until it is over.
        """
        end = reactor.callLater(seconds, self.end)
        doing = [partial(self.write, number) for number in range(len(self.sockets))]
        try:
            await together(*doing, *others, failed=self.end)
        finally:
            if end.active():
                end.cancel()

    def end(self) -> None:
        """
        Have everybody do no more than they have begun.
        """
        self.isOver = True

    async def lost(self, patience: float = PATIENCE) -> list[str]:
        """
        Wait for what was overwritten to come back.

        @return: What of the acknowledged does not.
        """
        deadline = reactor.seconds() + patience
        while True:
            session = await self.scene.session()
            lost = [key for key in self.acknowledged if session.get(key) != 1]
            if not lost or reactor.seconds() > deadline:
                return lost
            await deferLater(reactor, 0.02)

    async def versions(self) -> list[tuple[Version, dict[str, Any] | None]]:
        """
        All that was stored, and what it means; L{None} for no session.
        """
        now, framework = reactor.seconds(), self._framework
        cookie = self.scene.pages.cookies[framework.cookieName]
        key = framework.key(framework.sessionID(cookie, now))
        found: list[tuple[Version, dict[str, Any] | None]] = []
        for version in await self._history.versions(key):
            data = None
            if version.raw:
                # Some say there that it was ended.
                with suppress(NoSuchSession):
                    data = framework.loads(version.raw, now).data
            found.append((version, data))
        return found

    async def figures(self, patience: float = PATIENCE) -> Figures:
        """
        Find out what came of it.
        """
        closed = [socket.closed for socket in self.sockets]
        assert closed == [None, None], closed
        lost = await self.lost(patience)
        clobbers, missing = _gaps(await self.versions(), self.acknowledged)
        return Figures(len(self.acknowledged), lost, self.requests, clobbers, missing)


async def together(
    *doing: Callable[[], Any], failed: Callable[[], object] = lambda: None
) -> None:
    """
    Do several things at the same time, and wait for all.

    @param failed: Called when one has failed.
    """
    running = [Deferred.fromCoroutine(do()) for do in doing]
    for one in running:
        one.addErrback(lambda failure: (failed(), failure)[1])
    await gatherResults(running, consumeErrors=True)


def _isAnswered(socket: Socket, have: int) -> bool:
    return len(socket.received) > have or socket.closed is not None


def _gaps(
    versions: Iterable[tuple[Version, dict[str, Any] | None]], keys: Iterable[str]
) -> tuple[int, list[float]]:
    """
    @return: How many versions dropped something, and for how many seconds what
        was missing each time.
    """
    own = set(keys)
    there: set[str] = set()
    since: dict[str, float] = {}
    clobbers, missing = 0, []
    for version, data in versions:
        now = own & set(data or ())
        if dropped := there - now:
            clobbers += 1
            since |= dict.fromkeys(dropped, version.at)
        missing += [version.at - since.pop(key) for key in now & set(since)]
        there = now
    return clobbers, missing


@asynccontextmanager
async def traffic(application: Application, **settings: Any) -> AsyncIterator[Traffic]:
    """
    Run a web application, somebody who is logged in there, and two nodes of
    ours with a socket of hers each.

    @param settings: What is different with the managers of these nodes.
    """
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(application.atWork())
        found = Traffic(place)
        await place.scene.pages.post("/login?ann")
        for _ in range(2):
            store = place.newStore()
            stack.push_async_callback(store.close)
            manager = SessionManager(store, place.framework, reactor, **settings)
            found.managers.append(manager)
            serving = site(manager, perMessage=True)
            port, _factory = await stack.enter_async_context(serving)
            visitor = Visitor(port)
            visitor.cookies = dict(place.scene.pages.cookies)
            found.sockets.append(await visitor.connect())
        yield found


async def measure(
    application: Application,
    method: str,
    seconds: float,
    *,
    patience: float = PATIENCE,
    **settings: Any,
) -> Figures:
    """
    Have two sockets write, and two browsers make slow requests.

    @param method: C{"POST"} for requests that change the session, C{"GET"}
        for those that only read.

    @param patience: For how many seconds what was overwritten may be missing
        in the end.

    @param settings: See L{traffic}.
    """
    async with traffic(application, **settings) as running:
        await running.run(
            seconds,
            partial(running.visit, method, "/slow?a"),
            partial(running.visit, method, "/slow?b"),
        )
        return await running.figures(patience)
