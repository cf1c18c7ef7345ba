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

from ._pace import Pace
from ._storecheck import checkStore
from .interfaces import (
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


__all__ = ["Backend", "isFired"]

_T = TypeVar("_T")


class Backend:
    """
    Where sessions are and what they mean, for all live sessions of a manager.

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
        self._timeout = timeout
        self.isWatchable = IWatchableStore.providedBy(store)
        self.isShared = ISharedStore.providedBy(store)
        self._asked: deque[tuple[float, Deferred[Any]]] = deque()
        self._watchdog: IDelayedCall | None = None
        self._isLate = False
        self.pace = Pace(lambda call: reactor.callLater(0, call))

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
        See L{IWatchableStore.fence}.
        """
        return self._ask(self._store.fence, key)

    def watch(self, key: str, changed: Callable[[str], None]) -> Callable[[], None]:
        """
        See L{IWatchableStore.watch}.  Does nothing if the store cannot.
        """
        if not self.isWatchable:
            return lambda: None
        stop: Callable[[], None] = self._store.watch(key, changed)
        return stop

    def _ask(self, operation: Callable[..., Deferred[_T]], *args: Any) -> Deferred[_T]:
        try:
            answer = operation(*args)
        except Exception:
            answer = fail()
        if not isFired(answer):
            self._expect(answer)
        return answer.addErrback(self._ours)

    def _expect(self, answer: Deferred[Any]) -> None:
        # One timer for all: they have the same time, so they are late in the
        # order in which they were asked.
        while self._asked and isFired(self._asked[0][1]):
            self._asked.popleft()
        self._asked.append((self.now() + self._timeout, answer))
        if self._watchdog is None:
            self._watchdog = self.later(self._timeout, self._checkTimes)

    def _checkTimes(self) -> None:
        """
        Fail what the store did not answer in time.
        """
        self._watchdog = None
        while self._asked and self._asked[0][0] <= self.now():
            self.pace.do(partial(self._giveUp, self._asked.popleft()[1]))
        if self._asked:
            delay = max(0.0, self._asked[0][0] - self.now())
            self._watchdog = self.later(delay, self._checkTimes)

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

        pending = [answer for _, answer in self._asked if not isFired(answer)]
        if pending:
            pending[-1].addBoth(answered)
        elif self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
            self._asked.clear()

    def _ours(self, failure: Failure) -> Failure:
        if failure.check(SessionError):
            return failure
        if self._isLate and failure.check(CancelledError):
            problem = f"the store did not answer within {self._timeout:g} s"
            return Failure(StoreTimeout(problem))
        self._log.failure("the session store raised what it should not", failure)
        return Failure(StoreError(f"the store failed: {type(failure.value).__name__}"))


def isFired(deferred: Deferred[Any]) -> bool:
    """
    Whether a L{Deferred} has its result, and does not wait for another one.
    """
    return bool(deferred.called) and not deferred.paused
