# -*- test-case-name: tests.simulation.test_queue -*-
"""
Time and chance: one queue of events, one source of numbers, and the clocks that
go by them.  Nothing else in a simulation knows either.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, NoReturn

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


__all__ = ["BEGIN", "SECOND", "Event", "NodeClock", "Queue", "chanceFrom"]

SECOND: Final = 1_000_000
"""
Time is counted in microseconds, since sums of floats depend on their order.
"""

BEGIN: Final = 1_700_000_000 * SECOND


class _Due:
    """
    Something that is to happen.

    @ivar where: The clock of the node at which it happens; L{None} for elsewhere.

    @ivar number: That of its last place in the queue.
    """

    __slots__ = ("isOver", "number", "where")

    isOver: bool
    number: int
    where: NodeClock | None

    def call(self) -> object:
        """
        Have it happen.
        """


class Event(_Due):
    """
    Something that is to happen once.
    """

    __slots__ = ("call",)

    call: Callable[[], object]

    def __init__(self, call: Callable[[], object], where: NodeClock | None) -> None:
        self.call = call
        self.where = where
        self.isOver = False


class Queue:
    """
    What is to happen, in order.

    @ivar now: In microseconds since the epoch.

    @ivar happened: How many events there were.
    """

    def __init__(self, seed: object) -> None:
        self.now = BEGIN
        self.random = Random(f"{seed}")
        self.happened = 0
        self._events: list[tuple[int, int, int, _Due]] = []
        self._number = 0

    def at(
        self, time: int, call: Callable[[], object], where: NodeClock | None = None
    ) -> Event:
        """
        Have something happen at a time, behind what is to happen then already.
        """
        event = Event(call, where)
        self.put(time, event)
        return event

    def put(self, time: int, event: _Due) -> None:
        """
        Have something happen at a time, and not when it was to happen before.
        """
        if time < self.now:  # noqa: PLR1730  A thousand times in each history.
            time = self.now
        self._number = event.number = number = self._number + 1
        heappush(self._events, (time, time, number, event))

    def after(
        self, seconds: float, call: Callable[[], object], where: NodeClock | None = None
    ) -> Event:
        """
        Have something happen after some seconds.
        """
        return self.at(self.now + round(seconds * SECOND), call, where)

    def clear(self) -> None:
        """
        Let nothing happen any more.
        """
        self._events.clear()

    def run(self, seconds: float, most: int) -> bool:
        """
        Let so much time pass.

        @param most: How many events there may be.

        @return: Whether there were no more.
        """
        end, events = self.now + round(seconds * SECOND), self._events
        while events and events[0][0] <= end:
            time, due, number, event = heappop(events)
            self.now = time
            if event.isOver or event.number != number:
                continue
            where = event.where
            if where is not None:
                if where.isStopped:
                    continue
                if where.pausedUntil > time:
                    # Then in the order in which they were due, however often it is
                    # put off.
                    heappush(events, (where.pausedUntil, due, number, event))
                    continue
            self.happened += 1
            if self.happened > most:
                return False
            event.isOver = True
            event.call()
            if where is None:
                continue
            where.worked = 0
            if where.lag:
                # A slow machine does nothing else meanwhile.
                where.pause(self.random.random() * where.lag / SECOND)
        self.now = end
        return True


@implementer(IDelayedCall)
class _Call(_Due):
    """
    What a node does later, by its own clock.
    """

    __slots__ = ("args", "due", "func", "isCancelled", "kw")

    where: NodeClock

    def __init__(
        self, clock: NodeClock, due: int, func: Any, args: Any, kw: Any
    ) -> None:
        self.where = clock
        self.due = due
        self.func = func
        self.args = args
        self.kw = kw
        self.isOver = self.isCancelled = False

    def __repr__(self) -> str:
        return f"<{self.func!r} later>"

    def call(self) -> object:
        self.where.forget(self)
        return self.func(*self.args, **self.kw)

    def getTime(self) -> float:
        return self.due / SECOND

    def active(self) -> bool:
        return not self.isOver

    def cancel(self) -> None:
        if self.isOver:
            self._refuse()
        self.isCancelled = True
        self.where.forget(self)

    def delay(self, seconds: float) -> None:
        if self.isOver:
            self._refuse()
        self.due += _ticks(seconds)
        self.where.schedule(self)

    def reset(self, seconds: float) -> None:
        if self.isOver:
            self._refuse()
        self.due = self.where.ticks + _ticks(seconds)
        self.where.schedule(self)

    def _refuse(self) -> NoReturn:
        raise AlreadyCancelled if self.isCancelled else AlreadyCalled


def _ticks(seconds: float) -> int:
    # One more: whoever looks at the clock then sees that the time has passed.
    return int(seconds * SECOND) + 1 if seconds > 0 else 0


@implementer(IReactorTime)
class NodeClock:
    """
    The clock of a node, which may be wrong, and jump; and whether the node runs.

    @ivar pausedUntil: Until when it does nothing, by the world's time.

    @ivar isStopped: Whether it was killed.

    @ivar lag: How many microseconds it takes for one thing at most.

    @ivar worked: For how many it has been at work on what happens now.
    """

    def __init__(self, queue: Queue, offset: float = 0.0) -> None:
        """
        @param offset: By how many seconds it is ahead of the world's time.
        """
        self.queue = queue
        self._offset = round(offset * SECOND)
        self._calls: dict[_Call, None] = {}
        self.pausedUntil = 0
        self.isStopped = False
        self.lag = 0
        self.worked = 0

    @property
    def ticks(self) -> int:
        """
        What it shows, in microseconds.
        """
        return self.queue.now + self._offset + self.worked

    def seconds(self) -> float:
        return (self.queue.now + self._offset + self.worked) / SECOND

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: Any, **kw: Any
    ) -> _Call:
        queue = self.queue
        due = queue.now + self._offset + self.worked + _ticks(delay)
        call = _Call(self, due, callable, args, kw)
        self._calls[call] = None
        queue.put(due - self._offset, call)
        return call

    def getDelayedCalls(self) -> list[_Call]:
        return list(self._calls)

    def schedule(self, call: _Call) -> None:
        """
        Have it called when it is due.
        """
        self.queue.put(call.due - self._offset, call)

    def forget(self, call: _Call) -> None:
        """
        Call it not any more.
        """
        call.isOver = True
        self._calls.pop(call, None)

    def jump(self, seconds: float) -> None:
        """
        Show another time from now on, as after a correction.
        """
        self._offset += round(seconds * SECOND)
        for call in sorted(self._calls, key=lambda call: call.due):
            self.schedule(call)

    def pause(self, seconds: float) -> None:
        """
        Do nothing for some seconds, and then all at once.
        """
        end = self.queue.now + round(seconds * SECOND)
        self.pausedUntil = max(self.pausedUntil, end)

    def work(self, seconds: float) -> None:
        """
        Be at work for some seconds: who looks at the clock finds that they passed, and
        nothing else is done here until then.
        """
        self.worked += round(seconds * SECOND)
        self.pause(self.worked / SECOND)

    def stop(self) -> None:
        """
        Do nothing any more.
        """
        self.isStopped = True
        self._calls.clear()


@contextmanager
def chanceFrom(chance: Random) -> Iterator[None]:
    """
    Have all that this process leaves to chance come from one source: ids, jitter.
    """
    kind: Any = random.SystemRandom
    names = ("random", "getrandbits", "randbytes")
    before = {name: vars(kind)[name] for name in names if name in vars(kind)}
    kind.random = lambda _: chance.random()
    kind.getrandbits = lambda _, k: chance.getrandbits(k)
    kind.randbytes = lambda _, n: chance.randbytes(n)
    try:
        yield
    finally:
        for name in names:
            if name in before:
                setattr(kind, name, before[name])
            else:
                delattr(kind, name)
