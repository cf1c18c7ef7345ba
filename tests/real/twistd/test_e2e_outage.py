"""
A store that fails for twenty seconds.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.e2e.verbs import Verbs
from tests.support.servers import SECRET, inReactor, mint, reactor, site
from tests.support.visitors import Socket, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import InvalidReason, StoreFailure, StoreUnavailable
from txsessionsock.manager import SessionManager
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore


OUTAGE = 20.0


class Witness(Verbs):
    """
    Keeps what happens to it.
    """

    invalid: list[InvalidReason]
    errors: list[Failure]

    def sessionInvalid(self, reason: InvalidReason) -> None:
        self.invalid.append(reason)

    def sessionError(self, failure: Failure) -> None:
        self.errors.append(failure)


class Scene:
    """
    A server in one of the modes, whose store can be made to fail.
    """

    def __init__(self, perMessage: bool) -> None:
        self.store = FlakyStore(MemoryStore(reactor))
        self.manager = SessionManager(self.store, Express(SECRET), reactor)
        self.perMessage = perMessage
        self.invalid: list[InvalidReason] = []
        self.errors: list[Failure] = []

    async def play(self) -> None:
        """
        Well, an outage, and well again.
        """
        held: Any = {"invalid": self.invalid, "errors": self.errors}
        protocol: Any = type("Held", (Witness,), held)
        serving = site(self.manager, protocol, perMessage=self.perMessage)
        async with serving as (port, _):
            visitor = Visitor(port, await mint(self.store, {}))
            socket = await visitor.connect()
            assert await socket.ask(["add", "n"]) == 1
            self.store.fail(StoreUnavailable("an outage"))
            acting = self.perMessageMode if self.perMessage else self.connectionMode
            acknowledged = await acting(visitor, socket)
            assert self.invalid == []
            for failure in self.errors:
                failure.trap(StoreFailure)
            session = (await visitor.get("/session")).value
            assert session["n"] >= acknowledged
        raw = await self.store.load("sess:" + self.idOf(visitor))
        assert raw is not None
        data = Express(SECRET).loads(raw.raw, 0).data
        assert data["n"] >= acknowledged

    def idOf(self, visitor: Visitor) -> str:
        """
        The session of a visitor.
        """
        return Express(SECRET).sessionID(visitor.cookies["connect.sid"], 0)

    async def during(self, act: Any) -> None:
        """
        Act now, in the middle of the outage and at its end; then be well.
        """
        for _ in range(3):
            await act()
            await deferLater(reactor, OUTAGE / 3, lambda: None)
        self.store.heal()

    async def perMessageMode(self, visitor: Visitor, socket: Socket) -> int:
        """
        Each message is an C{serror} and 1013, and so is each attempt to come
        back.  The first one that comes after the outage is as if nothing had
        been.
        """
        waiting = [socket]

        async def act() -> None:
            before = len(self.errors)
            talking = waiting.pop() if waiting else await visitor.connect()
            talking.say(["add", "n"])
            assert (await talking.closes())[0] == 1013
            assert talking.received in ([1], [])
            assert len(self.errors) == before + 1

        await self.during(act)
        again = await visitor.connect()
        answer: int = await again.ask(["add", "n"])
        assert answer == 2
        return answer

    async def connectionMode(self, visitor: Visitor, socket: Socket) -> int:
        """
        The socket stays open and works; one C{serror}.  What was changed is
        stored soon after the outage, without anybody's doing.
        """
        answers: list[int] = []

        async def act() -> None:
            answers.append(await socket.ask(["add", "n"]))

        await self.during(act)
        assert answers == [2, 3, 4]
        assert len(self.errors) == 1
        assert socket.closed is None
        await self.isStored(visitor, 4)
        assert socket.closed is None
        return answers[-1]

    async def isStored(self, visitor: Visitor, number: int) -> None:
        """
        Wait until the store itself has it; within the longest time between
        two attempts.
        """
        framework, inner = Express(SECRET), self.store.inner
        end = reactor.seconds() + 11
        while reactor.seconds() < end:
            found = await inner.load("sess:" + self.idOf(visitor))
            if found and framework.loads(found.raw, 0).data.get("n") == number:
                return
            await deferLater(reactor, 0.05, lambda: None)
        raise AssertionError("not stored by itself")


@inReactor
async def test_outage() -> None:
    """
    An outage is not a logout, in neither mode, and takes nothing back that was
    acknowledged.
    """
    scenes = [Scene(perMessage) for perMessage in (False, True)]
    await gatherResults(
        [Deferred.fromCoroutine(scene.play()) for scene in scenes],
        consumeErrors=True,
    )
