# -*- test-case-name: tests.test_backend -*-
"""
A store as the manager asks it: with a deadline, and with errors of ours only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface.exceptions import DoesNotImplement
from zope.interface.verify import verifyObject

from .interfaces import (
    TTL,
    IFramework,
    ISessionStore,
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
        """
        if not ISessionStore.providedBy(store):
            raise DoesNotImplement(ISessionStore, store)
        verifyObject(IFramework, framework)
        self._store: Any = store
        self.framework = framework
        self.reactor = reactor
        self._timeout = timeout
        self.isWatchable = IWatchableStore.providedBy(store)

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

    def destroy(self, key: str) -> Deferred[bool]:
        """
        See L{ISessionStore.destroy}.
        """
        return self._ask(self._store.destroy, key)

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
            answer.addTimeout(self._timeout, self.reactor, _timedOut)
        return answer.addErrback(self._ours)

    def _ours(self, failure: Failure) -> Failure:
        if failure.check(SessionError):
            return failure
        self._log.failure("the session store raised what it should not", failure)
        return Failure(StoreError(f"the store failed: {type(failure.value).__name__}"))


def isFired(deferred: Deferred[Any]) -> bool:
    """
    Whether a L{Deferred} has its result, and does not wait for another one.
    """
    return bool(deferred.called) and not deferred.paused


def _timedOut(result: object, timeout: float) -> Failure:
    if isinstance(result, Failure) and result.check(SessionError):
        return result
    return Failure(StoreTimeout(f"the store did not answer within {timeout:g} s"))
