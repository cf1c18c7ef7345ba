# -*- test-case-name: tests.test_web_ending -*-
"""
Pages that are under way: a server that ends waits until their answers are out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.server import Request

from .requests import isHTTP2


__all__ = ["UnderWay"]

_INTERVAL = 0.02


class UnderWay:
    """
    The requests that the pages of one resource are at work on, and the
    connections on which they came.
    """

    kind = "pages"

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._visits: dict[object, tuple[str, float]] = {}
        self._channels: WeakSet[Any] = WeakSet()

    def __len__(self) -> int:
        """
        How many there are.
        """
        return len(self._visits)

    def begin(self, request: Request) -> Callable[[], None]:
        """
        A page begins.

        @return: What says that its answer is written, or that nobody waits
            for it.  It does not keep the request alive.
        """
        visit = object()
        # Not what follows the path, which may be a secret.
        path = request.path.decode("ascii", "backslashreplace")
        method = request.method.decode("ascii", "backslashreplace")
        address = getattr(request.getClientAddress(), "host", "somebody")
        page = f"{method} {path}, for {address}"
        self._visits[visit] = page, self._clock.seconds()
        # The transport of HTTP/2 is of many streams, and theirs to close.
        if not isHTTP2(request):
            self._channels.add(request.channel)

        def over() -> None:
            self._visits.pop(visit, None)

        return over

    def goAway(self) -> Deferred[None]:
        """
        Have pages finish, and close their connections.

        @return: A L{Deferred} that fires when every answer has gone out.
        """

        def look() -> None:
            self._closeIdle()
            if not (self._visits or self._channels):
                looking.stop()

        looking = LoopingCall(look)
        looking.clock = self._clock
        return looking.start(_INTERVAL).addCallback(lambda _: None)

    def awaited(self) -> Iterator[str]:
        """
        Which pages have begun and not ended.
        """
        for page, began in self._visits.values():
            seconds = self._clock.seconds() - began
            yield f"the page of {page}, has been at work for {seconds:.1f} s"

    def _closeIdle(self) -> None:
        # An answer that was written may still be on its way to the client:
        # only when its connection is closed it is known to be out.
        for channel in list(self._channels):
            transport = channel.transport
            # A WebSocket took it over, or it is closed.
            if transport is None or getattr(transport, "disconnected", True):
                self._channels.discard(channel)
            elif not channel.requests:
                channel.loseConnection()
