# -*- test-case-name: tests.test_manager_guarding -*-
"""
Staying with one live session for a while after it was stored, in case somebody
overwrites that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall


if TYPE_CHECKING:
    from .keeper import Live

__all__ = ["Guarding"]


_SOONEST = 0.25
"""
After how many seconds at the soonest to see to what other nodes wrote.
"""


class Guarding:
    """
    What keeps a session live that nobody holds any more.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._over: IDelayedCall | None = None
        self._silence: IDelayedCall | None = None

    @property
    def left(self) -> float:
        """
        For how many seconds there is something to guard.
        """
        live = self._live
        if not live.isLoaded or live.settings.isOver():
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

    def listen(self) -> None:
        """
        If somebody overwrote what other nodes wrote, see whether they see to it.
        """
        live = self._live
        due = live.record.journal.silent()
        if due is not None and self._silence is None:
            delay = max(_SOONEST, due - live.backend.now())
            self._silence = live.backend.later(delay, self._isSilent)

    def _isSilent(self) -> None:
        self._silence = None
        self._live.saving.inBackground()

    def stop(self) -> None:
        """
        The session is live no more.
        """
        for call in (self._over, self._silence):
            if call is not None:
                call.cancel()
        self._over = self._silence = None
