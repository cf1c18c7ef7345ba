# -*- test-case-name: tests.hub.test_hub -*-
"""
Clients, wherever they are connected.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_urlsafe
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from txsessionsock._arguments import checked
from txsessionsock.closecodes import Code, refuseCode
from txsessionsock.messages import JSON, Event

from .commands import Close, Command, Count, Disconnect, Emit, Send, Tally
from .events import pack
from .members import Label, describe


__all__ = ["Group", "Many", "Reached", "Room"]

Reached = dict[str, int | None]
"""
How many clients were reached on each node; L{None} for a node that did not
answer in time.
"""

_json = JSON()

_ID_BYTES = 9


def newID() -> str:
    """
    What tells a message from all others.
    """
    return token_urlsafe(_ID_BYTES)


class Nodes(Protocol):
    """
    A hub, as its groups know it.
    """

    def tell(self, command: Command) -> Deferred[Reached]: ...

    def addTo(self, label: Label, face: object) -> bool: ...

    def removeFrom(self, label: Label, face: object) -> bool: ...


class Group:
    """
    Some clients, wherever they are connected.

    All it does fails as L{IBus.request} does: with
    L{StoreUnavailable<txsessionsock.interfaces.StoreUnavailable>} or
    L{BusFull<txsessionsock.interfaces.BusFull>} nothing was done, else it was
    done here, and perhaps elsewhere.
    """

    def __init__(self, hub: Nodes, label: Label) -> None:
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
        return self._hub.tell(Send(self._label, payload, newID()))

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


class Many:
    """
    The clients of a namespace of Socket.IO that are in any of some groups.

    All it does fails as that of a L{Group} does.
    """

    def __init__(
        self,
        hub: Nodes,
        labels: Sequence[Label],
        apart: Sequence[Label],
        namespace: str,
    ) -> None:
        """
        @param apart: Who is in any of these groups is none of them.
        """
        self._hub = hub
        self._whom = tuple(labels), tuple(apart), namespace

    def emit(self, event: Event, *, volatile: bool = False) -> Deferred[Reached]:
        """
        Send each of them an event.

        @param volatile: Whether those for whom something waits do not get it,
            and do not count.

        @return: A L{Deferred} of how many there were on each node.

        @raise ValueError: It cannot be sent.
        """
        payload = pack(event)
        return self._hub.tell(Emit(*self._whom, payload, volatile, newID()))

    @checked
    def disconnect(
        self, code: int = Code.NORMAL, reason: str = "closed by server"
    ) -> Deferred[Reached]:
        """
        Close them, when what was sent before has gone out.

        @return: A L{Deferred} of how many there were on each node.

        @raise ValueError: That code cannot be sent.
        """
        refuseCode(code)
        return self._hub.tell(Disconnect(*self._whom, int(code), reason))

    def count(self) -> Deferred[Reached]:
        """
        @return: A L{Deferred} of how many there are on each node.
        """
        return self._hub.tell(Tally(*self._whom))
