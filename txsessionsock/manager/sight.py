# -*- test-case-name: tests.manager.test_sight -*-
"""
How fresh a live session is, and what to ask the store to make it fresher.

Pure: nothing here asks or waits.
"""

from __future__ import annotations

from enum import Enum


__all__ = ["Sight", "Step"]


class Step(Enum):
    """
    What to ask of a store.

    @cvar NOTHING: Nothing: the session is fresh.

    @cvar FENCE: Whether all was reported that was written until now.

    @cvar LOAD: The session itself.
    """

    NOTHING = "nothing"
    FENCE = "fence"
    LOAD = "load"


class _Watching(Enum):
    """
    Whether the store's reports reach us.

    @cvar UNWATCHED: Nobody asked for them, or the store has none.

    @cvar SEEING: They do, as far as is known.

    @cvar BLIND: They may not: the store did not answer the last fence.
    """

    UNWATCHED = "unwatched"
    SEEING = "seeing"
    BLIND = "blind"


# A name of its own: Python 3.11 is slow to find the members of an Enum.
_SEEING = _Watching.SEEING


class Sight:
    """
    What is known of how fresh one session is.

    @ivar reports: How many changes were reported.  It is a count, not a flag: a
        report that comes while the store answers is not about the answer, so
        the session stays stale until a later answer.
    """

    __slots__ = ("_heeded", "_isTracked", "_isWatchable", "_state", "reports")

    def __init__(self, *, isWatchable: bool, isTracked: bool) -> None:
        """
        @param isWatchable: Whether the store can report changes.

        @param isTracked: Whether messages trust what was reported so far.
        """
        self._isWatchable = isWatchable
        self._isTracked = isTracked
        self._state = _Watching.UNWATCHED
        self.reports = 0
        self._heeded = 0

    # What happened.

    def watched(self) -> None:
        """
        The store was asked to report changes.
        """
        if self._state is _Watching.UNWATCHED:
            self._state = _Watching.SEEING

    def reported(self) -> None:
        """
        The store reported a change, or we have another reason to doubt what we
        know.
        """
        self.reports += 1

    def unwatched(self) -> None:
        """
        The store reports nothing any more.
        """
        self._state = _Watching.UNWATCHED

    def fenced(self) -> None:
        """
        The store answered a fence.
        """
        if self._state is _Watching.BLIND:
            self._state = _Watching.SEEING

    def lost(self) -> None:
        """
        The store did not answer a fence.
        """
        if self._state is _Watching.SEEING:
            self._state = _Watching.BLIND

    def heeded(self, reports: int) -> None:
        """
        The session was read.

        @param reports: How many reports there were when the store was asked.
        """
        self._heeded = reports

    # What is known.

    @property
    def isSeeing(self) -> bool:
        """
        Whether the store tells what others do.
        """
        return self._state is _Watching.SEEING

    @property
    def isStale(self) -> bool:
        """
        Whether a change was reported that was not read yet.
        """
        return self._heeded < self.reports

    @property
    def isToldInTime(self) -> bool:
        """
        Whether there is no need to look now and then.
        """
        return self._isWatchable and self._state is not _Watching.BLIND

    @property
    def isFresh(self) -> bool:
        """
        Whether nothing is to be asked for a message.
        """
        return (
            self._isTracked
            and self._isWatchable
            and self._state is _SEEING
            and self._heeded >= self.reports
        )

    # What to do.

    def forMessage(self) -> Step:
        """
        @return: What a message has to ask that just arrived.
        """
        if not self._isWatchable:
            return Step.LOAD
        return Step.NOTHING if self.isFresh else Step.FENCE

    def afterFence(self, *, isLoaded: bool) -> Step:
        """
        @return: What is to be asked when a fence was answered, or was not.
        """
        isFresh = self.isSeeing and isLoaded and not self.isStale
        return Step.NOTHING if isFresh else Step.LOAD

    def forReport(self) -> Step:
        """
        @return: What is to be asked when the store reported a change, or when
            it is time to look.
        """
        if self._isWatchable and (self._isTracked or self._state is _Watching.BLIND):
            # A store that lost sight of changes reports every key.  Whether it
            # sees again, only a fence tells.
            return Step.FENCE
        return Step.LOAD if self.isStale or not self._isWatchable else Step.NOTHING
