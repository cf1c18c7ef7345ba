"""
Stores that are let in to a Redis, or not.
"""

from __future__ import annotations

from tests.support.rediscase import RedisCase
from txsessionsock.interfaces import FOREVER, KEEP, StoreUnavailable
from txsessionsock.stores.redis import RedisStore


__all__ = ["SECRET", "AccessCase"]

SECRET = "Xq7hunter2Zk"


class AccessCase(RedisCase):
    """
    Stores that are let in, or not.
    """

    async def everything(self, store: RedisStore) -> None:
        """
        Do all that a store can do, but not see.
        """
        assert await store.load("k") is None
        assert await store.create("k", b"0", 60.0)
        assert (await store.replace("k", b"0", b"1", KEEP)).raw == b"1"
        assert await store.touch("k", FOREVER) is None
        assert await store.touch("k", 60.0)
        loaded = await store.load("k")
        assert loaded is not None and loaded.raw == b"1"
        assert await store.destroy("k")

    async def seeing(self, store: RedisStore) -> None:
        """
        Do all that a store can do, and see.
        """
        await self.everything(store)
        told: list[str] = []
        stop = store.watch("k", told.append)
        await store.load("k")
        await store.fence("k")
        # Of what we did before.
        told.clear()
        other = self.open(self.urls[store])
        assert await other.create("k", b"x", 60.0)
        await store.fence("k")
        assert told == ["k"]
        await store.load("k")
        assert await other.destroy("k")
        await store.fence("k")
        assert told == ["k", "k"]
        stop()

    def setUp(self) -> None:
        super().setUp()
        self.urls: dict[RedisStore, str] = {}

    def open(self, url: str | None = None, timeout: float = 2.0) -> RedisStore:
        store = super().open(url, timeout)
        self.urls[store] = url or self.server.url
        return store

    def assertSees(self, url: str) -> None:
        """
        All works, and nobody complains.
        """
        self.wait(self.seeing(self.open(url)))
        self.assertEqual(self.warnings, [])

    def assertRefused(self, url: str, problem: str) -> RedisStore:
        """
        Nothing works, and why is said once, here and in the log.
        """
        store = self.open(url, timeout=0.25)
        error = self.failing(store.load("k"), StoreUnavailable)
        self.assertIn(problem, error)
        self.failing(store.load("k"), StoreUnavailable)
        # A server that is busy may take longer to say so.
        late = "it does not answer"
        said = [line for line in self.warnings if problem in line or late not in line]
        self.assertEqual(len(said), 1, self.warnings)
        self.assertIn(problem, said[0])
        self.assertIn("trying again", said[0])
        self.logged.clear()
        return store
