# -*- test-case-name: tests.session.test_branches -*-
"""
Two versions of a session that descend from one: what differs between them, and
bringing into one what was changed in the other.

A place in a session is a path: a key, and further keys where nested
dictionaries are.  Nothing here changes its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .merge import MISSING, Same, isNumber


__all__ = [
    "Conflict",
    "Path",
    "Stamp",
    "Stamps",
    "added",
    "covers",
    "differences",
    "graft",
    "numberOf",
    "put",
    "valueAt",
]

Path = tuple[Any, ...]


class Stamp(NamedTuple):
    """
    What a node leaves in a session that it writes.

    @ivar number: Counts its writes, in all sessions.

    @ivar at: When that was, in seconds since the epoch, by its clock.

    @ivar own: The number of its last write that was a change of its own, rather
        than a repair.

    @ivar bare: The number of its last repair of a version without any stamps; 0
        for none.

    @ivar empty: The number of its last write into a session that somebody else had
        emptied; 0 for none.
    """

    number: int
    at: float
    own: int
    bare: int = 0
    empty: int = 0


Stamps = Mapping[str, Stamp]


class Conflict(Exception):
    """
    One and the same place was changed on both sides.
    """


def covers(one: Stamps, other: Stamps) -> bool:
    """
    Whether a version with the stamps C{one} has all that was in one with
    C{other}.
    """
    return all(
        node in one and one[node].number >= stamp.number
        for node, stamp in other.items()
    )


def numberOf(stamps: Stamps, node: str) -> int:
    """
    @return: The number of the last write of a node; 0 for none.
    """
    return stamps[node].number if node in stamps else 0


def valueAt(data: Any, path: Path) -> Any:
    """
    What is at a place; C{MISSING} if nothing is.
    """
    for key in path:
        if type(data) is not dict:
            return MISSING
        data = data.get(key, MISSING)
    return data


def put(data: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """
    @return: A version that has a value at a place, or nothing there if it is
        C{MISSING}.  A dictionary that the place needs is made; where something
        else is in its way, that stays.
    """
    key, *rest = path
    if rest:
        inner = data.get(key, MISSING)
        if inner is MISSING and value is not MISSING:
            inner = {}
        if type(inner) is not dict:
            return data
        value = put(inner, tuple(rest), value)
    if value is MISSING:
        return {k: v for k, v in data.items() if k != key}
    return {**data, key: value}


def differences(one: Any, other: Any, same: Same, path: Path = ()) -> dict[Path, Any]:
    """
    @return: The smallest places where two versions differ, and what C{other}
        has there.
    """
    found: dict[Path, Any] = {}
    for key in (*other, *(key for key in one if key not in other)):
        was, now = one.get(key, MISSING), other.get(key, MISSING)
        if was is now or same(was, now):
            continue
        here = (*path, key)
        if type(now) is dict and type(was) is dict:
            found |= differences(was, now, same, here)
        elif type(now) is dict and now and was is MISSING:
            found |= differences({}, now, same, here)
        else:
            found[here] = now
    return found


def graft(
    theirs: dict[str, Any],
    latest: dict[str, Any],
    places: Iterable[Path],
    twins: Sequence[dict[str, Any]],
    same: Same,
) -> dict[str, Any]:
    """
    Bring into a version what was changed elsewhere since it branched off.

    @param theirs: The version.

    @param latest: What became of that elsewhere.

    @param places: Where nodes changed something since then.

    @param twins: All versions that it may have branched off, the youngest last:
        what it has in common with any of these, its writer did not change.

    @raise Conflict: Both sides changed one place.
    """
    grafted = theirs
    for path in places:
        value = valueAt(latest, path)
        if same(valueAt(twins[-1], path), value):
            continue
        here = valueAt(theirs, path)
        if not any(same(valueAt(twin, path), here) for twin in twins):
            raise Conflict
        grafted = put(grafted, path, value)
    return grafted


def added(old: Any, new: Any, same: Same) -> Any:
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
