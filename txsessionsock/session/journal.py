# -*- test-case-name: tests.session.test_journal -*-
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
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from twisted.logger import Logger

from .branches import (
    Conflict,
    Path,
    Stamp,
    Stamps,
    covers,
    differences,
    graft,
    numberOf,
    valueAt,
)
from .merge import Same, isNumber, same
from .silence import Silence
from .versions import Memory, Version, weigh
from .writes import MOST, Branch, Run, Write, Writes, run


__all__ = [
    "STAMP",
    "Journal",
    "Stamps",
    "stampList",
    "stampsIn",
]

STAMP: Final = "_sessionsock"
"""
Under which key of a session the L{Stamps} are, as lists; the last numbers are
left out where they are what most stamps have.
"""

_MOST_STAMPS = 100
"""
How many stamps are left in a session at most: the youngest.
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
    for node, listed in stamps.items():
        match listed:
            case [int(number), int(at) | float(at)]:
                own, bare, empty = number, 0, 0
            case [int(number), int(at) | float(at), int(own)]:
                bare, empty = 0, 0
            case [int(number), int(at) | float(at), int(own), int(bare)]:
                empty = 0
            case [int(number), int(at) | float(at), int(own), int(bare), int(empty)]:
                pass
            case _:
                continue
        stamp = Stamp(number, at, own, bare, empty)
        if isinstance(node, str) and number and all(map(_makesSense, stamp)):
            found[node] = stamp
    return found


def _makesSense(number: object) -> bool:
    return isNumber(number) and 0 <= number < _TOO_LARGE


def stampList(stamps: Stamps) -> dict[str, list[int | float]]:
    """
    @return: What to put into a session.
    """
    return {node: _listOf(stamp) for node, stamp in stamps.items()}


def _listOf(stamp: Stamp) -> list[int | float]:
    if stamp.empty:
        return list(stamp)
    if stamp.bare:
        return list(stamp[:4])
    return list(stamp[:2] if stamp.own == stamp.number else stamp[:3])


_NONE: Final[deque[Version]] = deque(maxlen=0)
"""
The versions of a session that was not changed for a while.  An empty deque takes 760
bytes, and there are many sessions, so all have this one, into which nothing can be
put.
"""

_NOWHERE: Final[Mapping[Path, tuple[Any, Any]]] = MappingProxyType({})


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
        self._writes = Writes(window, same)
        self._lastBare = 0
        self._lastEmpty = 0
        # Whether nodes wrote nothing since somebody else emptied it.
        self._isEmptied = False
        # Whether it was empty when it was loaded, and is still that.
        self._isFoundEmpty = False
        self._isStamped = False
        self._versions = _NONE
        self._latest = Version({}, {})
        # The highest stamps of all that was seen.
        self._known: Stamps = {}
        # What was stored and not accepted, until what is missing is stored.
        self._branches: tuple[Version, ...] = ()
        self._changed: Mapping[Path, tuple[Any, Any]] = _NOWHERE
        self._branchedAt = 0.0
        self._stamps: Stamps = {}
        # L{None} as long as nothing of other nodes is missing.
        self._silence: Silence | None = None
        # Until then, copies were taken that have no stamps, as far as we know.
        self._bareUntil = now
        # Which other nodes have not written since a web application did, and
        # whether any has.
        self._unheard: Collection[str] = ()
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
        own = self._writes.last if isRepair else number
        isBare = self._isStamped and not (self._latest, *self._branches)[-1].stamps
        bare = number if isBare else self._lastBare
        isEmpty = self._isEmptied or self._isFoundEmpty
        empty = number if isEmpty else self._lastEmpty
        return {**stamps, self._node: Stamp(number, int(now), own, bare, empty)}

    def wrote(self, write: Write, now: float) -> None:
        """
        An attempt succeeded.
        """
        if self._node is None:
            return
        self._trim(now)
        before, data, same = write.before, write.after, self._same
        changed = differences(before, data, same)
        for path in self._writes.add(write, changed, now):
            if self._silence is not None:
                self._silence.superseded(path)
        _, _, _, self._lastBare, self._lastEmpty = write.stamps[self._node]
        self._isEmptied = False
        version = Version(write.stamps, data, weigh(data, self._latest.data or {}))
        # Also what is as a branch had it, which may have been overwritten.
        version.places = {p: (valueAt(before, p), v) for p, v in changed.items()}
        self._accept(version, now, before)

    def found(self, write: Write, now: float) -> None:
        """
        An attempt succeeded that had been given up.  What is stored now shows it:
        its writer had that attempt in its copy.
        """
        if self._node is not None:
            changed = differences(write.before, write.after, self._same)
            self._writes.add(write, changed, now)

    def missed(self, now: float, since: float) -> None:
        """
        The session was changed, and versions may have come and gone of which
        nobody told.  Who took a copy of these may drop any write.

        @param since: See L{repaired}.
        """
        self._writes.trim(since)
        self._writes.prolong(now)

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
        return self._writes.until()

    def seen(self, data: dict[str, Any], stamps: Stamps, now: float) -> None:
        """
        A session is loaded that this node did not have, or that is not what it
        was: it belongs to somebody else, or was reset on purpose.
        """
        self._memory.note(stamps, now)
        # What another node wrote of it may have been emptied before this one came.
        self._lastEmpty, self._isEmptied, self._isFoundEmpty = 0, False, not data
        for version in self._versions:
            self._memory.forget(version)
        self._versions = _NONE
        self._writes.clear()
        self._branches = ()
        self._changed = _NOWHERE
        self._silence = None
        self._latest = Version(stamps, data, isFirst=True)
        self._known = stamps
        self._unheard = {*stamps} - {self._name} or ()
        self._isHeard = not self._unheard
        self._isStamped = bool(stamps)
        self._stamps = stamps

    def end(self) -> None:
        """
        Do nothing again.
        """
        self._writes.clear()

    def _accept(
        self, version: Version, now: float, before: dict[str, Any] | None = None
    ) -> None:
        """
        A version is what is stored, and nothing is missing in it.

        @param before: From what its places are known to differ.
        """
        last = (self._latest, *self._branches)[-1]
        changed = self._relate(version, last, before)
        # Requests may have begun with branches, too.
        for each in (*self._branches, version):
            replaced, self._latest = self._latest, each
            replaced.replaced = now
            if self._versions is _NONE:
                self._versions = deque()
            self._versions.append(replaced)
            self._memory.keep(replaced)
            self._take(each.stamps, now)
        self._branches = ()
        self._writes.supersede(version.data, {**self._changed, **changed})
        self._changed = _NOWHERE
        while len(self._versions) > MOST:
            self._memory.forget(self._versions.popleft())
        self._wasStored(version.stamps, now)

    def _wasStored(self, stamps: Stamps, now: float) -> None:
        silence = self._silence
        if silence is not None:
            silence.stored(stamps, now)
            if silence.due() is None:
                self._silence = None

    def _relate(
        self,
        version: Version,
        replaced: Version,
        before: dict[str, Any] | None = None,
    ) -> dict[Path, tuple[Any, Any]]:
        """
        Find out who wrote a version, and what that changed.

        @param replaced: What was stored before, as far as is known.

        @param before: From what its places are known to differ.

        @return: Where it differs, and what was and is there.
        """
        self._isStamped = self._isStamped or bool(version.stamps)
        self._isFoundEmpty = False
        self._attribute(version)
        differing = version.places
        if before is None or replaced.data is not before:
            differing = {**self._differing(replaced, version), **differing}
        if version.writers:
            version.places = differing
        elif covers(replaced.stamps, version.stamps):
            version.foreign = differing.keys()
        # Otherwise it is a younger copy than that which it replaced: what nodes had
        # written, and that had dropped, is back.
        return differing

    def _differing(
        self, before: Version, version: Version
    ) -> dict[Path, tuple[Any, Any]]:
        """
        @return: Where a version differs, and what was and is there.
        """
        old, new = before.data or {}, version.data or {}
        return {
            path: (valueAt(old, path), value)
            for path, value in differences(old, new, self._same).items()
        }

    def _attribute(self, version: Version) -> None:
        """
        Find out which nodes wrote a version: not those whose writes were put
        back in it.
        """
        newer = {
            node: stamp
            for node, stamp in version.stamps.items()
            if stamp.number > numberOf(self._known, node)
        }
        version.writers = frozenset(newer)
        version.base = self._known
        self._known = {**self._known, **newer}
        if version.writers - {self._name}:
            self._isEmptied = False
            self._unheard = {*self._unheard} - version.writers or ()
            self._isHeard = True

    def _take(self, stamps: Stamps, now: float) -> None:
        if not self._stamps:
            self._bareUntil = now
        self._stamps = stamps

    def _trim(self, now: float) -> None:
        if self._branches:
            # What was known then is needed until the repair is stored.
            now = min(now, self._branchedAt)
        self._writes.trim(now)
        # And until it is clear what of a silent node's has to be put back.
        if self._silence is not None:
            now = min(now, self._silence.began)
        versions = self._versions
        while versions and now - versions[0].replaced > self._window:
            self._memory.forget(versions.popleft())
        if not versions:
            self._versions = _NONE

    @property
    def isRemembering(self) -> bool:
        """
        Whether there is something to forget after a while.
        """
        return bool(self._versions) or len(self._writes) > 0

    def forgetOld(self, now: float) -> None:
        """
        Nothing may happen to the session for hours: forget now what would be
        forgotten at its next change.
        """
        if not self._branches and self._silence is None:
            self._trim(now)

    def repaired(
        self,
        theirs: dict[str, Any],
        stamps: Stamps,
        now: float,
        run: Run = run,
        since: float | None = None,
    ) -> dict[str, Any]:
        """
        Somebody else wrote the session: see what nodes wrote and is not in it.

        @param theirs: What is stored now, without its stamps; not changed.
            It belongs to the same person as before.

        @param run: See L{run}.  What it raises is logged.

        @param since: Since when it may have been so at the earliest, if not just now.
            What was remembered then counts.

        @return: What should be stored: C{theirs} itself, if that is that.
        """
        since = now if since is None else since
        self._memory.note(stamps, now)
        if self._node is None:
            self._latest = Version(stamps, theirs)
            self._stamps = stamps
            return theirs
        self._trim(since)
        if any(
            stamp.bare > numberOf(self._latest.stamps, n) for n, stamp in stamps.items()
        ):
            # Another node saw a version without stamps.
            self._bareUntil = now
        isBare = not stamps and since - self._bareUntil > self._window
        # Another node saw an empty version, and wrote before this one saw it.
        wasEmpty = any(s.empty > numberOf(self._known, n) for n, s in stamps.items())
        if not theirs or isBare or wasEmpty:
            # An empty session, or one without any stamp, was reset on purpose.
            # Exception: the writer's copy may be older than our first stamp.
            self._take(stamps, now)
            self.seen(theirs, stamps, now)
            self._isEmptied = not theirs
            return theirs
        if not self._latest.stamps.keys() <= stamps.keys():
            # This version lacks a stamp of the latest: its writer may have
            # begun with a copy that had no stamps.
            self._bareUntil = now
        version = Version(stamps, theirs, weigh(theirs, self._latest.data or {}))
        if not self.isNews(stamps):
            nodes = {*stamps} | {*self._latest.stamps}
            self._unheard = nodes - {self._name} or ()
            self._isHeard = not self._unheard
        if not covers(stamps, self._latest.stamps):
            repaired, joined, isAll = self._mended(version, now, run, since)
            self._listen(version, joined, now)
            if not (isAll and self._same(repaired, theirs)):
                if not self._branches:
                    self._branchedAt = now
                last = (self._latest, *self._branches)[-1]
                changed = self._relate(version, last)
                self._changed = {**self._changed, **changed}
                self._branches = (*self._branches, version)
                self._take(joined, now)
                return dict(repaired)
        self._accept(version, now)
        return theirs

    def _mended(
        self,
        branch: Version,
        now: float,
        run: Run,
        since: float,
    ) -> tuple[dict[str, Any], Stamps, bool]:
        """
        @return: What should be stored, the stamps that it has, and whether no
            write of this node is missing.  Else this node has to leave its stamp
            again, also where nothing has to be put back, or it would not notice
            when somebody brings back the first half of what it did.
        """
        data, stamps, latest = branch.data or {}, branch.stamps, self._latest
        last, isStamped = numberOf(stamps, self._name), bool(stamps)
        missing = self._writes.missing(last, now, since, isStamped=isStamped)
        if covers(latest.stamps, stamps) and (isStamped or missing):
            twins, later = self._descent(stamps)
            try:
                if twins:
                    places = self._places(twins[-1], later)
                    mended = graft(data, latest.data or {}, places, twins, self._same)
                    return mended, {**stamps, **latest.stamps}, not missing
            except Conflict:
                pass
        isUnseen = self._isUnseen(stamps)
        found = Branch(
            data, latest.data or {}, self._wasSeen, isUnseen, isStamped, last
        )
        return self._writes.again(found, missing, run), stamps, not missing

    def _places(self, base: dict[str, Any], later: Sequence[Version]) -> list[Path]:
        """
        @param later: The versions since C{base}.

        @return: Where nodes changed something, as far as is known: not all
            versions were seen.
        """
        theirs = {path for version in later for path in version.foreign}
        # Also before that: what was dropped may have been put back unseen.
        every = (*self._versions, self._latest)
        ours = {path for version in every for path in version.places}
        changed = differences(base, later[-1].data or {}, self._same)
        return [path for path in changed if path in ours or path not in theirs]

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

    def _isUnseen(self, stamps: Stamps) -> bool:
        """
        Whether a web application's copy with some stamps is of a version that this
        node certainly did not see: it came later, or another node wrote the next
        one before it looked.
        """
        if not stamps or not covers(self._latest.stamps, stamps):
            # That there are none tells nothing; or another node wrote since.
            return False
        every = (*self._versions, self._latest)
        if any(_areEqual(version.stamps, stamps) for version in every):
            return False
        # What was seen before the oldest that is remembered is not known any more.
        return every[0].isFirst or covers(stamps, every[0].stamps)

    def _wasSeen(self, path: Path, value: Any) -> bool:
        return any(
            version.data is not None and self._same(valueAt(version.data, path), value)
            for version in (*self._versions, self._latest)
        )

    # Nodes that are dead.

    def _listen(self, branch: Version, joined: Stamps, now: float) -> None:
        """
        See whether other nodes' writes are missing in a branch.
        """
        twins, later = self._descent(branch.stamps)
        every = [*self._versions, self._latest]
        silence = self._silence
        if silence is None:
            silence = Silence(self._name, self._same, self._window)
            self._silence = silence
        silence.find(
            branch,
            # What nodes wrote on another branch may be missing in this one.
            [*later, *self._branches],
            self._wasSeen,
            isAll=bool(twins),
            earlier=every[: -len(later)],
            isCounted=self._writes.isCounted,
        )
        for path, value in self._writes.assigned():
            if self._same(valueAt(self._latest.data, path), value):
                silence.superseded(path)
        self._wasStored(joined, now)

    def silent(self) -> float | None:
        """
        @return: When a node will have been silent for too long, in seconds since
            the epoch; L{None} if none is.
        """
        return None if self._silence is None else self._silence.due()

    def takenOver(self, now: float) -> dict[str, Any] | None:
        """
        See to what nodes wrote that are silent for too long.

        @return: What should be stored; L{None} if that is that.
        """
        if self._branches or self._silence is None:
            # What is stored is not known until it is repaired; or nothing of others
            # is missing.
            return None
        versions = [*self._versions, self._latest]
        found = self._silence.takenOver(versions, now, self._writes.isCounted)
        if found is None:
            return None
        data, stamps = found
        self._take(stamps, now)
        return data


def _areEqual(one: Stamps, other: Stamps) -> bool:
    return covers(one, other) and covers(other, one)
