"""
Nodes on one Redis, and other programs that visit them.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.utils import getProcessOutputAndValue

from tests.support.redisserver import RedisServer
from tests.support.redisworker import ROOT, command
from tests.support.servers import SECRET, Twistd, reactor, twistd
from txsessionsock.frameworks.express import Express
from txsessionsock.session.journal import STAMP


__all__ = ["begin", "nodes", "spread", "stored", "together", "work"]

_ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[1]),
    "SESSIONSOCK_SECRET": SECRET,
}


@asynccontextmanager
async def nodes(
    count: int,
    store: str,
    *options: str,
    protocol: str = "e2e.moreverbs.MoreVerbs",
) -> AsyncIterator[list[Twistd]]:
    """
    Run servers in processes of their own, one session for each message, until
    the end of the block.
    """
    arguments = ["--protocol", protocol, "--per-message", "--store", store]
    async with AsyncExitStack() as stack:
        servers = [
            twistd(*arguments, *options, environment=_ENVIRONMENT) for _ in range(count)
        ]
        yield await together(*map(stack.enter_async_context, servers))


async def work(task: str, redisPort: int, **arguments: Any) -> Any:
    """
    Have a program of its own do one of the tasks of L{tests.support.redisworker}.

    @return: What it found.
    """
    program, *rest = command(task, SECRET, redisPort, **arguments)
    out, errors, status = await getProcessOutputAndValue(
        program, rest, os.environ, str(ROOT), reactor
    )
    assert status == 0, errors.decode()
    return json.loads(out)


def begin(redis: RedisServer, **data: Any) -> tuple[str, str]:
    """
    Make a session, as another program.

    @return: The key, and the value of the cookie.
    """
    framework = Express(SECRET)
    sessionID = framework.newSessionID()
    key = framework.key(sessionID)
    redis.command("SET", key, json.dumps({"cookie": {}, **data}), "EX", 86400)
    return key, framework.cookieValue(sessionID)


def stored(redis: RedisServer, key: str) -> dict[str, Any]:
    """
    What is in a session, but for what is the framework's and the library's.
    """
    data: dict[str, Any] = json.loads(redis.command("GET", key))
    del data["cookie"]
    data.pop(STAMP, None)
    return data


async def together(*works: Any) -> list[Any]:
    """
    Do several things at once.
    """
    begun = [Deferred.fromCoroutine(work) for work in works]
    results: list[Any] = await gatherResults(begun, consumeErrors=True)
    return results


def spread(seconds: list[float]) -> str:
    """
    Median and worst, in milliseconds.
    """
    return f"median {1000 * median(seconds):.2f} ms, worst {1000 * max(seconds):.1f} ms"
