# -*- test-case-name: tests.simulation.test_stored -*-
"""
What becomes of what is stored: rules, as in L{simulation.rules}.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from .case import CACHED, Case, reads
from .history import Happening
from .plan import Plan
from .queue import SECOND


__all__: list[str] = []

_TOLD: Final = 8 * SECOND
_LOOKED_AT: Final = 18 * SECOND
"""
When at the latest a node has seen what is stored, where the store tells changes and
where it does not.
"""

_RESTS: Final = 20 * SECOND
"""
After how many seconds nodes are at rest: a write that failed is tried again after ten,
and what is overwritten is put back for five.
"""

_DELETES: Final = SECOND
_DELETES_AFTER_TROUBLE: Final = 3 * SECOND
"""
For how long at most there is an old copy in the cache, after it came there and after
the store or the cache was away: then it is deleted a second later, if need be again.
"""


@reads("stored", "created", "deleted", "quiet", first=True)
def undecodableIsLeftAlone(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A session that cannot be read is never overwritten, nor ended but by a handler
    that says so.

    @promise: A session that cannot be read is reported, never overwritten, and no
        logout.
    """
    state = case.state
    if each.what == "quiet":
        for _ in state.spoiled:
            yield None
    elif each.more["key"] in state.spoiled:
        mayEnd = each.what == "deleted" and each.more["key"] in state.toEnd
        isWrong = each.who.startswith("node") and not mayEnd
        yield "wrote over what it could not read" if isWrong else None


@reads("stored", "quiet", "serror", first=True)
def undecodableIsReported(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Whoever has a session that cannot be read is told so; of a file, only who uses
    that session, since others write past its log.

    @promise: A session that cannot be read is reported, never overwritten, and no
        logout.
    """
    state = case.state
    if each.what == "serror":
        if each.more["error"] == "UndecodableSession":
            isSpoilt = state.sockets[each.who].key in state.spoilt
            yield None if isSpoilt else "is told that its session cannot be read"
        return
    key = None if each.what == "quiet" else each.more["key"]
    for socket in state.sockets.values():
        since = state.spoiled.get(socket.key)
        if since is None or key not in (None, socket.key) or not socket.isConnected:
            continue
        until = max(since, state.well.get(socket.node, 0), socket.began)
        if not socket.isOver and each.at - until > _inTime(case.plan):
            isTold = any(
                at >= since and error == "UndecodableSession"
                for at, error in socket.errors
            )
            yield None if isTold else f"{socket.name} was not told of what is spoiled"


def _inTime(plan: Plan) -> float:
    if plan.kind == "polled":
        return inf
    return _LOOKED_AT if plan.kind == "silent" else _TOLD


@reads("stored", "touched", first=True)
def noShorterLife(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No write or touch of a node brings the end of a session forward.

    @promise: Nothing of ours shortens the life of a session.
    """
    before = case.state.ends.get(each.more["key"])
    until = each.more.get("until")
    if each.who.startswith("node") and before is not None:
        isShorter = until is not None and until < before
        yield "shortened the life of a session" if isShorter else None


@reads("stored", "answers", of=CACHED)
def noOldCopy(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When a change is answered, no copy is in the cache that was there when it was
    stored.

    @unlisted: The page on tables says so of Django with a cache.
    """
    state = case.state
    if each.what == "stored":
        for pending in state.pending.get((each.more["key"], each.who), ()):
            # It notes when that was.
            state.isStored(pending)
        return
    change = state.changes.get(each.more["token"])
    if change is not None and change.stored <= each.at:
        since, _ = state.cached.get(change.session, (change.stored, ""))
        isOld = since < change.stored
        yield f"{change.do} {change.token} left an older copy" if isOld else None


@reads("quiet", of=CACHED)
def noCopyDiffers(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When all is well again, no copy in the cache is another than what a node stored
    last, and none is left of what a node ended; unless that node was killed before it
    deleted that copy, or deleted it once more.

    @unlisted: The page on tables says so of Django with a cache.
    """
    state = case.state
    for key, (raw, by) in state.rows.items():
        if by.startswith("node"):
            since, copy = state.cached.get(key, (0, raw))
            if copy != raw and _wasStillDeleting(case, by, since):
                case.excepted("a node was killed that had an old copy to delete")
                continue
            yield None if copy == raw else "an old copy is in the cache"


def _wasStillDeleting(case: Case, node: str, since: int) -> bool:
    """
    Whether a node was killed before it can have deleted a copy that came when it had
    changed that session.
    """
    killed = case.state.killed.get(node)
    if killed is None:
        return False
    well = case.state.well.get(node, 0) + _DELETES_AFTER_TROUBLE
    return killed < max(since + _DELETES, well)


@reads("stored", "quiet")
def comesToRest(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When handlers are done and all is well, nodes soon write nothing any more,
    however wrong their clocks are; what could not be read may take longer.

    @unlisted: The page on what is overwritten says that clocks may be off by hours.
    """
    state = case.state
    if each.what == "quiet":
        yield None
    elif each.who.startswith("node") and each.more["key"] not in state.spoilt:
        late = each.at - max(state.wellSince, state.lastDone) - _RESTS
        if late > 0:
            yield f"writes {late / SECOND:.1f} s too late"
