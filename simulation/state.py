# -*- test-case-name: tests.simulation.test_rules -*-
"""
What is known at each moment of a history that is read once, from first to last.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass, field
from math import inf
from typing import Any

from .history import Happening
from .lives import Lives
from .messages import digits
from .queue import SECOND


__all__ = ["Change", "Socket", "State", "Values"]


@dataclass
class Change:
    """
    A change that a handler or the web application made.

    @ivar began: When it was made.

    @ivar heard: When somebody was told that it is done.
    """

    token: int
    do: str
    key: str
    digit: int
    session: str
    node: str
    began: int
    heard: float = inf


class Values:
    """
    The changes of one key of one session.  A later one takes the place of an
    earlier one if it began when somebody had been told of that.
    """

    def __init__(self) -> None:
        self.byToken: dict[int, Change] = {}
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


@dataclass
class Socket:
    """
    A socket, from the handshake on.

    @ivar began: When its browser connected.

    @ivar sent: The tokens of its messages, in order; C{handled}, of how many of
        them a handler began.

    @ivar isOver: Whether it was closed here, or lost.

    @ivar told: The last that it was told by each node, through the hub.
    """

    name: str
    node: str
    key: str
    began: int
    sent: list[int] = field(default_factory=list)
    sentAt: dict[int, int] = field(default_factory=dict)
    handled: int = 0
    answered: int = -1
    isConnected: bool = False
    isOver: bool = False
    isDestroyed: bool = False
    told: dict[str, int] = field(default_factory=dict)


class State:
    """
    All that is known.

    @ivar data: What is stored, by key; L{None} for a session that is gone.

    @ivar gone: When each session went.

    @ivar dropped: Whether a web application wrote an old copy over something
        that others had stored: then that is missing until it is stored again.

    @ivar beyond: The sessions that a web application wrote as no promise covers:
        from a copy that was too old, or without the stamp that was in its copy.

    @ivar stoppedCut: Nodes that ended within a second after their connection to the
        store was cut.

    @ivar well: Since when each node is well.
    """

    def __init__(self) -> None:
        self.now = 0
        self.data: dict[str, dict[str, Any] | None] = {}
        self.gone: dict[str, int] = {}
        self.sockets: dict[str, Socket] = {}
        self.changes: dict[int, Change] = {}
        self.values: dict[tuple[str, str], Values] = {}
        self.dropped: set[str] = set()
        self.beyond: set[str] = set()
        self.killed: set[str] = set()
        self.stopped: set[str] = set()
        self.cut: dict[str, int] = {}
        self.stoppedCut: set[str] = set()
        self.well: dict[str, float] = {}
        self.wasUnwell = False
        self.increments: dict[str, list[Change]] = {}
        self.updates: dict[str, list[Change]] = {}
        self.storedDigits: dict[str, set[int]] = {}
        self.storedLog: dict[str, set[int]] = {}
        self.lives = Lives(self)

    def take(self, each: Happening) -> None:
        """
        Something happened.
        """
        self.now = each.at
        take = getattr(self, f"_{each.what.replace(' ', '_')}", None)
        if take is not None:
            take(each)
        self.lives.take(each)

    # What is stored.

    def _created(self, each: Happening) -> None:
        key = each.more["key"]
        data: dict[str, Any] = json.loads(each.more["data"])
        before = self.data.get(key)
        self.data[key] = data
        values, log = self.values, data.get("log", ())
        for name, value in _flat(data):
            found = values.get((key, name))
            if found is not None and isinstance(value, int):
                change = found.byToken.get(value)
                if change is not None:
                    found.storedBegan = max(found.storedBegan, change.began)
        counted = {i for i, n in enumerate(digits(data.get("n", 0))) if n}
        self.storedDigits.setdefault(key, set()).update(counted)
        self.storedLog.setdefault(key, set()).update(log)
        if each.who.startswith("web") and before is not None:
            self._written(key, before, data)

    _stored = _created

    def _written(self, key: str, before: dict[str, Any], data: dict[str, Any]) -> None:
        """
        A web application wrote a session.
        """
        if _drops(before, data):
            self.dropped.add(key)
        # What its processes take from each other is nothing of ours.
        for name, value in before.items():
            isTheirs = name.startswith("of web") and value != data.get(name)
            if isTheirs and (key, name) in self.values:
                self.values[key, name].forget()

    def _deleted(self, each: Happening) -> None:
        self.data[each.more["key"]] = None
        self.gone[each.more["key"]] = each.at

    _expired = _deleted

    # What sockets do.

    def _connects(self, each: Happening) -> None:
        key = f"sess:{each.more['session']}"
        self.sockets[each.who] = Socket(each.who, each.more["node"], key, each.at)

    def _connected(self, each: Happening) -> None:
        self.sockets[each.who].isConnected = True

    def _sends(self, each: Happening) -> None:
        socket, token = self.sockets[each.who], each.more["token"]
        socket.sent.append(token)
        socket.sentAt[token] = each.at

    def _changes(self, each: Happening) -> None:
        more = each.more
        socket = self.sockets.get(each.who)
        session = more["session"] if socket is None else socket.key
        change = Change(
            more["token"],
            more["do"],
            more["key"],
            more.get("digit", -1),
            session,
            more.get("node", each.who),
            each.at,
        )
        self.changes[change.token] = change
        if more.get("copy", "young") != "young":
            self.beyond.add(session)
        if change.do == "increment":
            self.increments.setdefault(session, []).append(change)
        elif change.do == "update":
            self.updates.setdefault(session, []).append(change)
        else:
            values = self.values.setdefault((session, change.key), Values())
            values.byToken[change.token] = change

    def _hears(self, each: Happening) -> None:
        change = self.changes.get(each.more.get("token", -1))
        if change is None or change.heard < inf:
            return
        change.heard = each.at
        if change.do not in ("increment", "update"):
            self.values[change.session, change.key].heard(change, each.at)

    _wrote = _hears

    def hears(self, each: Happening) -> None:
        """
        A browser has a page that did something.
        """
        self._hears(each)

    def move(self, old: str, new: str) -> None:
        """
        A session has another id: whatever is known of it is known of the new one.
        """
        names = [name for key, name in self.values if key == old]
        for name in names:
            self.values[new, name] = self.values[old, name]
        self.increments[new] = self.increments.setdefault(old, [])
        self.updates[new] = self.updates.setdefault(old, [])
        self.storedDigits[new] = self.storedDigits.setdefault(old, set())
        self.storedLog[new] = self.storedLog.setdefault(old, set())
        for keys in (self.dropped, self.beyond):
            if old in keys:
                keys.add(new)

    def _closes(self, each: Happening) -> None:
        self.sockets[each.who].isOver = True

    _lost = _closes

    def _sdestroyed(self, each: Happening) -> None:
        self.sockets[each.who].isDestroyed = True

    # What befalls nodes.

    def _killed(self, each: Happening) -> None:
        self.killed.add(each.who)
        for socket in self.sockets.values():
            if socket.node == each.who:
                socket.isOver = True

    def _stops(self, each: Happening) -> None:
        self.stopped.add(each.who)
        if each.at - self.cut.get(each.who, 0) < SECOND:
            self.stoppedCut.add(each.who)

    def _trouble(self, each: Happening) -> None:
        self.well[each.who] = inf
        self.wasUnwell = True

    def _heals(self, each: Happening) -> None:
        self.well[each.who] = each.at

    def _cut_off(self, each: Happening) -> None:
        self.cut[each.who] = each.at
        if self.well.get(each.who, 0) < inf:
            self.well[each.who] = each.at

    def _pauses(self, each: Happening) -> None:
        self.wasUnwell = True
        until = each.at + each.more["how"] * SECOND
        self.well[each.who] = max(self.well.get(each.who, 0), until)

    _slow = _pauses

    def _jumps(self, each: Happening) -> None:
        if self.well.get(each.who, 0) < inf:
            self.well[each.who] = max(self.well.get(each.who, 0), each.at)


def _flat(data: dict[str, Any]) -> list[tuple[str, Any]]:
    nested = data.get("nest", {})
    deep = nested.get("deep", {})
    return [
        *data.items(),
        *((f"nest.{name}", tokenIn(nested[name])) for name in nested),
        *((f"nest.deep.{name}", deep[name]) for name in deep),
    ]


def tokenIn(value: Any) -> Any:
    """
    What a change wrote, also if it is in a list.
    """
    return value[-1] if isinstance(value, list) else value


def _drops(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """
    Whether something was taken out, or put back to what it was.
    """
    was, now = dict(_flat(before)), dict(_flat(after))
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
