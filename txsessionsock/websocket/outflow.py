# -*- test-case-name: tests.protocol.test_protocol -*-
"""
A bound on what waits for a client that does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

from txsessionsock._deferreds import Timer
from txsessionsock.limits import Limits


__all__ = ["Outflow"]


@implementer(IPushProducer)
class Outflow:
    """
    The producer of a client's transport, which is how the transport tells
    that its buffer is full; and a place for one more producer.
    """

    def __init__(
        self,
        transport: Any,
        reactor: IReactorTime,
        limits: Limits,
        drop: Callable[[], object],
    ) -> None:
        """
        @param drop: Called when the client had too much waiting for too long.
        """
        self._transport = transport
        self._limits = limits
        self._drop = drop
        self._isFull = False
        self._waiting = 0
        self._timeout = Timer(reactor)
        self._push: IPushProducer | None = None
        self._isPulling = False
        transport.registerProducer(self, True)

    def end(self) -> None:
        """
        Be the transport's producer no more.
        """
        self._push = None
        self._resumed()
        self._transport.unregisterProducer()

    # Another producer.

    def register(self, producer: Any, streaming: bool) -> None:
        """
        Let something else produce too.

        @raise RuntimeError: Something does already.
        """
        if self._push is not None or self._isPulling:
            raise RuntimeError("there is a producer already")
        if streaming:
            self._push = producer
            if self._isFull:
                producer.pauseProducing()
        else:
            # A pull producer is asked for more only when all is sent: no bound.
            self._resumed()
            self._isPulling = True
            self._transport.unregisterProducer()
            self._transport.registerProducer(producer, False)

    def unregister(self) -> None:
        """
        Let nothing else produce.
        """
        self._push = None
        if self._isPulling:
            self._isPulling = False
            self._transport.unregisterProducer()
            self._transport.registerProducer(self, True)

    # What is sent.

    def wrote(self, size: int) -> None:
        """
        Something was given to the transport.
        """
        if not self._isFull:
            return
        self._waiting += size
        if self._waiting > self._limits.unsentBytes and not self._timeout.isRunning:
            self._timeout.start(self._limits.unsentTimeout, self._drop)

    def _resumed(self) -> None:
        self._isFull = False
        self._waiting = 0
        self._timeout.stop()

    def pauseProducing(self) -> None:
        self._isFull = True
        if self._push is not None:
            self._push.pauseProducing()

    def resumeProducing(self) -> None:
        self._resumed()
        if self._push is not None:
            self._push.resumeProducing()

    def stopProducing(self) -> None:
        self._resumed()
        producer, self._push = self._push, None
        if producer is not None:
            producer.stopProducing()
