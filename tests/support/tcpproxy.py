"""
A network that a test can break.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.support.servers import Conditions, reactor


__all__ = ["Proxy", "proxy"]


class Proxy(Conditions):
    """
    Stands before a server on 127.0.0.1, in the global reactor.

    @ivar port: Where it listens, also after L{refuse} and L{heal}; on
        C{interface}.

    @ivar accepted: How many connections there ever were.

    @ivar asked: How many pieces were handed over to the server.

    @ivar latency: For how many seconds whatever comes is kept, in each
        direction.
    """

    def __init__(self, target: int) -> None:
        super().__init__()
        self.target = target
        self.port = 0
        self.interface = "127.0.0.1"
        self.accepted = 0
        self.asked = 0
        self.latency = 0.0
        self.isHeld = False
        self._ends: list[_End] = []
        self._listening: IListeningPort | None = None

    @property
    def connections(self) -> int:
        """
        How many clients are connected.
        """
        return sum(end.isClient and end.isOpen for end in self._ends)

    def hasAccepted(self, wanted: int) -> bool:
        """
        Whether there ever were so many connections.
        """
        return self.accepted >= wanted

    @property
    def held(self) -> int:
        """
        How many pieces wait here.
        """
        return sum(len(end.waiting) for end in self._ends)

    async def listen(self) -> None:
        """
        Begin, or begin again on the same port.
        """
        endpoint = TCP4ServerEndpoint(reactor, self.port, interface=self.interface)
        self._listening = await endpoint.listen(_Ends(self, True))
        host: Any = self._listening.getHost()
        self.port = host.port

    async def refuse(self) -> None:
        """
        Refuse new connections.  Those that there are stay.
        """
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await maybeDeferred(listening.stopListening)

    async def cut(self) -> None:
        """
        Reset all connections, on both sides.
        """
        for end in self._ends:
            if end.isOpen:
                end.transport.abortConnection()
        await self.until(lambda: not any(end.isOpen for end in self._ends))

    def hold(self) -> None:
        """
        Let nothing pass any more and close nothing; new connections are made
        and stay silent too.
        """
        self.isHeld = True

    def release(self) -> None:
        """
        Let pass what was held, however late.
        """
        self.isHeld = False
        for end in self._ends:
            end.flush()

    def straggle(self) -> None:
        """
        Let pass what was held before L{heal}.
        """
        for end in self._ends:
            end.isSilent = False
            end.flush()

    def reset(self) -> None:
        """
        Reset the connections that were held before L{heal}.
        """
        for end in self._ends:
            if end.isSilent and end.isOpen:
                end.transport.abortConnection()

    @property
    def reached(self) -> int:
        """
        How many connections to the server are open.
        """
        return sum(not end.isClient and end.isOpen for end in self._ends)

    def delay(self, seconds: float) -> None:
        """
        Be slow from now on, in each direction.
        """
        self.latency = seconds

    async def heal(self) -> None:
        """
        Be a good network for new connections.  Those that were held stay
        silent for ever, as after a router that forgot about them.
        """
        if self.isHeld:
            self.isHeld = False
            for end in self._ends:
                end.isSilent = True
        self.latency = 0.0
        if self._listening is None:
            await self.listen()

    def joined(self, end: _End) -> None:
        """
        Keep an end, and if it is a client's, find the other.
        """

        def reached(other: Any) -> None:
            end.other, other.other = other, end
            end.flush()

        self._ends.append(end)
        self.happened()
        if not end.isClient:
            return
        self.accepted += 1
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.target)
        connecting: Deferred[Any] = endpoint.connect(_Ends(self, False))
        connecting.addCallbacks(reached, lambda _: end.transport.abortConnection())


class _End(Protocol):
    """
    One side of a connection: of what is read here, the other side is told.
    """

    transport: Any
    factory: Any

    def __init__(self) -> None:
        self.isOpen = self.isSilent = self.isClient = False
        self.other: _End | None = None
        self.waiting: deque[tuple[float, Callable[[_End], object]]] = deque()
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.isOpen = True
        self.isClient = self.factory.isClient
        self._proxy: Proxy = self.factory.proxy
        self._proxy.joined(self)

    def dataReceived(self, data: bytes) -> None:
        def write(other: _End) -> None:
            other.transport.write(data)
            if self.isClient:
                self._proxy.asked += 1
                self._proxy.happened()

        self._later(write)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.isOpen = False
        isLate = self._proxy.isHeld or self.isSilent
        # What was sent before is not to be lost by the way.
        if reason.check(ConnectionDone) or isLate:
            self._later(lambda other: other.transport.loseConnection())
        else:
            self._later(lambda other: other.transport.abortConnection())

    def _later(self, act: Callable[[_End], object]) -> None:
        self.waiting.append((reactor.seconds() + self._proxy.latency, act))
        self.flush()
        self._proxy.happened()

    def flush(self) -> None:
        """
        Hand over what may go.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self.other is None or self.isSilent or self._proxy.isHeld:
            return
        while self.waiting and self.other.isOpen:
            wait = self.waiting[0][0] - reactor.seconds()
            if wait > 0:
                self._timer = reactor.callLater(wait, self.flush)
                break
            self.waiting.popleft()[1](self.other)


class _Ends(Factory):
    noisy = False
    protocol = _End

    def __init__(self, proxy: Proxy, isClient: bool) -> None:
        self.proxy = proxy
        self.isClient = isClient


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """
    A L{Proxy} before the server on a port, until the end of the block.
    """
    between = Proxy(target)
    await between.listen()
    try:
        yield between
    finally:
        await between.refuse()
        between.isHeld = False
        await between.cut()
