# -*- test-case-name: tests.socketio.test_events -*-
"""
A client of Socket.IO, as handlers get it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, overload

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock._arguments import checked
from txsessionsock.clients import Listener
from txsessionsock.closecodes import Code
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import SessionError
from txsessionsock.messages import Event
from txsessionsock.protocol import ApplicationMethods
from txsessionsock.session import Session

from .carrier import NamespaceCarrier
from .events import EventListeners, isSessionEvent, refuseReserved
from .rooms import Broadcaster, join, leave, roomsOf


__all__ = ["SocketIOSocket"]

_L = TypeVar("_L", bound=Listener)


class SocketIOSocket(ApplicationMethods):
    """
    One client in one namespace, with the session of the browser at its other end.

    Override the C{session...} methods, and for each event of the application write
    a method C{on_} and the name of the event::

        class Basket(SocketIOSocket):
            def on_add(self, fruit, number):
                self.session[fruit] = self.session.get(fruit, 0) + number
                return self.session[fruit]

    What it returns answers the event, if the client asks for that: nothing for
    L{None}, several values for a tuple.  Each method may return a L{Deferred}, or be a
    coroutine, or a generator that yields such as with C{inlineCallbacks}, and is
    waited for before the next event is handled.

    @cvar indexes: See L{SessionSocketProtocol
        <txsessionsock.protocol.SessionSocketProtocol>}.

    @cvar namespaces: Of the class of the main namespace: those of the others, by
        their names.

    @ivar events: The functions that were given to L{on}.
    """

    indexes: ClassVar[Mapping[str, Callable[[Session], object]]] = {}
    namespaces: ClassVar[Mapping[str, type[SocketIOSocket]]] = {}
    _carrier: NamespaceCarrier | None = None
    _events: EventListeners | None = None

    # What tells who it is.

    @property
    def _sessionsock(self) -> NamespaceCarrier:
        if self._carrier is None:
            raise SessionError(
                "a SocketIOSocket is made by the server, for each client: right is"
                " SocketIO(protocol)"
            )
        return self._carrier

    @_sessionsock.setter
    def _sessionsock(self, carrier: NamespaceCarrier) -> None:
        self._carrier = carrier

    @property
    def session(self) -> Session:
        """
        Its session, which it has in each handler but that of C{sinvalid}.

        @raise SessionError: It has none.
        """
        session = self._sessionsock.client.session
        if session is None:
            raise SessionError("this client has no session, or not yet")
        return session

    @property
    def id(self) -> str:
        """
        The id of this socket, which the client knows, too.  It is another one after
        each connection, unless it was L{recovered}.
        """
        return self._sessionsock.id

    @property
    def namespace(self) -> str:
        """
        The name of the namespace.
        """
        return self._sessionsock.namespace

    @property
    def handshake(self) -> Handshake:
        """
        The request with which the connection began; its C{auth} is what the client
        sent along to name itself.
        """
        return self._sessionsock.handshake

    @property
    def peer(self) -> str:
        """
        Where the client is.
        """
        return self._sessionsock.peer

    @property
    def reason(self) -> str:
        """
        Why the client was disconnected, in Socket.IO's words, such as C{"transport
        close"}; empty before.
        """
        return self._sessionsock.reason

    @property
    def recovered(self) -> bool:
        """
        Whether the client has come back after its connection was lost, with its id,
        its rooms and what it missed: see L{Recovery
        <txsessionsock.socketio.Recovery>}.
        """
        return self._sessionsock.isRecovered

    # Who listens.

    @property
    def events(self) -> EventListeners:
        if self._events is None:
            self._events = EventListeners()
        return self._events

    @property
    def _handlesAll(self) -> bool:
        mine = type(self).sessionMessageReceived
        return mine is not ApplicationMethods.sessionMessageReceived

    @overload
    def on(self, event: str, listener: _L) -> _L: ...

    @overload
    def on(self, event: str) -> Callable[[_L], _L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """
        Have a function called on each event of a name of this client: with what came
        with it; of session events as with a L{SessionSocketProtocol
        <txsessionsock.protocol.SessionSocketProtocol>}.  Without a function, a
        decorator.

        @raise ValueError: An application cannot have such an event.

        @raise TypeError: That is no name, or no function.
        """
        if isSessionEvent(event):
            return self._sessionsock.client.handlers.listeners.on(event, listener)
        return self.events.on(event, listener, once=False)

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """
        The same for the next event of that name only.
        """
        if isSessionEvent(event):
            return self._sessionsock.client.handlers.listeners.once(event, listener)
        return self.events.on(event, listener, once=True)

    def off(self, event: str, listener: Listener | None = None) -> None:
        """
        Have a function called no more; none of that event unless one is given.
        """
        if isSessionEvent(event):
            self._sessionsock.client.handlers.listeners.off(event, listener)
        else:
            self.events.off(event, listener)

    def onAny(self, listener: _L) -> _L:
        """
        Have a function called on each event of the application, before all others:
        with its name and what came with it.
        """
        self.events.onAny(listener)
        return listener

    def sessionError(self, failure: Failure) -> object:
        """
        See L{ApplicationMethods}.
        """
        if self._sessionsock.place.listeners.of("serror"):
            return None
        return super().sessionError(failure)

    # What is sent.

    def emit(self, name: str, *args: Any) -> None:
        """
        Send an event.  In C{perMessage} mode it goes out when all that was changed
        in the session until now is stored.  When the client is gone, nothing
        happens.

        @param args: JSON, and L{bytes} anywhere in it.

        @raise ValueError: An application cannot have such an event, or a value
            cannot be sent.

        @raise SessionError: It is not decided yet whether the client is let in; see
            L{Namespace.use<txsessionsock.socketio.Namespace.use>}.
        """
        refuseReserved(name)
        self._sessionsock.emit(Event(name, args))

    def send(self, value: Any) -> None:
        """
        The same with an event C{message}.

        @raise ValueError: The value cannot be sent.
        """
        self.emit("message", value)

    def call(
        self, name: str, *args: Any, timeout: float | None = 60.0
    ) -> Deferred[Any]:
        """
        Send an event, and wait for the client to answer it.  What a handler finds in
        the session afterwards is as fresh as for a message.

        @param timeout: For how many seconds; L{None} for any time.

        @return: A L{Deferred} of what it answered: L{None} for nothing, a tuple for
            several values.  It fails with L{TimeoutError
            <twisted.internet.defer.TimeoutError>}, and with L{ClientGone
            <txsessionsock.interfaces.ClientGone>} if the client was disconnected.

        @raise ValueError: See L{emit}.

        @raise SessionError: See there.
        """
        refuseReserved(name)
        return self._sessionsock.call(Event(name, args), timeout)

    def answer(self, *values: Any) -> None:
        """
        Answer the event that is being handled, before its handlers are done.  Where
        the client did not ask for an answer, or has it, nothing happens.

        @raise ValueError: A value cannot be sent.
        """
        self._sessionsock.answer(values)

    def disconnect(self, close: bool = False) -> None:
        """
        Disconnect, when what was sent before has gone out.  The client does not come
        again by itself.

        @param close: Do so with all namespaces of this client.
        """
        if close:
            self._sessionsock.disconnectAll()
        self.close()

    @checked
    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """
        Disconnect with a close code, when what was sent before has gone out.  A
        client that was lost before does not come back as who it was.

        @param code: With 1000, and 4400 to 4499, the client leaves this namespace, and
            does not come again by itself.  With any other the connection is closed,
            for all its namespaces, and it does.

        @raise ValueError: That code cannot be sent (RFC 6455, section 7.4).
        """
        super().close(code, reason)
        standIn = self._sessionsock.standIn
        if standIn is not None:
            standIn.close(code, reason)

    def receive(self) -> Deferred[Event]:
        """
        Wait for the client's next event, which then has no other handlers, and no
        answer if it asks for one; see L{call} for asking the client something.

        @return: A L{Deferred} that fires with the event.  It fails with
            L{ClientGone<txsessionsock.interfaces.ClientGone>} or
            L{NoSuchSession<txsessionsock.interfaces.NoSuchSession>} if none
            will come.
        """
        return super().receive()

    # Rooms.

    def join(self, *rooms: str) -> bool:
        """
        Be in rooms of this namespace, until it is disconnected or L{leave}s.

        @return: Whether it is in them now; not if it is gone.

        @raise ValueError: That is no name of a room.

        @raise SessionError: See L{emit}.
        """
        self._sessionsock.refuseEarly()
        return join(self, rooms)

    def leave(self, *rooms: str) -> None:
        """
        Be there no more.

        @raise ValueError: That is no name of a room.
        """
        leave(self, rooms)

    @property
    def rooms(self) -> frozenset[str]:
        """
        The rooms in which it is, with its own, which is named by its id.
        """
        return roomsOf(self)

    # To others.

    @property
    def broadcast(self) -> Broadcaster:
        """
        All others of this namespace.
        """
        return Broadcaster.besides(self)

    def to(self, *rooms: str) -> Broadcaster:
        """
        The others in any of some rooms; see L{Broadcaster.to}.
        """
        return self.broadcast.to(*rooms)

    def except_(self, *rooms: str) -> Broadcaster:
        """
        The others that are in none of some rooms; see L{Broadcaster.except_}.
        """
        return self.broadcast.except_(*rooms)

    @property
    def volatile(self) -> VolatileSocket:
        """
        This client, for what is worth nothing when it is late.
        """
        return VolatileSocket(self)


class VolatileSocket:
    """
    A client to which something is sent only if nothing waits for it.
    """

    def __init__(self, socket: SocketIOSocket) -> None:
        self._socket = socket

    def emit(self, name: str, *args: Any) -> bool:
        """
        Send an event; see L{SocketIOSocket.emit}.

        @return: Whether it was sent.
        """
        isWritable = self._socket._sessionsock.client.isWritable
        if isWritable:
            self._socket.emit(name, *args)
        return isWritable
