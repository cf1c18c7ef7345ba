"""
How a manager treats its sessions: numbers, and what is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from txsessionsock.session import Memory


__all__ = ["Policy"]


@dataclass(frozen=True)
class Policy:
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
    """

    isTracked: bool
    saveInterval: float
    recheckInterval: float
    node: str | None
    repairWindow: float
    numbers: Iterator[int]
    memory: Memory
