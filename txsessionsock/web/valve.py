# -*- test-case-name: tests.web.test_web_producers -*-
"""
A producer that is paused as long as an answer is held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock._deferreds import Timer


__all__ = ["Valve"]


@implementer(IPushProducer)
class Valve:
    """
    Stands between a page's producer and the channel.  The producer produces as
    long as the channel takes it and the answer is not held.
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

        @param failed: Called with the failure, if it raised.
        """
        self._producer = producer
        self._isStreaming = isStreaming
        self._failed = failed
        self._closedBy: set[str] = set()
        self._pulling = Timer(reactor)
        self._isOver = False

    def start(self) -> None:
        """
        Ask for the first time, if it wants to be asked.
        """
        if not self._isStreaming:
            self._pullSoon()

    def turn(self, who: str, isClosed: bool) -> None:
        """
        Open or close it.  It is open when nobody keeps it closed.
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
        self._pulling.stop()

    def _pullSoon(self) -> None:
        if not (self._pulling.isRunning or self._closedBy or self._isOver):
            self._pulling.start(0, self._pull)

    def _pull(self) -> None:
        if self._closedBy:
            return
        try:
            self._producer.resumeProducing()
        except Exception:
            self.end()
            self._failed(Failure())
        else:
            self._pullSoon()
