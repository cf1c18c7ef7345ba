# -*- test-case-name: tests.package.test_deferreds -*-
"""
What everybody who waits for something needs: a timer, how long to wait after a
failure, and what Deferreds are asked and told at several places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from ._waiting import waitable


__all__ = ["Timer", "backOff", "inOrder", "isFired", "nothing", "unfinished"]

# A child process that was forked shares the state of any other generator.
_uniform = SystemRandom().uniform


class Timer:
    """
    Calls a function later.  It can be started and stopped at any time, and as
    often as one likes.
    """

    __slots__ = ("_call", "_reactor", "_then")

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._call: IDelayedCall | None = None
        self._then: tuple[Callable[..., object], tuple[object, ...]] | None = None

    def __repr__(self) -> str:
        if self._then is None:
            return "<Timer: not running>"
        function, _ = self._then
        return f"<Timer: {getattr(function, '__qualname__', function)}>"

    @property
    def isRunning(self) -> bool:
        """
        Whether the function is still to be called.  While it runs, it has been
        called.
        """
        return self._call is not None

    @property
    def due(self) -> float:
        """
        When the function is to be called, as the reactor counts seconds;
        C{inf}, if it is not to be called.
        """
        return inf if self._call is None else self._call.getTime()

    def start(
        self, seconds: float, function: Callable[..., object], *arguments: object
    ) -> None:
        """
        Call a function after so many seconds, or at once if they are fewer
        than none.  What was to be called until now is not called any more.
        """
        seconds = max(0.0, seconds)
        self._then = function, arguments
        call = self._call
        if call is not None:
            if self._reactor.seconds() + seconds >= call.getTime():
                # The cheap way, which a reactor has for a later time only.
                call.reset(seconds)
                return
            call.cancel()
        self._call = self._reactor.callLater(seconds, self)

    def stop(self) -> None:
        """
        Call nothing.
        """
        call, self._call, self._then = self._call, None, None
        if call is not None:
            call.cancel()

    def __call__(self) -> None:
        """
        The time is up; for the reactor, whose list of calls shows what it calls:
        this, and by that the function.
        """
        then, self._call, self._then = self._then, None, None
        assert then is not None
        function, arguments = then
        function(*arguments)


def backOff(first: float, most: float, tries: int, jitter: float = 0.0) -> float:
    """
    How long to wait before something that failed is tried again: twice as long
    each time, up to a limit.

    @param first: The seconds to wait at first.

    @param most: The seconds to wait in the long run.

    @param tries: How often one has waited already.

    @param jitter: The share of that time which chance may take off, from 0 for
        nothing to 1 for all of it: so that those who disturb one another, or
        who failed at the same time, do not come back together.
    """
    # Two to the power of a large number is more than a float can hold.
    seconds = min(most, first * 2.0 ** min(tries, 64))
    return seconds * _uniform(1.0 - jitter, 1.0) if jitter else seconds


def inOrder(calls: Iterable[Callable[[], object]]) -> Deferred[None] | None:
    """
    Call functions, each when the one before is done.

    @param calls: Ordinary functions, functions that return a L{Deferred}, and
        coroutine functions and generators.

    @return: L{None} if all were done at once.  Otherwise a L{Deferred} that
        fails with what one of them failed with; then the rest is not called.

    @raise TypeError: One returned what cannot be waited for.
    """
    remaining = iter(calls)
    for call in remaining:
        running = unfinished(call())
        if running is not None:
            return running.addCallback(lambda _: inOrder(remaining))
    return None


def unfinished(result: object) -> Deferred[Any] | None:
    """
    What of a function's result is still to be waited for.

    @param result: What it returned.

    @return: L{None} if it is done, and did not fail.

    @raise TypeError: It cannot be waited for.
    """
    result = waitable(result)
    if not isinstance(result, Deferred):
        return None
    if result.called and not result.paused:
        outcome = result.result
        if not isinstance(outcome, (Deferred, Failure)):
            return None
    return result


def isFired(deferred: Deferred[Any]) -> bool:
    """
    Whether a L{Deferred} has its result, and does not wait for another one.
    """
    return bool(deferred.called) and not deferred.paused


def nothing(*_: Any, **more: Any) -> Any:
    """
    Take the place of a method that nobody is to call any more, so that whoever
    was given it does not keep its object.
    """
