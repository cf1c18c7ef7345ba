"""
Tests for L{txsessionsock.bus.RedisBus}, on real servers.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import patch

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # It has no types.
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.support.documents import commands
from tests.support.redisnodes import Node, nodes
from tests.support.redisserver import RedisServer, sharedServer
from tests.support.servers import inReactor, reactor
from txsessionsock._redis import link as _redis
from txsessionsock.bus import RedisBus
from txsessionsock.bus.envelopes import Answer, Bye, Hello, Question, seal
from txsessionsock.bus.pubsub import PubSub, PubSubState
from txsessionsock.interfaces import IBus, StoreTimeout, StoreUnavailable
from txsessionsock.testing import BusContract


if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    # Before a contract, which prepares after this.
    _Base = object

_T = TypeVar("_T")

_prefixes = count()


class _Fixture(_Base):
    """
    Buses that are closed in the end.
    """

    def setUp(self) -> None:
        self.prefix = f"bus{next(_prefixes)}:"
        self.url = sharedServer().url
        super().setUp()

    def makeBus(self) -> IBus:
        bus = RedisBus(self.url, reactor, prefix=self.prefix)
        self.addCleanup(lambda: self.wait(bus.close()))
        return bus

    def makeOther(self, bus: IBus) -> IBus:
        return self.makeBus()

    def joined(self, bus: IBus) -> None:
        assert isinstance(bus, RedisBus)
        self.wait(bus.ready())

    def wait(self, answer: Deferred[_T]) -> _T:
        result: _T = pytest_twisted.blockon(answer)
        return result


class RedisBusContractTests(_Fixture, BusContract, SynchronousTestCase):
    """
    What is promised for all buses.
    """


class RESP2ContractTests(_Fixture, BusContract, SynchronousTestCase):
    """
    What is promised for all buses, without hiredis: a connection that hears can
    ask nothing then.
    """

    def setUp(self) -> None:
        self.patch(_redis, "canBePushed", lambda: False)
        super().setUp()


@inReactor
async def test_states() -> None:
    """
    A node subscribes when it is connected, and is ready when it can ask
    something too.  After an attempt that was refused, the next one waits.
    """
    states: list[str] = []
    become = PubSub._become

    def becoming(pubsub: PubSub, state: PubSubState) -> None:
        states.append(state.name)
        become(pubsub, state)

    user = "user joe on >pass ~* resetchannels +@all"
    subscribed = ["PREPARING", "SUBSCRIBING", "SUBSCRIBED", "READY"]
    with RedisServer(user) as server, patch.object(PubSub, "_become", becoming):
        node = Node(server.url.replace("//", "//joe:pass@"))
        while "PAUSING" not in states:
            await deferLater(reactor, 0.01)
        assert node._pubsub.state is PubSubState.PAUSING
        server.command("ACL", "SETUSER", "joe", "allchannels")
        await node.ready()
        server.command("CLIENT", "KILL", "USER", "joe")
        await node.lost()
        await node.ready()
        assert node._pubsub.isReady
        await node.close()
    refused = ["PREPARING", "SUBSCRIBING", "DOWN", "PAUSING"]
    assert states == [*refused, *subscribed, "DOWN", *subscribed, "CLOSED"]


@inReactor
async def test_closedWhenReady() -> None:
    """
    A node that is closed as soon as it is ready does not say any more that it is
    there, nor does it try to.
    """
    node = Node(sharedServer().url)
    await node.ready().addCallback(lambda _: node.close())
    await deferLater(reactor, 0)
    calls = [str(call) for call in reactor.getDelayedCalls()]
    assert [call for call in calls if "RedisBus" in call] == []


@inReactor
async def test_unprepared() -> None:
    """
    After an attempt that could not be prepared, the next one waits as well.
    """
    states: list[str] = []
    become = PubSub._become

    def becoming(pubsub: PubSub, state: PubSubState) -> None:
        states.append(state.name)
        become(pubsub, state)

    user = "user joe on >pass ~* &* +@all -set"
    with RedisServer(user) as server, patch.object(PubSub, "_become", becoming):
        node = Node(server.url.replace("//", "//joe:pass@"))
        while len(states) < 3:
            await deferLater(reactor, 0.01)
        await node.close()
    assert states[:3] == ["PREPARING", "DOWN", "PAUSING"]


@inReactor
async def test_closedWhileSubscribing() -> None:
    """
    A node that is closed before the server has refused the subscription says
    nothing about that.
    """
    closing: list[Deferred[None]] = []
    become = PubSub._become

    def becoming(pubsub: PubSub, state: PubSubState) -> None:
        become(pubsub, state)
        if state is PubSubState.SUBSCRIBING:
            reactor.callLater(0, lambda: closing.append(node.close()))

    user = "user joe on >pass ~* resetchannels +@all"
    with (
        RedisServer(user) as server,
        patch.object(PubSub, "_become", becoming),
        capturedLogs() as events,
    ):
        node = Node(server.url.replace("//", "//joe:pass@"))
        while not closing:
            await deferLater(reactor, 0.01)
        await closing[0]
        assert node._pubsub.state is PubSubState.CLOSED
    assert [formatEvent(e) for e in events if e["log_level"] == LogLevel.warn] == []


@inReactor
async def test_traces() -> None:
    """
    A node leaves a set and a key with a lifetime in its Redis, two channels
    while it is connected, and nothing when it is closed.  It looks at nothing
    else in the Redis.
    """
    with RedisServer() as server:
        async with nodes(server.url, server.url) as (one, two):
            names = {one.node.encode(), two.node.encode()}
            keys = server.command("KEYS", "*")
            expected = {b"sessionsock:node:" + name for name in names}
            assert set(keys) == {b"sessionsock:nodes", *expected}
            assert set(server.command("SMEMBERS", "sessionsock:nodes")) == names
            for key in expected:
                assert 0 < server.command("PTTL", key) <= 1500
            channels = server.command("PUBSUB", "CHANNELS")
            mine = {b"sessionsock:0:to:" + name for name in names}
            assert set(channels) == {b"sessionsock:0:all", *mine}
        # As often as this test asked itself.
        assert server.command("KEYS", "*") == []
        assert b"cmdstat_scan" not in server.command("INFO", "commandstats")
        statistics = server.command("INFO", "commandstats")
        assert statistics.count(b"cmdstat_keys:calls=2,") == 1
        assert server.command("PUBSUB", "CHANNELS") == []


@inReactor
async def test_permissions() -> None:
    """
    It needs no more than C{docs/hub.md} says.
    """
    (rights,) = commands("hub.md")
    # What a store needs as well.
    others = "+select +set +del +pttl"
    user = "user bus on >pass resetkeys resetchannels -@all"
    with RedisServer(f"{user} {others} {rights.strip()}") as server:
        url = server.url.replace("//", "//bus:pass@")
        async with nodes(url, url) as (one, two):
            assert len(await one.request(b"x")) == 2
            await two.close()
            assert len(await one.request(b"y")) == 1
        assert server.command("KEYS", "*") == []


@inReactor
async def test_cost() -> None:
    """
    A command costs a C{PUBLISH} for the question and one for each answer of
    another node, and nothing else.
    """
    with RedisServer() as server:
        async with nodes(*[server.url] * 3, lifetime=60.0) as (one, *_):
            server.command("CONFIG", "RESETSTAT")
            for _ in range(10):
                assert len(await one.request(b"?")) == 3
            lines = server.command("INFO", "commandstats").decode().split()[2:]
    calls = {line.split(":")[0]: line.split("=")[1].split(",")[0] for line in lines}
    # What this test asked is not meant.
    del calls["cmdstat_auth"], calls["cmdstat_config|resetstat"]
    assert calls == {"cmdstat_publish": "30"}


@inReactor
async def test_databases() -> None:
    """
    Databases are apart, although the channels of a Redis are not.
    """
    url = sharedServer().url
    async with nodes(url, url) as (one, two), nodes(url[:-1] + "1") as (other,):
        assert set(await one.request(b"!")) == {one.node, two.node}
        assert set(await other.request(b"!")) == {other.node}
        assert two.got[-1] == b"!"
        assert other.got.count(b"!") == 1


@inReactor
async def test_hostile() -> None:
    """
    What others publish is ignored unless it is a message between nodes, and
    nothing of it is logged; an answer that nobody asked for is too.
    """
    server = sharedServer()
    async with nodes(server.url, server.url) as (one, two):
        with capturedLogs() as events:
            for raw in (
                b"",
                b"secret",
                b"\x91" * 100_000,
                b"\xff" * 100,
                seal(Hello("x" * 301)),
            ):
                server.command("PUBLISH", "sessionsock:0:all", raw)
                server.command("PUBLISH", f"sessionsock:0:to:{one.node}", raw)
            for envelope in (
                Answer(two.node, 10**9, b"late"),
                Answer("stranger", 0, None),
                Hello("visitor"),
                Bye("visitor"),
                Bye(one.node),
                Question(one.node, 1, b"not mine"),
            ):
                server.command("PUBLISH", "sessionsock:0:all", seal(envelope))
            # A stranger answered, so it counts as a node for a lifetime.
            await one.until({one.node: True, two.node: True, "stranger": False})
            await one.until({one.node: True, two.node: True})
    texts = [formatEvent(e) for e in events if e["log_level"] == LogLevel.warn]
    assert len([text for text in texts if "ignored a message of" in text]) == 15
    assert not any("secret" in text for text in texts)
    assert b"not mine" not in one.got


@pytest.mark.timed
@inReactor
async def test_leftovers() -> None:
    """
    A node that is in the set and has no key any more is not expected, and
    removed.  Somebody who only listens is not waited for.
    """
    server = sharedServer()
    server.command("SADD", "sessionsock:nodes", "dead", b"\xff\xfe")
    server.command("SET", "sessionsock:node:dying", 1, "PX", 700)
    server.command("SADD", "sessionsock:nodes", "dying")
    with server.client() as listener:
        listener.command("SUBSCRIBE", "sessionsock:0:all")
        made = Node(server.url)
        await made.ready()
        await made.until({made.node: True, "dying": False})
        members = server.command("SMEMBERS", "sessionsock:nodes")
        assert set(members) == {made.node.encode(), b"dying"}
        await made.until({made.node: True})
        began = reactor.seconds()
        for _ in range(10):
            assert list(await made.request(b"?")) == [made.node]
        assert reactor.seconds() - began < 0.4
        await made.close()


@inReactor
async def test_closing() -> None:
    """
    A node that closes answers nothing any more, and the others know at once.
    Closing ends also if there is no Redis.
    """
    with RedisServer() as server:
        async with nodes(server.url, server.url, server.url) as (one, two, three):
            asking = two.request(b"x")
            await two.close()
            with pytest.raises(StoreTimeout):
                await asking
            await one.until({one.node: True, three.node: True})
            with pytest.raises(StoreUnavailable):
                await two.request(b"y")
            server.stop()
            await one.lost()
            waiting = one.ready()
            await one.close()
            with pytest.raises(StoreUnavailable):
                await waiting
    never = Node(server.url)
    await never.close()


@inReactor
async def test_closedWhileJoining() -> None:
    """
    A node that is closed before it takes part is not expected either: it has
    announced itself already.
    """
    closing: list[Deferred[None]] = []
    become = PubSub._become

    def becoming(pubsub: PubSub, state: PubSubState) -> None:
        become(pubsub, state)
        if state is PubSubState.SUBSCRIBING:
            reactor.callLater(0, lambda: closing.append(node.close()))

    with RedisServer() as server:
        with patch.object(PubSub, "_become", becoming):
            node = Node(server.url)
            while not closing:
                await deferLater(reactor, 0.01)
            await closing[0]
        assert server.command("KEYS", "*") == []


@inReactor
async def test_goodbye() -> None:
    """
    A node that closes is in no list any more when it says so: whoever hears that
    and then looks who is there does not find it.
    """
    asked: list[tuple[bytes, ...]] = []
    ask = PubSub.ask

    def asking(pubsub: PubSub, *arguments: bytes) -> Deferred[Any]:
        asked.append(arguments)
        return ask(pubsub, *arguments)

    with patch.object(PubSub, "ask", asking):
        async with nodes(sharedServer().url) as (one,):
            asked.clear()
            await one.close()
    assert [arguments[0] for arguments in asked] == [b"SREM", b"DEL", b"PUBLISH"]


@inReactor
async def test_again() -> None:
    """
    A command that comes again is answered once, and so is none that comes behind a
    later one: what was sent over a connection that was given up may arrive late, and
    a proxy may send it again.
    """
    server = sharedServer()
    async with nodes(server.url) as (one,):
        for number, command in enumerate((b"a", b"b", b"b", b"a", b"c", b"b")):
            sent = Question("far", ord(command), command + b"%d" % number)
            server.command("PUBLISH", "sessionsock:0:all", seal(sent))
        await one.until({one.node: True, "far": False})
        assert [each for each in one.got if each != b"?"] == [b"a0", b"b1", b"c4"]
