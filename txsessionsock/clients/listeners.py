# -*- test-case-name: tests.test_events -*-
"""
Who listens to which event, and calling them one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar, overload


__all__ = [
    "METHODS",
    "Listener",
    "Listeners",
    "Once",
    "listen",
    "refuseUnknown",
    "without",
]

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


class Once:
    """
    A listener that is called once.

    @ivar listener: The function that it calls.
    """

    def __init__(self, listener: Listener, taken: Callable[[Listener], object]) -> None:
        """
        @param taken: Is called with this when it is to be called no more.
        """
        self.listener = listener
        self._taken = taken
        self._isCalled = False

    def __call__(self, *args: Any, **more: Any) -> object:
        # Two events may have come before the first was handled.
        if self._isCalled:
            return None
        self._isCalled = True
        self._taken(self)
        return self.listener(*args, **more)


def listen(add: Callable[[Listener], object], listener: Listener | None) -> Any:
    """
    Add a function that is given, or else the one that is decorated.

    @return: That function, or a decorator that leaves it as it is.

    @raise TypeError: It cannot be called.
    """

    def register(listener: Listener) -> Listener:
        if not callable(listener):
            kind = type(listener).__name__
            raise TypeError(f"who listens to an event is a function, not a {kind}")
        add(listener)
        return listener

    return register if listener is None else register(listener)


def refuseUnknown(event: object, *more: str) -> None:
    """
    @param more: Events that there are beside L{METHODS}.

    @raise ValueError: There is no such event.
    """
    if event not in (known := (*METHODS, *more)):
        raise ValueError(f"no such event: {event!r}; there is {', '.join(known)}")


def without(listeners: Iterable[Listener], listener: Listener | None) -> list[Listener]:
    """
    @param listener: Who is to be called no more, be it L{Once}; L{None} for
        everybody.

    @return: The others.
    """
    return [
        other
        for other in listeners
        if listener is not None
        and other != listener
        and not (isinstance(other, Once) and other.listener == listener)
    ]


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

        @raise TypeError: That is no function.
        """
        refuseUnknown(event)
        return listen(partial(self._add, event), listener)

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: _L | None = None) -> Any:
        """
        The same for the next event of that name only.
        """
        refuseUnknown(event)
        taken = partial(self.off, event)
        return listen(lambda f: self._add(event, Once(f, taken)), listener)

    def off(self, event: str, listener: Listener | None = None) -> None:
        """
        Have a function called no more; none of that event unless one is given.

        @raise ValueError: There is no such event.
        """
        refuseUnknown(event)
        self._listeners[event] = tuple(without(self.of(event), listener))

    def _add(self, event: str, listener: Listener) -> None:
        self._listeners[event] = (*self.of(event), listener)

    def of(self, event: str) -> tuple[Listener, ...]:
        """
        The functions for an event, in the order in which they came.
        """
        return self._listeners.get(event, ())
