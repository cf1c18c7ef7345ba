"""
The connection that carries a client, and the client as listeners get it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, overload

from twisted.internet.defer import Deferred

from txsessionsock.session import Session

from .listeners import _L, Listener


__all__ = ["Carrier", "SessionClient"]


class Carrier(Protocol):
    """
    The connection that carries a client's messages.  None of its methods calls
    the client.

    @ivar isPaused: Whether it receives nothing for now.

    @ivar unsent: How many bytes wait because the client does not read.

    @ivar mostUnsent: How many may wait, together with what is held back from
        L{write}.

    @ivar isWritable: Whether what is sent now goes out at once, as far as can be
        seen here.

    @ivar groups: The groups of the hub in which the client is from the
        beginning, as its labels.

    @ivar encoding: What L{encode} goes by.  Carriers that have the same object
        there make the same of a value.
    """

    @property
    def isPaused(self) -> bool: ...

    @property
    def unsent(self) -> int: ...

    @property
    def mostUnsent(self) -> int: ...

    @property
    def isWritable(self) -> bool: ...

    @property
    def groups(self) -> Iterable[Any]: ...

    @property
    def encoding(self) -> object: ...

    def encode(self, value: Any, messageID: str = "") -> Any:
        """
        Make a frame, which L{write} takes, of a value.  The value may be changed
        afterwards.

        @param messageID: What tells a message for many from others, for carriers that
            send that along.

        @raise ValueError: It cannot be sent.
        """

    def check(self, frame: Any) -> None:
        """
        @raise ValueError: What was encoded is too large for this carrier.
        """

    def size(self, frame: Any) -> int:
        """
        How many bytes of what was encoded.
        """

    def write(self, frame: Any) -> None:
        """
        Send what was encoded.
        """

    def missed(self, frame: Any) -> None:
        """
        What was encoded is to be sent now that something is stored, and the connection
        was lost or closed before.
        """

    def whose(self, session: Session) -> Any:
        """
        @return: A frame that tells the client whose session it has; L{None} if
            the client did not ask for that, or has been told.
        """

    def awaitCredential(self) -> None:
        """
        The client is to name its session in a message: let it send one.
        """

    def prepare(self, session: Session) -> Deferred[None] | None:
        """
        The client has its session, and nobody was told yet.

        @return: L{None}, or a L{Deferred} to wait for.  If it fails, the client does
            not get this session: with L{SecondSession
            <txsessionsock.interfaces.SecondSession>} or L{ConnectRefused
            <txsessionsock.interfaces.ConnectRefused>} that is what was to happen.
        """

    def close(self, code: int, reason: str) -> None:
        """
        Say why, and disconnect.
        """

    def cut(self, why: str) -> None:
        """
        Disconnect at once, without a word to the client.
        """

    def pause(self) -> None:
        """
        Receive nothing more for now.
        """

    def resume(self) -> None:
        """
        Receive again.
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
