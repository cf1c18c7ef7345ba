# -*- test-case-name: tests.simulation.test_rules -*-
"""
What is promised of the order of events: each rule reads a history once, and says
where it is broken.  See docs/promises.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .history import Happening, History
from .messages import digits
from .plan import Plan
from .queue import SECOND
from .state import Chain, Change, Socket, State


__all__ = ["RULES", "Breach", "Verdict", "judged"]

_SOON = 3 * SECOND
_RECHECKS = 13 * SECOND
_JUMPS = 5 * SECOND
"""
By how much clocks may jump while somebody waits for a time to come.
"""
_CLOSE_TIMEOUT = 4 * SECOND
_CLOSE_AFTER_END = 4401


@dataclass(frozen=True)
class Breach:
    """
    A rule was broken.

    @ivar where: By which event of the history.
    """

    rule: str
    where: int
    why: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.why}"


class Case:
    """
    A history that is being read.

    @ivar applied: How often each rule said something about it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state = State()
        self.applied: dict[str, int] = {}
        self.breaches: list[Breach] = []
        self.number = 0


_Rule = Callable[[Case, Happening], Iterator[str | None]]
"""
Yields L{None} each time it applies and is kept, and why it is broken if it is.
"""

RULES: dict[str, _Rule] = {}
_FIRST: dict[str, list[tuple[str, _Rule]]] = {}
_THEN: dict[str, list[tuple[str, _Rule]]] = {}
"""
The rules by the word of the events that they read: before the state does, or after.
"""


def _reads(*words: str, first: bool = False) -> Callable[[_Rule], _Rule]:
    """
    Have a rule read the events with these words.

    @param first: Whether it reads them before the state does.
    """

    def add(rule: _Rule) -> _Rule:
        RULES[rule.__name__] = rule
        for word in words:
            (_FIRST if first else _THEN).setdefault(word, []).append(
                (rule.__name__, rule)
            )
        return rule

    return add


def _missing(case: Case, key: str, data: dict[str, Any], at: int) -> list[Change]:
    """
    @return: What is missing of that of which somebody had been told until then.
    """
    state = case.state
    found = []
    for (session, name), values in state.values.items():
        if session == key and values.byToken:
            lost = values.lost(_at(data, name), at)
            if lost is not None:
                found.append(lost)
    counted = digits(data.get("n", 0))
    for change in state.increments.get(key, ()):
        if change.heard <= at and not counted[change.digit : change.digit + 1] > [0]:
            found.append(change)
    log = data.get("log", ())
    updates = state.updates.get(key, ())
    found += [each for each in updates if each.heard <= at and each.token not in log]
    return found


def _at(data: dict[str, Any], name: str) -> Any:
    if name.startswith("nest."):
        return data.get("nest", {}).get(name.removeprefix("nest."))
    return data.get(name)


def _said(changes: list[Change]) -> str:
    return ", ".join(f"{each.do} {each.token} of {each.node}" for each in changes)


