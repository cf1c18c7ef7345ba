"""
Tests for a Redis behind one name, be it of a proxy or in the DNS, whose master
becomes a replica and goes on: connections stay with it, and who connects anew
gets the new one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from tests.support.redisfailover import Pair, pair, place, until
from tests.support.redisnodes import nodes
from tests.support.redisscene import TIMEOUT, Teller, node, quiet, storing
from tests.support.redisserver import (
    Client,
    Proxy,
    RedisServer,
    eventually,
    freePort,
    proxy,
    sharedServer,
)
from tests.support.servers import inReactor, program, reactor
from txsessionsock._redis import link as _redis
from txsessionsock._redis.resp import said
from txsessionsock.interfaces import KEEP, StoreFailure, StoreUnavailable


REPLICA = "it is a replica; trying again"


def probing(seconds: float) -> Any:
    """
    Have connections probed so often.
    """
    return patch.object(_redis, "_PROBE_INTERVAL", seconds)


@inReactor
async def test_written() -> None:
    """
    A write that a replica refuses says that nothing was done; the next one is
    done by the new master, and the change of servers is said once.
    """
    with pair() as servers:
        async with place(servers) as at:
            await servers.swap()
            at.move()
            with pytest.raises(StoreUnavailable, match=r"READONLY|it is a replica"):
                await at.store.replace("k", b"1", b"2", KEEP)
            await until(lambda: at.told)
            assert (await at.store.replace("k", b"1", b"3", KEEP)).raw == b"3"
            assert at.said == [REPLICA]
            await at.store.fence("k")


@pytest.mark.parametrize("method", ["load", "replace", "touch", "destroy"])
@inReactor
async def test_gone(method: str) -> None:
    """
    What a replica does not have may be there: one that begins to copy its new
    master has nothing at all.  That is an outage, and no logout.
    """
    arguments = {"replace": (b"1", b"2", KEEP), "touch": (60.0,)}.get(method, ())
    with pair() as servers, probing(60.0):
        async with place(servers) as at:
            await servers.swap()
            servers.new.command("FLUSHALL")
            await until(lambda: not at.has(servers.old, "k"))
            with pytest.raises(StoreUnavailable, match="it is a replica"):
                await getattr(at.store, method)("k", *arguments)


@inReactor
async def test_read() -> None:
    """
    What is read is not from a replica either: whoever waits until all changes
    are known hears that they are not, although the replica answers.
    """
    with pair() as servers, probing(60.0):
        async with place(servers) as at:
            await servers.swap()
            at.move()
            with pytest.raises(StoreUnavailable, match="it is a replica"):
                await at.store.fence("k")
            await until(lambda: at.told)
            await at.written("other")
            await at.store.fence("k")
            assert at.has(servers.new, "other")
            assert at.said == [REPLICA]


@inReactor
async def test_blind() -> None:
    """
    A store that has no changes reported does not read from a replica either: it
    reads anew for each message.
    """
    with (
        pair() as servers,
        probing(60.0),
        patch.object(_redis, "canBePushed", lambda: False),
    ):
        async with place(servers) as at:
            await servers.swap()
            at.move()
            with pytest.raises(StoreUnavailable, match="it is a replica"):
                await at.store.load("k")
            assert await at.store.load("k")
            assert REPLICA in at.said


@inReactor
async def test_shared() -> None:
    """
    What is read in one turn of the reactor without reports shares the question
    whether that was from a replica, also if the store is closed then.
    """

    def asked() -> int:
        found = server.command("INFO", "commandstats")
        return int(re.findall(rb"cmdstat_hello:calls=(\d+)", found)[0])

    server = sharedServer()
    with patch.object(_redis, "canBePushed", lambda: False):
        async with storing(server.url) as store:
            told: list[str] = []
            store.watch("k", told.append)
            await store.create("k", b"", 600.0)
            told.clear()
            before = asked()
            for _ in range(2):
                await gatherResults([store.load(f"{n}") for n in range(50)])
            assert asked() - before == 2
            # That our own change was not reported is nothing new.
            assert told == []
            loading = gatherResults([store.load(f"{n}") for n in range(50)])
            await store.close()
            assert await loading == [None] * 50
            assert asked() - before == 3


@inReactor
async def test_idle() -> None:
    """
    A connection on which nothing is asked is left by the next probe: then all
    that is watched may have changed, and is watched at the new master.
    """
    with pair() as servers, probing(0.05):
        async with place(servers) as at:
            await servers.swap()
            at.move()
            accepted = at.name.accepted
            await at.name.until(lambda: at.name.accepted > accepted)
            await until(lambda: at.store._link.isUp)
            await at.store.load("k")
            at.told.clear()
            name = at.store._prefix.decode() + "k"
            servers.new.command("SET", name, b"theirs")
            await until(lambda: at.told)
            assert at.said == [REPLICA]


@inReactor
async def test_late() -> None:
    """
    As long as the name still leads to the old server, that is said once, and
    tried again, every second at the latest; calls say what the problem is.
    """
    with pair() as servers:
        async with place(servers, TIMEOUT) as at:
            await servers.swap()
            with pytest.raises(StoreUnavailable):
                await at.store.fence("k")
            accepted, begun = at.name.accepted, reactor.seconds()
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="it is a replica"):
                    await at.store.load("k")
            took = reactor.seconds() - begun
            assert 1 <= at.name.accepted - accepted <= 4 + took
            at.move()
            await at.written("other")
            assert at.has(servers.new, "other")
            assert at.said == [REPLICA]


@inReactor
async def test_silent() -> None:
    """
    A server that does not say what it is shows it by what it refuses; it is
    not connected to more than once between probes while it goes on to refuse.
    """
    with pair('rename-command HELLO ""') as servers, probing(0.5):
        async with place(servers) as at:
            await servers.swap()
            begun = reactor.seconds()
            async for _ in at.connecting(3):
                with pytest.raises(StoreFailure):
                    await at.store.create("other", b"", 600.0)
            assert reactor.seconds() - begun > 0.9
            at.move()
            await at.written("other")
            assert at.has(servers.new, "other")
            said = [line for line in at.said if "CLIENT TRACKING" not in line]
            assert said == [REPLICA]


@inReactor
async def test_tooFewReplicas() -> None:
    """
    A master without replicas may have been cut off, and another one may be in
    its place: that is looked for between probes.  If there is none, it can be
    read.
    """
    with pair() as servers, probing(0.5):
        async with place(servers) as at:
            servers.old.command("CONFIG", "SET", "min-replicas-to-write", 2)
            begun = reactor.seconds()
            async for _ in at.connecting(3):
                # A timeout, on a connection that is just left.
                with pytest.raises(StoreFailure):
                    await at.store.create("other", b"", 600.0)
                with suppress(StoreFailure):
                    await at.store.load("k")
            assert reactor.seconds() - begun > 0.9
            assert await at.store.load("k")
            assert at.said == [
                "NOREPLICAS Not enough good replicas to write.; trying again"
            ]
            servers.new.command("REPLICAOF", "NO", "ONE")
            at.move()
            await at.written("other")
            assert at.has(servers.new, "other")


@inReactor
async def test_masterDown() -> None:
    """
    A replica that answers nothing while it has no master is left, too.
    """
    with pair("replica-serve-stale-data no") as servers:
        async with place(servers) as at:
            servers.new.command("REPLICAOF", "NO", "ONE")
            servers.old.command("REPLICAOF", "127.0.0.1", freePort())
            at.move()
            with pytest.raises(StoreUnavailable, match="MASTERDOWN"):
                await at.store.load("k")
            assert await at.store.load("k")
            assert at.said == [REPLICA]


@inReactor
async def test_loading() -> None:
    """
    A server that answered, and now loads its data, has become a replica.
    """
    slowly = "key-load-delay 2000", "loading-process-events-interval-bytes 1024"
    with pair(*slowly) as servers, probing(60.0):
        async with place(servers) as at:
            for number in range(500):
                servers.old.command("SET", f"other{number}", bytes(2000))
            assert servers.old.replicated(1)
            servers.new.command("REPLICAOF", "NO", "ONE")
            # What only the old one has makes it load all that the new one has.
            servers.old.command("SET", "alone", "x")
            servers.old.command("REPLICAOF", "127.0.0.1", servers.new.port)
            isLoading = b"\nloading:1"
            await until(lambda: isLoading in servers.old.command("INFO", "persistence"))
            at.move()
            with pytest.raises(StoreUnavailable, match="LOADING"):
                await at.store.load("k")
            assert await at.store.load("k")
            (problem,) = at.said
            assert problem.startswith("LOADING ")


@contextmanager
def cluster(buses: tuple[int, int]) -> Iterator[Pair]:
    """
    Two servers that take themselves for all of a cluster.

    @param buses: On which ports they listen for each other.
    """
    lines = "cluster-enabled yes", "cluster-require-full-coverage no"
    first, second = (f"cluster-port {bus}" for bus in buses)
    with RedisServer(*lines, first) as old, RedisServer(*lines, second) as new:
        for each in old, new:
            each.command("CLUSTER", "ADDSLOTS", *range(16384))
            eventually(partial(_isOk, each))
        yield Pair(old, new)


def _isOk(server: RedisServer) -> bool:
    return b"cluster_state:ok" in server.command("CLUSTER", "INFO")


@inReactor
@pytest.mark.parametrize("word", ["CLUSTERDOWN", "MOVED"])
async def test_cluster(word: str) -> None:
    """
    A node of a cluster of one shard that does not serve the key any more is
    left, too.
    """
    buses = freePort(), freePort()
    with cluster(buses) as servers:
        async with place(servers) as at:
            key = at.store._prefix.decode() + "k"
            slot = servers.old.command("CLUSTER", "KEYSLOT", key)
            if word == "CLUSTERDOWN":
                servers.old.command("CLUSTER", "DELSLOTS", slot)
            else:
                other = servers.new.command("CLUSTER", "MYID")
                new = "127.0.0.1", servers.new.port, buses[1]
                servers.old.command("CLUSTER", "MEET", *new)
                await until(lambda: other in servers.old.command("CLUSTER", "NODES"))
                servers.old.command("DEL", key)
                servers.old.command("CLUSTER", "SETSLOT", slot, "NODE", other)
            at.move()
            with pytest.raises(StoreUnavailable, match=word):
                await at.store.load("k")
            assert await at.store.load("k") is None
            assert len(at.said) == 1


@pytest.mark.parametrize("withoutPushes", [False, True])
@inReactor
async def test_bus(withoutPushes: bool) -> None:
    """
    What is published at a replica reaches nobody else, and is not refused:
    probes find out, and the nodes find each other at the new master.
    """
    with pair() as servers, probing(0.1), quiet():
        canBePushed = patch.object(_redis, "canBePushed", lambda: not withoutPushes)
        async with proxy(servers.old.port) as name:
            far = f"redis://127.0.0.1:{name.port}/0"
            with canBePushed:
                # It would not notice by what it writes.
                async with nodes(far, lifetime=60.0) as (one,):
                    await servers.swap()
                    name.target = servers.new.port
                    near = f"redis://127.0.0.1:{servers.new.port}/0"
                    async with nodes(near, among=[one], lifetime=60.0) as (two,):
                        await one.until({one.node: True, two.node: True})
                        heard = servers.old.command("PUBSUB", "CHANNELS")
                        assert heard == []


@asynccontextmanager
async def balanced(servers: Pair, folder: Path) -> AsyncIterator[int]:
    """
    HAProxy, which leads who connects to the master, as its manual has it.

    @return: Its port.
    """
    binary = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if binary is None:
        pytest.skip("no HAProxy: install haproxy")
    port = freePort()
    user, password = servers.old.credentials
    configuration = folder / "haproxy.cfg"
    configuration.write_text(f"""
