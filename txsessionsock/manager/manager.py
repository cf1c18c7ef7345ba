# -*- test-case-name: tests.manager.test_manager -*-
"""
The one place where stores and frameworks meet, and the only one that decides
when a session is read or written::

    manager = SessionManager(MemoryStore(), Express(secrets=["keyboard cat"]))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from math import inf
from secrets import token_urlsafe
from typing import Any, Literal, TypeVar, cast

from twisted.internet.defer import (
    Deferred,
    DeferredList,
    TimeoutError,
    fail,
    succeed,
)
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._arguments import AboveZero, checked
from txsessionsock._events import Events
from txsessionsock._kinds import Clock, Framework, Store
from txsessionsock._reactor import clockOf
from txsessionsock._storecheck import takeStore
from txsessionsock._waiting import refuseAsync, refuseNoFunction
from txsessionsock.interfaces import (
    CookieAttributes,
    IFramework,
    ISessionStore,
    NoSuchSession,
    SessionError,
    SessionID,
    SessionReplaced,
    StoreFailure,
    TooManySockets,
)
from txsessionsock.session import Holder, Memory, Session, explained, shortHash
from txsessionsock.tickets import Tickets, isTicketKey

from .doubts import Doubts
from .keeper import SessionKeeper
from .moving import move
from .policy import Policy
from .rates import Rations
from .registry import Registry
from .saving import whileStopping
from .shutdown import Ending, Guest
from .slices import Slices
from .statistics import SessionStatistics
from .storage import Storage
from .tally import Tally
from .ticketing import Ticketing


__all__ = ["Freshness", "SessionManager", "Trouble"]

Freshness = Literal["strict", "tracked"]

Trouble = Literal["ending", "store"]
"""
Why a process cannot serve: it ends, or its store is away.
"""

_Watcher = TypeVar("_Watcher", bound=Callable[[Session], object])
_Close = TypeVar("_Close", bound=Callable[[], object])

_Storing = Callable[[SessionKeeper], Deferred[None]]

_LONGEST_WINDOW = 60.0

_BEFORE = 0.125
"""
How many seconds before a process ends to look at what it guards.
"""


@checked
class SessionManager:
    """
    One live L{Session} for each id that this process uses.

    @ivar framework: What the bytes mean.

    @ivar doubts: Says what is probably wrong, while sockets find no session.

    @ivar rations: How many messages of a session or user are handled.

    @ivar slices: When sockets' handlers are called, if there are many to call.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        framework: Framework,
        reactor: Clock | None = None,
        *,
        freshness: Freshness = "strict",
        saveInterval: float = 1.0,
        storeTimeout: AboveZero = 2.0,
        recheckInterval: float = 10.0,
        unsavedLimit: int = 64 * 1024 * 1024,
        repair: bool | None = None,
        repairWindow: float = 5.0,
    ) -> None:
        """
        @param store: Where sessions are.  A store object serves one manager,
            whose L{end} closes it, if it has a C{close}.

        @param framework: What their bytes mean.

        @param reactor: The clock; the global reactor unless a test says
            otherwise.

        @param freshness: C{"strict"}: a handler sees every write whose writer
            had its answer before the message was sent.  C{"tracked"}: it sees
            what the store has reported, without asking; stale by the time a
            report takes.

        @param saveInterval: After how many seconds at the latest a change is
            stored that nobody asked to store at once.

        @param storeTimeout: For how many seconds somebody waits for a store that
            does not answer.  A store has a C{timeout} of its own for its calls;
            one that has none is given up after a quarter more.

        @param recheckInterval: Every how many seconds to look whether a
            session is still there, if the store cannot be watched; 0 for
            never.

        @param repair: Whether to see to it that a web application which writes
            whole sessions, as most do, does not overwrite what was changed
            here meanwhile.  It leaves a stamp in each session that it
            changes, under the key C{_sessionsock}, which handlers do not see.
            Unless said otherwise, with an L{ISharedStore}.

        @param repairWindow: For how many seconds after it was stored a change
            is guarded like that, 60 at most.

        @param unsavedLimit: How many bytes of sessions to keep that could not
            be stored and that nobody holds any more.

        @raise TypeError: One of these is of another kind.

        @raise ValueError: A number is out of range, or the store serves another
            manager.
        """
        if not 0 <= repairWindow <= _LONGEST_WINDOW:
            raise ValueError(f"repairWindow is 0 to 60 seconds, not {repairWindow!r}")
        # Its interface was checked.
        self.framework = cast(IFramework, framework)
        kept = cast(ISessionStore, store)
        clock = clockOf(reactor)
        self._storage = Storage(kept, self.framework, clock, storeTimeout)
        repairs = self._storage.isShared if repair is None else repair
        self._policy = Policy(
            isTracked=freshness == "tracked",
            saveInterval=saveInterval,
            recheckInterval=recheckInterval,
            # With a letter: PHP takes what looks like a number for one.
            node=f"n{token_urlsafe(6)}" if repairs and not framework.readOnly else None,
            repairWindow=repairWindow,
            numbers=count(1),
            memory=Memory(),
        )
        takeStore(store, self)
        self._isStopping = False
        self._registry = Registry(self.framework, unsavedLimit)
        self.rations = Rations(clock)
        self.slices = Slices(clock)
        self.doubts = Doubts(kept, self.framework)
        self._ending = Ending(self.reactor, self.stop)
        self._ending.close(self._storage.failures.end)
        self._ticketing = Ticketing(kept, self._storage, self, self._ending.close)
        self._ending.close(self._storage.events.end)
        closeStore = getattr(store, "close", None)
        if closeStore is not None:
            self._ending.close(closeStore)

    @property
    def reactor(self) -> IReactorTime:
        """
        The clock that everything about sessions goes by.
        """
        return self._storage.reactor

    @property
    def tally(self) -> Tally:
        """
        What was counted since this process began.
        """
        return self._storage.tally

    @property
    def events(self) -> Events:
        """
        What programs that read the log find there.
        """
        return self._storage.events

    def measure(self) -> Tally:
        """
        Note from now on how long handlers and the store take.
        """
        tally = self.tally
        tally.isTiming = True
        self.slices.noteIn(tally.handlers, tally.waits)
        return tally

    @property
    def sockets(self) -> int:
        """
        How many sockets there are, of all kinds.
        """
        return self._ending.count("sockets")

    @property
    def isStoreAway(self) -> bool:
        """
        Whether the store failed when it was last asked.
        """
        return self._storage.condition.isAway

    @property
    def isEnding(self) -> bool:
        """
        Whether this process is about to end: L{end} was called.
        """
        return self._ending.hasBegun or self._isStopping

    def trouble(self) -> Deferred[Trouble | None]:
        """
        Find out whether this process can serve now.  The store is asked once a
        second at most, and not waited for if it was away before.

        @return: A L{Deferred} that fires with why it cannot, C{"ending"} or
            C{"store"}; with L{None} if it can.
        """
        if self.isEnding:
            return succeed("ending")
        return self._storage.isThere().addCallback(lambda ok: None if ok else "store")

    def failed(self, log: Logger, line: str, failure: Failure) -> None:
        """
        Log what went wrong, with its traceback: once a minute, since clients may
        cause it again and again.
        """
        self._storage.failed(log, line, failure)

    def warned(self, log: Logger, line: str, kind: str) -> None:
        """
        The same without one.

        @param kind: Of which kind the line is.
        """
        self._storage.failures.warn(log, line, self.reactor.seconds(), kind)

    def open(
        self, sessionID: SessionID, holder: Holder, limit: int | None = None
    ) -> Deferred[Session]:
        """
        Get a session, fresh.

        @param sessionID: Its id, which was verified.

        @param holder: Who is to be told what happens to it, until L{release}.

        @param limit: How many may hold it in this process.

        @return: A L{Deferred} that fires with the session.  It fails with
            L{NoSuchSession}, L{UndecodableSession}, L{StoreFailure} or
            L{TooManySockets}.  Cancelling it gives up on the session.
        """
        keeper = self._registry.live.get(sessionID)
        if keeper is None:
            if isTicketKey(self.framework.key(sessionID)):
                return fail(NoSuchSession())
            keeper = self._keeper(sessionID)
            self._registry.live[sessionID] = keeper
            return keeper.open(holder)
        if limit is not None and keeper.live.holders.seats + keeper.opening >= limit:
            return fail(TooManySockets(f"the session has {limit} sockets already"))
        self._registry.reopened(keeper)

        def ended(failure: Failure) -> Deferred[Session]:
            # The session ended for those who held it before.  A new holder gets
            # what is stored under the id now, if anything is.
            failure.trap(NoSuchSession, SessionReplaced)
            return self.open(sessionID, holder, limit)

        return keeper.open(holder).addErrback(ended)

    def _keeper(self, sessionID: SessionID) -> SessionKeeper:
        registry = self._registry
        return SessionKeeper(
            self._storage,
            self._policy,
            registry.counts,
            registry,
            sessionID,
            slices=self.slices,
        )

    def create(self, holder: Holder, like: Session | None = None) -> Session:
        """
        Begin a session.  It is not stored until something is put into it.

        @param like: The one in whose place it comes; its cookie has the same
            attributes.
        """
        keeper = self._begin(None if like is None else _keeperOf(like))
        keeper.live.holders.add(holder)
        return keeper.live.session

    def _begin(self, like: SessionKeeper | None = None) -> SessionKeeper:
        keeper = self._keeper(self.framework.newSessionID())
        before = None if like is None else like.live.record.document
        keeper.startNew(self.framework.newDocument(self._storage.now(), before))
        self._registry.new[keeper] = None
        return keeper

    def share(self, session: Session, holder: Holder) -> None:
        """
        Have somebody else hold a session that is held, who is no client and counts
        against no limit.

        @raise SessionError: It is over, or nobody holds it.
        """
        live = _keeperOf(session).live
        live.checkAlive()
        live.holders.add(holder, takesSeat=False)

    def release(self, session: Session, holder: Holder) -> Deferred[None]:
        """
        Hold a session no more.

        @return: A L{Deferred} that fires when all its changes are stored.  It
            fails like that of L{Session.save}; what can be tried again is.
        """
        return _keeperOf(session).release(holder)

    def regenerate(
        self, session: Session, holder: Holder
    ) -> Deferred[tuple[Session, Callable[[], None]]]:
        """
        Continue under a new id.  The old one ends at once, with nothing left
        behind that was stored under it.

        @param holder: Who holds the new session.

        @return: A L{Deferred} that fires with the new session, which has the
            same data and is stored if the old one was, and with what tells
            those who hold the old one.  It fails like that of
            L{Session.save}.
        """
        return Deferred.fromCoroutine(self._regenerate(_keeperOf(session), holder))

    async def _regenerate(
        self, keeper: SessionKeeper, holder: Holder
    ) -> tuple[Session, Callable[[], None]]:
        await keeper.save()
        # Before anything is begun that would have to be undone.
        fresh = keeper.fresh(keeper.arrival())
        if fresh is not None:
            await fresh
        other = self._begin()
        if not keeper.isNew:
            other.expiry.outlive(keeper.expires)
        try:
            tell = await move(keeper, other, holder)
        except Exception:
            # In the background: the caller has waited long enough.
            Deferred.fromCoroutine(self._discard(other))
            raise
        # A new id is no new allowance.
        for kind in "session", "ticket":
            self.rations.moved((kind, keeper.live.id), (kind, other.live.id))
        return other.live.session, tell

    async def _discard(self, keeper: SessionKeeper) -> None:
        try:
            await keeper.destroy()
        except SessionError as error:
            # That does no harm: nobody will ever know its id.
            self._log.warn(
                "an abandoned session stays until it expires: {why}",
                why=explained(error),
            )
        if not keeper.live.isClosed:
            keeper.live.close()

    def watch(self, changed: _Watcher) -> _Watcher:
        """
        Have a function called with each session that changes, whoever
        changed it; its own process's handlers included.  Also a decorator.

        @raise TypeError: That is no function, or would have to be waited for.
        """
        refuseAsync(changed, "watch()")
        self._registry.watch(changed)
        return changed

    def cookieLifetime(self, session: Session) -> float | None:
        """
        For how many seconds a browser shall keep the session's cookie; L{None}
        until it is closed.
        """
        document = _keeperOf(session).live.record.document
        return self.framework.cookieLifetime(document, self._storage.now())

    def cookieAttributes(self, session: Session | None = None) -> CookieAttributes:
        """
        What else a browser is told of the cookie of a session, or of one that
        begins here in no other's place.
        """
        if session is not None:
            document = _keeperOf(session).live.record.document
        else:
            document = self.framework.newDocument(self._storage.now())
        return self.framework.cookieAttributes(document)

    @checked
    def tickets(self, store: Store | None = None) -> Tickets:
        """
        The tickets for sessions of this manager.

        @param store: Where they lie: that of the sessions, unless given.  It serves
            nobody else, and L{end} closes it.

        @raise ValueError: They cannot lie where the sessions are, or lie somewhere
            else already.
        """
        # Its interface was checked.
        return self._ticketing.open(cast(ISessionStore | None, store))

    def statistics(self) -> SessionStatistics:
        """
        How many sessions are live in this process, and what they wait for: for
        whoever watches over it.  As cheap with many sessions as with few.
        """
        return self._registry.statistics(self._storage.unanswered)

    def join(self, guest: Guest) -> None:
        """
        Have clients leave, before the process ends, and before L{stop}.
        """
        self._ending.join(guest)

    def closeAtEnd(self, close: _Close) -> _Close:
        """
        Have something closed when all is stored, before the process ends.  Also
        a decorator.

        @param close: May return a L{Deferred}.

        @raise TypeError: That is no function.
        """
        refuseNoFunction(close, "closeAtEnd()")
        self._ending.close(close)
        return close

    def endWith(self, reactor: Any, *listening: Any, drain: float = 10.0) -> None:
        """
        End well when the reactor stops, on C{SIGTERM} or for another reason:
        see L{end}.  A second C{SIGTERM} or C{SIGINT} ends the process at once.

        @param reactor: Which runs the program.

        @param listening: What listens no more then: ports, or the L{Deferred}s
            that the C{listen} of endpoints returns.

        @param drain: How many seconds it may take.

        @raise TypeError: One of these is something else.

        @raise ValueError: That is no number of seconds.

        @raise SessionError: It was said before, or the reactor has stopped.
        """
        self._ending.beginWith(reactor, drain, listening)

    def end(self, *listening: IListeningPort, drain: float = 10.0) -> Deferred[None]:
        """
        End well: listen no more, close every socket with 1001, answer the
        pages that are under way, store every session, and close the hubs and
        the store.

        @param listening: What listens no more.

        @param drain: How many seconds it may take.

        @return: A L{Deferred} that fires when that is done, or the time is up.

        @raise ValueError: That is no number of seconds.
        """
        return self._ending.begin(drain, listening)

    @property
    def isStopping(self) -> bool:
        """
        Whether everything is stored for the last time.
        """
        return self._isStopping

    def stop(self, drain: float = inf) -> Deferred[None]:
        """
        Store everything, before the process ends, and guard it until
        C{repairWindow} is over, since it was last put back if there is a limit.

        @param drain: For how many seconds at most, in all, to try again what the
            store fails at, and to guard what it has.  Without a limit, nothing is
            tried again.

        @return: A L{Deferred} that fires when everything is stored or failed,
            and nothing is guarded any more.
        """
        self._isStopping = True
        return Deferred.fromCoroutine(self._stop(self._storage.now() + drain))

    async def _stop(self, end: float) -> None:
        registry, now = self._registry, self._storage.now
        loaded = [keeper for keeper in registry.live.values() if keeper.live.isLoaded]
        await self._each([*registry.new, *loaded], _store, end)
        until = min(end, now() + self._policy.repairWindow)
        last = 0.0
        while until > last:
            last = until
            await self._guard(last, end)
            # Without a limit, who overwrites something all the time would keep it
            # from ending.
            until = min(end, self._overwrittenUntil()) if end < inf else last
        registry.isOver = True
        for keeper in list(registry.live.values()):
            keeper.dropIfIdle()
        self._storage.rest()
        self._ticketing.rest()

    async def _guard(self, last: float, end: float) -> None:
        """
        Put back what is overwritten until C{last}, if that is guarded for so long.
        """
        now = self._storage.now
        # What is seen only at the end may look as if it was meant.
        for moment in last - _BEFORE, last:
            while (until := min(moment, self._guardedUntil())) > now():
                await self._storage.sleep(until - now())
            # What was overwritten just now may not be put back yet, or not be seen.
            await self._each(self._guarded(), _putBack, end)

    async def _each(
        self, keepers: Iterable[SessionKeeper], store: _Storing, end: float
    ) -> None:
        storing = [self._untilStored(keeper, store, end) for keeper in keepers]
        await DeferredList([Deferred.fromCoroutine(each) for each in storing])

    async def _untilStored(
        self, keeper: SessionKeeper, store: _Storing, end: float
    ) -> None:
        """
        Store a session, and try again while the store fails and there is time.
        """
        now, storing = self._storage.now, store(keeper)
        why: Exception = TimeoutError()
        for tries in count():
            try:
                await storing
                return
            except TimeoutError:
                break
            except Exception as error:
                why = error
            delay = whileStopping(tries)
            isAgain = isinstance(why, StoreFailure) and now() + delay < end < inf
            if not isAgain:
                break
            await self._storage.sleep(delay)
            # A store that hangs now is told of as it failed before.
            storing = store(keeper).addTimeout(end - now(), self.reactor)
        if keeper.live.isClosed and not (keeper.live.isLoaded and keeper.saving.isBusy):
            # It was let go of meanwhile: nothing is left to store.
            return
        self._notSaved(why, keeper)

    def _guarded(self) -> list[SessionKeeper]:
        """
        @return: Those with something that is to be put back, or may be to, also if
            the store answers that only when it is guarded no more.
        """
        return [
            keeper
            for keeper in self._registry.live.values()
            if keeper.live.isRepairing
            or keeper.guardedFor() > 0
            # The answer may show that something was overwritten.
            or keeper.reading.isRechecking
        ]

    def _guardedUntil(self) -> float:
        keepers = self._registry.live.values()
        longest = max((keeper.guardedFor() for keeper in keepers), default=0.0)
        return self._storage.now() + longest

    def _overwrittenUntil(self) -> float:
        keepers = self._registry.live.values()
        return max((keeper.live.overwrittenUntil for keeper in keepers), default=0.0)

    def _notSaved(self, why: Exception, keeper: SessionKeeper) -> None:
        self._log.error(
            "session {session}, {size} bytes, was not stored: {why}",
            session=shortHash(keeper.live.id),
            size=keeper.live.record.size,
            why=explained(why),
        )

    def isNews(self, warning: str) -> bool:
        """
        Whether this is asked for the first time.

        @param warning: What to say once.
        """
        return self._registry.isNews(warning)


def _keeperOf(session: Session) -> SessionKeeper:
    keeper = session.keeper
    assert isinstance(keeper, SessionKeeper), "not a session of a manager"
    return keeper


def _store(keeper: SessionKeeper) -> Deferred[None]:
    return keeper.saving.save()


def _putBack(keeper: SessionKeeper) -> Deferred[None]:
    """
    Store what somebody overwrote, also if the store has not told of that.
    """

    async def putBack() -> None:
        try:
            await keeper.reading.read(always=not keeper.reading.isTold)
        except StoreFailure:
            raise
        except SessionError:
            # It is over, or nobody can tell what is in it.
            return
        await keeper.saving.save()

    return Deferred.fromCoroutine(putBack())
