# -*- test-case-name: tests.session.test_journal -*-
"""
What this node did to one session lately, to do it again where somebody dropped
it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.logger import Logger

from .branches import Path, Stamps, added, differences, put, valueAt
from .merge import MISSING, Same, detached, isNumber


__all__ = ["MOST", "Branch", "Function", "Run", "Write", "Writes", "run"]

Function = Callable[[dict[str, Any]], object]
Run = Callable[[Function, dict[str, Any]], dict[str, Any]]
Doubtful = tuple[Mapping[str, int | float], Sequence[Function]]

MOST: Final = 5000
"""
How many writes, and how many versions, of a session are remembered at most.
"""

_PERSISTENCE = 60.0
"""
For how many seconds writes are made again that somebody drops with the stamps.
"""

_NOTHING: Final[Doubtful] = ({}, ())

_SUPERSEDED: Final = object()
"""
What a write made where a later one made something else.
"""


@dataclass(frozen=True, slots=True)
class Write:
    """
    A write that succeeded.

    @ivar before: What was stored, not to be changed any more; C{collected} and
        C{after} likewise.

    @ivar collected: C{before} with what handlers changed by assigning,
        deleting and counting.

    @ivar after: What is stored: C{collected} and what functions made of it.

    @ivar increments: What of C{collected} is not another value, but so much
        more.

    @ivar functions: Those that changed something, in order.

    @ivar doubtful: The increments and functions of earlier attempts, by their
        numbers, that timed out and are done again in this one.  They may have
        succeeded for a while.
    """

    number: int
    stamps: Stamps
    before: dict[str, Any] = field(repr=False)
    collected: dict[str, Any] = field(repr=False)
    after: dict[str, Any] = field(repr=False)
    increments: Mapping[str, int | float] = field(repr=False)
    functions: Sequence[Function] = ()
    doubtful: Mapping[int, Doubtful] = field(default_factory=dict, repr=False)


@dataclass(eq=False, slots=True)
class _Entry:
    """
    What this node did in one write, to do it again.

    @ivar since: When it was done first, and C{at}, when last.

    @ivar assigned: What was assigned at which places, and C{appended}, what was
        appended to the lists there.

    @ivar made: What increments and functions made, at which places.
    """

    number: int
    since: float
    at: float
    assigned: dict[Path, Any] = field(repr=False)
    appended: dict[Path, list[Any]] = field(repr=False)
    made: dict[Path, Any] = field(repr=False)
    increments: dict[str, int | float] = field(repr=False)
    functions: list[Function] = field(repr=False)
    doubtful: Mapping[int, Doubtful] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Branch:
    """
    What somebody stored who had not got all writes.

    @ivar latest: What was stored before that, with all of them.

    @ivar wasSeen: Whether a value was seen at a place.

    @ivar isUnseen: Whether who wrote it had a copy of a version that was not.

    @ivar isStamped: Whether who wrote it had any stamps.

    @ivar last: The number of the last write of this node that is in it.
    """

    data: dict[str, Any] = field(repr=False)
    latest: dict[str, Any] = field(repr=False)
    wasSeen: Callable[[Path, Any], bool]
    isUnseen: bool
    isStamped: bool
    last: int


def run(f: Function, data: dict[str, Any]) -> dict[str, Any]:
    """
    @return: What a function makes of a session.
    """
    trial: dict[str, Any] = detached(data)
    f(trial)
    return trial


_NONE: Final[deque[_Entry]] = deque(maxlen=0)
"""
None, of many sessions: see L{txsessionsock.session.journal}.
"""


class Writes:
    """
    The writes of one node to one session.

    @ivar last: The number of the last one.
    """

    _log = Logger()

    def __init__(self, window: float, same: Same) -> None:
        """
        @param window: For how many seconds a write is remembered, since it was
            last made.
        """
        self._window = window
        self._same = same
        self.last = 0
        self._lastAt = 0.0
        self._entries = _NONE
        # Which of them was the last to assign something to a place, and to make
        # what is no number.
        self._assigners: dict[Path, _Entry] = {}
        self._makers: dict[Path, _Entry] = {}

    def __len__(self) -> int:
        """
        How many are remembered.
        """
        return len(self._entries)

    def until(self) -> float:
        """
        @return: Until when one is remembered, in seconds since the epoch.
        """
        return self._lastAt + self._window if self._entries else 0.0

    def clear(self) -> None:
        """
        Remember none.
        """
        self._entries = _NONE
        self._assigners.clear()
        self._makers.clear()

    def add(
        self, write: Write, changed: dict[Path, Any], now: float
    ) -> Collection[Path]:
        """
        Remember one.

        @param changed: Where what is stored differs from what was before.

        @return: Where something was assigned.
        """
        before, same = write.before, self._same
        counted = write.increments
        if write.functions:
            changed = differences(before, write.collected, same)
        assigned = {p: v for p, v in changed.items() if p[0] not in counted}
        appended = {}
        for path, value in list(assigned.items()):
            more = added(valueAt(before, path), value, same)
            if type(more) is list:
                appended[path] = more
                del assigned[path]
        made = {p: v for p, v in changed.items() if p[0] in counted}
        if write.functions:
            made |= differences(write.collected, write.after, same)
        if not (assigned or appended or counted or write.functions):
            return ()
        functions = list(write.functions)
        entry = _Entry(
            write.number,
            now,
            now,
            assigned,
            appended,
            made,
            dict(counted),
            functions,
            write.doubtful,
        )
        for path in assigned:
            # Only the last value that was assigned can still be there.
            if path in self._assigners:
                del self._assigners[path].assigned[path]
            self._assigners[path] = entry
        for path, value in made.items():
            if path in self._makers:
                self._makers[path].made[path] = _SUPERSEDED
            if not isNumber(value):
                self._makers[path] = entry
        self._lastAt = now
        self.last = max(self.last, write.number)
        if self._entries is _NONE:
            self._entries = deque()
        self._entries.append(entry)
        if len(self._entries) > MOST:
            self._dropEntry()
        return assigned.keys()

    def prolong(self, now: float) -> None:
        """
        Remember all for as long as if they had just been made.
        """
        for entry in self._entries:
            if now - entry.since < _PERSISTENCE:
                entry.at = self._lastAt = now

    def _dropEntry(self) -> None:
        entry = self._entries.popleft()
        for path in entry.assigned:
            del self._assigners[path]
        for path in entry.made:
            if self._makers.get(path) is entry:
                del self._makers[path]
        if not self._entries:
            self._entries = _NONE

    def trim(self, now: float) -> None:
        """
        Forget those that were made too long ago.
        """
        while self._entries and now - self._entries[0].at > self._window:
            self._dropEntry()

    def assigned(self) -> Iterator[tuple[Path, Any]]:
        """
        What was assigned last, at which places.
        """
        for path, entry in self._assigners.items():
            yield path, entry.assigned[path]

    def isCounted(self, path: Path) -> bool:
        """
        Whether this node counts or appends at a place.
        """
        return any(path in entry.made for entry in self._entries)

    def supersede(
        self, data: dict[str, Any] | None, changed: Mapping[Path, tuple[Any, Any]]
    ) -> None:
        """
        What was assigned here is done for good when somebody who had it has put
        something else in its place, also if that is overwritten later.

        @param data: What is stored now, with all writes in it.

        @param changed: Where that differs from what was stored before, and what
            was and is there.
        """
        assigners = self._assigners
        # With a dictionary, all that is in it was replaced.
        isLarge = any(type(old) is dict for old, _ in changed.values())
        for path in list(assigners) if isLarge else changed.keys() & assigners.keys():
            value = assigners[path].assigned[path]
            if not self._stands(value, valueAt(data, path)):
                del assigners[path].assigned[path], assigners[path]

    def missing(
        self, last: int, now: float, since: float, *, isStamped: bool
    ) -> list[_Entry]:
        """
        Find those that are not in what is stored.  Whoever takes a copy of that
        will drop them again, so they are remembered for longer.

        @param last: The number of the last one that is in it.

        @param since: Since when they may be missing at the earliest.

        @param isStamped: Whether it has any stamps.
        """
        missing = [
            entry
            for entry in self._entries
            if entry.number > last and since - entry.at <= self._window
        ]
        for entry in missing:
            # But somebody who drops all stamps each time is to have it in the end.
            if isStamped or now - entry.since < _PERSISTENCE:
                entry.at = self._lastAt = now
        return missing

    def again(
        self,
        branch: Branch,
        missing: list[_Entry],
        run: Run,
    ) -> dict[str, Any]:
        """
        Do some once more.

        @return: What should be stored.
        """
        theirs, isStamped = branch.data, branch.isStamped
        data = theirs
        for number, entry in enumerate(missing):
            for path, value in entry.assigned.items():
                if self._isOurs(path, value, branch):
                    data = put(data, path, value)
            for path, more in entry.appended.items():
                data = self._appendAgain(data, path, more, branch)
            later = missing[number:]
            done, called = entry.doubtful.get(branch.last, _NOTHING)
            for key, count in list(entry.increments.items()):
                by = count - done.get(key, 0)
                if isStamped or not self._had(((key,),), later, theirs):
                    data = self._countAgain(data, entry, key, by)
            if isStamped or not self._had(entry.made, later, theirs):
                for f in [f for f in entry.functions if f not in called]:
                    data = self._runAgain(data, entry, f, run)
        return data

    def _isOurs(self, path: Path, value: Any, branch: Branch) -> bool:
        """
        Whether what this node assigned was not replaced since, and was dropped
        by somebody who assigned nothing there, as far as can be told.
        """
        here, latest = valueAt(branch.data, path), valueAt(branch.latest, path)
        if self._same(here, value) or not self._stands(value, latest):
            return False
        # Where nobody can tell, one of two assignments wins.  But what is not there may
        # have been deleted on purpose.
        isDoubtful = branch.isUnseen and here is not MISSING
        return isDoubtful or branch.wasSeen(path, here)

    def _stands(self, value: Any, here: Any) -> bool:
        """
        Whether what was assigned is still there, if more was appended, too.
        """
        if here is value or self._same(here, value):
            return True
        return type(value) is list and added(value, here, self._same) is not None

    def _appendAgain(
        self, data: dict[str, Any], path: Path, more: list[Any], branch: Branch
    ) -> dict[str, Any]:
        latest, here = valueAt(branch.latest, path), valueAt(data, path)
        items = [] if here is MISSING else here
        if type(latest) is not list or type(items) is not list:
            return data
        for item in more:
            # Another node may have assigned a list that it is in.
            if self._count(item, items) < self._count(item, latest):
                items = [*items, item]
        return data if items is here else put(data, path, items)

    def _count(self, item: Any, items: list[Any]) -> int:
        return sum(self._same(item, other) for other in items)

    def _had(
        self,
        paths: Iterable[Path],
        entries: Sequence[_Entry],
        theirs: dict[str, Any],
    ) -> bool:
        """
        Whether somebody who left no stamps had the first of some writes: what
        these made is there.
        """

        def had(path: Path) -> bool:
            here = valueAt(theirs, path)
            return any(
                path in entry.made and self._same(here, entry.made[path])
                for entry in entries
            )

        return all(map(had, paths))

    def _countAgain(
        self, data: dict[str, Any], entry: _Entry, key: str, by: int | float
    ) -> dict[str, Any]:
        value = data.get(key, 0)
        if isNumber(value):
            return {**data, key: value + by}
        del entry.increments[key]
        self._log.warn(
            "a web application overwrote an increment of {key!r} with what is no"
            " number: it is not counted again",
            key=key,
        )
        return data

    def _runAgain(
        self,
        data: dict[str, Any],
        entry: _Entry,
        f: Function,
        run: Run,
    ) -> dict[str, Any]:
        try:
            return run(f, data)
        except Exception:
            entry.functions.remove(f)
            self._log.failure(
                "a web application overwrote what a function of update() did, and"
                " the function fails now that it is called again"
            )
            return data
