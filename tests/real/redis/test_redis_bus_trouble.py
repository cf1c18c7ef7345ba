"""
Tests for L{txsessionsock.bus.RedisBus}: nodes, networks and servers that do not
do what they should.
"""

from __future__ import annotations

import re
from unittest.mock import patch

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.redisnodes import Node, nodes, portOf
from tests.support.redisserver import RedisServer, proxy, sharedServer
from tests.support.servers import PATIENCE, inReactor, reactor
from txsessionsock._redis import link as _redis
from txsessionsock.interfaces import BusFull, StoreTimeout, StoreUnavailable


@inReactor
async def test_hanging() -> None:
    """
    A node that hangs is reported when the time is up, and gone when its
    lifetime is; when it goes on it is there again.
    """
    url = sharedServer().url
    async with proxy(portOf(url)) as slow, nodes(url) as (one,):
        far = f"redis://127.0.0.1:{slow.port}/0"
        async with nodes(far, among=[one]) as (two,):
            slow.hold()
            began = reactor.seconds()
            answers = await one.request(b"x")
            took = reactor.seconds() - began
            assert answers[two.node] is None
            assert answers[one.node] is not None
            assert 0.4 < took < 1.0, took
            await one.until({one.node: True})
            gone = reactor.seconds() - began
            assert gone < 2.5, gone
            await slow.heal()
            await two.until({one.node: True, two.node: True})
            await one.until({one.node: True, two.node: True})
        await one.until({one.node: True})


@pytest.mark.timed
@inReactor
async def test_cutOff() -> None:
    """
    A node that was killed, as far as its Redis can tell, is reported without
    waiting, and gone when its lifetime is over.  Its own requests fail, and
    reach nobody, not even itself.
    """
    url = sharedServer().url
    async with proxy(portOf(url)) as line, nodes(url) as (one,):
        far = f"redis://127.0.0.1:{line.port}/0"
        async with nodes(far, among=[one]) as (two,):
            await line.refuse()
            await line.cut()
            await one.until({one.node: True, two.node: False})
            began = reactor.seconds()
            for _ in range(10):
                answers = await one.request(b"x")
                assert answers[two.node] is None
            assert reactor.seconds() - began < 0.4
            before = len(two.got)
            with pytest.raises(StoreUnavailable):
                await two.request(b"y")
            assert len(two.got) == before
            assert b"y" not in one.got
            await one.until({one.node: True})
            assert reactor.seconds() - began < 2.5
            await line.listen()
            await two.ready()
            await one.until({one.node: True, two.node: True})


@inReactor
async def test_restart() -> None:
    """
    A Redis that was away for more than a lifetime and lost its data is used
    again by itself.  A node that was there before and is not back yet is not
    forgotten.
    """
    lifetime = 1.0
    with RedisServer() as server:
        async with (
            proxy(server.port) as line,
            nodes(server.url, lifetime=lifetime) as made,
            nodes(
                f"redis://127.0.0.1:{line.port}/0", among=made, lifetime=lifetime
            ) as (two,),
        ):
            (one,) = made
            await line.refuse()
            server.stop()
            await one.lost()
            await deferLater(reactor, 1.2 * lifetime)
            server.lose()
            server.start()
            await one.ready()
            answers = await one.request(b"x")
            assert answers[two.node] is None
            assert answers[one.node] is not None
            await line.listen()
            for node in one, two:
                await node.until({one.node: True, two.node: True})


@inReactor
async def test_lostWhileAsking() -> None:
    """
    When a node's own connection is lost it waits for no answers any more.
    """
    url = sharedServer().url
    async with (
        proxy(portOf(url)) as mine,
        proxy(portOf(url)) as slow,
        nodes(url, timeout=30.0) as made,
        nodes(f"redis://127.0.0.1:{slow.port}/0", among=made) as (two,),
        nodes(f"redis://127.0.0.1:{mine.port}/0", among=[*made, two], timeout=30.0) as (
            one,
        ),
    ):
        slow.hold()
        began = reactor.seconds()
        asking = one.request(b"x")
        # Behind this, it is known that the question went out.
        await one._pubsub.ask(b"PING")
        assert not asking.called
        await mine.cut()
        assert (await asking)[two.node] is None
        assert reactor.seconds() - began < 2.0
        await slow.heal()


@pytest.mark.timed
@inReactor
async def test_redisHangs() -> None:
    """
    While the Redis hangs, a request fails when the time is up; it is unknown
    who got it.  The next ones fail at once.
    """
    with RedisServer() as server:
        async with nodes(server.url, server.url) as (one, two):
            server.pause()
            began = reactor.seconds()
            with pytest.raises(StoreTimeout):
                await one.request(b"x")
            assert reactor.seconds() - began < 1.0
            await two.lost()
            with pytest.raises(StoreUnavailable):
                await two.request(b"y")
            server.resume()
            for node in one, two:
                await node.until({one.node: True, two.node: True})
            assert b"y" not in one.got + two.got


