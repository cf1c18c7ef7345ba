# -*- test-case-name: tests.session.test_changes -*-
"""
The data of a session while it is used: what was changed, and what becomes of
the changes when they are stored or somebody else was first.

Three versions exist at a time: the one that handlers change, the one as it was
when we last looked for changes, and the one that is stored.  The latter two
are never changed in place, so they can share their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from txsessionsock._foreign import Foreign, Notation, ofType
from txsessionsock.interfaces import IncrementError, SessionReadOnly

from ._references import isReferredTo
from .merge import (
    ATOMS,
    MISSING,
    Same,
    adapted,
    detached,
    fingerprint,
    isMarkedAlike,
    isNumber,
    merge,
    renewed,
    same,
)


__all__ = ["Flight", "FrozenCopy", "WorkingCopy", "uncopyable"]

_NO_CHANGES: tuple[Sequence[str], Mapping[str, Foreign]] = ((), {})


@dataclass
class Flight:
    """
    One attempt to store a session.

    @ivar base: The data as stored when it began, and C{origin}, as collected.

    @ivar data: The data to be stored: C{origin} and what updates made of it.

    @ivar number: The number of the last change that is in it.

    @ivar increments: By how much which keys were incremented since the last
        attempt.

    @ivar plain: Which keys got another value by assignment or deletion since
        the last attempt.
    """

    base: dict[str, Any] = field(repr=False)
    origin: dict[str, Any] = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    number: int
    increments: dict[str, int | float] = field(repr=False)
    plain: dict[str, None] = field(repr=False)


class _Nothing(dict[str, Any]):
    """
    A dictionary for all who have nothing in theirs.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("this is shared by all sessions")


_NOTHING: Final = _Nothing()

_UNTOUCHED: Final = frozenset(1 << power for power in range(1, 30))
"""
After how many looks at a value that nobody asked for since to see whether anybody still
has it.  That takes as long as some of these looks.
"""


