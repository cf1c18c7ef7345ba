# -*- test-case-name: tests.websocket.test_frames_slices -*-
"""
Whose turn it is, where many have more to be handled than can be done at once.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txsessionsock._collector import COLLECTIONS
from txsessionsock._fairness import FairQueue


__all__ = ["Turns"]

_log = Logger()

_TURN: Final = 0.005
"""
For how many seconds, in each turn of the reactor, those are handled that had to
wait, all connections together.
"""

_AT_ONCE: Final = 0.02
"""
For how many seconds connections are handled as their bytes are read, before others
have to wait.
"""

_COMING: Final = 0.005
"""
The same for those who come or go.
"""

_AHEAD: Final = 0.002
"""
By how many seconds whoever had little comes before those who had their share.
"""


class _Waiting(Protocol):
    """
    @ivar used: What the time that it had comes to, in the time of L{Turns}.

    @ivar isBulk: Whether it comes or goes: see L{FairQueue
        <txsessionsock._fairness.FairQueue>}.
    """

    used: float

    @property
    def isBulk(self) -> bool: ...

    def goOn(self) -> None: ...


class Turns:
    """
    Shares time out among the connections of a server.  Of those who wait, the one
    that has had the least goes on first: one that sends little does not wait for
    hundreds that send without end, nor for thousands that come.

    @ivar queue: Those who wait.
    """

    def __init__(self) -> None:
        self.queue = FairQueue[_Waiting]()
        self._listed: set[_Waiting] = set()
        self._isCalled = False
        self._spent = 0.0
        self._current: _Waiting | None = None
        self._isAgain = False

    def hasTimeFor(self, waiting: _Waiting) -> bool:
        """
        Whether something of one connection may be handled at once.
        """
        return self._spent < (_COMING if waiting.isBulk else _AT_ONCE)

    def offer(self, waiting: _Waiting, reactor: IReactorTime) -> None:
        """
        Have one that comes go on: at once, if there is time and nobody came before.
        """
        if self.queue.hasBulk or not self.hasTimeFor(waiting):
            self.add(waiting, reactor)
            return
        began, collected = reactor.seconds(), COLLECTIONS.seconds
        waiting.goOn()
        elapsed = reactor.seconds() - began - COLLECTIONS.seconds + collected
        self.spent(waiting, max(0.0, elapsed), reactor)

    def spent(self, waiting: _Waiting, seconds: float, reactor: IReactorTime) -> None:
        """
        Something was handled at once.

        @param seconds: How long it took.
        """
        queue = self.queue
        least = queue.now - _AHEAD
        waiting.used = used = (
            waiting.used if waiting.used > least else least
        ) + seconds
        if used > queue.now and not queue:
            # Nobody waits who could have had that time: it is not held against it.
            queue.now = used
        # It is reset only in a turn of ours, so it may add up over several of the
        # reactor; then one connection waits once although there is time.
        self._spent += seconds
        if self._spent >= _AT_ONCE:
            self._call(reactor)

    def add(self, waiting: _Waiting, reactor: IReactorTime) -> None:
        """
        Have one go on later, once.
        """
        if waiting is self._current:
            # What it takes now is known only when it is done.
            self._isAgain = True
        elif waiting not in self._listed:
            self._enqueue(waiting)
            self._call(reactor)

    def _enqueue(self, waiting: _Waiting) -> None:
        self._listed.add(waiting)
        now = self.queue.now
        # Of those who come for the first time, there may be hundreds at once.
        isNew = not waiting.used
        start = now if isNew else max(now - _AHEAD, waiting.used)
        self.queue.add(waiting, start, isBulk=waiting.isBulk)

    def _call(self, reactor: IReactorTime) -> None:
        if not self._isCalled:
            self._isCalled = True
            reactor.callLater(0, self._turn, reactor)

    def _turn(self, reactor: IReactorTime) -> None:
        self._isCalled = False
        self._spent = 0.0
        now = reactor.seconds()
        until = now + _TURN
        for _ in range(len(self.queue)):
            now = self._goOn(now, reactor)
            if now >= until:
                break
        if self.queue:
            self._call(reactor)

    def _goOn(self, began: float, reactor: IReactorTime) -> float:
        """
        Have the next one go on.

        @return: What time it is then.
        """
        start, waiting, isBulk = self.queue.take()
        self._listed.discard(waiting)
        self._current, self._isAgain = waiting, False
        collected = COLLECTIONS.seconds
        try:
            waiting.goOn()
        except Exception:
            # The others still have their turn.
            _log.failure("a connection failed in its turn")
        self._current, now = None, reactor.seconds()
        collected = COLLECTIONS.seconds - collected
        took = max(0.0, now - began - collected)
        waiting.used = start + took
        self.queue.took(took, isBulk=isBulk)
        if self._isAgain:
            self._enqueue(waiting)
        return now
