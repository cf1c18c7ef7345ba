# -*- test-case-name: tests.socketio.test_events -*-
"""
A server of Socket.IO, whose clients have the sessions of their browsers::

    class Basket(SocketIOSocket):
        def on_add(self, fruit):
            self.session[fruit] = self.session.get(fruit, 0) + 1
            return self.session[fruit]

    io = SocketIO(Basket)
    enable(io, manager, perMessage=True)
    site = BoundedSite(root)
    root.putChild(b"socket.io", SocketIOResource(io))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, DeferredList

from txsessionsock._arguments import checked
from txsessionsock._waiting import refuseNoFunction
from txsessionsock.clients import Listener, Listeners, SessionSockets
from txsessionsock.credentials import Credential
from txsessionsock.forwarded import Proxies
from txsessionsock.hub import Reached
from txsessionsock.interfaces import SessionError
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.origins import Origins
from txsessionsock.protocol import Equipment

from .connection import Connection
from .engine import Engine
from .engineconnection import EngineConnection
from .events import EventListeners, isSessionEvent, refuseUncalled
from .lobby import Lobby
from .packets import MSGPACK, TEXT, Parser
from .recovery import Ghosts, Recovery
from .rooms import Broadcaster
from .socket import SocketIOSocket
from .trail import Codec


__all__ = ["Namespace", "SocketIO", "enable"]

_L = TypeVar("_L", bound=Listener)

_NAME = re.compile(r"/[^,?\x00-\x1f\x7f]*")
_MAIN = "/"


def _refuseConnection(event: object) -> None:
    """
    @raise ValueError: Other servers of Socket.IO have that event; here it would
        never come.
    """
    if event in ("connect", "connection"):
        raise ValueError(
            f"{event!r} is no event here: right is 'sconnection', with the client and"
            " its session"
        )


class Namespace:
    """
    One of the namespaces of a server: its clients, and what is called for them.

    @ivar name: What it is called; it begins with a slash.

    @ivar listeners: Those of session events.

    @ivar events: Those of events of the application.

    @ivar gates: The functions that were given to L{use}.

    @ivar encodings: What encodes its events.
    """

    def __init__(self, io: SocketIO, name: str, protocol: Any) -> None:
        self._io = io
        self.name = name
        self.protocol = protocol
        self.listeners = Listeners()
        self.events = EventListeners()
        self.gates: list[Listener] = []
        isNumbered = io._recovery is not None
        self.encodings: Mapping[Parser, Codec] = {
            parser: Codec(name, parser, isNumbered=isNumbered)
            for parser in (TEXT, MSGPACK)
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def ghosts(self) -> Ghosts | None:
        """
        Those of its clients that may come back; L{None} if none may.
        """
        return self._io._ghosts

    @property
    def protocol(self) -> type[SocketIOSocket]:
        """
        The class of what handlers get as a client.
        """
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        if not (isinstance(protocol, type) and issubclass(protocol, SocketIOSocket)):
            raise TypeError(
                f"the protocol of a namespace is a subclass of SocketIOSocket, not"
                f" {protocol!r}"
            )
        refuseUncalled(protocol)
        if self._io._equipment is not None:
            self._io.sockets.refuseRepeatable(protocol)
        self._protocol = protocol

    @overload
    def on(self, event: str, listener: _L) -> _L: ...

    @overload
    def on(self, event: str) -> Callable[[_L], _L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """
        Have a function called on each event of a name, for every client of this
        namespace: with the client, and what came with the event.  Without a
        function, a decorator.

        @raise ValueError: An application cannot have such an event.

        @raise TypeError: That is no name, or no function.
        """
        if isSessionEvent(event):
            return self.listeners.on(event, listener)
        _refuseConnection(event)
        return self.events.on(event, listener, once=False)

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """
        The same for the next event of that name only, whichever client's.
        """
        if isSessionEvent(event):
            return self.listeners.once(event, listener)
        _refuseConnection(event)
        return self.events.on(event, listener, once=True)

    def off(self, event: str, listener: Listener | None = None) -> None:
        """
        Have a function called no more; none of that event unless one is given.
        """
        if isSessionEvent(event):
            self.listeners.off(event, listener)
        else:
            self.events.off(event, listener)

    def onAny(self, listener: _L) -> _L:
        """
        Have a function called on each event of the application, before all others:
        with the client, the name of the event, and what came with it.
        """
        self.events.onAny(listener)
        return listener

    def use(self, gate: _L) -> _L:
        """
        Have a function called before a client that has a session is let in, with the
        client and the session.  It may have to be waited for.  If it raises
        L{ConnectRefused<txsessionsock.interfaces.ConnectRefused>}, the client gets a
        C{connect_error} with that message and data.  Also a decorator.

        @raise TypeError: That is no function.
        """
        refuseNoFunction(gate, "use()")
        self.gates.append(gate)
        return gate

    # To its clients, on every node.

    @property
    def _everybody(self) -> Broadcaster:
        return Broadcaster(self._io.sockets, self.name)

    def to(self, *rooms: str) -> Broadcaster:
        """
        The clients in any of some rooms; see L{Broadcaster.to}.
        """
        return self._everybody.to(*rooms)

    def except_(self, *rooms: str) -> Broadcaster:
        """
        The clients that are in none of some rooms; see L{Broadcaster.except_}.
        """
        return self._everybody.except_(*rooms)

    @property
    def volatile(self) -> Broadcaster:
        """
        Those for whom nothing waits; see L{Broadcaster.volatile}.
        """
        return self._everybody.volatile

    def emit(self, name: str, *args: Any) -> Deferred[Reached]:
        """
        Send all clients an event; see L{Broadcaster.emit}.
        """
        return self._everybody.emit(name, *args)

    def send(self, value: Any) -> Deferred[Reached]:
        """
        The same with an event C{message}.
        """
        return self._everybody.send(value)

    def disconnect(self, reason: str = "closed by server") -> Deferred[Reached]:
        """
        Have all clients leave; see L{Broadcaster.disconnect}.
        """
        return self._everybody.disconnect(reason)

    def count(self) -> Deferred[Reached]:
        """
        Count the clients; see L{Broadcaster.count}.
        """
        return self._everybody.count()


@checked
class SocketIO(Namespace):
    """
    A server of Socket.IO, and its main namespace.
    """

    _equipment: Equipment | None = None
    _engine: Engine | None = None
    _ghosts: Ghosts | None = None
    _connections: _Connections
    lobby: Lobby

    def __init__(
        self, protocol: type = SocketIOSocket, *, recovery: Recovery | None = None
    ) -> None:
        """
        @param protocol: The class of what handlers get as a client of the main
            namespace: a subclass of L{SocketIOSocket}.  Its C{namespaces} are there
            from the beginning.

        @param recovery: How clients may come back whose connection was lost; they
            come as new ones, unless given.

        @raise TypeError: It is no such class, or one of its namespaces has none.

        @raise ValueError: One of them has a name that no namespace can have.
        """
        self._recovery = recovery
        super().__init__(self, _MAIN, protocol)
        self._namespaces: dict[str, Namespace] = {_MAIN: self}
        for name, each in self.protocol.namespaces.items():
            self.of(name, each)

    @checked
    def of(self, name: str, protocol: type | None = None) -> Namespace:
        """
        A namespace, which there is from now on.

        @param name: Without a slash at its front, one is put there.

        @param protocol: The class of what handlers get as a client.

        @raise ValueError: It is no name of a namespace.
        """
        name = name if name.startswith(_MAIN) else f"{_MAIN}{name}"
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of a namespace: it has no comma, no question mark"
                " and no control character"
            )
        found = self._namespaces.get(name)
        if found is None:
            found = Namespace(self, name, protocol or SocketIOSocket)
            self._namespaces[name] = found
        elif protocol is not None:
            found.protocol = protocol
        return found

    def named(self, name: str) -> Namespace | None:
        """
        @return: The namespace of that name, if there is one.
        """
        return self._namespaces.get(name)

    # With sessions.

    @property
    def equipment(self) -> Equipment:
        """
        What it needs to give its clients sessions.
        """
        if self._equipment is None:
            raise SessionError(
                f"{self!r} gives no sessions: right is enable(io, manager) before"
            )
        return self._equipment

    _sessionsock = equipment

    @property
    def engine(self) -> Engine:
        """
        What carries its connections.
        """
        assert self._engine is not None or self.equipment
        assert self._engine is not None
        return self._engine

    @property
    def sockets(self) -> SessionSockets:
        """
        All its clients.
        """
        return self.equipment.sockets

    def equip(self, equipment: Equipment) -> None:
        """
        See L{enable}.
        """
        if self._equipment is not None:
            raise ValueError(f"{self!r} has sessions already")
        for each in self._namespaces.values():
            equipment.sockets.refuseRepeatable(each.protocol)
        manager = equipment.sockets.manager
        if self._recovery is not None:
            self._ghosts = Ghosts(self._recovery, equipment.sockets)
        self._engine = Engine(equipment, manager.reactor, self._connected)
        self._equipment = equipment
        self.lobby = Lobby(equipment.limits)
        self._connections = _Connections(self._engine)
        manager.join(self._connections)

    def _connected(self, engine: EngineConnection) -> Connection:
        connection = Connection(self, engine)
        self._connections.add(connection)
        return connection


class _Connections:
    """
    The connections of a server, also those that are in no namespace: they are
    closed when it ends.
    """

    kind = "connections of Socket.IO"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connections: WeakKeyDictionary[Connection, None] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._engine)

    def add(self, connection: Connection) -> None:
        self._connections[connection] = None
        if self._engine.isGoingAway:
            connection.goAway()

    def goAway(self) -> Deferred[None]:
        """
        See L{Guest<txsessionsock.manager.shutdown.Guest>}.  Clients in namespaces are
        among its sockets, which are told, too.
        """
        self._engine.isGoingAway = True
        gone = [connection.goAway() for connection in list(self._connections)]
        return DeferredList(gone).addCallback(lambda _: None)

    def hurry(self) -> None:
        """
        Do nothing: what waits for handlers here waits at clients in namespaces.
        """

    def awaited(self) -> Iterable[str]:
        """
        Nothing: whose handlers are at work are the clients in namespaces.
        """
        return ()


@checked
def enable(
    server: SocketIO,
    manager: SessionManager,
    perMessage: bool = False,
    *,
    origins: Iterable[str] = (),
    trustProxy: bool | Proxies = False,
    credentials: Sequence[Credential] | None = None,
    limits: Limits | None = None,
    shortMessages: bool = True,
) -> SessionSockets:
    """
    Give the clients of a server the sessions of their browsers.

    @param manager: Where sessions come from.

    The other arguments are those of L{SessionSocketFactory
    <txsessionsock.protocol.SessionSocketFactory>}.

    @return: What to listen to, for the clients of all namespaces:
        C{sockets.on("sconnection", f)}.

    @raise ValueError: The server has sessions already, one of C{origins} is no
        origin, C{limits} have no pings, or handlers of a namespace may run again, and
        cannot: see C{repeatable}.
    """
    sockets = SessionSockets(
        manager,
        perMessage=perMessage,
        credentials=credentials,
        limits=limits,
        shortMessages=shortMessages,
    )
    server.equip(Equipment(sockets, Origins(origins), trustProxy))
    return sockets
