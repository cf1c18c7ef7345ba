# -*- test-case-name: tests.web.test_visits -*-
"""
Who visits a site: the connections that speak HTTP, and the pages that are being
made for them.  A server that ends waits for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakSet

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request

from txsessionsock.limits import Limits

from .requests import isHTTP2
from .site import BoundedSite


__all__ = ["IDLE", "UnderWay", "VisitedSite"]

IDLE = 1.5
"""
For how many seconds a connection without a request is kept when the server ends,
since a handshake may be on its way.
"""

_GOODBYE = 1.0
"""
For how many seconds a client may take to answer the good-bye of TLS then.
"""

_CONNECTIONS_INTERVAL = 0.1
_PAGES_INTERVAL = 0.02
"""
How many seconds lie between two looks at whether all are gone.
"""


class VisitedSite(BoundedSite):
    """
    A site that knows who is connected and has no socket yet.
    """

    kind = "requests"

    def __init__(
        self,
        resource: IResource,
        reactor: IReactorTime,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(resource, reactor=reactor, limits=limits)
        self._clock = reactor
        # A resource may hand a connection to another protocol, of which we are
        # not told.  So each transport is asked whose it is.
        self._transports: WeakSet[Any] = WeakSet()
        self._upgrading: set[WebSocketServerProtocol] = set()

    def __len__(self) -> int:
        """
        How many there are.
        """
        return len(self._visits()) + len(self._upgrading)

    def _visits(self) -> list[_HTTPVisit]:
        for transport in list(self._transports):
            self.look(transport)
        return [_owner(transport) for transport in self._transports]

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return _HTTPVisit(self, super().buildProtocol(addr))

    def arrived(self, transport: Any) -> None:
        """
        A client connected.
        """
        self._transports.add(transport)

    def lost(self, transport: Any) -> None:
        """
        A connection is closed, or another protocol has it.
        """
        self._transports.discard(transport)

    def look(self, transport: Any) -> None:
        """
        See whether another protocol took a connection over.
        """
        owner = _owner(transport)
        if not isinstance(owner, _HTTPVisit):
            self.lost(transport)
            if isinstance(owner, WebSocketServerProtocol):
                self._upgrade(owner)

    def _upgrade(self, protocol: WebSocketServerProtocol) -> None:
        """
        A connection became a WebSocket, which may take its time to answer the
        handshake.
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
        Wait until all connections are closed or have become sockets.  One with
        a request is closed when that is answered, one without after L{IDLE}
        seconds.
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
        return looking.start(_CONNECTIONS_INTERVAL).addCallback(lambda _: None)

    def hurry(self) -> None:
        """
        Do nothing: no page waits here.
        """

    def awaited(self) -> Iterable[str]:
        """
        Nothing: L{UnderWay} names the pages.
        """
        return ()


def _owner(transport: Any) -> Any:
    """
    @return: The protocol to which a connection belongs; L{None} if it is closed.
    """
    own = getattr(transport, "protocol", None)
    return getattr(transport, "wrappedProtocol", None) or own


class _HTTPVisit(Protocol):
    """
    A connection, as long as it speaks HTTP.
    """

    transport: Any

    def __init__(self, site: VisitedSite, channel: Any) -> None:
        self._site = site
        self._channel = channel
        self._leftAt: float | None = None

    def connectionMade(self) -> None:
        self._site.arrived(self.transport)
        self._channel.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._channel.dataReceived(data)
        self._site.look(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._site.lost(self.transport)
        self._channel.connectionLost(reason)

    def endIfIdle(self) -> None:
        """
        Disconnect, unless there is a request.
        """
        # There are no public names for this: HTTP/1.1 has requests, HTTP/2 has
        # streams.
        channel = self._channel._channel
        requests = getattr(channel, "requests", None) or getattr(channel, "streams", ())
        if requests:
            return
        now = self._site._clock.seconds()
        if self._leftAt is None:
            self._leftAt = now
            # Over TLS, a transport with a producer would not say good-bye.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        elif now - self._leftAt >= _GOODBYE:
            self.transport.abortConnection()


class UnderWay:
    """
    The pages with sessions of one manager that are being made, and the
    connections on which they were asked for.
    """

    kind = "pages"

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pages: dict[object, tuple[str, float]] = {}
        self._channels: WeakSet[Any] = WeakSet()

    def __len__(self) -> int:
        """
        How many there are.
        """
        return len(self._pages)

    def add(self, request: Request) -> Callable[[], None]:
        """
        Count a page.

        @return: A function to be called when its answer is written, or when
            nobody waits for it any more.  It does not keep the request alive.
        """
        key = object()
        # The query is left out: it may hold a secret.
        path = request.path.decode("ascii", "backslashreplace")
        method = request.method.decode("ascii", "backslashreplace")
        address = getattr(request.getClientAddress(), "host", "somebody")
        page = f"{method} {path}, for {address}"
        self._pages[key] = page, self._clock.seconds()
        # A connection of HTTP/2 has many streams, and is not ours to close.
        if not isHTTP2(request):
            self._channels.add(request.channel)

        def over() -> None:
            self._pages.pop(key, None)

        return over

    def goAway(self) -> Deferred[None]:
        """
        Let pages finish, and close their connections.

        @return: A L{Deferred} that fires when every answer has gone out.
        """

        def look() -> None:
            self._closeIdle()
            if not (self._pages or self._channels):
                looking.stop()

        looking = LoopingCall(look)
        looking.clock = self._clock
        return looking.start(_PAGES_INTERVAL).addCallback(lambda _: None)

    def hurry(self) -> None:
        """
        Do nothing: all of these have begun.
        """

    def awaited(self) -> Iterator[str]:
        """
        Name the pages that are still being made.
        """
        for page, began in self._pages.values():
            seconds = self._clock.seconds() - began
            yield f"the page of {page}, has been at work for {seconds:.1f} s"

    def _closeIdle(self) -> None:
        # An answer that was written may still be in our buffers.  It is out for
        # certain only when its connection is closed.
        for channel in list(self._channels):
            transport = channel.transport
            # It has no transport if a WebSocket took that over.
            if transport is None or getattr(transport, "disconnected", True):
                self._channels.discard(channel)
            elif not channel.requests:
                channel.loseConnection()
