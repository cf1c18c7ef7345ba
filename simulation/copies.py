# -*- test-case-name: tests.simulation.test_rules -*-
"""
What is known, while a history is read, of the copies of sessions that web applications
take and write, and of nodes that were new to a session when one was taken.
"""

from __future__ import annotations

from math import inf

from .queue import SECOND


__all__ = ["Copies"]

_WINDOW = 5 * SECOND
"""
For how long a node guards what it stored, and has the session.
"""


class Copies:
    """
    The copies of all sessions, and which nodes had these.
    """

    def __init__(self) -> None:
        # Of each session: when a copy was taken and written, and of when the oldest was
        # that it comes from.
        self._written: dict[str, list[tuple[int, int, float]]] = {}
        # Since when a version was there, and the same.
        self._origins: dict[str, list[tuple[int, float]]] = {}
        # What is about to be written, and when that was read.
        self._writing = "", 0
        # Since when each node has each session without a break; when it stored it.
        self._had: dict[tuple[str, str], int] = {}
        self._storedBy: dict[tuple[str, str], int] = {}

    def stored(self, session: str, node: str, at: int) -> None:
        """
        A node stored a session.
        """
        self._storedBy[session, node] = at
        self._origins.setdefault(session, []).append((at, inf))

    def writes(self, session: str, read: int) -> None:
        """
        A web application is about to write a copy.
        """
        self._writing = session, read

    def written(self, session: str, at: int) -> bool:
        """
        It stored a session: that copy, or what it never read.

        @return: Whether it is a copy of what another one had left, and the two took
            too long together: no node guards what it stored for so long.
        """
        writing, read = self._writing
        if writing != session:
            return False
        origins = self._origins.setdefault(session, [])
        before = [origin for since, origin in origins if since < read][-1:]
        # Which of these was there when that moment's copy was taken, nobody notes.
        then = [origin for since, origin in origins if since == read]
        origin = min([read, *before, *then])
        origins.append((at, origin))
        self._written.setdefault(session, []).append((read, at, origin))
        return origin < read and at - origin > _WINDOW

    def wrote(self) -> None:
        """
        It is done with that.  It may have found no row any more, and stored nothing.
        """
        self._writing = "", 0

    def begins(self, session: str, node: str, at: int) -> None:
        """
        A node has a session that no socket or page of it had a moment before.
        """
        if at - self._storedBy.get((session, node), -inf) > _WINDOW:
            self._had[session, node] = at

    def had(self, session: str, node: str) -> int:
        """
        @return: Since when a node has a session without a break.
        """
        return self._had.get((session, node), 0)

    def isOlder(self, session: str, than: int, began: int) -> bool:
        """
        Whether somebody wrote a copy that comes from before a time, or from that
        moment, when a change had begun.
        """
        return any(
            origin <= than and began <= at
            for _, at, origin in self._written.get(session, ())
        )

    def isWrittenLate(self, session: str, since: int, late: float) -> bool:
        """
        Whether somebody took a copy since a time, and wrote it late.
        """
        copies = self._written.get(session, ())
        return any(since <= read and at >= late for read, at, _ in copies)
