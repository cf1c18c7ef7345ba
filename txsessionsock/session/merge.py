# -*- test-case-name: tests.session.test_merge -*-
"""
What it takes to merge two versions of a session: comparing by value and type,
copies that share nothing, the three-way merge, and taking over its result
without replacing dictionaries and lists that somebody holds.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Collection
from copy import deepcopy
from decimal import Decimal
from enum import Enum
from itertools import chain, repeat
from math import isnan
from typing import Any, Final, TypeGuard

from txsessionsock._collector import undisturbed
from txsessionsock._foreign import Notation


Same = Callable[[object, object], bool]


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING
"""
The value of a key that is not there.
"""

_TEXTS: Final = frozenset({str})
ATOMS: Final = frozenset({bool, bytes, float, int, str, type(None), _Missing})
"""
The kinds of values in which nothing can be changed.
"""

_PLAIN: Final = frozenset({bool, bytes, int, str})

_LEVELS: Final = 4
"""
Enough for most of what sessions hold.  In each level that is nested in another,
all that is below is looked at once more.
"""

_CHUNK: Final = 64
"""
So many items of a list are looked at together, and then one by one if one changed.
"""

_MANY: Final = 64
"""
After how many changed items the rest of a list is not compared.
"""

_MARSHALLED: Final = Notation({}, plain=(bytes, float, int, str))
"""
What C{marshal} brings back as it was.
"""


def same(one: object, other: object) -> bool:
    """
    Whether two values are equal in value and type: C{1}, C{1.0} and C{True}
    are three different things in most places where sessions are stored.
    """
    kind = type(one)
    if one is other or kind is not type(other):
        return one is other
    if kind in _PLAIN:
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) and _haveSame(one, other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return areEqual(one, other)


def _haveSame(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    for key, value in one.items():
        its = other.get(key, MISSING)
        if value is not its and not same(value, its):
            return False
    return areAlike(one, other)


def areEqual(one: Any, other: Any) -> bool:
    """
    Whether two values of one type are equal, where NaN equals NaN, or it would
    be a change for ever.
    """
    if isinstance(one, float) and isnan(one):
        return isnan(other)
    if isinstance(one, (frozenset, set)) and not areAlike(one, other):
        return False
    if isinstance(one, Decimal) and (one.is_nan() or other.is_nan()):
        return bool(one.as_tuple() == other.as_tuple())
    return bool(one == other)


def areAlike(some: Collection[Any], others: Collection[Any]) -> bool:
    """
    Whether equal keys are of equal types: C{1}, C{1.0} and C{True} are three.
    """
    if _TEXTS.issuperset(map(type, some)):
        return True
    return set(map(_typed, some)) == set(map(_typed, others))


def _typed(key: Any) -> tuple[type, Any]:
    kind = type(key)
    return kind, tuple(map(_typed, key)) if kind is tuple else key


def detached(value: Any) -> Any:
    """
    A copy that shares nothing changeable with the original.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is dict:
        return {key: detached(item) for key, item in value.items()}
    if kind is list:
        return [detached(item) for item in value]
    return deepcopy(value)


def fingerprint(value: Any) -> bytes | None:
    """
    Something that only values have that are the L{same}, though not all that
    are; much faster than comparing.  Buffers of any kind count as bytes.

    @return: L{None} if there is none for values of that kind.
    """
    try:
        # Later versions depend on how often strings are referred to.
        return marshal.dumps(value, 2)
    except ValueError:
        return None


def renewed(value: Any, before: Any, levels: int = _LEVELS) -> Any:
    """
    A copy that shares nothing changeable with the original.  What is the L{same}
    as in an earlier copy is that of the earlier copy: who compares the two later
    needs no look at it, however much it is.

    @param before: The earlier copy; itself, if nothing changed.

    @param levels: In how many levels to look for what did not change by its
        L{fingerprint}, which takes two passes over what is below each.

    @raise TypeError: No copy of it is the same.
    """
    kind = type(value)
    if kind is dict and type(before) is dict:
        copy = _renewedDict(value, before, levels)
    elif kind is list and type(before) is list:
        copy = _renewedList(value, before, levels)
    elif same(value, before):
        return before
    else:
        return value if kind in ATOMS else _copied(value)
    # What did not change in it is identical now: that is compared at once.
    return before if same(copy, before) else copy


def _renewedDict(value: dict[Any, Any], was: dict[Any, Any], levels: int) -> Any:
    return {
        key: item
        if type(item) in ATOMS
        else _renewedPart(item, was.get(key, MISSING), levels)
        for key, item in value.items()
    }


