"""
Nodes on one Redis: nothing is lost, nothing is stale, and a session that ends
ends everywhere.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # It has no types.

from tests.support.redisprocesses import begin, nodes, spread, stored, together, work
from tests.support.redisserver import RedisServer, proxy, sharedServer
from tests.support.servers import Twistd, inReactor, reactor
from tests.support.visitors import Socket, Visitor
from txsessionsock.stores.redis import RedisStore


pytestmark = pytest.mark.e2e

WRITERS = 20
TIMES = 100

MESSAGES = int(os.environ.get("SESSIONSOCK_MESSAGES", "300"))
"""
In how many messages to look for a stale answer.
"""

ENDS = int(os.environ.get("SESSIONSOCK_ENDS", "20"))
"""
How many sessions to end.
"""


class Processes:
    """
    Four nodes and their Redis.
    """

    def __init__(self, redis: RedisServer, members: list[Twistd]) -> None:
        self.redis = redis
        self.ports = [each.port for each in members]

    async def work(self, task: str, **arguments: Any) -> Any:
        """
        Have another program do something.
        """
        return await work(task, self.redis.port, **arguments)

    async def connect(self, cookie: str, nodes: int) -> list[Socket]:
        """
        Open the sockets of all writers, on some nodes in turn.
        """
        visitors = [Visitor(port, cookie) for port in self.ports[:nodes]]
        return await together(*[visitors[n % nodes].connect() for n in range(WRITERS)])


@pytest_twisted.async_yield_fixture(scope="module")  # type: ignore[untyped-decorator]  # As above.
async def processes() -> AsyncIterator[Processes]:
    redis = sharedServer()
    async with nodes(4, redis.url) as members:
        yield Processes(redis, members)
        for each in members:
            assert not each.errors and "Traceback" not in each.log, each.log


async def tell(socket: Socket, *messages: Any) -> list[Any]:
    """
    Send messages without waiting for answers.

    @return: Their answers.
    """
    socket.say(*messages)
    return [await socket.next() for _ in messages]


@pytest.mark.parametrize("verb", ["increment", "update"])
@inReactor
async def test_counting(verb: str, processes: Processes) -> None:
    """
    Twenty sockets of one session on two nodes, each with a hundred increments
    without waiting: two thousand.
    """
    key, cookie = begin(processes.redis)
    sockets = await processes.connect(cookie, 2)
    began = reactor.seconds()
    answers = await together(*[tell(each, *[[verb, "n"]] * TIMES) for each in sockets])
    print(f"{verb}: {WRITERS} sockets took {reactor.seconds() - began:.1f} s")
    assert stored(processes.redis, key) == {"n": WRITERS * TIMES}
    if verb == "update":
        said = sorted(number for each in answers for number in each)
        assert said == list(range(1, WRITERS * TIMES + 1))
    for each in sockets:
        assert await each.ask(["get", "n"]) == WRITERS * TIMES


@inReactor
async def test_plain() -> None:
    """
    Twenty sockets of one session on two nodes count by C{+=}, append to a list and
    take out of it, in handlers that may run again: each has the effect of one after
    the other.
    """
    redis = sharedServer()
    key, cookie = begin(redis)
    async with nodes(2, redis.url, protocol="e2e.again.Again") as members:
        visitors = [Visitor(each.port, cookie) for each in members]
        sockets = await together(*[visitors[n % 2].connect() for n in range(WRITERS)])
        answers = await together(
            *[
                tell(socket, *[["add", "n"], ["put", writer]] * TIMES)
                for writer, socket in enumerate(sockets)
            ]
        )
        found = sorted(number for each in answers for number in each[::2])
        assert found == list(range(1, WRITERS * TIMES + 1))
        data = stored(redis, key)
        assert (data["n"], len(data["list"])) == (WRITERS * TIMES, WRITERS * TIMES)
        half = TIMES // 2
        taken = await together(*[tell(each, *[["take", 0]] * half) for each in sockets])
        left = stored(redis, key)["list"]
        took = [item for each in taken for item in each]
        assert sorted([*took, *left]) == sorted(data["list"])
        assert len(took) == WRITERS * half


@inReactor
async def test_distinctKeys(processes: Processes) -> None:
    """
    Twenty writers on four nodes assign keys of their own, as fast as they can:
    all are there.
    """
    key, cookie = begin(processes.redis)
    sockets = await processes.connect(cookie, 4)
    keys = [[f"{writer}.{n}" for n in range(TIMES)] for writer in range(WRITERS)]
    await together(
        *[
            tell(socket, *[["put", key] for key in own])
            for socket, own in zip(sockets, keys, strict=True)
        ]
    )
    assert stored(processes.redis, key) == {key: True for own in keys for key in own}


@pytest.mark.parametrize("way", ["idle", "busy", "writing"])
@inReactor
async def test_fresh(way: str, processes: Processes) -> None:
    """
    What another program has written before a message was sent is seen by its
    handler: by an idle node, by one that is busy with other sessions, and by
    one that changes the same session all the time.
    """
    found = await processes.work(
        "fresh",
        port=processes.ports[0],
        times=MESSAGES,
        busy=way == "busy",
        writing=way == "writing",
    )
    print(f"strict, {way}: {found}")
    assert found["stale"] == 0
    assert found["traffic"] > MESSAGES or way != "busy"


@inReactor
async def test_tracked() -> None:
    """
    With C{--freshness tracked} some answers may be stale, but for no longer
    than a report takes.
    """
    redis = sharedServer()
    async with nodes(1, redis.url, "--freshness", "tracked") as [node]:
        for way in "idle", "busy":
            found = await work(
                "fresh", redis.port, port=node.port, times=MESSAGES, busy=way == "busy"
            )
            print(f"tracked, {way}: {found}")
            assert found["stale"] < MESSAGES


@inReactor
async def test_deleted(processes: Processes) -> None:
    """
    A session that another program deletes is closed on both nodes.
    """
    late = await processes.work("delete", ports=processes.ports[:2], times=ENDS)
    show("deleted", late)


@inReactor
async def test_expired(processes: Processes) -> None:
    """
    A session that expires is closed on both nodes, and not before its time.
    """
    late = await processes.work(
        "expire", ports=processes.ports[:2], times=ENDS, lifetime=0.5, step=0.02
    )
    show("expired", late)
    assert min(map(min, late)) > -0.002


@inReactor
async def test_expiredOverSlowNetwork() -> None:
    """
    What is gone before its time, as far as a node far away could know, has
    expired all the same.
    """
    redis = sharedServer()
    async with proxy(redis.port) as between:
        between.delay(0.1)
        store = RedisStore(f"redis://127.0.0.1:{between.port}/0", reactor)
        try:
            await store.load("anything")
            before = reactor.seconds()
            redis.command("SET", "k", "v", "PX", 5000)
            after = reactor.seconds()
            found = await store.load("k")
            took = reactor.seconds() - after
            assert found is not None and found.expires is not None
            # To the millisecond.
            assert before - took - 0.001 < found.expires - 5 <= after
        finally:
            await store.close()


@inReactor
async def test_deletedWithConnection(processes: Processes) -> None:
    """
    A session that is deleted in the moment in which the connections are lost
    is found to be gone when they are made again.
    """
    late = await processes.work(
        "delete", ports=processes.ports[:2], times=ENDS, cut=True
    )
    show("deleted while connections were killed", late)


@inReactor
async def test_deletedWhileCut() -> None:
    """
    A session that is deleted while the nodes cannot reach their Redis is found
    to be gone when they can; until then its sockets stay, and so do others.
    """
    redis = sharedServer()
    async with (
        proxy(redis.port) as between,
        nodes(2, f"redis://127.0.0.1:{between.port}/0") as members,
    ):
        times = []
        stays = await Visitor(members[0].port, begin(redis)[1]).connect()
        for _ in range(3):
            key, cookie = begin(redis)
            sockets = await together(
                *[Visitor(each.port, cookie).connect() for each in members]
            )
            for each in sockets:
                assert await each.ask(["get", "n"]) is None
            await between.refuse()
            await between.cut()
            assert redis.command("DEL", key) == 1
            assert [each.closed for each in sockets] == [None, None]
            await between.heal()
            began = reactor.seconds()
            for each in sockets:
                assert await each.closes() == (4401, "session-destroyed")
            times.append(reactor.seconds() - began)
        assert await stays.ask(["get", "n"]) is None
    print(f"deleted while cut off: {spread(times)} after the network was back")
    assert max(times) < 3


def show(what: str, late: list[list[float]]) -> None:
    """
    Print how late something was on each node, and see that all are there.
    """
    for number, times in enumerate(late):
        print(f"{what}: node {number}: {len(times)} times, {spread(times)}")
        assert len(times) == ENDS
        assert max(times) < 2
