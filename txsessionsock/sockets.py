# -*- test-case-name: tests.test_sockets -*-
"""
All clients of one server: what they have in common, and what they need from
what carries them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ._arguments import AboveZero, Size, checked
from ._events import Listener, Listeners
from .credentials import Cookie, Credential
from .interfaces import EndReason, IFramework, InvalidReason, SessionError
from .manager import SessionManager
from .session import Session


if TYPE_CHECKING:
    from .client import Client
    from .hub import Hub

__all__ = [
    "Application",
    "Carrier",
    "Code",
    "Limits",
    "SessionClient",
    "SessionSockets",
    "refuseCode",
]

_L = TypeVar("_L", bound=Listener)

_STANDARD = frozenset(range(1000, 1015)) - {1004, 1005, 1006}
_PRIVATE = range(3000, 5000)
"""
The close codes that may be sent (RFC 6455, section 7.4).
"""


class Code(IntEnum):
    """
    Close codes: of RFC 6455, section 7.4.1, and from 4000 on our own.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    BAD_PAYLOAD = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    SESSION_MOVED = 4307
    SECOND_CREDENTIAL = 4400
    SESSION_OVER = 4401
    NO_CREDENTIAL_IN_TIME = 4408
    TOO_MANY_SOCKETS = 4429


@checked
def refuseCode(code: int) -> None:
    """
    @raise ValueError: It is no close code that can be sent.
    """
    if code not in _STANDARD and code not in _PRIVATE:
        raise ValueError(f"{code} is no close code to send")


class Carrier(Protocol):
    """
    What carries a client's messages.  None of its methods calls the client.
    """

    def encode(self, value: Any) -> Any:
        """
        Make of a value what L{write} takes, so that it may be changed after.

        @raise ValueError: It cannot be sent.
        """

    def write(self, frame: Any) -> None:
        """
        Send what was encoded.
        """

    def whose(self, session: Session) -> Any:
        """
        @return: What tells the client whose session it has, for L{write};
            L{None} if it did not ask, or knows.
        """

    def close(self, code: int, reason: str) -> None:
        """
        Say why, and disconnect.
        """

    def pause(self) -> None:
        """
        Receive nothing more for now.
        """

    def resume(self) -> None:
        """
        Receive again.
        """


class Application(Protocol):
    """
    What is called last for each event; listeners get it as the client.
    """

    def sessionConnected(self, session: Session) -> object:
        """
        C{sconnection}
        """

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        """
        C{smessage}
        """

    def sessionInvalid(self, reason: InvalidReason) -> object:
        """
        C{sinvalid}
        """

    def sessionChanged(self, session: Session, keys: Sequence[str]) -> object:
        """
        C{schanged}
        """

    def sessionDestroyed(self, session: Session, reason: EndReason) -> object:
        """
        C{sdestroyed}
        """

    def sessionError(self, failure: Failure) -> object:
        """
        C{serror}
        """

    def sessionDisconnected(self, session: Session, code: int) -> object:
        """
        C{disconnect}
        """


class SessionClient(Protocol):
    """
    A client as listeners get it, and as a L{SessionSocketProtocol
    <txsessionsock.protocol.SessionSocketProtocol>} is one: for annotations.
    """

    @property
    def session(self) -> Session | None:
        """
        Its session, once it is there.
        """

    def send(self, value: Any) -> None:
        """
        Send a message, when all that was changed until now is stored.
        """

    def close(self, code: int = ..., reason: str = ...) -> None:
        """
        Disconnect, when what was sent before has gone out.
        """

    def receive(self) -> Deferred[Any]:
        """
        Wait for its next message.
        """

    @overload
    def on(self, event: str, listener: _L, /) -> _L: ...

    @overload
    def on(self, event: str, /) -> Callable[[_L], _L]: ...

    @overload
    def once(self, event: str, listener: _L, /) -> _L: ...

    @overload
    def once(self, event: str, /) -> Callable[[_L], _L]: ...

    def off(self, event: str, listener: Listener, /) -> None:
        """
        Have a listener called no more.
        """


