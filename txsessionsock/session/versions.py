# -*- test-case-name: tests.session.test_versions -*-
"""
How much of what sessions were lately is remembered, by all live sessions of a
manager together; and which stamps in them are old.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.logger import Logger

from .branches import Path, Stamps
from .merge import MISSING, Same


__all__ = ["Memory", "Version", "shared", "weigh"]

_LIMIT: Final = 64 * 1024 * 1024

_OLD = 3600.0
"""
For how many seconds this process must have seen a stamp unchanged to drop it.
"""

_MOST_NODES = 1000
"""
Of how many nodes it is known which of their stamps are old.
"""


@dataclass(eq=False, slots=True)
class Version:
    """
    What was stored for a while.

    @ivar data: L{None} if it was forgotten.  Values that did not change are
        those of the version before.

    @ivar weight: About how many bytes it takes.

    @ivar writers: The nodes that left new stamps in it, and C{base}, the highest
        that were seen before.

    @ivar foreign: Where a foreign write changed something; not where a younger copy
        brings back what nodes changed.

    @ivar places: Where it differs from that, and what was and is there; empty if
        it is a foreign write.

    @ivar replaced: When another one was stored; meaningless for the latest.

    @ivar isFirst: Whether it was the first that was seen.
    """

    stamps: Stamps
    data: dict[str, Any] | None = field(repr=False)
    weight: int = 0
    replaced: float = 0.0
    writers: frozenset[str] = frozenset()
    base: Stamps = field(default_factory=dict)
    foreign: Collection[Path] = ()
    places: dict[Path, tuple[Any, Any]] = field(default_factory=dict, repr=False)
    isFirst: bool = False


@dataclass(slots=True)
class _Node:
    """
    What was seen of the numbers of one node.

    @ivar old: The highest of those that are known to be old.

    @ivar marked: The highest at C{since}, in seconds by the own clock.

    @ivar highest: The highest until now.
    """

    marked: int
    since: float
    highest: int
    old: int = 0


class Memory:
    """
    What all journals of a manager have in common.

    @ivar used: About how many bytes the versions take that were replaced.

    @ivar forgotten: How many were forgotten before their time, because there
        were too many.
    """

    _log = Logger()

    def __init__(self, limit: int = _LIMIT) -> None:
        """
        @param limit: How many bytes C{used} may be.
        """
        self._limit = limit
        self.used = 0
        self.forgotten = 0
        self._replaced: deque[Version] = deque()
        self._nodes: dict[str, _Node] = {}

    def keep(self, version: Version) -> None:
        """
        A version was replaced: remember it as long as there is room.
        """
        self._replaced.append(version)
        self.used += version.weight
        while self.used > self._limit:
            oldest = self._replaced.popleft()
            if oldest.data is not None:
                if not self.forgotten:
                    self._log.warn(
                        "sessions change so fast that not all of what they were"
                        " in the last seconds can be remembered: what a web"
                        " application overwrites now may not come back"
                    )
                self.forgotten += 1
                self.forget(oldest)

    def forget(self, version: Version) -> None:
        """
        Remember a version no longer.
        """
        if version.data is not None:
            version.data = None
            self.used -= version.weight
            while self._replaced and self._replaced[0].data is None:
                self._replaced.popleft()

    def note(self, stamps: Stamps, now: float) -> None:
        """
        Stamps were seen.

        @param now: By the clock of this process.  Those of others may be off
            by hours.
        """
        for name, stamp in stamps.items():
            number = stamp.number
            node = self._nodes.get(name)
            if node is None:
                while len(self._nodes) >= _MOST_NODES:
                    del self._nodes[next(iter(self._nodes))]
                self._nodes[name] = _Node(number, now, number)
                continue
            if now - node.since >= _OLD:
                node.old, node.marked, node.since = node.marked, node.highest, now
            node.highest = max(node.highest, number)

    def isOld(self, name: str, number: int) -> bool:
        """
        Whether a stamp that was L{noted<note>} is older than everybody's
        patience.  A node counts all its writes, so what is not above a number
        that was seen long ago was written before that.
        """
        return name in self._nodes and number <= self._nodes[name].old


def shared(new: dict[str, Any], old: Mapping[str, Any], same: Same) -> dict[str, Any]:
    """
    @return: C{new}, with the values of C{old} where these are the same.
    """
    return {
        key: before
        if (before := old.get(key, MISSING)) is value or same(before, value)
        else value
        for key, value in new.items()
    }


def weigh(new: dict[str, Any], old: Mapping[str, Any]) -> int:
    """
    About how many bytes a version takes beside the one before.
    """
    return 200 + 100 * len(new) + _weighDict(new, old)


def _weigh(value: Any, old: Any = None) -> int:
    """
    @param old: What was there before.  What is in both is not counted.
    """
    if value is old:
        return 0
    if isinstance(value, (str, bytes)):
        return 50 + len(value)
    if isinstance(value, dict):
        was = old if isinstance(old, dict) else {}
        keys = sum(_weigh(key) for key in value if key not in was)
        return 100 + 50 * len(value) + keys + _weighDict(value, was)
    if isinstance(value, (list, tuple)):
        items = old if isinstance(old, (list, tuple)) else ()
        own = sum(map(_weigh, value, items)) + sum(map(_weigh, value[len(items) :]))
        return 60 + 8 * len(value) + own
    return 30


def _weighDict(new: Mapping[Any, Any], old: Mapping[Any, Any]) -> int:
    return sum(
        _weigh(value, was)
        for key, value in new.items()
        if (was := old.get(key, MISSING)) is not value
    )