@inReactor
async def test_full() -> None:
    """
    When a node hangs, only so much waits for it; what is refused reaches
    nobody, and what is not arrives in order.
    """
    url = sharedServer().url
    async with proxy(portOf(url)) as slow, nodes(url, waiting=50) as (one,):
        far = f"redis://127.0.0.1:{slow.port}/0"
        async with nodes(far, among=[one], timeout=5.0) as (two,):
            slow.hold()
            asking = [one.request(b"%d" % n) for n in range(50)]
            for _ in range(2):
                with pytest.raises(BusFull, match="50 commands"):
                    await one.request(b"too much")
            assert [each[two.node] for each in await gatherResults(asking)] == [
                None
            ] * 50
            # There is room again.
            last = one.request(b"last")
            slow.release()
            assert (await last)[two.node] is not None
    expected = [*(b"%d" % n for n in range(50)), b"last"]
    for node in one, two:
        assert [each for each in node.got if each != b"?"] == expected


@inReactor
async def test_notAllowed() -> None:
    """
    Where a Redis does not let us subscribe, that is tried once a second and
    logged, until it does.
    """
    user = "user joe on >pass ~* resetchannels +@all"
    with RedisServer(user) as server, capturedLogs() as events:
        node = Node(server.url.replace("//", "//joe:pass@"))
        node.ready()
        with pytest.raises(StoreUnavailable):
            await node.request(b"?")
        await deferLater(reactor, 2.5)
        made = server.command("INFO", "stats").split(b"received:")[1].split()[0]
        assert 2 <= int(made) < 10, made
        server.command("ACL", "SETUSER", "joe", "allchannels")
        await node.until({node.node: True})
        await node.close()
    texts = [formatEvent(e) for e in events if e["log_level"] == LogLevel.warn]
    assert [text for text in texts if "let us subscribe to sessionsock:0:all, " in text]
    assert len(texts) < 4, texts
    assert not any("pass" in text for text in texts)


@inReactor
async def test_cutOffBefore() -> None:
    """
    A node without RESP3 that loses the connection by which it asks, before the
    other one has subscribed, was not refused, and does not say so.
    """
    with patch.object(_redis, "canBePushed", lambda: False), capturedLogs() as events:
        async with nodes(sharedServer().url) as (node,):
            hearing, other = node._pubsub._hearing, node._pubsub._other
            tell = hearing.tell

            def telling(*words: bytes) -> None:
                hearing.tell = tell  # type: ignore[method-assign]  # as it was
                tell(*words)
                # Before the answer can be read.
                reactor.callLater(0, other.drop, "")

            hearing.tell = telling  # type: ignore[method-assign]  # to know when
            hearing.drop("")
            await node.until({})
            await node.until({node.node: True})
    texts = [formatEvent(e) for e in events if e["log_level"] == LogLevel.warn]
    assert texts == []


@inReactor
async def test_notExpected() -> None:
    """
    A node that cannot say that it is there does not subscribe, or it would be
    reached by commands whose sender does not know of it.
    """
    user = "user joe on >pass ~* &* +@all -set"
    with RedisServer(user) as server, capturedLogs() as events:
        node = Node(server.url.replace("//", "//joe:pass@"))
        # Once more after the first time, which was long enough to subscribe.
        await refused(server, 2)
        assert server.command("PUBSUB", "CHANNELS") == []
        server.command("ACL", "SETUSER", "joe", "+set")
        await node.until({node.node: True})
        server.command("ACL", "SETUSER", "joe", "-set")
        # After the second of these, it knows of the first.
        await refused(server, 4)
        await node.close()
    texts = [formatEvent(e) for e in events if e["log_level"] == LogLevel.warn]
    assert len([text for text in texts if "NOPERM" in text]) >= 2, texts
    assert len(texts) < 4, texts


async def refused(server: RedisServer, times: int) -> None:
    """
    Wait until a server has refused so many commands C{SET}.
    """
    end, found = reactor.seconds() + PATIENCE, 0
    while found < times:
        assert reactor.seconds() < end, f"only {found} were refused"
        await deferLater(reactor, 0.01)
        stats: bytes = server.command("INFO", "commandstats")
        said = re.search(rb"cmdstat_set:.*rejected_calls=(\d+)", stats)
        found = int(said[1]) if said else 0
