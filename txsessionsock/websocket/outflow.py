# -*- test-case-name: tests.websocket.test_outflow -*-
"""
A bound on what waits for a client that does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txsessionsock._deferreds import Timer
from txsessionsock.limits import Limits


__all__ = ["Outflow"]

_log = Logger()

_SLICE = 64 * 1024
"""
How many bytes the transport is given at once: about what it has room for before
it says that it is full.
"""


@implementer(IPushProducer)
class Outflow:
    """
    All that goes out to a client, from the end of its handshake on.

    No transport says how much it still has.  So it is given no more once it has
    said that it is full, and what is sent meanwhile waits here, where it can be
    counted, and is freed at once if the client is dropped.  The transport has
    two slices at most, and what its layers keep of them.

    @ivar isHeld: Whether the transport has said that it is full.

    @ivar waiting: What waits.
    """

    def __init__(
        self,
        transport: Any,
        write: Callable[[bytes], object],
        reactor: IReactorTime,
        limits: Limits,
        most: int,
        *,
        drop: Callable[[str], object],
        turned: Callable[[], object],
    ) -> None:
        """
        @param write: Gives something to the transport.

        @param most: How many bytes may wait; when there would be more, the
            client is cut off.

        @param drop: Called with the reason when too much waits.

        @param turned: Called when L{isFull} has become something else.
        """
        self._transport = transport
        self._write = write
        self._limits = limits
        self._most = most
        self._drop = drop
        self._turned = turned
        self.isHeld = False
        self.waiting = bytearray()
        self._timeout = Timer(reactor)
        self._push: IPushProducer | None = None
        self._pull = _Pull(reactor)
        transport.registerProducer(self, True)

    def end(self, *, isAborted: bool) -> None:
        """
        Be the transport's producer no more.

        @param isAborted: Whether the client is not to have what waits.
        """
        self._timeout.stop()
        producer = self._push
        self.unregister()
        if producer is not None:
            # Nobody else will tell it: the transport has none from now on.
            try:
                producer.stopProducing()
            except Exception:
                _log.failure("a producer failed when it was stopped")
        if self.waiting and not isAborted:
            self._write(bytes(self.waiting))
        self.waiting.clear()
        self._transport.unregisterProducer()

    @property
    def isFull(self) -> bool:
        """
        Whether so much waits that the client is not to cause any more.
        """
        return len(self.waiting) > self._limits.unsentBytes

    def __len__(self) -> int:
        """
        How many bytes wait.
        """
        return len(self.waiting)

    # Another producer.

    def register(self, producer: Any, streaming: bool) -> None:
        """
        Let something else produce too.

        @raise RuntimeError: Something does already.
        """
        if self._push is not None:
            raise RuntimeError("there is a producer already")
        if streaming:
            self._push = producer
            if self.isHeld:
                producer.pauseProducing()
        else:
            self._push = self._pull
            self._pull.begin(producer, isPaused=self.isHeld)

    def unregister(self) -> None:
        """
        Let nothing else produce.
        """
        self._push = None
        self._pull.end()

    # What is sent.

    def write(self, data: bytes) -> None:
        """
        Send something, behind all that waits.
        """
        if self._push is self._pull:
            self._pull.produced()
        if not self.isHeld and len(data) <= _SLICE:
            self._write(data)
            return
        if len(self.waiting) + len(data) > self._most:
            self._drop("it was sent more than may wait for a client that does not read")
            return
        wasFull = self.isFull
        self.waiting += data
        self._flush(wasFull)

    def _flush(self, wasFull: bool) -> None:
        """
        Give the transport what it has room for.
        """
        waiting = self.waiting
        while waiting and not self.isHeld:
            piece = bytes(waiting[:_SLICE])
            del waiting[:_SLICE]
            # It may say that it is full, and something may be sent meanwhile.
            self._write(piece)
        if self.isFull == wasFull:
            return
        if wasFull:
            self._timeout.stop()
        else:
            self._timeout.start(
                self._limits.unsentTimeout,
                self._drop,
                "it has not read for too long what it was sent",
            )
        self._turned()

    def pauseProducing(self) -> None:
        self.isHeld = True
        if self._push is not None:
            self._push.pauseProducing()

    def resumeProducing(self) -> None:
        self.isHeld = False
        self._flush(self.isFull)
        if self._push is not None and not self.isHeld:
            self._push.resumeProducing()

    def stopProducing(self) -> None:
        self._timeout.stop()
        self.waiting.clear()
        producer, self._push = self._push, None
        if producer is not None:
            producer.stopProducing()


@implementer(IPushProducer)
class _Pull:
    """
    Makes a producer that is asked each time be one that is not.  It is asked
    again in the next turn of the reactor, if it produced anything.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._producer: Any = None
        self._next = Timer(reactor)
        self._isPaused = False

    def begin(self, producer: Any, *, isPaused: bool) -> None:
        self._producer = producer
        self._isPaused = isPaused
        if not isPaused:
            producer.resumeProducing()

    def end(self) -> None:
        self._next.stop()
        self._producer = None

    def produced(self) -> None:
        if not self._isPaused and not self._next.isRunning:
            self._next.start(0, self._producer.resumeProducing)

    def pauseProducing(self) -> None:
        self._isPaused = True
        self._next.stop()

    def resumeProducing(self) -> None:
        self._isPaused = False
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        producer = self._producer
        self.end()
        producer.stopProducing()
