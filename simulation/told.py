# -*- test-case-name: tests.simulation.test_told -*-
"""
What clients and those who save are told: rules, as in L{simulation.rules}.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, Final

from .case import PER_CONNECTION, STRICT, Case, reads
from .history import Happening
from .messages import digits
from .queue import SECOND
from .state import Change, Socket, State, flat


__all__: list[str] = []

_TRY_AGAIN: Final = 1013
_GOING_AWAY: Final = 1001
_DRAIN: Final = 10 * SECOND
_SAVE_INTERVAL: Final = SECOND
_RETRIES: Final = 12 * SECOND
"""
When at the latest a write is tried again that failed.
"""
_SOON: Final = 3 * SECOND
_JUMPS: Final = 5 * SECOND


@reads("handles", of=STRICT)
def neverBackwards(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What a handler had found when a client was answered is there for each later
    message of that client, over whichever socket; but for increments that were given
    up, of which nobody knows whether they were stored.

    @promise: A page sees what sockets of other processes were told is stored, and
        the other way round.
    """
    state = case.state
    socket = state.sockets[each.who]
    told = socket.base.pop(each.more["token"], None)
    if told is None or state.isDisturbed(socket.key):
        return
    sees = each.more["sees"]
    now, values = dict(flat(sees)), state.valuesOf.get(socket.key, {})
    back = [
        f"{name} {value}"
        for name, value in flat(told)
        if name in values and values[name].isBack(now.get(name), value)
    ]
    count, counted = digits(told.get("n", 0)), digits(sees.get("n", 0))
    lost = {i for i, n in enumerate(count) if n and not any(counted[i : i + 1])}
    for change in state.increments.get(socket.key, ()) if lost else ():
        if change.digit in lost and change.by and state.isGivenUp(change):
            case.excepted("an increment that a client saw, and that was given up")
            lost.discard(change.digit)
    if lost:
        back.append(f"n {told['n']}")
    log = sees.get("log", ())
    back += [f"log {token}" for token in told.get("log", ()) if token not in log]
    said = f"message {each.more['token']} does not see {', '.join(back)} any more"
    yield said if back else None


