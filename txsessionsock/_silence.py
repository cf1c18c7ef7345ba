# -*- test-case-name: tests.test_silence -*-
"""
What other nodes wrote and somebody overwrote.  They see to that themselves,
unless they are dead; then those do who have seen it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ._branches import Path, Stamps, covers, numberOf, put, valueAt
from ._merge import MISSING, Same, isNumber
from ._versions import Version


__all__ = ["Silence"]

_SILENCE = 1.0
"""
After how many seconds a node that did not do its missing writes again is taken
for dead.
"""

_NOTHING: Any = object()
"""
What was added before the first step.
"""


@dataclass(slots=True)
class _Lost:
    """
    What is missing at one place.

    @ivar here: What is there instead.

    @ivar isUntouched: Whether who wrote that changed nothing there.

    @ivar added: How much more the missing writes made of a number, or what they
        appended to a list; L{None} if nobody can tell.

    @ivar value: What was there in the end.
    """

    here: Any = field(repr=False)
    isUntouched: bool
    added: Any = field(repr=False)
    value: Any = field(default=MISSING, repr=False)

    def restored(self, value: Any, same: Same) -> Any:
        """
        @return: What should be where a value is now.

        @raise LookupError: Nobody can tell.
        """
        if self.isUntouched and same(value, self.here):
            return self.value
        if isNumber(value) and isNumber(self.added):
            return value + self.added
        if type(value) is list and type(self.added) is list:
            return [*value, *self.added]
        if same(value, self.value):
            return value
        raise LookupError


class Silence:
    """
    The writes of other nodes that are missing in one session.

    @ivar since: When the first was found missing.

    @ivar due: When to see to them.
    """

    def __init__(self, node: str, same: Same, since: float, window: float) -> None:
        """
        @param node: This node.

        @param window: For how many seconds a node that is alive, and slow,
            may still see to its writes.
        """
        self._node = node
        self._same = same
        self.since = since
        self.due = since + _SILENCE
        self._end = max(self.due, since + window)
        self._stamps: Stamps = {}
        self._lost: dict[Path, _Lost] = {}
        self._isAll = False

    def find(
        self,
        branch: Version,
        versions: Iterable[Version],
        wasSeen: Callable[[Path, Any], bool],
        isOurs: Callable[[Path], bool],
        *,
        isAll: bool,
    ) -> None:
        """
        Find out what is missing in a branch.

        @param versions: What was stored since it branched off, with the latest
            as the last; C{isAll} says whether nothing before that is missing.

        @param wasSeen: Whether a value was seen at a place.

        @param isOurs: Whether this node counts or appends there, too.
        """
        self._isAll = isAll
        for version in versions:
            self._stamps = version.stamps
            missing = self._isMissing(version, branch.stamps)
            for path, (old, new) in version.places.items():
                if missing and path not in self._lost:
                    here = valueAt(branch.data, path)
                    added = _NOTHING if isOurs(path) else None
                    self._lost[path] = _Lost(here, wasSeen(path, here), added)
                if path in self._lost:
                    lost = self._lost[path]
                    lost.value = new
                    if missing:
                        isSure = missing == version.writers
                        step = _step(old, new, self._same) if isSure else None
                        lost.added = _sum(lost.added, step)

    def _isMissing(self, version: Version, stamps: Stamps) -> set[str]:
        """
        @return: The other nodes whose changes in a version are missing.
        """
        return {
            node
            for node in version.writers
            if node != self._node and version.stamps[node].own > numberOf(stamps, node)
        }

    def superseded(self, path: Path) -> None:
        """
        Somebody assigned something else.
        """
        self._lost.pop(path, None)

    def areMissing(self, stamps: Stamps) -> bool:
        """
        Whether nodes have still not seen to what is missing.
        """
        return any(
            stamp.own > numberOf(stamps, node)
            for node, stamp in self._stamps.items()
            if node != self._node
        )

    def takenOver(
        self, latest: Version, now: float
    ) -> tuple[dict[str, Any], Stamps] | None:
        """
        Put what is missing into what is stored.

        @return: What should be stored, with which stamps; L{None} if it is too
            early for that, because a node that is slow may know better.
        """
        data = latest.data or {}
        isAll = self._isAll
        for path, lost in self._lost.items():
            here = valueAt(data, path)
            try:
                value = lost.restored(here, self._same)
            except LookupError:
                isAll = False
            else:
                if value is not here:
                    data = put(data, path, value)
        if not isAll and now < self._end:
            self.due = self._end
            return None
        newer = {
            node: stamp
            for node, stamp in self._stamps.items()
            if node != self._node and not covers(latest.stamps, {node: stamp})
        }
        return data, {**latest.stamps, **newer}


def _step(old: Any, new: Any, same: Same) -> Any:
    """
    @return: How much more a number is, or what was appended to a list; L{None}
        for other changes.
    """
    if isNumber(new) and (old is MISSING or isNumber(old)):
        return new - (0 if old is MISSING else old)
    if type(new) is list and (old is MISSING or type(old) is list):
        before = [] if old is MISSING else old
        if len(new) >= len(before) and same(new[: len(before)], before):
            return new[len(before) :]
    return None


def _sum(added: Any, step: Any) -> Any:
    if added is _NOTHING:
        return step
    areNumbers = isNumber(added) and isNumber(step)
    areLists = type(added) is list and type(step) is list
    return added + step if areNumbers or areLists else None
