# -*- test-case-name: tests.test_redis_bus -*-
"""
How nodes find each other in a Redis: each has a key there that is gone soon
when its node is, and a place in a set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from .nodes import Nodes


__all__ = ["Presence"]


class Presence:
    """
    The key of one node, and those of the others.
    """

    def __init__(
        self,
        node: str,
        others: Nodes,
        prefix: str,
        lifetime: float,
        ask: Callable[..., Deferred[Any]],
    ) -> None:
        """
        @param others: Where to note who is there.

        @param lifetime: Of a key, in seconds.

        @param ask: Sends a command to the Redis.
        """
        self._node = node.encode()
        self._others = others
        self._set = f"{prefix}nodes".encode()
        self._prefix = f"{prefix}node:".encode()
        self._lifetime = b"%d" % max(1, round(1000 * lifetime))
        self._ask = ask

    def _key(self, node: bytes) -> bytes:
        return self._prefix + node

    async def announce(self) -> None:
        """
        Say that this node is there.

        @raise StoreFailure: It could not be said.
        """
        await gatherResults(
            [
                self._ask(b"SET", self._key(self._node), b"1", b"PX", self._lifetime),
                self._ask(b"SADD", self._set, self._node),
            ],
            consumeErrors=True,
        ).addErrback(_first)

    async def look(self, now: Callable[[], float]) -> None:
        """
        See who else is there.

        @param now: Tells the time.

        @raise StoreFailure: It cannot be seen.
        """
        members = await self._ask(b"SMEMBERS", self._set)
        members = [node for node in members if isinstance(node, bytes)]
        lefts = await gatherResults(
            [self._ask(b"PTTL", self._key(node)) for node in members],
            consumeErrors=True,
        ).addErrback(_first)
        for node, left in zip(members, lefts, strict=True):
            if left > 0:
                self._others.listed(node.decode("utf-8", "replace"), left / 1000, now())
        self._others.looked(now())
        gone = [node for node, left in zip(members, lefts, strict=True) if left <= 0]
        if gone:
            await self._ask(b"SREM", self._set, *gone)

    async def leave(self) -> None:
        """
        Say that this node is not there any more.

        @raise StoreFailure: It could not be said.
        """
        await gatherResults(
            [
                self._ask(b"SREM", self._set, self._node),
                self._ask(b"DEL", self._key(self._node)),
            ],
            consumeErrors=True,
        ).addErrback(_first)


def _first(failure: Any) -> Any:
    """
    What the first of several failed with.
    """
    return failure.value.subFailure
