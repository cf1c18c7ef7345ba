# -*- test-case-name: tests.test_silence -*-
"""
What other nodes wrote and somebody overwrote.  They see to that themselves,
unless they are dead; then those do who have seen it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from .branches import Path, Stamps, added, covers, numberOf, put, valueAt
from .merge import MISSING, Same, isNumber
from .versions import Version


__all__ = ["Silence"]

_SILENCE = 1.0
"""
After how many seconds a node that did not do its missing writes again is taken
for dead.
"""


class _Step(NamedTuple):
    """
    @ivar since: The number of the node's write before.
    """

    since: int
    more: Any


@dataclass(slots=True)
class _Lost:
    """
    What is missing at one place.

    @ivar here: What is there instead.

    @ivar isUntouched: Whether who wrote that changed nothing there.

    @ivar steps: How much more each node made of a number, or what it appended to
        a list, by the number of its write; L{None} if nobody can tell.

    @ivar value: What was there in the end.
    """

    here: Any = field(repr=False)
    isUntouched: bool
    steps: dict[tuple[str, int], _Step] = field(default_factory=dict, repr=False)
    value: Any = field(default=MISSING, repr=False)

    def missing(self, nodes: Collection[str], stamps: Stamps) -> list[Any]:
        """
        @param nodes: Those that are silent.

        @param stamps: Those of what is stored.

        @return: The steps that are missing there; L{None} for those of which a
            part is there.
        """
        return [
            None if step.since < numberOf(stamps, node) else step.more
            for (node, number), step in self.steps.items()
            if node in nodes and number > numberOf(stamps, node)
        ]

    def restored(
        self, value: Any, more: list[Any], same: Same, *, isCounted: bool
    ) -> Any:
        """
        @param more: The steps that are missing.

        @param isCounted: Whether this node counts or appends there, too.

        @return: What should be where a value is now.

        @raise LookupError: Nobody can tell.
        """
        if self.isUntouched and same(value, self.here):
            return self.value
        if isCounted and (isNumber(value) or type(value) is list):
            if isNumber(value) and all(map(isNumber, more)):
                return value + sum(more)
            if type(value) is list and all(type(items) is list for items in more):
                return [*value, *chain.from_iterable(more)]
        if same(value, self.value):
            return value
        raise LookupError


class Silence:
    """
    The writes of other nodes that are missing in one session.
    """

    def __init__(self, node: str, same: Same, window: float) -> None:
        """
        @param node: This node.

        @param window: For how many seconds a node that is alive, and slow,
            may still see to its writes.
        """
        self._node = node
        self._same = same
        self._window = window
        # When each node was found silent, as long as it is.
        self._since: dict[str, float] = {}
        self._isHard = False
        self._stamps: Stamps = {}
        self._lost: dict[Path, _Lost] = {}
        self._isAll = False

    def find(
        self,
        branch: Version,
        versions: Iterable[Version],
        wasSeen: Callable[[Path, Any], bool],
        *,
        isAll: bool,
    ) -> None:
        """
        Find out what is missing in a branch.

        @param versions: What was stored since it branched off, with the latest
            as the last; C{isAll} says whether nothing before that is missing.

        @param wasSeen: Whether a value was seen at a place.
        """
        before, self._lost = self._lost, {}
        if not self._since:
            before, self._stamps, self._isAll = {}, {}, True
        self._isAll = self._isAll and isAll
        for version in versions:
            self._stamps = _joined(self._stamps, version.stamps)
            missing = self._isMissing(version, branch.stamps)
            for path, (old, new) in version.places.items():
                if missing and path not in self._lost:
                    here = valueAt(branch.data, path)
                    self._lost[path] = _Lost(here, wasSeen(path, here))
                if path in self._lost:
                    lost = self._lost[path]
                    lost.value = new
                    isSure = len(version.writers) == 1
                    more = added(old, new, self._same) if isSure else None
                    for node in missing:
                        number = version.stamps[node].number
                        since = numberOf(version.base, node)
                        lost.steps[node, number] = _Step(since, more)
        for path, lost in before.items():
            # What was missing before is still missing.
            found = self._lost.setdefault(path, lost)
            if lost.steps.keys() - found.steps.keys():
                found.steps = {**lost.steps, **found.steps}
                found.isUntouched = False

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

    def stored(self, stamps: Stamps, now: float) -> None:
        """
        Something was stored: see who is still silent.
        """
        self._since = {
            node: self._since.get(node, now)
            for node, stamp in self._stamps.items()
            if node != self._node and stamp.own > numberOf(stamps, node)
        }
        if not self._since:
            self._lost.clear()
            self._isHard = False

    def due(self) -> float | None:
        """
        @return: When to see to what is missing; L{None} if nothing is.
        """
        if not self._since:
            return None
        last = max(self._since.values())
        return last + max(_SILENCE, self._window if self._isHard else 0.0)

    def takenOver(
        self, latest: Version, now: float, isCounted: Callable[[Path], bool]
    ) -> tuple[dict[str, Any], Stamps] | None:
        """
        Put what is missing into what is stored.

        @param isCounted: Whether this node counts or appends at a place, too.

        @return: What should be stored, with which stamps; L{None} if nothing is
            missing, or it is too early, since a node that is slow knows better.
        """
        due = self.due()
        if due is None or now < due:
            return None
        data, isAll = self._restored(latest, isCounted)
        if not isAll and not self._isHard:
            self._isHard = True
            return self.takenOver(latest, now, isCounted)
        if data is latest.data:
            self._since.clear()
            return None
        newer = {
            node: stamp
            for node, stamp in self._stamps.items()
            if node != self._node and not covers(latest.stamps, {node: stamp})
        }
        return data, {**latest.stamps, **newer}

    def _restored(
        self, latest: Version, isCounted: Callable[[Path], bool]
    ) -> tuple[dict[str, Any], bool]:
        """
        @return: A session with what is missing, and whether that is all.
        """
        data, isAll = latest.data or {}, self._isAll
        for path, lost in self._lost.items():
            more = lost.missing(self._since, latest.stamps)
            if not more:
                continue
            here = valueAt(data, path)
            try:
                isOurs = isCounted(path)
                value = lost.restored(here, more, self._same, isCounted=isOurs)
            except LookupError:
                isAll = False
            else:
                if value is not here:
                    data = put(data, path, value)
        return data, isAll


def _joined(one: Stamps, other: Stamps) -> Stamps:
    newer = {
        node: stamp
        for node, stamp in other.items()
        if stamp.number > numberOf(one, node)
    }
    return {**one, **newer} if newer else one
