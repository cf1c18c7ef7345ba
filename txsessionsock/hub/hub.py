# -*- test-case-name: tests.hub.test_hub -*-
"""
Clients by session, index and room, on every node::

    hub = Hub(factory.sockets, RedisBus("redis://localhost"))
    hub.index("user", lambda session: session.get("user"))

    hub.session(sessionID).send({"hello": "browser"})
    hub.by("user", 42).close()
    hub.room("news").send("today's")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, overload

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._arguments import checked
from txsessionsock._kinds import Bus
from txsessionsock._repeatable import refuseRepeatable
from txsessionsock._waiting import refuseAsync, refuseToWait
from txsessionsock.bus import LocalBus
from txsessionsock.clients import Client, SessionSockets
from txsessionsock.interfaces import SessionError, SessionID
from txsessionsock.messages import Event
from txsessionsock.session import Session

from .commands import (
    Ask,
    Command,
    answer,
    encode,
    number,
)
from .groups import Group, Many, Reached, Room
from .members import (
    Label,
    Members,
    indexLabel,
    roomLabel,
    sessionLabel,
)
from .orders import Member, Orders


__all__ = ["Hub", "hubOf"]

_Index = TypeVar("_Index", bound=Callable[[Session], object])


@checked
class Hub:
    """
    Finds the clients of one server, and through a bus those of others.

    @ivar sockets: The clients of this node.
    """

    _log = Logger()

    def __init__(self, sockets: SessionSockets, bus: Bus | None = None) -> None:
        """
        @param sockets: L{hubOf} finds this hub by them from now on.

        @param bus: How to reach other nodes; unless given, there are none.
            It belongs to the hub.

        @raise ValueError: These sockets, or that bus, have a hub already.
        """
        _refuseSecond(sockets)
        self.sockets = sockets
        self._bus = LocalBus(sockets.manager.reactor) if bus is None else bus
        self._members: Members[Member] = Members()
        self._indexes: dict[str, Callable[[Session], object]] = {}
        # By identity: a protocol of a user may say that it equals another.
        self._byFace: dict[int, Client] = {}
        self._orders = Orders(self._members, self._indexes, sockets.manager)
        self._bus.handle(self._orders.obey)
        sockets.follow(self)
        self._manager = sockets.manager
        self._manager.watch(self._changed)
        self._manager.closeAtEnd(self.close)

    @checked
    def include(self, sockets: SessionSockets) -> None:
        """
        Find other clients of this node too, such as those of Socket.IO beside
        those of plain WebSockets.

        @param sockets: They have the same sessions: those of the same manager.

        @raise ValueError: They have a hub already, or other sessions.
        """
        if _hubOf(sockets) is self:
            return
        _refuseSecond(sockets)
        if sockets.manager is not self._manager:
            raise ValueError(
                "the sockets of one hub have one manager; these have another"
            )
        sockets.follow(self)

    @property
    def node(self) -> str:
        """
        The name of this node in answers.
        """
        return self._bus.node

    # Groups.

    @checked
    def session(self, sessionID: SessionID) -> Group:
        """
        The clients of a session.
        """
        return Group(self, sessionLabel(sessionID))

    @overload
    def index(self, name: str, f: _Index) -> _Index: ...

    @overload
    def index(self, name: str) -> Callable[[_Index], _Index]: ...

    def index(self, name: str, f: Any = None) -> Any:
        """
        Have clients be found by something in their sessions.  All nodes need
        the same indexes.  Without a function, a decorator.

        @param f: Says what a session is to be found by: a L{str} or an
            L{int}, or L{None} for nothing.  It is called when a client comes,
            and when its session was changed: by a handler, as soon as it is
            done.

        @raise ValueError: There is an index of that name.

        @raise TypeError: It would have to be waited for, or is no function.
        """
        if name in self._indexes:
            raise ValueError(f"there is an index {name!r} already")
        if f is None:
            return partial(self.index, name)
        refuseAsync(f, f"index {name!r}")
        self._indexes[name] = f
        for member in self._members:
            self._index(member, name)
        return f

    def by(self, name: str, value: str | int) -> Group:
        """
        The clients that have a value in an index.

        @raise ValueError: There is no such index, or it cannot have that
            value.
        """
        if name not in self._indexes:
            raise ValueError(f"there is no index {name!r}")
        return Group(self, indexLabel(name, value))

    def room(self, name: str) -> Room:
        """
        The clients in a room.
        """
        return Room(self, roomLabel(name))

    def addTo(self, label: Label, face: object) -> bool:
        """
        See L{Room.add}.
        """
        refuseRepeatable("a room")
        client = self._byFace.get(id(face))
        if client is None or not client.isOpen:
            return False
        self._members.add(client, label)
        return True

    def removeFrom(self, label: Label, face: object) -> bool:
        """
        See L{Room.remove}.
        """
        refuseRepeatable("a room")
        member: Member | None = self._byFace.get(id(face))
        if member is None:
            # It may come back, with its rooms.
            member = getattr(getattr(face, "_sessionsock", None), "standIn", None)
        return member is not None and self._members.remove(member, label)

    def roomsOf(self, face: object, namespace: str = "") -> list[str]:
        """
        The rooms of a namespace in which a client is.
        """
        client = self._byFace.get(id(face))
        groups = [] if client is None else self._members.groups(client)
        return [name for kind, name, at in groups if kind == "room" and at == namespace]

    def emit(
        self,
        labels: Sequence[Label],
        apart: Sequence[Label],
        namespace: str,
        event: Event,
        *,
        volatile: bool = False,
    ) -> Deferred[Reached]:
        """
        Send an event to clients of Socket.IO; see L{Many}.
        """
        return self.many(labels, apart, namespace).emit(event, volatile=volatile)

    def many(
        self, labels: Sequence[Label], apart: Sequence[Label], namespace: str
    ) -> Many:
        """
        The clients of a namespace that are in any of some groups, each once.

        @param apart: Who is in any of these groups is none of them.
        """
        return Many(self, labels, apart, namespace)

    def serve(self, topic: str, answer: Callable[[bytes], bytes | None]) -> None:
        """
        Answer what all nodes L{ask}.

        @param answer: Returns L{None} if there is nothing to say, and raises
            L{ValueError} for what it does not understand.
        """
        self._orders.topics[topic] = answer

    def ask(self, topic: str, payload: bytes) -> Deferred[dict[str, bytes | None]]:
        """
        Ask all nodes something that is not about groups.

        @return: A L{Deferred} of what each node answered; L{None} where nobody
            L{serve}s that topic.  It fails as those of a L{Group} do.
        """
        asking = self._bus.request(encode(Ask(topic, payload)))
        return asking.addCallback(
            lambda answers: {node: answer(raw) for node, raw in answers.items()}
        )

    def close(self) -> Deferred[None]:
        """
        Be reached by other nodes no more.

        @return: A L{Deferred} that fires when they know.
        """
        return self._bus.close()

    # The clients of this node.

    def opened(self, client: Client) -> None:
        """
        A client has its session.
        """
        assert client.session is not None
        self._byFace[id(client.handlers.face)] = client
        self._members.add(client, sessionLabel(client.session.id))
        for label in client.groups:
            self._members.add(client, label)
        for name in self._indexes:
            self._index(client, name)

    def lost(self, client: Client) -> None:
        """
        A client is disconnected.
        """
        self._byFace.pop(id(client.handlers.face), None)
        self._members.drop(client)

    def enter(self, member: Member, labels: Sequence[Label]) -> None:
        """
        Have something that stands in for a client be in groups, until L{leave}.  It
        is reached, and does not count.
        """
        for label in labels:
            self._members.add(member, label)

    def groupsOf(self, member: Member) -> list[Label]:
        """
        The groups in which somebody is.
        """
        return self._members.groups(member)

    def leave(self, member: Member) -> None:
        """
        Have what stood in for a client be in no group any more.
        """
        self._members.drop(member)

    def _changed(self, session: Session) -> None:
        if not self._indexes:
            return
        for client in self._members.of(sessionLabel(session.id)):
            for name in self._indexes:
                self._index(client, name)

    def _index(self, member: Member, name: str) -> None:
        session = member.session
        assert session is not None
        label = None
        try:
            value = self._indexes[name](session)
            refuseToWait(value, f"index {name!r}")
            if value is not None:
                label = indexLabel(name, value)
        except Exception:
            line = f"a session cannot be found by {name!r}"
            self._manager.failed(self._log, line, Failure())
        self._members.move(member, name, label)

    # Commands.

    def tell(self, command: Command) -> Deferred[Reached]:
        """
        Have all nodes do something.
        """
        refuseRepeatable("a message to others")
        asking = self._bus.request(encode(command))
        return asking.addCallback(
            lambda answers: {node: number(raw) for node, raw in answers.items()}
        )


def _refuseSecond(sockets: SessionSockets) -> None:
    if _hubOf(sockets) is not None:
        raise ValueError(
            "these sockets have a hub already: it is hubOf(sockets). The first room or"
            " broadcast of Socket.IO makes one, for this process only, unless you made"
            " yours before"
        )


def hubOf(owner: object) -> Hub:
    """
    Find the hub of a server.

    @param owner: A client, as listeners get it; or its factory, or the sockets
        of that.

    @return: The L{Hub} that was made for these sockets.

    @raise SessionError: None was.

    @raise TypeError: This has no sockets with sessions.
    """
    sockets = owner
    if not isinstance(owner, SessionSockets):
        sockets = getattr(getattr(owner, "_sessionsock", None), "sockets", None)
    if not isinstance(sockets, SessionSockets):
        raise TypeError(
            "the hub is that of a socket with a session, of its factory, or of"
            f" factory.sockets, not of {owner!r}"
        )
    hub = _hubOf(sockets)
    if hub is None:
        raise SessionError(
            "these sockets have no hub: make one before they serve, by"
            " Hub(factory.sockets), or Hub(factory.sockets, bus) for all processes"
        )
    return hub


def _hubOf(sockets: SessionSockets) -> Hub | None:
    return next((each for each in sockets.followers if isinstance(each, Hub)), None)
