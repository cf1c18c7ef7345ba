# -*- test-case-name: tests.package.test_reported -*-
"""
What happens to sessions and sockets, in the log, for programs that read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from twisted.logger import Logger, LogLevel

from ._seldom import Seldom


__all__ = ["EVENTS", "Event", "Events"]

Event = Literal[
    "connect",
    "refused",
    "invalid",
    "destroyed",
    "conflict",
    "repaired",
    "store-failed",
    "store-back",
]

EVENTS: Final = Logger("sessionsock.events")
"""
What all of them are logged by.
"""


class Events:
    """
    Logs events of each name at a limited rate: clients can cause most of them.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """
        @param now: Seconds since the epoch.
        """
        self._now = now
        # One for each name, so that no name takes the room of another.
        self._seldoms: dict[Event, Seldom] = {}

    def tell(
        self,
        event: Event,
        line: str,
        kind: object = None,
        level: Any = LogLevel.info,
        **fields: Any,
    ) -> None:
        """
        Log an event, unless there were some of its kind lately.

        @param line: The same in words.

        @param kind: What tells it from others of its name.

        @param fields: What programs may want to know of it: no secrets.
        """
        seldom = self._seldoms.get(event)
        if seldom is None:
            # Without a clock, for there are managers that nobody ends: what was left
            # out is said with the next.
            seldom = self._seldoms[event] = Seldom()
        seldom.say(
            EVENTS, level, line, self._now(), (event, kind), event=event, **fields
        )

    def end(self) -> None:
        """
        Say now what was left out.
        """
        for seldom in self._seldoms.values():
            seldom.end()
