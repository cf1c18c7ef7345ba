"""
Web applications that write whole sessions while sockets write their own keys:
nothing of what was answered is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import groupby

import pytest
from twisted.internet.defer import Deferred

from tests.support.servers import PATIENCE, inReactor
from tests.support.webstores import APPLICATIONS
from tests.support.writers import measure, traffic


SECONDS = 2.0


def _each(names: Iterable[str]) -> pytest.MarkDecorator:
    """
    Test some applications.
    """
    params = [pytest.param(name, marks=APPLICATIONS[name].marks) for name in names]
    return pytest.mark.parametrize("name", params)


everyone = _each(APPLICATIONS)


@everyone
@inReactor
async def test_writers(name: str) -> None:
    """
    Slow requests that write overwrite what sockets wrote, all the time, and
    all of it comes back.
    """
    figures = await measure(APPLICATIONS[name], "POST", SECONDS)
    assert figures.lost == []
    assert figures.clobbers > 0


@_each(name for name in APPLICATIONS if APPLICATIONS[name].readersWrite)
@inReactor
async def test_readers(name: str) -> None:
    """
    So do those that only read, where the application writes nevertheless.
    """
    figures = await measure(APPLICATIONS[name], "GET", SECONDS)
    assert figures.lost == []
    assert figures.clobbers > 0


@_each(["aiohttp"])
@inReactor
async def test_withoutRepair(name: str) -> None:
    """
    It takes repairing: without, most is lost.
    """
    application = APPLICATIONS[name]
    figures = await measure(application, "POST", SECONDS, patience=0.5, repair=False)
    assert len(figures.lost) > 5


@everyone
@inReactor
async def test_deleted(name: str) -> None:
    """
    What a request deletes that a socket wrote stays deleted, whoever writes at
    the same time; and what requests write is not lost either.
    """
    count = 5
    async with traffic(APPLICATIONS[name]) as running:
        third = await running.scene.connect()

        async def delete() -> None:
            visitor = running.newVisitor()
            for number in range(count):
                assert await third.ask(["add", f"deleted{number}"]) == 1
                answer = await visitor.post(f"/delete?deleted{number}")
                assert f"deleted{number}" not in answer.value
                assert (await visitor.post("/slow?h")).code == 200
            running.end()

        await running.run(PATIENCE, delete)
        assert await running.lost() == []
        session = await running.scene.session()
        assert session["h"] == count
        versions = await running.versions()
    for key in (f"deleted{number}" for number in range(count)):
        wasThere = [key in (data or {}) for _, data in versions]
        assert [isThere for isThere, _ in groupby(wasThere)] == [False, True, False]


@everyone
@inReactor
async def test_loggedOut(name: str) -> None:
    """
    Who logs out is out, also where sockets write and a slow request is under
    way: that may store the session again, and we do not.
    """
    async with traffic(APPLICATIONS[name]) as running:

        async def logOut() -> None:
            for socket in running.sockets:
                # With its first answer it has its session.
                await socket.until(partial(bool, socket.received))
            assert (await running.newVisitor().post("/slow?a")).code == 200
            late = []
            if running.tellsWhose:
                slow = running.newVisitor().post("/slow?a")
                late.append(Deferred.fromCoroutine(slow))
            assert (await running.newVisitor().post("/logout")).code == 200
            for one in late:
                await one

        # There is always something to be stored.
        running.interval = 0.0
        await running.run(PATIENCE, logOut)
        for socket in running.sockets:
            assert await socket.closes() == (4401, "session-destroyed")
        for manager in running.managers:
            await manager.stop()
        versions = await running.versions()
    wasThere = [data is not None for _, data in versions]
    end = wasThere.index(False)
    assert wasThere[:end] == [True] * end
    assert end > len(running.acknowledged)
    after = [version for version, _ in versions[end + 1 :]]
    assert [version for version in after if version.isOurs is not False] == []
