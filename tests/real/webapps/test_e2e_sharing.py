"""
Sockets of several nodes that change the same keys, beside web applications that
write whole sessions: nothing of what was answered is lost, also when a node
stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.support.servers import PATIENCE, inReactor, reactor
from tests.support.sharing import Sharing, readied, serving, sharing
from tests.support.sharingjudge import Outcome, outcome
from tests.support.webstores import APPLICATIONS, Application


SECONDS = 2.0

EACH_KIND = (
    "aiohttp",
    "Django",
    "Django, SQLite",
    "Express",
    "Flask-Session",
    "PHP",
    "starsessions",
)
"""
One application of each framework, and one in a store that cannot be watched.
"""


def _each(names: Iterable[str]) -> pytest.MarkDecorator:
    """
    Test some applications.
    """
    params = [pytest.param(name, marks=APPLICATIONS[name].marks) for name in names]
    return pytest.mark.parametrize("name", params)


def assertRight(found: Outcome) -> None:
    """
    Nothing is lost or doubled.  Of lists that handlers append to by themselves,
    which is an assignment, one in a hundred, or a single one, may have been made
    without what a request hid at that moment; the judge cannot tell each of these.
    """
    pushes = [done for done in found.lost if done.verb == "push"]
    if len(pushes) <= max(1, found.acknowledged["push"] // 100):
        found.lost = [done for done in found.lost if done.verb != "push"]
    assert found.isRight, str(found)


each = _each(EACH_KIND)
# Where nobody is told, nodes have not seen all that led to what is there, and
# cannot always tell what to put back of what others did.
told = _each(name for name in EACH_KIND if name != "Django, SQLite")
readers = _each(name for name in APPLICATIONS if APPLICATIONS[name].readersWrite)


def writers(
    running: Sharing, count: int, method: str = "POST"
) -> list[Callable[[], Any]]:
    """
    Browsers that make slow requests.
    """
    return [partial(running.visit, method, f"/slow?h{n}") for n in range(count)]


async def shared(
    application: Application, nodes: int, count: int, method: str = "POST"
) -> Outcome:
    """
    Have nodes and foreign writers go on for a while.
    """
    async with sharing(application, nodes) as running:
        await running.goesOn(SECONDS, *writers(running, count, method))
        isAlone = method == "POST" and count == 1
        found = await outcome(running, {"h0": running.requests} if isAlone else {})
    print(found)
    return found


@each
@inReactor
async def test_writers(name: str) -> None:
    """
    Two nodes beside one writer, whose own count is right, too: all of what
    sockets do is there once.
    """
    found = await shared(APPLICATIONS[name], 2, 1)
    assertRight(found)
    assert found.clobbers > 0


@told
@inReactor
async def test_crowd(name: str) -> None:
    """
    Three nodes beside two writers: all of what sockets do is there once.
    """
    found = await shared(APPLICATIONS[name], 3, 2)
    assertRight(found)
    assert found.clobbers > 0


@readers
@inReactor
async def test_readers(name: str) -> None:
    """
    So do those that only read, where the application writes nevertheless.
    """
    found = await shared(APPLICATIONS[name], 2, 2, "GET")
    assertRight(found)
    assert found.clobbers > 0


async def ended(name: str, signal: str) -> Outcome:
    """
    End one of two nodes in the middle.
    """
    async with serving(APPLICATIONS[name]) as running:

        async def end() -> None:
            await deferLater(reactor, SECONDS / 2)
            await running.ends(running.clerks[1], signal)
            await deferLater(reactor, SECONDS / 2)
            running.end()

        await running.goesOn(4 * PATIENCE, end, *writers(running, 2))
        found = await outcome(running, {})
    print(found)
    return found


@told
@inReactor
async def test_terminated(name: str) -> None:
    """
    Nothing is lost when a node gets SIGTERM, though requests are under way
    that know nothing of what it wrote.
    """
    found = await ended(name, "TERM")
    assertRight(found)


@told
@inReactor
async def test_killed(name: str) -> None:
    """
    Of a node that is killed, only what no other node has seen is lost; of what
    both branches counted or appended, as much as the one that is left can tell,
    which is nearly all: one in twenty may be lost.
    """
    found = await ended(name, "KILL")
    counts = ("append", "increment", "update")
    lost = [done for done in found.lost if done.verb in counts]
    assert 20 * len(lost) <= sum(found.acknowledged[verb] for verb in counts), found
    found.lost = [done for done in found.lost if done.verb not in counts]
    assertRight(found)


@_each(["aiohttp", "Express"])
@inReactor
async def test_replaced(name: str) -> None:
    """
    Nothing is lost when workers are replaced.
    """
    async with serving(APPLICATIONS[name], 0) as running:
        server = await running.processes()

        async def replace() -> None:
            await deferLater(reactor, SECONDS / 2)
            server.signal("HUP")
            # Each guards for a while what it wrote, before it ends.
            await server.until(lambda: len(readied(server)) == 4, patience=2 * PATIENCE)
            await deferLater(reactor, SECONDS)
            running.end()

        await running.goesOn(4 * PATIENCE, replace, *writers(running, 2))
        found = await outcome(running, {})
    print(found)
    assertRight(found)


@_each(["aiohttp"])
@inReactor
async def test_withoutRepair(name: str) -> None:
    """
    It takes repairing: without, most is lost.
    """
    async with sharing(APPLICATIONS[name], repair=False) as running:
        await running.goesOn(SECONDS, *writers(running, 1))
        found = await outcome(running, {}, patience=0.5)
    assert len(found.lost) > 5
