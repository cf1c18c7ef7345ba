# -*- test-case-name: tests.clients.test_client_life -*-
"""
Where a client is in its life.
"""

from __future__ import annotations

from enum import IntEnum


__all__ = ["Life", "Phase"]


class Phase(IntEnum):
    """
    A part of a client's life.  It only ever goes on to a later one, but that
    L{ASKING} ends in L{WAITING} if no session was named, and L{OPENING} in L{ASKING}
    if the cookie's is gone and another may be named.
    """

    CONNECTING = 0
    """Its handshake is not done."""

    WAITING = 1
    """It is connected, and has to name its session in a message."""

    ASKING = 2
    """The credentials are asked which session it has named."""

    OPENING = 3
    """Its session is being opened."""

    REFUSED = 4
    """It has no session, and is told so before it is disconnected."""

    OPEN = 5
    """It has its session."""

    CLOSING = 6
    """It is to be disconnected: nothing more is sent, and nothing received.  What
    was sent before goes out when it is stored."""

    CLOSED = 7
    """Our close frame was sent.  The connection is still there."""

    LEAVING = 8
    """It is disconnected; what it sent before is handled."""

    OVER = 9
    """No handler is called any more; its session is stored for the last time."""


_P = Phase

_NEXT: dict[Phase, frozenset[Phase]] = {
    _P.CONNECTING: frozenset({_P.WAITING, _P.CLOSING, _P.LEAVING}),
    _P.WAITING: frozenset({_P.ASKING, _P.REFUSED, _P.CLOSING, _P.LEAVING}),
    _P.ASKING: frozenset({_P.WAITING, _P.OPENING, _P.REFUSED, _P.CLOSING, _P.LEAVING}),
    _P.OPENING: frozenset({_P.ASKING, _P.REFUSED, _P.OPEN, _P.CLOSING, _P.LEAVING}),
    _P.REFUSED: frozenset({_P.CLOSING, _P.LEAVING}),
    _P.OPEN: frozenset({_P.CLOSING, _P.LEAVING}),
    _P.CLOSING: frozenset({_P.CLOSED, _P.LEAVING}),
    _P.CLOSED: frozenset({_P.LEAVING}),
    _P.LEAVING: frozenset({_P.OVER}),
    _P.OVER: frozenset(),
}
"""
Which phase may follow which.
"""


class Life:
    """
    The one place that knows in which phase a client is.

    @ivar phase: That phase.

    @ivar isOpen: Whether what is sent now may still arrive: until it is
        L{CLOSING<Phase.CLOSING>}.

    @ivar listens: Whether messages of the client are still taken: not if it is
        L{REFUSED<Phase.REFUSED>}, either.

    @ivar wasClosed: Whether it has been L{CLOSED<Phase.CLOSED>}: whether the
        connection was closed by us rather than by the client.
    """

    __slots__ = ("isOpen", "listens", "phase", "wasClosed")

    def __init__(self) -> None:
        self.phase = Phase.CONNECTING
        self.isOpen = True
        self.listens = True
        self.wasClosed = False

    def goOn(self, phase: Phase) -> None:
        """
        Enter the next phase.

        @raise RuntimeError: It cannot follow the one that this client is in.
        """
        if phase not in _NEXT[self.phase]:
            raise RuntimeError(
                f"a client that is {self.phase.name} cannot become {phase.name}"
            )
        self.phase = phase
        # Kept, since they are asked for several times at each message.
        self.isOpen = phase < Phase.CLOSING
        self.listens = self.isOpen and phase is not Phase.REFUSED
        self.wasClosed = self.wasClosed or phase is Phase.CLOSED

    @property
    def isConnected(self) -> bool:
        """
        Whether the connection is still there.
        """
        return self.phase < Phase.LEAVING
