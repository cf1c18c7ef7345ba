# -*- test-case-name: tests.stores.test_store_cached -*-
"""
Sessions of which the web application has copies in a cache, as Django's
C{cached_db} does::

    store = CachedStore(
        SQLStore("postgresql://web@localhost/shop", DJANGO),
        RedisStore("redis://localhost"),
        framework.cacheKey,
    )
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import alsoProvides, implementer

from txsessionsock._arguments import checked
from txsessionsock._deferreds import Timer
from txsessionsock._kinds import Clock, Store
from txsessionsock._reactor import clockOf
from txsessionsock._storecheck import checkStore
from txsessionsock.interfaces import (
    TTL,
    ITableStore,
    IWatchableStore,
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreError,
    StoreFailure,
    StoreTimeout,
    StoreUnavailable,
    UndecodableSession,
)

from ._watchers import Changed


__all__ = ["CachedStore"]

_T = TypeVar("_T")

_AGAIN = (0.05, 0.25, 1.0)
"""
After how many seconds a copy is deleted once more, each time: the web
application may have read the session before we changed it, and stored the copy
after we deleted it.
"""

_LAST = len(_AGAIN) - 1

_NOTHING_DONE = (
    NoSuchSession,
    SessionConflict,
    StoreError,
    StoreUnavailable,
    UndecodableSession,
)


@checked
@implementer(ITableStore)
class CachedStore:
    """
    A store whose sessions have copies in a cache, which the web application
    reads first: after each change the copy is deleted, and then the change is
    answered.  The copies are never read.

    It can be watched if the store with the sessions can.

    Nothing is changed while the cache cannot be reached.  If it is lost in the
    middle, the change fails with L{StoreTimeout}, and nothing is said about
    that session until its copy is deleted.
    """

    _log = Logger()

    def __init__(
        self,
        sessions: Store,
        cache: Store,
        cacheKey: Callable[[str], str],
        reactor: Clock | None = None,
    ) -> None:
        """
        @param sessions: Where the sessions are.

        @param cache: Where the copies are.

        @param cacheKey: Tells the key of a copy from that of its session.

        @param reactor: The global reactor unless said otherwise.

        @raise TypeError: One of the stores lacks something that stores have.

        @raise ValueError: Both are the same.
        """
        checkStore(sessions)
        checkStore(cache)
        if sessions is cache:
            raise ValueError("the sessions and their copies are in two stores")
        self._sessions, self._cache = sessions, cache
        self._cacheKey = cacheKey
        self._reactor = clockOf(reactor)
        # The keys of sessions of which the cache may have an older copy.
        self._doubtful: dict[str, object] = {}
        self._timers: dict[str, Timer] = {}
        # How many deletions of each are under way.
        self._deleting: Counter[str] = Counter()
        self._isFailing = self._isClosed = False
        if IWatchableStore.providedBy(sessions):
            alsoProvides(self, IWatchableStore)

    def load(self, key: str) -> Deferred[Stored | None]:
        return Deferred.fromCoroutine(self._load(key))

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self._change(key, lambda: self._sessions.create(key, raw, ttl))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        return self._change(key, lambda: self._sessions.replace(key, old, new, ttl))

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        # A copy has a deadline of its own, which may be too late now.
        return self._change(key, lambda: self._sessions.touch(key, ttl))

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return self._change(key, lambda: self._sessions.destroy(key, old))

    def watch(self, key: str, changed: Changed) -> Callable[[], None]:
        return cast(IWatchableStore, self._sessions).watch(key, changed)

    def fence(self, key: str) -> Deferred[None]:
        return cast(IWatchableStore, self._sessions).fence(key)

    def close(self) -> Deferred[None]:
        """
        Delete what is still to be deleted, and close both stores.  This takes a
        second, if something was changed just before.
        """
        return Deferred.fromCoroutine(self._close())

    async def _load(self, key: str) -> Stored | None:
        doubt = self._doubtful.get(key)
        try:
            stored = await self._sessions.load(key)
        except UndecodableSession:
            # The store has answered: the copy is deleted as after any answer.
            await self._deleteDoubtful(key, doubt)
            raise
        await self._deleteDoubtful(key, doubt)
        return stored

    async def _deleteDoubtful(self, key: str, doubt: object) -> None:
        if key in self._doubtful:
            await self._delete(key)
            self._settle(key, doubt)

    def _change(self, key: str, ask: Callable[[], Deferred[_T]]) -> Deferred[_T]:
        return Deferred.fromCoroutine(self._changed(key, ask))

    async def _changed(self, key: str, ask: Callable[[], Deferred[_T]]) -> _T:
        try:
            await self._delete(key)
        except StoreTimeout as error:
            # What is known is that the session was not changed.
            raise StoreUnavailable(str(error)) from None
        try:
            result = await ask()
        except _NOTHING_DONE:
            raise
        except Exception:
            self._doubt(key)
            raise
        doubt = self._doubt(key)
        try:
            await self._delete(key)
        except StoreFailure as error:
            problem = f"changed, but an older copy may be left: {error}"
            raise StoreTimeout(problem) from None
        self._settle(key, doubt)
        return result

    def _delete(self, key: str) -> Deferred[bool]:
        return self._cache.destroy(self._cacheKey(key))

    def _doubt(self, key: str) -> object:
        doubt = self._doubtful[key] = object()
        self._later(key)
        return doubt

    def _settle(self, key: str, doubt: object) -> None:
        """
        A copy was deleted after all that was done before C{doubt} arose.
        """
        if self._doubtful.get(key) is doubt:
            self._doubtful.pop(key, None)

    # What is deleted once more.

    def _later(self, key: str, turn: int = 0) -> None:
        if not self._isClosed:
            timer = self._timers.setdefault(key, Timer(self._reactor))
            timer.start(_AGAIN[turn], self._timeToDelete, key, turn)

    def _timeToDelete(self, key: str, turn: int) -> None:
        del self._timers[key]
        self._deleting[key] += 1
        deleting = Deferred.fromCoroutine(self._deleteAgain(key, turn))
        deleting.addBoth(self._deleted, key)

    def _deleted(self, result: _T, key: str) -> _T:
        self._deleting[key] -= 1
        if not self._deleting[key]:
            del self._deleting[key]
        return result

    async def _deleteAgain(self, key: str, turn: int) -> None:
        try:
            # A change that timed out is done, if at all, before this load is
            # answered; so the copy is deleted after it.
            with suppress(UndecodableSession):
                await (self._load(key) if key in self._doubtful else self._delete(key))
        except StoreFailure as error:
            if not self._isFailing:
                self._log.warn(
                    "older copies of sessions may be left; trying again: {why}",
                    why=error,
                )
            self._isFailing = True
            turn = _LAST
        else:
            self._isFailing = False
            turn += 1
        # A session that was changed meanwhile has a new timer already.
        if turn <= _LAST and key not in self._timers:
            self._later(key, turn)

    async def _deleteEach(self, keys: Iterable[str]) -> None:
        again = [self._deleteAgain(key, _LAST) for key in keys]
        await DeferredList([Deferred.fromCoroutine(each) for each in again])

    async def _close(self) -> None:
        self._isClosed = True
        timers, self._timers = self._timers, {}
        for timer in timers.values():
            timer.stop()
        keys = {**timers, **self._deleting}
        await self._deleteEach(keys)
        if keys:
            # A request that read one of them before it was changed may be about to
            # store its copy: nobody deletes that after us.  And a connection may
            # have been lost just now.
            await deferLater(self._reactor, _AGAIN[_LAST])
            await self._deleteEach(keys)
        for store in self._sessions, self._cache:
            # ISessionStore does not ask for this method.
            close: Callable[[], Deferred[None]] | None = getattr(store, "close", None)
            if close is not None:
                await close()
