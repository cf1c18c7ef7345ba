# -*- test-case-name: tests.manager.test_rates -*-
"""
How many messages a session, or a user, may have handled a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from txsessionsock._deferreds import Timer
from txsessionsock.limits import Rate


__all__ = ["Bucket", "Payer", "Ration", "Rations"]

_NOTHING: Final = 1e-6
"""
So many seconds are none.  A clock that counts from 1970 knows no less.
"""

_MANY: Final = 1024
"""
How many rations there may be before those are looked for that nobody needs.
"""


class Bucket:
    """
    A token bucket: tokens come at a rate, and as many are kept as the burst is.
    Time is an argument.
    """

    __slots__ = ("_full",)

    def __init__(self) -> None:
        # When it is full again: that is all there is to know.
        self._full = 0.0

    def wait(self, rate: Rate, now: float) -> float:
        """
        In how many seconds there is a token; 0 if there is one.
        """
        # No more can be missing than it holds.  Somebody may have set the clock.
        self._full = min(self._full, now + rate.burst / rate.perSecond)
        seconds = self._full - now - (rate.burst - 1) / rate.perSecond
        return seconds if seconds > _NOTHING else 0.0

    def take(self, rate: Rate, now: float) -> None:
        """
        Take one out.
        """
        self._full = max(self._full, now) + 1 / rate.perSecond

    def isFull(self, now: float) -> bool:
        """
        Whether it is as good as a new one.
        """
        return self._full <= now


class Payer(Protocol):
    """
    Who waits for a token.
    """

    def paid(self) -> None:
        """
        A token was taken for it.
        """


class Ration:
    """
    The tokens of one session, or of one user, and who waits for them: whoever
    came first has the next one, and comes last then if it wants another.
    """

    __slots__ = ("_bucket", "_reactor", "_timer", "_waiting")

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._bucket = Bucket()
        self._timer = Timer(reactor)
        self._waiting: deque[tuple[Rate, Payer]] = deque()

    def take(self, rate: Rate) -> bool:
        """
        Take a token, if there is one for which nobody waits.
        """
        now = self._reactor.seconds()
        if self._waiting or self._bucket.wait(rate, now):
            return False
        self._bucket.take(rate, now)
        return True

    def wait(self, rate: Rate, payer: Payer) -> None:
        """
        Have a token taken when it is one's turn.
        """
        self._waiting.append((rate, payer))
        if len(self._waiting) == 1:
            self._next()

    def leave(self, payer: Payer) -> None:
        """
        Wait no more.
        """
        others = [each for each in self._waiting if each[1] is not payer]
        self._waiting = deque(others)
        if not others:
            self._timer.stop()

    @property
    def isIdle(self) -> bool:
        """
        Whether it can be forgotten.
        """
        return not self._waiting and self._bucket.isFull(self._reactor.seconds())

    def _next(self) -> None:
        if self._waiting:
            rate, _ = self._waiting[0]
            due = self._bucket.wait(rate, self._reactor.seconds())
            self._timer.start(due, self._due)

    def _due(self) -> None:
        try:
            self._pay()
        finally:
            # Also if somebody who is paid raises something: the others wait on.
            self._next()

    def _pay(self) -> None:
        # Whoever is paid may ask for more, or leave.
        for _ in range(len(self._waiting)):
            if not self._waiting:
                return
            (rate, payer), now = self._waiting[0], self._reactor.seconds()
            if self._bucket.wait(rate, now):
                return
            self._waiting.popleft()
            self._bucket.take(rate, now)
            payer.paid()


class Rations:
    """
    Those of all sessions and users of a manager.  A client that comes again
    finds what it left.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._rations: dict[Hashable, Ration] = {}
        self._most = _MANY

    def __len__(self) -> int:
        return len(self._rations)

    def of(self, name: Hashable) -> Ration:
        """
        That of a session or user.
        """
        ration = self._rations.get(name)
        if ration is None:
            self._forget()
            ration = self._rations[name] = Ration(self._reactor)
        return ration

    def moved(self, old: Hashable, new: Hashable) -> None:
        """
        Somebody has another name.
        """
        if old in self._rations:
            self._rations[new] = self._rations[old]

    def _forget(self) -> None:
        if len(self._rations) < self._most:
            return
        self._rations = {
            name: ration for name, ration in self._rations.items() if not ration.isIdle
        }
        # Seldom enough to cost nothing for each of them.
        self._most = max(_MANY, 2 * len(self._rations))
