# -*- test-case-name: tests.simulation.test_grouprules -*-
"""
Rules of groups: who is told what a hub sends, and what its sender is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from .case import HUB, Case, reads
from .crowds import CALM, REFUSALS
from .groups import HUB_REASON
from .history import Happening
from .queue import SECOND


__all__: list[str] = []

_GOING_AWAY = 1001
_BYE = 2 * SECOND
_SOON = 3 * SECOND
"""
After what time nothing fails any more because the store was not well.
"""


def _isByHub(each: Happening) -> bool:
    return each.what == "closes" and each.more.get("reason", "").startswith(HUB_REASON)


def _hasLost(case: Case, name: str) -> bool:
    """
    Whether a socket was told that its session ended, with a change of its node in it
    that is not stored, or was not by then: if the session has another id now, something
    may have been stored in its place under that.
    """
    state = case.state
    socket = state.sockets[name]
    last = state.lives.storedAt.get(socket.key, 0)
    return socket.isDestroyed and any(
        change.node == socket.node
        and (change.began > last or not state.isStored(change))
        for change in state.changes.values()
        if change.session == socket.key
    )


@reads("quiet", "closes", of=HUB)
def hubReachesMembers(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Who is in a group when its node gets something for that is told it, unless its
    socket goes before; and before the hub or a node that stops closes it, unless
    the store failed or the session could not be read meanwhile, or, per message, its
    session ended: what waits for a change to be stored is then dropped with that
    change.

    @promise: A hub reaches a session, a user or a room on every node, in the order
        of each sender.
    """
    if each.what == "closes":
        if _isByHub(each) or each.more["code"] == _GOING_AWAY:
            owed = case.crowds.owed.get(each.who)
            socket = case.state.sockets[each.who]
            well = case.state.well.get(socket.node, 0)
            isAway = socket.key in case.state.spoilt
            if owed and (isAway or min(owed.values()) < well + _SOON):
                case.excepted("told when the store failed")
                return
            if owed and case.plan.perMessage and _hasLost(case, each.who):
                case.excepted("told when a change was lost with its session")
                return
            yield f"was closed and not told {list(owed)}" if owed else None
        return
    for name, numbers in case.crowds.owed.items():
        socket = case.state.sockets[name]
        if not socket.isOver:
            yield f"{name} was not told {list(numbers)}" if numbers else None


