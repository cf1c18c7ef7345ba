# -*- test-case-name: tests.simulation.test_wire -*-
"""
A connection between a browser and a node, which may be cut at any byte, and what a
node has of it: as much of C{websocket/line.py} and C{websocket/outflow.py} as matters
to what is carried.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from twisted.internet.interfaces import IDelayedCall

from txsessionsock.limits import Limits

from .history import History
from .queue import SECOND, Event, NodeClock


__all__ = ["ROOM", "Cut", "Line", "Wire"]

ROOM: Final = 60
"""
How many bytes a transport takes, and the kernels behind it, before it says that it is
full.  That of a real one is thousands; messages here are as small.
"""

Cut = Literal["told", "reset", "node late", "browser late"]
"""
How a connection is lost: both sides are told behind what arrives; the node forgets
what it had not read; one of both notices later.
"""

_ABNORMAL: Final = 1006
_FRAME_HEAD: Final = 10

_Unit = Callable[[], object]


class _Stream:
    """
    One direction: what is on its way, in order.
    """

    def __init__(self, clock: NodeClock, latency: float, where: NodeClock | None):
        self._queue = clock.queue
        self._latency = latency
        self._where = where
        self._units: deque[tuple[int, int, _Unit, Event]] = deque()
        self._last = 0
        self.size = 0
        self.arrived: Callable[[], object] | None = None

    def send(self, size: int, arrive: _Unit) -> None:
        queue = self._queue
        delay = round(queue.random.random() * self._latency * SECOND)
        self._last = max(self._last, queue.now + delay)
        self._add(self._last, size, arrive)

    def _add(self, at: int, size: int, arrive: _Unit) -> None:
        self.size += size
        event = self._queue.at(at, partial(self._arrive, size, arrive), self._where)
        self._units.append((at, size, arrive, event))

    def _arrive(self, size: int, arrive: _Unit) -> None:
        self._units.popleft()
        self.size -= size
        arrive()
        if self.arrived is not None:
            self.arrived()

    def hold(self, until: int) -> None:
        """
        Have nothing arrive before a time.
        """
        units, self._units, self.size = self._units, deque(), 0
        for at, size, arrive, event in units:
            event.isOver = True
            self._add(max(at, until), size, arrive)
        self._last = max(self._last, until)

    def cut(self) -> int:
        """
        Have only so many bytes arrive of what is on its way.

        @return: When the last of them does.
        """
        kept = self._queue.random.randint(0, self.size)
        units, self._units, last = self._units, deque(), self._queue.now
        for unit in units:
            kept -= unit[1]
            if kept < 0:
                unit[3].isOver = True
                self.size -= unit[1]
            else:
                self._units.append(unit)
                last = unit[0]
        return last


class Wire:
    """
    A connection between a browser and a node: one stream in each direction.

    @ivar isCut: Whether nothing more comes through.

    @ivar line: What the node has of it, once it has accepted.

    @ivar heard: Called with what the browser hears, and C{ended}, with a code.
    """

    def __init__(self, clock: NodeClock, name: str, latency: float) -> None:
        self._clock = clock
        self._queue = clock.queue
        self.name = name
        self.isCut = False
        self._up = _Stream(clock, latency, clock)
        self._down = _Stream(clock, latency, None)
        self.line: Line | None = None
        self.heard: Callable[..., object] = lambda *_, **__: None
        self.ended: Callable[[int], None] = lambda code: None

    def up(self, size: int, arrive: _Unit) -> None:
        """
        Send something to the node.
        """
        if not self.isCut:
            self._up.send(size, arrive)

    def down(self, size: int, arrive: _Unit) -> None:
        """
        Send something to the browser.
        """
        if self.isCut:
            # It waits for a browser that does not answer.
            self._down.size += size
        else:
            self._down.send(size, arrive)

    @property
    def unread(self) -> int:
        """
        How many bytes the browser has not read of what it was sent.
        """
        return self._down.size

    def drains(self, drained: Callable[[], object] | None) -> None:
        """
        Tell the node each time that the browser has read something.

        @param drained: L{None} to tell no more.
        """

        def arrived() -> None:
            self._queue.at(self._queue.now, drained or bool, self._clock)

        self._down.arrived = None if drained is None else arrived

    def stopReading(self, seconds: float) -> None:
        """
        Have the browser read nothing for some seconds.
        """
        if not self.isCut:
            self._down.hold(self._queue.now + round(seconds * SECOND))

    def cut(self, how: Cut = "told", seconds: float = 0.0) -> None:
        """
        Have no more come through than some of what is on its way: another part of
        it in each direction, which may end at any byte.

        @param seconds: How much later one side notices.
        """
        if self.isCut:
            return
        self.isCut = True
        late = round(seconds * SECOND)
        up, down = self._up.cut(), self._down.cut()
        if how == "node late":
            self._queue.at(up + late, self._noticed, self._clock)
        else:
            tell = self._reset if how == "reset" else self._told
            self._queue.at(up, tell, self._clock)
        down += late if how == "browser late" else 0
        self._queue.at(down, partial(self.ended, _ABNORMAL))

    def _told(self) -> None:
        if self.line is not None:
            self.line.came(partial(self.line.lost, _ABNORMAL))

    def _reset(self) -> None:
        if self.line is not None:
            self.line.lost(_ABNORMAL)

    def _noticed(self) -> None:
        if self.line is not None:
            self.line.noticed()


class Line:
    """
    A WebSocket, as a node has it.

    @ivar isPaused: See L{txsessionsock.websocket.line.Line}, as for C{isHeld},
        C{unsent}, C{mostUnsent} and C{isFilled}.

    @ivar isOpen: Whether no close frame was sent, and it is not lost.
    """

    mostFrames = 1

    def __init__(
        self, clock: NodeClock, wire: Wire, history: History, limits: Limits
    ) -> None:
        self.clock = clock
        self.wire = wire
        self._history = history
        self._limits = limits
        self.mostUnsent = (
            limits.unsentBytes + limits.messageSize + self.mostFrames * _FRAME_HEAD
        )
        self.isPaused = self.isHeld = self.isFilled = False
        self.unsent = 0
        self._waiting: deque[tuple[int, _Unit]] = deque()
        self._unread: deque[_Unit] = deque()
        self._isPumping = False
        self.isOpen = True
        self.isLost = False
        self._late: IDelayedCall | None = None
        wire.line = self

    # What goes out.

    @property
    def isFull(self) -> bool:
        """
        Whether so much waits that the browser is not to cause any more.
        """
        return self.unsent > self._limits.unsentBytes

    @property
    def isWritable(self) -> bool:
        return not (self.unsent or self.isFilled)

    def put(self, size: int, arrive: _Unit) -> None:
        """
        Send something, unless the close frame was sent.
        """
        if self.isOpen:
            self._put(size, arrive)

    def _put(self, size: int, arrive: _Unit) -> None:
        if not self.isFilled:
            self._give(size, arrive)
            return
        if self.unsent + size > self.mostUnsent:
            self.cut("it was sent more than may wait for a client that does not read")
            return
        wasFull = self.isFull
        self._waiting.append((size, arrive))
        self.unsent += size
        self._turn(wasFull)

    def _give(self, size: int, arrive: _Unit) -> None:
        self.wire.down(size, arrive)
        if self.wire.unread > ROOM:
            self.isFilled = True
            self.wire.drains(self._drained)

    def _drained(self) -> None:
        if self.isLost or self.wire.unread > ROOM // 2:
            return
        wasFull, self.isFilled = self.isFull, False
        self.wire.drains(None)
        while self._waiting and not self.isFilled:
            size, arrive = self._waiting.popleft()
            self.unsent -= size
            self._give(size, arrive)
        self._turn(wasFull)

    def _turn(self, wasFull: bool) -> None:
        if self.isFull == wasFull:
            return
        if self.isOpen:
            # Otherwise what runs is the time that the browser has to close.
            self._stopTimer()
            if not wasFull:
                why = "it has not read for too long what it was sent"
                seconds = self._limits.unsentTimeout
                self._late = self.clock.callLater(seconds, self.cut, why)
        self._hold()
        if wasFull:
            self.relieved()

    def _stopTimer(self) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()

    def relieved(self) -> None:
        """
        There is room again.
        """

    # What comes in.

    def pause(self) -> None:
        self.isPaused = True
        self._hold()

    def resume(self) -> None:
        self.isPaused = False
        self._hold()

    def _hold(self) -> None:
        self.isHeld = self.isPaused or (self.isFull and self.isOpen)
        if not self.isHeld and self._unread and not self._isPumping:
            self._isPumping = True
            self.clock.callLater(0, self._pump)

    def came(self, unit: _Unit) -> None:
        """
        Something came, or the end.
        """
        if self.isHeld or self._unread:
            self._unread.append(unit)
        elif not self.isLost:
            unit()

    def _pump(self) -> None:
        self._isPumping = False
        if self.isLost:
            self._unread.clear()
        elif self._unread and not self.isHeld:
            self._unread.popleft()()
            self._hold()

    # Its end.

    def close(self, code: int, reason: str) -> None:
        """
        Send a close frame, behind all that waits.
        """
        if not self.isOpen:
            return
        self.isOpen = False
        self._put(_FRAME_HEAD, partial(self.wire.ended, int(code)))
        if not self.isLost:
            self._stopTimer()
            timeout = self._limits.closeTimeout
            self._late = self.clock.callLater(timeout, self._abort, int(code))
        self._hold()

    def closeAnswered(self, code: int) -> None:
        """
        The browser answered our close frame, or sent one.
        """
        self.came(partial(self.lost, code))

    def cut(self, why: str) -> None:
        """
        Drop the connection, and all that waits.
        """
        if self.isLost:
            return
        self._history.note("cuts", self.wire.name, why=why)
        self._abort(_ABNORMAL)

    def _abort(self, code: int) -> None:
        self.isOpen = False
        self._waiting.clear()
        self.unsent = 0
        # Later, as a transport does: who calls this may be in the middle of something.
        self.clock.callLater(0, self.lost, code)
        self.wire.cut("reset")

    def noticed(self) -> None:
        """
        The browser has answered no ping.
        """
        if not self.isLost:
            self._abort(_ABNORMAL)

    def lost(self, code: int) -> None:
        """
        The connection is gone.
        """
        if self.isLost:
            return
        self.isLost, self.isOpen = True, False
        self._stopTimer()
        self.wire.drains(None)
        self._waiting.clear()
        self._unread.clear()
        self.unsent = 0
        self.gone(code)

    def gone(self, code: int) -> None:
        """
        Tell whom it carried.
        """
