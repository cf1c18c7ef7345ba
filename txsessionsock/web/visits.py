# -*- test-case-name: tests.test_visits -*-
"""
Connections that are no sockets yet, and perhaps never will be: a server that
ends waits for them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Site


__all__ = ["IDLE", "VisitedSite"]

IDLE = 1.5
"""
For how many seconds a connection that asks for nothing is kept when the server
ends: a handshake may be on its way.
"""

_INTERVAL = 0.1


class VisitedSite(Site):
    """
    A site that knows who is connected and has no socket yet.
    """

    kind = "requests"

    def __init__(self, resource: IResource, reactor: IReactorTime) -> None:
        super().__init__(resource, reactor=reactor)
        self._clock = reactor
        # Whoever takes a connection over may do so unseen, so what counts is
        # whose it is now.
        self._transports: WeakSet[Any] = WeakSet()
        self._upgrading: set[WebSocketServerProtocol] = set()

    def __len__(self) -> int:
        """
        How many there are.
        """
        return len(self._visits()) + len(self._upgrading)

    def _visits(self) -> list[_Visit]:
        for transport in list(self._transports):
            self.look(transport)
        return [_owner(transport) for transport in self._transports]

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return _Visit(self, super().buildProtocol(addr))

    def arrived(self, transport: Any) -> None:
        """
        Somebody connected.
        """
        self._transports.add(transport)

    def left(self, transport: Any) -> None:
        """
        And is gone.
        """
        self._transports.discard(transport)

    def look(self, transport: Any) -> None:
        """
        See whether somebody took a connection over.
        """
        owner = _owner(transport)
        if not isinstance(owner, _Visit):
            self.left(transport)
            if isinstance(owner, WebSocketServerProtocol):
                self._upgrade(owner)

    def _upgrade(self, protocol: WebSocketServerProtocol) -> None:
        """
        Somebody's handshake is with a socket, which may take its time.
        """
        if protocol.state != protocol.STATE_CONNECTING:
            return

        def done(result: object) -> object:
            self._upgrading.discard(protocol)
            return result

        self._upgrading.add(protocol)
        protocol.is_open.addBoth(done)
        protocol.is_closed.addBoth(done)

    def goAway(self) -> Deferred[None]:
        """
        Wait until all are served or have become sockets, and see that they go:
        at once when their request is answered, after L{IDLE} seconds when
        there is none.
        """
        began = self._clock.seconds()

        def look() -> None:
            if self._clock.seconds() - began >= IDLE:
                for visit in self._visits():
                    visit.endIfIdle()
            if not len(self):
                looking.stop()

        looking = LoopingCall(look)
        looking.clock = self._clock
        return looking.start(_INTERVAL).addCallback(lambda _: None)

    def awaited(self) -> Iterable[str]:
        """
        What these do is said by the resource with the sessions.
        """
        return ()


def _owner(transport: Any) -> Any:
    """
    The protocol that a connection belongs to.
    """
    # One that is lost has none.
    own = getattr(transport, "protocol", None)
    return getattr(transport, "wrappedProtocol", None) or own


class _Visit(Protocol):
    """
    A connection, as long as it speaks HTTP.
    """

    transport: Any

    def __init__(self, site: VisitedSite, channel: Any) -> None:
        self._site = site
        self._channel = channel

    def connectionMade(self) -> None:
        self._site.arrived(self.transport)
        self._channel.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._channel.dataReceived(data)
        self._site.look(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._site.left(self.transport)
        self._channel.connectionLost(reason)

    def endIfIdle(self) -> None:
        """
        Disconnect, unless a request has begun.
        """
        # Twisted's public names do not tell; requests are those of HTTP/1.1,
        # streams of HTTP/2.
        channel = self._channel._channel
        requests = getattr(channel, "requests", None) or getattr(channel, "streams", ())
        if not requests:
            self.transport.loseConnection()
