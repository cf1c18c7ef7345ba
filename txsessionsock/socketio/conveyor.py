# -*- test-case-name: tests.socketio.test_connection -*-
"""
A connection, as its namespaces know it.
"""

from __future__ import annotations

from typing import Any, Protocol

from txsessionsock.interfaces import SessionID
from txsessionsock.protocol import Equipment

from .packets import Message, Parser


__all__ = ["Conveyor", "Frame"]

Frame = tuple[Message, ...]
"""
A packet as it is sent.
"""


class Conveyor(Protocol):
    """
    The connection of a namespace, which gives itself where a C{carrier} is wanted.

    @ivar parser: What makes messages of packets.

    @ivar peer: Where the client is.

    @ivar unsent: See L{Carrier<txsessionsock.clients.carrier.Carrier>}, as for the
        other properties and methods of that name.
    """

    equipment: Equipment
    parser: Parser
    peer: str

    @property
    def unsent(self) -> int: ...

    @property
    def mostUnsent(self) -> int: ...

    @property
    def isWritable(self) -> bool: ...

    def isSecond(self, sessionID: SessionID) -> bool:
        """
        Whether the client has another session in another namespace.
        """

    def awaitSession(self) -> None:
        """
        The client is to name its session.
        """

    def hasSession(self) -> None:
        """
        It has one.
        """

    def pause(self, carrier: Any) -> None:
        """
        Receive nothing for now: too much waits for one of the namespaces.
        """

    def resume(self, carrier: Any) -> None:
        """
        Receive again, if none of the others minds.
        """

    def send(self, messages: Frame) -> None:
        """
        Send what was encoded.
        """

    def refuse(self, carrier: Any, code: int, why: dict[str, Any]) -> None:
        """
        Do not let the client into a namespace.
        """

    def disconnect(self, carrier: Any, code: int) -> None:
        """
        Have the client leave a namespace, and not come back by itself.
        """

    def disconnectAll(self) -> None:
        """
        The same with all of them, and close the connection then.
        """

    def closeSoon(self, code: int, reason: str) -> None:
        """
        Close the connection, when what was sent in those namespaces that are to be
        closed, too, has gone out.  The client comes again by itself.
        """

    def cut(self, why: str) -> None:
        """
        Drop the connection at once.
        """
