# -*- test-case-name: tests.simulation.test_rules_sockets -*-
"""
Rules about sockets of both kinds: what comes by them, and how they end and come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from .case import SOCKET_IO, Case, reads
from .history import Happening
from .queue import SECOND
from .state import Chain, Socket


_JUMPS = 5 * SECOND
_CLOSE_TIMEOUT = 4 * SECOND


@reads("arrives", "serror", "sdestroyed", "closes", "cuts", "disconnect")
def whatCameIsHandled(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A message that came before the disconnect is handled, and then C{disconnect} is
    called: but for those of a socket that we closed, or of a session that ended or
    could not be read, or at a node that was told to stop, or of a group that a hub
    closes.

    @promise: A message that came before the disconnect is handled, and then
        `disconnect` is called.
    """
    socket = case.state.sockets.get(each.who)
    if socket is None:
        return
    if each.what == "arrives":
        socket.arrived += 1
    elif each.what != "disconnect":
        socket.isExcused = True
    elif socket.arrived and not (socket.isExcused or _isEnding(case, socket)):
        left = socket.arrived - socket.handled
        yield f"left {left} messages that had come" if left > 0 else None


def _isEnding(case: Case, socket: Socket) -> bool:
    state = case.state
    isEnded = socket.key in state.gone or socket.node in state.stopped
    isAnothers = state.lives.begun.get(socket.key, 0) > socket.began
    return isEnded or isAnothers or socket.name in case.crowds.closing


@reads("quiet")
def nobodyWaits(case: Case, each: Happening) -> Iterator[str | None]:
    """
    When all is well again, whatever was sent by a socket that is open was handled,
    and answered.

    @unlisted: No row says that anything happens at all.
    """
    for socket in case.state.sockets.values():
        isThere = socket.isConnected and not (socket.isOver or socket.isLeft)
        if isThere and socket.sent:
            left = len(socket.sent) - socket.handled
            last = next(reversed(socket.done), None)
            if left:
                yield f"{left} messages of {socket.name} are not handled"
            elif last is not None and socket.sent.get(last, -1) > socket.answered:
                yield f"{socket.name} has no answer to {last}"
            else:
                yield None


@reads("answers", of=SOCKET_IO)
def acknowledgedOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    An event that asks for an acknowledgement gets its own, once, and no others.

    @unlisted: That is the protocol's, of which a row speaks case by case.
    """
    token, asked = each.more["token"], case.state.sockets[each.who].asked
    if "ack" in each.more:
        isRight = asked.pop(each.more["ack"], None) == token
        yield None if isRight else f"acknowledges {token}, which did not ask for it"
    elif token in asked.values():
        yield f"answers {token}, which asked for an acknowledgement"


@reads("lost", "quiet", first=True)
def closedInTime(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Whom we close is gone soon, whether it answers or not.

    @unlisted: Rows say which sockets are closed; this how long that takes.
    """
    state = case.state
    if each.what == "lost":
        socket = state.sockets[each.who]
        if socket.closedAt is not None:
            late = _lateness(case, socket, each.at)
            yield f"is gone {late / SECOND:.3f} s too late" if late > 0 else None
    elif each.what == "quiet":
        ended = {*state.killed, *state.stopped}
        for socket in state.sockets.values():
            if socket.closedAt is not None and not socket.isLost:
                isThere = _lateness(case, socket, each.at) > 0
                if isThere and socket.node not in ended:
                    yield f"{socket.name} was closed and is there"


def _lateness(case: Case, socket: Socket, at: int) -> float:
    since = max(socket.closedAt or 0, case.state.well.get(socket.node, 0))
    return at - since - _CLOSE_TIMEOUT - _JUMPS


