# -*- test-case-name: tests.simulation.test_rules -*-
"""
What is promised of the order of events: each rule reads a history once, and says
where it is broken.  See docs/promises.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import inf
from time import thread_time_ns
from typing import Any

from . import grouprules as _grouprules  # noqa: F401  It adds its rules.
from . import serialrules as _serialrules  # noqa: F401  So does it.
from . import stored as _stored  # noqa: F401  So does it.
from . import told as _told  # noqa: F401  So does it.
from . import wired as _wired  # noqa: F401  And so does this.
from .case import PER_MESSAGE, REPAIR, RULES, STRICT, Breach, Case, Kind, Rule
from .case import reads as _reads
from .history import Happening, History
from .lives import Removal, everything
from .messages import digits
from .plan import LONG, Plan
from .queue import SECOND
from .state import Change, Socket, State, tokenIn


__all__ = ["RULES", "Breach", "Verdict", "judged"]

_SOON = 3 * SECOND
_RECHECKS = 13 * SECOND
_JUMPS = 5 * SECOND
_UNANSWERED = 2 * SECOND
"""
By how much clocks may jump while somebody waits for a time to come.
"""
_CLOSE_AFTER_END = 4401
_OK = 200
_BROKEN = 500
_OUTAGE = 1013
_OF_STORES = "StoreTimeout", "StoreUnavailable"
_TOUCH = 1.0
"""
How many seconds a touch takes at most.
"""
_TRIES = 6
_PAUSE = 0.1
"""
How often something goes to the store or back until then: what is refused, read, and
stored; and for how many seconds the node waits before that.
"""
_AFTERWARDS = 13 * SECOND
"""
When at the latest a write has been tried again that failed in an outage.
"""


def _missing(case: Case, key: str, data: dict[str, Any], at: int) -> list[Change]:
    """
    @return: What is missing of that of which somebody had been told until then.
    """
    state = case.state
    found = []
    for name, values in state.valuesOf.get(key, {}).items():
        lost = values.lost(_at(data, name), at)
        if lost is not None:
            found.append(lost)
    increments = state.increments.get(key)
    if increments:
        counted = digits(data.get("n", 0))
        there = len(counted)
        for change in increments:
            if change.heard <= at and not (
                change.digit < there and counted[change.digit]
            ):
                found.append(change)
    log = data.get("log", ())
    updates = state.updates.get(key, ())
    found += [each for each in updates if each.heard <= at and each.token not in log]
    return found


def _at(data: dict[str, Any], name: str) -> Any:
    found: Any = data
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return tokenIn(found)


def _said(changes: list[Change]) -> str:
    return ", ".join(f"{each.do} {each.token} of {each.node}" for each in changes)


@_reads("quiet", "stored")
def noUpdateIsLost(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What somebody was told is done is in each later version, unless a web
    application's old copy dropped something: see L{noOldCopyUndoes}.

    @promise: Two processes that write one session merge what they changed: key by
        key, and into nested dictionaries.

    @promise: Of two plain assignments to one and the same key, one wins; nothing
        else is lost.

    @promise: Twenty seconds without a store log nobody out and take back nothing
        that was acknowledged.

    @promise: A page sees what sockets of other processes were told is stored, and
        the other way round.
    """
    state = case.state
    if each.what == "quiet":
        for key, data in state.data.items():
            if data is not None and not state.isDisturbed(key):
                missing = _missing(case, key, data, each.at)
                yield f"{_said(missing)} is missing in the end" if missing else None
    elif not state.isDisturbed(each.more["key"]):
        key = each.more["key"]
        data = state.data[key]
        assert data is not None
        missing = _missing(case, key, data, each.at)
        yield f"{_said(missing)} is missing in what was stored" if missing else None


