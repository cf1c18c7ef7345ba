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

from .redisworker import ROOT, command
from .servers import SECRET, Twistd, reactor, twistd


__all__ = ["nodes", "spread", "together", "work"]

_ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parent),
    "SESSIONSOCK_SECRET": SECRET,
}


@asynccontextmanager
async def nodes(count: int, store: str, *options: str) -> AsyncIterator[list[Twistd]]:
    """
    Run servers in processes of their own, one session for each message, until
    the end of the block.
    """
    arguments = ["--protocol", "e2e.till.Till", "--per-message", "--store", store]
    async with AsyncExitStack() as stack:
        servers = [
            twistd(*arguments, *options, environment=_ENVIRONMENT) for _ in range(count)
        ]
        yield await together(*map(stack.enter_async_context, servers))


async def work(task: str, redisPort: int, **arguments: Any) -> Any:
    """
    Have a program of its own do one of the tasks of L{tests.redisworker}.

    @return: What it found.
    """
    program, *rest = command(task, SECRET, redisPort, **arguments)
    out, errors, status = await getProcessOutputAndValue(
        program, rest, os.environ, str(ROOT), reactor
    )
    assert status == 0, errors.decode()
    return json.loads(out)


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
