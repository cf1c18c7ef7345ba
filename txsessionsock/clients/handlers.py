# -*- test-case-name: tests.test_client -*-
"""
Calling what an application does about the events of one client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from txsessionsock._deferreds import inOrder

from .carrier import Application
from .listeners import METHODS, Listeners, Once
from .sockets import SessionSockets


__all__ = ["Handlers"]


class Handlers:
    """
    The listeners of all clients, those of this one, and the method.

    @ivar face: Whom the listeners of all clients get as the client.
    """

    def __init__(
        self, sockets: SessionSockets, application: Application, face: object
    ) -> None:
        """
        @param application: Is called last.

        @param face: See above.
        """
        self.listeners = Listeners()
        self._shared = sockets.listeners
        self._application = application
        self.face = face
        self._current: object = None

    def hear(self, event: str) -> bool:
        """
        Whether somebody listens to an event.
        """
        return bool(self._shared.of(event) or self.listeners.of(event))

    def call(self, event: str, *args: Any) -> Deferred[None] | None:
        """
        Call them one after the other.

        @return: L{None} if they are done.  Otherwise a L{Deferred} that fails
            as the first of them does that fails.

        @raise Exception: What the first of them raises, if it is at once.
        """
        if not self.hear(event):
            self._current = type(self.face)
            return inOrder((partial(self._method(event), *args),))
        return inOrder(self._noted(event, args))

    def _noted(self, event: str, args: tuple[Any, ...]) -> Iterator[Callable[[], Any]]:
        """
        Give them away one after the other, and know which was the last.
        """
        for handler, call in self._calls(event, args):
            self._current = handler
            yield call

    def _calls(
        self, event: str, args: tuple[Any, ...]
    ) -> list[tuple[object, Callable[[], Any]]]:
        shared, own = self._shared.of(event), self.listeners.of(event)
        return [
            *((f, partial(f, self.face, *args)) for f in shared),
            *((f, partial(f, *args)) for f in own),
            (type(self.face), partial(self._method(event), *args)),
        ]

    def _method(self, event: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._application, METHODS[event])
        return method

    @property
    def current(self) -> str:
        """
        Where the last that was L{called<call>} is written: the name of a
        listener, or of the class with the method.
        """
        current = self._current
        while isinstance(current, (Once, partial)):
            current = current.listener if isinstance(current, Once) else current.func
        name = getattr(current, "__qualname__", type(current).__qualname__)
        return f"{current.__module__}.{name}"

    def notify(self, event: str, *args: Any) -> Deferred[None]:
        """
        Call them one after the other.

        @return: A L{Deferred} that fails as the first of them does that fails.
        """
        try:
            calls = (call for _, call in self._calls(event, args))
            return inOrder(calls) or succeed(None)
        except Exception:
            return fail()
