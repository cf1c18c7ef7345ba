"""
How many commands a message costs: what nodes send to their Redis.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.support.redisprocesses import nodes, work
from tests.support.redisserver import sharedServer
from tests.support.servers import inReactor


pytestmark = pytest.mark.e2e

TIMES = 160

Load = Callable[..., Awaitable[dict[str, float]]]


async def measured(freshness: str, body: Callable[[Load], Awaitable[None]]) -> None:
    """
    Run a node, and give what measures the commands of each of many messages.
    """
    server = sharedServer()
    async with nodes(1, server.url, "--freshness", freshness) as [node]:

        async def load(
            verb: str, sockets: int = 1, inFlight: int = 1, shared: bool = False
        ) -> dict[str, float]:
            found = await work(
                "load",
                server.port,
                port=node.port,
                times=TIMES,
                verb=verb,
                sockets=sockets,
                inFlight=inFlight,
                shared=shared,
            )
            count = found["messages"]
            commands = {name: n / count for name, n in found["commands"].items()}
            print(f"{freshness}: {verb}, {sockets} x {inFlight} in flight: {commands}")
            return commands

        await body(load)


@inReactor
async def test_tracked() -> None:
    """
    With C{--freshness tracked}, messages that only read send nothing, and each
    change is one script, which messages share that come while one is under way.
    """

    async def body(load: Load) -> None:
        assert await load("get") == {}
        assert await load("get", sockets=16) == {}
        assert await load("add") == {"evalsha": 1}
        commands = await load("add", inFlight=16)
        assert list(commands) == ["evalsha"] and commands["evalsha"] < 0.3

    await measured("tracked", body)


@inReactor
async def test_strict() -> None:
    """
    Each message is a C{HELLO}, which messages share that wait together, whatever
    session they are of; and each change is one script.
    """

    async def body(load: Load) -> None:
        assert await load("get") == {"hello": 1}
        assert await load("add") == {"hello": 1, "evalsha": 1}
        for way in (
            {"inFlight": 16},
            {"sockets": 16, "shared": True},
            {"sockets": 16},
        ):
            commands = await load("get", **way)
            assert list(commands) == ["hello"] and commands["hello"] < 0.5
        commands = await load("add", sockets=16)
        assert commands["evalsha"] == 1 and commands["hello"] < 0.6

    await measured("strict", body)


@inReactor
async def test_together() -> None:
    """
    With 16 changes of one session in flight, there are less than 0.3 commands
    for each.
    """

    async def body(load: Load) -> None:
        commands = await load("add", inFlight=16)
        assert set(commands) == {"hello", "evalsha"}
        assert sum(commands.values()) < 0.3

    await measured("strict", body)