@reads("connected", of=SOCKET_IO)
def oneSession(case: Case, each: Happening) -> Iterator[str | None]:
    """
    The namespaces of a connection have one session.

    @promise: The namespaces of a connection have one session; a client that names
        two is refused.
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


@reads("connected", "hears", "carries", "overhears", "bus", of=SOCKET_IO)
def recoveredOnce(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A client that lost its connection gets what it missed, once and in order, and all
    of it if the bus is well.  It comes back to its own session, and only when it is
    gone; not if the session ended meanwhile, unless that was written again before
    anybody had to know.

    @promise: A client that lost its connection gets what it missed, once and in
        order, if recovery is on.

    @promise: Recovery looks at the session first: who was logged out gets nothing of
        what it missed.
    """
    if each.what == "bus":
        case.state.isBusWell = False
        return
    socket = case.state.sockets[each.who]
    if each.what == "connected":
        if "sid" in each.more:
            yield from _goesOn(case, socket, each)
    elif each.what == "carries":
        number, by = each.more["number"], each.more["by"]
        isRight = socket.carried.get(by, -1) < number
        socket.carried[by] = number
        yield None if isRight else f"carries {number} of {by} out of order"
    elif socket.chain is not None:
        yield _heardOnce(case, socket.chain, each)


def _goesOn(case: Case, socket: Socket, each: Happening) -> Iterator[str | None]:
    state, sid = case.state, each.more["sid"]
    chain = state.chains.get(sid)
    if each.more["recovered"]:
        before = None if chain is None else chain.last
        isRight = before is not None and before.isLost and before.key == socket.key
        if before is None or not isRight:
            yield "is recovered, and was nobody that is gone"
        else:
            gone = state.gone.get(socket.key, -1)
            isGone = before.connected < gone and case.lost(socket)
            isExcused = before.name in state.lives.excused
            isOut = isGone and not isExcused
            yield "is recovered, and its session was gone" if isOut else None
    elif chain is not None:
        yield "has the id of another"
    if chain is None:
        chain = state.chains[sid] = Chain(socket.key, each.at)
    elif each.more["recovered"]:
        socket.heirOf = chain.last
    chain.last = socket
    chain.nodes[socket.node] = None


def _heardOnce(case: Case, chain: Chain, each: Happening) -> str | None:
    if each.what == "hears":
        token = each.more.get("token", -1)
        isAgain = token in chain.answers
        chain.answers.add(token)
        return f"hears the answer to {token} twice" if isAgain else None
    number, by = each.more["number"], each.more["by"]
    last, chain.told[by] = chain.told.get(by, -1), number
    if number <= last:
        return f"hears {number} of {by} after {last}"
    # A bus loses what comes while it is not well.
    if case.state.isBusWell:
        room = _roomOf(each.who)
        for at, missed in case.state.shouts.get((by, room), ()):
            isDue = at > chain.since and last < missed < number
            if isDue and missed in case.state.shouted:
                return f"hears {number} of {by}, and never heard {missed}"
    return None


def _roomOf(name: str) -> str:
    return "/" + name.partition("/")[2].rstrip("0123456789")


@reads("carries", "connected", of=SOCKET_IO)
def newsIsHeld(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Per message, what many are sent goes out when all is stored that handlers of the
    node of the client had changed before; and what a client missed that comes to
    another node, when what those of the one where it was had changed.

    @unlisted: That is what the row about answers says, of what is none.
    """
    socket = case.state.sockets[each.who]
    if not case.plan.perMessage:
        return
    if each.what == "carries":
        number = each.more["number"]
        if number in case.state.beforeShout:
            yield _isHeld(case, socket, socket, number)
            if not socket.isConnected:
                socket.missed.append(number)
    elif (last := socket.heirOf) is not None and last.node != socket.node:
        for number in socket.missed:
            at, _ = case.state.beforeShout[number]
            # It came there before anybody asked for what the client missed.
            if (
                last.connected < at
                and case.state.shouted.get(number, inf) < socket.began
            ):
                yield _isHeld(case, socket, last, number)


def _isHeld(case: Case, socket: Socket, there: Socket, number: int) -> str | None:
    _, before = case.state.beforeShout[number]
    left = case.state.unstored(there.key, there.node, before)
    tokens = ", ".join(str(change.token) for change in left)
    return f"is sent {number}, and {tokens} is not stored" * bool(left) or None
