# -*- test-case-name: tests.test_record -*-
"""
What is known of one stored session, and of the attempts to change it.

Bytes and times come in, bytes and outcomes go out: nothing here asks a store
or waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ._changes import Flight, WorkingCopy
from ._merge import detached
from .interfaces import (
    TTL,
    Document,
    IFramework,
    IncrementError,
    SessionError,
    SessionReplaced,
    Stored,
    StoreTimeout,
    UnencodableSession,
)


__all__ = ["Attempt", "Change", "Record"]


@dataclass
class Change:
    """
    A read-modify-write that waits for its turn.

    @ivar f: What it does to the data.

    @ivar done: Fires with what C{f} returned, when that is stored.

    @ivar author: Whose handler asked for it, if that is certain.
    """

    f: Callable[[dict[str, Any]], Any]
    done: Deferred[Any]
    author: object


@dataclass
class Attempt:
    """
    One write.

    @ivar old: What it replaces; L{None} if the session is new.

    @ivar new: What it stores.

    @ivar results: The changes that are in it and what their functions
        returned.
    """

    old: bytes | None
    new: bytes
    ttl: TTL
    document: Document
    flight: Flight
    results: list[tuple[Change, Any]]


class Record:
    """
    One session: its working copy, what is stored of it, and which attempts to
    store it are in doubt.

    @ivar stored: What the store held when we last heard of it; L{None} if the
        session is new.

    @ivar number: The number of the last change that is stored.

    @ivar problem: Why a change was given up, until somebody was told.
    """

    stored: Stored | None = None
    number = 0
    problem: SessionError | None = None

    def __init__(self, framework: IFramework, document: Document) -> None:
        """
        @param document: The session; what is in its data counts as stored.
        """
        self._framework = framework
        self._envelope = document.envelope
        self.copy = WorkingCopy(document.data)
        self._timedOut: dict[bytes, Attempt] = {}
        self._open: Attempt | None = None
        self._size = 0

    @property
    def document(self) -> Document:
        """
        The session as stored and changed.
        """
        return Document(self.copy.data, self._envelope)

    @property
    def size(self) -> int:
        """
        How many bytes the session took when it was stored, or last tried.
        """
        return self._size

    @property
    def unsaved(self) -> bool:
        """
        Whether something was collected that is not stored.
        """
        return self.copy.number > self.number

    def absorb(self, current: Stored, now: float) -> list[str]:
        """
        Take notice of what is stored now.  Changes are to be collected before.

        @return: The keys that have another value because of it.

        @raise SessionReplaced: It is another person's.

        @raise UndecodableSession: It cannot be understood.
        """
        changed = []
        attempt = self._timedOut.get(current.raw)
        if attempt is not None:
            changed = self._landedLate(attempt, current)
        if self.stored is not None and current.raw == self.stored.raw:
            self.stored = current
            self._settle(stored=False)
            return changed
        theirs = self._framework.loads(current.raw, now)
        identify = self._framework.identity
        we, they = identify(self.copy.data), identify(theirs.data)
        if we is not None and they is not None and we != they:
            raise SessionReplaced("the session is somebody else's now")
        self._settle(stored=None)
        merged, notNumbers = self.copy.rebase(theirs.data)
        if notNumbers:
            self.problem = IncrementError(
                f"cannot increment {', '.join(map(repr, notNumbers))}: no numbers"
            )
        self._envelope = theirs.envelope
        self.stored = current
        return [*changed, *merged]

    def _settle(self, stored: bool | None) -> None:
        """
        Decide about an attempt whose outcome was unknown.

        @param stored: Whether it was stored; L{None} if nobody can tell.
        """
        attempt, self._open = self._open, None
        if attempt is None:
            return
        if stored is None and (attempt.flight.increments or attempt.results):
            self.problem = StoreTimeout("whether a change was stored is unknown")
            self.copy.forget(attempt.flight)
        self.copy.back(attempt.flight)

    def _landedLate(self, attempt: Attempt, current: Stored) -> list[str]:
        changed = (
            self.copy.landed(attempt.flight)
            if attempt is self._open
            else self.copy.landedLate(attempt.flight)
        )
        self._landed(attempt, current)
        return changed

    def prepare(self, changes: list[Change], now: float) -> Attempt | None:
        """
        Find out what is to be written.

        @param changes: To be made on top of what was collected.  One whose
            function raises is dropped from the list, and told.

        @return: L{None} if there is nothing to write.
        """
        data, results = self._apply(changes)
        if self.stored is not None and not results and not self.copy.differs():
            self.number = self.copy.number
            return None
        flight = self.copy.begin(data)
        document = Document(flight.data, self._envelope)
        try:
            new = self._framework.dumps(document, now)
        except UnencodableSession as error:
            self.copy.back(flight)
            self._giveUp(error, changes, results)
            return self.prepare(changes, now)
        old = None if self.stored is None else self.stored.raw
        self._size = len(new)
        ttl = self._framework.lifetime(document, now)
        return Attempt(old, new, ttl, document, flight, results)

    def _apply(
        self, changes: list[Change]
    ) -> tuple[dict[str, Any] | None, list[tuple[Change, Any]]]:
        data: dict[str, Any] | None = None
        results: list[tuple[Change, Any]] = []
        for change in list(changes):
            trial = self.copy.snapshot() if data is None else detached(data)
            try:
                result = change.f(trial)
            except Exception:
                changes.remove(change)
                change.done.errback(Failure())
            else:
                data = detached(trial)
                results.append((change, result))
        return data, results

    def _giveUp(
        self,
        error: UnencodableSession,
        changes: list[Change],
        results: list[tuple[Change, Any]],
    ) -> None:
        """
        Drop what cannot be stored, so that the rest can.
        """
        if results:
            for change, _ in results:
                changes.remove(change)
                change.done.errback(error)
        else:
            self.copy.revert(error.keys or list(self.copy.data))
            self.problem = error

    def landed(self, attempt: Attempt, stored: Stored) -> list[str]:
        """
        An attempt succeeded.

        @return: The keys that have another value now, because of changes that
            were in it.
        """
        changed = self.copy.landed(attempt.flight)
        self._landed(attempt, stored)
        return changed

    def _landed(self, attempt: Attempt, stored: Stored) -> None:
        self._timedOut.clear()
        self._open = None
        self.stored = stored
        self._envelope = attempt.document.envelope
        self.number = max(self.number, attempt.flight.number)

    def refused(self, attempt: Attempt) -> None:
        """
        An attempt stored nothing.
        """
        self.copy.back(attempt.flight)

    def timedOut(self, attempt: Attempt) -> None:
        """
        Nobody knows what became of an attempt.  What is stored tells; until
        then no other may be made.
        """
        self._timedOut[attempt.new] = attempt
        self._open = attempt

    @property
    def isInDoubt(self) -> bool:
        """
        Whether nobody knows yet what became of the last attempt.
        """
        return self._open is not None

    def neverStored(self) -> None:
        """
        An attempt to store a new session, which was in doubt, did not succeed.
        """
        self._settle(stored=False)
