# -*- test-case-name: tests.clients.test_repeatable -*-
"""
The handler that may run again and is running now, if one is.

What it does is thrown away when somebody else was first.  So whatever cannot be
thrown away asks here, and refuses to be done.
"""

from __future__ import annotations

from typing import Protocol

from .interfaces import SessionError


__all__ = ["NOW", "Running", "refuseRepeatable"]


class Running(Protocol):
    """
    A handler that may run again.
    """

    def hold(self, outbox: object, frame: object) -> None:
        """
        Keep a frame until what the handler changed is stored.

        @raise SessionError: It is for another client.
        """


class _Now:
    """
    @ivar run: The handler; L{None} if none is running.
    """

    __slots__ = ("run",)

    def __init__(self) -> None:
        self.run: Running | None = None


NOW = _Now()
"""
One for the process: there is one reactor, and such a handler does not wait.
"""


def refuseRepeatable(what: str) -> None:
    """
    @param what: Something that cannot be thrown away.

    @raise SessionError: A handler is running that may run again.
    """
    if NOW.run is not None:
        raise SessionError(
            f"{what} in a handler that may run again: it changes its session and sends"
            " to its own client, and nothing else"
        )
