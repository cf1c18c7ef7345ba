# -*- test-case-name: tests.session.test_shares -*-
"""
How much one node made of numbers and lists in which others count, too.

Two versions in which all other nodes have written just as much differ by what
the one node did in between, whoever stored them, and whether it did that for the
first time or again.  The version that was stored just before tells nothing: a
foreign write may have dropped there what others did, and the node that wrote
next has put that back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .branches import Path, numberOf, valueAt
from .merge import MISSING, Same, isNumber
from .versions import Version


__all__ = ["Shares"]


_Numbers = frozenset[tuple[str, int]]


class _Step(NamedTuple):
    """
    Two versions that differ by what a node did.

    @ivar since: The number of its last write in the C{old} one, and C{until},
        in the C{new} one.

    @ivar isNext: Whether the one was stored right after the other, as far as
        is known: no attempt failed, which would tell that somebody was faster.
    """

    since: int
    until: int
    old: Version
    new: Version
    isNext: bool


class Shares:
    """
    What each node did to one session, as far as versions tell.
    """

    def __init__(self, versions: Iterable[Version], same: Same) -> None:
        """
        @param versions: What was stored, in order.
        """
        self._same = same
        self._versions = [each for each in versions if each.data is not None]
        self._steps: dict[str, list[_Step]] = {}
        # Those in which all nodes have written just as much.
        self._twins: dict[_Numbers, list[Version]] = defaultdict(list)
        for version in self._versions:
            self._twins[_numbers(version, "")].append(version)

    def _stepsOf(self, node: str) -> list[_Step]:
        if node not in self._steps:
            self._steps[node] = list(self._find(node))
        return self._steps[node]

    def _find(self, node: str) -> Iterator[_Step]:
        latest: dict[_Numbers, Version] = {}
        before = None
        for new in self._versions:
            others = _numbers(new, node)
            old = latest.get(others, new)
            since, until = numberOf(old.stamps, node), numberOf(new.stamps, node)
            if since < until:
                isNext = old is before and since + 1 == until
                yield _Step(since, until, old, new, isNext)
            latest[others] = before = new

    def added(
        self, node: str, path: Path, since: int, until: int, here: Any
    ) -> tuple[Any, bool]:
        """
        @param since: The number of a write of the node, and C{until}, of a later
            one.

        @param here: What is at the place now: a number, or a list.

        @return: How much more the node made of the number in between, or what it
            appended to the list, as far as is known; and whether that is all.
        """
        parts = []
        for sums in self._sums(node, path, isList=type(here) is list):
            numbers = [number for number in sums if since <= number <= until]
            first, last = min(numbers, default=0), max(numbers, default=0)
            more = self._without(sums[last], sums[first]) if first < last else None
            if more is not None:
                parts.append((last, first, more))
        found: Any = [] if type(here) is list else 0
        at, isAll = until, True
        for last, first, more in sorted(parts, reverse=True, key=lambda part: part[:2]):
            if last <= at:
                found, isAll, at = more + found, isAll and last == at, first
        return found, isAll and at == since

    def _isForeign(self, path: Path) -> bool:
        """
        Whether a foreign writer changes something at a place, too, perhaps in
        versions that were not seen.
        """
        return not all(
            self._same(valueAt(one.data, path), valueAt(other.data, path))
            for one, *others in self._twins.values()
            for other in others
        )

    def _sums(self, node: str, path: Path, *, isList: bool) -> Iterator[dict[int, Any]]:
        """
        @return: What a node had done at a place by each of its writes, counted
            from one of them.  There are several if nobody can tell what it did
            between those of one and those of another.
        """
        steps: dict[int, list[tuple[int, Any, bool]]] = defaultdict(list)
        isForeign = self._isForeign(path)
        for step in self._stepsOf(node):
            if isForeign and not step.isNext:
                continue
            more = self._more(step, path, isList=isList)
            if more is not None:
                steps[step.since].append((step.until, more, True))
                steps[step.until].append((step.since, more, False))
        while steps:
            sums: dict[int, Any] = {min(steps): [] if isList else 0}
            ahead = list(sums)
            while ahead:
                number = ahead.pop()
                for other, more, isLater in steps.pop(number, ()):
                    was = sums[number]
                    total = was + more if isLater else self._without(was, more)
                    if other not in sums and total is not None:
                        sums[other] = total
                        ahead.append(other)
            yield sums

    def _more(self, step: _Step, path: Path, *, isList: bool) -> Any:
        """
        @return: How much the node added in a step; L{None} if nobody can tell.
        """
        old, new = (valueAt(each.data, path) for each in (step.old, step.new))
        if isList:
            old, new = ([] if each is MISSING else each for each in (old, new))
            return self._without(new, old) if type(new) is list else None
        old, new = (0 if each is MISSING else each for each in (old, new))
        return new - old if isNumber(old) and isNumber(new) else None

    def _without(self, all: Any, some: Any) -> Any:
        """
        @return: How much more a number is than another one, or what is in a list
            and not in another one; L{None} if nobody can tell.
        """
        if type(all) is not list:
            return all - some
        if type(some) is not list:
            return None
        left = list(all)
        for item in some:
            at = next((n for n, each in enumerate(left) if self._same(each, item)), -1)
            if at < 0:
                return None
            del left[at]
        return left


def _numbers(version: Version, but: str) -> _Numbers:
    """
    @return: How much all nodes have written, but one.
    """
    return frozenset(
        (node, stamp.number) for node, stamp in version.stamps.items() if node != but
    )
