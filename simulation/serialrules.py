# -*- test-case-name: tests.simulation.test_serialrules -*-
"""
What handlers see and do that may run again: rules, as in L{simulation.rules}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .case import Case, Kind, reads
from .history import Happening
from .messages import digits
from .state import Change, Socket, State


__all__: list[str] = []

_REPEATS: Final = Kind("may run again", lambda plan: plan.repeating > 0)

_STRICT: Final = Kind(
    "may run again, strict",
    lambda plan: plan.repeating > 0 and plan.freshness == "strict",
)


def _counted(found: dict[str, Any]) -> set[int]:
    return {digit for digit, number in enumerate(digits(found.get("n", 0))) if number}


def _answeredBefore(
    case: Case, each: Happening
) -> tuple[Socket, dict[str, Any] | None]:
    """
    @return: What the handler of a message found that is answered now, if it is one
        that may run again.
    """
    socket = case.state.sockets[each.who]
    found = each.more.get("found")
    return socket, None if case.state.isDisturbed(socket.key) else found


@reads("answers", of=_REPEATS)
def haveOneOrder(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Of any two messages with handlers that may run again, and that count, one has found
    the other's count, and the other has not found that of the one.  Nobody counts on
    what was not stored.

    @promise: Handlers that may run again have the effect of one after the other, on any
        number of nodes.
    """
    state = case.state
    socket, found = _answeredBefore(case, each)
    token = each.more["token"]
    change = state.changes.get(token)
    if found is None or change is None or change.do != "increment":
        return
    mine, before = change.digit, _counted(found)
    finds = state.repeated.finds.setdefault(socket.key, {})
    wrong = [
        str(digit)
        for digit, others in finds.items()
        if (digit in before) == (mine in others)
    ]
    wrong += [str(mine)] * (mine in before)
    finds[mine] = before
    said = f"message {token}, which counts at {mine}, has no order with {wrong}"
    yield said if wrong else None


@reads("answers", of=_REPEATS)
def listsHaveOneOrder(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What they append to a list is behind all that they found there.

    @promise: Handlers that may run again have the effect of one after the other, on any
        number of nodes.
    """
    state = case.state
    socket, found = _answeredBefore(case, each)
    token = each.more["token"]
    change = state.changes.get(token)
    if found is None or change is None or change.do != "update":
        return
    data = state.data.get(socket.key) or {}
    log, expected = data.get("log", []), [*found.get("log", ()), token]
    # What update() appended and is made again on what others stored may be further
    # behind.
    only = [each for each in log if each in expected]
    said = f"message {token} found {found.get('log')}, and the list is {log}"
    yield None if only == expected or token not in log else said


@reads("answers", of=_REPEATS)
def takenOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What they take out of a list, nobody else has taken.

    @promise: Handlers that may run again have the effect of one after the other, on any
        number of nodes.
    """
    state = case.state
    socket, found = _answeredBefore(case, each)
    took = each.more.get("took")
    if found is None or took is None:
        return
    taken = state.repeated.taken.setdefault(socket.key, {})
    other = taken.setdefault(took, each.more["token"])
    isRight = other == each.more["token"]
    yield None if isRight else f"takes {took}, and the handler of {other} did, too"


@reads("answers", of=_STRICT)
def freshInTheEnd(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What is answered was found in a session that showed every write whose writer had its
    answer before the message was sent.

    @promise: Handlers that may run again have the effect of one after the other, on any
        number of nodes.
    """
    state = case.state
    socket, found = _answeredBefore(case, each)
    if found is None:
        return
    token = each.more["token"]
    sent = socket.sentAt[token]
    missing = [
        str(change.token)
        for change in _countedOrListed(state, socket.key)
        if change.heard < sent and not _isIn(change, found)
    ]
    said = f"message {token} has not found {missing}"
    yield said if missing else None


def _countedOrListed(state: State, key: str) -> list[Change]:
    return [*state.increments.get(key, ()), *state.updates.get(key, ())]


def _isIn(change: Change, found: dict[str, Any]) -> bool:
    if change.do == "increment":
        return change.digit in _counted(found)
    return change.token in found.get("log", ())


@reads("handles", "page reads", of=_REPEATS)
def draftsAreUnseen(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What others find of what they did is stored.

    @promise: What they do is seen by nobody else before it is stored.
    """
    state = case.state
    if each.what == "handles":
        key = state.sockets[each.who].key
    else:
        key = state.lives.pages[each.who].key
    early = [
        str(change.token)
        for change in _countedOrListed(state, key)
        if _isIn(change, each.more["sees"])
        and change.by in state.repeated.sockets
        and not state.isStored(change)
    ]
    yield f"finds {early}, which is not stored" if early else None


@reads("handles", of=_REPEATS)
def othersWait(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No other handler of the session begins at that node while a draft is not stored.
    Who was closed or lost meanwhile may have been what the draft was for.

    @promise: Other handlers of the session in that process begin only then.
    """
    socket = case.state.sockets[each.who]
    draft = case.state.repeated.drafts.get((socket.node, socket.key))
    if draft is not None:
        early = [str(token) for token, by in draft.items() if not by.isOver]
        yield f"begins before {early} are stored" if early else None


@reads("runs", of=_REPEATS)
def runInOrder(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Messages of a socket run in the order in which they were sent, and none is left out.

    @promise: Messages of a client are handled one at a time, in the order in which
        they came.
    """
    socket, token = case.state.sockets[each.who], each.more["token"]
    isRight = socket.sent.get(token, -1) == socket.handled - 1
    yield None if isRight else f"runs {token} out of order"


@reads("runs", "runs again", of=_REPEATS)
def notAfterTheEnd(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When a session has ended, none begins.

    @promise: When a session has ended, nothing is answered from it any more.
    """
    socket = case.state.sockets[each.who]
    yield "runs after the end" if socket.isDestroyed else None


@reads("answers", of=_REPEATS)
def repeatedAreStored(case: Case, each: Happening) -> Iterator[str | None]:
    """
    An answer goes out when what its handler found, and what it did, is stored.

    @promise: Per message, an answer goes out when all that was changed before it
        was sent is stored.
    """
    state = case.state
    socket, found = _answeredBefore(case, each)
    if found is None:
        return
    stored = state.storedDigits.get(socket.key, set())
    early = sorted(_counted(found) - stored)
    log = state.storedLog.get(socket.key, set())
    late = [token for token in found.get("log", ()) if token not in log]
    said = f"message {each.more['token']} found {early}, {late}, which is not stored"
    yield said if early or late else None
