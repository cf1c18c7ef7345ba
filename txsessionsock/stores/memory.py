# -*- test-case-name: tests.stores.test_store_memory -*-
"""
Sessions in the memory of this process.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._deferreds import Timer
from txsessionsock._kinds import Clock
from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import (
    TTL,
    IWatchableStore,
    NoSuchSession,
    SessionConflict,
    Stored,
)

from ._deadlines import Deadlines
from ._watchers import Changed, Watchers, deadline, newDeadline


__all__ = ["MemoryStore"]


@checked
@implementer(IWatchableStore)
class MemoryStore:
    """
    A store that forgets everything when the process ends.

    It answers at once: no L{Deferred} of it waits for the reactor.  Expired
    sessions are dropped on the next call of any method, and on their deadline
    while something is watched; only then there is a timer.
    """

    def __init__(
        self, reactor: Clock | None = None, place: MemoryStore | None = None
    ) -> None:
        """
        @param reactor: The clock; the global reactor unless said otherwise,
            or that of C{place}.

        @param place: A store whose sessions this one shall share, as another
            process would share a database.
        """
        if place is None:
            self._place = _MemoryPlace(clockOf(reactor))
        else:
            self._place = place._place
        self._watchers = Watchers()
        self._pending: dict[str, None] = {}
        self._delivery = Timer(self._place.reactor)

    def load(self, key: str) -> Deferred[Stored | None]:
        return succeed(self._place.get(key))

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        if self._place.get(key) is not None:
            return succeed(False)
        expires = newDeadline(ttl, self._place.reactor.seconds())
        self._place.put(key, Stored(bytes(raw), expires), self)
        return succeed(True)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        current = self._place.get(key)
        if current is None:
            return fail(NoSuchSession())
        if current.raw != old:
            return fail(SessionConflict(current))
        expires = deadline(ttl, self._place.reactor.seconds(), current.expires)
        stored = Stored(bytes(new), expires)
        self._place.put(key, stored, self)
        return succeed(stored)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        current = self._place.get(key)
        if current is None:
            return fail(NoSuchSession())
        expires = deadline(ttl, self._place.reactor.seconds(), current.expires)
        self._place.put(key, Stored(current.raw, expires), self)
        return succeed(expires)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        current = self._place.get(key)
        if current is None:
            return succeed(False)
        if old is not None and current.raw != old:
            return fail(SessionConflict(current))
        self._place.remove(key, self)
        return succeed(True)

    def watch(self, key: str, changed: Changed) -> Callable[[], None]:
        self._place.watches(self, True)
        return self._watchers.add(key, changed, self._unwatched)

    def fence(self, key: str) -> Deferred[None]:
        self._place.sweep()
        self._deliver()
        return succeed(None)

    def _unwatched(self, key: str) -> None:
        self._pending.pop(key, None)
        if not self._pending:
            self._delivery.stop()
        if not self._watchers:
            self._place.watches(self, False)

    def _changed(self, key: str) -> None:
        """
        Another store changed a session: tell its watchers, in a later turn of
        the reactor.
        """
        if key in self._watchers:
            self._pending[key] = None
            if not self._delivery.isRunning:
                self._delivery.start(0, self._deliver)

    def _deliver(self) -> None:
        self._delivery.stop()
        pending, self._pending = self._pending, {}
        self._watchers.report(pending)


class _MemoryPlace:
    """
    The sessions that some stores share.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self.reactor = reactor
        self._watching: dict[MemoryStore, None] = {}
        self._sessions: dict[str, Stored] = {}
        self._deadlines = Deadlines(reactor, self._expired, isTimed=False)

    def watches(self, store: MemoryStore, doesWatch: bool) -> None:
        """
        Note whether something is watched by a store.
        """
        if doesWatch:
            self._watching[store] = None
        else:
            del self._watching[store]
        self._deadlines.timed(bool(self._watching))

    def get(self, key: str) -> Stored | None:
        """
        The session, unless it has expired.
        """
        self.sweep()
        return self._sessions.get(key)

    def put(self, key: str, stored: Stored, by: MemoryStore) -> None:
        """
        Store a session, and tell all stores but the one that did it.
        """
        self._sessions[key] = stored
        self._deadlines.expect(key, stored.expires)
        self._tell(key, by)

    def remove(self, key: str, by: MemoryStore) -> None:
        """
        Forget a session, and tell all stores but the one that did it.
        """
        del self._sessions[key]
        self._deadlines.forget(key)
        self._tell(key, by)

    def sweep(self) -> None:
        """
        Drop what has expired, and tell all stores.
        """
        self._deadlines.sweep()

    def _expired(self, key: str) -> None:
        del self._sessions[key]
        self._tell(key)

    def _tell(self, key: str, by: MemoryStore | None = None) -> None:
        for store in self._watching:
            if store is not by:
                store._changed(key)
