"""
A producer that is paused as long as an answer is held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer


__all__ = []


@implementer(IPushProducer)
class _Valve:
    """
    A page's producer.  It produces as long as the channel takes it and
    nothing is held.
    """

    def __init__(
        self,
        producer: Any,
        isStreaming: bool,
        reactor: IReactorTime,
        failed: Callable[[Failure], None],
    ) -> None:
        """
        @param isStreaming: Whether it produces until it is told not to,
            rather than only when asked.

        @param failed: Called when it raised instead.
        """
        self._producer = producer
        self._isStreaming = isStreaming
        self._reactor = reactor
        self._failed = failed
        self._closedBy: set[str] = set()
        self._pulling: IDelayedCall | None = None
        self._isOver = False

    def begin(self) -> None:
        """
        Ask for the first time, if it wants to be asked.
        """
        if not self._isStreaming:
            self._pullSoon()

    def turn(self, who: str, isClosed: bool) -> None:
        """
        Open or close, unless somebody else keeps it closed.
        """
        wasClosed = bool(self._closedBy)
        (self._closedBy.add if isClosed else self._closedBy.discard)(who)
        if self._isOver or wasClosed == bool(self._closedBy):
            return
        if not self._isStreaming:
            self._pullSoon()
        elif self._closedBy:
            self._producer.pauseProducing()
        else:
            self._producer.resumeProducing()

    def pauseProducing(self) -> None:
        self.turn("channel", True)

    def resumeProducing(self) -> None:
        self.turn("channel", False)

    def stopProducing(self) -> None:
        self.end()
        self._producer.stopProducing()

    def end(self) -> None:
        """
        It produces no more.
        """
        self._isOver = True
        if self._pulling is not None:
            self._pulling.cancel()
            self._pulling = None

    def _pullSoon(self) -> None:
        if self._pulling is None and not (self._closedBy or self._isOver):
            self._pulling = self._reactor.callLater(0, self._pull)

    def _pull(self) -> None:
        self._pulling = None
        if self._closedBy:
            return
        try:
            self._producer.resumeProducing()
        except Exception:
            self.end()
            self._failed(Failure())
        else:
            self._pullSoon()
