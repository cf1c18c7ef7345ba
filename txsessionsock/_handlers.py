# -*- test-case-name: tests.test_client -*-
"""
Calling what an application does about the events of one client.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from ._events import METHODS, Listeners, inOrder
from .sockets import Application, SessionSockets


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
        method = partial(getattr(self._application, METHODS[event]), *args)
        if not self.hear(event):
            return inOrder((method,))
        return inOrder(
            [
                *(partial(f, self.face, *args) for f in self._shared.of(event)),
                *(partial(f, *args) for f in self.listeners.of(event)),
                method,
            ]
        )

    def notify(self, event: str, *args: Any) -> Deferred[None]:
        """
        Call them one after the other.

        @return: A L{Deferred} that fails as the first of them does that fails.
        """
        try:
            return self.call(event, *args) or succeed(None)
        except Exception:
            return fail()