def _renewedList(value: list[Any], was: list[Any], levels: int) -> Any:
    if ATOMS.issuperset(map(type, value)):
        return value[:]
    copy: list[Any] = []
    changes = 0
    for at in range(0, len(value), _CHUNK):
        items, olds = value[at : at + _CHUNK], was[at : at + _CHUNK]
        if levels and isMarkedAlike(items, olds):
            copy += olds
            continue
        for item, old in zip(items, chain(olds, repeat(MISSING)), strict=False):
            part = item
            if type(item) not in ATOMS:
                part = _renewedPart(item, old, levels)
                changes += part is not old
            copy.append(part)
        if changes > _MANY:
            # Something was taken out at the beginning, perhaps.
            return [*copy, *_copied(value[len(copy) :])]
    return copy


def _renewedPart(value: Any, before: Any, levels: int) -> Any:
    if type(value) is not type(before):
        return _copied(value)
    # A long list is compared in chunks at once.
    isLong = type(value) is list and len(value) > _CHUNK
    if levels and not isLong and isMarkedAlike(value, before):
        # Several times as fast as a look at each value, where nothing changed.
        return before
    return renewed(value, before, max(0, levels - 1))


def isMarkedAlike(one: Any, other: Any) -> bool:
    """
    Whether two values have the same L{fingerprint}: then they are the L{same}.
    """
    mark = fingerprint(one)
    return mark is not None and mark == fingerprint(other)


def _copied(value: Any) -> Any:
    copy = _unmarshalled(value)
    if copy is MISSING:
        copy = detached(value)
        if not same(value, copy):
            raise TypeError("no copy of it is the same")
    return copy


def quickCopy(value: Any) -> Any:
    """
    As L{detached}, and several times as fast for what is large.
    """
    copy = _unmarshalled(value)
    return detached(value) if copy is MISSING else copy


def _unmarshalled(value: Any) -> Any:
    """
    @return: A copy; L{MISSING} if none can be made in this way.
    """
    mark = fingerprint(value)
    if mark is None or not _MARSHALLED.isPlain(value):
        return MISSING
    # Much faster: a client may have hundreds of thousands of lists stored.
    return undisturbed(marshal.loads, mark)


def isNumber(value: object) -> TypeGuard[int | float]:
    """
    Whether a value can be counted up.  Booleans cannot.
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def merge(
    base: dict[str, Any],
    ours: dict[str, Any],
    theirs: dict[str, Any],
    *,
    deletionsWin: bool = False,
    isSame: Same = same,
) -> dict[str, Any]:
    """
    Bring together what two sides made of one dictionary.

    Goes key by key and into nested dictionaries; lists, and values of mixed
    types, are one value.  Where both sides changed one and the same key to
    different values, ours wins.

    @param deletionsWin: Whether a deletion beats a change, rather than the
        other way round.

    @param isSame: Whether two values are one to those who may have written
        C{theirs}.  What we changed is compared by value and type.

    @return: A dictionary of its own, whose values are those of the arguments,
        not copies.
    """
    merged = {}
    for key in (*theirs, *(key for key in ours if key not in theirs)):
        value = _mergeValue(
            base.get(key, MISSING),
            ours.get(key, MISSING),
            theirs.get(key, MISSING),
            deletionsWin,
            isSame,
        )
        if value is not MISSING:
            merged[key] = value
    return merged


def _mergeValue(
    was: Any, mine: Any, yours: Any, deletionsWin: bool, isSame: Same
) -> Any:
    if same(mine, was):
        return yours
    if isSame(yours, was):
        return mine
    if isSame(mine, yours):
        return yours
    if type(mine) is dict and type(yours) is dict:
        before = was if type(was) is dict else {}
        return merge(before, mine, yours, deletionsWin=deletionsWin, isSame=isSame)
    if mine is MISSING or yours is MISSING:
        isDeleted = deletionsWin and was is not MISSING
        return MISSING if isDeleted else yours if mine is MISSING else mine
    return mine


def assimilate(live: dict[str, Any], target: dict[str, Any]) -> None:
    """
    Make C{live} equal to C{target}, in place: a dictionary or list that stays
    one at its place keeps its identity, so whoever holds it sees the change.
    """
    for key in [key for key in live if key not in target]:
        del live[key]
    for key, value in target.items():
        live[key] = adapted(live.get(key, MISSING), value)


def adapted(held: Any, target: Any) -> Any:
    """
    What to put where C{held} is, to have C{target} there: C{held} itself,
    changed in place, if both are dictionaries or both are lists; a detached
    copy of C{target} otherwise.
    """
    kind = type(held)
    if kind is not type(target) or kind not in (dict, list):
        return held if same(held, target) else detached(target)
    if not isMarkedAlike(held, target):
        if kind is dict:
            assimilate(held, target)
        else:
            held[:] = [
                *map(adapted, held, target),
                *map(detached, target[len(held) :]),
            ]
    return held
