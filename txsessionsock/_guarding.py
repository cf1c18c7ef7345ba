# -*- test-case-name: tests.test_manager_guarding -*-
"""
Staying with one live session for a while after it was stored, in case somebody
overwrites that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall


if TYPE_CHECKING:
    from ._live import Live

__all__ = ["Guarding"]


class Guarding:
    """
    What keeps a session live that nobody holds any more.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._over: IDelayedCall | None = None

    @property
    def left(self) -> float:
        """
        For how many seconds there is something to guard.
        """
        live = self._live
        if not live.isLoaded or live.settings.isStopping():
            return 0.0
        return live.record.journal.until() - live.backend.now()

    def isNeeded(self) -> bool:
        """
        Whether it is too early to be live no more.
        """
        left = self.left
        if left > 0 and self._over is None:
            self._over = self._live.backend.later(left, self._timeIsUp)
        return left > 0

    def _timeIsUp(self) -> None:
        self._over = None
        self._live.dropIfIdle()

    def stop(self) -> None:
        """
        The session is live no more.
        """
        if self._over is not None:
            self._over.cancel()
            self._over = None
