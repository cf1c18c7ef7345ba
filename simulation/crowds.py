# -*- test-case-name: tests.simulation.test_rules -*-
"""
What is known of groups, and of nodes that stop, at each moment of a history.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from .groups import NOBODY
from .history import Happening, reads
from .queue import BEGIN, SECOND
from .state import Socket, State


__all__ = ["CALM", "REFUSALS", "Crowds", "Got", "Told"]

REFUSALS: Final = "StoreUnavailable", "BusFull"
"""
The errors that say that nobody got anything.
"""

_JOINING = 3 * SECOND
"""
How long nodes take to find each other.
"""

CALM: Final = 20 * SECOND
"""
How long after a trouble all nodes know each other again.
"""

_SEEN: Final = 18 * SECOND
"""
After what time each node has seen, for certain, what is stored.
"""


@dataclass
class Got:
    """
    A node got what a group is told.

    @ivar surely: The sockets that are in the group for certain; C{perhaps}, those
        that may be.
    """

    surely: dict[str, None]
    perhaps: dict[str, None]
    count: int | None = None


@dataclass
class Told:
    """
    Something that a group is told.

    @ivar gets: The nodes that got it.

    @ivar isRefused: Whether its sender was told that nobody gets it.
    """

    by: str
    do: str
    kind: str
    value: str | int
    at: int
    gets: dict[str, Got] = field(default_factory=dict)
    isRefused: bool = False


class Crowds:
    """
    Who is in which group.

    @ivar told: By its sender and its number.

    @ivar granted: What each socket may be told; C{owed}: what it has to be, unless
        it is over first, since when.

    @ivar closing: The sockets that a hub may close; C{toClose}, those that it has to.

    @ivar calmSince: Since when nothing befell a node.

    @ivar living: The nodes that are there, and were not told to stop; C{ended}:
        when others were killed, or had stopped.

    @ivar troubled: When something befell the way of each node to the bus, or its
        clock; C{wasBusTroubled}, whether that was so of any.

    @ivar cutOff: Since when nodes have no connection to the bus.

    @ivar finalSince: Since when nothing moves any more.
    """

    def __init__(self, state: State, nodes: int) -> None:
        self._state = state
        self.told: dict[tuple[str, int], Told] = {}
        self._rooms: dict[tuple[str, str], dict[str, None]] = {}
        self.granted: dict[str, dict[tuple[str, int], None]] = {}
        self.owed: dict[str, dict[tuple[str, int], int]] = {}
        self.closing: dict[str, None] = {}
        self.toClose: dict[str, None] = {}
        self._failed: dict[str, None] = {}
        self._moved: dict[str, None] = {}
        self.calmSince: float = BEGIN + _JOINING
        self.living = dict.fromkeys(f"node{number + 1}" for number in range(nodes))
        self.ended: dict[str, int] = {}
        self.troubled: dict[str, float] = {}
        self.wasBusTroubled = False
        self.cutOff: dict[str, int] = {}
        self.finalSince: float = inf
        self._seats: dict[str, tuple[Any, int]] = {}
        # When sessions got their ids from others.
        self._renamed: dict[str, int] = {}
        self._taken: dict[int, None] = {}
        self._isSteady = True

    def take(self, each: Happening) -> None:
        """
        Something happened.
        """
        take = reads(Crowds, each.what)
        if take is not None:
            take(self, each)

    # Rooms.

    def isInRoom(self, socket: Socket, room: str) -> bool:
        """
        Whether a socket is in a room.
        """
        return socket.name in self._rooms.get((socket.node, room), {})

    def _joins(self, each: Happening) -> None:
        if each.more["isIn"]:
            node = self._state.sockets[each.who].node
            self._rooms.setdefault((node, each.more["room"]), {})[each.who] = None

    def _parts(self, each: Happening) -> None:
        node = self._state.sockets[each.who].node
        self._rooms.get((node, each.more["room"]), {}).pop(each.who, None)

    # Seats: what sessions are found by.

    def _created(self, each: Happening) -> None:
        key = each.more["key"]
        seat = (self._state.data[key] or {}).get("seat", NOBODY)
        if self._seats.get(key, (None, 0))[0] != seat:
            self._seats[key] = seat, each.at

    _stored = _created

    def _done(self, each: Happening) -> None:
        self._taken[each.more["token"]] = None

    def _hasSeat(self, socket: Socket, value: str | int, at: int) -> tuple[bool, bool]:
        state, key = self._state, socket.key
        if key in state.beyond or key in state.dropped:
            return False, True
        changes = state.values.get((key, "seat"))
        byToken = {} if changes is None else changes.byToken
        seat, since = self._seats.get(key, (NOBODY, 0))
        last = max((each.began for each in byToken.values()), default=0)
        well = state.well.get(socket.node, 0)
        if max(since, last, socket.began, well) + _SEEN < at:
            return seat == value, seat == value
        # A web application that gives a new id takes it along.
        isOfIt = value in (NOBODY, seat) or value in byToken
        if isOfIt and self._isSteady and byToken:
            # What a handler did is true on its own node as soon as it is done.
            mine = next(reversed(byToken.values()))
            isHere = all(each.node == socket.node for each in byToken.values())
            # What its handler did under the id before may not have come along.
            isLater = mine.began > self._renamed.get(key, -1)
            if isHere and isLater and mine.token in self._taken:
                return mine.token == value, mine.token == value
        return False, isOfIt

    # What is told.

    def _tells(self, each: Happening) -> None:
        more = each.more
        self.told[each.who, more["told"]] = Told(
            each.who, more["do"], more["kind"], more["value"], each.at
        )

    def _gets(self, each: Happening) -> None:
        number = each.more["by"], each.more["told"]
        told = self.told[number]
        got = self.members(each.who, told, each.at)
        told.gets.setdefault(each.who, got)
        if told.do == "close":
            self.closing.update(got.perhaps)
            self.toClose.update(got.surely)
            return
        for name in got.perhaps:
            self.granted.setdefault(name, {})[number] = None
        for name in got.surely:
            self.owed.setdefault(name, {})[number] = each.at

    def _did(self, each: Happening) -> None:
        told = self.told[each.more["by"], each.more["told"]]
        told.gets[each.who].count = each.more["count"]

    def _not_reached(self, each: Happening) -> None:
        told = self.told[each.who, each.more["told"]]
        told.isRefused = each.more["error"] in REFUSALS

    def _passes_on(self, each: Happening) -> None:
        number = each.more["by"], each.more["told"]
        self.owed.get(each.who, {}).pop(number, None)

    def members(self, node: str, told: Told, at: int) -> Got:
        """
        Who is in a group at a node.
        """
        got = Got({}, {})
        for socket in self._state.sockets.values():
            if socket.node != node or socket.isOver or socket.name in self._moved:
                continue
            isSure, isPossible = self._isIn(socket, told, at)
            if isPossible and socket.name not in self.toClose:
                got.perhaps[socket.name] = None
                if isSure and self._isOpen(socket):
                    got.surely[socket.name] = None
        return got

    def _isOpen(self, socket: Socket) -> bool:
        return (
            socket.isConnected
            and not socket.isDestroyed
            and socket.node not in self._state.stopped
            and socket.name not in self.closing
            and socket.name not in self._failed
        )

    def _isIn(self, socket: Socket, told: Told, at: int) -> tuple[bool, bool]:
        """
        @return: Whether a socket is in a group for certain, and whether it may be.
        """
        if told.kind == "seat":
            return self._hasSeat(socket, told.value, at)
        if told.kind == "room":
            isIn = self.isInRoom(socket, f"{told.value}")
        else:
            isIn = socket.key == f"sess:{told.value}"
        return isIn, isIn

    # What befalls sockets.

    def _changes(self, each: Happening) -> None:
        if each.more["do"] == "raise":
            self._failed[each.who] = None

    def _serror(self, each: Happening) -> None:
        self._failed[each.who] = None

    def _moves(self, each: Happening) -> None:
        # Their session is over on that node; they hear it when the page is answered.
        self._renamed[each.more["new"]] = each.at
        node = self._state.lives.moved[each.more["old"]]
        for socket in self._state.sockets.values():
            if (socket.key, socket.node) == (each.more["old"], node):
                self._moved[socket.name] = None

    def _lost(self, each: Happening) -> None:
        self.owed.pop(each.who, None)
        for members in self._rooms.values():
            members.pop(each.who, None)

    def _loses(self, each: Happening) -> None:
        # Its node may notice later.
        self.owed.pop(each.who, None)
        self._failed[each.who] = None

    _cuts = _loses

    # What befalls nodes.

    def _troubles(self, each: Happening) -> None:
        self.calmSince = max(self.calmSince, each.at + CALM)
        self.troubled[each.who] = max(self.troubled.get(each.who, 0), each.at)

    def _starts(self, each: Happening) -> None:
        self._troubles(each)
        self.living[each.who] = None

    def _stops(self, each: Happening) -> None:
        self._troubles(each)
        self.living.pop(each.who, None)

    def _killed(self, each: Happening) -> None:
        self._stops(each)
        self.ended[each.who] = each.at

    def _stopped(self, each: Happening) -> None:
        self._troubles(each)
        self.ended[each.who] = each.at

    def _pauses(self, each: Happening) -> None:
        self._troubles(each)
        self.wasBusTroubled = True
        self._isSteady = False
        until = each.at + each.more["how"] * SECOND
        self.calmSince = max(self.calmSince, until + CALM)
        self.troubled[each.who] = max(self.troubled[each.who], until)

    _slow = _pauses

    def _jumps(self, each: Happening) -> None:
        self._troubles(each)
        self.wasBusTroubled = True

    def _bus(self, each: Happening) -> None:
        self._troubles(each)
        self.wasBusTroubled = True
        self.calmSince = self.troubled[each.who] = inf
        if each.more["how"] == "cut":
            self.cutOff[each.who] = each.at

    def _bus_heals(self, each: Happening) -> None:
        self.cutOff.pop(each.who, None)
        self.troubled[each.who] = each.at
        isOver = all(at < inf for at in self.troubled.values())
        if isOver:
            self.calmSince = each.at + CALM

    def _trouble(self, each: Happening) -> None:
        self._isSteady = False

    _cut_off = _trouble

    def _all_is_well(self, each: Happening) -> None:
        self.finalSince = each.at + CALM
