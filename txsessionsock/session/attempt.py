# -*- test-case-name: tests.session.test_record -*-
"""
One write of a session, and the changes that wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from txsessionsock.interfaces import TTL, StoreTimeout

from .branches import Stamps
from .workingcopy import Flight


__all__ = ["Change", "WriteAttempt"]


@dataclass(eq=False)
class Change:
    """
    A read-modify-write that waits for its turn.

    @ivar f: What it does to the data.

    @ivar done: Fires with what C{f} returned, when that is stored.

    @ivar author: Whose handler asked for it, if that is certain.
    """

    f: Callable[[dict[str, Any]], Any]
    done: Deferred[Any]
    author: object = None

    @property
    def isPending(self) -> bool:
        """
        Whether C{done} has not fired, and was not cancelled.
        """
        return not self.done.called


@dataclass(eq=False)
class WriteAttempt:
    """
    One write.

    @ivar old: What it replaces; L{None} if the session is new.

    @ivar new: What it stores; the same as C{old} if the changes in it changed
        nothing, so that all there is to find out is whether C{old} still is
        stored.

    @ivar results: The changes that are in it and what their functions
        returned.

    @ivar number: What the journal calls it, and C{at} when it began, in seconds
        since the epoch.

    @ivar stamps: Those that it leaves in the session.

    @ivar functions: Those of the changes that changed something.

    @ivar error: What it failed with, if nobody knows what became of it.
    """

    old: bytes | None
    new: bytes
    ttl: TTL
    flight: Flight
    results: list[tuple[Change, Any]]
    number: int = 0
    at: float = 0.0
    stamps: Stamps = field(default_factory=dict)
    functions: Sequence[Callable[[dict[str, Any]], Any]] = ()
    error: StoreTimeout | None = None

    @property
    def isDone(self) -> bool | None:
        """
        Whether the write was done, if the store found out; L{None} if nobody
        knows.
        """
        return None if self.error is None else self.error.isDone

    @property
    def adds(self) -> bool:
        """
        Whether it stores more than was collected.
        """
        return self.flight.data is not self.flight.origin

    @property
    def pending(self) -> list[Change]:
        """
        The changes whose callers still wait.
        """
        return [change for change, _ in self.results if change.isPending]

    def succeed(self) -> None:
        """
        Tell the callers of the changes in it that these are stored.
        """
        for change, result in self.results:
            if change.isPending:
                change.done.callback(result)

    def fail(self, error: Exception) -> None:
        """
        Tell them that they are not.
        """
        for change in self.pending:
            change.done.errback(error)