@checked
@dataclass(frozen=True)
class Limits:
    """
    What one client may take.  Times are in seconds, sizes in bytes.

    @ivar messageSize: Of a message, and of a frame, in both directions.

    @ivar waitingMessages: How many messages may wait for a handler before no
        more are received, and C{waitingBytes}, of what size together.

    @ivar handshakeTimeout: From the connection to the credential.

    @ivar closeTimeout: For the answer to our close frame.

    @ivar pingInterval: Between pings; 0 for none.

    @ivar pingTimeout: For the answer to a ping.

    @ivar socketsPerSession: In this process.

    @ivar unsentBytes: What may be on its way to a slow reader, and for how
        long, C{unsentTimeout}, it may be more.
    """

    messageSize: Size = 1024 * 1024
    waitingMessages: Size = 64
    waitingBytes: Size = 1024 * 1024
    handshakeTimeout: AboveZero = 10.0
    closeTimeout: AboveZero = 3.0
    pingInterval: float = 25.0
    pingTimeout: AboveZero = 20.0
    socketsPerSession: Size = 100
    unsentBytes: Size = 1024 * 1024
    unsentTimeout: AboveZero = 10.0


@checked
class SessionSockets:
    """
    The clients of one server.

    @ivar manager: Where their sessions come from.

    @ivar perMessage: Whether the session is fresh for each message and stored
        after it, rather than loaded once and stored at the end.

    @ivar credentials: The ways to name a session, the first found wins.
    """

    kind = "sockets"

    def __init__(
        self,
        manager: SessionManager,
        *,
        perMessage: bool = False,
        credentials: Sequence[Credential] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """
        @param credentials: Only L{Cookie}, unless given.

        @param limits: L{Limits} as they are, unless given.
        """
        self.manager = manager
        self.perMessage = perMessage
        self.credentials = (Cookie(),) if credentials is None else tuple(credentials)
        self.awaitsMessage = any(c.awaitsMessage for c in self.credentials)
        self.limits = Limits() if limits is None else limits
        self.listeners = Listeners()
        self._clients: dict[Client, None] = {}
        self._hub: Hub | None = None
        self._allGone: list[Deferred[None]] = []
        self._isGoingAway = False
        manager.join(self)

    def __len__(self) -> int:
        """
        How many clients there are.
        """
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        """
        All of them.
        """
        return iter(list(self._clients))

    @property
    def hub(self) -> Hub:
        """
        Finds clients by session, index and room.

        @raise SessionError: No L{Hub} was made for these.
        """
        if self._hub is None:
            raise SessionError("these sockets have no hub: make one, Hub(sockets)")
        return self._hub

    @hub.setter
    def hub(self, hub: Hub) -> None:
        self._hub = hub

    @property
    def hasHub(self) -> bool:
        """
        Whether a L{Hub} was made for these.
        """
        return self._hub is not None

    @property
    def framework(self) -> IFramework:
        """
        Whose sessions these are.
        """
        return self.manager.framework

    @overload
    def on(self, event: str, listener: _L) -> _L: ...

    @overload
    def on(self, event: str) -> Callable[[_L], _L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """
        Have a function called on each event of one name, for every client.
        Without a function, a decorator.

        @raise ValueError: There is no such event.

        @raise TypeError: That is no function.
        """
        return self.listeners.on(event, listener)

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """
        The same for the next event of that name only, whichever client's.
        """
        return self.listeners.once(event, listener)

    def off(self, event: str, listener: Listener | None = None) -> None:
        """
        Have a function called no more; none of that event unless one is given.

        @raise ValueError: There is no such event.
        """
        self.listeners.off(event, listener)

    def add(self, client: Client) -> None:
        """
        A client is there.
        """
        self._clients[client] = None
        if self._isGoingAway:
            self._sendAway(client)

    def opened(self, client: Client) -> None:
        """
        A client has its session.
        """
        if self._hub is not None:
            self._hub.opened(client)

    def lost(self, client: Client) -> None:
        """
        A client that had its session is disconnected.
        """
        if self._hub is not None:
            self._hub.lost(client)

    def remove(self, client: Client) -> None:
        """
        A client is gone, and its session stored.
        """
        self._clients.pop(client, None)
        if not self._clients:
            waiting, self._allGone = self._allGone, []
            for deferred in waiting:
                deferred.callback(None)

    def goAway(self) -> Deferred[None]:
        """
        Close all sockets, and those that still come, because the server ends.

        @return: A L{Deferred} that fires when all clients are gone and their
            sessions stored.
        """
        self._isGoingAway = True
        for client in list(self._clients):
            self._sendAway(client)
        if not self._clients:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._allGone.append(gone)
        return gone

    def awaited(self) -> Iterator[str]:
        """
        Which handlers have begun and not ended.
        """
        for client in self:
            awaited = client.awaited()
            if awaited is not None:
                yield awaited

    def _sendAway(self, client: Client) -> None:
        client.close(Code.GOING_AWAY, "server going away")
