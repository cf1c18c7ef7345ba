# -*- test-case-name: tests.manager.test_manager_statistics -*-
"""
How many sessions are live in this process, and what they wait for.
"""

from __future__ import annotations

from dataclasses import dataclass, field


__all__ = ["Counts", "SessionStatistics"]


@dataclass(frozen=True)
class SessionStatistics:
    """
    What L{SessionManager.statistics} counts, at one moment.

    @ivar sessions: Live sessions: those that somebody holds or is about to, and
        those that still have something to store or to guard.

    @ivar newSessions: Those of them that were never stored.

    @ivar holders: Sockets and pages that hold a session.

    @ivar unsavedSessions: Sessions with changes that were noticed and are not
        stored.  A number that does not go down means that the store fails or is
        too slow.

    @ivar abandonedSessions: Sessions that could not be stored and that nobody
        holds any more.

    @ivar abandonedBytes: How many bytes these take.  Beyond C{unsavedLimit},
        sessions are given up.

    @ivar watchedKeys: Sessions whose changes the store reports.

    @ivar writes: Sessions that are being written.

    @ivar unanswered: Questions that the store has not answered yet.
    """

    sessions: int
    newSessions: int
    holders: int
    unsavedSessions: int
    abandonedSessions: int
    abandonedBytes: int
    watchedKeys: int
    writes: int
    unanswered: int


@dataclass(eq=False)
class Counts:
    """
    What the live sessions of a manager count themselves, so that nobody has to
    go through all of them.

    @ivar unsaved: The sessions with changes that are not stored.

    @ivar isWatched: Whether anybody is told of each change.
    """

    isWatched: bool = False
    holders: int = 0
    watchedKeys: int = 0
    writes: int = 0
    unsaved: set[object] = field(default_factory=set)
