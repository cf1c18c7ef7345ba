# -*- test-case-name: tests.test_backend -*-
"""
A store as the manager asks it: with a deadline, and with errors of ours only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from txsessionsock._deferreds import isFired
from txsessionsock._storecheck import checkStore
from txsessionsock.interfaces import (
    TTL,
    IFramework,
    ISessionStore,
    ISharedStore,
    IWatchableStore,
    SessionError,
    Stored,
    StoreError,
    StoreTimeout,
)

from .pace import Pace


__all__ = ["Backend"]

_T = TypeVar("_T")

_Awaited = tuple[float, Deferred[Any], Callable[[], object]]
"""
When somebody waits no more, for what, and what happens then.
"""


class Backend:
    """
    Where sessions are and what they mean, for all live sessions of a manager.

    @ivar timeout: How many seconds the store has for an answer.

    @ivar isWatchable: Whether the store tells what others do.

    @ivar isShared: Whether others write sessions who know nothing of us.

    @ivar pace: Does what may be to be done for very many sessions together.
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
        self.isWatchable = IWatchableStore.providedBy(store)
        self.isShared = ISharedStore.providedBy(store)
        # By how much time they have.
        self._asked: dict[float, deque[_Awaited]] = {}
        self._watchdogs: dict[float, IDelayedCall] = {}
        self._isLate = False
        self.pace = Pace(lambda call: reactor.callLater(0, call))

    @property
    def noAnswer(self) -> str:
        """
        What there is to say when there was none in time.
        """
        return f"the store did not answer within {self.timeout:g} s"

    def now(self) -> float:
        """
        Seconds since the epoch.
        """
        return self.reactor.seconds()

    def later(self, delay: float, call: Callable[[], object]) -> IDelayedCall:
        """
        Call something after some seconds.
        """
        return self.reactor.callLater(delay, call)

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
        See L{IWatchableStore.fence}.  It has half of the time: if it is not
        answered, whoever waits still wants to read.
        """
        return self._ask(self._store.fence, key, timeout=self.timeout / 2)

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
        timeout: float | None = None,
    ) -> Deferred[_T]:
        try:
            answer = operation(*args)
        except Exception:
            answer = fail()
        if not isFired(answer):
            self.expect(answer, partial(self._giveUp, answer), timeout)
        return answer.addErrback(self._ours)

    def expect(
        self,
        answer: Deferred[Any],
        late: Callable[[], object],
        timeout: float | None = None,
    ) -> None:
        """
        Call something if there is no answer in time.

        @param timeout: That of the store unless given.
        """
        timeout = self.timeout if timeout is None else timeout
        # One timer for all that have the same time: they are late in the order
        # in which they were asked.
        asked = self._asked.setdefault(timeout, deque())
        while asked and isFired(asked[0][1]):
            asked.popleft()
        asked.append((self.now() + timeout, answer, late))
        if timeout not in self._watchdogs:
            check = partial(self._checkTimes, timeout)
            self._watchdogs[timeout] = self.later(timeout, check)

    def _checkTimes(self, timeout: float) -> None:
        """
        Fail what the store did not answer in time.
        """
        asked = self._asked[timeout]
        while asked and asked[0][0] <= self.now():
            self.pace.do(asked.popleft()[2])
        # Only now, since those who are told may ask again.
        self._watchdogs.pop(timeout, None)
        if asked:
            delay = max(0.0, asked[0][0] - self.now())
            check = partial(self._checkTimes, timeout)
            self._watchdogs[timeout] = self.later(delay, check)

    def _giveUp(self, answer: Deferred[Any]) -> None:
        if not isFired(answer):
            self._isLate = True
            answer.cancel()
            self._isLate = False

    def rest(self) -> None:
        """
        Have no timer until something is asked, as soon as all is answered.
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
            if watchdog.active():
                watchdog.cancel()
        self._watchdogs.clear()
        self._asked.clear()

    def _ours(self, failure: Failure) -> Failure:
        if failure.check(SessionError):
            return failure
        if self._isLate and failure.check(CancelledError):
            return Failure(StoreTimeout(self.noAnswer))
        self._log.failure("the session store raised what it should not", failure)
        return Failure(StoreError(f"the store failed: {type(failure.value).__name__}"))
