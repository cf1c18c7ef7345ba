# -*- test-case-name: tests.session.test_silence -*-
"""
What other nodes wrote and somebody overwrote.  They see to that themselves,
unless they are dead; then those do who have seen it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from .branches import Path, Stamps, covers, numberOf, put, valueAt
from .merge import MISSING, Same, isNumber
from .shares import Shares
from .versions import Version


__all__ = ["Silence"]

_SILENCE = 1.0
"""
After how many seconds a node that did not do its missing writes again is taken
for dead.
"""


@dataclass(slots=True)
class _Lost:
    """
    What is missing at one place.

    @ivar here: What is there instead.

    @ivar isUntouched: Whether who wrote that changed nothing there.

    @ivar writes: By which writes of which nodes.

    @ivar value: What was there in the end.
    """

    here: Any = field(repr=False)
    isUntouched: bool
    writes: set[tuple[str, int]] = field(default_factory=set)
    value: Any = field(default=MISSING, repr=False)

    def isIn(self, stamps: Stamps) -> bool:
        """
        Whether a version with some stamps has it.
        """
        return all(numberOf(stamps, node) >= number for node, number in self.writes)


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
        earlier: Iterable[Version] = (),
        isCounted: Callable[[Path], bool] = lambda path: False,
    ) -> None:
        """
        Find out what is missing in a branch.

        @param versions: What was stored since it branched off, with the latest
            as the last; C{isAll} says whether nothing before that is missing.

        @param wasSeen: Whether a value was seen at a place.

        @param earlier: What was stored before that.  The version that the branch
            descends from may be a branch, too, and have been stored later than
            what it has not got.

        @param isCounted: Whether this node counts or appends at a place, too.
        """
        before, self._lost = self._lost, {}
        if not self._since:
            before, self._stamps, self._isAll = {}, {}, True
        self._isAll = self._isAll and isAll
        atFirst: set[Path] = set()
        for version in earlier:
            # Foreign writers may have changed this since: it is missing only if
            # there is what was there before, or where nodes count or append.
            self._look(version, branch, lambda path, here, old: self._same(here, old))
            atFirst.update(self._changedHere(version, branch))
        for path in atFirst & self._lost.keys():
            # This node may have been the first to change what is there, and the
            # node that is silent the next.
            self._lost[path].isUntouched = True
        counted = {p: lost for p, lost in self._lost.items() if isCounted(p)}
        self._lost = {p: lost for p, lost in self._lost.items() if lost.isUntouched}
        for version in versions:
            self._look(version, branch, lambda path, here, old: wasSeen(path, here))
        self._lost = {**counted, **self._lost}
        for path, lost in before.items():
            # What was missing before is still missing.
            found = self._lost.setdefault(path, lost)
            if lost.writes - found.writes:
                found.writes |= lost.writes
                isSame = self._same(found.value, lost.value)
                found.isUntouched = found.isUntouched and isSame

    def _look(
        self,
        version: Version,
        branch: Version,
        isUntouched: Callable[[Path, Any, Any], bool],
    ) -> None:
        """
        Find out what of one version is missing in a branch.

        @param isUntouched: Called with a place, its value in the branch and its
            value before; whether the writer of the branch changed nothing there.
        """
        self._stamps = _joined(self._stamps, version.stamps)
        missing = self._isMissing(version, branch.stamps)
        for path, (old, new) in version.places.items():
            lost = self._lost.get(path)
            if missing:
                here = valueAt(branch.data, path)
                lost = self._lost.setdefault(path, _Lost(here, isUntouched=False))
                # The first of these writes may have put back what is there.
                lost.isUntouched = lost.isUntouched or isUntouched(path, here, old)
            # What a version on another branch has there, on which it is missing as
            # well, tells nothing.
            if lost is not None and (missing or lost.isIn(version.stamps)):
                lost.value = new
                lost.writes |= {(n, version.stamps[n].number) for n in missing}

    def _changedHere(self, version: Version, branch: Version) -> Iterator[Path]:
        """
        @return: The places whose value in a branch is the one that this node
            changed in a version; the branch has not got that version.
        """
        node = self._node
        number = numberOf(version.stamps, node) if node in version.writers else 0
        if number > numberOf(branch.stamps, node):
            for path, (old, _) in version.places.items():
                if self._same(valueAt(branch.data, path), old):
                    yield path

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

    @property
    def began(self) -> float:
        """
        Since when any node is silent; infinite if none is.
        """
        return min(self._since.values(), default=inf)

    def takenOver(
        self,
        versions: Sequence[Version],
        now: float,
        isCounted: Callable[[Path], bool],
    ) -> tuple[dict[str, Any], Stamps] | None:
        """
        Put what is missing into what is stored.

        @param versions: What was stored since the first node was found silent, and
            before that for a while, with what is stored now as the last.

        @param isCounted: Whether this node counts or appends at a place, too.

        @return: What should be stored, with which stamps; L{None} if nothing is
            missing, or it is too early, since a node that is slow knows better.
        """
        due = self.due()
        if due is None or now < due:
            return None
        latest = versions[-1]
        data, isAll = self._restored(versions, isCounted)
        if not isAll and not self._isHard:
            self._isHard = True
            return self.takenOver(versions, now, isCounted)
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
        self, versions: Sequence[Version], isCounted: Callable[[Path], bool]
    ) -> tuple[dict[str, Any], bool]:
        """
        @return: A session with what is missing, and whether that is all.
        """
        latest = versions[-1]
        data, isAll = latest.data or {}, self._isAll
        shares = Shares(versions, self._same)
        for path, lost in self._lost.items():
            nodes = self._nodes(lost, latest.stamps)
            if not nodes:
                continue
            value = here = valueAt(data, path)
            isKnown = False
            if isCounted(path) and (isNumber(here) or type(here) is list):
                value, isKnown = self._counted(path, nodes, latest, shares)
            if not isKnown and lost.isUntouched and self._same(here, lost.here):
                value, isKnown = lost.value, True
            isAll = isAll and (isKnown or self._same(value, lost.value))
            if not self._same(value, here):
                data = put(data, path, value)
        return data, isAll

    def _counted(
        self, path: Path, nodes: set[str], latest: Version, shares: Shares
    ) -> tuple[Any, bool]:
        """
        @return: A number or a list with what some nodes did there and is missing,
            as far as is known, and whether that is all.
        """
        here = value = valueAt(latest.data, path)
        isAll = True
        for node in nodes:
            since, until = numberOf(latest.stamps, node), self._stamps[node].number
            more, isEach = shares.added(node, path, since, until, here)
            value, isAll = value + more, isAll and isEach
        return value, isAll

    def _nodes(self, lost: _Lost, stamps: Stamps) -> set[str]:
        """
        @param stamps: Those of what is stored.

        @return: The silent nodes of which something is missing at a place.
        """
        return {
            node
            for node, number in lost.writes
            if node in self._since and number > numberOf(stamps, node)
        }


def _joined(one: Stamps, other: Stamps) -> Stamps:
    newer = {
        node: stamp
        for node, stamp in other.items()
        if stamp.number > numberOf(one, node)
    }
    return {**one, **newer} if newer else one
