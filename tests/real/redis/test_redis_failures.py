"""
Tests for L{txsessionsock.stores.redis} while its server fails, in all the ways
in which it can.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import randbytes
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.support.redisscene import TIMEOUT, quiet, storing
from tests.support.redisserver import Proxy, RedisServer, proxy
from tests.support.servers import PATIENCE, Conditions, inReactor, reactor
from txsessionsock._redis import link as _redis
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    NoSuchSession,
    SessionConflict,
    StoreError,
    StoreFailure,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.stores.redis import RedisStore


@dataclass
class Place(Conditions):
    """
    A server behind a network, and a store that has C{"k"} there and watches
    it.

    @ivar told: How often it was told of a change.
    """

    server: RedisServer
    network: Proxy
    store: RedisStore
    told: int = 0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self.name = self.store._prefix.decode() + "k"
        self.store.watch("k", self.changed)

    def changed(self, key: str) -> None:
        self.told += 1
        self.happened()

    async def begin(self) -> None:
        """
        Store C{b"1"}, and have the server know the scripts.
        """
        assert await self.store.create("k", b"0", FOREVER)
        await self.store.replace("k", b"0", b"1", KEEP)
        await self.store.load("k")
        await self.store.fence("k")
        self.told = 0

    async def more(self) -> None:
        """
        Wait until it is told again.
        """
        told = self.told
        await self.until(lambda: self.told > told)

    async def isBack(self) -> None:
        """
        Wait until the store works by itself, and sees what others do.
        """
        end = reactor.seconds() + PATIENCE
        while True:
            try:
                await self.store.load("k")
                await self.store.fence("k")
                break
            except StoreFailure:
                assert reactor.seconds() < end, "it does not come back"
                await deferLater(reactor, 0.01)
        told = self.told
        for raw in b"x", b"y":
            self.server.command("SET", self.name, raw)
            await self.store.fence("k")
            told += 1
            assert self.told >= told
            found = await self.store.load("k")
            assert found is not None
            assert found.raw == raw


@asynccontextmanager
async def place(
    *lines: str, timeout: float = TIMEOUT, keepsData: bool = True
) -> AsyncIterator[Place]:
    with quiet(), RedisServer(*lines, keepsData=keepsData) as server:
        async with (
            proxy(server.port) as network,
            # Without a database, there is no SELECT before all that we ask.
            storing(f"redis://127.0.0.1:{network.port}", timeout=timeout) as store,
        ):
            made = Place(server, network, store)
            await made.begin()
            yield made


async def failing(
    error: type[StoreFailure], call: Deferred[Any], atMost: float = 2 * TIMEOUT
) -> float:
    """
    A call fails, in time.

    @return: After how many seconds.
    """
    begun = reactor.seconds()
    with pytest.raises(error):
        await call
    took = float(reactor.seconds() - begun)
    assert took < atMost + 0.3
    return took


@inReactor
async def test_stopped() -> None:
    """
    While there is no server, calls fail in time and were never sent; whoever
    watches is told at once, and when it is back.
    """
    async with place() as at:
        at.server.stop()
        await at.more()
        await failing(StoreUnavailable, at.store.fence("k"), 0)
        assert await failing(StoreUnavailable, at.store.load("k")) > TIMEOUT * 0.9
        await failing(StoreUnavailable, at.store.create("never", b"", FOREVER))
        await failing(StoreUnavailable, at.store.destroy("k"))
        at.server.start()
        await at.more()
        assert (await at.store.load("k")).raw == b"1"  # type: ignore[union-attr]  # It is there.
        await at.isBack()
        assert at.server.command("DBSIZE") == 1


@inReactor
async def test_hanging() -> None:
    """
    What was asked of a server that hangs may still be done, which is not said
    to have failed; what is asked next was never sent.
    """
    async with place() as at:
        at.server.pause()
        writing = at.store.replace("k", b"1", b"2", KEEP)
        assert await failing(StoreTimeout, writing) > TIMEOUT * 0.9
        await failing(StoreUnavailable, at.store.replace("k", b"1", b"3", KEEP))
        assert at.told
        at.server.resume()
        # It hears of the connection's end after what came over it.
        with pytest.raises(SessionConflict) as caught:
            await at.store.replace("k", b"1", b"4", KEEP)
        assert caught.value.current.raw == b"2"
        await at.isBack()


@inReactor
async def test_killed() -> None:
    """
    What a server was asked that is killed has an unknown outcome, at once.
    """
    async with place(timeout=PATIENCE) as at:
        at.server.pause()
        calls: list[Deferred[Any]] = [
            at.store.load("k"),
            at.store.replace("k", b"1", b"2", KEEP),
            at.store.touch("k", 60),
            at.store.destroy("k"),
        ]
        at.server.kill()
        for call in calls:
            await failing(StoreTimeout, call, 1)
        at.server.start()
        await at.isBack()


@inReactor
async def test_restarted() -> None:
    """
    A server that was restarted knows no script, and is told again.
    """
    async with place() as at:
        at.server.restart()
        await at.more()
        assert (await at.store.replace("k", b"1", b"2", KEEP)).raw == b"2"
        await at.isBack()


@inReactor
async def test_lost() -> None:
    """
    A server that lost its data has no sessions, and gets none by being asked.
    """
    async with place() as at:
        at.server.restart(lose=True)
        await at.more()
        assert await at.store.load("k") is None
        with pytest.raises(NoSuchSession):
            await at.store.replace("k", b"1", b"2", KEEP)
        with pytest.raises(NoSuchSession):
            await at.store.touch("k", 60)
        assert await at.store.destroy("k") is False
        assert at.server.command("DBSIZE") == 0
        assert await at.store.create("k", b"3", 60)
        await at.isBack()


@inReactor
async def test_downAtStart() -> None:
    """
    There need not be a server when a store begins.
    """
    with quiet(), RedisServer() as server:
        server.stop()
        async with storing(server.url) as store:
            assert await failing(StoreUnavailable, store.load("k")) > TIMEOUT * 0.9
            await failing(StoreUnavailable, store.create("k", b"", FOREVER))
            server.start()
            at = Place(server, Proxy(0), store)
            await at.isBack()


@inReactor
async def test_password() -> None:
    """
    A password may be wrong at first, and become wrong; that says nothing of
    sessions, and nobody reads the password.
    """
    with quiet(), RedisServer(password="another") as server:
        url = server.url.replace("another", "the-secret")
        async with storing(url) as store:
            with pytest.raises(StoreUnavailable, match="WRONGPASS") as caught:
                await store.load("k")
            assert "the-secret" not in f"{caught.value!r}{store!r}"
            server.command("CONFIG", "SET", "requirepass", "the-secret")
            at = Place(server, Proxy(0), store)
            await at.isBack()
            server.command("CONFIG", "SET", "requirepass", "another")
            server.command("CLIENT", "KILL", "TYPE", "normal")
            await at.more()
            await failing(StoreUnavailable, store.load("k"))
            server.command("CONFIG", "SET", "requirepass", "the-secret")
            await at.isBack()


@inReactor
async def test_outOfMemory() -> None:
    """
    Without memory, a server refuses what is larger, and does all else.
    """
    async with place() as at:
        at.server.command("CONFIG", "SET", "maxmemory", 1)
        for _ in range(2):
            await failing(StoreError, at.store.create("new", b"", FOREVER), 0)
            await failing(StoreError, at.store.replace("k", b"1", b"2", KEEP), 0)
            assert (await at.store.load("k")).raw == b"1"  # type: ignore[union-attr]  # It is there.
            assert await at.store.touch("k", 60) is not None
            await at.store.fence("k")
        assert at.told == 0
        at.server.command("CONFIG", "SET", "maxmemory", 0)
        assert await at.store.replace("k", b"1", b"2", KEEP)
        assert await at.store.destroy("k")
        await at.isBack()


@inReactor
async def test_slow() -> None:
    """
    A slow server is waited for, up to the time that there is.
    """
    async with place() as at:
        at.network.delay(TIMEOUT / 4)
        calls = [at.store.load("k") for _ in range(10)]
        for call in calls:
            assert await call
        await at.store.fence("k")
        assert at.told == 0
        at.network.delay(TIMEOUT)
        await failing(StoreTimeout, at.store.load("k"))
        await failing(StoreUnavailable, at.store.load("k"))
        at.network.delay(0)
        await at.isBack()


@inReactor
async def test_cut() -> None:
    """
    What was asked over a connection that is reset has an unknown outcome, at
    once; the next call finds another connection.
    """
    async with place(timeout=PATIENCE) as at:
        for _ in range(3):
            at.network.hold()
            call = at.store.load("k")
            await at.network.until(lambda: at.network.held)
            await at.network.cut()
            await failing(StoreTimeout, call, 1)
            at.network.release()
            assert await at.store.load("k")
        await at.isBack()


@inReactor
async def test_halfOpen() -> None:
    """
    A connection that says nothing any more is left, be it used or not.
    """
    async with place() as at:
        at.network.hold()
        await failing(StoreTimeout, at.store.load("k"))
        await at.network.heal()
        await at.isBack()
    with patch.object(_redis, "_PROBE_INTERVAL", 0.1):
        async with place() as at:
            at.network.hold()
            at.server.command("SET", at.name, b"theirs")
            await at.until(lambda: at.told)
            assert at.store.fence("k").addErrback(lambda _: None).called
            await at.network.heal()
            await at.isBack()


@inReactor
async def test_trackingOff() -> None:
    """
    A server that reports changes no more is found out by the next change of
    ours, or else by a probe.
    """
    async with place() as at:
        await at.store._link.ask(b"CLIENT", b"TRACKING", b"OFF")
        await at.store.replace("k", b"1", b"2", KEEP)
        await failing(StoreUnavailable, at.store.fence("k"), 0)
        await failing(StoreUnavailable, at.store.fence("k"), 0)
        assert at.told
    with patch.object(_redis, "_PROBE_INTERVAL", 0.1):
        async with place() as at:
            await at.store._link.ask(b"CLIENT", b"TRACKING", b"OFF")
            at.server.command("SET", at.name, b"theirs")
            await at.until(lambda: at.told)
            await at.isBack()


@inReactor
async def test_tooManyClients() -> None:
    """
    A server that has no place for us is asked again, not all the time.
    """
    async with place() as at:
        with at.server.client() as only:
            only.command("CONFIG", "SET", "maxclients", 1)
            await at.network.cut()
            await at.more()
            accepted, begun = at.network.accepted, reactor.seconds()
            await failing(StoreUnavailable, at.store.load("k"))
            await failing(StoreUnavailable, at.store.load("k"))
            took = reactor.seconds() - begun
            assert at.network.accepted - accepted <= 2 + took / 0.1
            only.command("CONFIG", "SET", "maxclients", 100)
        await at.isBack()


@inReactor
async def test_busy() -> None:
    """
    While another program's script runs, nothing is known of sessions.
    """
    async with place("lua-time-limit 20") as at:
        with at.server.client() as other:
            other.send("EVAL", "while true do end", 0)
            await failing(StoreFailure, at.store.load("k"))
            await at.network.cut()
            await at.more()
            await failing(StoreUnavailable, at.store.load("k"))
            at.server.command("SCRIPT", "KILL")
        await at.isBack()


@inReactor
async def test_busyProbed() -> None:
    """
    A server that was busy when it was looked whether it still reports changes
    is asked again.
    """
    with patch.object(_redis, "_PROBE_INTERVAL", 0.1):
        async with place("lua-time-limit 20") as at:
            refused = Deferred[None]()
            refuse = at.store._link.refused

            def refusing(call: Any, error: Exception) -> None:
                refuse(call, error)
                if b"TRACKINGINFO" in call.command and not refused.called:
                    refused.callback(None)

            with (
                patch.object(at.store._link, "refused", refusing),
                at.server.client() as other,
            ):
                other.send("EVAL", "while true do end", 0)
                await refused
                at.server.command("SCRIPT", "KILL")
            # It takes a moment to end the script.
            await at.isBack()
            await at.store._link.ask(b"CLIENT", b"TRACKING", b"OFF")
            at.server.command("SET", at.name, b"theirs")
            await at.more()
            await at.isBack()


@inReactor
async def test_loading() -> None:
    """
    While a server loads its data, it has none: that is not to be believed.
    """
    slowly = "key-load-delay 20000", "loading-process-events-interval-bytes 1024"
    async with place(*slowly, keepsData=False) as at:
        for number in range(60):
            at.server.command("SET", f"other{number}", randbytes(2000))
        at.server.command("SAVE")
        at.server.kill()
        await at.more()
        at.server.launch()
        failures = []
        while True:
            try:
                found = await at.store.load("k")
            except StoreFailure as error:
                failures.append(error)
            else:
                break
        assert found is not None
        assert any("LOADING" in str(error) for error in failures)
        assert all(isinstance(error, StoreUnavailable) for error in failures)
        at.server.wait()
        await at.isBack()
