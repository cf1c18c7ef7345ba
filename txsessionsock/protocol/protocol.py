# -*- test-case-name: tests.protocol.test_protocol -*-
"""
WebSockets that carry web sessions.

Subclass L{SessionSocketProtocol} and give it to a L{SessionSocketFactory}::

    class Counter(SessionSocketProtocol):
        def sessionMessageReceived(self, message, session):
            session["count"] = session.get("count", 0) + 1
            self.send(session["count"])

L{enable} does the same for an Autobahn factory that you have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, overload

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

from txsessionsock._arguments import checked
from txsessionsock._kinds import Clock
from txsessionsock.clients import Listener, SessionSockets
from txsessionsock.credentials import Credential
from txsessionsock.forwarded import Proxies
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.messages import Messages
from txsessionsock.origins import Origins
from txsessionsock.session import Session

from .application import ApplicationMethods
from .equipment import Equipment
from .factory import SessionedFactory, equip
from .sessioned import Sessioned


__all__ = ["SessionSocketFactory", "SessionSocketProtocol", "enable"]

_L = TypeVar("_L", bound=Listener)


class SessionSocketProtocol(Sessioned, ApplicationMethods):
    """
    One WebSocket, with the session of the browser at its other end.

    Override the C{session...} methods; each may return a L{Deferred
    <twisted.internet.defer.Deferred>}, or be a coroutine, or a generator that
    yields such as with C{inlineCallbacks}, and is waited for before the next
    message is handled.  What Autobahn calls C{onOpen}, C{onMessage} and
    C{onClose} is called after C{sessionConnected}, C{sessionMessageReceived} and
    C{sessionDisconnected}, as part of the same handler.

    @cvar indexes: By what else than their sessions the L{Hub<txsessionsock.hub.Hub>}
        of C{twistd sessionsock} is to find them: for each name, what makes a
        value of a session; see C{Hub.index}.
    """

    indexes: ClassVar[Mapping[str, Callable[[Session], object]]] = {}


@checked
class SessionSocketFactory(WebSocketServerFactory):
    """
    Builds one L{SessionSocketProtocol} for each connection.

    @ivar protocol: Its class; one of Autobahn's gets sessions as by L{enable}.

    @ivar sockets: All its clients.
    """

    protocol: type[WebSocketServerProtocol] = SessionSocketProtocol

    def __init__(
        self,
        manager: SessionManager,
        *,
        perMessage: bool = False,
        origins: Iterable[str] = (),
        trustProxy: bool | Proxies = False,
        credentials: Sequence[Credential] | None = None,
        limits: Limits | None = None,
        shortFrames: bool = True,
        shortMessages: bool = True,
        url: str | None = None,
        reactor: Clock | None = None,
    ) -> None:
        """
        @param manager: Where sessions come from.

        @param perMessage: Make the session fresh for each message and store
            it after, instead of loading it once and storing it at the end.

        @param origins: Further web sites whose pages may connect, beside the
            one that they connect to, such as C{"https://example.com"}.

        @param trustProxy: Which proxies are believed: L{True} for one on this
            machine, or L{Proxies<txsessionsock.forwarded.Proxies>}.

        @param credentials: The ways to name a session; L{Cookie
            <txsessionsock.credentials.Cookie>} unless given.

        @param limits: What one client may take.

        @param shortFrames: Read ordinary frames without Autobahn, which is
            faster and makes no other difference.

        @param shortMessages: Handle messages that need not wait in fewer steps,
            which is faster and makes no other difference.

        @param url: The public address of this server, if it is known.

        @param reactor: The clock; the manager's unless given.

        @raise ValueError: One of C{origins} is no origin.
        """
        super().__init__(url, reactor=reactor or manager.reactor)
        self.sockets = SessionSockets(
            manager,
            perMessage=perMessage,
            credentials=credentials,
            limits=limits,
            shortMessages=shortMessages,
        )
        equip(
            self,
            Equipment(
                self.sockets, Origins(origins), trustProxy, shortFrames=shortFrames
            ),
        )

    @overload
    def on(self, event: str, listener: _L) -> _L: ...

    @overload
    def on(self, event: str) -> Callable[[_L], _L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """
        See L{SessionSockets.on}.
        """
        return self.sockets.on(event, listener)

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """
        See L{SessionSockets.once}.
        """
        return self.sockets.once(event, listener)

    def off(self, event: str, listener: Listener | None = None) -> None:
        """
        See L{SessionSockets.off}.
        """
        self.sockets.off(event, listener)


@checked
def enable(
    factory: WebSocketServerFactory,
    manager: SessionManager,
    perMessage: bool = False,
    *,
    origins: Iterable[str] = (),
    trustProxy: bool | Proxies = False,
    credentials: Sequence[Credential] | None = None,
    limits: Limits | None = None,
    messages: Messages | None = None,
    shortFrames: bool = True,
    shortMessages: bool = True,
) -> SessionSockets:
    """
    Give the clients of an Autobahn factory the sessions of their browsers.

    The C{onMessage} of its protocol becomes part of the handler of each
    message: C{smessage} comes before it, what it returns is waited for, and
    what it sends goes out when the session is stored.

    The C{protocol} may be set before or after.  Of the arguments, those that
    are not told here are those of L{SessionSocketFactory}.

    @param messages: What C{smessage} gets.  Unless given, what a
        L{SessionSocketProtocol} says; of others, L{Raw} if the protocol has
        an C{onMessage} of its own, L{JSON} otherwise.

    @return: What to listen to: C{sockets.on("smessage", f)}.

    @raise ValueError: The factory is enabled already, or has connections, or
        one of C{origins} is no origin, or handlers of its C{protocol} may run again,
        and cannot: see C{repeatable}.

    @raise TypeError: It is no such factory, or its C{protocol} cannot have a
        session.
    """
    if isinstance(factory, SessionedFactory):
        raise ValueError(f"{factory!r} has sessions already")
    sockets = SessionSockets(
        manager,
        perMessage=perMessage,
        credentials=credentials,
        limits=limits,
        shortMessages=shortMessages,
    )
    equip(
        factory,
        Equipment(sockets, Origins(origins), trustProxy, messages, shortFrames),
    )
    return sockets
