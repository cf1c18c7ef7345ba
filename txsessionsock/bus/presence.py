# -*- test-case-name: tests.real.redis.test_redis_bus -*-
"""
Which nodes there are, and how they find each other in a Redis: each has a key
there that expires soon after its node is gone, and is in a set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults


__all__ = ["Nodes", "Presence"]


class Nodes:
    """
    The other nodes.  Each counts as there until nothing was heard of it for a
    lifetime.

    Times are in seconds of any clock.
    """

    def __init__(self, own: str, lifetime: float, interval: float) -> None:
        """
        @param interval: After how many seconds L{looked} is called again.
        """
        self._own = own
        self._lifetime = lifetime
        self._interval = interval
        self._until: dict[str, float] = {}
        # The number of the last question of each.
        self._asked: dict[str, int] = {}
        self._looked = 0.0

    def heard(self, node: str, now: float) -> None:
        """
        A node said something.
        """
        self.listed(node, self._lifetime, now)

    def listed(self, node: str, seconds: float, now: float) -> None:
        """
        A node is said to be there.

        @param seconds: For how long that is certain.
        """
        if node != self._own:
            self._until[node] = max(now + seconds, self._until.get(node, 0.0))

    def asks(self, node: str, number: int) -> bool:
        """
        A node asked something.

        @return: Whether it is to be answered.  It is not, if it comes again, or
            behind what was asked later: what was sent over a connection that its
            sender gave up may arrive after what was sent over the next one.
        """
        isNext = number > self._asked.get(node, 0)
        if isNext:
            self._asked[node] = number
        return isNext

    def looked(self, now: float) -> None:
        """
        All nodes that can be seen were listed.
        """
        self._looked = now

    def saidBye(self, node: str) -> None:
        """
        A node said that it is not there any more.
        """
        self._until.pop(node, None)
        self._asked.pop(node, None)

    def resume(self, lost: float, now: float) -> None:
        """
        After a time in which nothing could be heard, count the nodes that were
        there before it as if they had just been heard.

        @param lost: When that time began.
        """
        for node, until in list(self._until.items()):
            if until > lost:
                self.heard(node, now)

    def others(self, now: float) -> set[str]:
        """
        The nodes that are expected to answer.
        """
        # If we have not looked for longer than that, we were out ourselves: the
        # silence of the others since then does not count against them.
        certain = min(now, self._looked + self._interval)
        for node, until in list(self._until.items()):
            if until <= certain:
                self.saidBye(node)
        return set(self._until)


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
        Say that this node is there, for one lifetime.

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
        gone: list[bytes] = []

        def answered(milliseconds: int, node: bytes) -> None:
            # At once, and not when all are answered: before that, the node may say
            # goodbye.
            if milliseconds > 0:
                name = node.decode("utf-8", "replace")
                self._others.listed(name, milliseconds / 1000, now())
            else:
                gone.append(node)

        await gatherResults(
            [
                self._ask(b"PTTL", self._key(node)).addCallback(answered, node)
                for node in members
            ],
            consumeErrors=True,
        ).addErrback(_first)
        self._others.looked(now())
        if gone:
            await self._ask(b"SREM", self._set, *gone)

    async def withdraw(self) -> None:
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
    What the first of several Deferreds failed with.
    """
    return failure.value.subFailure
