# -*- test-case-name: tests.manager.test_storage -*-
"""
A store as the manager asks it: with a deadline, and it fails with our errors only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from txsessionsock._alarms import Alarms
from txsessionsock._deferreds import Timer, isFired
from txsessionsock._events import Events
from txsessionsock._seldom import Seldom
from txsessionsock._storecheck import checkStore
from txsessionsock.interfaces import (
    TTL,
    IFramework,
    ISessionStore,
    ISharedStore,
    ISignedCookies,
    IWatchableStore,
    SessionError,
    Stored,
    StoreError,
    StoreTimeout,
)

from .condition import Condition
from .pace import Pace
from .tally import Tally


__all__ = ["Storage"]

_T = TypeVar("_T")

_LOOSER: Final = 1.25
"""
How much more time a call of the store has than those who wait for it.
"""

_Late = Callable[[Deferred[Any], float], object]
"""
Is called with what was not fired in time, and since when it was awaited.
"""

_Awaited = tuple[float, Deferred[Any], _Late]
"""
Since when somebody waits, for what, and what happens when it is late.
"""


class Storage:
    """
    Where sessions are and what they mean, for all live sessions of a manager.

    There are two deadlines.  Those who wait for a session hear of an outage
    within C{timeout}; see L{Asking<txsessionsock.manager.asking.Asking>}.  A call
    of the store is the store's own business: only the store knows whether it has
    sent something, so our stores have a deadline of their own.  The one here is a
    net for stores that have none.  It is looser, so that the store comes first.

    @ivar timeout: For how many seconds somebody waits for the store.

    @ivar isWatchable: Whether the store tells what others do.

    @ivar isShared: Whether others write sessions who know nothing of us.

    @ivar unanswered: How many questions the store has not answered yet.

    @ivar alarms: Wake those of whom there is one for each session.

    @ivar later: Calls something after some seconds.

    @ivar pace: Does what may be to be done for very many sessions together.

    @ivar tally: What is counted for those who watch over this process.

    @ivar events: What they find in the log.

    @ivar condition: Whether the store answers.
    """

    _log = Logger()

    def __init__(
        self,
        store: ISessionStore,
        framework: IFramework,
        reactor: IReactorTime,
        timeout: float,
    ) -> None:
        """
        @param timeout: How many seconds the store has for an answer.

        @raise DoesNotImplement: What is given as a store is none.

        @raise TypeError: It lacks something that stores have.
        """
        checkStore(store)
        verifyObject(IFramework, framework)
        self._store: Any = store
        self.framework = framework
        self.reactor = reactor
        self.timeout = timeout
        self.failures = Seldom(reactor)
        self.tally = Tally()
        self.events = Events(reactor.seconds)
        self.condition = Condition(reactor, self.events, self.tally)
        self.isWatchable = IWatchableStore.providedBy(store)
        self.isShared = ISharedStore.providedBy(store)
        # By how much time they have.
        self._asked: dict[float, deque[_Awaited]] = {}
        self._watchdogs: dict[float, Timer] = {}
        self._isLate = False
        self.unanswered = 0
        self.alarms = Alarms(reactor)
        # Here, since a method would be an object of its own for whoever keeps it.
        self.later: Callable[[float, Callable[[], object]], IDelayedCall]
        self.later = reactor.callLater
        self.pace = Pace(lambda call: reactor.callLater(0, call))

    def noAnswer(self) -> StoreTimeout:
        """
        What those who waited fail with.
        """
        return StoreTimeout(f"the store did not answer within {self.timeout:g} s")

    def now(self) -> float:
        """
        Seconds since the epoch.
        """
        return self.reactor.seconds()

    def failed(self, log: Logger, line: str, failure: Failure) -> None:
        """
        Log what was not to be expected, and may come with each message.
        """
        self.failures.failure(log, line, failure, self.now())

    def sleep(self, delay: float) -> Deferred[None]:
        """
        Fire after some seconds.
        """
        return deferLater(self.reactor, delay)

    def load(self, key: str) -> Deferred[Stored | None]:
        """
        See L{ISessionStore.load}.
        """
        return self._ask(self._store.load, key)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        """
        See L{ISessionStore.create}.
        """
        return self._ask(self._store.create, key, raw, ttl)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        """
        See L{ISessionStore.replace}.
        """
        return self._ask(self._store.replace, key, old, new, ttl)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        """
        See L{ISessionStore.touch}.
        """
        return self._ask(self._store.touch, key, ttl)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        """
        See L{ISessionStore.destroy}.
        """
        return self._ask(self._store.destroy, key, old)

    def fence(self, key: str) -> Deferred[None]:
        """
        See L{IWatchableStore.fence}.  It has half of the time: if there is no
        answer, those who wait still want to read.
        """
        fence = self._ask(self._store.fence, key, isFence=True)
        return fence.addBoth(self._fenced, self.now()) if self.tally.isTiming else fence

    def _fenced(self, result: _T, asked: float) -> _T:
        self.tally.fences.note(self.now() - asked)
        return result

    def isThere(self) -> Deferred[bool]:
        """
        Find out whether the store answers; see L{Condition.find}.
        """
        return self.condition.find(self._look)

    def _look(self) -> Deferred[Any]:
        if ISignedCookies.providedBy(self.framework):
            # There is nobody to be asked.
            return succeed(None)
        # One that nobody has.
        return self.load(self.framework.key(self.framework.newSessionID()))

    def watch(self, key: str, changed: Callable[[str], None]) -> Callable[[], None]:
        """
        See L{IWatchableStore.watch}.  Does nothing if the store cannot.
        """
        if not self.isWatchable:
            return lambda: None
        stop: Callable[[], None] = self._store.watch(key, changed)
        return stop

    def _ask(
        self,
        operation: Callable[..., Deferred[_T]],
        *args: Any,
        isFence: bool = False,
    ) -> Deferred[_T]:
        try:
            answer = operation(*args)
        except Exception:
            answer = fail()
        if isFired(answer):
            if self.condition.isAway and not isinstance(answer.result, Failure):
                self.condition.answered()
            return answer.addErrback(self._ours if isFence else self._troubled)
        self.unanswered += 1
        most = self.timeout / 2 if isFence else self.timeout * _LOOSER
        self.expect(answer, self._giveUp, most)
        failed = self._notFenced if isFence else self._failed
        return answer.addCallbacks(self._answered, failed)

    def _answered(self, result: _T) -> _T:
        self.unanswered -= 1
        if self.condition.isAway:
            self.condition.answered()
        return result

    def _failed(self, failure: Failure) -> Failure:
        self.unanswered -= 1
        return self._troubled(failure)

    def _notFenced(self, failure: Failure) -> Failure:
        # A store that does not see what others do fails each fence, and answers all
        # else.  One that is away fails what is asked next, too.
        self.unanswered -= 1
        return self._ours(failure)

    def _troubled(self, failure: Failure) -> Failure:
        ours = self._ours(failure)
        self.condition.failed(ours)
        return ours

    def expect(
        self, answer: Deferred[Any], late: _Late, timeout: float | None = None
    ) -> None:
        """
        Call something if there is no answer in time.

        @param late: Is called with C{answer}, and with when this was called.

        @param timeout: After how many seconds; L{timeout} unless given.
        """
        timeout = self.timeout if timeout is None else timeout
        # One timer for all answers with the same timeout: they are due in the
        # order in which they were asked for.
        asked = self._asked.get(timeout)
        if asked is None:
            asked = self._asked[timeout] = deque()
            self._watchdogs[timeout] = Timer(self.reactor)
        while asked and isFired(asked[0][1]):
            asked.popleft()
        asked.append((self.now(), answer, late))
        watchdog = self._watchdogs[timeout]
        if not watchdog.isRunning:
            watchdog.start(timeout, self._checkTimes, timeout)

    def _checkTimes(self, timeout: float) -> None:
        """
        Fail what the store did not answer in time.
        """
        asked = self._asked[timeout]
        while asked and asked[0][0] + timeout <= self.now():
            since, answer, late = asked.popleft()
            self.pace.do(partial(late, answer, since))
        # Those who were told may have asked again, and started the timer.
        if asked:
            delay = asked[0][0] + timeout - self.now()
            self._watchdogs[timeout].start(delay, self._checkTimes, timeout)

    def _giveUp(self, answer: Deferred[Any], since: float) -> None:
        if not isFired(answer):
            self._isLate = True
            answer.cancel()
            self._isLate = False

    def rest(self) -> None:
        """
        Stop all timers, as soon as the store has answered everything.
        """

        def answered(result: _T) -> _T:
            self.rest()
            return result

        asked = [answer for queue in self._asked.values() for _, answer, _ in queue]
        pending = [answer for answer in asked if not isFired(answer)]
        if pending:
            pending[-1].addBoth(answered)
            return
        for watchdog in self._watchdogs.values():
            watchdog.stop()
        self._asked.clear()

    def _ours(self, failure: Failure) -> Failure:
        if failure.check(SessionError):
            return failure
        if self._isLate and failure.check(CancelledError):
            return Failure(self.noAnswer())
        self.failed(self._log, "the session store raised what it should not", failure)
        return Failure(StoreError(f"the store failed: {type(failure.value).__name__}"))
