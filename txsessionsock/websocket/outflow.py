# -*- test-case-name: tests.websocket.test_outflow -*-
"""
A bound on what waits for a client that does not read.
"""

from __future__ import annotations

from typing import Any, Protocol

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


class _Line(Protocol):
    """
    The connection.
    """

    def sendAsAutobahn(self, data: bytes) -> None:
        """
        Give something to the transport, as Autobahn does.
        """

    def cut(self, why: str) -> object:
        """
        Too much waits.
        """

    def turned(self) -> object:
        """
        L{Outflow.isFull} has become something else.
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

    # Whoever has a thousand clients has a thousand of these, and most of them never
    # hold anything.
    __slots__ = (
        "_isShort",
        "_limits",
        "_line",
        "_most",
        "_pull",
        "_push",
        "_reactor",
        "_timeout",
        "_transport",
        "isHeld",
        "waiting",
    )

    def __init__(
        self,
        transport: Any,
        line: _Line,
        reactor: IReactorTime,
        limits: Limits,
        most: int,
        *,
        isShort: bool = True,
    ) -> None:
        """
        @param line: Lets go of this before it is itself let go of.

        @param most: How many bytes may wait; when there would be more, the
            client is cut off.

        @param isShort: Whether the transport is given what goes out by us, and not
            by Autobahn.
        """
        self._transport = transport
        self._isShort = isShort
        self._line = line
        self._reactor = reactor
        self._limits = limits
        self._most = most
        self.isHeld = False
        self.waiting: bytearray | None = None
        self._timeout: Timer | None = None
        self._push: IPushProducer | None = None
        self._pull: _Pull | None = None
        transport.registerProducer(self, True)

    def end(self, *, isAborted: bool) -> None:
        """
        Be the transport's producer no more.

        @param isAborted: Whether the client is not to have what waits.
        """
        self._stopTimeout()
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
        self._drop()
        self._transport.unregisterProducer()

    def _drop(self) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            # It may be being written.
            waiting.clear()

    def _stopTimeout(self) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            timeout.stop()

    @property
    def isFull(self) -> bool:
        """
        Whether so much waits that the client is not to cause any more.
        """
        waiting = self.waiting
        return waiting is not None and len(waiting) > self._limits.unsentBytes

    def __len__(self) -> int:
        """
        How many bytes wait.
        """
        return 0 if self.waiting is None else len(self.waiting)

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
            self._push = self._pull = _Pull(self._reactor)
            self._pull.begin(producer, isPaused=self.isHeld)

    def unregister(self) -> None:
        """
        Let nothing else produce.
        """
        self._push = None
        pull, self._pull = self._pull, None
        if pull is not None:
            pull.end()

    # What is sent.

    def write(self, data: bytes) -> None:
        """
        Send something, behind all that waits.
        """
        if self._pull is not None:
            self._pull.produced()
        if not self.isHeld and len(data) <= _SLICE:
            self._write(data)
            return
        if len(self) + len(data) > self._most:
            why = "it was sent more than may wait for a client that does not read"
            self._line.cut(why)
            return
        wasFull = self.isFull
        if self.waiting is None:
            self.waiting = bytearray()
        self.waiting += data
        self._flush(wasFull)

    def _write(self, data: bytes) -> None:
        if self._isShort:
            self._transport.write(data)
        else:
            self._line.sendAsAutobahn(data)

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
        if not waiting and self.waiting is waiting:
            self.waiting = None
        if self.isFull == wasFull:
            return
        if wasFull:
            self._stopTimeout()
        else:
            self._timeout = Timer(self._reactor)
            why = "it has not read for too long what it was sent"
            self._timeout.start(self._limits.unsentTimeout, self._line.cut, why)
        self._line.turned()

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
        self._stopTimeout()
        self._drop()
        producer, self._push, self._pull = self._push, None, None
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
