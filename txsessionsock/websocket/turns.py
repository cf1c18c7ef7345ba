# -*- test-case-name: tests.websocket.test_frames_slices -*-
"""
Whose turn it is, where many have more to be handled than can be done at once.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txsessionsock._collector import COLLECTIONS


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

_AHEAD: Final = 0.002
"""
By how many seconds whoever had little comes before those who had their share.
"""


class _Waiting(Protocol):
    """
    @ivar used: What the time that it had comes to, in the time of L{Turns}.
    """

    used: float

    def goOn(self) -> None: ...


class Turns:
    """
    Shares time out among the connections of a server.  Of those who wait, the one
    that has had the least goes on first (start-time fair queueing): one that sends
    little does not wait for hundreds that send without end.

    @ivar queue: Those who wait.
    """

    def __init__(self) -> None:
        self.queue: list[tuple[float, int, _Waiting]] = []
        self._numbers = count()
        self._listed: set[_Waiting] = set()
        self._isCalled = False
        self._now = 0.0
        self._spent = 0.0
        self._current: _Waiting | None = None
        self._isAgain = False

    @property
    def hasTime(self) -> bool:
        """
        Whether anything may be handled at once.
        """
        return self._spent < _AT_ONCE

    def spent(self, waiting: _Waiting, seconds: float, reactor: IReactorTime) -> None:
        """
        Something was handled at once.

        @param seconds: How long it took.
        """
        least = self._now - _AHEAD
        waiting.used = (waiting.used if waiting.used > least else least) + seconds
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
        # Of those who come for the first time, there may be hundreds at once.
        isNew = not waiting.used
        start = self._now if isNew else max(self._now - _AHEAD, waiting.used)
        heappush(self.queue, (start, next(self._numbers), waiting))

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
            start, _, waiting = heappop(self.queue)
            self._listed.discard(waiting)
            self._now, began = max(self._now, start), now
            self._current, self._isAgain = waiting, False
            collected = COLLECTIONS.seconds
            try:
                waiting.goOn()
            except Exception:
                # The others still have their turn.
                _log.failure("a connection failed in its turn")
            self._current, now = None, reactor.seconds()
            collected = COLLECTIONS.seconds - collected
            waiting.used = start + max(0.0, now - began - collected)
            if self._isAgain:
                self._enqueue(waiting)
            if now >= until:
                break
        if self.queue:
            self._call(reactor)
