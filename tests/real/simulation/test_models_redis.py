"""
L{simulation.store.WatchedLink} beside a real Redis.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.support.rediscase import RedisCase
from tests.support.servers import reactor
from tests.support.storestages import RealStage, withScripts
from txsessionsock.stores.redis import RedisStore


pytestmark = pytest.mark.redis


@withScripts("watched")
class RedisScriptTests(RealStage, RedisCase):
    """
    What the scripts say happens with L{RedisStore}.
    """

    def newStore(self) -> RedisStore:
        return self.open()

    def waitFor(self, answer: Deferred[Any]) -> None:
        RedisCase.wait(self, answer)

    def advance(self, seconds: float = 0.0) -> None:
        RedisCase.advance(self, seconds)

    def now(self, name: str) -> float:
        return float(reactor.seconds())

    def foreign(self, what: str, key: str) -> None:
        if what == "empty":
            self.server.command("FLUSHALL")
            return
        name = self.prefix + key
        self.server.command("DEL", name)
        self.server.command("HSET", name, "field", "value")
