# -*- test-case-name: tests.clients.test_events -*-
"""
All clients of one server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any, Protocol, overload

from twisted.internet.defer import Deferred, succeed

from txsessionsock._arguments import checked
from txsessionsock.credentials import Cookie, Credential, inOrder
from txsessionsock.interfaces import IFramework
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.session import shortHash

from .carrier import Carrier
from .client import Client
from .life import Phase
from .listeners import _L, Application, Listener
from .shared import Shared
from .statistics import SocketStatistics


__all__ = ["Follower", "SessionSockets"]


class Follower(Protocol):
    """
    Is told of each client of a server that gets a session, and when it goes.
    """

    def opened(self, client: Client) -> None:
        """
        A client has its session.
        """

    def lost(self, client: Client) -> None:
        """
        A client that had its session is disconnected.
        """


@checked
class SessionSockets:
    """
    The clients of one server.

    @ivar shared: The things that they share.

    @ivar followers: Those that were given to L{follow}.
    """

    kind = "sockets"

    def __init__(
        self,
        manager: SessionManager,
        *,
        perMessage: bool = False,
        credentials: Sequence[Credential] | None = None,
        limits: Limits | None = None,
        shortMessages: bool = True,
    ) -> None:
        """
        @param credentials: Only L{Cookie}, unless given.  In whatever order they
            are, a cookie counts only if there is none of L{Bearer}, L{Ticket} and
            L{Auth}.

        @param limits: L{Limits} as they are, unless given.

        @param shortMessages: Handle messages that need not wait in fewer steps,
            which is faster and makes no other difference.
        """
        self.shared = Shared(
            manager,
            perMessage,
            (Cookie(),) if credentials is None else inOrder(credentials),
            Limits() if limits is None else limits,
            shortMessages=shortMessages,
        )
        for each in self.shared.credentials:
            serves = getattr(each, "serves", None)
            if serves is not None:
                serves(manager)
        self.followers: list[Follower] = []
        self._clients: dict[Client, None] = {}
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
    def manager(self) -> SessionManager:
        """
        Where their sessions come from.
        """
        return self.shared.manager

    @property
    def perMessage(self) -> bool:
        """
        Whether the session is fresh for each message and stored after it,
        rather than loaded once and stored at the end.
        """
        return self.shared.perMessage

    @property
    def limits(self) -> Limits:
        """
        What one client may take.
        """
        return self.shared.limits

    @property
    def framework(self) -> IFramework:
        """
        The framework whose sessions these are.
        """
        return self.shared.framework

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
        return self.shared.listeners.on(event, listener)

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """
        The same for the next event of that name only, whichever client's.
        """
        return self.shared.listeners.once(event, listener)

    def off(self, event: str, listener: Listener | None = None) -> None:
        """
        Have a function called no more; none of that event unless one is given.

        @raise ValueError: There is no such event.
        """
        self.shared.listeners.off(event, listener)

    def refuseRepeatable(self, protocol: object) -> None:
        """
        @param protocol: Makes the clients.

        @raise ValueError: Its handlers may run again, and here they cannot.

        @raise TypeError: It does not say whether they may.
        """
        repeatable = getattr(protocol, "repeatable", False)
        if repeatable is False:
            return
        if repeatable is not True:
            raise TypeError(f"repeatable is True or False, not {repeatable!r}")
        if self.framework.readOnly:
            raise ValueError(
                "handlers run again when somebody else has stored the session first;"
                " one that lives in the browser is stored nowhere: right is"
                " repeatable = False"
            )
        if not self.perMessage:
            raise ValueError(
                "handlers run again when somebody else has stored the session first,"
                " which per connection nobody asks before they have answered: right is"
                " perMessage=True, or repeatable = False"
            )

    def client(
        self, carrier: Carrier, application: Application, face: object
    ) -> Client:
        """
        Make a client of this server; see L{Client}.
        """
        return Client(self.shared, self, carrier, application, face)

    def follow(self, follower: Follower) -> None:
        """
        Tell somebody of the clients that have sessions: of those that there
        are now, and of each that comes or goes.
        """
        self.followers.append(follower)
        for client in self:
            if client.session is not None and client.isOpen:
                follower.opened(client)

    # What clients tell.

    def connected(self, client: Client) -> None:
        self._clients[client] = None
        if self._isGoingAway:
            client.goAway()

    def opened(self, client: Client) -> None:
        self.manager.tally.connects += 1
        if client.session is not None:
            short = shortHash(client.session.id)
            line = f"a socket has session {short}"
            self.manager.events.tell("connect", line, session=short)
        for follower in self.followers:
            follower.opened(client)

    def lost(self, client: Client) -> None:
        for follower in self.followers:
            follower.lost(client)

    def removed(self, client: Client) -> None:
        self._clients.pop(client, None)
        if not self._clients:
            waiting, self._allGone = self._allGone, []
            for deferred in waiting:
                deferred.callback(None)

    def statistics(self) -> SocketStatistics:
        """
        Count the clients, and what waits for them.
        """
        phases = dict.fromkeys(Phase, 0)
        messages = size = held = 0
        for client in self._clients:
            phases[client.life.phase] += 1
            more = client.waiting
            messages, size, held = messages + more[0], size + more[1], held + more[2]
        return SocketStatistics(MappingProxyType(phases), messages, size, held)

    def goAway(self) -> Deferred[None]:
        """
        Close all sockets, and those that still come, because the server ends.

        @return: A L{Deferred} that fires when all clients are gone and their
            sessions stored.
        """
        self._isGoingAway = True
        for client in list(self._clients):
            client.goAway()
        if not self._clients:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._allGone.append(gone)
        return gone

    def hurry(self) -> None:
        """
        Have no client begin a handler of what was received.
        """
        for client in list(self._clients):
            client.hurry()

    def awaited(self) -> Iterator[str]:
        """
        Which handlers have begun and not ended.
        """
        for client in self:
            awaited = client.awaited()
            if awaited is not None:
                yield awaited
