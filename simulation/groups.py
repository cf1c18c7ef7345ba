# -*- test-case-name: tests.simulation.test_world -*-
"""
A node's hub: who is in which rooms, and what groups are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from txsessionsock.clients import SessionSockets
from txsessionsock.hub import Group, Hub, Reached
from txsessionsock.hub.commands import number as counted
from txsessionsock.interfaces import SessionID, StoreFailure
from txsessionsock.session import Session

from .bus import SimulatedBus
from .history import History
from .messages import HANDLERS, Message


if TYPE_CHECKING:
    from .node import Served

__all__ = ["GROUP_HANDLERS", "HUB_REASON", "NOBODY", "Groups"]

NOBODY: Final = "nobody"

HUB_REASON: Final = "hub"
"""
With which reason sockets are closed by a hub.
"""


class Groups:
    """
    What handlers and others ask of the hub of one node.

    @ivar bus: Its way to other nodes.
    """

    def __init__(
        self, history: History, sockets: SessionSockets, bus: SimulatedBus
    ) -> None:
        self._history = history
        self.bus = bus
        bus.gets, bus.did = self._gets, self._did
        self._numbers = count(1)
        self._hub = Hub(sockets, self.bus)
        self._hub.index("seat", lambda session: session.get("seat", NOBODY))

    def _gets(self, by: str, told: int) -> None:
        self._history.note("gets", self.bus.node, told=told, by=by)

    def _did(self, by: str, told: int, answer: bytes) -> None:
        number = counted(answer)
        self._history.note("did", self.bus.node, told=told, by=by, count=number)

    def join(self, served: Served, room: str) -> None:
        """
        Have a socket in a room.
        """
        isIn = self._hub.room(room).add(served)
        self._history.note("joins", served.name, room=room, isIn=isIn)

    def part(self, served: Served, room: str) -> None:
        """
        Have it there no more.
        """
        wasIn = self._hub.room(room).remove(served)
        self._history.note("parts", served.name, room=room, wasIn=wasIn)

    def tell(
        self, do: str, kind: str, value: str | int, after: int | None = None
    ) -> None:
        """
        Send something to a group, close its sockets, or count them.

        @param do: C{"send"}, C{"close"} or C{"count"}.

        @param kind: C{"session"}, C{"seat"} or C{"room"}.

        @param after: What was changed before.
        """
        told, node = next(self._numbers), self.bus.node
        self._history.note(
            "tells", node, told=told, do=do, kind=kind, value=value, after=after
        )

        def reached(nodes: Mapping[str, int | None]) -> None:
            self._history.note(
                "reached", node, told=told, nodes=dict(sorted(nodes.items()))
            )

        def failed(failure: Failure) -> None:
            failure.trap(StoreFailure)
            error = type(failure.value).__name__
            self._history.note("not reached", node, told=told, error=error)

        self.bus.number = None if do == "count" else (node, told)
        group = self._group(kind, value)
        self._doing(group, do, told, after).addCallbacks(reached, failed)

    def _group(self, kind: str, value: Any) -> Group:
        if kind == "session":
            return self._hub.session(SessionID(value))
        return self._hub.by(kind, value) if kind == "seat" else self._hub.room(value)

    def _doing(
        self, group: Group, do: str, told: int, after: int | None
    ) -> Deferred[Reached]:
        if do == "count":
            return group.count()
        if do == "close":
            return group.close(1012, f"{HUB_REASON} {self.bus.node} {told}")
        more = {} if after is None else {"after": after}
        return group.send({"told": told, "by": self.bus.node, **more})

    def rest(self) -> list[str]:
        """
        @return: What is left, when nothing should be.
        """
        hub = self._hub
        found = self.bus.rest()
        for what, there in (
            ("groups", hub._members._groups),
            ("members", hub._members._labels),
            ("faces", hub._byFace),
        ):
            found += [f"{len(there)} {what}"] * bool(there)
        return found


def _join(served: Served, message: Message, session: Session) -> None:
    served.node.inGroups.join(served, "r")


def _part(served: Served, message: Message, session: Session) -> None:
    served.node.inGroups.part(served, "r")


async def _joinLate(served: Served, message: Message, session: Session) -> None:
    """
    Whoever sent it may be gone then.
    """
    await deferLater(served.clock, 0.3)
    served.node.inGroups.join(served, "r")


def _spread(served: Served, message: Message, session: Session) -> None:
    """
    Change something, and tell the others.
    """
    session[message.key] = message.token
    served.changed(message)
    kind, value = ("session", session.id) if message.token % 2 else ("room", "all")
    served.node.inGroups.tell("send", kind, value, message.token)


GROUP_HANDLERS: dict[str, Callable[[Served, Message, Session], Any]] = {
    "join": _join,
    "part": _part,
    "joinLate": _joinLate,
    "spread": _spread,
    "enter": HANDLERS["set"],
}
