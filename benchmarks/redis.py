"""
What sessions in a Redis cost and how soon they are known: commands and time for
a message, stale answers, the end of sessions, time for a command, memory.

C{python -m benchmarks.redis} in the top directory measures all, or the parts
that are named; C{--quick} only tries whether it works.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from time import process_time
from typing import Any

import txredisapi  # type: ignore[import-untyped]  # It has no types.
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.support.redisprocesses import nodes, spread, work
from tests.support.redisserver import RedisServer
from txsessionsock._redis.address import RedisAddress
from txsessionsock._redis.link import Link
from txsessionsock.interfaces import FOREVER, KEEP
from txsessionsock.stores.redis import _REPLACE, RedisStore


WAYS = {
    "1 socket": (1, 1, True),
    "1 socket, 16 in flight": (1, 16, True),
    "16 sockets of 1 session": (16, 1, True),
    "16 sockets of 16 sessions": (16, 1, False),
    "50 sockets of 50 sessions": (50, 1, False),
}
"""
How many sockets, how many messages are under way on each, and whether all are
of one session.
"""

BLIND = "user blind on nopass ~* &* +@all -client"
"""
Somebody who may not track.
"""

Part = Callable[[RedisServer, bool], Awaitable[None]]


async def messages(redis: RedisServer, quick: bool) -> None:
    """
    Commands and time for a message.
    """
    blind = redis.url.replace("//", "//blind:anything@")
    for mode, url, freshness in (
        ("strict", redis.url, "strict"),
        ("tracked", redis.url, "tracked"),
        ("blind", blind, "strict"),
    ):
        async with nodes(1, url, "--freshness", freshness) as [node]:
            for verb, verbName in ("get", "reading"), ("add", "writing"):
                ways = list(WAYS.items())[: 1 if quick else None]
                for name, (sockets, inFlight, shared) in ways:
                    found = await work(
                        "load",
                        redis.port,
                        port=node.port,
                        times=20 if quick else 10_000,
                        verb=verb,
                        sockets=sockets,
                        inFlight=inFlight,
                        shared=shared,
                        pid=node.transport.pid,
                    )
                    _showLoad(f"{mode}, {verbName}, {name}", found)


def _showLoad(what: str, found: dict[str, Any]) -> None:
    count = found["messages"]
    commands = found["commands"]
    listed = ", ".join(f"{n / count:.3f} {name}" for name, n in commands.items())
    print(
        f"{what + ':':45}{count / found['seconds']:6.0f} messages/s,"
        f" {1e6 * found['work'] / count:4.0f} us of the node,"
        f" {sum(commands.values()) / count:.3f} commands ({listed or 'none'})",
        flush=True,
    )


async def freshness(redis: RedisServer, quick: bool) -> None:
    """
    Stale answers to messages sent after a write of another program.
    """
    times = 20 if quick else 10_000
    for mode in "strict", "tracked":
        async with nodes(1, redis.url, "--freshness", mode) as [node]:
            for way in ("idle",) if quick else ("idle", "busy", "writing"):
                found = await work(
                    "fresh",
                    redis.port,
                    port=node.port,
                    times=times,
                    busy=way == "busy",
                    writing=way == "writing",
                )
                print(
                    f"{mode}, {way}: {found['stale']} of {times} answers stale,"
                    f" by up to {found['behind']} writes, in {found['seconds']:.0f} s"
                    f" (other messages: {found['traffic'] + found['changes']})",
                    flush=True,
                )


async def ends(redis: RedisServer, quick: bool) -> None:
    """
    From the end of a session to the close frame, on each of two nodes.
    """
    times = 2 if quick else 200
    async with nodes(2, redis.url) as members:
        ports = [node.port for node in members]
        for what, task, arguments in (
            ("deleted", "delete", {}),
            ("deleted while all connections are killed", "delete", {"cut": True}),
            ("expired", "expire", {"lifetime": 0.5 if quick else 2.0, "step": 0.02}),
        ):
            late = await work(task, redis.port, ports=ports, times=times, **arguments)
            for number, one in enumerate(late):
                print(f"{what}: node {number}: {spread(one)}", flush=True)


async def commands(redis: RedisServer, quick: bool) -> None:
    """
    Time that a command takes in the node.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - Installs it.

    store = RedisStore(redis.url, reactor)
    link = Link(RedisAddress.parse(redis.url), _Deaf(), reactor, tracks=True)
    values = [b"a" * 250, b"b" * 250]
    turns = [0] * 50
    for slot in range(len(turns)):
        await store.create(f"k{slot}", values[0], FOREVER)
        store.watch(f"k{slot}", _ignore)
        await store.load(f"k{slot}")

    def replace(slot: int) -> Deferred[Any]:
        turns[slot] ^= 1
        new = turns[slot]
        return store.replace(f"k{slot}", values[1 - new], values[new], KEEP)

    def bareReplace(slot: int) -> Deferred[Any]:
        turns[slot] ^= 1
        new = turns[slot]
        arguments = values[1 - new], values[new], b"keep"
        key = b"k%d" % slot
        return link.ask(b"EVALSHA", _REPLACE.digest, b"1", key, *arguments)

    def ping(slot: int) -> Deferred[Any]:
        return link.ask(b"PING")

    stock = await txredisapi.Connection(
        port=redis.port, charset=None, convertNumbers=False
    )
    script = await stock.script_load(_REPLACE.text)

    def stockReplace(slot: int) -> Deferred[Any]:
        turns[slot] ^= 1
        new = turns[slot]
        arguments = [values[1 - new], values[new], b"keep"]
        answer: Deferred[Any] = stock.evalsha(script, [f"k{slot}"], arguments)
        return answer

    def stockPing(slot: int) -> Deferred[Any]:
        answer: Deferred[Any] = stock.ping()
        return answer

    count = 500 if quick else 20_000
    for name, ask in (
        ("EVALSHA of 2 x 250 bytes, by the store", replace),
        ("the same without the store", bareReplace),
        ("the same by plain txredisapi", stockReplace),
        ("PING", ping),
        ("the same by plain txredisapi", stockPing),
    ):
        for inFlight in 1, 16, 50:
            await _pump(ask, inFlight, count // 10)
            seconds = await _pump(ask, inFlight, count)
            print(f"{name}, {inFlight} in flight: {1e6 * seconds / count:.1f} us")
    await store.close()
    await link.close()
    await stock.disconnect()


class _Deaf:
    def up(self) -> None:
        pass

    def down(self) -> None:
        pass

    def pushed(self, message: list[Any]) -> None:
        pass


def _ignore(key: str) -> None:
    pass


def _pump(
    ask: Callable[[int], Deferred[Any]], inFlight: int, count: int
) -> Deferred[float]:
    """
    Ask so often, with some under way at a time.

    @return: How many seconds of work that was.
    """
    done: Deferred[float] = Deferred()
    began = process_time()
    sent = answered = 0

    def start(slot: int) -> None:
        nonlocal sent
        sent += 1
        ask(slot).addCallback(again, slot).addErrback(done.errback)

    def again(_: object, slot: int) -> None:
        nonlocal answered
        answered += 1
        if sent < count:
            start(slot)
        elif answered == count:
            done.callback(process_time() - began)

    for slot in range(inFlight):
        start(slot)
    return done


async def memory(redis: RedisServer, quick: bool) -> None:
    """
    Memory of the Redis for each key that a node tracks.
    """
    count = 400 if quick else 20_000
    keys = [f"sess:{number:032}" for number in range(count)]
    with redis.client() as client:
        for key in keys:
            client.command("SET", key, json.dumps({"cookie": {}}))

    def used() -> int:
        lines = redis.command("INFO", "memory").decode().splitlines()
        return int(
            dict(line.split(":") for line in lines if ":" in line)["used_memory"]
        )

    before = used()
    stores = []
    for nth in "first", "second":
        store = RedisStore(redis.url)
        await store.load("nothing")
        for key in keys:
            store.watch(key, _ignore)
            await store.load(key)
        after = used()
        print(
            f"{nth} node: {(after - before) / count:.0f} bytes for each of {count} keys"
        )
        before = after
        stores.append(store)
    for store in stores:
        await store.close()


PARTS: dict[str, Part] = {
    "messages": messages,
    "freshness": freshness,
    "ends": ends,
    "commands": commands,
    "memory": memory,
}


async def main(reactor: object) -> None:
    names = [each for each in sys.argv[1:] if each != "--quick"]
    unknown = set(names) - set(PARTS)
    if unknown:
        raise SystemExit(f"there is only {', '.join(PARTS)}")
    for name in names or PARTS:
        part = PARTS[name]
        with RedisServer(BLIND) as redis:
            print(f"\n{(part.__doc__ or '').strip()}")
            await part(redis, "--quick" in sys.argv)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