defaults
    mode tcp
    timeout connect 1s
    timeout client 1m
    timeout server 1m
listen redis
    bind 127.0.0.1:{port}
    option tcp-check
    tcp-check connect
    tcp-check send "AUTH {user} {password}\\r\\n"
    tcp-check expect string +OK
    tcp-check send "INFO replication\\r\\n"
    tcp-check expect string role:master
    server old 127.0.0.1:{servers.old.port} check inter 50ms fall 1 rise 1
    server new 127.0.0.1:{servers.new.port} check inter 50ms fall 1 rise 1
""")
    command = binary, "-db", "-f", str(configuration)
    async with program(*command, listen=0) as running:

        def isReady() -> bool:
            assert running.status is None, running.log + running.errors
            with suppress(OSError), Client(("127.0.0.1", port)) as client:
                return bool(client.command("PING") == "PONG")
            return False

        await until(isReady)
        yield port


@pytest.mark.e2e
@inReactor
@pytest.mark.parametrize("perMessage", [True, False])
async def test_balanced(perMessage: bool, tmp_path: Path) -> None:
    """
    HAProxy keeps connections that there are.  Sockets, whose sessions are
    stored there, count on, and nothing that was acknowledged after the
    fail-over is lost.
    """
    with pair() as servers, quiet():
        async with (
            balanced(servers, tmp_path) as port,
            node(f"redis://127.0.0.1:{port}", perMessage) as site,
        ):
            visitor = await site.visitor(n=0)
            teller = Teller(visitor)
            await teller.more()
            await servers.swap()
            await teller.more(20)
            await teller.stop()
            await site.saved(servers.new, visitor, teller.answered)
            assert teller.answered <= site.stored(servers.new, visitor)["n"]
            assert site.stored(servers.new, visitor)["n"] <= teller.sent
            assert set(teller.codes) <= {1013}
            assert (site.invalid, site.ended) == ([], [])
            connected = servers.old.command("CLIENT", "LIST")
            assert b"txsessionsock" not in connected


@implementer(IHostnameResolver)
class _Names:
    """
    What the DNS says.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: object = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        assert hostName == "redis.example"
        found = IPv4Address("TCP", self.address, portNumber)
        resolutionReceiver.resolutionBegan(None)
        resolutionReceiver.addressResolved(found)
        resolutionReceiver.resolutionComplete()
        return resolutionReceiver


