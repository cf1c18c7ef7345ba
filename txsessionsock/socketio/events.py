# -*- test-case-name: tests.socketio.test_events -*-
"""
Functions that are called for the events of an application.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from txsessionsock._waiting import refuseNoFunction
from txsessionsock.clients import METHODS, Listener, Once, listen, without


__all__ = ["RESERVED", "EventListeners", "refuseReserved", "refuseUncalled"]

RESERVED = frozenset(
    {
        *("connect", "connect_error", "disconnecting"),
        *("newListener", "removeListener"),
    }
)
"""
Events that are not the application's, beside those of sessions: the client has its
own of these names, and disconnects if they are sent.
"""

_ANY = None


def refuseReserved(name: object) -> None:
    """
    @raise ValueError: An application cannot have an event of that name.

    @raise TypeError: It is no name at all.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an event is a str, not a {type(name).__name__}")
    if name in RESERVED or name == "disconnect":
        raise ValueError(f"{name!r} is an event of the client itself")


def refuseUncalled(protocol: type) -> None:
    """
    @raise TypeError: A class has a method for an event that is no client's.  Those of
        sessions have methods of their own.
    """
    for event in (*RESERVED, *METHODS):
        if hasattr(protocol, f"on_{event}"):
            method = METHODS.get("sconnection" if event == "connect" else event)
            raise TypeError(
                f"{protocol.__name__}.on_{event} is never called"
                + (f": right is {method}" if method else "")
            )


class EventListeners:
    """
    Functions by the name of the event.
    """

    def __init__(self) -> None:
        self._listeners: dict[str | None, tuple[Listener, ...]] = {}

    def __bool__(self) -> bool:
        """
        Whether there are any.
        """
        return bool(self._listeners)

    def on(self, name: str, listener: Listener | None, *, once: bool) -> Any:
        """
        Have a function called for each event of a name, or for the next one.
        Without a function, a decorator.

        @raise ValueError: An application cannot have such an event.

        @raise TypeError: That is no name, or no function.
        """
        refuseReserved(name)

        def add(listener: Listener) -> None:
            if once:
                listener = Once(listener, partial(self.off, name))
            self._add(name, listener)

        return listen(add, listener)

    def onAny(self, listener: Listener) -> None:
        """
        Have a function called for all events.

        @raise TypeError: That is no function.
        """
        # None would ask for a decorator.
        refuseNoFunction(listener, "onAny()")
        self._add(_ANY, listener)

    def _add(self, name: str | None, listener: Listener) -> None:
        self._listeners[name] = (*self.of(name), listener)

    def off(self, name: str | None, listener: Listener | None = None) -> None:
        """
        Have a function called no more; none of that event unless one is given.
        """
        left = tuple(without(self.of(name), listener))
        if left:
            self._listeners[name] = left
        else:
            self._listeners.pop(name, None)

    def of(self, name: str | None) -> tuple[Listener, ...]:
        """
        The functions for an event, in the order in which they came.
        """
        return self._listeners.get(name, ())

    def ofAny(self) -> tuple[Listener, ...]:
        """
        Those for all events.
        """
        return self.of(_ANY)


def isSessionEvent(name: object) -> bool:
    """
    Whether an event is one of sessions, which no client sends.
    """
    return name in METHODS
