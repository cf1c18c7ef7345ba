# -*- test-case-name: tests.socketio.test_lobby -*-
"""
The connections that are in no namespace, or have not named their session there.
"""

from __future__ import annotations

from typing import Final, Protocol

from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits


__all__ = ["Lobby", "sizeOf"]

_CONNECTION: Final = 6 * 1024
_HEADER: Final = 256
"""
About how many bytes a connection takes, and a header beside its value.
"""


class Waiting(Protocol):
    """
    A connection that is in no namespace.
    """

    def cut(self, why: str) -> None:
        """
        Drop the connection at once.
        """


def sizeOf(request: Handshake) -> int:
    """
    About how many bytes a connection takes, with the request that began it.
    """
    values = [value for each in request.headers.values() for value in each]
    return _CONNECTION + _HEADER * len(values) + sum(map(len, values))


class Lobby:
    """
    Bounds what connections take that are in no namespace, or were let into one to
    name their session, and have not.  By polling, none of them
    needs a connection of TCP: with few of those, a client could begin thousands a
    second, and each may stay for C{Limits.handshakeTimeout}.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.lobbyBytes
        # In the order in which they came.
        self._waiting: dict[Waiting, int] = {}
        self._size = 0

    def __len__(self) -> int:
        """
        How many there are.
        """
        return len(self._waiting)

    def enter(self, connection: Waiting, size: int) -> None:
        """
        A connection is in no namespace.  If there are too many then, those are
        dropped that have been for longest: clients that mean it connect at once.
        """
        self.leave(connection)
        self._waiting[connection] = size
        self._size += size
        while self._size > self._most and len(self._waiting) > 1:
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.cut(
                "too many clients of Socket.IO have named no namespace, or no session"
                " (Limits.lobbyBytes)"
            )

    def leave(self, connection: Waiting) -> None:
        """
        It is in a namespace, or gone.
        """
        self._size -= self._waiting.pop(connection, 0)
