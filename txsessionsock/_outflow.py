# -*- test-case-name: tests.test_protocol -*-
"""
A bound on what waits for a client that does not read.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    IReactorTime,
)
from zope.interface import implementer

from .sockets import Limits


__all__ = ["Outflow"]


@implementer(IPushProducer)
class Outflow:
    """
    The producer of a client's transport, which is how the transport tells
    that its buffer is full.

    @ivar producer: What else produces for that transport.
    """

    producer: IPushProducer | None = None

    def __init__(
        self, reactor: IReactorTime, limits: Limits, drop: Callable[[], object]
    ) -> None:
        """
        @param drop: Called when the client had too much waiting for too long.
        """
        self._reactor = reactor
        self._limits = limits
        self._drop = drop
        self._isFull = False
        self._waiting = 0
        self._timeout: IDelayedCall | None = None

    def wrote(self, size: int) -> None:
        """
        Something was given to the transport.
        """
        if not self._isFull:
            return
        self._waiting += size
        if self._timeout is None and self._waiting > self._limits.unsentBytes:
            self._timeout = self._reactor.callLater(
                self._limits.unsentTimeout, self._dropNow
            )

    def _dropNow(self) -> None:
        self._timeout = None
        self._drop()

    def pauseProducing(self) -> None:
        self._isFull = True
        if self.producer is not None:
            self.producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._isFull = False
        self._waiting = 0
        self._cancel()
        if self.producer is not None:
            self.producer.resumeProducing()

    def stopProducing(self) -> None:
        self._cancel()
        if self.producer is not None:
            self.producer.stopProducing()

    def _cancel(self) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None and timeout.active():
            timeout.cancel()
