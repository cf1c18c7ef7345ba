# -*- test-case-name: tests.test_journal -*-
"""
What was stored of one session lately, and what a foreign write dropped of it.

Express, Django, Flask and PHP write whole sessions, as they were when a request
began, with what that request changed.  What a socket stored meanwhile is gone
then.  So each node leaves a stamp in the sessions that it writes: the number of
its last write.  All stamps together are a version vector.  A web application
carries them along, so what it writes descends from the version whose stamps it
has.  What is stored is a branch if its stamps do not cover those of the latest
version that was accepted here:

  - If the version that it descends from was seen here, and nothing was changed
    on both sides, what nodes changed is put into it.  For other nodes there is
    nothing left to do.
  - Otherwise each node does its own missing writes again, and no others'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from twisted.logger import Logger

from ._branches import (
    Conflict,
    Path,
    Stamp,
    Stamps,
    added,
    covers,
    differences,
    graft,
    numberOf,
    put,
    valueAt,
)
from ._merge import MISSING, Same, detached, isNumber, same
from ._silence import Silence
from ._versions import Memory, Version, weigh


__all__ = [
    "STAMP",
    "Function",
    "Journal",
    "Stamps",
    "Write",
    "stampList",
    "stampsIn",
]

STAMP: Final = "_sessionsock"
"""
Under which key of a session the L{Stamps} are, as lists; the last numbers are
left out where they are what most stamps have.
"""

Function = Callable[[dict[str, Any]], object]

_PERSISTENCE = 60.0
"""
For how many seconds writes are made again that somebody drops with the stamps.
"""

_MOST = 5000
"""
How many writes, and how many versions, of a session are remembered at most.
"""

_MOST_STAMPS = 100
"""
How many stamps are left in a session at most: the youngest.
"""

_SUPERSEDED: Final = object()
"""
What a write made where a later one made something else.
"""

_TOO_LARGE = 2**53
"""
What no number in a stamp reaches, as wherever JSON is read.
"""


def stampsIn(data: dict[str, Any]) -> Stamps:
    """
    Take the stamps out of a session.

    @param data: Has none afterwards.

    @return: What of them makes sense.
    """
    stamps = data.pop(STAMP, None)
    if not isinstance(stamps, dict):
        return {}
    found: dict[str, Stamp] = {}
    for node, stamp in stamps.items():
        match stamp:
            case [int(number), int(at) | float(at)]:
                own, bare = number, 0
            case [int(number), int(at) | float(at), int(own)]:
                bare = 0
            case [int(number), int(at) | float(at), int(own), int(bare)]:
                pass
            case _:
                continue
        makesSense = number and all(map(_makesSense, (number, at, own, bare)))
        if isinstance(node, str) and makesSense:
            found[node] = Stamp(number, at, own, bare)
    return found


def _makesSense(number: object) -> bool:
    return isNumber(number) and 0 <= number < _TOO_LARGE


def stampList(stamps: Stamps) -> dict[str, list[int | float]]:
    """
    @return: What to put into a session.
    """
    return {node: _listOf(stamp) for node, stamp in stamps.items()}


def _listOf(stamp: Stamp) -> list[int | float]:
    if stamp.bare:
        return list(stamp)
    return list(stamp[:2] if stamp.own == stamp.number else stamp[:3])


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
    """

    number: int
    stamps: Stamps
    before: dict[str, Any] = field(repr=False)
    collected: dict[str, Any] = field(repr=False)
    after: dict[str, Any] = field(repr=False)
    increments: Mapping[str, int | float] = field(repr=False)
    functions: Sequence[Function] = ()


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


def run(f: Function, data: dict[str, Any]) -> dict[str, Any]:
    """
    @return: What a function makes of a session.
    """
    trial: dict[str, Any] = detached(data)
    f(trial)
    return trial


