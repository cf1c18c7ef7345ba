# -*- test-case-name: tests.simulation.test_lives -*-
"""
What is known of sessions as such, while a history is read: when they began, whose
they are, under which id they go on, what was taken out of them on purpose; and of
the pages that have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from .history import Happening, reads
from .messages import digits
from .queue import SECOND


if TYPE_CHECKING:
    from .state import Change, Socket, State


__all__ = ["Lives", "Page", "Removal", "everything", "mark"]

_OK = 200
_SEEN = 18 * SECOND
"""
After what time each node has seen what is stored.
"""


@dataclass
class Page:
    """
    A page of ours.

    @ivar key: The session of its cookie when it was asked for.

    @ivar asked: When that was.

    @ivar sees: What it found; L{None} before that.

    @ivar found: When that was.

    @ivar isOver: Whether it was answered, or its connection was lost.

    @ivar moved: The session that it has since a login.

    @ivar isLogout: Whether it ended its session.

    @ivar changed: The tokens of what it changed.
    """

    key: str
    node: str
    asked: int
    do: str
    sees: dict[str, Any] | None = None
    found: int = 0
    isNew: bool = False
    isOver: bool = False
    moved: str = ""
    isLogout: bool = False
    changed: list[int] = field(default_factory=list)


@dataclass
class Removal:
    """
    Something was taken out of a session on purpose.

    @ivar at: Since when it is to be out.

    @ivar isTheirs: Whether a web application took it out.

    @ivar isUndone: Whether a web application's copy brought it back.

    @ivar isUnheard: Whether nobody had been told that it was stored.

    @ivar isHidden: Whether a web application's copy of before overwrote that it was
        taken out: then nobody may have seen it.
    """

    at: int
    isTheirs: bool
    isUndone: bool = False
    isUnheard: bool = False
    isHidden: bool = False


@dataclass
class _Taking:
    """
    A handler takes something out of a session.

    @ivar stored: When its node stored the session without that.  It does not where
        a web application's old copy had not got it either.

    @ivar isExcused: Whether a copy from before overwrote that, which had not got it
        either: then another node may put it back, which has not seen that it was
        taken out.
    """

    key: str
    node: str
    marks: list[int]
    stored: float = inf
    isExcused: bool = False


class Lives:
    """
    All sessions and pages.

    @ivar since: When each session began, as it is there now.

    @ivar owner: Who is logged in, and since when.

    @ivar begun: Since when what is stored there has nothing to do with what was
        there before: another begins, or logs in, or out.

    @ivar out: What was taken out of each session and is to stay out, by token.

    @ivar emptied: The same of sessions that were emptied.

    @ivar void: What is never to be stored.

    @ivar nameless: Sessions that a node began, whose id nobody has yet.

    @ivar lost: Sessions that the store lost when nobody had their ids yet.

    @ivar last: What each session was when it was there last.

    @ivar strangers: Sockets whose session became somebody else's, and when.

    @ivar strange: What of theirs was put into it nevertheless.

    @ivar excused: Sockets whose session was written again before anybody had to
        know that it had been gone.

    @ivar outside: Changes outside of handlers that are not stored yet.

    @ivar moved: On which node each session got another id.

    @ivar storedAt: When a node stored each session.

    @ivar leftOut: The tokens of changes that need not be stored, because whoever made
        them found the session to be that of somebody who had it no more.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.since: dict[str, int] = {}
        self.owner: dict[str, tuple[Any, int]] = {}
        self.begun: dict[str, int] = {}
        self.out: dict[str, dict[int, Removal]] = {}
        self.emptied: dict[str, dict[int, Removal]] = {}
        self.void: set[int] = set()
        self.nameless: set[str] = set()
        self.lost: set[str] = set()
        # Those whose id somebody has, or had.
        self._named: set[str] = set()
        self.last: dict[str, dict[str, Any]] = {}
        self.strangers: dict[str, int] = {}
        # By socket, whose session it was before it became somebody else's: one of
        # these, if that happened while the socket had none yet.
        self._users: dict[str, list[Any]] = {}
        self.strange: set[int] = set()
        self.excused: set[str] = set()
        self.outside: dict[int, Change] = {}
        self.moved: dict[str, str] = {}
        self.leftOut: dict[int, None] = {}
        self._by: dict[int, str] = {}
        # When messages were handled, by token.
        self._handled: dict[int, int] = {}
        # By session and person, since when it was last not theirs, and until when.
        self._absences: dict[tuple[str, Any], tuple[int, float]] = {}
        self.storedAt: dict[str, int] = {}
        self.pages: dict[str, Page] = {}
        self._taking: dict[int, _Taking] = {}
        self._taken: list[_Taking] = []
        self._heard: dict[int, int] = {}
        self._rewriting: Happening | None = None

    def belongs(self, change: Change, session: str) -> bool:
        """
        Whether a change was made to a session as it is now, under its present id,
        by somebody whose session it still is.
        """
        isOurs = change.session == session and change.began > self.begun.get(session, 0)
        name = self._by.get(mark(change), "")
        socket = self._state.sockets.get(name)
        # Its session ended, and was written again by somebody else.
        hasEnded = socket and self._state.gone.get(session, -1) >= socket.began
        isNone = hasEnded or name in self.strangers or mark(change) in self.void
        if not isOurs or isNone:
            return False
        if self._isOfAnother(change, name):
            if not self._state.isStored(change):
                self.leftOut[change.token] = None
            return False
        return True

    def _isOfAnother(self, change: Change, name: str) -> bool:
        """
        Whether whoever made a change found the session to be that of a person who had
        it no more by then, or lost it meanwhile: a node may hear of that later, but
        not too late.
        """
        socket, page = self._state.sockets.get(name), self.pages.get(name)
        if socket is not None:
            sees, began = socket.sees.get(change.token), self._handled.get(change.token)
        elif page is not None:
            sees, began = page.sees, page.found
        else:
            return False
        found = None if sees is None else sees.get("user")
        absence = self._absences.get((change.session, found))
        if began is None or absence is None:
            return False
        since, until = absence
        heard = max(since, self._state.well.get(change.node, 0)) + _SEEN
        return began <= min(until, heard)

    def hasEndedFor(self, change: Change) -> bool:
        """
        Whether a page made a change, and its session has ended since that page was
        asked for.
        """
        page = self.pages.get(self._by.get(mark(change), ""))
        gone = self._state.gone.get(change.session, -1)
        return page is not None and gone >= page.asked

    def take(self, each: Happening) -> None:
        """
        Something happened, which the state knows already.
        """
        take = reads(Lives, each.what)
        if take is not None:
            take(self, each)

    # What is stored.

    def _created(self, each: Happening) -> None:
        key = each.more["key"]
        data = self._state.data[key]
        assert data is not None
        before = self.last.get(key)
        if self._state.gone.get(key, -1) >= self.since.get(key, 0):
            # A slow request wrote it again, from a copy of before.
            before = None
            self._state.beyond.add(key)
        if before is None:
            if each.who.startswith("node"):
                self.nameless.add(key)
            # Another one, if what was there has another id.
            self.moved.pop(key, None)
            self.since[key] = self.begun[key] = each.at
            self.owner[key] = data.get("user"), each.at
            self._isBack(key, data.get("user"), each.at)
        elif before.get("user") != data.get("user"):
            self._owned(key, before.get("user"), data.get("user"), each.at)
        elif self.strangers and each.who.startswith("node"):
            new = everything(data) - everything(before)
            self.strange = {n for n in new if self._isStrange(n, key, data)}
        self.last[key] = data
        if each.who.startswith("node"):
            self.storedAt[key] = each.at
        for taking in self._taking.values():
            if taking.key == key and taking.node == each.who:
                isOut = not everything(data).intersection(taking.marks)
                taking.stored = min(taking.stored, each.at if isOut else inf)
        if each.who.startswith("web"):
            self._named.add(key)
            self._written(key, data)

    _stored = _created

    def _deleted(self, each: Happening) -> None:
        if each.who == "store" and each.more["key"] not in self._named:
            self.lost.add(each.more["key"])

    def _isStrange(self, mark: int, key: str, data: dict[str, Any]) -> bool:
        """
        Whether this was changed by somebody whose session it is no more.
        """
        name = self._by.get(mark, "")
        users = self._users.get(name, [None])
        return name in self.strangers and data.get("user") not in users

    def _owned(self, key: str, before: Any, now: Any, at: int) -> None:
        """
        A session is somebody else's, or nobody's.
        """
        self.owner[key], self.begun[key] = (now, at), at
        self._state.beyond.add(key)
        if before:
            self._absences[key, before] = at, inf
        self._isBack(key, now, at)
        for socket in self._of(key):
            users = self._users.setdefault(socket.name, [before])
            if not socket.isConnected:
                users += [before, now]
            # One that began as nobody's is whoever's logs in.
            isTheirs = now and None not in users and now not in users
            if isTheirs and socket.isConnected:
                self.strangers.setdefault(socket.name, at)
            else:
                # If that is somebody else's again, nobody may have seen it meanwhile.
                self.strangers.pop(socket.name, None)

    def _isBack(self, key: str, user: Any, at: int) -> None:
        if (key, user) in self._absences:
            since, _ = self._absences[key, user]
            self._absences[key, user] = since, at

    def _handles(self, each: Happening) -> None:
        self._handled[each.more["token"]] = each.at

    def _sdestroyed(self, each: Happening) -> None:
        if each.more["reason"] == "replaced":
            self.strangers.setdefault(each.who, each.at)

    def _of(self, key: str) -> Iterator[Socket]:
        return (each for each in self._state.sockets.values() if each.key == key)

    def _written(self, key: str, data: dict[str, Any]) -> None:
        """
        A web application wrote a session: what of its copy is back, and what it
        took out.
        """
        found = everything(data)
        for removals in (self.out.get(key, {}), self.emptied.get(key, {})):
            for token in found:
                if token in removals:
                    removals[token].isUndone = True
        each, self._rewriting = self._rewriting, None
        if each is not None and each.more["session"] == key:
            for removal in self.emptied.get(key, {}).values():
                # Nobody says which of two requests is right; and what took the stamp
                # out does not tell what it knows.  A copy of the same moment was read
                # first: a request writes after it reads.
                isOlder = removal.at >= each.more["read"]
                isStripped = each.more["copy"] == "stripped"
                isUnseen = self._isUnseen(key, removal.at)
                removal.isUndone |= isOlder or isStripped or isUnseen
            for removal in self.out.get(key, {}).values():
                if removal.isTheirs and removal.at >= each.more["read"]:
                    removal.isHidden = True
            for taken in (*self._taking.values(), *self._taken):
                if taken.key == key and each.more["read"] < taken.stored < inf:
                    self._overwritten(taken, found)
            if each.what == "rewrites":
                self._takesOut(each, key)

    def _isUnseen(self, key: str, at: int) -> bool:
        """
        Whether no node may have seen a session as it was then.
        """
        isSoon = self._state.now - at < SECOND or self._state.wasUnwell
        return isSoon and self.storedAt.get(key, 0) <= at

    def _rewrites(self, each: Happening) -> None:
        self._rewriting = each
        if each.more["copy"] != "young":
            self._state.beyond.add(each.more["session"])

    def _overwritten(self, taken: _Taking, found: set[int]) -> None:
        """
        A copy overwrote what something had been taken out of.
        """
        if not found.intersection(taken.marks):
            taken.isExcused = True
            for each in taken.marks:
                self.out.get(taken.key, {}).pop(each, None)

    def _takesOut(self, each: Happening, key: str) -> None:
        more = each.more
        if more["does"].startswith("deletes") and more["copy"] == "young":
            # It was there when the request began: who put it in must know that it
            # was stored, or may store it again.
            if more["removed"] in self._heard:
                isKnown = self._heard[more["removed"]] <= more["read"]
                self._remove(self.out, key, [more["removed"]] * isKnown)
        elif more["does"] == "empties":
            self._remove(self.emptied, key, self._known(key))
            self._state.beyond.add(key)
            self.begun[key] = each.at

    def _known(self, key: str) -> list[int]:
        """
        What somebody was told is in a session.
        """
        changes = self._state.changes.values()
        return [mark(each) for each in changes if self._isKnown(each, key)]

    def _isKnown(self, change: Change, key: str) -> bool:
        isTold = change.session == key and change.heard <= self._state.now
        # A dictionary in which somebody changes something at that time is back as a
        # whole: a change wins over a deletion.
        return isTold and not change.key.startswith("nest.")

    def _remove(
        self,
        where: dict[str, dict[int, Removal]],
        key: str,
        marks: list[int],
        *,
        isTheirs: bool = True,
    ) -> None:
        removals, there = where.setdefault(key, {}), everything(self.last[key])
        for each in marks:
            if each not in there:
                isPut = each >= 0 and each not in self._state.changes
                isUnheard = isPut and each not in self._heard
                removals[each] = Removal(self._state.now, isTheirs, isUnheard=isUnheard)

    def _moves(self, each: Happening) -> None:
        old, new = each.more["old"], each.more["new"]
        self.nameless.discard(new)
        self._named.add(new)
        self._state.move(old, new)
        for where in (self.out, self.emptied):
            where[new] = where.setdefault(old, {})
        page = self.pages[each.who]
        page.moved, self.moved[old] = new, page.node

    def _renews(self, each: Happening) -> None:
        if each.more["old"] in self._state.beyond:
            self._state.beyond.add(each.more["new"])

    # What handlers do.

    def _takes_out(self, each: Happening) -> None:
        key = self._session(each)
        taking = _Taking(key, self._node(each), [each.more["removed"]])
        self._taking[each.more["token"]] = taking

    def _clears(self, each: Happening) -> None:
        key = self._session(each)
        self._state.beyond.add(key)
        self.begun[key] = each.at
        marks = [*everything(each.more["removed"]) & {*self._known(key)}]
        taking = _Taking(key, self._node(each), sorted(marks))
        self._taking[each.more["token"]] = taking

    def _session(self, each: Happening) -> str:
        socket = self._state.sockets.get(each.who)
        return str(each.more["session"]) if socket is None else socket.key

    def _node(self, each: Happening) -> str:
        socket = self._state.sockets.get(each.who)
        return self.pages[each.who].node if socket is None else socket.node

    def _gives_up(self, each: Happening) -> None:
        self.void.add(each.more["token"])

    def _changes(self, each: Happening) -> None:
        change = self._state.changes[each.more["token"]]
        self._by[mark(change)] = each.more.get("of", each.who)
        socket = self._state.sockets.get(each.who)
        if socket is not None and socket.isDestroyed:
            # It has no session any more.
            self.void.add(mark(change))
        if each.who.startswith("web"):
            self._rewriting = each
        if each.more.get("isOutside"):
            self.outside[change.token] = change
        if each.who in self.pages:
            self.pages[each.who].changed.append(each.more["token"])

    def _hears(self, each: Happening) -> None:
        token = each.more.get("token", -1)
        self._heard.setdefault(token, each.at)
        taken = self._taking.pop(token, None)
        if taken is not None and taken.stored < inf:
            self._taken.append(taken)
            if not taken.isExcused:
                self._remove(self.out, taken.key, taken.marks, isTheirs=False)

    # What becomes of pages.

    def isMoving(self, socket: Socket) -> bool:
        """
        Whether a page at its node gives the session of a socket a new id: while
        others write that session all the time, on a slow store, that takes long.
        """
        return any(
            page.key == socket.key and page.node == socket.node and not page.moved
            for page in self.pages.values()
            if page.do == "log in"
        )

    def _asks_for_page(self, each: Happening) -> None:
        more = each.more
        page = Page(more["session"], more["node"], each.at, more["do"])
        self.pages[each.who] = page
        if page.do.startswith("log"):
            self._state.toEnd.add(page.key)

    def _page_reads(self, each: Happening) -> None:
        page = self.pages[each.who]
        page.sees, page.isNew = each.more["sees"], each.more["isNew"]
        page.found = each.at

    def _page_answers(self, each: Happening) -> None:
        self.pages[each.who].isOver = True

    def _page_is_lost(self, each: Happening) -> None:
        self.pages[each.who].isOver = True

    def isHeldByPage(self, key: str, node: str) -> bool:
        """
        Whether a page of a node has a session.
        """
        return any(
            (page.key, page.node) == (key, node) and page.found and not page.isOver
            for page in self.pages.values()
        )

    def _logs_out(self, each: Happening) -> None:
        self.pages[each.who].isLogout = True

    def _cookie(self, each: Happening) -> None:
        self._named.add(each.more["session"])

    def _page_comes(self, each: Happening) -> None:
        if each.more["code"] == _OK:
            self._state.hears(each)
            self._hears(each)


def mark(change: Change) -> int:
    """
    What tells a change from others in a session.
    """
    return -1 - change.digit if change.do == "increment" else change.token


def everything(data: dict[str, Any]) -> set[int]:
    """
    The marks of all that is in a session.
    """
    # The sum is no mark, and may be the same number as one.
    rest = {name: value for name, value in data.items() if name != "n"}
    found = {value for value in _leaves(rest) if isinstance(value, int)}
    return found | {-1 - i for i, n in enumerate(digits(data.get("n", 0))) if n}


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        for name, value in data.items():
            if name not in ("_sessionsock", "cookie"):
                yield from _leaves(value)
    elif isinstance(data, list):
        for value in data:
            yield from _leaves(value)
    else:
        yield data
