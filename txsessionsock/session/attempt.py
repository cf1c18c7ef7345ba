# -*- test-case-name: tests.session.test_record -*-
"""
One write of a session, and the changes that wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock._waiting import refuseToWait
from txsessionsock.interfaces import TTL, StoreTimeout

from .branches import Stamps
from .merge import detached, same
from .versions import shared
from .workingcopy import Flight


__all__ = ["Change", "Check", "Problem", "Update", "WriteAttempt"]

Check = Callable[[dict[str, Any]], object]
"""
Raises L{UnencodableSession<txsessionsock.interfaces.UnencodableSession>} for data that
cannot be stored.
"""


Problem = Failure | BaseException | None
"""
What something failed with; L{None} for the exception that is being handled.
"""


class Change(Protocol):
    """
    What is done to a session in its turn to write, and done again on what somebody
    else stored.

    @ivar isPending: Whether somebody waits for it.

    @ivar isSure: Whether it needs the store to say that what it saw is stored, if it
        changes nothing and the store has reported nothing.
    """

    @property
    def isPending(self) -> bool: ...

    @property
    def isSure(self) -> bool: ...

    def made(self, before: dict[str, Any], check: Check) -> tuple[dict[str, Any], Any]:
        """
        Do it.

        @param before: The data, not to be changed.

        @param check: Is to be called with what is made of it, unless that fails.

        @return: What was made of the data, which shares with it what is the same;
            and what L{succeed}, L{fail}, L{again} and L{authors} are given then.

        @raise Exception: It cannot be done.
        """

    def again(self, result: Any) -> Callable[[dict[str, Any]], object]:
        """
        @return: What does it once more to data that a web application stored, after
            it was stored.
        """

    def authors(self, result: Any, keys: Sequence[str]) -> Iterator[tuple[Any, Any]]:
        """
        @param keys: Those that have another value.

        @return: Whose handler changed which of them: the author, L{None} if that is
            not certain, and the keys.
        """

    def succeed(self, result: Any) -> None:
        """
        It is stored.
        """

    def fail(self, error: Problem, result: Any = None) -> None:
        """
        It is not, and is given up.
        """

    def refused(self, error: Exception, result: Any) -> None:
        """
        Somebody else was first.
        """


@dataclass(eq=False)
class Update:
    """
    A read-modify-write that waits for its turn.

    @ivar f: What it does to the data.

    @ivar done: Fires with what C{f} returned, when that is stored.

    @ivar author: Whose handler asked for it, if that is certain.
    """

    f: Callable[[dict[str, Any]], Any]
    done: Deferred[Any]
    author: object = None
    isSure = True

    @property
    def isPending(self) -> bool:
        """
        Whether C{done} has not fired, and was not cancelled.
        """
        return not self.done.called

    def made(self, before: dict[str, Any], check: Check) -> tuple[dict[str, Any], Any]:
        trial: dict[str, Any] = detached(before)
        result = self.f(trial)
        refuseToWait(result, "update()")
        data = shared(detached(trial), before, same)
        check(data)
        return data, result

    def again(self, result: Any) -> Callable[[dict[str, Any]], object]:
        return self.f

    def authors(self, result: Any, keys: Sequence[str]) -> Iterator[tuple[Any, Any]]:
        yield self.author, keys

    def succeed(self, result: Any) -> None:
        self.done.callback(result)

    def fail(self, error: Problem, result: Any = None) -> None:
        self.done.errback(error)

    def refused(self, error: Exception, result: Any) -> None:
        """
        It is made again, until it is stored.
        """


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

    def authored(self, keys: Sequence[str]) -> Iterator[tuple[Any, Sequence[str]]]:
        """
        @return: Who made which of the changes in it; see L{Change.authors}.
        """
        authors: dict[str, Any] = {}
        for change, result in self.results:
            for author, some in change.authors(result, keys):
                for key in some:
                    isOne = authors.get(key, author) is author
                    authors[key] = author if isOne else None
        found: dict[Any, list[str]] = {}
        for key in keys:
            found.setdefault(authors.get(key), []).append(key)
        yield from found.items()

    def refused(self, error: Exception) -> None:
        """
        Somebody else was first.
        """
        for change, result in self.results:
            if change.isPending:
                change.refused(error, result)

    def succeed(self) -> None:
        """
        Tell the callers of the changes in it that these are stored.
        """
        for change, result in self.results:
            if change.isPending:
                change.succeed(result)

    def fail(self, error: Exception) -> None:
        """
        Tell them that they are not.
        """
        for change, result in self.results:
            if change.isPending:
                change.fail(error, result)
