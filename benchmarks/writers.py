"""
What becomes of what sockets write while a web application writes whole sessions
over it: how much is lost, and for how long it is missing.

C{python -m benchmarks.writers} in the top directory takes ten seconds for each
way; another number of seconds may be given, and after it the names of
applications.  The ways are:

  - keys of their own, which two nodes add, beside requests that write and
    requests that only read;
  - keys that two and three nodes share, beside one and two browsers: each node
    calls C{update}, counting and appending to a list, and C{increment}; assigns
    and appends in turn; and assigns keys of its own, also in a dictionary;
  - the same where every few seconds one node is started and another ends, by
    SIGTERM and by SIGKILL.

Nothing may be lost.  Not counted as lost, but told: an assignment that was
overwritten before the other nodes had read it, or was missing, not yet stored
again, in the session that was shown to the handler of the next one; and what a
node wrote that was killed before another node had seen it.  What one request
overwrites of another is not looked at.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.support.sharing import Sharing, serving, sharing
from tests.support.sharingjudge import Outcome, outcome
from tests.support.webstores import APPLICATIONS, Application
from tests.support.writers import Figures, measure


CHURN = 8.0
"""
Every how many seconds a node ends: who has seen what it wrote has seen to that
by then.
"""


async def main(reactor: object) -> None:
    seconds, *names = sys.argv[1:] or ["10"]
    unknown = set(names) - set(APPLICATIONS)
    if unknown:
        raise SystemExit(f"there is only {'; '.join(APPLICATIONS)}")
    for name in names or APPLICATIONS:
        application = APPLICATIONS[name]
        if application.lacks:
            print(f"{name}: {application.lacks}")
            continue
        try:
            async for what, figures in each(application, float(seconds)):
                print(f"{name}, {what}: {figures}", flush=True)
        except pytest.skip.Exception as missing:
            print(f"{name}: {missing}")


async def each(
    application: Application, seconds: float
) -> AsyncIterator[tuple[str, Figures | Outcome]]:
    """
    Take each way, one after the other.
    """
    for what, method in ("writing", "POST"), ("reading", "GET"):
        yield f"keys of their own, {what}", await measure(application, method, seconds)
    for nodes in 2, 3:
        for browsers, method in (1, "POST"), (2, "POST"), (2, "GET"):
            what = "writing" if method == "POST" else "reading"
            async with sharing(application, nodes) as running:
                found = await run(running, seconds, browsers, method)
            yield f"{nodes} nodes share, {browsers} {what}", found
    for signal in "TERM", "KILL":
        async with serving(application) as running:
            churn = partial(running.churn, signal, CHURN)
            found = await run(running, seconds, 2, "POST", churn)
        yield f"2 nodes share, 2 writing, SIG{signal}", found


async def run(
    running: Sharing,
    seconds: float,
    browsers: int,
    method: str,
    *others: Callable[[], object],
) -> Outcome:
    """
    Have nodes and browsers go on for a while.
    """
    visits = [
        partial(running.visit, method, f"/slow?h{number}") for number in range(browsers)
    ]
    await running.goesOn(seconds, *visits, *others)
    alone = browsers == 1 and method == "POST"
    return await outcome(running, {"h0": running.requests} if alone else {})


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
