# -*- test-case-name: tests.test_journal -*-
"""
What this node wrote to a session lately, and what somebody else dropped of it.

Express, Django, Flask and PHP write whole sessions, as they were when a request
began, with what that request changed.  What a socket stored meanwhile is gone
then.  So each node leaves a stamp in the sessions that it writes: whoever writes
from a copy that had the write has its stamp too, and whoever does not, has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

from ._merge import MISSING, isNumber, merge, same


__all__ = ["STAMP", "Journal", "Stamps", "stampsIn"]

STAMP: Final = "_sessionsock"
"""
Under which key of a session the stamps are: for each node the number of its
last write and when that was, in seconds since the epoch.
"""

Stamps = Mapping[str, tuple[int, float]]

_STAMP_LIFETIME = 3600.0
"""
For how many seconds the stamp of another node is kept: longer than anybody's
clock is wrong, since a node whose stamp is dropped makes its writes again.
"""

_PERSISTENCE = 60.0
"""
For how many seconds writes are made again that somebody drops with the stamps.
"""

_MOST_ENTRIES = 5000
"""
How many writes are remembered at most: they would pile up as long as somebody
goes on writing an old copy.
"""

_MOST = 2**53
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
    found: dict[str, tuple[int, float]] = {}
    for node, stamp in stamps.items():
        match stamp:
            case [int(number), int(at) | float(at)] if _makesSense(node, number, at):
                found[node] = number, at
    return found


def _makesSense(node: object, number: int, at: float) -> bool:
    isReal = isinstance(node, str) and isNumber(number) and isNumber(at)
    return isReal and 0 < number < _MOST and 0 <= at < _MOST


@dataclass(frozen=True, slots=True)
class _Entry:
    """
    One write.

    @ivar before: What was stored of what may have been changed.

    @ivar after: What is stored of that.

    @ivar at: When it was made, or made again.

    @ivar since: When it was made first.
    """

    number: int
    at: float
    since: float
    before: dict[str, Any] = field(repr=False)
    after: dict[str, Any] = field(repr=False)
    increments: Mapping[str, int | float] = field(repr=False)


class Journal:
    """
    The writes of one node to one session.
    """

    def __init__(
        self,
        node: str | None,
        window: float = 5.0,
        now: float = 0.0,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """
        @param node: What tells this node from others, and from itself before
            it was started anew; L{None} for one that repairs nothing and
            leaves the stamps of others as they are.

        @param window: For how many seconds a write is remembered, since it was
            last made.

        @param now: When the session was loaded.

        @param numbers: Each larger than all that the node has ever left in
            this session; from 1 unless it had the session before.
        """
        self._node = node
        self._window = window
        self._numbers = count(1) if numbers is None else numbers
        self._entries: deque[_Entry] = deque(maxlen=_MOST_ENTRIES)
        self._stamps: Stamps = {}
        # Until then, copies were taken that have no stamps, as far as we know.
        self._bareUntil = now

    def begin(self) -> int:
        """
        @return: The number of an attempt to write.
        """
        return next(self._numbers)

    def stamped(self, data: dict[str, Any], number: int, now: float) -> dict[str, Any]:
        """
        @return: What to store: the data, and the stamps.
        """
        if self._node is None:
            stamps = {node: list(stamp) for node, stamp in self._stamps.items()}
            return {**data, STAMP: stamps} if stamps else data
        stamps = {
            node: [number, at]
            for node, (number, at) in self._stamps.items()
            if abs(now - at) < _STAMP_LIFETIME
        }
        # A whole number, since PHP writes others its own way, also who only reads.
        return {**data, STAMP: {**stamps, self._node: [number, int(now)]}}

    def wrote(
        self,
        number: int,
        before: dict[str, Any],
        after: dict[str, Any],
        increments: Mapping[str, int | float],
        now: float,
    ) -> None:
        """
        An attempt succeeded.

        @param before: What was stored, not to be changed any more; C{after}
            likewise.  The difference is what this node changed.

        @param increments: Which of that is not another value, but so much
            more.
        """
        if self._node is None:
            return
        while self._entries and not self._isRecent(self._entries[0], now):
            self._entries.popleft()
        entry = _Entry(
            number,
            now,
            now,
            _unlike(before, after),
            _unlike(after, before),
            increments,
        )
        self._entries.append(entry)
        self._see({**self._stamps, self._node: (number, now)}, now)

    def last(self, stamps: Stamps) -> int | None:
        """
        @return: The number of the last attempt that is in what is stored now, 0
            for none; L{None} if nobody can tell.
        """
        if self._node is None or (self._stamps and not stamps):
            return None
        return stamps.get(self._node, (0, 0.0))[0]

    def until(self) -> float:
        """
        @return: Until when a write is remembered, in seconds since the epoch.
        """
        return self._entries[-1].at + self._window if self._entries else 0.0

    def seen(self, stamps: Stamps) -> None:
        """
        A session is loaded that this node did not have, or that belongs to
        somebody else than before.
        """
        self._stamps = stamps
        self._entries.clear()

    def _see(self, stamps: Stamps, now: float) -> None:
        if not self._stamps:
            self._bareUntil = now
        self._stamps = stamps

    def repaired(
        self, theirs: dict[str, Any], stamps: Stamps, now: float
    ) -> dict[str, Any]:
        """
        Somebody else wrote the session: see what of ours is not in it.

        @param theirs: What is stored now, without its stamps; not changed.
            It belongs to the same person as before.

        @return: What should be stored: C{theirs} itself, if that is that.
        """
        last = stamps.get(self._node or "", (0, 0.0))[0]
        # Who emptied the session, or made it anew, meant it; so did who dropped
        # all stamps, unless the copy may be so old that there were none.
        isBare = not stamps and now - self._bareUntil > self._window
        self._see(stamps, now)
        if not theirs or isBare:
            self._entries.clear()
            return theirs
        lost = self._takeAfter(last, now)
        if not lost:
            return theirs
        known = {} if stamps else _countsIn(lost, theirs)
        repaired = dict(theirs)
        for entry in lost:
            _again(entry, repaired, known)
        # Whoever took a copy meanwhile will drop it again; but somebody who
        # drops all stamps each time is to have it in the end.
        self._entries.extend(
            replace(entry, at=now)
            if stamps or now - entry.since < _PERSISTENCE
            else entry
            for entry in lost
        )
        return repaired

    def _takeAfter(self, last: int, now: float) -> list[_Entry]:
        """
        Take out the writes later than one, without those that are too old.
        """
        taken = []
        while self._entries and self._entries[-1].number > last:
            entry = self._entries.pop()
            if self._isRecent(entry, now):
                taken.append(entry)
        return taken[::-1]

    def _isRecent(self, entry: _Entry, now: float) -> bool:
        return now - entry.at <= self._window


def _unlike(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """
    What of one version may differ from the other: values that were not changed
    are those of both.
    """
    return {
        key: value for key, value in one.items() if other.get(key, MISSING) is not value
    }


def _countsIn(entries: list[_Entry], theirs: dict[str, Any]) -> dict[str, int]:
    """
    See by the counts which writes somebody had who left no stamps.

    @return: For each count that is as we left it, after which write that was.
    """
    return {
        key: entry.number
        for entry in entries
        for key in entry.increments
        if key in theirs and same(theirs[key], entry.after.get(key, MISSING))
    }


def _again(entry: _Entry, data: dict[str, Any], known: Mapping[str, int]) -> None:
    """
    Make the changes of a write once more, where a value is what it was before.

    @param known: See L{_countsIn}.
    """
    keys = [key for key in entry.before | entry.after if key not in entry.increments]
    there = {key: data[key] for key in keys if key in data}
    # As if theirs were the change and ours what was there: theirs wins.
    merged = merge(entry.before, there, entry.after, deletionsWin=True)
    for key in keys:
        if key in merged:
            data[key] = merged[key]
        else:
            data.pop(key, None)
    for key, by in entry.increments.items():
        count = data.get(key, 0)
        if isNumber(count) and entry.number > known.get(key, 0):
            data[key] = count + by
