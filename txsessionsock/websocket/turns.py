# -*- test-case-name: tests.websocket.test_frames_slices -*-
"""
Whose turn it is, where many have more to be handled than can be done at once.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime


__all__ = ["Turns"]

_TURN: Final = 0.01
"""
For how many seconds, at each turn of the reactor, what waits is handled: by all
connections together.
"""


class _Waiting(Protocol):
    def goOn(self) -> None: ...


class Turns:
    """
    Shares time out among the connections of a server whose frames wait.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._listed: set[_Waiting] = set()
        self._isCalled = False

    @property
    def areWanted(self) -> bool:
        """
        Whether somebody waits.
        """
        return bool(self._waiting)

    def add(self, waiting: _Waiting, reactor: IReactorTime) -> None:
        """
        Have one go on later, once, behind all others who wait.
        """
        if waiting in self._listed:
            return
        self._listed.add(waiting)
        self._waiting.append(waiting)
        if not self._isCalled:
            self._isCalled = True
            reactor.callLater(0, self._turn, reactor)

    def _turn(self, reactor: IReactorTime) -> None:
        self._isCalled = False
        until = reactor.seconds() + _TURN
        for _ in range(len(self._waiting)):
            waiting = self._waiting.popleft()
            self._listed.discard(waiting)
            waiting.goOn()
            if reactor.seconds() >= until:
                break
        if self._waiting and not self._isCalled:
            self._isCalled = True
            reactor.callLater(0, self._turn, reactor)
