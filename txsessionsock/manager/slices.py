# -*- test-case-name: tests.manager.test_slices -*-
"""
How long handlers hold the reactor at a stretch, and whose comes next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txsessionsock._collector import COLLECTIONS
from txsessionsock._fairness import FairQueue

from .tally import Times


__all__ = ["SLICE", "Slices"]

_T = TypeVar("_T")

_Key = tuple[object, bool]
"""
A session, and whether it waits as bulk: see L{FairQueue
<txsessionsock._fairness.FairQueue>}.
"""

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

    Of those who wait, the one that has had the least lately comes first.  So a client
    with one message comes before a client that sent hundreds, a session with a hundred
    sockets has no more than a session with one, and thousands that come or go at once
    have half of the time.

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
        self._servedNow: _Key | None = None
        # What waits, by session; bulk is apart.
        self._works: dict[_Key, deque[Callable[[], object]]] = {}
        self._queue = FairQueue[object]()
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

    def later(
        self, who: object, work: Callable[[], object], *, isBulk: bool = False
    ) -> None:
        """
        L{spend} time on something when there is time.

        @param who: The session on whose account that is.

        @param isBulk: Whether thousands may want that at once: it is for a client
            that comes or goes, or stores what was changed a while ago.
        """
        key = who, isBulk
        works = self._works.get(key)
        if works is not None:
            works.append(work)
            return
        self._works[key] = deque((work,))
        if key != self._servedNow:
            self._enqueue(key)
        self._callNext()

    def _enqueue(self, key: _Key) -> None:
        who, isBulk = key
        # Whoever had little lately comes before those who had their share, and before
        # those who come for the first time, of whom there may be hundreds at once.
        served, now = self._served.get(who), self._queue.now
        start = now if served is None else max(now - _QUANTUM, served)
        self._queue.add(who, start, isBulk=isBulk)

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
        start, who, isBulk = self._queue.take()
        key = who, isBulk
        works, before = self._works.pop(key), self._spent
        collected = COLLECTIONS.seconds
        self._servedNow = key
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
        took = max(0.0, self._spent - before - collected)
        self._served[who] = start + took
        self._queue.took(took, isBulk=isBulk)
        works.extend(self._works.pop(key, ()))
        if works:
            self._works[key] = works
            self._enqueue(key)
