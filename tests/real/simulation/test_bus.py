"""
L{simulation.bus.SimulatedBus} beside a real one: what happens with that.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.support.busscripts import LIFETIME, SCRIPTS, TIMEOUT, Script
from tests.support.redisnodes import nodes, portOf
from tests.support.redisserver import proxy, sharedServer
from tests.support.servers import inReactor, reactor


pytestmark = pytest.mark.redis


class _Stage:
    """
    Nodes on a Redis, each behind a network of its own.
    """

    async def begin(self, stack: AsyncExitStack) -> None:
        """
        Have them find each other.
        """
        port = portOf(sharedServer().url)
        self.lines = [await stack.enter_async_context(proxy(port)) for _ in range(3)]
        urls = [f"redis://127.0.0.1:{line.port}/0" for line in self.lines]
        self.buses = await stack.enter_async_context(
            nodes(*urls, timeout=TIMEOUT, lifetime=LIFETIME)
        )
        self.got = [bus.got for bus in self.buses]

    def seconds(self) -> float:
        return float(reactor.seconds())

    def sleep(self, seconds: float) -> Deferred[None]:
        return deferLater(reactor, seconds)

    async def cut(self, number: int) -> None:
        await self.lines[number].refuse()
        await self.lines[number].cut()

    async def hold(self, number: int) -> None:
        self.lines[number].hold()

    async def heal(self, number: int) -> None:
        if self.lines[number].isHeld:
            await self.lines[number].heal()
        else:
            await self.lines[number].listen()


@pytest.mark.timed
@pytest.mark.parametrize("script", SCRIPTS)
@inReactor
async def test_script(script: Script) -> None:
    """
    What the scripts say happens on a Redis.
    """
    async with AsyncExitStack() as stack:
        stage = _Stage()
        await stage.begin(stack)
        await script(stage)
