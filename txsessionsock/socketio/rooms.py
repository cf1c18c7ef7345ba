# -*- test-case-name: tests.socketio.test_rooms -*-
"""
Rooms of a namespace, and events for many of its clients, on every node::

    io.to("news").emit("headline", "…")
    socket.join("news")
    socket.to("news").except_("editors").emit("headline", "…")
    io.volatile.emit("position", x, y)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from txsessionsock._arguments import checked
from txsessionsock.clients import SessionSockets
from txsessionsock.closecodes import Code
from txsessionsock.hub import (
    Hub,
    Label,
    Many,
    Reached,
    hubOf,
    namespaceLabel,
    roomLabel,
    socketLabel,
)
from txsessionsock.interfaces import SessionError
from txsessionsock.messages import Event

from .packets import TEXT, Kind, Packet


__all__ = ["Broadcaster", "Roommate", "groupsOf", "hubFor", "join", "leave", "roomsOf"]


class Carried(Protocol):
    """
    What a client has beside the methods for its users.
    """

    @property
    def sockets(self) -> SessionSockets: ...

    @property
    def namespace(self) -> str: ...

    @property
    def id(self) -> str: ...


class Roommate(Protocol):
    """
    A client, as handlers get it.
    """

    @property
    def _sessionsock(self) -> Carried: ...


def hubFor(sockets: SessionSockets) -> Hub:
    """
    @return: The hub of these clients.  If nobody has made one, there is one from
        now on, for this process only.
    """
    try:
        return hubOf(sockets)
    except SessionError:
        return Hub(sockets)


def groupsOf(namespace: str, socketID: str) -> tuple[Label, ...]:
    """
    The groups in which each client is: see L{Carrier.groups
    <txsessionsock.clients.carrier.Carrier>}.
    """
    return namespaceLabel(namespace), socketLabel(namespace, socketID)


def join(socket: Roommate, rooms: Iterable[str]) -> bool:
    """
    Have a client in rooms of its namespace, until it is disconnected or leaves.

    @return: Whether it is in them now; not if it is gone.

    @raise ValueError: That is no name of a room.
    """
    labels = _roomLabels(rooms, socket._sessionsock.namespace)
    hub = hubFor(socket._sessionsock.sockets)
    return all(hub.addTo(label, socket) for label in labels)


def leave(socket: Roommate, rooms: Iterable[str]) -> None:
    """
    Have it there no more.

    @raise ValueError: That is no name of a room.
    """
    labels = _roomLabels(rooms, socket._sessionsock.namespace)
    hub = hubFor(socket._sessionsock.sockets)
    for label in labels:
        hub.removeFrom(label, socket)


def roomsOf(socket: Roommate) -> frozenset[str]:
    """
    The rooms in which a client is, with its own, which is named by its id.
    """
    carried = socket._sessionsock
    rooms = hubFor(carried.sockets).roomsOf(socket, carried.namespace)
    return frozenset((*rooms, carried.id))


def _roomLabels(rooms: Iterable[str], namespace: str) -> list[Label]:
    return [roomLabel(name, namespace) for name in rooms]


class Broadcaster:
    """
    Some clients of a namespace, wherever they are connected; all of them, unless
    rooms are named.  It does not change: each method makes another one.

    What is sent by one node arrives everywhere in the order in which it was sent.
    """

    def __init__(
        self,
        sockets: SessionSockets,
        namespace: str,
        *,
        labels: tuple[Label, ...] = (),
        apart: tuple[Label, ...] = (),
        isVolatile: bool = False,
    ) -> None:
        """
        @param labels: Who is in any of these groups is meant; everybody, if
            there are none.

        @param apart: Who is in any of these is not.

        @param isVolatile: Whether those for whom something waits are left out.
        """
        self._sockets = sockets
        self._namespace = namespace
        self._labels = labels
        self._apart = apart
        self._isVolatile = isVolatile

    @classmethod
    def besides(cls, socket: Roommate) -> Broadcaster:
        """
        All clients of a client's namespace but itself.
        """
        carried = socket._sessionsock
        own = socketLabel(carried.namespace, carried.id)
        return cls(carried.sockets, carried.namespace, apart=(own,))

    def __repr__(self) -> str:
        rooms = sorted({name for kind, name, _ in self._labels if kind == "room"})
        return f"<Broadcaster {self._namespace} {', '.join(map(repr, rooms))}>"

    def _with(
        self,
        labels: Iterable[Label] = (),
        apart: Iterable[Label] = (),
        *,
        isVolatile: bool = False,
    ) -> Broadcaster:
        return Broadcaster(
            self._sockets,
            self._namespace,
            labels=(*self._labels, *labels),
            apart=(*self._apart, *apart),
            isVolatile=self._isVolatile or isVolatile,
        )

    def _named(self, rooms: tuple[str, ...], method: str) -> list[Label]:
        # With none, to() would mean everybody: the list may just be empty today.
        if not rooms:
            raise ValueError(f"{method}() names at least one room")
        own = [socketLabel(self._namespace, name) for name in rooms]
        return [*_roomLabels(rooms, self._namespace), *own]

    def to(self, *rooms: str) -> Broadcaster:
        """
        Those in any of these rooms, beside those that were named before.  A client
        is by itself in a room that is named by its id.

        @raise ValueError: None is named, or that is no name of a room.
        """
        return self._with(self._named(rooms, "to"))

    def except_(self, *rooms: str) -> Broadcaster:
        """
        Not those in any of these rooms.

        @raise ValueError: None is named, or that is no name of a room.
        """
        return self._with((), self._named(rooms, "except_"))

    @property
    def volatile(self) -> Broadcaster:
        """
        Not those for whom something waits, for what is worth nothing when it is
        late.
        """
        return self._with(isVolatile=True)

    @property
    def _many(self) -> Many:
        labels = self._labels or (namespaceLabel(self._namespace),)
        return hubFor(self._sockets).many(labels, self._apart, self._namespace)

    def emit(self, name: str, *args: Any) -> Deferred[Reached]:
        """
        Send each of them an event.

        @param args: JSON, and bytes anywhere in it.

        @return: A L{Deferred} of how many there were on each node; it fails as
            those of a L{Group<txsessionsock.hub.Group>} do.

        @raise ValueError: It cannot be sent.
        """
        event = Event(name, args)
        # What no client could be sent is refused here, as it is where one is sent
        # it alone.  It is encoded where the clients are, for those who are there.
        TEXT.check(Packet(Kind.EVENT, self._namespace, [name, *args]))
        return self._many.emit(event, volatile=self._isVolatile)

    def send(self, value: Any) -> Deferred[Reached]:
        """
        The same with an event C{message}.
        """
        return self.emit("message", value)

    @checked
    def disconnect(self, reason: str = "closed by server") -> Deferred[Reached]:
        """
        Have them leave the namespace, when what was sent before has gone out.
        They do not come back by themselves.

        @return: See L{emit}.
        """
        return self._many.disconnect(Code.NORMAL, reason)

    def count(self) -> Deferred[Reached]:
        """
        @return: A L{Deferred} of how many there are on each node.
        """
        return self._many.count()
