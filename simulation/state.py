# -*- test-case-name: tests.simulation.test_rules -*-
"""
What is known at each moment of a history that is read once, from first to last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any

from msgspec.json import decode

from .copies import Copies
from .history import Happening, reads
from .lives import Lives
from .messages import digits
from .queue import SECOND


__all__ = ["Chain", "Change", "Socket", "State", "Values", "flat"]

_TRY_AGAIN = 1013
"""
With what a connection is closed because the store failed.
"""
_AGAIN = 6 * SECOND
_ITS_TIME = 6 * SECOND
"""
How long a store has to be there again, so that a node that ends has stored everything;
after how long it ends at the soonest if it has not.
"""

_DRAINED = round(8.5 * SECOND)
"""
For how long a node that is told to stop guards at most what it has to put back.
"""

_WAYS = 5
"""
Those to the store and back until something is put back: of the store's word, of a
question, of what is stored again, and of both answers.
"""


@dataclass
class Change:
    """
    A change that a handler or the web application made.

    @ivar began: When it was made.

    @ivar heard: When somebody was told that it is done.

    @ivar by: The socket whose handler made it; C{""} for none.

    @ivar number: How many changes there were before it.

    @ivar had: Since when its node had the session without a break.

    @ivar stored: When it was stored, or something in its place.

    @ivar values: The changes of its key, if it assigned that.

    @ivar overtaken: How often others stored something else before it was stored, if
        it was made outside of a handler.
    """

    token: int
    do: str
    key: str
    digit: int
    session: str
    node: str
    began: int
    heard: float = inf
    by: str = ""
    number: int = 0
    had: int = 0
    stored: float = inf
    values: Values | None = None
    overtaken: int = 0


class Values:
    """
    The changes of one key of one session.  A later one takes the place of an
    earlier one if it began when somebody had been told of that.

    @ivar versions: In which version of the session each was first and last.
    """

    def __init__(self) -> None:
        self.byToken: dict[int, Change] = {}
        self.versions: dict[int, tuple[int, int]] = {}
        # Of all that somebody was told until then, which one began last.
        self._heardAt: list[int] = []
        self._last: list[Change] = []
        self.storedBegan = -1

    def heard(self, change: Change, at: int) -> None:
        """
        Somebody was told.
        """
        last = self._last[-1] if self._last else change
        self._heardAt.append(at)
        self._last.append(change if change.began >= last.began else last)

    def forget(self) -> None:
        """
        Nothing of what was told holds any more.
        """
        self._heardAt.clear()
        self._last.clear()

    def lost(self, value: object, at: int) -> Change | None:
        """
        @param value: What is there; L{None} for nothing.

        @return: A change of which somebody had been told at that time, and that
            is neither there nor replaced.
        """
        number = bisect_right(self._heardAt, at)
        if not number:
            return None
        last = self._last[number - 1]
        found = self.byToken.get(value) if isinstance(value, int) else None
        if found is None:
            return last
        return last if last.began > found.heard else None

    def after(self, change: Change) -> list[Change]:
        """
        @return: What was stored in place of one.
        """
        first, _ = self.versions.get(change.token, (inf, inf))
        return [
            self.byToken[token]
            for token, (since, _) in self.versions.items()
            if since > first
        ]

    def isBack(self, value: object, told: object) -> bool:
        """
        @return: Whether something was stored for the last time before that was
            stored of which a client was told, or is nothing.
        """
        if value == told or told not in self.versions:
            return False
        if not isinstance(value, int) or value not in self.byToken:
            return True
        assert isinstance(told, int)
        last = self.versions.get(value)
        return last is not None and last[1] < self.versions[told][0]


@dataclass
class Chain:
    """
    The sockets of Socket.IO that have one id: each but the first was recovered.

    @ivar nodes: Where they were.

    @ivar since: When the first was connected.

    @ivar told: The last that was heard of each node through the hub.

    @ivar sent: The messages that were sent; C{answers}: whose answers were heard.
    """

    key: str
    since: int
    nodes: dict[str, None] = field(default_factory=dict)
    last: Socket | None = None
    told: dict[str, int] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    answers: set[int] = field(default_factory=set)


@dataclass
class Socket:
    """
    A socket, from the handshake on.

    @ivar began: When its browser connected.

    @ivar sent: The tokens of its messages, each with its place; C{handled}, of how
        many of them a handler began.

    @ivar isOver: Whether it was closed here, or lost.

    @ivar arrived: How many of its messages came to its client.

    @ivar isExcused: Whether what came need not be handled.

    @ivar isLeft: Whether its browser has no more of it.

    @ivar closedAt: When we closed it; C{isLost}, whether it is gone; C{isCut}, whether
        we cut it off.

    @ivar asked: The messages that ask for an acknowledgement, by its number.

    @ivar repliedAt: When its browser replied to what a handler had asked.

    @ivar chain: What it goes on with, as its browser knows it.

    @ivar carried: The last that it was sent of each node, for many.

    @ivar heirOf: Whom it goes on for, if it was recovered; C{missed}: what that
        missed.

    @ivar told: The last that it was told by each node, through the hub.

    @ivar connected: When it had its session.

    @ivar busy: The token of the message whose handler is at work; C{before}: of that
        which was when the last began.

    @ivar saves: How many changes there were when handlers asked that these are
        stored, and when that was, by token; C{done}: when they were done.

    @ivar knowing: The tokens of those who had heard before that their increment is
        given up.

    @ivar errors: What it was told of errors: when, and of which type.

    @ivar failed: The same of its handlers.

    @ivar sees: What handlers found, by token; C{base}: what the client had been told
        of when it sent a message.

    @ivar closed: With which code it was closed here; 0 if it was not.

    @ivar over: When it was closed or lost.

    @ivar left: When its browser closed it.
    """

    name: str
    node: str
    key: str
    began: int
    tab: str = ""
    sent: dict[int, int] = field(default_factory=dict)
    sentAt: dict[int, int] = field(default_factory=dict)
    arrived: int = 0
    handled: int = 0
    answered: int = -1
    isConnected: bool = False
    isOver: bool = False
    isExcused: bool = False
    isLeft: bool = False
    closedAt: int | None = None
    isLost: bool = False
    asked: dict[int, int] = field(default_factory=dict)
    repliedAt: dict[int, int] = field(default_factory=dict)
    chain: Chain | None = None
    carried: dict[str, int] = field(default_factory=dict)
    heirOf: Socket | None = None
    missed: list[int] = field(default_factory=list)
    isDestroyed: bool = False
    isCut: bool = False
    isDisconnected: bool = False
    told: dict[str, int] = field(default_factory=dict)
    connected: float = inf
    busy: int | None = None
    before: int | None = None
    saves: dict[int, tuple[int, int]] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)
    knowing: list[int] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    sees: dict[int, dict[str, Any]] = field(default_factory=dict)
    base: dict[int, dict[str, Any]] = field(default_factory=dict)
    closed: int = 0
    over: float = inf
    left: float = inf

    def hasHeardOf(self, change: Change, error: str = "") -> bool:
        """
        Whether it was told that a change may be given up, or could not be told:
        it was closed when its handler made that, or was closed or lost since for
        another reason.

        @param error: Of which type that is to be, if that matters.
        """
        if change.began >= self.over or (self.isOver and self.closed != _TRY_AGAIN):
            return True
        told = (*self.errors, *self.failed)
        return any(at >= change.began and error in name for at, name in told)


@dataclass
class Repeated:
    """
    What is known of handlers that may run again.

    @ivar sockets: Those with such handlers.

    @ivar finds: What counts they had found, by session, for each count of theirs that
        was answered.

    @ivar taken: By session, which message took what out of a list.

    @ivar drafts: By node and session, the messages that ran last, in one draft, and
        whose they are: those that were not answered, and do not fail.
    """

    sockets: dict[str, None] = field(default_factory=dict)
    finds: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    taken: dict[str, dict[int, int]] = field(default_factory=dict)
    drafts: dict[tuple[str, str], dict[int, Socket]] = field(default_factory=dict)
    _begun: dict[tuple[str, str], int] = field(default_factory=dict)
    _over: set[int] = field(default_factory=set)
    # By socket, the draft in which a message of it failed: the node, the session, and
    # when it began.
    _failing: dict[str, tuple[tuple[str, str], int]] = field(default_factory=dict)

    def runs(self, socket: Socket, token: int, at: int) -> None:
        """
        One runs, of which none runs twice in one draft.
        """
        place = socket.node, socket.key
        draft = self.drafts.setdefault(place, {})
        if self._begun.get(place) != at or token in draft:
            draft.clear()
        self._begun[place] = at
        if token not in self._over:
            draft[token] = socket

    def ends(self, socket: Socket, token: int) -> None:
        """
        One is answered, or fails: what is run again of it then is in no draft.
        """
        self._over.add(token)
        self.drafts.get((socket.node, socket.key), {}).pop(token, None)

    def fails(self, socket: Socket, token: int, at: int) -> None:
        """
        One fails, and the rest of its draft goes on.
        """
        self._failing[socket.name] = (socket.node, socket.key), at
        self.ends(socket, token)

    def isTold(self, socket: Socket) -> None:
        """
        A socket is told of an error.  That one of its messages failed, it is told when
        the rest of the draft is stored.
        """
        place, began = self._failing.pop(socket.name, (("", ""), 0))
        if self._begun.get(place) == began:
            self.drafts[place].clear()


class State:
    """
    All that is known.

    @ivar data: What is stored, by key; L{None} for a session that is gone.

    @ivar gone: When each session went.

    @ivar dropped: Whether a web application wrote an old copy over something
        that others had stored: then that is missing until it is stored again.

    @ivar beyond: The sessions that a web application wrote as no promise covers:
        from a copy that was too old, or without the stamp that was in its copy.

    @ivar doubled: Those of them in which what was appended to a list was so twice.

    @ivar gaveUp: Nodes that were told to stop, and ended when their time was up: their
        store was away, or had not been there again for long.

    @ivar endings: When each node was told to stop that has, and when it had.

    @ivar drops: How often that happened to each session.

    @ivar well: Since when each node is well.

    @ivar lastDone: When a handler was done last.

    @ivar wasAhead: Whether a clock jumped ahead.

    @ivar acted: When a message of each session was last handled, at a node that was
        well all the time.

    @ivar valuesOf: The same as C{values}, by session and key.

    @ivar pending: By session and node, the changes of handlers there that were not
        stored when somebody last looked.

    @ivar mine: By session and node, the change of each key that was made there last.

    @ivar told: By tab and session, what its client was last told of.

    @ivar versions: How many versions of each session there were.

    @ivar wellSince: Since when nobody asks anything, and all is well.

    @ivar spoiled: Since when each session cannot be read that cannot; C{spoilt}:
        those that ever could not; C{mended}: since when it can.

    @ivar storeWell: Since when the store is there again, if it ever was not.

    @ivar ends: When each session ends, as it is stored.

    @ivar toEnd: The sessions that some handler was asked to destroy.

    @ivar killed: When each node was killed that was.

    @ivar cached: Since when there is a copy of each session, and what is in it.

    @ivar rows: What is stored of each session, and who wrote it last.
    """

    def __init__(self, *, isShort: bool = False) -> None:
        """
        @param isShort: Whether sessions live for seconds.
        """
        self._isShort = isShort
        self.now = 0
        self.data: dict[str, dict[str, Any] | None] = {}
        self.gone: dict[str, int] = {}
        self.sockets: dict[str, Socket] = {}
        self.changes: dict[int, Change] = {}
        self.values: dict[tuple[str, str], Values] = {}
        self.dropped: set[str] = set()
        self.drops: dict[str, int] = {}
        self.beyond: set[str] = set()
        self.doubled: set[str] = set()
        self.killed: dict[str, int] = {}
        self.stopped: set[str] = set()
        self.gaveUp: set[str] = set()
        self.endings: dict[str, tuple[int, int]] = {}
        self.well: dict[str, float] = {}
        self._stillUntil: dict[str, float] = {}
        self.wasUnwell = False
        self.wasAhead = False
        self.lastDone = 0
        self.acted: dict[str, int] = {}
        self.increments: dict[str, list[Change]] = {}
        self.updates: dict[str, list[Change]] = {}
        self.storedDigits: dict[str, set[int]] = {}
        self.storedLog: dict[str, set[int]] = {}
        self.chains: dict[str, Chain] = {}
        self.isBusWell = True
        # What was sent to many: when its node knew; and when it was sent, with how
        # many changes there were then.
        self.shouted: dict[int, int] = {}
        self.beforeShout: dict[int, tuple[int, int]] = {}
        # What each node sent to each room of Socket.IO: when, and its number.
        self.shouts: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self.lives = Lives(self)
        self.valuesOf: dict[str, dict[str, Values]] = {}
        self.pending: dict[tuple[str, str], deque[Change]] = {}
        self.mine: dict[tuple[str, str], dict[str, Change]] = {}
        self.told: dict[tuple[str, str], dict[str, Any]] = {}
        self.versions: dict[str, int] = {}
        self.stops: dict[str, int] = {}
        self.unwell: set[str] = set()
        self._copies = Copies()
        self.wellSince: float = inf
        self.spoiled: dict[str, int] = {}
        self.storeWell: int | None = None
        self.spoilt: set[str] = set()
        self.mended: dict[str, int] = {}
        self.ends: dict[str, int | None] = {}
        self.toEnd: set[str] = set()
        self.cached: dict[str, tuple[int, str]] = {}
        self.rows: dict[str, tuple[str | None, str]] = {}

    @cached_property
    def repeated(self) -> Repeated:
        """
        What is known of handlers that may run again.
        """
        return Repeated()

    def take(self, each: Happening) -> None:
        """
        Something happened.
        """
        self.now = each.at
        take = reads(State, each.what)
        if take is not None:
            take(self, each)
        self.lives.take(each)

    # What is stored.

    def _created(self, each: Happening) -> None:
        key = each.more["key"]
        data: dict[str, Any] = decode(each.more["data"])
        before = self.data.get(key)
        self.data[key] = data
        wasSpoiled = self.spoiled.pop(key, None) is not None
        if wasSpoiled:
            self.mended[key] = each.at
        self.ends[key] = each.more.get("until")
        self.rows[key] = each.more["data"], each.who
        self.versions[key] = self.versions.get(key, 0) + 1
        self._note(key, data)
        if each.who.startswith("node"):
            self._copies.stored(key, each.who, each.at)
        if each.who.startswith("web"):
            if self._copies.written(key, each.at):
                self.beyond.add(key)
            if before is not None:
                self._written(key, before, data)

    _stored = _created

    def _note(self, key: str, data: dict[str, Any]) -> None:
        """
        Note what is in a version.
        """
        version = self.versions[key]
        values, log = self.valuesOf.get(key, {}), data.get("log", ())
        if key in self.beyond and len(data.get("nest", {}).get("list", ())) > 1:
            self.doubled.add(key)
        for name, value in flat(data, isDoubled=key in self.doubled):
            found = values.get(name)
            if found is not None and isinstance(value, int):
                change = found.byToken.get(value)
                if change is not None:
                    found.storedBegan = max(found.storedBegan, change.began)
                    first, _ = found.versions.get(value, (version, 0))
                    found.versions[value] = first, version
        counted = {i for i, n in enumerate(digits(data.get("n", 0))) if n}
        self.storedDigits.setdefault(key, set()).update(counted)
        self.storedLog.setdefault(key, set()).update(log)

    def _all_is_well(self, each: Happening) -> None:
        self.wellSince = each.at

    def _copied(self, each: Happening) -> None:
        self.cached[each.more["key"]] = each.at, each.more["data"]

    def _uncopied(self, each: Happening) -> None:
        del self.cached[each.more["key"]]

    def _spoiled(self, each: Happening) -> None:
        self.spoiled[each.more["key"]] = each.at
        self.spoilt.add(each.more["key"])

    def _restarts(self, each: Happening) -> None:
        until = each.at + round(each.more["seconds"] * SECOND)
        self.storeWell = max(self.storeWell or 0, until)

    def _touched(self, each: Happening) -> None:
        self.ends[each.more["key"]] = each.more.get("until")

    def _written(self, key: str, before: dict[str, Any], data: dict[str, Any]) -> None:
        """
        A web application wrote a session.
        """
        if _drops(before, data):
            self.dropped.add(key)
            self.drops[key] = self.drops.get(key, 0) + 1
        # What its processes take from each other is nothing of ours.
        for name, value in before.items():
            isTheirs = name.startswith("of web") and value != data.get(name)
            if isTheirs and (key, name) in self.values:
                self.values[key, name].forget()

    def _deleted(self, each: Happening) -> None:
        self.spoiled.pop(each.more["key"], None)
        self.rows[each.more["key"]] = None, each.who
        self.data[each.more["key"]] = None
        self.gone[each.more["key"]] = each.at

    _expired = _deleted

    def isStored(self, change: Change) -> bool:
        """
        Whether a change was stored, or something in its place.
        """
        if change.stored < inf:
            return True
        session = change.session
        if change.do == "increment":
            isStored = change.digit in self.storedDigits.get(session, ())
        elif change.do == "update":
            isStored = change.token in self.storedLog.get(session, ())
        else:
            assert change.values is not None
            isStored = change.values.storedBegan >= change.began
        if isStored:
            change.stored = self.now
        return isStored

    def unstored(self, session: str, node: str, before: int) -> list[Change]:
        """
        @param before: How many changes there were then.

        @return: What handlers at a node had changed then and is not stored.
            Increments of which nobody knows do not count once their client heard of
            it, nor what C{update} is at work on, nor what is in a draft.
        """
        if self.mayGiveUp(node):
            return []
        pending, found = self.pending.get((session, node), deque()), []
        for change in list(pending):
            if change.number >= before:
                break
            if self.isStored(change) or not self.lives.belongs(change, session):
                pending.remove(change)
            elif change.do != "update" and not self.isGivenUp(change):
                found += [change] * (change.by not in self.repeated.sockets)
        return found

    def isDisturbed(self, key: str) -> bool:
        """
        Whether a web application wrote what may be missing for a while, or twice.
        """
        return key in self.dropped or key in self.beyond

    def mayGiveUp(self, node: str) -> bool:
        """
        Whether a node may have given up what it could not store until the session
        was to end, as far as it knew.
        """
        return self._isShort and node in self.unwell

    def mayBeMeant(self, change: Change) -> bool:
        """
        Whether a web application overwrote an assignment with a copy from before
        its node first had the session, or of the same moment, or with a copy of what
        such a one had just left: that cannot know what was there before.  Or that took
        the place of this assignment.
        """
        values = change.values
        later = () if values is None else values.after(change)
        return any(map(self._isNew, (change, *later)))

    def _isNew(self, change: Change) -> bool:
        isAssigned = change.do not in ("increment", "update")
        return isAssigned and self._copies.isOlder(
            change.session, change.had, change.began
        )

    def isUndoneAgain(self, change: Change, latency: float) -> bool:
        """
        Whether a web application read a session while the node of a change ended,
        and wrote it after that, or too late for that node to put back what is
        missing: a node that ends guards what it has to put back until its time is up.

        @param latency: How many seconds it takes at most until somebody hears of the
            store, or the store of somebody.
        """
        if change.node not in self.endings:
            return False
        told, ended = self.endings[change.node]
        if ended - told < _DRAINED:
            return False
        late = ended - round(_WAYS * latency * SECOND)
        return self._copies.isWrittenLate(change.session, told, late)

    def isGivenUp(self, change: Change) -> bool:
        """
        Whether an increment is, and who made it has heard of that.
        """
        isCount = change.do == "increment"
        return isCount and self.sockets[change.by].hasHeardOf(change)

    # What sockets do.

    def _connects(self, each: Happening) -> None:
        key = f"sess:{each.more['session']}"
        socket = Socket(each.who, each.more["node"], key, each.at)
        socket.tab = each.who.partition(".")[0]
        self.sockets[each.who] = socket

    def _connected(self, each: Happening) -> None:
        socket = self.sockets[each.who]
        socket.isConnected = True
        socket.connected = each.at
        self._begins(socket.key, socket.node, each, but=socket)

    def _page_reads(self, each: Happening) -> None:
        if not each.more["isNew"]:
            self._begins(each.more["session"], each.more["node"], each)

    def _begins(
        self, key: str, node: str, each: Happening, but: Socket | None = None
    ) -> None:
        """
        A node gives a session to a socket or a page.
        """
        if not self.lives.isHeldByPage(key, node) and not any(
            (other.key, other.node) == (key, node)
            for other in self.sockets.values()
            if other.isConnected and not other.isLost and other is not but
        ):
            self._copies.begins(key, node, each.at)

    def _sends(self, each: Happening) -> None:
        socket, token = self.sockets[each.who], each.more["token"]
        if each.more["do"].startswith("destroy"):
            self.toEnd.add(socket.key)
        socket.sent[token] = len(socket.sent)
        socket.sentAt[token] = each.at
        if socket.chain is not None:
            socket.chain.sent.add(token)
        if "ack" in each.more:
            socket.asked[each.more["ack"]] = token
        told = self.told.get((socket.tab, socket.key))
        if told is not None:
            socket.base[token] = told

    def _handles(self, each: Happening) -> None:
        socket, token = self.sockets[each.who], each.more["token"]
        socket.before, socket.busy = socket.busy, token
        socket.sees[token] = each.more["sees"]

    def _runs(self, each: Happening) -> None:
        socket, token = self.sockets[each.who], each.more["token"]
        socket.handled = max(socket.handled, socket.sent[token] + 1)
        self.repeated.sockets[each.who] = None
        self.repeated.runs(socket, token, each.at)
        self.lastDone = each.at

    def _runs_again(self, each: Happening) -> None:
        socket, token = self.sockets[each.who], each.more["token"]
        self.repeated.runs(socket, token, each.at)
        self.lastDone = each.at

    def _saves(self, each: Happening) -> None:
        socket, token = self.sockets[each.who], each.more["token"]
        socket.saves[token] = len(self.changes), each.at
        change = self.changes.get(token)
        if change is not None and self.isGivenUp(change):
            socket.knowing.append(token)

    def _done(self, each: Happening) -> None:
        socket = self.sockets[each.who]
        socket.busy = None
        self.lastDone = each.at
        socket.done[each.more["token"]] = len(self.changes)

    def _fails(self, each: Happening) -> None:
        socket = self.sockets[each.who]
        socket.busy = None
        socket.failed.append((each.at, each.more["error"]))
        self.repeated.fails(socket, each.more["token"], each.at)

    def _answers(self, each: Happening) -> None:
        self.repeated.ends(self.sockets[each.who], each.more["token"])

    def _serror(self, each: Happening) -> None:
        socket = self.sockets[each.who]
        socket.errors.append((each.at, each.more["error"]))
        self.repeated.isTold(socket)

    def _changes(self, each: Happening) -> None:
        more = each.more
        socket = self.sockets.get(each.who)
        session = more["session"] if socket is None else socket.key
        if each.who.startswith("web") and self.data.get(session) is None:
            self._restart(session)
        change = Change(
            more["token"],
            more["do"],
            more["key"],
            more.get("digit", -1),
            session,
            more.get("node", each.who),
            each.at,
            number=len(self.changes),
            had=self._copies.had(session, more.get("node", each.who)),
        )
        if socket is not None:
            change.by = each.who
            pending = self.pending.setdefault((session, change.node), deque())
            pending.append(change)
        self.changes[change.token] = change
        if more.get("copy", "young") != "young":
            self.beyond.add(session)
        if each.who.startswith("web"):
            # The oldest copy that may be repaired.
            self._copies.writes(session, more.get("read", each.at - 4 * SECOND))
        if change.do == "increment":
            self.increments.setdefault(session, []).append(change)
        elif change.do == "update":
            self.updates.setdefault(session, []).append(change)
        else:
            values = self.values.get((session, change.key))
            if values is None:
                values = self.values[session, change.key] = Values()
                self.valuesOf.setdefault(session, {})[change.key] = values
            values.byToken[change.token] = change
            change.values = values
            if socket is not None:
                self.mine.setdefault((session, change.node), {})[change.key] = change

    def _rewrites(self, each: Happening) -> None:
        self._copies.writes(each.more["session"], each.more["read"])

    def _hears(self, each: Happening) -> None:
        socket = self.sockets.get(each.who)
        if socket is not None:
            sees = socket.sees.get(each.more.get("token", -1))
            if sees is not None:
                self.told[socket.tab, socket.key] = sees
        change = self.changes.get(each.more.get("token", -1))
        if change is None or change.heard < inf:
            return
        if socket is not None and change.token in socket.knowing:
            # It had heard that this is given up before it was to be saved.
            return
        change.heard = each.at
        if change.values is not None:
            change.values.heard(change, each.at)

    def _wrote(self, each: Happening) -> None:
        self._copies.wrote()
        self._hears(each)

    def hears(self, each: Happening) -> None:
        """
        A browser has a page that did something.
        """
        self._hears(each)

    def move(self, old: str, new: str) -> None:
        """
        A session has another id: whatever is known of it is known of the new one.
        """
        values = self.valuesOf[new] = dict(self.valuesOf.get(old, {}))
        for name, known in values.items():
            self.values[new, name] = known
        self.increments[new] = list(self.increments.get(old, ()))
        self.updates[new] = list(self.updates.get(old, ()))
        self.storedDigits[new] = set(self.storedDigits.get(old, ()))
        self.storedLog[new] = set(self.storedLog.get(old, ()))
        self.drops[new] = self.drops.get(old, 0)
        for keys in (self.dropped, self.beyond):
            if old in keys:
                keys.add(new)
        self.versions[new] = self.versions[old] + 1
        self._note(new, self.data.get(new) or {})

    def _restart(self, key: str) -> None:
        """
        A session that is gone is written again: that is another one.
        """
        for name in self.valuesOf.pop(key, {}):
            del self.values[key, name]
        for known in (self.increments, self.updates):
            known.pop(key, None)
        for numbers in (self.storedDigits, self.storedLog):
            numbers.pop(key, None)
        for of in (self.pending, self.mine):
            for each in [each for each in of if each[0] == key]:
                of.pop(each)

    def _closes(self, each: Happening) -> None:
        socket = self.sockets[each.who]
        socket.closed = socket.closed or each.more["code"]
        socket.closedAt = each.at if socket.closedAt is None else socket.closedAt
        self._over(socket, each.at)

    def _cuts(self, each: Happening) -> None:
        socket = self.sockets.get(each.who)
        if socket is not None:
            socket.isCut = True

    def _over(self, socket: Socket, at: int) -> None:
        socket.isOver = True
        socket.over = min(socket.over, at)

    def _lost(self, each: Happening) -> None:
        socket = self.sockets[each.who]
        socket.isLost = True
        self._over(socket, each.at)

    def _ended(self, each: Happening) -> None:
        socket = self.sockets.get(each.who)
        if socket is not None:
            socket.isLeft = True

    def _leaves(self, each: Happening) -> None:
        socket = self.sockets.get(each.who)
        if socket is not None:
            socket.isLeft = True
            socket.left = each.at

    def _replies(self, each: Happening) -> None:
        self.sockets[each.who].repliedAt[each.more["token"]] = each.at

    def _is_in(self, each: Happening) -> None:
        self.sockets[each.who].chain = self.chains.get(each.more["sid"])

    def _shouts(self, each: Happening) -> None:
        shouts = self.shouts.setdefault((each.who, each.more["room"]), [])
        shouts.append((each.at, each.more["number"]))
        self.beforeShout[each.more["number"]] = each.at, len(self.changes)

    def _shouted(self, each: Happening) -> None:
        self.shouted[each.more["number"]] = each.at

    def _disconnect(self, each: Happening) -> None:
        self.sockets[each.who].isDisconnected = True

    def _sdestroyed(self, each: Happening) -> None:
        self.sockets[each.who].isDestroyed = True

    # What befalls nodes.

    def _killed(self, each: Happening) -> None:
        self.killed[each.who] = each.at
        for socket in self.sockets.values():
            if socket.node == each.who:
                socket.isOver = True

    def _stops(self, each: Happening) -> None:
        self.stopped.add(each.who)
        self.stops[each.who] = each.at

    def _stopped(self, each: Happening) -> None:
        began = self.stops.get(each.who, each.at)
        self.endings[each.who] = began, each.at
        isLate = each.at - self.well.get(each.who, 0) < _AGAIN
        if isLate and each.at - began > _ITS_TIME:
            self.gaveUp.add(each.who)

    def _trouble(self, each: Happening) -> None:
        self.well[each.who] = inf
        self.wasUnwell = True
        self.unwell.add(each.who)

    def _heals(self, each: Happening) -> None:
        # Its store may be well again while it stands still.
        self.well[each.who] = max(each.at, self._stillUntil.get(each.who, 0))

    def _cut_off(self, each: Happening) -> None:
        self.unwell.add(each.who)
        if self.well.get(each.who, 0) < inf:
            self.well[each.who] = each.at

    def _pauses(self, each: Happening) -> None:
        self.wasUnwell = True
        self.unwell.add(each.who)
        until = each.at + each.more["how"] * SECOND
        self._stillUntil[each.who] = until
        self.well[each.who] = max(self.well.get(each.who, 0), until)

    _slow = _pauses

    def _jumps(self, each: Happening) -> None:
        self.wasAhead = self.wasAhead or each.more["how"] > 0
        if self.well.get(each.who, 0) < inf:
            self.well[each.who] = max(self.well.get(each.who, 0), each.at)


def flat(data: dict[str, Any], *, isDoubled: bool = False) -> list[tuple[str, Any]]:
    """
    The keys of a session, and those of its nested value.

    @param isDoubled: See L{tokenIn}.
    """
    found = list(data.items())
    nested = data.get("nest")
    if nested:
        for name, value in nested.items():
            found.append((f"nest.{name}", tokenIn(value, isDoubled=isDoubled)))
        for name, value in nested.get("deep", {}).items():
            found.append((f"nest.deep.{name}", value))
    return found


def tokenIn(value: Any, *, isDoubled: bool = False) -> Any:
    """
    What a change wrote, also if it is in a list, where there is 0 at first.

    @param isDoubled: Whether something may have been appended to that: handlers
        change its first item.
    """
    if not isinstance(value, list):
        return value
    # One that a merge emptied has nothing of anybody.
    return (value[0 if isDoubled else -1] or None) if value else None


def _drops(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """
    Whether something was taken out, or put back to what it was.
    """
    was, now = dict(flat(before)), dict(flat(after))
    for each in (was, now):
        each.pop("_sessionsock", None)
        # What is taken out on purpose has a rule of its own.
        for name in ("nest", "nest.deep", "d"):
            each.pop(name, None)
    own = [name for name in now if name.startswith("of web")]
    for name in own:
        was.pop(name, None)
        now.pop(name)
    return was != now
