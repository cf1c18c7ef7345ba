"""
Connections that are cut at each stage of their life, by each door, with a FIN or
a RST: nothing of them stays, and nothing waits for the garbage collector.

C{SESSIONSOCK_CUTS} says how many there are.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest
from twisted.internet.threads import deferToThread

from tests.support.cutting import (
    STAGES,
    Cutting,
    Slow,
    Stage,
    Staged,
    accepted,
    descriptors,
    objects,
    residentSize,
)
from tests.support.doors import DOORS, Door, Entrance, cookieOf
from tests.support.servers import SECRET, inReactor, reactor
from txsessionsock.credentials import Cookie
from txsessionsock.frameworks.express import Express
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore
from txsessionsock.web import BoundedSite


_CUTS = int(os.environ.get("SESSIONSOCK_CUTS", "1000"))

_AT_ONCE = 50

_MEMORY = 32 * 1024 * 1024
"""
How many bytes more the process may take in the end.
"""


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


class Scene:
    """
    A door, and what is behind it.
    """

    def __init__(self, door: Door) -> None:
        self.isTLS = door.isTLS
        self.store = FlakyStore(MemoryStore(reactor))
        manager = SessionManager(
            self.store, Express(secrets=[SECRET]), reactor, repair=False
        )
        factory: Any = SessionSocketFactory(
            manager,
            perMessage=True,
            credentials=[Slow(), Cookie()],
            limits=Limits(socketsPerSession=1000),
        )
        factory.protocol = Staged
        factory.waiting = []
        self.factory = factory
        self.cookies: list[str] = []

    async def come(self, entrance: Entrance, stage: Stage, count: int) -> list[Cutting]:
        """
        Have so many clients come, and get to a stage.
        """
        if stage.holds:
            self.store.hold(*stage.holds)
        clients: list[Cutting] = await deferToThread(
            stage.come, entrance.port, self.cookies[:count], isTLS=self.isTLS
        )
        await entrance.until(lambda: stage.reached(self.factory) in (count, -1))
        if stage.more is None:
            # One that is gone before it is accepted would count in the next round.
            await entrance.until(lambda: accepted(entrance.port) >= count)
        return clients

    async def cut(
        self, entrance: Entrance, stage: Stage, count: int, *, isReset: bool
    ) -> None:
        """
        Have so many clients come, get to a stage, and be gone.
        """
        before = descriptors()
        for client in await self.come(entrance, stage, count):
            client.cut(isReset=isReset)
        # Tests before this one may have left some, which go.
        await entrance.until(lambda: descriptors() <= before)
        self.store.heal()
        await entrance.until(self.isOver)

    def isOver(self) -> bool:
        """
        Have all go on that waits.

        @return: Whether all clients are gone, and their sessions stored.
        """
        factory = self.factory
        while factory.waiting:
            factory.waiting.pop().callback(None)
        sessions = factory.sockets.manager.statistics().sessions
        return bool(factory.countConnections == sessions == len(factory.sockets) == 0)


def _bounded(root: Any) -> BoundedSite:
    return BoundedSite(root, reactor=reactor)


def left(counted: Counter[str]) -> Counter[str]:
    """
    @return: What there is now and was not then.
    """
    found = objects() - counted
    # One that was cancelled holds nothing.  The reactor drops it later.
    del found["twisted.internet.base.DelayedCall"]
    return found


def ofConnections(found: Counter[str]) -> dict[str, int]:
    """
    @return: What there is of connections and clients.  Who waited for a store is
        dropped by the store's watchdog, a little later.
    """
    waiting = ("txsessionsock.manager.asking.", "txsessionsock._deferreds.Timer")
    return {
        name: count
        for name, count in found.items()
        if not name.startswith((*waiting, "twisted.internet.defer."))
    }


@pytest.mark.parametrize("door", DOORS, ids=str)
@inReactor
async def test_nothingStays(door: Door) -> None:
    """
    Descriptors, timers, objects of each kind, and memory are back where they
    were, and the garbage collector finds nothing.
    """
    scene = Scene(door)
    rounds = [(stage, isReset) for stage in STAGES for isReset in (False, True)]
    each = -(-_CUTS // (len(DOORS) * len(rounds)))
    async with door.open(scene.factory, site=_bounded) as entrance:
        for _ in range(min(each, _AT_ONCE)):
            scene.cookies.append(await cookieOf(scene.factory, n=0))
        for stage, isReset in rounds:
            # The allocator keeps what it got for those that do not read.
            count = len(scene.cookies) if stage.name == "not read" else 2
            await scene.cut(entrance, stage, count, isReset=isReset)
        gc.collect()
        counted, size = objects(), residentSize()
        timers = len(reactor.getDelayedCalls())
        for stage, isReset in rounds:
            for done in range(0, each, _AT_ONCE):
                count = min(each - done, _AT_ONCE)
                await scene.cut(entrance, stage, count, isReset=isReset)
            assert not ofConnections(left(counted)), stage
        await entrance.until(lambda: not left(counted))
        assert len(reactor.getDelayedCalls()) <= timers
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        # Tests before this one may have left something, but not so much of it.
        garbage = ofConnections(objects(gc.garbage))
        assert not [name for name, count in garbage.items() if count >= each]
        more = residentSize() - size
        print(f"{door}: {each * len(rounds)} cut, {more // 1024:+} KiB")
        assert more < _MEMORY


@pytest.mark.parametrize("door", DOORS, ids=str)
@inReactor
async def test_dropped(door: Door) -> None:
    """
    Who does not read what others send it is dropped, and all that waited for it
    is freed at once.
    """
    scene = Scene(door)
    stage = next(stage for stage in STAGES if stage.name == "not read")
    async with door.open(scene.factory) as entrance:
        scene.cookies.append(await cookieOf(scene.factory, n=0))
        (client,) = await scene.come(entrance, stage, 1)
        (ours,) = scene.factory.sockets
        protocol = ours.handlers.face
        everything = {
            "protocol": ref(protocol),
            "transport": ref(protocol.transport),
            "carrier": ref(protocol._sessionsock),
            "client": ref(ours),
            "session": ref(protocol.session),
            "keeper": ref(protocol.session.keeper),
        }
        while protocol.state == protocol.STATE_OPEN:
            protocol.send("x" * 100_000)
        del ours, protocol
        await entrance.until(scene.isOver)
        assert [name for name, find in everything.items() if find()] == []
        client.cut(isReset=False)
