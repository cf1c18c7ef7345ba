"""
Tests for a Redis store without hiredis, in a process in which it cannot be
imported: run by L{tests.real.redis.test_redis_access}.
"""

from __future__ import annotations

from random import randbytes

import pytest
from twisted.internet.defer import gatherResults
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.real.redis.test_redis_strangers import Stranger, StrangerCase
from tests.real.redis.test_store_redis import _Fixture
from tests.support.rediscase import RedisCase
from txsessionsock._redis.connection import canBePushed
from txsessionsock.interfaces import FOREVER, KEEP, StoreError, StoreUnavailable
from txsessionsock.stores.redis import RedisStore
from txsessionsock.testing import StoreContract


pytestmark = pytest.mark.redis


class ContractTests(_Fixture, StoreContract, SynchronousTestCase):
    """
    What is promised for all stores.
    """

    def makeStore(self) -> RedisStore:
        return self.open()

    def makeOther(self, store: object) -> RedisStore:
        return self.open()


def _refused(failure: Failure) -> None:
    failure.trap(StoreError)


class BlindTests(RedisCase):
    """
    What is not promised.
    """

    def test_blind(self) -> None:
        """
        It sees no changes, and says so once.
        """
        self.assertFalse(canBePushed())
        store = self.open()
        for _ in range(2):
            self.wait(store.load("k"))
            self.failing(store.fence("k"), StoreUnavailable)
        self.assertEqual(len(self.warnings), 1)
        self.assertIn("hiredis is missing", self.warnings[0])
        store.watch("k", lambda key: None)
        self.server.command("CLIENT", "KILL", "TYPE", "normal")
        self.until(lambda: any("connected again" in line for line in self.logged))
        self.assertEqual(len([w for w in self.warnings if "hiredis" in w]), 1)

    def test_order(self) -> None:
        """
        Answers are each for their own question, big ones, errors and what was
        given up among them.
        """
        store, raw = self.open(timeout=20.0), randbytes(300_000) + b"\r\n"
        self.assertTrue(self.wait(store.create("big", raw, FOREVER)))
        link = self.link(timeout=20.0)
        key = f"{self.prefix}big".encode()
        answers = []
        for n in range(50):
            answers.append(link.ask(b"ECHO", b"%d" % n))
            answers.append(link.ask(b"GET", key))
            link.ask(b"NONSENSE").addErrback(_refused)
            link.ask(b"PING").addErrback(lambda _: None).cancel()
        replies = self.wait(gatherResults(answers))
        self.assertEqual(replies[::2], [b"%d" % n for n in range(50)])
        self.assertEqual(set(replies[1::2]), {raw})
        new = randbytes(5_000_000)
        self.wait(store.replace("big", raw, new, KEEP))
        loaded = self.wait(store.load("big"))
        assert loaded is not None
        self.assertTrue(loaded.raw == new)


class BlindStrangerTests(StrangerCase):
    """
    Servers that do not speak as a Redis does, at the address of a blind store.
    """

    def test_garbage(self) -> None:
        """
        Is found out, and no error is logged.
        """
        stranger = Stranger(b"+\xff\xfe garbage \r\n")
        url = f"redis://127.0.0.1:{self.listen(stranger)}"
        self.assertRefused(url, "does not speak as a Redis")
