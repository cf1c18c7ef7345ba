# -*- test-case-name: tests.test_events -*-
"""
Who listens to which event, and calling them one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ._waiting import waitable


__all__ = ["METHODS", "Listener", "Listeners", "inOrder"]

METHODS = {
    "sconnection": "sessionConnected",
    "smessage": "sessionMessageReceived",
    "sinvalid": "sessionInvalid",
    "schanged": "sessionChanged",
    "sdestroyed": "sessionDestroyed",
    "serror": "sessionError",
    "disconnect": "sessionDisconnected",
}
"""
What can be listened to, and the method that is called after the listeners.
"""

Listener = Callable[..., object]

_L = TypeVar("_L", bound=Listener)


class Listeners:
    """
    Functions by event.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, tuple[Listener, ...]] = {}

    @overload
    def on(self, event: str, listener: _L) -> _L: ...

    @overload
    def on(self, event: str) -> Callable[[_L], _L]: ...

    def on(self, event: str, listener: _L | None = None) -> Any:
        """
        Have a function called on each event of one name.  Without a function,
        a decorator.

        @raise ValueError: There is no such event.
        """
        if event not in METHODS:
            raise ValueError(f"no such event: {event!r}; there is {', '.join(METHODS)}")

        def register(listener: _L) -> _L:
            self._listeners[event] = (*self.of(event), listener)
            return listener

        return register if listener is None else register(listener)

    def off(self, event: str, listener: Listener) -> None:
        """
        Have it called no more.
        """
        self._listeners[event] = tuple(
            other for other in self.of(event) if other != listener
        )

    def of(self, event: str) -> tuple[Listener, ...]:
        """
        The functions for an event, in the order in which they came.
        """
        return self._listeners.get(event, ())


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
        result = waitable(call())
        if not isinstance(result, Deferred):
            continue
        if result.called and not result.paused:
            outcome = result.result
            if not isinstance(outcome, (Deferred, Failure)):
                continue
        return result.addCallback(lambda _: inOrder(remaining))
    return None
