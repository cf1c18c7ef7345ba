# -*- test-case-name: tests.session.test_record -*-
"""
What is known of one stored session, and of the attempts to change it.

Bytes and times come in, bytes and outcomes go out: nothing here asks a store
or waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

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

from .attempt import Change, WriteAttempt
from .branches import Stamps
from .journal import STAMP, Journal, stampList, stampsIn
from .merge import MISSING, detached, merge, same
from .versions import shared
from .workingcopy import FrozenCopy, WorkingCopy
from .writes import Function, Write


__all__ = ["Emptied", "Record"]

_K = TypeVar("_K")
_V = TypeVar("_V")

# What most sessions have most of the time: dictionaries would take 64 bytes each.
_NONE: Mapping[Any, Any] = MappingProxyType({})

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
        self.stored: Stored | None = None
        self.number = self.size = 0
        self.problem: SessionError | None = None
        self.refusal: StoreRefusal | None = None
        self.isWanted = False
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
        # Keyed by the bytes they tried to store.  A write that timed out may
        # still be done later.
        self._timedOut: Mapping[bytes, WriteAttempt] = _NONE
        # Keyed by number: attempts that were not stored when we looked.  Somebody
        # may have read them before that, and write them again.
        self._past: Mapping[int, WriteAttempt] = _NONE
        self._open: WriteAttempt | None = None
        self.reverted: Sequence[str] = ()
        # What the framework had no objection to when it was last asked.
        self._written: Mapping[str, Any] = _NONE
        # Whose session which stored data is: it takes time to find out, and most
        # changes are somebody else's and leave the login as it is.  And who was logged
        # in last, as far as anybody was.
        self._person: object = None
        self._owns(self.copy.stored, framework.identity(self.copy.stored))

    @property
    def document(self) -> Document:
        """
        The session as stored and changed.
        """
        return Document(self.copy.data, self._envelope)

    @property
    def identity(self) -> object:
        """
        Who is logged in, as the framework has it; L{None} for nobody.
        """
        if self.unsaved or self.copy.isTouched:
            return self._framework.identity(self.copy.data)
        return self._storedIdentity

    @property
    def _storedIdentity(self) -> object:
        stored = self.copy.stored
        if self._owned[0] is not stored:
            self._owns(stored, self._framework.identity(stored))
        return self._owned[1]

    def _owns(self, stored: dict[str, Any], who: object) -> None:
        self._owned = stored, who
        if who is not None:
            self._person = who

    def _isAnother(self, who: object, person: object) -> bool:
        """
        Whether two people are logged in, or one is after another was.
        """
        return not (
            who is None or person is None or who == person or self._same(who, person)
        )

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
        # In one, for this is asked at each message.
        return self.copy.number > self.number or (self.isWanted and self.stored is None)

    @property
    def _isMissing(self) -> bool:
        return self.isWanted and self.stored is None

    @property
    def isInDoubt(self) -> bool:
        """
        Whether nobody knows yet what became of the last attempt.
        """
        return self._open is not None

    def skip(self) -> None:
        """
        Count a change that was none, because somebody waits for its number.
        """
        isStored = not self.unsaved
        self.copy.number += 1
        if isStored:
            self.number = self.copy.number

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

    def absorb(
        self, current: Stored, now: float, since: float | None = None
    ) -> list[str]:
        """
        Take notice of what is stored now.  Changes are to be collected before.

        @param since: Since when it may have been so at the earliest, if not just now.

        @return: The keys that have another value because of it.

        @raise SessionReplaced: It is another person's.

        @raise UndecodableSession: It cannot be understood.

        @raise Emptied: There is nothing in it any more.
        """
        known = self._settle()
        changed = self._absorb(current, now, since)
        return [*known, *(key for key in changed if key not in known)]

    def _absorb(self, current: Stored, now: float, since: float | None) -> list[str]:
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
        they = self._framework.identity(theirs.data)
        isBack = self._bringsLoginBack(theirs.data, they)
        # Values that did not change stay the same objects: comparing them again
        # takes no time.
        theirData = shared(theirs.data, self.copy.stored, self._same)
        data = self._repaired(theirData, they, stamps, now, since)
        doubtful = self._open
        self._giveUpIncrements()
        self._giveBack()
        if self._timedOut:
            past = {other.number: other for other in self._timedOut.values()}
            self._past = {**self._past, **past}
            self._timedOut = _NONE
        merged = self._rebase(data, deletionsWin=isBack)
        self._envelope = theirs.envelope
        self.stored = current
        if data is theirData:
            self._owns(data, they)
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
                self._timedOut = _without(self._timedOut, attempt.new)
                if attempt is self._open:
                    self._giveBack()
        return []

    def _isProof(self, attempt: WriteAttempt) -> bool:
        """
        Whether an attempt succeeded if the bytes are there that it was to
        store.  Bytes without our stamp may be somebody else's, who stored the
        same: then an increment or an update of ours may be done or not.
        """
        isCounting = attempt.flight.increments or attempt.results
        return self.journal.identifies or not isCounting

    def _unchanged(self, current: Stored) -> list[str]:
        """
        The store has the bytes that it had before: no attempt succeeded, unless
        one did and somebody undid it, without a stamp.
        """
        self.stored = current
        doubtful = self._open
        if doubtful is None or self._isProof(doubtful):
            self._giveBack()
            return []
        self._giveUpIncrements()
        self._giveBack()
        self._timedOut = _NONE
        doubtful.fail(StoreTimeout(_UNKNOWN))
        return []

    def _isEmptied(self, theirs: dict[str, Any], stamps: Stamps) -> bool:
        isEnded = self._framework.isEnded
        if not isEnded(theirs) or isEnded(self.copy.stored):
            return False
        # A new stamp of another node: that node may have emptied it on purpose.
        return not self.journal.isNews(stamps)

    def _bringsLoginBack(self, theirs: dict[str, Any], they: object) -> bool:
        """
        Whether a login that one side ended would be back with what the other
        side changed in it.

        @param they: Who is logged in in C{theirs}.

        @raise SessionReplaced: Two people are logged in, or one is after another was.
        """
        we = self.identity
        if self._isAnother(they, self._person if we is None else we):
            raise SessionReplaced("the session is somebody else's now")
        if (we is not None and they is not None) or self._storedIdentity is None:
            return False
        if not self.unsaved:
            return they is not None
        merged = merge(self.copy.stored, self.copy.collected, theirs, isSame=self._same)
        return self._framework.identity(merged) is not None

    def _repaired(
        self,
        theirs: dict[str, Any],
        they: object,
        stamps: Stamps,
        now: float,
        since: float | None,
    ) -> dict[str, Any]:
        """
        What should be stored, with what somebody overwrote of ours.

        @param they: Who is logged in in C{theirs}.
        """
        if not self._same(self._storedIdentity, they):
            self.journal.seen(theirs, stamps, now)
            self.isRepairing = False
            return theirs
        run = partial(self._run, now=now)
        repaired = self.journal.repaired(theirs, stamps, now, run, since)
        self.isRepairing = repaired is not theirs
        if self.isRepairing:
            # A frame that is sent now waits for the repair, as for a change.
            self.copy.number += 1
        return repaired

    def takeOver(self, now: float) -> list[str]:
        """
        Store again what other nodes wrote and somebody overwrote, if those nodes
        do not.  Changes are to be collected before, and no attempt under way.

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
        # The writer of these bytes had not read the last attempt, so that one is
        # still to be stored.
        self._giveBack()
        if last in self._past:
            attempt = self._past[last]
            self._past = _without(self._past, last)
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
        The outcome of the last write is unknown.  Mark its assignments as
        unsaved again; storing them twice does no harm.
        """
        attempt, self._open = self._open, None
        if attempt is not None:
            self.copy.back(attempt.flight)

    def _giveUpIncrements(self) -> None:
        """
        Nobody can find out any more whether the attempt in doubt succeeded.  Its
        increments are given up: adding them twice would do harm.
        """
        if self._open is not None and self._open.flight.increments:
            self.problem = StoreTimeout(_UNKNOWN)
            self.copy.forget(self._open.flight)

    def _landedLate(self, attempt: WriteAttempt, current: Stored) -> list[str]:
        self._note(attempt)
        if attempt is self._open:
            changed = self.copy.landed(attempt.flight)
        else:
            # An earlier attempt succeeded, so the later ones did not.
            self._giveBack()
            changed = self.copy.landedLate(attempt.flight)
        self._landed(attempt, current)
        attempt.succeed()
        return changed

    # What is to be stored.

    def prepare(self, changes: list[Change], now: float) -> WriteAttempt | None:
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
        # Last: a function that is told may change the session at once.
        for change, failure in made.failed:
            change.fail(failure)
        if attempt is None:
            for change, result in made.results:
                change.succeed(result)
        return attempt

    def _make(self, changes: list[Change], now: float | None = None) -> _Made:
        """
        @param now: Given to see after each change whether it can be stored.
        """
        made = _Made()
        check = _unchecked if now is None else partial(self._dumps, now=now)
        for change in changes:
            before = self.copy.collected if made.data is None else made.data
            try:
                data, result = change.made(before, check)
            except Exception:
                made.failed.append((change, Failure()))
            else:
                made.data = data
                made.results.append((change, result))
                if not _isIdentical(data, before):
                    made.functions.append(change.again(result))
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

    def _attempt(self, made: _Made, now: float) -> WriteAttempt | None:
        isChanged = self.copy.differs(made.data) or self._isMissing
        differs = isChanged or self.isRepairing
        if not differs and not (made.results and (self.stored or self.copy.differs())):
            self.copy.settle()
            self.number = self.copy.number
            return None
        old = None if self.stored is None else self.stored.raw
        if old is not None and not differs:
            return WriteAttempt(
                old, old, KEEP, self.copy.begin(made.data), made.results
            )
        data = self.copy.collected if made.data is None else made.data
        number = self.journal.begin()
        stamps = self.journal.stamps(number, now, isRepair=not isChanged)
        stamped = {**data, STAMP: stampList(stamps)} if stamps else data
        new = self._dumps(stamped, now)
        ttl = self._framework.lifetime(Document(data, self._envelope), now)
        self.size = len(new)
        flight = self.copy.begin(made.data)
        return WriteAttempt(
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
        document = Document(data, self._envelope, self._written)
        raw = self._framework.dumps(document, now)
        # Its values are never changed in place; which it has, is.
        self._written = dict(data)
        return raw

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
                self.reverted = [*self.reverted, *self.copy.revert(keys)]
                self.problem = self.problem or error

    def landed(self, attempt: WriteAttempt, stored: Stored) -> list[str]:
        """
        An attempt succeeded.  Changes are to be collected before, if the attempt
        L{adds <WriteAttempt.adds>} some.

        @return: The keys that have another value now, because of changes that
            were in it.
        """
        self._note(attempt)
        changed = self.copy.landed(attempt.flight)
        self._landed(attempt, stored)
        return changed

    def _note(self, attempt: WriteAttempt) -> None:
        if attempt.new != attempt.old:
            self.journal.wrote(self._writeOf(attempt), attempt.at)

    def _writeOf(self, attempt: WriteAttempt) -> Write:
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

    def _landed(self, attempt: WriteAttempt, stored: Stored) -> None:
        self._timedOut = self._past = _NONE
        self._open = None
        self.isRepairing = False
        self.stored = stored
        self._owns(self.copy.stored, self._framework.identity(self.copy.stored))
        self.number = max(self.number, attempt.flight.number)

    def isStored(self, current: Stored) -> bool:
        """
        Whether the bytes are those that were stored when we last heard of it.
        """
        return self.stored is not None and self.stored.raw == current.raw

    def isSettled(self, current: Stored) -> bool:
        """
        Whether L{absorb} would change nothing: the bytes are known, and the
        outcome of no write is in doubt.
        """
        return self.isStored(current) and not self._timedOut

    def hasStored(self, attempt: WriteAttempt) -> bool:
        """
        Whether an attempt is what was stored when we last heard of it.
        """
        return self.stored is not None and self.stored.raw == attempt.new

    def refused(self, attempt: WriteAttempt) -> None:
        """
        An attempt stored nothing.
        """
        self.copy.back(attempt.flight)

    def refusedBy(self, error: StoreRefusal, attempt: WriteAttempt) -> None:
        """
        The store refuses a value.  The first time, values are looked through for
        what stores refuse.  The second time nothing was found, so everything that
        was changed is given up.

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
            self.reverted = [*self.reverted, *reverted]
            self.problem = self.problem or problem

    def timedOut(self, attempt: WriteAttempt, error: StoreTimeout) -> None:
        """
        Nobody knows whether an attempt succeeded.  The store or the stored bytes
        will tell.  Until then no other attempt may be made.
        """
        attempt.error = error
        self._timedOut = {**self._timedOut, attempt.new: attempt}
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


def _unchecked(data: dict[str, Any]) -> None:
    """
    All of it is looked at in the end.
    """


def _without(mapping: Mapping[_K, _V], key: _K) -> Mapping[_K, _V]:
    return {k: v for k, v in mapping.items() if k != key} or _NONE


def _isIdentical(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return len(one) == len(other) and all(
        other.get(key, MISSING) is value for key, value in one.items()
    )