@reads("passes on", "closes", of=HUB)
def hubReachesNobodyElse(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Who is in no group is told nothing, nor is its socket closed.

    @promise: A hub reaches a session, a user or a room on every node, in the order
        of each sender.
    """
    if each.what == "closes":
        if _isByHub(each):
            isMeant = each.who in case.crowds.closing
            yield None if isMeant else "was closed and not meant"
        return
    number = each.more["by"], each.more["told"]
    isMeant = number in case.crowds.granted.get(each.who, {})
    yield None if isMeant else f"is told {number} and is not in that group"


@reads("quiet", of=HUB)
def hubCloses(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A hub that closes a group closes every socket of it.

    @promise: A hub reaches a session, a user or a room on every node, in the order
        of each sender.
    """
    for name in case.crowds.toClose:
        isOver = case.state.sockets[name].isOver
        yield None if isOver else f"{name} is open, and the hub closed it"


@reads("did", "reached", of=HUB)
def hubCounts(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Whoever tells a group something is told how many were in it, on each node; a
    socket whose session got another id there is in none, before it hears that, too.
    Who came after the question need not be in the answer.

    @unlisted: docs/hub.md says what comes back.
    """
    crowds = case.crowds
    if each.what == "did":
        got = crowds.told[each.more["by"], each.more["told"]].gets[each.who]
        isRight = len(got.surely) <= each.more["count"] <= len(got.perhaps)
        yield None if isRight else f"counts {each.more['count']} members"
        return
    told = crowds.told[each.who, each.more["told"]]
    for node, number in each.more["nodes"].items():
        if number is None:
            continue
        if told.do != "count":
            before = told.gets.get(node)
            isRight = before is not None and before.count == number
            yield None if isRight else f"is told that {node} reached {number}"
        elif told.at > max(crowds.finalSince, crowds.calmSince):
            got, sockets = crowds.members(node, told, each.at), case.state.sockets
            surely = [x for x in got.surely if sockets[x].connected < told.at]
            isRight = len(surely) <= number <= len(got.perhaps)
            yield None if isRight else f"is told that {node} has {number} members"


@reads("reached", "not reached", of=HUB)
def everyNodeAnswers(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A hub reaches every node that is there and can be reached; and its own always.

    @promise: A hub reaches a session, a user or a room on every node, in the order
        of each sender.
    """
    crowds = case.crowds
    told = crowds.told[each.who, each.more["told"]]
    if each.what == "not reached":
        if told.at > crowds.calmSince:
            yield f"did not reach anybody: {each.more['error']}"
        return
    nodes = each.more["nodes"]
    isOwn = nodes.get(each.who) is not None
    yield None if isOwn else "did not reach itself"
    if told.at > crowds.calmSince:
        missing = [name for name in crowds.living if nodes.get(name) is None]
        yield f"did not reach {missing}" if missing else None


@reads("reached", of=HUB)
def theDeadAreForgotten(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A node that stopped is expected to answer no more; one that was killed is, for
    its lifetime.

    @unlisted: docs/hub.md says for how long they are not.
    """
    crowds = case.crowds
    told = crowds.told[each.who, each.more["told"]]
    for name, at in crowds.ended.items():
        isSaid = name in case.state.stopped and not crowds.wasBusTroubled
        last = max(at, crowds.troubled.get(each.who, 0))
        if told.at > (at + _BYE if isSaid else last + CALM + SECOND):
            isThere = name in each.more["nodes"]
            yield f"waited for {name}, which is gone" if isThere else None


@reads("not reached", "gets", of=HUB, first=True)
def refusedReachesNobody(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Who is told that nothing was sent can believe it, and is told so while its node
    has no connection; else it was done on its own node.

    @unlisted: docs/hub.md says what errors mean.
    """
    if each.what == "gets":
        told = case.crowds.told[each.more["by"], each.more["told"]]
        yield "gets what was refused" if told.isRefused else None
        return
    told = case.crowds.told[each.who, each.more["told"]]
    if each.more["error"] in REFUSALS:
        yield "is told that nothing was sent" if told.gets else None
    elif case.crowds.cutOff.get(each.who, inf) < told.at:
        yield "is not told that nothing was sent"
    elif told.do != "count":
        yield None if each.who in told.gets else "did nothing itself"


@reads("gets", of=HUB, first=True)
def onceForEachNode(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A node gets once what a group is told.

    @promise: A hub reaches a session, a user or a room on every node, in the order
        of each sender.
    """
    told = case.crowds.told[each.more["by"], each.more["told"]]
    isAgain = each.who in told.gets
    yield f"gets {each.more['told']} of {told.by} again" if isAgain else None


@reads("passes on", of=HUB)
def hubHolds(case: Case, each: Happening) -> Iterator[str | None]:
    """
    Per message, what a group is told goes to sockets of a session when all is stored
    that was changed in it on their node before.

    @promise: Per message, an answer goes out when all that was changed before it was
        sent is stored.
    """
    state, token = case.state, each.more.get("after")
    change = None if token is None else state.changes[token]
    if change is None or not case.plan.perMessage:
        return
    socket = state.sockets[each.who]
    if (socket.key, socket.node) == (change.session, change.node):
        isEmptied = not state.lives.belongs(change, change.session)
        isStored = isEmptied or state.isStored(change)
        yield None if isStored else f"change {token} was told and is not stored"


@reads("joins", "parts", of=HUB, first=True)
def roomsAreKept(case: Case, each: Happening) -> Iterator[str | None]:
    """
    A socket is in a room from when it is put there until it leaves, or goes; and
    not when it is gone.

    @unlisted: docs/hub.md says what rooms are.
    """
    socket = case.state.sockets[each.who]
    if each.what == "parts":
        isRight = each.more["wasIn"] == case.crowds.isInRoom(socket, each.more["room"])
        yield None if isRight else f"was in {each.more['room']}: {each.more['wasIn']}"
    elif socket.isOver or socket.isDestroyed:
        yield "joins a room, and is gone" if each.more["isIn"] else None