@_reads("quiet", "stored")
def noUpdateIsLost(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What somebody was told is done is in each later version, but for what a web
    application's old copy dropped, which is in the last.
    """
    state = case.state
    if each.what == "quiet":
        for key, data in state.data.items():
            if data is not None and not _isExcepted(case, key):
                missing = _missing(case, key, data, each.at)
                yield f"{_said(missing)} is missing in the end" if missing else None
    elif not _isDisturbed(state, each.more["key"]):
        key = each.more["key"]
        data = state.data[key]
        assert data is not None
        missing = _missing(case, key, data, each.at)
        yield f"{_said(missing)} is missing in what was stored" if missing else None


def _isDisturbed(state: State, key: str) -> bool:
    """
    Whether a web application wrote what may be missing for a while, or twice.
    """
    return key in state.dropped or key in state.beyond


def _isExcepted(case: Case, key: str) -> bool:
    """
    Whether what a web application dropped need not come back: whoever stored it
    was killed, or could not see it in time.
    """
    state = case.state
    isExcepted = key in state.beyond or (
        key in state.dropped
        and (bool(state.killed) or state.wasUnwell or not case.plan.repair)
    )
    if isExcepted:
        case.applied["excepted"] = case.applied.get("excepted", 0) + 1
    return isExcepted


@_reads("stored")
def incrementsCountOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No increment is in the sum twice, and no update.
    """
    if each.more["key"] not in case.state.beyond:
        data = case.state.data[each.more["key"]]
        assert data is not None
        twice = [i for i, n in enumerate(digits(data.get("n", 0))) if n > 1]
        log = data.get("log", [])
        again = [token for token in log if log.count(token) > 1]
        if twice or again:
            yield f"increments {twice}, updates {sorted({*again})} count twice"
        elif "n" in data or log:
            yield None


@_reads("handles")
def fresh(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Per message, the session shows every write whose writer had its answer before
    the message was sent.
    """
    plan, state = case.plan, case.state
    if plan.freshness != "strict" or not plan.perMessage:
        return
    yield from _isFresh(case, each, state.sockets[each.who].sentAt[each.more["token"]])


def _isFresh(case: Case, each: Happening, sent: int) -> Iterator[str | None]:
    state = case.state
    socket = state.sockets[each.who]
    if _isDisturbed(state, socket.key):
        return
    missing = _missing(case, socket.key, each.more["sees"], sent - 1)
    yield (
        f"message {each.more['token']} does not see {_said(missing)}" * bool(missing)
        or None
    )


@_reads("answers", "asks")
def answersAreHeld(case: Case, each: Happening) -> Iterator[str | None]:
    """
    An answer, or a question, goes out when what its handler changed before is
    stored.
    """
    state = case.state
    # Per connection nothing is held; what asks that it is stored waits for that.
    isSent = each.what == "answers" or (each.what == "asks" and case.plan.perMessage)
    change = state.changes.get(each.more["token"]) if isSent else None
    if change is None or change.do == "raise":
        return
    key = change.session
    if change.do == "increment":
        isStored = change.digit in state.storedDigits.get(key, ())
    elif change.do == "update":
        isStored = change.token in state.storedLog.get(key, ())
    else:
        isStored = state.values[key, change.key].storedBegan >= change.began
    yield None if isStored else f"{_said([change])} was answered and is not stored"


@_reads("quiet")
def changesAreStored(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Whatever a handler assigned is stored when all is well again, also if its client
    had no answer, unless its node was killed or ended in an outage.
    """
    state = case.state
    for (session, _), values in state.values.items():
        if state.data.get(session) is None:
            continue
        last = max(
            (change for change in values.byToken.values() if _lasts(state, change)),
            key=lambda change: change.began,
            default=None,
        )
        if last is not None:
            isStored = values.storedBegan >= last.began
            yield None if isStored else f"{_said([last])} was never stored"


def _lasts(state: State, change: Change) -> bool:
    node = change.node
    return node not in state.killed and not (node in state.stopped and state.wasUnwell)


@_reads("handles", "takes", "answers")
def inOrder(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Messages of a socket are handled, and answered, in the order in which they
    were sent, and none is left out.
    """
    if "again" in each.more:
        return  # What was kept for a client that came back: see recoveredOnce.
    socket, token = case.state.sockets[each.who], each.more["token"]
    place = socket.sent.index(token) if token in socket.sent else -1
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
    """
    socket = case.state.sockets.get(each.who)
    if socket is None or not socket.isDestroyed:
        return
    isRight = each.what == "disconnect"
    yield None if isRight else f"{each.what} something after the end"


@_reads("sdestroyed", first=True)
def toldOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Who holds a session is told once that it ended.
    """
    isAgain = case.state.sockets[each.who].isDestroyed
    yield "is told again that its session ended" if isAgain else None


@_reads("created", "stored")
def neverBack(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No save of ours re-creates a session that is gone.
    """
    if each.who.startswith("node"):
        isNew = each.what == "created"
        yield "a session came back from the dead" if isNew else None


@_reads("quiet", "closes", first=True)
def logoutMeansLogout(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Every socket of a session that ended is closed, on every node, in time.
    """
    state = case.state
    if each.what == "quiet":
        for socket in state.sockets.values():
            if socket.isConnected and not socket.isOver and socket.key in state.gone:
                yield f"{socket.name} is open, and its session is gone"
    elif each.what == "closes" and each.who in state.sockets:
        socket = state.sockets[each.who]
        gone = state.gone.get(socket.key)
        if socket.isConnected and gone is not None:
            since = max(gone, state.well.get(socket.node, 0), socket.began)
            late = each.at - since - _bound(case, socket)
            yield f"was closed {late / SECOND:.3f} s too late" if late > 0 else None


def _bound(case: Case, socket: Socket) -> int:
    return (_RECHECKS if case.plan.kind == "silent" else _SOON) + _JUMPS


@_reads("sinvalid", "sdestroyed", "closes")
def anOutageIsNoLogout(case: Case, each: Happening) -> Iterator[str | None]:
    """
    No client is told that it has no session while there is one.
    """
    state = case.state
    isTold = each.what in ("sinvalid", "sdestroyed") or (
        each.what == "closes" and each.more["code"] == _CLOSE_AFTER_END
    )
    if isTold:
        socket = state.sockets[each.who]
        isThere = state.data.get(socket.key) is not None
        wasThere = state.gone.get(socket.key, -1) < socket.began
        isWrong = isThere and wasThere
        yield "is told that it has no session, and has one" if isWrong else None


@_reads("left", "end")
def nothingIsLeft(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When all is quiet nothing is left: no session, timer, watch or question.
    """
    if each.what == "left":
        yield f"{each.more['text']} is left"
    else:
        yield None


@_reads("error", "endless", "end")
def nothingUnexpected(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Nothing fails that should not, and all comes to an end.
    """
    if each.what == "error":
        yield str(each.more["text"])
    else:
        yield "it does not come to an end" if each.what == "endless" else None


@_reads("arrives", "serror", "sdestroyed", "closes", "cuts", "disconnect")
def whatCameIsHandled(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A message that came before the disconnect is handled, and then C{disconnect} is
    called: but for those of a socket that we closed, or of a session that ended or
    could not be read.
    """
    socket = case.state.sockets.get(each.who)
    if socket is None:
        return
    if each.what == "arrives":
        socket.arrived += 1
    elif each.what != "disconnect":
        socket.isExcused = True
    elif socket.arrived and not (socket.isExcused or socket.key in case.state.gone):
        left = socket.arrived - socket.handled
        yield f"left {left} messages that had come" if left > 0 else None


@_reads("quiet")
def nobodyWaits(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When all is well again, whatever was sent by a socket that is open was handled.
    """
    for socket in case.state.sockets.values():
        isThere = socket.isConnected and not (socket.isOver or socket.isLeft)
        if isThere and socket.sent:
            left = len(socket.sent) - socket.handled
            yield f"{left} messages of {socket.name} are not handled" if left else None


@_reads("is told")
def answersToUsAreFresh(case: Case, each: Happening) -> Iterator[str | None]:
    """
    What a handler finds when its client has answered is as fresh as for a message.
    """
    if case.plan.freshness == "strict" and case.plan.perMessage:
        replied = case.state.sockets[each.who].repliedAt
        yield from _isFresh(case, each, replied[each.more["token"]])


@_reads("answers")
def acknowledgedOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    An event that asks for an acknowledgement gets its own, once, and no others.
    """
    token, asked = each.more["token"], case.state.sockets[each.who].asked
    if "ack" in each.more:
        isRight = asked.pop(each.more["ack"], None) == token
        yield None if isRight else f"acknowledges {token}, which did not ask for it"
    elif token in asked.values():
        yield f"answers {token}, which asked for an acknowledgement"


@_reads("closes", "lost", "quiet", first=True)
def closedInTime(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Whom we close is gone soon, whether it answers or not.
    """
    state = case.state
    if each.what == "lost":
        socket = state.sockets[each.who]
        if socket.closedAt is not None:
            since = max(socket.closedAt, state.well.get(socket.node, 0))
            late = (each.at - since - _CLOSE_TIMEOUT - _JUMPS) / SECOND
            yield f"is gone {late:.3f} s too late" if late > 0 else None
    elif each.what == "quiet":
        for socket in state.sockets.values():
            isThere = socket.closedAt is not None and not socket.isLost
            if isThere and socket.node not in state.killed | state.stopped:
                yield f"{socket.name} was closed and is there"


@_reads("connected")
def oneSession(case: Case, each: Happening) -> Iterator[str | None]:
    """
    The namespaces of a connection have one session.
    """
    wire, isMore, _ = each.who.partition("/")
    if isMore:
        sockets = case.state.sockets
        others = [
            socket
            for socket in sockets.values()
            if socket.name.startswith(f"{wire}/")
            and socket.isConnected
            and not socket.isOver
        ]
        isRight = all(socket.key == sockets[each.who].key for socket in others)
        yield None if isRight else "has another session than its other namespaces"


@_reads("connected", "hears", "is asked")
def recoveredOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A client that lost its connection gets what it missed, once and in order: from
    its own node, all of it.  It comes back to its own session, and only when it is
    gone.
    """
    socket = case.state.sockets[each.who]
    if each.what == "connected":
        if "sid" in each.more:
            yield from _goesOn(case, socket, each)
    elif socket.chain is not None:
        yield _heardOnce(case, socket.chain, each)


def _goesOn(case: Case, socket: Socket, each: Happening) -> Iterator[str | None]:
    state, sid = case.state, each.more["sid"]
    chain = state.chains.get(sid)
    if each.more["recovered"]:
        before = None if chain is None else chain.last
        isRight = before is not None and before.isLost and before.key == socket.key
        isGone = state.gone.get(socket.key, each.at) < socket.began
        yield (
            "is recovered, and was nobody that is gone"
            if not isRight
            else "is recovered, and its session was gone"
            if isGone
            else None
        )
    elif chain is not None:
        yield "has the id of another"
    if chain is None:
        chain = state.chains[sid] = Chain(socket.key, each.at)
    chain.last = socket
    chain.nodes[socket.node] = None


def _heardOnce(case: Case, chain: Chain, each: Happening) -> str | None:
    token, told, by = (each.more.get(name) for name in ("token", "told", "by"))
    if token is not None:
        isAgain = token in chain.answers and each.what == "hears"
        if each.what == "hears":
            chain.answers.add(token)
        return f"hears the answer to {token} twice" if isAgain else None
    if told is None or by is None:
        return None
    last, chain.told[by] = chain.told.get(by, -1), told
    if told <= last:
        return f"hears {told} of {by} after {last}"
    if list(chain.nodes) == [by]:
        room = _roomOf(each.who)
        for at, number in case.state.shouts.get((by, room), ()):
            if at > chain.since and last < number < told:
                return f"hears {told} of {by}, and never heard {number}"
    return None


def _roomOf(name: str) -> str:
    return "/" + name.partition("/")[2].rstrip("0123456789")


@dataclass(frozen=True)
class Verdict:
    """
    What a history shows.

    @ivar breaches: Where it breaks rules.

    @ivar applied: How often each rule applied.
    """

    breaches: list[Breach]
    applied: dict[str, int]


def judged(plan: Plan, history: History) -> Verdict:
    """
    Read a history.
    """
    case = Case(plan)
    for case.number, each in enumerate(history.all):
        _apply(case, _FIRST.get(each.what, ()), each)
        case.state.take(each)
        _apply(case, _THEN.get(each.what, ()), each)
    return Verdict(case.breaches, case.applied)


def _apply(case: Case, rules: Sequence[tuple[str, _Rule]], each: Happening) -> None:
    for name, rule in rules:
        for why in rule(case, each):
            case.applied[name] = case.applied.get(name, 0) + 1
            if why is not None:
                breach = partial(Breach, name, case.number)
                case.breaches.append(breach(f"{each.who} {why}"))