class Journal:
    """
    The versions of one session that this node has seen, and what it wrote.
    """

    _log = Logger()

    def __init__(
        self,
        node: str | None,
        window: float = 5.0,
        now: float = 0.0,
        numbers: Iterator[int] | None = None,
        *,
        same: Same = same,
        memory: Memory | None = None,
    ) -> None:
        """
        @param node: What tells this node from others, and from itself before
            it was started anew; L{None} for one that repairs nothing and
            leaves the stamps of others as they are.

        @param window: For how many seconds a write is remembered, since it was
            last made, and a version, since it was replaced.

        @param now: When the session was loaded.

        @param numbers: Each larger than all that the node has ever left in
            this session; from 1 unless it had the session before.

        @param same: Whether two values are one to who writes the session.

        @param memory: Shared by all journals of a node.
        """
        self._node = node
        self._name = node or ""
        self._window = window
        self._numbers = count(1) if numbers is None else numbers
        self._same = same
        self._memory = Memory() if memory is None else memory
        self._entries: deque[_Entry] = deque()
        # Which of them was the last to assign something to a place, and to make
        # what is no number.
        self._assigners: dict[Path, _Entry] = {}
        self._makers: dict[Path, _Entry] = {}
        self._lastAt = 0.0
        self._lastOwn = 0
        self._lastBare = 0
        self._isStamped = False
        self._versions: deque[Version] = deque()
        self._latest = Version({}, {})
        # What was stored and not accepted, until what is missing is stored.
        self._branches: list[Version] = []
        self._branchedAt = 0.0
        self._stamps: Stamps = {}
        self._silence = Silence(self._name, same, window)
        # Until then, copies were taken that have no stamps, as far as we know.
        self._bareUntil = now
        # Which other nodes have not written since a web application did, and
        # whether any has.
        self._unheard: set[str] = set()
        self._isHeard = True

    def begin(self) -> int:
        """
        @return: The number of an attempt to write.
        """
        return next(self._numbers)

    def stamps(self, number: int, now: float, *, isRepair: bool = False) -> Stamps:
        """
        @param isRepair: Whether this node changes nothing by itself.

        @return: The stamps that an attempt leaves.
        """
        if self._node is None:
            return self._stamps
        isOld = self._memory.isOld
        stamps = {
            node: stamp
            for node, stamp in self._stamps.items()
            if node != self._node and not isOld(node, stamp.number)
        }
        while len(stamps) >= _MOST_STAMPS:
            del stamps[min(stamps, key=lambda node: stamps[node].at)]
        # A whole number, since PHP writes others its own way, also who only reads.
        own = self._lastOwn if isRepair else number
        isBare = self._isStamped and not (self._branches or [self._latest])[-1].stamps
        bare = number if isBare else self._lastBare
        return {**stamps, self._node: Stamp(number, int(now), own, bare)}

    def wrote(self, write: Write, now: float) -> None:
        """
        An attempt succeeded.
        """
        if self._node is None:
            return
        self._trim(now)
        self._remember(write, now)
        self._lastBare = write.stamps[self._node].bare
        data, latest = write.after, self._latest.data or {}
        version = Version(write.stamps, data, weigh(data, latest))
        self._accept(version, now)
        # Also what is as the branch had it, which may have been overwritten.
        for path in differences(write.before, data, self._same):
            was, value = valueAt(write.before, path), valueAt(data, path)
            version.places.setdefault(path, (was, value))

    def _remember(self, write: Write, now: float) -> None:
        before, same = write.before, self._same
        counted = write.increments
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
            return
        for path in assigned:
            self._silence.superseded(path)
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
        self._lastOwn = write.number
        self._entries.append(entry)
        if len(self._entries) > _MOST:
            self._dropEntry()

    def missed(self, now: float) -> None:
        """
        The session was changed, and versions may have come and gone of which
        nobody told.  Who took a copy of these may drop any write.
        """
        self._trim(now)
        for entry in self._entries:
            if now - entry.since < _PERSISTENCE:
                entry.at = self._lastAt = now

    def isHeard(self, *, isLate: bool) -> bool:
        """
        Whether each other node has written the session since a web application
        did, so that none may be about to put back what was overwritten.

        @param isLate: Whether one of those that wrote it is enough.
        """
        isHeard = self._isHeard if isLate else not self._unheard
        return isHeard and self.silent() is None

    def last(self, stamps: Stamps) -> int | None:
        """
        @return: The number of the last attempt that is in what is stored now, 0
            for none; L{None} if nobody can tell.
        """
        if self._node is None or (self._stamps and not stamps):
            return None
        return numberOf(stamps, self._node)

    def isNews(self, stamps: Stamps) -> bool:
        """
        Whether another node wrote what was not seen here.
        """
        return not covers(self._latest.stamps, stamps)

    @property
    def identifies(self) -> bool:
        """
        Whether what this node stores is like nothing that others store.
        """
        return self._node is not None

    def until(self) -> float:
        """
        @return: Until when a write is remembered, in seconds since the epoch.
        """
        return self._lastAt + self._window if self._entries else 0.0

    def seen(self, data: dict[str, Any], stamps: Stamps, now: float) -> None:
        """
        A session is loaded that this node did not have, or that is not what it
        was: it belongs to somebody else, or was reset on purpose.
        """
        self._memory.note(stamps, now)
        for version in self._versions:
            self._memory.forget(version)
        self._versions.clear()
        self._entries.clear()
        self._assigners.clear()
        self._makers.clear()
        self._branches.clear()
        self._silence = Silence(self._name, self._same, self._window)
        self._latest = Version(stamps, dict(data))
        self._unheard = {*stamps} - {self._name}
        self._isHeard = not self._unheard
        self._isStamped = bool(stamps)
        self._stamps = stamps

    def _accept(self, version: Version, now: float) -> None:
        """
        A version is what is stored, and nothing is missing in it.
        """
        # Requests may have begun with branches, too.
        for each in (*self._branches, version):
            replaced, self._latest = self._latest, each
            self._isStamped = self._isStamped or bool(each.stamps)
            self._attribute(each, replaced)
            replaced.replaced = now
            self._versions.append(replaced)
            self._memory.keep(replaced)
            self._take(each.stamps, now)
        self._branches.clear()
        self._supersede(version)
        while len(self._versions) > _MOST:
            self._memory.forget(self._versions.popleft())
        self._silence.stored(version.stamps, now)

    def _supersede(self, version: Version) -> None:
        """
        What was assigned here is done for good when somebody who had it has put
        something else in its place, also if that is overwritten later.
        """
        for path, entry in list(self._assigners.items()):
            if not self._stands(entry.assigned[path], valueAt(version.data, path)):
                del entry.assigned[path], self._assigners[path]

    def _attribute(self, version: Version, before: Version) -> None:
        """
        Find out which nodes wrote a version, and what they changed.
        """
        version.writers = frozenset(
            node
            for node, stamp in version.stamps.items()
            if stamp.number > numberOf(before.stamps, node)
        )
        version.base = before.stamps
        if version.writers - {self._name}:
            self._unheard -= version.writers
            self._isHeard = True
        if version.writers:
            old, new = before.data or {}, version.data or {}
            version.places = {
                path: (valueAt(old, path), value)
                for path, value in differences(old, new, self._same).items()
            }

    def _take(self, stamps: Stamps, now: float) -> None:
        if not self._stamps:
            self._bareUntil = now
        self._stamps = stamps

    def _dropEntry(self) -> None:
        entry = self._entries.popleft()
        for path in entry.assigned:
            del self._assigners[path]
        for path in entry.made:
            if self._makers.get(path) is entry:
                del self._makers[path]

    def _trim(self, now: float) -> None:
        if self._branches:
            # What was known then is needed until the repair is stored.
            now = min(now, self._branchedAt)
        while self._entries and now - self._entries[0].at > self._window:
            self._dropEntry()
        versions = self._versions
        while versions and now - versions[0].replaced > self._window:
            self._memory.forget(versions.popleft())

    def repaired(
        self,
        theirs: dict[str, Any],
        stamps: Stamps,
        now: float,
        run: Callable[[Function, dict[str, Any]], dict[str, Any]] = run,
    ) -> dict[str, Any]:
        """
        Somebody else wrote the session: see what nodes wrote and is not in it.

        @param theirs: What is stored now, without its stamps; not changed.
            It belongs to the same person as before.

        @param run: See L{run}.  What it raises is logged.

        @return: What should be stored: C{theirs} itself, if that is that.
        """
        self._memory.note(stamps, now)
        if self._node is None:
            self._latest = Version(stamps, theirs)
            self._stamps = stamps
            return theirs
        self._trim(now)
        if any(
            stamp.bare > numberOf(self._latest.stamps, n) for n, stamp in stamps.items()
        ):
            # Another node saw a version without stamps.
            self._bareUntil = now
        isBare = not stamps and now - self._bareUntil > self._window
        if not theirs or isBare:
            # An empty session, or one without any stamp, was reset on purpose.
            # Exception: the writer's copy may be older than our first stamp.
            self._take(stamps, now)
            self.seen(theirs, stamps, now)
            return theirs
        if not self._latest.stamps.keys() <= stamps.keys():
            # Or it descends from a version that had none.
            self._bareUntil = now
        version = Version(stamps, theirs, weigh(theirs, self._latest.data or {}))
        if not self.isNews(stamps):
            self._unheard = ({*stamps} | {*self._latest.stamps}) - {self._name}
            self._isHeard = not self._unheard
        if not covers(stamps, self._latest.stamps):
            repaired, joined = self._mended(version, now, run)
            self._listen(version, joined, now)
            # Where all stamps are gone, they are missing, too.
            isAll = bool(stamps) or not self._entries
            if not (isAll and self._same(repaired, theirs)):
                if not self._branches:
                    self._branchedAt = now
                self._branches.append(version)
                self._take(joined, now)
                return dict(repaired)
        self._accept(version, now)
        return theirs

    def _mended(
        self,
        branch: Version,
        now: float,
        run: Callable[[Function, dict[str, Any]], dict[str, Any]],
    ) -> tuple[dict[str, Any], Stamps]:
        """
        @return: What should be stored, and the stamps that it has.
        """
        data, stamps, latest = branch.data or {}, branch.stamps, self._latest
        missing = self._missing(stamps, now)
        if covers(latest.stamps, stamps) and (stamps or missing):
            twins, later = self._descent(stamps)
            try:
                if twins:
                    places = dict.fromkeys(p for v in later for p in v.places)
                    mended = graft(data, latest.data or {}, places, twins, self._same)
                    return mended, {**stamps, **latest.stamps}
            except Conflict:
                pass
        return self._again(data, missing, run, isStamped=bool(stamps)), stamps

    def _descent(self, stamps: Stamps) -> tuple[list[dict[str, Any]], list[Version]]:
        """
        @return: What was seen with just these stamps, and all versions after
            that.
        """
        twins: list[dict[str, Any]] = []
        later: list[Version] = []
        for version in self._versions:
            later.append(version)
            if version.data is not None and _areEqual(version.stamps, stamps):
                if twins and not stamps and later[:-1]:
                    # Somebody drops stamps: that there are none tells nothing.
                    return [], [*self._versions, self._latest]
                twins.append(version.data)
                later.clear()
        return twins, [*later, self._latest]

    def _missing(self, stamps: Stamps, now: float) -> list[_Entry]:
        """
        The writes of this node that are not in what is stored.  Whoever takes a
        copy of that will drop them again, so they are remembered for longer.
        """
        last = numberOf(stamps, self._name)
        missing = [entry for entry in self._entries if entry.number > last]
        missing = [e for e in missing if now - e.at <= self._window]
        for entry in missing:
            # But somebody who drops all stamps each time is to have it in the end.
            if stamps or now - entry.since < _PERSISTENCE:
                entry.at = self._lastAt = now
        return missing

    def _again(
        self,
        theirs: dict[str, Any],
        missing: list[_Entry],
        run: Callable[[Function, dict[str, Any]], dict[str, Any]],
        *,
        isStamped: bool,
    ) -> dict[str, Any]:
        """
        Do writes once more.
        """
        data = theirs
        for number, entry in enumerate(missing):
            for path, value in entry.assigned.items():
                if self._isOurs(path, value, theirs):
                    data = put(data, path, value)
            for path, more in entry.appended.items():
                data = self._appendAgain(data, path, more)
            later = missing[number:]
            for key, by in list(entry.increments.items()):
                if isStamped or not self._had(((key,),), later, theirs):
                    data = self._countAgain(data, entry, key, by)
            if isStamped or not self._had(entry.made, later, theirs):
                for f in list(entry.functions):
                    data = self._runAgain(data, entry, f, run)
        return data

    def _isOurs(self, path: Path, value: Any, theirs: dict[str, Any]) -> bool:
        """
        Whether what this node assigned was not replaced since, and was dropped
        by somebody who assigned nothing there.
        """
        here, latest = valueAt(theirs, path), valueAt(self._latest.data, path)
        if self._same(here, value):
            return False
        return self._stands(value, latest) and self._wasSeen(path, here)

    def _stands(self, value: Any, here: Any) -> bool:
        """
        Whether what was assigned is still there, if more was appended, too.
        """
        if here is value or self._same(here, value):
            return True
        return type(value) is list and added(value, here, self._same) is not None

    def _appendAgain(
        self, data: dict[str, Any], path: Path, more: list[Any]
    ) -> dict[str, Any]:
        latest, here = valueAt(self._latest.data, path), valueAt(data, path)
        here = [] if here is MISSING else here
        if type(latest) is not list or type(here) is not list:
            return data
        # Another node may have assigned a list that it is in.
        lacks = [
            item for item in more if self._count(item, here) < self._count(item, latest)
        ]
        return put(data, path, [*here, *lacks]) if lacks else data

    def _count(self, item: Any, items: list[Any]) -> int:
        return sum(self._same(item, other) for other in items)

    def _wasSeen(self, path: Path, value: Any) -> bool:
        return any(
            version.data is not None and self._same(valueAt(version.data, path), value)
            for version in (*self._versions, self._latest)
        )

    def _had(
        self,
        paths: Iterator[Path] | Sequence[Path] | Mapping[Path, Any],
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
        run: Callable[[Function, dict[str, Any]], dict[str, Any]],
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

    # Nodes that are dead.

    def _listen(self, branch: Version, joined: Stamps, now: float) -> None:
        """
        See whether other nodes' writes are missing in a branch.
        """
        twins, later = self._descent(branch.stamps)
        silence, wasSeen, isCounted = self._silence, self._wasSeen, self._isCounted
        silence.find(branch, later, wasSeen, isCounted, isAll=bool(twins))
        for entry in self._entries:
            for path, value in entry.assigned.items():
                if self._same(valueAt(self._latest.data, path), value):
                    silence.superseded(path)
        silence.stored(joined, now)

    def _isCounted(self, path: Path) -> bool:
        return any(path in entry.made for entry in self._entries)

    def silent(self) -> float | None:
        """
        @return: When a node will have been silent for too long, in seconds since
            the epoch; L{None} if none is.
        """
        return self._silence.due()

    def takenOver(self, now: float) -> dict[str, Any] | None:
        """
        See to what nodes wrote that are silent for too long.

        @return: What should be stored; L{None} if that is that.
        """
        if self._branches:
            # What is stored is not known until it is repaired.
            return None
        found = self._silence.takenOver(self._latest, now)
        if found is None:
            return None
        data, stamps = found
        self._take(stamps, now)
        return data


def _areEqual(one: Stamps, other: Stamps) -> bool:
    return covers(one, other) and covers(other, one)
