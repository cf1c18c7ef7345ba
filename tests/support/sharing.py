"""
Sockets of several nodes that all change the same keys of one session, beside a
web application that writes whole sessions, slowly.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle
from typing import Any

from autobahn.exception import Disconnected
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.e2e.ledger import Ledger
from tests.support.servers import Twistd, reactor, site, twistd
from tests.support.visitors import Refused, Socket, Visitor
from tests.support.webstores import Application, Place
from tests.support.writers import Traffic, together
from txsessionsock.manager import SessionManager


__all__ = ["Clerk", "Done", "Serving", "Sharing", "readied", "serving", "sharing"]

_INTERVAL = 0.02
"""
Every how many seconds each socket changes something.
"""

_TURNS = 4
"""
How often a key is assigned in turn.
"""

_NOTICE = 2.0
"""
For how many seconds somebody waits to see what another has appended.
"""


def readied(server: Twistd) -> list[int]:
    """
    @return: The process ids of the workers that were ready, in that order.
    """
    return [int(pid) for pid in re.findall(r"\(pid (\d+)\) is ready\n", server.log)]


class Gone(Exception):
    """
    A socket was closed before the answer.
    """


@dataclass
class Done:
    """
    What a socket was told to change.

    @ivar key: Under which key of the session; C{nest.key} in a dictionary.

    @ivar by: The name of the clerk.

    @ivar others: Those of the other ones who were there.

    @ivar answered: When it was acknowledged, in seconds since the epoch.

    @ivar made: What was under the key then, as the handler saw it.

    @ivar seen: When which other clerk had read it.
    """

    verb: str
    key: str
    token: str
    by: str
    others: frozenset[str]
    answered: float | None = None
    made: Any = None
    seen: dict[str, float] = field(default_factory=dict)


class Clerk:
    """
    The client of one node.

    @ivar name: Other with each process that it is connected to.

    @ivar port: Where that node is.

    @ivar isLeaving: Whether it shall not come back when it is closed.

    @ivar isGone: Whether it is closed for good.
    """

    name = ""
    pid = 0
    isLeaving = isGone = False

    def __init__(self, number: int, port: int, cookies: dict[str, str]) -> None:
        self.port = port
        self._number = number
        self._cookies = dict(cookies)
        self._socket: Socket | None = None

    async def comes(self) -> None:
        """
        Connect, and find out to which process.
        """
        self.isGone = self.isLeaving
        while not self.isGone:
            visitor = Visitor(self.port)
            visitor.cookies = dict(self._cookies)
            with suppress(Refused, Gone, OSError):
                self._socket = await visitor.connect()
                self.pid, _ = await self.ask("get", "user")
                self.name = f"n{self._number}x{self.pid}"
                return
            await deferLater(reactor, 0.05)

    async def leaves(self) -> None:
        """
        Close the socket.
        """
        if self._socket is not None:
            self._socket.sendClose(1000)
            await self._socket.closes()

    async def ask(self, verb: str, key: str, token: str = "") -> Any:
        """
        Send a message.

        @raise Gone: The answer did not come.
        """
        socket = self._socket
        if socket is None or socket.closed is not None:
            raise Gone
        try:
            with suppress(Disconnected):
                socket.say([verb, key, token])
            return await socket.next()
        except AssertionError:
            raise Gone from None


class Sharing(Traffic):
    """
    What goes on.

    @ivar clerks: Who changes what all share.

    @ivar done: All that they were told to do.

    @ivar killed: The names of the clerks whose process was killed.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.clerks: list[Clerk] = []
        self.done: list[Done] = []
        self.killed: set[str] = set()

    async def begins(self, port: int) -> Clerk:
        """
        One more clerk comes.
        """
        clerk = Clerk(len(self.clerks), port, self.scene.pages.cookies)
        await clerk.comes()
        self.clerks.append(clerk)
        return clerk

    async def work(self, clerk: Clerk) -> None:
        """
        Have a clerk change one thing after the other.
        """
        for number in count():
            if self.isOver or clerk.isGone:
                return
            due = reactor.seconds() + _INTERVAL
            verb, key = (
                ("update", "u"),
                ("increment", "c"),
                ("append", "log"),
                ("assign", f"own {clerk.name}"),
                ("nest", clerk.name),
            )[number % 5]
            await self._does(clerk, verb, key, f"{clerk.name}-{number}")
            await deferLater(reactor, max(0.0, due - reactor.seconds()))

    async def _does(self, clerk: Clerk, verb: str, key: str, token: str) -> Done | None:
        """
        @return: L{None} if there was no answer.
        """
        where = f"nest.{key}" if verb == "nest" else key
        others = {other.name for other in self.clerks if not other.isLeaving}
        others.discard(clerk.name)
        done = Done(verb, where, token, clerk.name, frozenset(others))
        self.done.append(done)
        try:
            _, done.made = await clerk.ask(verb, key, token)
        except Gone:
            await clerk.comes()
            return None
        done.answered = reactor.seconds()
        return done

    # In turn.

    async def turns(self) -> None:
        """
        Have keys assigned in turn, and lists appended to.
        """
        for number in count():
            for verb, key in ("assign", f"x{number}"), ("push", f"list{number}"):
                if self.isOver:
                    return
                await self._series(verb, key)

    async def _series(self, verb: str, key: str) -> None:
        """
        Change one key in turn: each who is there, after the answer to the one
        before.
        """
        last: Done | None = None
        present = [clerk for clerk in self.clerks if not clerk.isGone]
        for number, clerk in zip(range(_TURNS), cycle(present), strict=False):
            if verb == "push" and last and not await self._sees(clerk, last):
                return
            last = await self._does(clerk, verb, key, f"{clerk.name}-{number}")
            if last is None or self.isOver:
                break
        if last is not None:
            for clerk in present:
                with suppress(Gone):
                    await self._reads(clerk, last)

    async def _sees(self, clerk: Clerk, done: Done) -> bool:
        """
        Wait until somebody sees what another did.
        """
        end = reactor.seconds() + _NOTICE
        with suppress(Gone):
            while not await self._reads(clerk, done):
                if reactor.seconds() > end:
                    return False
            return True
        await clerk.comes()
        return False

    async def _reads(self, clerk: Clerk, done: Done) -> bool:
        _, value = await clerk.ask("get", done.key)
        isThere = value == done.token or (
            isinstance(value, list) and done.token in value
        )
        if isThere and clerk.name != done.by:
            done.seen.setdefault(clerk.name, reactor.seconds())
        return isThere

    # All of it.

    async def goesOn(self, seconds: float, *others: Callable[[], Any]) -> None:
        """
        Have clerks do all that, and others what they do, for a while.
        """
        end = reactor.callLater(seconds, self.end)
        doing = [partial(self.work, clerk) for clerk in self.clerks]
        try:
            await together(self.turns, *doing, *others, failed=self.end)
        finally:
            if end.active():
                end.cancel()