@_reads("quiet", of=REPAIR)
def noOldCopyUndoes(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What somebody was told is done, and a web application's old copy dropped, is
    there in the end, but for what a node assigned that had not got the session yet
    when that copy was taken, or the older one of which it is a copy, or what that took
    the place of; and what a copy dropped that was taken while the only node ended, and
    written when its time was up, or too late for it to put that back.

    @promise: A web application that writes a whole session from an old copy does
        not undo what sockets stored.

    @promise: A node that is told to stop guards what it wrote until no old copy of
        it can come back.
    """
    state = case.state
    for key, data in state.data.items():
        isDropped = key in state.dropped or key in state.beyond
        if data is not None and isDropped and not _isExcepted(case, key):
            missing = []
            for change in _missing(case, key, data, each.at):
                if state.mayBeMeant(change):
                    case.excepted("what a node assigned that was new to a session")
                elif state.isUndoneAgain(change, case.plan.latency):
                    case.excepted("a copy that was read while its node ended")
                else:
                    missing.append(change)
            yield f"{_said(missing)} is not put back" if missing else None


@_reads("quiet")
def theKilledTakeNothingBack(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What somebody was told by a node that was killed since is there in the end.

    @promise: A server that is killed takes back nothing that a client was told.
    """
    state = case.state
    for key, data in state.data.items() if state.killed else ():
        if data is not None and not state.isDisturbed(key):
            missing = _missing(case, key, data, each.at)
            lost = [change for change in missing if change.node in state.killed]
            yield f"{_said(lost)} went with its node" if lost else None


def _isExcepted(case: Case, key: str) -> bool:
    """
    Whether what a web application dropped need not come back: whoever stored it
    was killed, or could not see it in time, or its clock jumped ahead, by which the
    application's copy was older; or the session could not be read; or the store tells
    nothing, and that copy was taken of what another old copy had left.
    """
    state = case.state
    isUnseen = case.plan.kind == "silent" and state.drops.get(key, 0) > 1
    wasNotSeen = state.wasUnwell or state.wasAhead or isUnseen or key in state.spoilt
    isExcepted = key in state.beyond or (
        key in state.dropped and (bool(state.killed) or wasNotSeen)
    )
    if isExcepted:
        case.excepted("what an old copy dropped")
    return isExcepted


@_reads("stored")
def incrementsCountOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No increment is in the sum twice, and no update.

    @promise: `increment()` adds up, on any number of nodes.

    @promise: `update(f)` calls `f` again on what others wrote, until its result is
        stored.

    @promise: A write whose answer got lost is made once: neither dropped nor
        counted twice.
    """
    key, state = each.more["key"], case.state
    if key not in state.beyond and key not in state.lives.nameless:
        data = state.data[key]
        assert data is not None
        twice = [i for i, n in enumerate(digits(data.get("n", 0))) if n > 1]
        log = data.get("log", [])
        again = [token for token in log if log.count(token) > 1]
        if twice or again:
            yield f"increments {twice}, updates {sorted({*again})} count twice"
        elif "n" in data or log:
            yield None


@_reads("handles", of=STRICT)
def fresh(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Per message, the session shows every write whose writer had its answer before
    the message was sent.

    @promise: Per message, the session shows every write whose writer had its answer
        before the message was sent.

    @promise: A store that cannot see changes is read for each message instead of
        being trusted.
    """
    state = case.state
    socket = state.sockets[each.who]
    yield from _isFresh(case, socket, each, socket.sentAt[each.more["token"]])


def _isFresh(
    case: Case, socket: Socket, each: Happening, sent: int
) -> Iterator[str | None]:
    if case.state.isDisturbed(socket.key):
        return
    missing = _missing(case, socket.key, each.more["sees"], sent - 1)
    yield (
        f"message {each.more['token']} does not see {_said(missing)}" * bool(missing)
        or None
    )


@_reads("answers", "asks", of=PER_MESSAGE)
def answersAreHeld(case: Case, each: Happening) -> Iterator[str | None]:
    """
    An answer, or a question, goes out when all is stored that handlers of its node
    had changed before.

    @promise: Per message, an answer goes out when all that was changed before it
        was sent is stored.
    """
    state = case.state
    socket, token = state.sockets[each.who], each.more.get("token", -1)
    change = state.changes.get(token)
    isDone = change is not None and change.do != "raise" and _belongs(state, change)
    if change is not None and isDone and not state.isStored(change):
        yield f"{_said([change])} was answered and is not stored"
        return
    # What a handler asks it sends after its own change, and answers when it is done.
    before = socket.done.get(token)
    if each.what == "asks" and change is not None:
        before = change.number + 1
    if before is not None:
        left = state.unstored(socket.key, socket.node, before)
        said = f"message {token} was answered, and {_said(left)} is not stored"
        yield said if left else None


@_reads("quiet")
def changesAreStored(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Whatever a handler assigned is stored when all is well again, also if its client
    had no answer, unless its node was killed, or its time to end was up in an outage
    or while the session could not be read.  So is what a page assigned, unless its
    session ended when it had been asked for: who writes that again begins another.
    What was changed for somebody who had the session no more need not be stored, as
    long as a node may not have heard of that.

    @unlisted: Others speak of what somebody was told; this also of what nobody was.
    """
    state = case.state
    for (session, _), values in state.values.items():
        if state.data.get(session) is None or session in state.spoiled:
            continue
        changes = (
            change
            for change in values.byToken.values()
            if _lasts(state, change) and state.lives.belongs(change, session)
        )
        last = None
        for change in sorted(changes, key=lambda change: change.began):
            if not state.lives.hasEndedFor(change):
                last = change
            elif not state.isStored(change):
                case.excepted("what a page changed whose session had ended")
        if last is not None:
            isStored = values.storedBegan >= last.began
            yield None if isStored else f"{_said([last])} was never stored"


def _lasts(state: State, change: Change) -> bool:
    isUnread = change.node in state.stopped and change.session in state.spoilt
    return not (isUnread or change.node in (*state.killed, *state.gaveUp))


def _belongs(state: State, change: Change) -> bool:
    return state.lives.belongs(change, change.session)


@_reads("handles", "takes", "answers")
def inOrder(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Messages of a socket are handled, and answered, in the order in which they
    were sent, and none is left out.

    @promise: Messages of a client are handled one at a time, in the order in which
        they came.
    """
    if "again" in each.more:
        return  # What was kept for a client that came back: see recoveredOnce.
    socket, token = case.state.sockets[each.who], each.more["token"]
    place = socket.sent.get(token, -1)
    if each.what != "answers":
        expected, socket.handled = socket.handled, place + 1
        isRight = place == expected
    else:
        isRight, socket.answered = place > socket.answered, place
    yield None if isRight else f"{each.what} message {token} out of order"


@_reads("passes on")
def hubInOrder(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A hub reaches a socket once with each message, in the order of each sender.

    @promise: A hub reaches a session, a user or a room on every node, in the order
        of each sender.
    """
    told = case.state.sockets[each.who].told
    number, by = each.more["told"], each.more["by"]
    isRight = told.get(by, -1) < number
    told[by] = number
    yield None if isRight else f"passes on {number} of {by} out of order"


@_reads("handles", "takes", "answers", "asks", "passes on", "schanged", "disconnect")
def theEndIsFinal(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When a session has ended, nothing is answered from it, no handler begins, and
    nobody is told twice.

    @promise: When a session has ended, nothing is answered from it any more.

    @promise: The end is final for the sockets that were open, even if a slow
        request writes the session again.
    """
    socket = case.state.sockets.get(each.who)
    if socket is None or not socket.isDestroyed:
        return
    isRight = each.what == "disconnect"
    yield None if isRight else f"{each.what} something after the end"


@_reads("sdestroyed", "closes", first=True)
def toldOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Who holds a session is told once that it ended, before the socket is closed.

    @unlisted: It says of the rows on logout how that is told.
    """
    socket = case.state.sockets[each.who]
    if each.what == "sdestroyed":
        isAgain = socket.isDestroyed
        yield "is told again that its session ended" if isAgain else None
    elif socket.isConnected and each.more["code"] == _CLOSE_AFTER_END:
        isTold = socket.isDestroyed
        yield None if isTold else "is not told that its session ended"


@_reads("created", "stored")
def neverBack(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No save of ours re-creates a session that is gone; unless a node began it, and
    nobody had its id yet, when the store lost all that it had: then nobody ended it.

    @promise: No save re-creates a session that is gone.

    @promise: An update does not re-create it either.

    @promise: A write whose outcome is unknown does not re-create it.
    """
    if each.who.startswith("node"):
        isNew = each.what == "created" and each.more["key"] in case.state.gone
        if isNew and each.more["key"] in case.state.lives.lost:
            case.excepted("a session that was lost before anybody had its id")
            return
        yield "a session came back from the dead" if isNew else None


@_reads("quiet", "closes", first=True)
def logoutMeansLogout(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Every socket of a session that ended is closed, on every node, in time.

    @promise: A session that is destroyed in one process closes its sockets in all
        of them.

    @promise: A session that a web application deletes in Redis closes its sockets
        on all nodes.

    @promise: An idle socket is closed when its session expires.

    @promise: The store is the authority: a bus that fails cannot leave a dead
        session's socket open.
    """
    state = case.state
    if each.what == "quiet":
        for socket in state.sockets.values():
            isOpen = socket.isConnected and not socket.isOver
            if isOpen and _gone(state, socket) is not None:
                yield f"{socket.name} is open, and its session is gone"
    elif each.what == "closes" and each.who in state.sockets:
        socket = state.sockets[each.who]
        gone = _gone(state, socket)
        if socket.isConnected and gone is not None:
            since = max(gone, state.well.get(socket.node, 0), socket.began)
            late = each.at - since - _bound(case, socket)
            yield f"was closed {late / SECOND:.3f} s too late" if late > 0 else None


def _gone(state: State, socket: Socket) -> int | None:
    """
    @return: When the session of a socket ended; L{None} if it has not.
    """
    gone, lives = state.gone.get(socket.key), state.lives
    if gone is None or state.data.get(socket.key) is None:
        return gone
    # A slow request wrote it again.
    isAnother = gone < socket.connected < inf
    return None if isAnother or socket.name in lives.excused else gone


def _bound(case: Case, socket: Socket) -> int:
    return (_RECHECKS if case.plan.kind == "silent" else _SOON) + _JUMPS


@_reads("sinvalid", "sdestroyed", "closes")
def anOutageIsNoLogout(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No client is told that it has no session while there is one.

    @promise: A store that fails closes per-message sockets with 1013, and never
        with 4401.
    """
    state = case.state
    isTold = each.what in ("sinvalid", "sdestroyed") or (
        each.what == "closes" and each.more["code"] == _CLOSE_AFTER_END
    )
    if isTold:
        socket = state.sockets[each.who]
        isThere = state.data.get(socket.key) is not None
        since = state.lives.since.get(socket.key, 0)
        _, owned = state.lives.owner.get(socket.key, (None, 0))
        isWrong = isThere and max(since, owned) < socket.began
        yield "is told that it has no session, and has one" if isWrong else None


@_reads("left", "end")
def nothingIsLeft(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When all is quiet nothing is left: no session, timer, watch or question.

    @promise: A connection that is gone leaves nothing behind, whenever it was cut,
        and nothing that waits for the garbage collector.
    """
    if each.what == "left":
        yield f"{each.more['text']} is left"
    else:
        yield None


@_reads("error", "endless", "end")
def nothingUnexpected(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Nothing fails that should not, and all comes to an end.

    @unlisted: It is of all that nobody thought of.
    """
    if each.what == "error":
        yield str(each.more["text"])
    else:
        yield "it does not come to an end" if each.what == "endless" else None


@_reads("moves")
def newIdTakesAlong(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A login that gives the session a new id takes along what others store meanwhile:
    what somebody was told is stored under the old id is stored under the new one, and
    the old one is gone.  Not so if somebody else deleted that just then, and the node
    was not well, so that it may have had no answer and takes it for its own deed.

    @promise: A login that gives the session a new id takes along what others
        store meanwhile.
    """
    state, old, new = case.state, each.more["old"], each.more["new"]
    data, before = state.data.get(new), state.lives.last[old]
    asked = state.lives.pages[each.who].asked
    isGone = state.gone.get(old, -1) >= asked
    yield None if isGone else "gave the session a new id, and the old one is there"
    if data is None or state.isDisturbed(new):
        return
    missing = _missing(case, new, data, each.at)
    was = _missing(case, new, before, each.at)
    if missing and was:
        # What a web application overwrote was not back when the id changed.
        case.excepted("what an old copy dropped before a new id")
        state.beyond.add(new)
        return
    node = state.lives.pages[each.who].node
    if missing and state.rows[old][1] != node and node in state.unwell:
        case.excepted("what somebody else deleted just before a new id")
        state.beyond.add(new)
        return
    yield f"{_said(missing)} is missing under the new id" if missing else None


@_reads("sdestroyed")
def movedIsTold(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A new id closes the sockets of the old one with 4307 where it was given.

    @promise: A new id at login closes the sockets of the old id with 4307, and
        the old id opens nothing.
    """
    state = case.state
    socket = state.sockets[each.who]
    if state.lives.moved.get(socket.key) == socket.node:
        isRight = each.more["reason"] == "moved"
        yield None if isRight else f"is told {each.more['reason']}, and has a new id"


@_reads("stored", "handles", "page reads", "quiet")
def deletedStaysDeleted(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What the application itself deletes stays deleted, and what a handler deletes
    does, but for what a web application's old copy brought back: that is out in the
    end if a handler took it out.  What a request took out may be back if another one
    overwrote that with a copy of before: nobody may have seen it.  Without stamps,
    whoever put something in may store it again if the answer of the store was lost.

    @promise: What the application itself deletes stays deleted, and a session
        that it empties stays empty.

    @promise: A request that only reads does not undo it either, where its
        framework writes nevertheless.
    """
    state, out = case.state, case.state.lives.out
    if each.what == "quiet":
        for key, removals in out.items():
            data = state.data.get(key)
            # Whoever took it out may be gone, or may not have seen in time that it
            # was brought back.
            isKept = case.plan.repair and not (state.killed or state.wasUnwell)
            isKept = isKept and not _isExcepted(case, key)
            if removals and data is not None and isKept:
                yield from _out(case, removals, data, each.at, isLast=True)
        return
    if each.what == "stored":
        key, at = each.more["key"], each.at
        data = state.data[key] if each.who.startswith("node") else None
    elif each.what == "handles":
        socket = state.sockets[each.who]
        key, at = socket.key, socket.sentAt[each.more["token"]] - 1
        data = each.more["sees"] if case.plan.perMessage else None
    else:
        page = state.lives.pages[each.who]
        key, at, data = page.key, page.asked - 1, each.more["sees"]
    isStrict = each.what == "stored" or case.plan.freshness == "strict"
    if data is not None and isStrict and out.get(key) and key not in state.beyond:
        yield from _out(case, out[key], data, at, isLast=False)


def _out(
    case: Case,
    removals: dict[int, Removal],
    data: dict[str, Any],
    at: int,
    *,
    isLast: bool,
) -> Iterator[str | None]:
    certain = _certain(case, removals, data)
    if certain:
        yield _back(certain, data, at, isLast=isLast)


def _certain(
    case: Case, removals: dict[int, Removal], data: dict[str, Any]
) -> dict[int, Removal]:
    """
    @return: Those that somebody must have seen, and of which stamps, or an answer, say
        that it was stored before.
    """
    there, certain = everything(data), {}
    for token, removal in removals.items():
        if removal.isHidden:
            why = "what was taken out, and another request wrote over that"
        elif removal.isUnheard and not case.plan.repair:
            why = "what was taken out before anybody knew that it was stored"
        else:
            certain[token] = removal
            continue
        if token in there:
            case.excepted(why)
    return certain


def _back(
    removals: dict[int, Removal], data: dict[str, Any], at: int, *, isLast: bool
) -> str | None:
    there = everything(data)
    back = [
        token
        for token, removal in removals.items()
        if removal.at <= at
        and token in there
        and not (removal.isUndone and (removal.isTheirs or not isLast))
    ]
    return f"{back} is back, which was taken out" if back else None


@_reads("stored")
def emptiedStaysEmpty(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A session that the application empties stays empty: nothing that somebody was
    told of before comes back.

    @promise: What the application itself deletes stays deleted, and a session
        that it empties stays empty.
    """
    removals = case.state.lives.emptied.get(each.more["key"])
    data = case.state.data[each.more["key"]]
    if removals and data is not None and each.who.startswith("node"):
        yield _back(removals, data, each.at, isLast=False)


@_reads("stored", "created")
def nothingComesOfNothing(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What a function of update() that failed did is not stored, nor what a handler
    changed in a session that it had ended.

    @unlisted: It says of update() that it is all or nothing, and of the end that
        it is one.
    """
    void = case.state.lives.void
    if void:
        data = case.state.data[each.more["key"]]
        assert data is not None
        found = sorted(void & everything(data))
        yield f"{found} is stored" if found else None


@_reads("created")
def slowRequestsOpenNothing(case: Case, each: Happening) -> Iterator[str | None]:
    """
    The end is final for the sockets that were open, even if a slow request writes
    the session again.

    @promise: The end is final for the sockets that were open, even if a slow
        request writes the session again.
    """
    state, key = case.state, each.more["key"]
    gone = state.gone.get(key)
    if gone is None or not each.who.startswith("web"):
        return
    for socket in state.sockets.values():
        if socket.key == key and not socket.isDestroyed:
            since = max(gone, state.well.get(socket.node, 0), socket.began)
            isLate = socket.isConnected and each.at - since > _bound(case, socket)
            if not (isLate and socket.isOver):
                # One that is over may come back.
                state.lives.excused.add(socket.name)
            if not socket.isOver:
                yield f"{socket.name} outlived its session" if isLate else None


@_reads("quiet", "closes", "stored")
def othersSessionsAreTheirs(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A session that is somebody else's now ends for who had it before, and nothing of
    theirs is put into it, also if it was nobody's meanwhile.  A socket that had no
    session yet when that happened may have it as it was before, or after.

    @promise: A session that is somebody else's now ends for who had it before, also if
    it was nobody's meanwhile.
    """
    state, strangers = case.state, case.state.lives.strangers
    if each.what == "stored":
        strange, state.lives.strange = state.lives.strange, set()
        if strange:
            yield f"{sorted(strange)} is put into what is somebody else's"
        return
    for name in list(strangers) if each.what == "quiet" else [each.who]:
        if name in strangers and not (each.what == "quiet" and _isOver(state, name)):
            socket = state.sockets[name]
            since = max(strangers[name], state.well.get(socket.node, 0))
            late = each.at - since - _bound(case, socket)
            yield f"{name} has somebody else's session" if late > 0 else None


def _isOver(state: State, name: str) -> bool:
    return state.sockets[name].isOver


@_reads("stored", "quiet")
def outsideIsStored(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A change outside of a handler is stored within a second, without save(); after
    an outage within eleven.  For a node that lasts two seconds longer, if what it
    asked meanwhile was lost: until then it waits for the answer.  What others store
    meanwhile may each time cost a node the next try.  What was emptied since, or is
    somebody else's now, need not be stored.

    @promise: A change outside of a handler is stored within a second, without
        `save()`, unless it was made inside of a nested value.
    """
    state, outside = case.state, case.state.lives.outside
    for token, change in list(outside.items()):
        if each.what == "quiet":
            isThere = state.data.get(change.session) is not None
            # Without stamps nobody knows whether a count is stored whose answer was
            # lost: it is given up, and the sockets are told.  So it is where an older
            # copy was put over it, or one without its stamp.
            isKnown = case.plan.repair and change.session not in state.beyond
            isInDoubt = change.do == "increment" and not isKnown
            isInDoubt = isInDoubt and change.node in state.well
            lasts = _lasts(state, change) and not isInDoubt
            if isThere and lasts and _belongs(state, change):
                yield f"{_said([change])} is not stored"
        elif each.more["key"] == change.session and not state.isStored(change):
            change.overtaken += each.who != change.node
        elif each.more["key"] == change.session:
            del outside[token]
            if not (_lasts(state, change) and _belongs(state, change)):
                continue
            well = state.well.get(change.node, -inf)
            since = max(change.began, well, state.mended.get(change.session, 0))
            # After an outage it is tried again within ten seconds.
            isAfter = since > change.began or change.began <= well + _UNANSWERED
            most = SECOND + _SOON + 10 * SECOND * isAfter
            most += change.overtaken * _again(case.plan)
            isLate = each.at - since > most
            yield f"{_said([change])} is stored late" if isLate else None


def _again(plan: Plan) -> int:
    """
    How long it takes at most until a write was tried again that found another version.
    """
    return round((_TRIES * plan.latency + _PAUSE) * SECOND)


@_reads("page reads")
def pagesAreFresh(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A page sees what sockets of other processes were told is stored, and what other
    pages were.

    @promise: A page sees what sockets of other processes were told is stored, and
        the other way round.
    """
    state, page = case.state, case.state.lives.pages[each.who]
    if page.isNew or case.plan.freshness != "strict" or state.isDisturbed(page.key):
        return
    missing = _missing(case, page.key, each.more["sees"], page.asked - 1)
    yield f"does not see {_said(missing)}" if missing else None


@_reads("page answers")
def pagesAreHeld(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A page's answer goes out when what the page changed is stored, and after a logout
    when the session is gone.

    @promise: A page's answer goes out when what the page changed is stored.
    """
    state, page = case.state, case.state.lives.pages[each.who]
    if each.more["code"] != _OK:
        return
    changes = [state.changes[token] for token in page.changed]
    late = [
        change
        for change in changes
        if _belongs(state, change) and not state.isStored(change)
    ]
    yield f"{_said(late)} was answered and is not stored" if late else None
    if page.isLogout:
        isGone = state.gone.get(page.key, -1) >= page.asked
        yield None if isGone else "logged out, and the session is there"


@_reads("page reads", "page answers", "cookie")
def anOutageLogsNoBrowserOut(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A page whose session cannot be loaded is answered with 503, and its cookie stays.
    A cookie names what is stored.

    @promise: A page whose session cannot be loaded is answered with 503, and its
        cookie stays.
    """
    state, page = case.state, case.state.lives.pages[each.who]
    gone = state.gone.get(page.key, -1)
    if each.what == "page reads":
        isThere = state.data.get(page.key) is not None and gone < page.asked
        isWrong = page.isNew and isThere and state.lives.since[page.key] < page.asked
        yield "finds no session, and there is one" if isWrong else None
    elif each.what == "page answers":
        code = each.more["code"]
        _, owned = state.lives.owner.get(page.key, (None, 0))
        # A node that ends it may have it still when it is asked for.
        hasEnded = gone >= 0 or owned >= page.asked
        isSpoilt = page.key in state.spoilt
        isRight = code in (_OK, 503) or (code == 409 and hasEnded)
        isRight = isRight or (code == _BROKEN and isSpoilt)
        yield None if isRight else f"is answered with {code}"
    elif each.more["session"] is None:
        yield None if page.isLogout else "takes a cookie away without a logout"
    else:
        isThere = each.more["session"] in state.lives.last
        yield None if isThere else "sets the cookie of a session that is not stored"


@_reads("serror", "closes")
def failuresHaveCauses(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A client is told of an outage only while its node or the store is not well, or
    soon after, or while a page gives its session a new id; and that its session failed
    only when it cannot be read.

    @unlisted: Rows speak of what an outage may not be taken for; this of what may not
        be taken for one.
    """
    state = case.state
    socket = state.sockets[each.who]
    if each.what == "serror":
        isOutage = each.more["error"] in _OF_STORES
    else:
        isOutage = each.more["code"] == _OUTAGE
        if each.more.get("reason") == "session failed":
            errors = [error for _, error in socket.errors]
            isRight = "UndecodableSession" in errors
            yield None if isRight else "is closed because its session failed"
        if each.more.get("reason") == "handler failed":
            isRight = any(error not in _OF_STORES for _, error in socket.failed)
            yield None if isRight else "is closed because of a handler, and none failed"
    if isOutage:
        well = max(state.well.get(socket.node, -inf), state.storeWell or -inf)
        isRight = each.at - well < _AFTERWARDS or state.lives.isMoving(socket)
        yield None if isRight else "is told of an outage, and there is none"


@_reads("is told", of=STRICT)
def answersToUsAreFresh(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What a handler finds when its client has answered is as fresh as for a message.

    @unlisted: Rows speak of messages; docs/socketio.md says it of answers.
    """
    socket = case.state.sockets[each.who]
    yield from _isFresh(case, socket, each, socket.repliedAt[each.more["token"]])


_SHORT = Kind(
    "short, no clock behind", lambda plan: plan.ttl < LONG and min(plan.offsets) >= 0
)
"""
A node whose clock is behind by more than a session lives touches none in time.
"""


@_reads("handles", "expired", of=_SHORT)
def messagesPutOffTheEnd(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A session does not expire while its sockets send messages: each begins its life
    anew, but for a tenth of it, unless it came in the last second, or when the session
    could not be read.

    @unlisted: A row says that nothing of ours shortens it; docs/cookies.md this.
    """
    state = case.state
    if each.what == "handles":
        socket = state.sockets[each.who]
        if socket.key not in state.spoiled:
            state.acted[socket.key] = each.at
        return
    acted = state.acted.get(each.more["key"])
    wasWell = not (state.well or state.killed or state.stopped)
    if acted is not None and wasWell and each.at - acted > SECOND:
        early = acted / SECOND + 0.9 * case.plan.ttl - _TOUCH - each.at / SECOND
        yield f"expires {early:.1f} s too early" if early > 0 else None


@dataclass(frozen=True)
class Verdict:
    """
    What a history shows.

    @ivar breaches: Where it breaks rules.

    @ivar applied: How often each rule applied.

    @ivar took: For how many nanoseconds each was at work, if that is measured.
    """

    breaches: list[Breach]
    applied: dict[str, int]
    took: dict[str, int]


_Reading = dict[str, tuple[list[Rule], list[Rule]]]
"""
By the word of an event: the rules that read it before the state does, and after.
"""


@cache
def _reading(kinds: tuple[str, ...]) -> _Reading:
    """
    The rules that speak of histories that are of all these kinds.
    """
    found: _Reading = {}
    for rule in RULES.values():
        if rule.of.name in kinds:
            for word in rule.words:
                found.setdefault(word, ([], []))[not rule.first].append(rule)
    return found


def judged(plan: Plan, history: History, *, isTimed: bool = False) -> Verdict:
    """
    Read a history.

    @param isTimed: Whether to measure how long each rule takes.
    """
    case = Case(plan)
    apply = _applyTimed if isTimed else _apply
    kinds = {rule.of.name: rule.of for rule in RULES.values()}
    rules = _reading(tuple(name for name, kind in kinds.items() if kind.has(plan)))
    nobody: tuple[list[Rule], list[Rule]] = ([], [])
    take = case.take
    for case.number, each in enumerate(history.all):
        first, then = rules.get(each.what, nobody)
        if first:
            apply(case, first, each)
        take(each)
        if then:
            apply(case, then, each)
    for _ in case.state.lives.leftOut:
        case.excepted("what was changed for somebody who had the session no more")
    return Verdict(case.breaches, case.applied, case.took)


def _apply(case: Case, rules: list[Rule], each: Happening) -> None:
    applied = case.applied
    for rule in rules:
        for why in rule.says(case, each):
            applied[rule.name] = applied.get(rule.name, 0) + 1
            if why is not None:
                breach = Breach(rule.name, case.number, f"{each.who} {why}")
                case.breaches.append(breach)


def _applyTimed(case: Case, rules: list[Rule], each: Happening) -> None:
    for rule in rules:
        began = thread_time_ns()
        asked = thread_time_ns()
        _apply(case, [rule], each)
        # Without the time that asking for the time takes.
        took = thread_time_ns() - asked - (asked - began)
        case.took[rule.name] = case.took.get(rule.name, 0) + took
