"""
What a manager and its live sessions agree upon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from txsessionsock.session import Memory


if TYPE_CHECKING:
    from .keeper import Live

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """
    What all live sessions of a manager have in common.

    @ivar isTracked: Whether messages trust what the store has reported so far
        instead of asking whether that is all.

    @ivar saveInterval: After how many seconds at the latest a change is
        stored that nobody asked to store at once.

    @ivar recheckInterval: Every how many seconds a session is read again
        whose store cannot tell what others do.

    @ivar node: What this process is called in sessions that others may
        overwrite; L{None} if nothing is repaired, else for C{repairWindow}
        seconds after a write.

    @ivar numbers: Those of all its writes.

    @ivar memory: What of sessions it remembers.

    @ivar isOver: Whether nothing is guarded any more, because the process ends.

    @ivar began: Called when a new session was stored.

    @ivar changed: Called when keys of a session have other values, whoever
        did it.

    @ivar gone: Called when a session is live no more.

    @ivar keeps: Called when a session that nobody holds could not be stored;
        whether to go on trying.

    @ivar lost: Called when there is no more use in trying.

    @ivar isNews: Whether a warning was not given yet.
    """

    isTracked: bool
    saveInterval: float
    recheckInterval: float
    node: str | None
    repairWindow: float
    numbers: Iterator[int]
    memory: Memory
    isOver: Callable[[], bool]
    began: Callable[[Live], None]
    changed: Callable[[Live], None]
    gone: Callable[[Live], None]
    keeps: Callable[[Live], bool]
    lost: Callable[[Live], None]
    isNews: Callable[[str], bool]
