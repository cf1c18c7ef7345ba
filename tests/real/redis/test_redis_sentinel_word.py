"""
Tests for L{txsessionsock._redis.sentinel}: whom to believe, and when.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.support.fakesentinels import fakeSentinels, urlOf
from tests.support.redisprocess import RedisProcess
from tests.support.redisscene import quiet, storing
from tests.support.redisserver import (
    RedisServer,
    findServer,
    freePort,
    proxy,
    sharedServer,
)
from tests.support.servers import PATIENCE, inReactor, reactor
from txsessionsock._redis import link as _redis
from txsessionsock.interfaces import FOREVER, StoreTimeout, StoreUnavailable
from txsessionsock.stores.redis import RedisStore


async def portOf(store: RedisStore) -> int:
    """
    To which server a store is connected.
    """
    information: bytes = await store._link.ask(b"INFO", b"server")
    return int(information.split(b"tcp_port:")[1].split()[0])


def whenLost(store: RedisStore) -> Deferred[str]:
    """
    Wait until a store may have missed something.
    """
    lost: Deferred[str] = Deferred()

    def changed(key: str) -> None:
        if not lost.called:
            lost.callback(key)

    store.watch("k", changed)
    return lost.addTimeout(PATIENCE, reactor)


async def seconds(doing: Deferred[Any]) -> float:
    """
    How long something takes.
    """
    begun = reactor.seconds()
    await doing
    return float(reactor.seconds() - begun)


@inReactor
async def test_liar() -> None:
    """
    One of three that knows another master is not believed: neither when it is
    the only one to answer at once, nor when it announces that.
    """
    right = sharedServer().port
    with RedisServer() as wrong, quiet():
        async with (
            fakeSentinels(wrong.port, right, right) as all_,
            storing(urlOf(all_)) as store,
        ):
            assert await portOf(store) == right
            for each in all_:
                await each.isHeard()
            asked = all_[2].asked
            all_[0].announce()
            await all_[2].until(lambda: all_[2].asked > asked)
            assert await portOf(store) == right
        assert wrong.command("DBSIZE") == 0


@inReactor
async def test_moved() -> None:
    """
    When another server became the master, a connection is not kept, although
    the old one still takes itself for the master; as soon as most sentinels
    know, and each announces it when it knows.
    """
    old = sharedServer().port
    with RedisServer() as new, quiet():
        async with (
            fakeSentinels(old, old, old) as all_,
            storing(urlOf(all_)) as store,
        ):
            assert await portOf(store) == old
            for each in all_:
                await each.isHeard()
            all_[0].master = new.port
            all_[0].announce("another")
            all_[0].announce()
            all_[1].master = new.port
            lost = whenLost(store)
            all_[1].announce()
            assert await seconds(lost) < 2.0
            assert await portOf(store) == new.port


@inReactor
async def test_movedUnheard() -> None:
    """
    What nobody announces is found out by asking now and then.
    """
    old = sharedServer().port
    with (
        RedisServer() as new,
        patch.object(_redis, "_PROBE_INTERVAL", 0.05),
        quiet(),
    ):
        async with (
            fakeSentinels(old, old, old) as all_,
            storing(urlOf(all_)) as store,
        ):
            assert await portOf(store) == old
            lost = whenLost(store)
            for each in all_:
                each.master = new.port
            await lost
            assert await portOf(store) == new.port


@inReactor
async def test_replica() -> None:
    """
    A replica is not taken for the master, whatever sentinels say; and when
    they know better, all is well.
    """
    master = sharedServer()
    line = f"replicaof 127.0.0.1 {master.port}"
    with RedisServer(line) as replica, quiet():
        async with (
            fakeSentinels(replica.port) as all_,
            storing(urlOf(all_), timeout=10.0) as store,
        ):
            with pytest.raises(StoreUnavailable, match="it is a replica"):
                await store.load("k")
            all_[0].master = master.port
            await eventuallyCreated(store)
            assert await portOf(store) == master.port


async def eventuallyCreated(store: RedisStore) -> None:
    """
    Store something, as soon as that can be done.
    """
    while True:
        try:
            assert await store.create("k", b"", FOREVER)
        except StoreUnavailable:
            await deferLater(reactor, 0.01)
        else:
            return


@inReactor
async def test_hanging() -> None:
    """
    Two of three that hang are not waited for.
    """
    port = sharedServer().port
    with quiet():
        async with fakeSentinels(port, port, port) as all_:
            all_[0].hangs = all_[1].hangs = True
            async with storing(urlOf(all_), timeout=10.0) as store:
                assert await seconds(store.create("k", b"", FOREVER)) < 3.0


@inReactor
async def test_down() -> None:
    """
    Without any sentinel, a connection is used as long as it lasts; there is no
    other one until one of them is back.
    """
    server = sharedServer()
    with quiet(), patch.object(_redis, "_PROBE_INTERVAL", 0.05):
        async with (
            fakeSentinels(server.port, server.port) as all_,
            storing(urlOf(all_)) as store,
            storing(urlOf(all_), timeout=10.0) as late,
        ):
            await store.create("k", b"", FOREVER)
            for each in all_:
                await each.stop()
            with pytest.raises(StoreUnavailable, match=r"no sentinel knows.*refused"):
                await late.load("k")
            assert await store.load("k")
            server.command("CLIENT", "KILL", "TYPE", "normal")
            with pytest.raises(StoreUnavailable, match="no sentinel knows"):
                while True:
                    with suppress(StoreTimeout):
                        await store.load("k")
                    await deferLater(reactor, 0.01)
            await all_[1].start()
            await eventuallyCreated(late)


@inReactor
async def test_askedAgain() -> None:
    """
    A call that is asked again as soon as a connection is lost is asked on the
    next connection.
    """
    async with proxy(sharedServer().port) as between:
        url = f"redis://127.0.0.1:{between.port}"
        with quiet():
            async with storing(url, timeout=10.0) as store:
                await store.load("k")
                between.hold()
                asked = store.load("k")
                again: list[Deferred[object]] = []

                def ask(failure: Failure) -> None:
                    failure.trap(StoreTimeout)
                    assert len(again) < 5, "it asks the same one, for ever"
                    again.append(store.load("k").addErrback(ask))

                asked.addErrback(ask)
                await between.until(lambda: between.held)
                await between.heal()
                await between.cut()
                await between.until(lambda: again)
                await again[0]
                assert len(again) == 1


@inReactor
async def test_nameless() -> None:
    """
    Sentinels that know no such master say so.
    """
    with quiet():
        async with fakeSentinels(0) as all_, storing(urlOf(all_)) as store:
            with pytest.raises(StoreUnavailable, match="none of that name"):
                await store.load("k")


class Sentinel(RedisProcess):
    """
    A sentinel that speaks TLS, and wants a password.
    """

    options = ("--sentinel",)
    credentials = "default", "s/cret"

    def __init__(self, master: RedisServer) -> None:
        super().__init__(findServer(tls=True))
        made = master.certificates
        assert made is not None
        self.control = "127.0.0.1", self.port
        self.tlsPort = freePort()
        lines = [
            f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}",
            f"tls-port {self.tlsPort}\ntls-replication yes\ntls-auth-clients no",
            f"tls-ca-cert-file {made.authority}",
            f"tls-cert-file {made.certificate}\ntls-key-file {made.key}",
            f"requirepass {self.credentials[1]}",
            f"sentinel monitor mymaster 127.0.0.1 {master.tlsPort} 1",
            f"sentinel auth-pass mymaster {master.password}",
        ]
        Path(self.directory / "redis.conf").write_text("\n".join([*lines, ""]))


@inReactor
async def test_secure() -> None:
    """
    TLS and passwords, to the sentinel as to the master; that the sentinel does
    not take ours is said.
    """
    with (
        quiet(),
        RedisServer(tls=True, password="pw") as server,
        Sentinel(server) as sentinel,
    ):
        made = server.certificates
        assert made is not None
        url = f"rediss+sentinel://:pw@localhost:{sentinel.tlsPort}/mymaster/0"
        url += f"?ca={made.authority}&sentinel-password="
        async with storing(f"{url}s%2Fcret", timeout=10.0) as store:
            assert await store.create("k", b"", FOREVER)
            [listener] = [
                line
                for line in sentinel.command("CLIENT", "LIST").splitlines()
                if b"sub=1" in line
            ]
            assert b"%d" % sentinel.tlsPort in listener
        async with storing(f"{url}wrong") as store:
            with pytest.raises(StoreUnavailable, match="WRONGPASS") as caught:
                await store.load("k")
            assert "wrong" not in str(caught.value)
