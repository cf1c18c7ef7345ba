# -*- test-case-name: tests.protocol.test_protocol -*-
"""
The methods of a WebSocket with a session that an application overrides or calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, overload

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._arguments import checked
from txsessionsock._deferreds import inOrder
from txsessionsock.clients import (
    Client,
    Listener,
    Once,
    doesNothing,
    listen,
    refuseUnknown,
)
from txsessionsock.closecodes import Code, refuseCode
from txsessionsock.interfaces import (
    EndReason,
    InvalidReason,
    StoreFailure,
    UndecodableSession,
)
from txsessionsock.messages import JSON, Messages
from txsessionsock.session import Session

from .equipment import Equipment


__all__ = ["ApplicationMethods", "overrides"]

_L = TypeVar("_L", bound=Listener)

_log = Logger()


class _SocketCarrier(Protocol):
    """
    The part of a C{SocketCarrier} that an application uses.

    @ivar closed: How it closed, as Autobahn's C{onClose} has it.
    """

    client: Client
    equipment: Equipment
    closed: tuple[bool, int | None, str | None]


class _SessionOf:
    """
    An attribute that a protocol of somebody else may set to something else.
    """

    def __get__(self, protocol: Any, owner: object) -> Session | None:
        return None if protocol is None else protocol._sessionsock.client.session


class ApplicationMethods:
    """
    The methods that an application overrides, and those that it calls.  Where
    the protocol is somebody else's, it is a base after that one, whose own names
    win.

    @cvar messages: What messages are: L{JSON}, or L{Raw}.

    @cvar repeatable: Whether the handlers of messages may run again.  They are ordinary
        functions then, and do nothing but read and change the session and send to
        their own client.

    @ivar session: The client's session, once it is there.
    """

    messages: Messages = JSON()
    repeatable: ClassVar[bool] = False
    if TYPE_CHECKING:

        @property
        def session(self) -> Session | None: ...

        @property
        def _sessionsock(self) -> _SocketCarrier: ...

    else:
        # To a type checker this would be an object of that class.
        session = _SessionOf()

    def sessionConnected(self, session: Session) -> object:
        """
        The session is there.  Called once, before any message.
        """

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        """
        The client sent a message.
        """

    def sessionInvalid(self, reason: InvalidReason) -> object:
        """
        There is no session.  The client can still be told; then it is
        disconnected.
        """

    @doesNothing
    def sessionChanged(self, session: Session, keys: Sequence[str]) -> object:
        """
        Somebody else changed these keys: another socket or page, on this node
        or another, or the web application.
        """

    def sessionDestroyed(self, session: Session, reason: EndReason) -> object:
        """
        The session ended while the client was connected.  It cannot be told
        any more than the close code does.
        """

    def sessionError(self, failure: Failure) -> object:
        """
        The store failed, the session cannot be decoded or encoded, or a
        handler raised.  Unless overridden or listened to, it is logged; what
        many sockets are told of one store, once a minute.
        """
        if self._sessionsock.client.handlers.hear("serror"):
            return None
        _say(self._sessionsock.equipment, failure)
        return None

    def sessionDisconnected(self, session: Session, code: int) -> object:
        """
        The client is gone; what it sent before was handled.  What is changed
        now is still stored.

        @param code: The close code, ours if we closed; 1006 if there was
            none.
        """

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: _L | None = None) -> Any:
        """
        Have a function called on the next event of that name, and no more; see
        C{on}.
        """
        # In the class of the protocol, Sessioned's on and off come before ours.
        protocol: Any = self
        taken = partial(protocol.off, event)
        on = partial(protocol.on, event)
        refuseUnknown(event, "message")
        return listen(lambda f: on(Once(f, taken)), listener)

    def send(self, value: Any) -> None:
        """
        Send a message.  In C{perMessage} mode it goes out when all that was
        changed in the session until now is stored.  When the client is gone,
        nothing happens.

        @raise ValueError: The value is no message.
        """
        self._sessionsock.client.send(value)

    @checked
    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """
        Disconnect, when what was sent before has gone out.

        @param code: The close code that the client gets.

        @raise ValueError: That code cannot be sent (RFC 6455, section 7.4).
        """
        refuseCode(code)
        self._sessionsock.client.close(code, reason)

    def receive(self) -> Deferred[Any]:
        """
        Wait for the client's next message; for a handler that asks its client
        something and awaits the answer.  That message fires no C{smessage}.

        @return: A L{Deferred} that fires with the message.  It fails with
            L{ClientGone<txsessionsock.interfaces.ClientGone>} or
            L{NoSuchSession<txsessionsock.interfaces.NoSuchSession>} if none
            will come.
        """
        return self._sessionsock.client.receive()


def _say(equipment: Equipment, failure: Failure) -> None:
    manager = equipment.sockets.manager
    if failure.check(StoreFailure):
        what = "the session store failed"
    elif failure.check(UndecodableSession):
        what = "a session cannot be read"
    else:
        # A client may send what a handler fails for, again and again.
        manager.failed(_log, "a session socket failed", failure)
        return
    line = f"{what}: {failure.getErrorMessage()}"
    equipment.troubles.error(_log, line, manager.reactor.seconds())


class _WithAutobahnMethods:
    """
    The application of a protocol that has Autobahn's own methods too.
    """

    def __init__(self, protocol: Any, carrier: _SocketCarrier) -> None:
        self._protocol = protocol
        self._carrier = carrier
        self.sessionInvalid = protocol.sessionInvalid
        self.sessionChanged = protocol.sessionChanged
        self.sessionDestroyed = protocol.sessionDestroyed
        self.sessionError = protocol.sessionError

    def sessionConnected(self, session: Session) -> object:
        protocol = self._protocol
        return inOrder([partial(protocol.sessionConnected, session), protocol.onOpen])

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        protocol = self._protocol
        return inOrder(
            [
                partial(protocol.sessionMessageReceived, message, session),
                partial(protocol.onMessage, *self._carrier.client.source),
            ]
        )

    def sessionDisconnected(self, session: Session, code: int) -> object:
        protocol = self._protocol
        return inOrder(
            [
                partial(protocol.sessionDisconnected, session, code),
                partial(protocol.onClose, *self._carrier.closed),
            ]
        )


def _applicationOf(protocol: Any, carrier: _SocketCarrier) -> Any:
    if any(overrides(protocol, m) for m in ("onOpen", "onMessage", "onClose")):
        return _WithAutobahnMethods(protocol, carrier)
    return protocol


def overrides(protocol: WebSocketServerProtocol, method: str) -> bool:
    """
    Whether a protocol, or its class, has its own version of one of Autobahn's
    methods.
    """
    theirs = getattr(WebSocketServerProtocol, method)
    return getattr(getattr(protocol, method), "__func__", None) is not theirs