class Serving(Sharing):
    """
    The same with nodes that are processes of their own.

    @ivar servers: The process of each clerk.
    """

    def __init__(self, place: Place, options: Sequence[str]) -> None:
        super().__init__(place)
        self.servers: dict[Clerk, Twistd] = {}
        self.stack = AsyncExitStack()
        self._options = [
            *("--protocol=ledger.Ledger", "--per-message"),
            *(*place.where, *options),
        ]

    async def starts(self, *options: str) -> Clerk:
        """
        One more node is started, and a clerk comes.
        """
        starting = twistd(*self._options, *options)
        server = await self.stack.enter_async_context(starting)
        clerk = await self.begins(server.port)
        self.servers[clerk] = server
        return clerk

    async def ends(self, clerk: Clerk, signal: str) -> int:
        """
        End a clerk's node in the middle of what it does.

        @return: Its status.
        """
        server = self.servers[clerk]
        if signal == "KILL":
            self.killed.add(clerk.name)
        clerk.isLeaving = True
        server.signal(signal)
        status = await server.ends()
        said = server.log + server.errors
        assert "Traceback" not in said, said
        return status

    async def processes(self) -> Twistd:
        """
        Two nodes are started that are workers of one server, and a clerk comes
        to each.
        """
        starting = twistd(*self._options, "--workers=2")
        server = await self.stack.enter_async_context(starting)
        await server.until(lambda: len(readied(server)) == 2)
        for pid in readied(server):
            clerk = await self.begins(server.port)
            while clerk.pid != pid:
                # Which worker has it, the system decides.
                await clerk.leaves()
                await clerk.comes()
            self.servers[clerk] = server
        return server

    async def churn(self, signal: str, every: float) -> None:
        """
        Every few seconds, start a node, and end the one that was there first.
        """
        working = []
        while not self.isOver:
            await deferLater(reactor, every)
            present = [clerk for clerk in self.clerks if not clerk.isLeaving]
            comes = await self.starts()
            working.append(Deferred.fromCoroutine(self.work(comes)))
            await self.ends(present[0], signal)
        await gatherResults(working)


@asynccontextmanager
async def sharing(
    application: Application, nodes: int = 2, **settings: Any
) -> AsyncIterator[Sharing]:
    """
    Run a web application, somebody who is logged in there, and nodes of ours in
    this process, with a socket of hers each.

    @param settings: What is different with the managers of these nodes.
    """
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(application.atWork())
        found = Sharing(place)
        await place.scene.pages.post("/login?ann")
        for _ in range(nodes):
            store = place.newStore()
            stack.push_async_callback(store.close)
            manager = SessionManager(store, place.framework, reactor, **settings)
            found.managers.append(manager)
            serving = site(manager, Ledger, perMessage=True)
            port, _factory = await stack.enter_async_context(serving)
            await found.begins(port)
        yield found


@asynccontextmanager
async def serving(application: Application, nodes: int = 2) -> AsyncIterator[Serving]:
    """
    The same with nodes that are processes of their own.

    @param nodes: How many there are at first.
    """
    async with application.atWork() as place:
        found = Serving(place, application.options)
        await place.scene.pages.post("/login?ann")
        async with found.stack:
            for _ in range(nodes):
                await found.starts()
            yield found
