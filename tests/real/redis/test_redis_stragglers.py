"""
What was sent to a Redis, timed out, and arrives after all.
"""

from __future__ import annotations

import pytest

from tests.support.redisserver import RedisServer, proxy
from tests.support.servers import inReactor, reactor
from txsessionsock.interfaces import KEEP, Stored, StoreTimeout
from txsessionsock.stores.redis import RedisStore


pytestmark = [
    pytest.mark.e2e,
]


@pytest.mark.parametrize("isRestarted", [False, True])
@inReactor
async def test_late(isRestarted: bool) -> None:
    """
    A write that timed out is not done any more once somebody was told what is
    stored, however late it reaches the server: its connection is ended there.
    That of somebody else, who has its number by now, is not.
    """
    with RedisServer(keepsData=True) as server:
        async with proxy(server.port) as network:
            url = f"redis://127.0.0.1:{network.port}/0"
            # So that the store has a number that others will have.
            for _ in range(20):
                server.command("PING")
            store = RedisStore(url, reactor, timeout=0.5)
            assert await store.create("k", b"new", 100)
            # From now on the server knows the script.
            await store.replace("k", b"new", b"old", KEEP)
            network.hold()
            with pytest.raises(StoreTimeout):
                await store.replace("k", b"old", b"late", KEEP)
            if isRestarted:
                server.restart()
                others = [server.client() for _ in range(40)]
                for other in others:
                    other.command("CLIENT", "ID")
            await network.heal()
            stored = await store.load("k")
            assert isinstance(stored, Stored) and stored.raw == b"old"
            network.straggle()
            await network.until(lambda: network.reached == 1)
            assert server.command("GET", "k") == b"old"
            if isRestarted:
                for other in others:
                    assert other.command("PING") == "PONG"
                    other.close()
            await store.close()


@inReactor
async def test_forbidden() -> None:
    """
    A user that may not close connections can use the store all the same.
    """
    rights = "user app on >pass ~* -@all +evalsha +eval +get +set +pttl +ping +select"
    with RedisServer(rights) as server:
        async with proxy(server.port) as network:
            url = f"redis://app:pass@127.0.0.1:{network.port}/0"
            store = RedisStore(url, reactor, timeout=0.5)
            assert await store.create("k", b"old", 100)
            network.hold()
            with pytest.raises(StoreTimeout):
                await store.replace("k", b"old", b"new", KEEP)
            await network.heal()
            assert (await store.replace("k", b"old", b"new", KEEP)).raw == b"new"
            await store.close()
