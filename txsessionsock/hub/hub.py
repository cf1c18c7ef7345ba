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

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._arguments import checked
from txsessionsock._kinds import Bus
from txsessionsock._waiting import refuseAsync, refuseToWait
from txsessionsock.bus import LocalBus
from txsessionsock.clients import Broadcast, Client, SessionSockets
from txsessionsock.closecodes import Code, refuseCode
from txsessionsock.interfaces import SessionError, SessionID
from txsessionsock.messages import JSON
from txsessionsock.session import Session

from .commands import Close, Command, Count, Send, decode, encode, number
from .members import Label, Members, describe, indexLabel, roomLabel, sessionLabel


__all__ = ["Group", "Hub", "Reached", "Room", "hubOf"]

Reached = dict[str, int | None]
"""
How many clients were reached on each node; L{None} for a node that did not
answer in time.
"""

_json = JSON()

_Index = TypeVar("_Index", bound=Callable[[Session], object])


class Group:
    """
    Some clients, wherever they are connected.

    All it does fails as L{IBus.request} does: with
    L{StoreUnavailable<txsessionsock.interfaces.StoreUnavailable>} or
    L{BusFull<txsessionsock.interfaces.BusFull>} nothing was done, else it was
    done here, and perhaps elsewhere.
    """

    def __init__(self, hub: Hub, label: Label) -> None:
        self._hub = hub
        self._label = label

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {describe(self._label)}>"

    def send(self, value: Any) -> Deferred[Reached]:
        """
        Send each of them a message.

        @param value: Anything that is JSON.

        @return: A L{Deferred} of how many there were on each node.

        @raise ValueError: The value is no message, or too large.
        """
        payload = _json.encode(value)[0]
        # What cannot be read again, such as what is nested too deeply, is refused
        # here.  Other nodes could only drop it.
        _json.decode(payload, False)
        return self._hub.tell(Send(self._label, payload))

    @checked
    def close(
        self, code: int = Code.NORMAL, reason: str = "closed by server"
    ) -> Deferred[Reached]:
        """
        Close their sockets, when what was sent before has gone out.  Their
        sessions go on.

        @param code: The close code.  With 1000, the browser client stays
            away; with 1012 it comes back and gets its session as it is then.

        @return: A L{Deferred} of how many there were on each node.

        @raise ValueError: That code cannot be sent (RFC 6455, section 7.4).
        """
        refuseCode(code)
        return self._hub.tell(Close(self._label, int(code), reason))

    def count(self) -> Deferred[Reached]:
        """
        @return: A L{Deferred} of how many there are on each node.
        """
        return self._hub.tell(Count(self._label))


class Room(Group):
    """
    Clients that were put together.  A room is there while somebody is in it.
    """

    def add(self, client: object) -> bool:
        """
        Have a client in it until it is disconnected, or L{remove}d.

        @param client: One of this process, as listeners get it.

        @return: Whether it is in the room now; not if it is gone.
        """
        return self._hub.addTo(self._label, client)

    def remove(self, client: object) -> bool:
        """
        Have it there no more.

        @return: Whether it was.
        """
        return self._hub.removeFrom(self._label, client)


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
        if _hubOf(sockets) is not None:
            raise ValueError("these sockets have a hub already: it is hubOf(sockets)")
        self.sockets = sockets
        self._bus = LocalBus(sockets.manager.reactor) if bus is None else bus
        self._members: Members[Client] = Members()
        self._indexes: dict[str, Callable[[Session], object]] = {}
        # By identity: a protocol of a user may say that it equals another.
        self._byFace: dict[int, Client] = {}
        self._bus.handle(self._obey)
        sockets.follow(self)
        self._manager = sockets.manager
        self._manager.watch(self._changed)
        self._manager.closeAtEnd(self.close)

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
        for client in self._byFace.values():
            self._index(client, name)
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
        client = self._byFace.get(id(face))
        if client is None or not client.isOpen:
            return False
        self._members.add(client, label)
        return True

    def removeFrom(self, label: Label, face: object) -> bool:
        """
        See L{Room.remove}.
        """
        client = self._byFace.get(id(face))
        return client is not None and self._members.remove(client, label)

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
        for name in self._indexes:
            self._index(client, name)

    def lost(self, client: Client) -> None:
        """
        A client is disconnected.
        """
        self._byFace.pop(id(client.handlers.face), None)
        self._members.drop(client)

    def _changed(self, session: Session) -> None:
        if not self._indexes:
            return
        for client in self._members.of(sessionLabel(session.id)):
            for name in self._indexes:
                self._index(client, name)

    def _index(self, client: Client, name: str) -> None:
        session = client.session
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
        self._members.move(client, name, label)

    # Commands.

    def tell(self, command: Command) -> Deferred[Reached]:
        """
        Have all nodes do something.
        """
        asking = self._bus.request(encode(command))
        return asking.addCallback(
            lambda answers: {node: number(raw) for node, raw in answers.items()}
        )

    def _obey(self, raw: bytes) -> bytes:
        """
        Do what a command says, which may come from another node.

        @raise ValueError: It is nothing that can be done here.
        """
        command = decode(raw)
        kind, name, _ = command.label
        if kind == "index" and name not in self._indexes:
            raise ValueError(f"there is no index {name!r} here")
        do = self._doing(command)
        clients = self._members.of(command.label)
        return encode(sum(client.isOpen and do(client) for client in clients))

    def _doing(self, command: Command) -> Callable[[Client], bool]:
        """
        @return: A function that does to a client what a command says, and
            returns whether the client was reached.
        """

        def close(client: Client) -> bool:
            assert isinstance(command, Close)
            client.close(command.code, command.reason)
            return True

        if isinstance(command, Close):
            return close
        if isinstance(command, Count):
            return lambda client: True
        value = _json.decode(command.payload, False)
        # What encodes as the sender did can have what the sender made.
        message = Broadcast(value, JSON, (command.payload, False))

        def send(client: Client) -> bool:
            try:
                client.sendOneOfMany(message)
            except ValueError as error:
                group = describe(command.label)
                line = f"{client.session} cannot be sent a message for {group}: {error}"
                self._manager.warned(self._log, line, "hub's message")
                return False
            except Exception:
                # Go on: the other clients of the group get it all the same.
                line = "a message of the hub cannot be sent"
                self._manager.failed(self._log, line, Failure())
                return False
            return True

        return send


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
