# -*- test-case-name: tests.test_sockets -*-
"""
All clients of one server: what they have in common, and what they need from
what carries them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from twisted.internet.defer import Deferred, succeed

from txsessionsock._arguments import checked
from txsessionsock.closecodes import Code
from txsessionsock.credentials import Cookie, Credential
from txsessionsock.interfaces import IFramework, SessionError
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager

from .listeners import Listener, Listeners


if TYPE_CHECKING:
    from txsessionsock.hub import Hub

    from .client import Client

__all__ = ["SessionSockets"]

_L = TypeVar("_L", bound=Listener)


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
