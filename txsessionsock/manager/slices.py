# -*- test-case-name: tests.manager.test_slices -*-
"""
How long handlers hold the reactor at a stretch, and whose comes next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txsessionsock._collector import COLLECTIONS

from .tally import Times


__all__ = ["SLICE", "Slices"]

_T = TypeVar("_T")

SLICE: Final = 0.01
"""
For how many seconds handlers are called before the reactor sees to all else: long
against the tens of microseconds that one turn of the reactor costs, and short
against what a person notices, even if several wait for one another.
"""

_QUANTUM: Final = 0.0002
"""
How much of that one session has before it is another one's turn: some messages, so
that hundreds who come at once do not wait long for one another.
"""


class Slices:
    """
    Counts the time that handlers take.  When a slice is over, those who have
    more to do wait for the next turn of the reactor.

    Of those who wait, the one that has had the least lately comes first (start-time
    fair queueing).  So a client with one message comes before a client that
    sent hundreds, and a session with a hundred sockets has no more than a
    session with one.

    @ivar isOver: Whether no handler is to be called before the next turn.

    @ivar isWorking: Whether time is being spent: then C{isOver} may be about to
        change, and L{hasTime} says.

    @ivar began: When the work began that is counted now.

    @ivar reactor: Which calls what is done later, and C{seconds}, its time.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime) -> None:
        self.isOver = self.isWorking = False
        # What a stretch took, for those who want to know.
        self._stretches: Times | None = None
        self._waits: Times | None = None
        self.reactor = reactor
        self.seconds = reactor.seconds
        self._spent = 0.0
        self._most = SLICE
        self.began = 0.0
        self._isServing = self._isCalled = False
        self._servedNow: object = None
        # What waits, by session.
        self._works: dict[object, deque[Callable[[], object]]] = {}
        # Whose turn it is: when it would begin were all served at once, each with
        # its share of the time, and a number that keeps the order of equals.
        self._queue: list[tuple[float, int, object]] = []
        self._numbers = count()
        self._now = 0.0
        # Up to when each had its share.
        self._served: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    def noteIn(self, stretches: Times, waits: Times) -> None:
        """
        Note what each stretch takes, and how long handlers wait.
        """
        self._stretches, self._waits = stretches, waits

    def waited(self, began: float) -> None:
        """
        A handler is done that waited for something.
        """
        if self._waits is not None:
            self._waits.note(self.seconds() - began)

    def spend(self, work: Callable[[], _T]) -> _T:
        """
        Call something, and count the time that it takes.
        """
        if self.isWorking:
            return work()  # This is counted already.
        self.isWorking = True
        self.began = began = self.seconds()
        try:
            return work()
        finally:
            self.isWorking = False
            self.worked(self.seconds() - began)

    def worked(self, seconds: float) -> None:
        """
        Count the time that something took.
        """
        self._spent += seconds
        if self._stretches is not None:
            self._stretches.note(seconds)
        if self._spent >= self._most:
            self._end()

    def hasTime(self) -> bool:
        """
        Whether another handler may be called now.
        """
        if self.isWorking and not self.isOver:
            elapsed = self.seconds() - self.began
            if self._spent + elapsed >= self._most:
                self._end()
        return not self.isOver

    def later(self, who: object, work: Callable[[], object]) -> None:
        """
        L{spend} time on something when there is time.

        @param who: The session on whose account that is.
        """
        works = self._works.get(who)
        if works is not None:
            works.append(work)
            return
        self._works[who] = deque((work,))
        if who is not self._servedNow:
            self._enqueue(who)
        self._callNext()

    def _enqueue(self, who: object) -> None:
        # Whoever had little lately comes before those who had their share, and before
        # those who come for the first time, of whom there may be hundreds at once.
        served = self._served.get(who)
        start = self._now if served is None else max(self._now - _QUANTUM, served)
        heappush(self._queue, (start, next(self._numbers), who))

    def _end(self) -> None:
        self.isOver = True
        self._callNext()

    def _callNext(self) -> None:
        if not self._isCalled and not self._isServing:
            self._isCalled = True
            self.reactor.callLater(0, self._next)

    def _next(self) -> None:
        self._spent = 0.0
        self._isServing, self._isCalled = True, False
        while self._queue and self._spent < SLICE:
            self._serve()
        self._most, self._isServing, self.isOver = SLICE, False, False
        if self._queue or self._spent >= SLICE:
            self._end()

    def _serve(self) -> None:
        start, _, who = heappop(self._queue)
        works, before = self._works.pop(who), self._spent
        collected = COLLECTIONS.seconds
        self._now, self._servedNow = max(self._now, start), who
        self.isOver, self._most = False, min(before + _QUANTUM, SLICE)
        work = works.popleft()
        try:
            self.spend(work)
        except BaseException:
            # The others are to be served all the same, whatever a handler raises: the
            # reactor goes on after a SystemExit, too.
            self._log.failure("a session socket failed")
        self._servedNow = None
        # What it took is known only now, and so is where this session stands in
        # the queue.
        collected = COLLECTIONS.seconds - collected
        self._served[who] = start + max(0.0, self._spent - before - collected)
        works.extend(self._works.pop(who, ()))
        if works:
            self._works[who] = works
            self._enqueue(who)
