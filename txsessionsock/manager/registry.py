# -*- test-case-name: tests.manager.test_manager -*-
"""
Which sessions are live in this process.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from txsessionsock.interfaces import IFramework, SessionID
from txsessionsock.session import Session, shortHash

from .keeper import SessionKeeper
from .statistics import Counts, SessionStatistics


__all__ = ["Registry"]


class Registry:
    """
    The keepers of all live sessions of a manager.

    @ivar live: Those of sessions that were opened or stored, by their ids.

    @ivar new: Those of sessions that were never stored.

    @ivar counts: What they count themselves.

    @ivar isOver: Whether nothing is guarded any more, because the process ends.
    """

    _log = Logger()

    def __init__(self, framework: IFramework, unsavedLimit: int) -> None:
        """
        @param unsavedLimit: How many bytes of sessions to keep that could not be
            stored and that nobody holds any more.
        """
        self._framework = framework
        self._unsavedLimit = unsavedLimit
        self.live: dict[SessionID, SessionKeeper] = {}
        self.new: dict[SessionKeeper, None] = {}
        self.isOver = False
        self.counts = Counts()
        # How many bytes each session takes that could not be stored.
        self._unsaved: dict[SessionKeeper, int] = {}
        self._warnings: set[str] = set()
        self._watchers: list[Callable[[Session], object]] = []

    def watch(self, changed: Callable[[Session], object]) -> None:
        """
        Have a function called with each session that changes.
        """
        self._watchers.append(changed)
        self.counts.isWatched = True

    def reopened(self, keeper: SessionKeeper) -> None:
        """
        Somebody holds a session again.
        """
        self._unsaved.pop(keeper, None)

    def statistics(self, unanswered: int) -> SessionStatistics:
        """
        @param unanswered: How many questions the store has not answered.
        """
        return SessionStatistics(
            sessions=len(self.live) + len(self.new),
            newSessions=len(self.new),
            holders=self.counts.holders,
            unsavedSessions=len(self.counts.unsaved),
            abandonedSessions=len(self._unsaved),
            abandonedBytes=sum(self._unsaved.values()),
            watchedKeys=self.counts.watchedKeys,
            writes=self.counts.writes,
            unanswered=unanswered,
        )

    # What keepers tell.

    def firstStored(self, keeper: SessionKeeper) -> None:
        self.new.pop(keeper, None)
        if not keeper.live.isClosed:
            self.live.setdefault(keeper.live.id, keeper)

    def changed(self, keeper: SessionKeeper) -> None:
        for changed in self._watchers:
            changed(keeper.live.session)

    def gone(self, keeper: SessionKeeper) -> None:
        self.new.pop(keeper, None)
        self._unsaved.pop(keeper, None)
        if self.live.get(keeper.live.id) is keeper:
            del self.live[keeper.live.id]

    def keeps(self, keeper: SessionKeeper) -> bool:
        size = len(self._framework.key(keeper.live.id)) + keeper.live.record.size
        self._unsaved[keeper] = size
        if sum(self._unsaved.values()) <= self._unsavedLimit:
            return True
        self.lost(keeper)
        return False

    def stored(self, keeper: SessionKeeper) -> None:
        self._unsaved.pop(keeper, None)

    def lost(self, keeper: SessionKeeper) -> None:
        self._log.error(
            "gave up storing the changes of session {session}, {size} bytes",
            session=shortHash(keeper.live.id),
            size=keeper.live.record.size,
        )

    def isNews(self, warning: str) -> bool:
        isNews = warning not in self._warnings
        self._warnings.add(warning)
        return isNews