@inReactor
async def test_name() -> None:
    """
    A name is looked up anew for each connection.
    """
    with pair() as servers, quiet():
        async with proxy(servers.old.port) as first:
            second = Proxy(servers.new.port)
            second.port, second.interface = first.port, "127.0.0.2"
            await second.listen()
            names = _Names("127.0.0.1")
            before = reactor.installNameResolver(names)
            try:
                url = f"redis://redis.example:{first.port}"
                async with storing(url, timeout=2.0) as store:
                    assert await store.create("k", b"1", 600.0)
                    await servers.swap()
                    names.address = "127.0.0.2"
                    with pytest.raises(StoreUnavailable):
                        await store.fence("k")
                    assert await store.create("other", b"1", 600.0)
                    assert second.connections == 1
            finally:
                reactor.installNameResolver(before)
                await second.refuse()
                await second.cut()


def test_words() -> None:
    """
    What a script was refused is found in the words of each version.
    """
    refused = "READONLY You can't write against a read only replica."
    digest = "b0d697da25b13e49157b2c214a4033546aba2104"
    for text in (
        refused,
        f"{refused} script: {digest}, on @user_script:1.",
        f"ERR Error running script (call to f_{digest}):"
        f" @user_script:1: @user_script: 1: -{refused}",
    ):
        assert said(Exception(text)) == refused
    wrong = "WRONGTYPE Operation against a key holding the wrong kind of value"
    for text in (
        f"{wrong} script: {digest}, on @user_script:2.",
        f"ERR Error running script (call to f_{digest}): @user_script:2: {wrong}",
    ):
        assert said(Exception(text)) == wrong
