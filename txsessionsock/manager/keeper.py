# -*- test-case-name: tests.manager.test_manager -*-
"""
Keeping one session: opening it, handlers that work on it, and letting go of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import backOff
from txsessionsock.interfaces import (
    Document,
    EndReason,
    NoSuchSession,
    SessionID,
    SessionReadOnly,
    StoreTimeout,
)
from txsessionsock.session import Holder, Session, Update, shortHash

from .expiry import Expiry
from .live import Live
from .policy import Policy
from .reading import Reading
from .repeats import Repeats, Runner
from .saving import Saving
from .slices import Slices
from .statistics import Counts
from .storage import Storage


__all__ = ["Owner", "SessionKeeper"]

_T = TypeVar("_T")

_GUARD: Final = "guard"
_LET_OTHERS: Final = "let others"

_ACTIVE: Final = 100
"""
For how many times as long as a write takes a report shows that others write, too.
"""

_PATIENCE: Final = 0.25
"""
For how many seconds to let them go first at most.
"""


class Owner(Protocol):
    """
    What has the keepers of all live sessions, as each of them knows it.
    """

    @property
    def isOver(self) -> bool:
        """
        Whether nothing is guarded any more, because the process ends.
        """

    def firstStored(self, keeper: SessionKeeper) -> None:
        """
        A session that began here was stored.
        """

    def changed(self, keeper: SessionKeeper) -> None:
        """
        Keys of a session have other values, whoever did it.
        """

    def gone(self, keeper: SessionKeeper) -> None:
        """
        A session is live no more.
        """

    def keeps(self, keeper: SessionKeeper) -> bool:
        """
        A session that nobody holds could not be stored.

        @return: Whether to go on trying.
        """

    def stored(self, keeper: SessionKeeper) -> None:
        """
        All changes of a session that nobody holds are stored.
        """

    def lost(self, keeper: SessionKeeper) -> None:
        """
        The changes of a session will not be stored.
        """

    def isNews(self, warning: str) -> bool:
        """
        Whether a warning was not given yet.
        """


class SessionKeeper:
    """
    Keeps one live session fresh and stored.  Nothing here decides when a handler
    runs; clients and pages do.

    @ivar opening: How many are about to hold the session.
    """

    _log = Logger()

    isHandling = False
    opening = 0

    def __init__(
        self,
        storage: Storage,
        policy: Policy,
        counts: Counts,
        owner: Owner,
        id: SessionID,
        *,
        slices: Slices,
    ) -> None:
        """
        @param slices: When handlers run that may run again.
        """
        self._storage = storage
        self._slices = slices
        self._owner = owner
        # Whose frames wait for which change, if there will be one.
        self._promised: dict[Holder, int] | None = None
        self.live = Live(storage, policy, counts, id, self)
        # None of these keeps its keeper; see Live.
        self.reading = Reading(self.live)
        self.expiry = Expiry(self.live, self.reading)
        self.saving = Saving(self.live, self.reading, self.expiry)

    # What is known of the session.

    @property
    def expires(self) -> float | None:
        return self.live.expires

    @property
    def created(self) -> float | None:
        return self.live.created

    @property
    def isNew(self) -> bool:
        return self.live.isNew

    @property
    def reason(self) -> EndReason | None:
        return self.live.reason

    def identity(self) -> object:
        return self.live.record.identity

    # Those who hold it.

    @property
    def isHeld(self) -> bool:
        """
        Whether somebody has the session open, or is about to.
        """
        return bool(self.live.holders) or self.opening > 0

    def startNew(self, document: Document) -> None:
        """
        Keep a new session, which is stored when something is put into it.
        """
        self.live.startNew(document)

    def open(self, holder: Holder) -> Deferred[Session]:
        """
        Load the session, or make it fresh.
        """

        def opened(_: object) -> Session:
            self.opening -= 1
            self.live.checkAlive()
            self.live.holders.add(holder)
            return self.live.session

        def failed(failure: Failure) -> Failure:
            self.opening -= 1
            self.dropIfIdle()
            return failure

        self.opening += 1
        return self.reading.opened().addErrback(failed).addCallback(opened)

    def release(self, holder: Holder) -> Deferred[None]:
        """
        Hold the session no more.

        @return: A L{Deferred} that fires when everything is stored.
        """
        self.live.holders.remove(holder)
        if self.live.reason is not None:
            return succeed(None)

        def done(result: _T) -> _T:
            self.dropIfIdle()
            return result

        return self.save().addBoth(done)

    # Letting go of it.

    def guardedFor(self) -> float:
        """
        For how many seconds the session stays live, even if nobody holds it, in
        case somebody overwrites what was stored.
        """
        if self._owner.isOver:
            return 0.0
        return self.live.repairUntil - self._storage.now()

    def dropIfIdle(self) -> None:
        """
        Be live no more, if nobody holds the session and nothing is to be stored
        or guarded.
        """
        live = self.live
        if live.isClosed or self.isHeld:
            return
        if live.isLoaded and live.record.copy.isTouched:
            # Somebody set a key after the last holder was gone.
            live.collect()
        isBusy = live.isLoaded and self.saving.isBusy
        if not isBusy:
            self._owner.stored(self)
        guarded = self.guardedFor()
        if guarded > 0:
            if not live.timers.isRunning(_GUARD):
                live.timers.start(_GUARD, guarded, self.dropIfIdle)
        elif self.reading.isRechecking and not self._owner.isOver:
            # The answer may show that something was overwritten.
            return
        elif not isBusy or (self.saving.isFailing and not self._owner.keeps(self)):
            live.close()

    def dropOverdue(self) -> bool:
        """
        Be live no more, if nobody holds the session.
        """
        if self.isHeld:
            return False
        self._owner.lost(self)
        self.live.close()
        return True

    # What the state, the reading side and the writing side tell.

    @property
    def isTold(self) -> bool:
        return self.reading.isTold

    def keysChanged(self) -> None:
        self._owner.changed(self)

    def deadlineMoved(self, deadline: float | None) -> None:
        self.expiry.moved(deadline)

    def repairWanted(self) -> None:
        self.saving.repair()

    def ending(self) -> None:
        # A handler that sent something may end the session before it ends itself.
        if self._promised:
            self.live.collect()
            self._keepPromises()

    def closed(self) -> None:
        self.live.timers.stop(_GUARD, _LET_OTHERS)
        self.reading.stop()
        self.expiry.stop()
        self.saving.stop()
        self._owner.gone(self)

    def giveUpChanges(self) -> None:
        self.saving.abandon()

    def firstStored(self) -> None:
        self._owner.firstStored(self)

    def isNews(self, warning: str) -> bool:
        return self._owner.isNews(warning)

    # Handlers.

    def arrival(self) -> int:
        return self.reading.arrival()

    def fresh(self, arrival: int) -> Deferred[None] | None:
        return self.reading.fresh(arrival)

    def isAtHand(self, now: float, since: float | None) -> bool:
        live, repeats = self.live, self.saving.repeats
        return (
            live.reason is None
            and (repeats is None or not repeats.isDrafting)
            and live.record.stored is not None
            and (since is None or self.reading.isFresh(since))
            and not self.expiry.isDue(now)
        )

    def clientActed(self, *, isFresh: bool) -> None:
        if self.live.reason is None and not self.live.isNew:
            self.expiry.clientActed(isFresh=isFresh)

    def handlerBegins(self, holder: Holder) -> None:
        live = self.live
        holders = live.holders
        # What was changed until now is not this handler's doing.  As mayBeChanged
        # has it, with fewer calls.
        if live.record.copy.isTouched or holders.inside:
            live.collect()
        holders.handlerBegins(holder)
        self.isHandling = True

    def handlerWaits(self, *, looks: bool) -> None:
        self.isHandling = False
        if self._promised:
            self.live.collect()
            self._keepPromises()
        if looks and self.live.reason is None:
            self.saving.soon()

    def changing(self) -> None:
        if not self.live.isClosed:
            self.saving.soon()
        elif self.live.reason is None:
            self._log.warn(
                "session {session} was changed when nobody had it open any more:"
                " that is not stored",
                session=shortHash(self.live.id),
            )

    def handlerEnds(self, holder: Holder, *, wasSync: bool, saveNow: bool) -> int:
        live = self.live
        record = live.record
        self.isHandling = False
        if record.copy.suspects:
            live.collect(holder if wasSync else None)
        number = live.holders.handlerEnds(holder)
        if self._promised:
            self._keepPromises()
        if record.unsaved and live.reason is None:
            if saveNow:
                # Handlers of the same turn share one write.
                self.saving.atEndOfTurn()
            else:
                self.saving.soon()
        return number

    # Handlers that may run again.

    def enter(self, runner: Runner) -> None:
        repeats = self.saving.repeats
        if repeats is None:
            repeats = Repeats(self.live, self._slices.seconds)
            self.saving.repeats = repeats
        repeats.enter(runner)

    def leave(self, runner: Runner) -> None:
        if self.saving.repeats is not None:
            self.saving.repeats.leave(runner)

    def repeatLater(self) -> None:
        """
        Have handlers run that may run again, together with those that come in this
        turn of the reactor.

        Where others write the session, too, who has stored something lets them go
        first: the longer, the more often it did so and nobody else.  These are about to
        store something on what was there before, fail, and try again; they would not
        have their turn if this went on at once each time.
        """
        repeats = self.saving.repeats
        isBulk = repeats is not None and repeats.isNew
        later = partial(self._slices.later, self, self._repeat, isBulk=isBulk)
        took = self.saving.took
        if self._storage.now() - self.reading.toldAt > _ACTIVE * took:
            later()
        else:
            wait = backOff(took, _PATIENCE, self.saving.inARow, 1.0)
            self.live.timers.start(_LET_OTHERS, wait, later)

    def _repeat(self) -> None:
        repeats = self.saving.repeats
        if repeats is not None and repeats.isWaiting:
            self._inSlice(repeats, partial(self.saving.add, repeats))

    def slice(self) -> Deferred[None] | None:
        """
        Wait for the time that this session's handlers have.

        @return: L{None} if it is now.
        """
        repeats = self.saving.repeats
        if repeats is None or repeats.isInSlice:
            return None
        slice: Deferred[None] = Deferred()
        begin = partial(slice.callback, None)
        self._slices.later(self, partial(self._inSlice, repeats, begin))
        return slice

    def inSlice(self, work: Callable[[], object]) -> None:
        if self._slices.hasTime():
            self._slices.spend(work)
        else:
            self._slices.later(self, work, isBulk=True)

    def _inSlice(self, repeats: Repeats, call: Callable[[], object]) -> None:
        repeats.isInSlice = True
        try:
            call()
        finally:
            repeats.isInSlice = False

    def undrafted(self) -> Deferred[None] | None:
        repeats = self.saving.repeats
        if repeats is None or not repeats.isDrafting:
            return None
        return repeats.undrafted()

    # What goes out.

    def unsaved(self, holder: Holder | None = None) -> int | None:
        live, copy = self.live, self.live.record.copy
        if live.reason is not None:
            return None
        if self.isHandling and holder is not None and copy.suspects:
            # Whether the handler changes something is looked for when it ends or
            # waits, and not for each frame that it sends.
            if self._promised is None:
                self._promised = {}
            self._promised[holder] = copy.number + 1
            return copy.number + 1
        if copy.suspects:
            live.collect()
        if live.record.unsaved:
            self.saving.atEndOfTurn()
            return copy.number
        return self.givenUp()

    def givenUp(self) -> int | None:
        # Something was given up, and all are about to be told.  What whoever made
        # that change sends now is not to go out.
        record = self.live.record
        return None if record.problem is None else record.copy.number

    def _keepPromises(self) -> None:
        """
        Let frames go, or know what they wait for, now that changes were looked
        for.
        """
        # A holder may have been told of a change while changes were looked for:
        # then the end of its handler has kept them already.
        if not self._promised:
            return
        promised, self._promised = self._promised, None
        record = self.live.record
        if record.copy.number < max(promised.values()):
            record.skip()
        if record.unsaved:
            self.saving.atEndOfTurn()
            return
        if record.problem is not None:
            # All are about to be told; see unsaved().
            return
        for holder in promised:
            holder.stored(record.number)

    # What the session offers.

    def save(self) -> Deferred[None]:
        return self.live.asking.inTime(self.saving.save())

    def change(self, f: Callable[[dict[str, Any]], _T]) -> Deferred[_T]:
        if self._storage.framework.readOnly:
            return fail(SessionReadOnly())
        done: Deferred[_T] = Deferred()
        self.saving.add(Update(f, done, self.live.holders.author()))
        return self.live.asking.inTime(done)

    def reload(self) -> Deferred[None]:
        reading = Deferred.fromCoroutine(self.reading.read(always=True))
        return self.live.asking.inTime(reading)

    def touch(self) -> Deferred[None]:
        if self.live.reason is not None:
            return fail(NoSuchSession())
        if self.live.isNew:
            return succeed(None)
        return self.live.asking.inTime(self.expiry.touch())

    def destroy(self) -> Deferred[None]:
        return self.live.asking.inTime(Deferred.fromCoroutine(self._destroy()))

    async def _destroy(self) -> None:
        live = self.live
        if live.isNew and live.reason is None:
            # A write may be under way that stores it.
            async with live.turn:
                pass
        if live.reason is None and not (live.isNew and not live.record.isInDoubt):
            try:
                await live.asking.asked(self._storage.destroy(live.key))
            except StoreTimeout:
                self.reading.suspect()
                raise
        live.end("destroyed")
