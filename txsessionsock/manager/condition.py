# -*- test-case-name: tests.manager.test_tally -*-
"""
Whether a store answers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from txsessionsock._deferreds import isFired
from txsessionsock._events import Events
from txsessionsock.interfaces import StoreFailure, StoreRefusal

from .tally import Tally


__all__ = ["Condition"]

_ANEW: Final = 1.0
"""
For how many seconds an answer holds: clients may ask at will.
"""

_Ask = Callable[[], Deferred[object]]


class Condition:
    """
    What is known of how a store is: by each question, and by questions that are
    asked to find out.

    @ivar isAway: Whether the last question failed, whichever it was.
    """

    def __init__(self, clock: IReactorTime, events: Events, tally: Tally) -> None:
        self._clock = clock
        self._events = events
        self._tally = tally
        self.isAway = False
        # By the questions that are asked to find out: another one may fail because
        # of what is stored under its key.
        self._isThere = True
        self._asked = -inf
        self._asking: Deferred[None] | None = None

    def answered(self) -> None:
        """
        The store has answered a question.
        """
        if self.isAway:
            self.isAway = False
            self._events.tell("store-back", "the session store is back")

    def failed(self, failure: Failure) -> None:
        """
        It has not, or said no.
        """
        if not failure.check(StoreFailure) or failure.check(StoreRefusal):
            self.answered()
            return
        self._tally.storeFailures += 1
        if not self.isAway:
            self.isAway = True
            kind = type(failure.value).__name__
            self._events.tell(
                "store-failed",
                f"the session store failed: {kind}",
                level=LogLevel.warn,
                error=kind,
            )

    def find(self, ask: _Ask) -> Deferred[bool]:
        """
        Find out whether the store answers.

        @param ask: Asks it something; at most every second, however often this is
            called.

        @return: A L{Deferred} that fires with whether it does.  It does not wait
            for a store that is known to be away.
        """
        now = self._clock.seconds()
        isDue = not 0 <= now - self._asked < _ANEW
        if self._asking is None and isDue:
            self._asked = now
            asking = ask().addBoth(self._found)
            if not isFired(asking):
                self._asking = asking
        if self._asking is None or not self._isThere:
            return succeed(self._isThere)
        waiting: Deferred[bool] = Deferred()
        self._asking.addCallback(self._tell, waiting)
        return waiting

    def _found(self, result: object) -> None:
        self._asking = None
        self._isThere = not isinstance(result, Failure)

    def _tell(self, _: None, waiting: Deferred[bool]) -> None:
        if not waiting.called:
            waiting.callback(self._isThere)
