"""
Tests for L{txsessionsock.stores.redis}, on a real server.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, TypeVar

import pytest_twisted  # type: ignore[import-untyped]  # It has no types.
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from tests.support.redisserver import sharedServer
from tests.support.servers import reactor
from txsessionsock.stores.redis import RedisStore
from txsessionsock.testing import WatchableContract


if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    # Before a contract, which prepares after this.
    _Base = object

_T = TypeVar("_T")

_prefixes = count()


class _Fixture(_Base):
    """
    A place of its own in the server of all tests, and stores that are closed
    in the end.
    """

    # Time passes as it does.
    lifetime = 0.5
    precision = 0.1

    def setUp(self) -> None:
        self.server = sharedServer()
        self.prefix = f"test{next(_prefixes)}:"
        super().setUp()

    def wait(self, answer: Deferred[_T]) -> _T:
        result: _T = pytest_twisted.blockon(answer)
        return result

    def advance(self, seconds: float) -> None:
        self.wait(deferLater(reactor, seconds))

    def open(self, url: str | None = None, timeout: float = 2.0) -> RedisStore:
        """
        A store, as one more process would have it.
        """
        store = RedisStore(
            url or self.server.url, reactor, prefix=self.prefix, timeout=timeout
        )
        self.addCleanup(lambda: self.wait(store.close()))
        return store


class RedisContractTests(_Fixture, WatchableContract, SynchronousTestCase):
    """
    What is promised for all stores that can be watched.
    """

    def makeStore(self) -> RedisStore:
        store = self.open()
        # What it cannot see before it is connected, it cannot fence.
        self.wait(store.load(""))
        return store

    def makeOther(self, store: object) -> RedisStore:
        return self.open()
