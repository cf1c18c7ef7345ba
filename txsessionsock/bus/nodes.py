# -*- test-case-name: tests.test_bus -*-
"""
Which other nodes there are, as far as one knows.
"""

from __future__ import annotations


__all__ = ["Nodes"]


class Nodes:
    """
    The other nodes, each until nothing was heard of it for a lifetime.

    Times are in seconds of any clock.
    """

    def __init__(self, own: str, lifetime: float, interval: float) -> None:
        """
        @param interval: How often somebody looks who is there, in seconds.
        """
        self._own = own
        self._lifetime = lifetime
        self._interval = interval
        self._until: dict[str, float] = {}
        self._looked = 0.0

    def heard(self, node: str, now: float) -> None:
        """
        A node said something.
        """
        self.listed(node, self._lifetime, now)

    def listed(self, node: str, left: float, now: float) -> None:
        """
        A node is said to be there.

        @param left: For how many seconds that is certain.
        """
        if node != self._own:
            self._until[node] = max(now + left, self._until.get(node, 0.0))

    def looked(self, now: float) -> None:
        """
        All who can be seen were listed.
        """
        self._looked = now

    def left(self, node: str) -> None:
        """
        A node said that it goes.
        """
        self._until.pop(node, None)

    def resume(self, lost: float, now: float) -> None:
        """
        After a time in which nothing could be heard, expect those who were
        there before it as if they had just been heard.

        @param lost: When that began.
        """
        for node, until in list(self._until.items()):
            if until > lost:
                self.heard(node, now)

    def others(self, now: float) -> set[str]:
        """
        Those who are expected to answer.
        """
        # If it was not looked for longer, this node was out, not they.
        certain = min(now, self._looked + self._interval)
        for node, until in list(self._until.items()):
            if until <= certain:
                del self._until[node]
        return set(self._until)