@reads("handles")
def onASharedObject(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A handler finds what handlers of the same node assigned before, or something
    that was assigned since.

    @promise: All sockets and pages of a session in one process share one session
        object, so they cannot lose each other's changes.
    """
    state = case.state
    socket = state.sockets[each.who]
    mine = state.mine.get((socket.key, socket.node))
    if mine is None or state.isDisturbed(socket.key):
        return
    if state.mayGiveUp(socket.node):
        case.excepted("a session that was to end during an outage")
        return
    now, values = dict(flat(each.more["sees"])), state.valuesOf[socket.key]
    lost = []
    for name, change in mine.items():
        found = values[name].byToken.get(now.get(name, -1))
        if found is None or found.heard < change.began:
            lost.append(f"{change.do} {change.token}")
    said = f"message {each.more['token']} does not see {', '.join(lost)} of its node"
    yield said if lost else None


@reads("answers", "asks", "hears", "is asked")
def toWhoAsked(case: Case, each: Happening) -> Iterator[str | None]:
    """
    An answer goes to the socket that asked.

    @unlisted: That answers are in order, of which a row speaks, says it as well.
    """
    socket, token = case.state.sockets[each.who], each.more.get("token")
    # What was kept for a client that came back was asked for by who it was before.
    if token is not None and "again" not in each.more:
        chain = socket.chain
        isRight = token in socket.sent or (chain is not None and token in chain.sent)
        yield None if isRight else f"{each.what} {token}, and did not send that"


@reads("handles")
def oneAtATime(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No handler begins while another one of its socket is at work.

    @promise: What handlers return is waited for, or refused aloud.
    """
    # The state has read this event already.
    socket = case.state.sockets[each.who]
    busy = socket.before
    said = f"handles {each.more['token']} while {busy} is at work"
    yield said if busy is not None else None


@reads("handles", "takes")
def notBeforeTheSession(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A message that comes before the session is there is handled afterwards.

    @promise: Messages that come before the session is loaded wait for it.
    """
    socket, token = case.state.sockets[each.who], each.more["token"]
    if socket.sentAt.get(token, inf) < socket.connected:
        isRight = socket.connected <= each.at
        yield None if isRight else f"handles {token} before its session is there"


_OF_A_SOCKET: Final = (
    *("handles", "takes", "answers", "asks", "passes on", "schanged"),
    *("sdestroyed", "sinvalid", "connected", "disconnect"),
)


@reads(*_OF_A_SOCKET, "end", first=True)
def disconnectIsLast(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Of each socket that had its session, C{disconnect} is called once, and last.

    @promise: A message that came before the disconnect is handled, and then
        `disconnect` is called.
    """
    state = case.state
    if each.what == "end":
        for socket in state.sockets.values():
            isDue = socket.isConnected and socket.node not in state.killed
            if isDue:
                isTold = socket.isDisconnected
                yield None if isTold else f"{socket.name} never had its disconnect"
    elif state.sockets[each.who].isDisconnected:
        yield f"{each.what} after its disconnect"


@reads("disconnect")
def handledBeforeDisconnect(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What a client sent before it left is handled before C{disconnect} is called,
    unless its session or the server had ended, a hub closed it, it was cut off because
    it was sent more than may wait, or the store failed.

    @promise: A message that came before the disconnect is handled, and then
        `disconnect` is called.
    """
    state = case.state
    socket = state.sockets[each.who]
    isItsEnd = socket.left < inf and each.more["code"] == _GOING_AWAY
    isClosing = socket.node in state.stopped or socket.name in case.crowds.closing
    isAnothers = state.lives.begun.get(socket.key, 0) > socket.began
    isOver = socket.closed or socket.isCut or socket.key in state.gone or socket.errors
    isOver = isOver or isClosing or isAnothers
    if isItsEnd and not isOver:
        left = len(socket.sent) - socket.handled
        yield (
            f"is disconnected, and {left} messages were not handled" * bool(left)
            or None
        )


@reads("done")
def savesAreTrue(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When C{save()} or C{update()} fires, what it was asked for is stored, unless
    whoever changed it was told that it was given up; whoever asks for it, before that.
    A list to which a node appended twice, because a web application took out the
    stamp, may have more items than that.

    @unlisted: Rows speak of answers, and these go out then.
    """
    state = case.state
    socket, token = state.sockets[each.who], each.more["token"]
    change = state.changes.get(token)
    if change is not None and (change.do == "update" or token in socket.saves):
        isStored = state.isStored(change) or not _belongs(state, change)
        if change.do == "list" and change.session in state.doubled:
            case.excepted("what was appended twice to a list")
        if not isStored and token in socket.knowing:
            case.excepted("an increment that was given up before it was to be saved")
        else:
            yield None if isStored else f"saves {_said([change])}, and it is not stored"
    if token in socket.saves:
        left = state.unstored(socket.key, socket.node, socket.saves[token][0])
        yield f"saves, and {_said(left)} is not stored" if left else None


def _belongs(state: State, change: Change) -> bool:
    return state.lives.belongs(change, change.session)


def _said(changes: list[Change]) -> str:
    return ", ".join(f"{each.do} {each.token} of {each.by}" for each in changes)


@reads("quiet")
def doubtsAreTold(case: Case, each: Happening) -> Iterator[str | None]:
    """
    An increment counts, or whoever made it was told that nobody knows: by
    L{StoreTimeout}, which C{serror} tells, or C{save()} fails with; or by another
    error of the store, if its connection was closed with that.

    @promise: A write whose answer got lost is made once: neither dropped nor
        counted twice.
    """
    state = case.state
    for session, changes in state.increments.items():
        if state.data.get(session) is None:
            continue
        for change in changes:
            if change.node in state.killed or _endedInAnOutage(state, change):
                case.excepted("an increment of a node that is gone")
            elif not change.by or not state.lives.belongs(change, session):
                case.excepted("an increment of a page, a timer or a former session")
            elif state.isStored(change):
                yield None
            else:
                socket = state.sockets[change.by]
                error = "Store" if socket.isOver else "StoreTimeout"
                if change.by in state.repeated.sockets:
                    # Others may have been first too often.
                    error = ""
                isTold = socket.hasHeardOf(change, error)
                said = f"{_said([change])} is not stored, and nobody was told"
                yield None if isTold else said


def _endedInAnOutage(state: State, change: Change) -> bool:
    return change.node in state.gaveUp


@reads("closes", of=PER_CONNECTION)
def staysOpen(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Per connection, no socket that has its session is closed because the store
    fails, unless its own handler fails with that.

    @promise: Per connection, sockets stay open while the store fails, and what was
        changed is stored later.
    """
    socket = case.state.sockets[each.who]
    if socket.isConnected and each.more["code"] == _TRY_AGAIN:
        isMeant = any(error.startswith("Store") for _, error in socket.failed)
        yield None if isMeant else "is closed because the store fails"
    elif socket.isConnected:
        yield None


@reads("stopped", "closes")
def stopsWell(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A node that is told to stop closes its sockets with 1001, and stores what they
    changed, unless its time is up in an outage, or that cannot be read.

    @promise: A server that gets SIGTERM closes its sockets with 1001 and stores
        every session before it ends.
    """
    state = case.state
    if each.what == "closes":
        socket = state.sockets[each.who]
        if socket.node in state.stopped and socket.node not in state.unwell:
            isRight = each.more["code"] in (_GOING_AWAY, *_OTHERWISE)
            yield None if isRight else f"is closed with {each.more['code']}"
        return
    for socket in _at(state, each.who):
        if socket.isConnected:
            yield None if socket.isOver else f"stopped, and {socket.name} is open"
    if each.who not in state.gaveUp:
        for session, node in state.pending:
            isThere = state.data.get(session) is not None
            if node == each.who and isThere and session not in state.spoilt:
                left = state.unstored(session, node, len(state.changes))
                yield f"stopped, and {_said(left)} is not stored" if left else None


_OTHERWISE: Final = (4401, 1011, 1012)
"""
With what a socket may be closed while a node stops: its session ended, its handler
failed, or a hub had closed it.
"""


def _at(state: State, node: str) -> list[Socket]:
    return [each for each in state.sockets.values() if each.node == node]


@reads("stopped", "end")
def endsInTime(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A node that is told to stop ends in its time, whatever the store does.

    @promise: Neither a store that hangs nor a handler, even in a thread, keeps it
        from ending in its time, and the log names what it did not wait for.
    """
    state = case.state
    if each.what == "stopped":
        took = each.at - state.stops.pop(each.who) - _DRAIN - _JUMPS - _SOON
        yield f"ends {took / SECOND:.1f} s too late" if took > 0 else None
    else:
        for node in state.stops:
            yield f"{node} was told to stop, and does not"


@reads("connected")
def onlyWithASession(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A socket opens only if its session was there since its browser connected, as far as
    its node can know.

    @promise: An id that a client makes up begins no session.

    @promise: A new id at login closes the sockets of the old id with 4307, and the
        old id opens nothing.
    """
    state = case.state
    socket = state.sockets[each.who]
    isThere = state.data.get(socket.key) is not None
    isRight = isThere or not case.lost(socket)
    yield None if isRight else "is connected, and has no session"


@reads("stored", of=PER_CONNECTION)
def storedInTime(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Per connection, a change is stored within a second, or when the store is well and
    the session can be read.  What was emptied since, or is somebody else's now, need
    not be stored.

    @promise: Per connection, a change is stored after `saveInterval`, one second,
        at the latest.
    """
    state = case.state
    for (session, node), pending in state.pending.items():
        if session != each.more["key"] or node != each.who:
            continue
        for change in list(pending):
            if state.isStored(change):
                pending.remove(change)
                if not state.lives.belongs(change, session):
                    continue
                mended = state.mended.get(session, 0)
                since = max(change.began, state.well.get(node, 0), mended)
                isTriedAgain = node in state.unwell or session in state.spoilt
                retries = _RETRIES if isTriedAgain else 0
                late = each.at - since - _SAVE_INTERVAL - _SOON - _JUMPS - retries
                yield f"{_said([change])} is stored too late" if late > 0 else None


@reads("handles")
def stampsAreHidden(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Handlers find what applications stored, and no stamp.

    @promise: Handlers do not see what nodes leave in a session to recognize their
        writes.
    """
    isSeen = "_sessionsock" in each.more["sees"]
    yield f"message {each.more['token']} sees a stamp" if isSeen else None


@reads("stored")
def valuesAreWhole(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Each value that is stored is one that somebody assigned.

    @promise: Of two plain assignments to one and the same key, one wins; nothing
        else is lost.
    """
    state, key = case.state, each.more["key"]
    values: dict[str, Any] = dict(flat(state.data[key] or {}))
    for name, known in state.valuesOf.get(key, {}).items():
        value = values.get(name)
        if value is not None:
            # It may have been assigned under another id.
            change = known.byToken.get(value) or state.changes.get(value)
            isKnown = change is not None and change.key == name
            yield None if isKnown else f"stores {name} {value}, which nobody assigned"
