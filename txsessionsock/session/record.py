# -*- test-case-name: tests.test_record -*-
"""
What is known of one stored session, and of the attempts to change it.

Bytes and times come in, bytes and outcomes go out: nothing here asks a store
or waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from txsessionsock._foreign import CHARACTERS
from txsessionsock._waiting import refuseToWait
from txsessionsock.interfaces import (
    KEEP,
    Document,
    IFramework,
    IncrementError,
    SessionError,
    SessionReplaced,
    Stored,
    StoreRefusal,
    StoreTimeout,
    UnencodableSession,
)

from .attempt import Attempt, Change
from .branches import Stamps
from .journal import STAMP, Journal, stampList, stampsIn
from .merge import MISSING, detached, merge, same
from .versions import shared
from .workingcopy import FrozenCopy, WorkingCopy
from .writes import Function, Write


__all__ = ["Emptied", "Record"]

_UNKNOWN = "whether a change was stored is unknown"


class Emptied(SessionError):
    """
    A web application left nothing in a session but what only we see.  Its
    framework would have ended it.
    """


class Record:
    """
    One session: what is stored, what was changed since, and which attempts to
    store it are in doubt.

    @ivar stored: What the store held when we last heard of it; L{None} if the
        session is new.

    @ivar number: The number of the last change that is stored.

    @ivar problem: Why a change was given up, until somebody was told.

    @ivar refusal: With what the store refused the last attempt: then values are
        looked at that stores refuse.

    @ivar reverted: The keys that have their stored values again, because
        what they had could not be stored, until somebody was told.

    @ivar size: How many bytes the session took when we last tried to store
        it.

    @ivar isWanted: Whether the session is to be stored even if nothing was
        put into it.

    @ivar isRepairing: Whether the session is to be stored though nothing was
        changed: somebody overwrote something, or its envelope is another one.
    """

    stored: Stored | None = None
    number = 0
    problem: SessionError | None = None
    refusal: StoreRefusal | None = None
    size = 0
    isWanted = False

    def __init__(
        self,
        framework: IFramework,
        document: Document,
        journal: Journal | None = None,
        now: float = 0.0,
    ) -> None:
        """
        @param document: The session; what is in its data counts as stored.

        @param journal: Remembers what is written; a new one.

        @raise Emptied: There is nothing in it.
        """
        self._framework = framework
        self._same = framework.same
        data = document.data
        isStamped = STAMP in data
        stamps = stampsIn(data)
        if isStamped and framework.isEnded(data):
            raise Emptied
        self.journal = Journal(None) if journal is None else journal
        self.journal.seen(data, stamps, now)
        self.isRepairing = False
        self._envelope = document.envelope
        kind = FrozenCopy if framework.readOnly else WorkingCopy
        self.copy: WorkingCopy = kind(data, framework.same)
        # By what they were to store: one that was given up may still succeed.
        self._timedOut: dict[bytes, Attempt] = {}
        # By their numbers, those of which it is only known that they were not
        # stored when we looked: somebody may have had them.
        self._past: dict[int, Attempt] = {}
        self._open: Attempt | None = None
        self.reverted: list[str] = []

    @property
    def document(self) -> Document:
        """
        The session as stored and changed.
        """
        return Document(self.copy.data, self._envelope)

    def adopt(self, other: Record) -> None:
        """
        Go on with what the framework keeps beside the data of another session.
        """
        if self._envelope != other._envelope:
            self._envelope = other._envelope
            if self.stored is not None:
                self.isRepairing = True
                self.copy.number += 1

    @property
    def unsaved(self) -> bool:
        """
        Whether something was collected that is not stored.
        """
        return self.copy.number > self.number or self._isMissing

    @property
    def _isMissing(self) -> bool:
        return self.isWanted and self.stored is None

    @property
    def isInDoubt(self) -> bool:
        """
        Whether nobody knows yet what became of the last attempt.
        """
        return self._open is not None

    def collect(self) -> Sequence[str]:
        """
        Look for changes made since the last time.

        @return: The keys that have another value than then.
        """
        changed, uncopied = self.copy.collect()
        if uncopied:
            places = "; ".join(f.told("session", "store") for f in uncopied.values())
            problem = f"cannot be stored: {places}"
            self.problem = UnencodableSession(problem, tuple(uncopied))
        return changed

    # What is stored.

    def absorb(self, current: Stored, now: float) -> list[str]:
        """
        Take notice of what is stored now.  Changes are to be collected before.

        @return: The keys that have another value because of it.

        @raise SessionReplaced: It is another person's.

        @raise UndecodableSession: It cannot be understood.

        @raise Emptied: There is nothing in it any more.
        """
        known = self._settle()
        changed = self._absorb(current, now)
        return [*known, *(key for key in changed if key not in known)]

    def _absorb(self, current: Stored, now: float) -> list[str]:
        attempt = self._timedOut.get(current.raw)
        if attempt is not None and self._isProof(attempt):
            return self._landedLate(attempt, current)
        if self.stored is not None and current.raw == self.stored.raw:
            return self._unchanged(current)
        theirs = self._framework.loads(current.raw, now)
        isStamped = STAMP in theirs.data
        stamps = stampsIn(theirs.data)
        if isStamped and self._isEmptied(theirs.data, stamps):
            raise Emptied
        found = self._findAttempt(stamps, now)
        isBack = self._bringsLoginBack(theirs.data)
        # What did not change is kept as it is, so that it is compared no more.
        theirData = shared(theirs.data, self.copy.stored, self._same)
        data = self._repaired(theirData, stamps, now)
        doubtful = self._open
        self._giveUpIncrements()
        self._giveBack()
        self._past |= {other.number: other for other in self._timedOut.values()}
        self._timedOut.clear()
        merged = self._rebase(data, deletionsWin=isBack)
        self._envelope = theirs.envelope
        self.stored = current
        if doubtful is not None:
            doubtful.fail(StoreTimeout(_UNKNOWN))
        return [*found, *(key for key in merged if key not in found)]

    def _rebase(self, data: dict[str, Any], *, deletionsWin: bool = False) -> list[str]:
        merged, notNumbers = self.copy.rebase(data, deletionsWin=deletionsWin)
        if notNumbers:
            names = ", ".join(map(repr, notNumbers))
            self.problem = IncrementError(f"cannot increment {names}: no numbers")
        return merged

    def _settle(self) -> list[str]:
        """
        See whether the store has learned what became of attempts.

        @return: The keys that have another value because of it.
        """
        for attempt in list(self._timedOut.values()):
            if attempt.isDone:
                return self._landedLate(attempt, Stored(attempt.new, None))
            if attempt.isDone is False:
                del self._timedOut[attempt.new]
                if attempt is self._open:
                    self._giveBack()
        return []

    def _isProof(self, attempt: Attempt) -> bool:
        """
        Whether an attempt succeeded if the bytes are there that it was to
        store.  Without our stamp in them, somebody else may have stored the
        same; what is done by then is not to be done twice nor taken for ours.
        """
        isCounting = attempt.flight.increments or attempt.results
        return self.journal.identifies or not isCounting

    def _unchanged(self, current: Stored) -> list[str]:
        """
        What is stored is what was stored before: no attempt succeeded, unless
        somebody undid it and left no stamp.
        """
        self.stored = current
        doubtful = self._open
        if doubtful is None or self._isProof(doubtful):
            self._giveBack()
            return []
        self._giveUpIncrements()
        self._giveBack()
        self._timedOut.clear()
        doubtful.fail(StoreTimeout(_UNKNOWN))
        return []

    def _isEmptied(self, theirs: dict[str, Any], stamps: Stamps) -> bool:
        isEnded = self._framework.isEnded
        if not isEnded(theirs) or isEnded(self.copy.stored):
            return False
        # If another node left a stamp meanwhile, it may be who emptied it.
        return not self.journal.isNews(stamps)

    def _bringsLoginBack(self, theirs: dict[str, Any]) -> bool:
        """
        Whether a login that one side ended would be back with what the other
        side changed in it.

        @raise SessionReplaced: Two people are logged in.
        """
        identify = self._framework.identity
        we, they = identify(self.copy.data), identify(theirs)
        if we is not None and they is not None:
            if we != they and not self._same(we, they):
                raise SessionReplaced("the session is somebody else's now")
            return False
        if identify(self.copy.stored) is None:
            return False
        merged = merge(self.copy.stored, self.copy.collected, theirs, isSame=self._same)
        return identify(merged) is not None

    def _repaired(
        self, theirs: dict[str, Any], stamps: Stamps, now: float
    ) -> dict[str, Any]:
        """
        What should be stored, with what somebody overwrote of ours.
        """
        identify = self._framework.identity
        if not self._same(identify(self.copy.stored), identify(theirs)):
            self.journal.seen(theirs, stamps, now)
            self.isRepairing = False
            return theirs
        run = partial(self._run, now=now)
        repaired = self.journal.repaired(theirs, stamps, now, run)
        self.isRepairing = repaired is not theirs
        if self.isRepairing:
            # What is sent now waits for that, as it would for a change.
            self.copy.number += 1
        return repaired

    def takeOver(self, now: float) -> list[str]:
        """
        See to what other nodes wrote, and somebody overwrote, and they do not
        see to.  Changes are to be collected before, and no attempt under way.

        @return: The keys that have another value because of it.
        """
        data = self.journal.takenOver(now)
        if data is None:
            return []
        self.isRepairing = True
        self.copy.number += 1
        return self._rebase(data)

    def _findAttempt(self, stamps: Stamps, now: float) -> list[str]:
        """
        Find out by its stamp what became of an attempt that is in doubt, when
        somebody else has written since.

        @return: The keys that have another value because of it.
        """
        last = self.journal.last(stamps)
        if last is None:
            return []
        for attempt in self._timedOut.values():
            if attempt.number == last:
                return self._landedLate(attempt, Stored(attempt.new, None))
        # Who wrote had not got it, so it is still to be stored.
        self._giveBack()
        if last in self._past:
            attempt = self._past.pop(last)
            self.copy.found(attempt.flight)
            self.journal.found(self._writeOf(attempt), now)
            attempt.succeed()
        return []

    def neverStored(self) -> None:
        """
        An attempt to store a new session, which was in doubt, did not succeed.
        """
        self._giveBack()

    def _giveBack(self) -> None:
        """
        What an attempt was to store that was in doubt, and may be stored any
        number of times, still is to be stored.
        """
        attempt, self._open = self._open, None
        if attempt is not None:
            self.copy.back(attempt.flight)

    def _giveUpIncrements(self) -> None:
        """
        Nobody will ever know what became of the attempt that is in doubt.
        """
        if self._open is not None and self._open.flight.increments:
            self.problem = StoreTimeout(_UNKNOWN)
            self.copy.forget(self._open.flight)

    def _landedLate(self, attempt: Attempt, current: Stored) -> list[str]:
        self._note(attempt)
        if attempt is self._open:
            changed = self.copy.landed(attempt.flight)
        else:
            # So no later one can have succeeded.
            self._giveBack()
            changed = self.copy.landedLate(attempt.flight)
        self._landed(attempt, current)
        attempt.succeed()
        return changed

    # What is to be stored.

    def prepare(self, changes: list[Change], now: float) -> Attempt | None:
        """
        Find out what is to be written.  Changes are to be collected before.

        @param changes: To be made on top of what was collected.  Those whose
            function raises are told so.

        @return: L{None} if there is nothing to write.

        @raise UnencodableSession: Not even what was stored can be stored.
        """
        try:
            made = self._make(changes)
            attempt = self._attempt(made, now)
        except UnencodableSession:
            self._revert(now)
            made = self._make(changes, now)
            attempt = self._attempt(made, now)
        # Last, because whoever is told may change the session at once.
        for change, failure in made.failed:
            change.done.errback(failure)
        if attempt is None:
            for change, result in made.results:
                change.done.callback(result)
        return attempt

    def _make(self, changes: list[Change], now: float | None = None) -> _Made:
        """
        @param now: Given to see after each change whether it can be stored.
        """
        made = _Made()
        for change in changes:
            before = self.copy.collected if made.data is None else made.data
            trial: dict[str, Any] = detached(before)
            try:
                result = change.f(trial)
                refuseToWait(result, "update()")
                data = shared(detached(trial), before, same)
                if now is not None:
                    self._dumps(data, now)
            except Exception:
                made.failed.append((change, Failure()))
            else:
                made.data = data
                made.results.append((change, result))
                if not _isIdentical(data, before):
                    made.functions.append(change.f)
        return made

    def _run(self, f: Function, data: dict[str, Any], now: float) -> dict[str, Any]:
        """
        Do once more what C{update} did.

        @raise Exception: It cannot be done with this data.
        """
        trial: dict[str, Any] = detached(data)
        refuseToWait(f(trial), "update()")
        after = shared(detached(trial), data, same)
        self._dumps(after, now)
        return after

    def _attempt(self, made: _Made, now: float) -> Attempt | None:
        isChanged = self.copy.differs(made.data) or self._isMissing
        differs = isChanged or self.isRepairing
        if not differs and not (made.results and (self.stored or self.copy.differs())):
            self.copy.settle()
            self.number = self.copy.number
            return None
        old = None if self.stored is None else self.stored.raw
        if old is not None and not differs:
            return Attempt(old, old, KEEP, self.copy.begin(made.data), made.results)
        data = self.copy.collected if made.data is None else made.data
        number = self.journal.begin()
        stamps = self.journal.stamps(number, now, isRepair=not isChanged)
        stamped = {**data, STAMP: stampList(stamps)} if stamps else data
        new = self._dumps(stamped, now)
        ttl = self._framework.lifetime(Document(data, self._envelope), now)
        self.size = len(new)
        flight = self.copy.begin(made.data)
        return Attempt(
            old, new, ttl, flight, made.results, number, now, stamps, made.functions
        )

    def _dumps(self, data: dict[str, Any], now: float) -> bytes:
        """
        @raise UnencodableSession: It cannot be stored.
        """
        if self.refusal is not None:
            stored = self.copy.stored
            found = {
                key: problem
                for key, value in data.items()
                if not same(value, stored.get(key, MISSING))
                and (problem := CHARACTERS.find({key: value})) is not None
            }
            if found:
                places = [each.told("session", "store") for each in found.values()]
                raise _refused(self.refusal, places, found)
        return self._framework.dumps(Document(data, self._envelope), now)

    def _revert(self, now: float) -> None:
        """
        Give up what was collected and cannot be stored.
        """
        for everything in (False, True):
            data = self.copy.collected
            try:
                self._dumps(data, now)
            except UnencodableSession as error:
                keys = list(data) if everything else error.keys
                self.reverted += self.copy.revert(keys)
                self.problem = self.problem or error

    def landed(self, attempt: Attempt, stored: Stored) -> list[str]:
        """
        An attempt succeeded.  Changes are to be collected before.

        @return: The keys that have another value now, because of changes that
            were in it.
        """
        self._note(attempt)
        changed = self.copy.landed(attempt.flight)
        self._landed(attempt, stored)
        return changed

    def _note(self, attempt: Attempt) -> None:
        if attempt.new != attempt.old:
            self.journal.wrote(self._writeOf(attempt), attempt.at)

    def _writeOf(self, attempt: Attempt) -> Write:
        flight = attempt.flight
        others = (*self._timedOut.values(), *self._past.values())
        return Write(
            attempt.number,
            attempt.stamps,
            flight.base,
            flight.origin,
            flight.data,
            flight.increments,
            attempt.functions,
            {
                other.number: (other.flight.increments, other.functions)
                for other in others
                if other is not attempt
            },
        )

    def _landed(self, attempt: Attempt, stored: Stored) -> None:
        self._timedOut.clear()
        self._past.clear()
        self._open = None
        self.isRepairing = False
        self.stored = stored
        self.number = max(self.number, attempt.flight.number)

    def isStored(self, current: Stored) -> bool:
        """
        Whether the bytes are those that were stored when we last heard of it.
        """
        return self.stored is not None and self.stored.raw == current.raw

    def hasStored(self, attempt: Attempt) -> bool:
        """
        Whether an attempt is what was stored when we last heard of it.
        """
        return self.stored is not None and self.stored.raw == attempt.new

    def refused(self, attempt: Attempt) -> None:
        """
        An attempt stored nothing.
        """
        self.copy.back(attempt.flight)

    def refusedBy(self, error: StoreRefusal, attempt: Attempt) -> None:
        """
        The store takes no such value.  If that happens once more although
        nothing is found in it that stores refuse, all is given up that was
        changed.

        @raise StoreRefusal: Nothing was.
        """
        self.refused(attempt)
        if self.refusal is None:
            self.refusal = error
            return
        stored, data = self.copy.stored, attempt.flight.data
        keys = [
            key
            for key in dict.fromkeys((*data, *stored))
            if not same(data.get(key, MISSING), stored.get(key, MISSING))
        ]
        if not keys:
            raise error
        problem = _refused(error, [f"session[{key!r}]" for key in keys], keys)
        attempt.fail(problem)
        reverted = self.copy.revert(keys)
        if reverted:
            self.reverted += reverted
            self.problem = self.problem or problem

    def timedOut(self, attempt: Attempt, error: StoreTimeout) -> None:
        """
        Nobody knows what became of an attempt.  What is stored tells, or the
        store does; until then no other may be made.
        """
        attempt.error = error
        self._timedOut[attempt.new] = attempt
        self._open = attempt


@dataclass
class _Made:
    """
    What changes made of the data.

    @ivar data: L{None} if nothing.

    @ivar functions: Those that changed something.
    """

    data: dict[str, Any] | None = None
    results: list[tuple[Change, Any]] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    failed: list[tuple[Change, Failure]] = field(default_factory=list)


def _refused(
    error: StoreRefusal, places: Iterable[str], keys: Iterable[str]
) -> UnencodableSession:
    return UnencodableSession(
        f"the store refuses {'; '.join(places)}: {error}", tuple(keys)
    )


def _isIdentical(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return len(one) == len(other) and all(
        other.get(key, MISSING) is value for key, value in one.items()
    )
