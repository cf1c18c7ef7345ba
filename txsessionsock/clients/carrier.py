"""
What carries a client: the connection below it, and the application above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, overload

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock.interfaces import EndReason, InvalidReason
from txsessionsock.session import Session

from .listeners import Listener
from .sockets import _L


__all__ = ["Application", "Carrier", "SessionClient"]


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