class WorkingCopy:
    """
    The data of one live session, and how it came to differ from what is
    stored.

    @ivar data: The data that handlers change.

    @ivar number: Counts changes; each L{collect} that finds one adds one.

    @ivar isTouched: Whether somebody has set or deleted a key, or has got a
        value that can be changed in place, since the last L{collect}.

    @ivar suspects: The keys with whose values L{collect} may find something, in
        the order in which they were set, so that new ones are stored in that order; and
        how often it found nothing since somebody set one, or got its value.  Who got a
        value that can be changed in place may have it still.
    """

    def __init__(self, stored: dict[str, Any], same: Same = same) -> None:
        """
        @param stored: The data as stored.  It becomes the copy's own.

        @param same: Whether two values are one to all who store them.  What a
            handler changed is compared by value and type.
        """
        self._isSame = same
        self.data: dict[str, Any] = detached(stored)
        self.number = 0
        self.isTouched = False
        self._stored = stored
        # As it is stored, until there is another value in it.
        self._seen = stored
        self._ownsSeen = False
        # Most sessions are not touched most of the time: see _begin().
        self.suspects: dict[str, int] = _NOTHING
        # The fingerprints of values in _seen that were the same when they were last
        # looked at.
        self._marks: dict[str, bytes] = _NOTHING
        # Keys that were assigned or counted since the last L{collect}, which
        # finds out whether they have other values because of it.  No sets: these
        # take 216 bytes when they are empty, and dictionaries 64.
        self._assigned: dict[str, None] = _NOTHING
        self._counted: dict[str, int | float] = _NOTHING
        self._increments: dict[str, int | float] = _NOTHING
        self._plain: dict[str, None] = _NOTHING

    def _begin(self) -> None:
        """
        Something is touched for the first time.
        """
        if self.suspects is _NOTHING:
            self.suspects, self._marks, self._assigned = {}, {}, {}
            self._counted, self._increments, self._plain = {}, {}, {}

    def get(self, key: str) -> Any:
        """
        Read one key, and remember it if its value can be changed in place.
        """
        value = self.data[key]
        if type(value) not in ATOMS:
            self._begin()
            self.suspects[key] = 0
            self.isTouched = True
        return value

    def assign(self, key: str, value: Any) -> None:
        """
        Set one key.
        """
        self.data[key] = value
        # As _wasAssigned does it: for one call less, each time that a key is set.
        if self.suspects is _NOTHING:
            self._begin()
        self.isTouched = True
        self.suspects[key] = 0
        self._assigned[key] = None
        if self._counted:
            self._counted.pop(key, None)

    def delete(self, key: str) -> None:
        """
        Remove one key.
        """
        del self.data[key]
        self._wasAssigned(key)

    def _wasAssigned(self, key: str) -> None:
        self._begin()
        self.isTouched = True
        self.suspects[key] = 0
        self._assigned[key] = None
        self._counted.pop(key, None)

    def increment(self, key: str, by: int | float) -> int | float:
        """
        Add to a number, in a way that merges by adding.
        """
        value = self.data.get(key, 0)
        if not (isNumber(value) and isNumber(by)):
            raise IncrementError(f"cannot increment {key!r}: it holds no number")
        self.data[key] = value + by
        self._begin()
        self.isTouched = True
        self.suspects[key] = 0
        if key not in self._assigned:
            self._counted[key] = self._counted.get(key, 0) + by
        return value + by

    def collect(self) -> tuple[Sequence[str], Mapping[str, Foreign]]:
        """
        Look for changes made since the last time.

        @return: The keys that have another value than then, and those with
            values that cannot even be copied, such as a list that contains
            itself or something that is equal to nothing else, with what it is;
            these have the values they had then.
        """
        if not self.suspects:
            return _NO_CHANGES
        self.isTouched = False
        changed, uncopied = [], {}
        for key in list(self.suspects):
            value = self.data.get(key, MISSING)
            before = self._seen.get(key, MISSING)
            kind = type(value)
            if kind in ATOMS:
                # What most keys have: nothing in it can change, and nothing is copied.
                del self.suspects[key]
                if self._marks:
                    self._marks.pop(key, None)
                isOther = kind is not type(before)
                if isOther or (value != before and not same(value, before)):
                    self._note(key, value)
                    changed.append(key)
                continue
            if key in self._marks:
                if fingerprint(value) == self._marks[key]:
                    value = before = None
                    self._unchanged(key)
                    continue
                # Nor is there one next time: a list that grows with each message is
                # looked at twice, and not three times.
                del self._marks[key]
            try:
                copy = renewed(value, before)
                if copy is not before:
                    self._note(key, copy)
                    changed.append(key)
                elif (mark := fingerprint(value)) is not None:
                    self._marks[key] = mark
            except Exception:
                uncopied[key] = uncopyable(key, value)
                self._put(key, before)
        self._assigned.clear()
        self._counted.clear()
        if changed or uncopied:
            self.number += 1
        return changed, uncopied

    def _unchanged(self, key: str) -> None:
        """
        A value was looked at that had not changed.  When nobody has it any more, it
        cannot change until somebody gets it again.
        """
        self.suspects[key] += 1
        if self.suspects[key] in _UNTOUCHED and not isReferredTo(self.data, key):
            del self.suspects[key]

    def _note(self, key: str, value: Any) -> None:
        self._see(key, value)
        if key in self._assigned:
            self._plain[key] = None
            self._increments.pop(key, None)
        elif key in self._counted and key not in self._plain:
            by = self._increments.get(key, 0) + self._counted[key]
            self._increments[key] = by

    def _see(self, key: str, value: Any) -> None:
        if not self._ownsSeen:
            self._seen, self._ownsSeen = dict(self._seen), True
        if value is MISSING:
            self._seen.pop(key, None)
        else:
            self._seen[key] = value

    def _put(self, key: str, value: Any) -> None:
        if value is MISSING:
            self.data.pop(key, None)
        else:
            self.data[key] = detached(value)

    def differs(self, data: dict[str, Any] | None = None) -> bool:
        """
        Whether what was collected is other than what is stored.

        @param data: What to look at instead of what was collected.
        """
        return not same(self._seen if data is None else data, self._stored)

    def settle(self) -> None:
        """
        What was collected equals what is stored: nothing is to be stored.
        """
        self._increments.clear()
        self._plain.clear()

    @property
    def stored(self) -> dict[str, Any]:
        """
        The data as stored, not to be changed.
        """
        return self._stored

    @property
    def collected(self) -> dict[str, Any]:
        """
        The data as collected, not to be changed.
        """
        return self._seen

    def snapshot(self) -> dict[str, Any]:
        """
        A detached copy of the data as collected.
        """
        copy: dict[str, Any] = detached(self._seen)
        return copy

    def begin(self, data: dict[str, Any] | None = None) -> Flight:
        """
        Take what was collected, to store it.

        @param data: What is to be stored, if it is more than that.
        """
        origin = dict(self._seen)
        flight = Flight(
            self._stored,
            origin,
            origin if data is None else data,
            self.number,
            self._increments,
            self._plain,
        )
        self._increments, self._plain = {}, {}
        return flight

    def landed(self, flight: Flight) -> list[str]:
        """
        An attempt succeeded.  Everything is to be collected before.

        @return: The keys that have another value now, because the attempt
            stored more than was collected.
        """
        self._stored = flight.origin
        if flight.data is flight.origin:
            return []
        return self.rebase(flight.data)[0]

    def back(self, flight: Flight) -> None:
        """
        An attempt stored nothing: its changes are still to be stored.
        """
        self._begin()
        self._plain |= flight.plain
        for key, by in flight.increments.items():
            self._increments[key] = self._increments.get(key, 0) + by
        for key in self._plain:
            self._increments.pop(key, None)

    def landedLate(self, flight: Flight) -> list[str]:
        """
        An attempt that was taken L{back} succeeded after all.

        @return: See L{landed}.
        """
        self.found(flight)
        return self.landed(flight)

    def found(self, flight: Flight) -> None:
        """
        An attempt that was taken L{back} succeeded after all: its increments
        are in what somebody else has stored since.
        """
        for key, by in flight.increments.items():
            if key in self._increments:
                self._increments[key] -= by

    def forget(self, flight: Flight) -> None:
        """
        Nobody can tell whether an attempt succeeded.  Keep its assignments,
        which do no harm if they are stored twice.  Give up its increments, which
        would be added twice.
        """
        lost, flight.increments = flight.increments, {}
        for key, by in lost.items():
            if key in self._plain or key in flight.plain:
                continue
            known = key in self._stored or key in self._increments
            self._take(key, self._seen[key] - by if known else MISSING)

    def revert(self, keys: Iterable[str]) -> list[str]:
        """
        Give some keys their stored values again.

        @return: Those that had others.
        """
        changed, isTangled = [], False
        for key in keys:
            self._increments.pop(key, None)
            self._plain.pop(key, None)
            stored = self._stored.get(key, MISSING)
            if not same(self._seen.get(key, MISSING), stored):
                changed.append(key)
                isTangled |= self._take(key, stored)
        if isTangled:
            self._untangle()
        return changed

    def rebase(
        self, theirs: dict[str, Any], *, deletionsWin: bool = False
    ) -> tuple[list[str], list[str]]:
        """
        Merge with what somebody else stored.  Everything is to be collected
        before, and no attempt under way.

        @param theirs: What is stored now.  It becomes the copy's own.

        @param deletionsWin: See L{merge}.

        @return: The keys that have another value now, and those that could
            not be incremented, because they hold no number any more.
        """
        isSame = self._isSame
        merged = merge(
            self._stored, self._seen, theirs, deletionsWin=deletionsWin, isSame=isSame
        )
        notNumbers = []
        for key, by in list(self._increments.items()):
            count = theirs.get(key, 0)
            if isNumber(count):
                merged[key] = count + by
            else:
                notNumbers.append(key)
                del self._increments[key]
                merged[key] = count
        changed = [
            key
            for key in (*merged, *(key for key in self._seen if key not in merged))
            if not isSame(merged.get(key, MISSING), self._seen.get(key, MISSING))
        ]
        self._stored = theirs
        isTangled = False
        for key in changed:
            isTangled |= self._take(key, merged.get(key, MISSING))
        if isTangled:
            self._untangle()
        self._plain = {
            key: None
            for key in self._plain
            if not same(self._seen.get(key, MISSING), theirs.get(key, MISSING))
        }
        return changed, notNumbers

    def _take(self, key: str, value: Any) -> bool:
        """
        Set a key without this being a change of ours.

        @return: Whether its value was changed in place, which may be at another key,
            too.
        """
        self._marks.pop(key, None)
        self._see(key, value)
        if value is MISSING:
            self.data.pop(key, None)
            return False
        held = self.data.get(key, MISSING)
        self.data[key] = adapted(held, value)
        return self.data[key] is held and type(held) not in ATOMS

    def _untangle(self) -> None:
        """
        Undo what taking over one key did to another, if one and the same
        dictionary or list was at two places.
        """
        for key, value in self._seen.items():
            held = self.data.get(key, MISSING)
            # Most are, and of most this tells it at once.
            if not (isMarkedAlike(held, value) or same(held, value)):
                self.data[key] = detached(value)


def _isCopied(value: object) -> Foreign | None:
    try:
        return None if same(value, detached(value)) else ofType(value)
    except Exception:
        return ofType(value)


_COPIED = Notation({}, plain=(bytes, float, int, str), other=_isCopied)


def uncopyable(key: str, value: object) -> Foreign:
    try:
        found = _COPIED.find(value)
    except RecursionError:
        found = None
    return (found or Foreign("nested too deeply, or contains itself")).within(key)


class FrozenCopy(WorkingCopy):
    """
    The data of a session that nobody here can store.  What is changed within
    its values comes to light when that is tried.
    """

    def assign(self, key: str, value: Any) -> None:
        raise SessionReadOnly

    def delete(self, key: str) -> None:
        raise SessionReadOnly

    def increment(self, key: str, by: int | float) -> int | float:
        raise SessionReadOnly
