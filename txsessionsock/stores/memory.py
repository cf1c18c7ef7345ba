# -*- test-case-name: tests.test_store_memory -*-
"""
Sessions in the memory of this process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import (
    TTL,
    IWatchableStore,
    NoSuchSession,
    SessionConflict,
    Stored,
)

from ._shared import Changed, Watchers, deadline, newDeadline


__all__ = ["MemoryStore"]


@implementer(IWatchableStore)
class MemoryStore:
    """
    A store that forgets everything when the process ends.

    It answers at once: no L{Deferred} of it waits for the reactor.  Expired
    sessions are dropped on the next call of any method, and on their deadline
    while something is watched; only then there is a timer.
    """

    def __init__(
        self, reactor: IReactorTime | None = None, place: MemoryStore | None = None
    ) -> None:
        """
        @param reactor: The clock; the global reactor unless said otherwise,
            or that of C{place}.

        @param place: A store whose sessions this one shall share, as another
            process would share a database.
        """
        if place is None:
            self._place = _Place(clockOf(reactor))
        else:
            self._place = place._place
        self._watchers = Watchers()
        self._pending: dict[str, None] = {}
        self._delivery: IDelayedCall | None = None

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

    def destroy(self, key: str) -> Deferred[bool]:
        return succeed(self._place.remove(key, self))

    def watch(self, key: str, changed: Changed) -> Callable[[], None]:
        self._place.watching[self] = None
        stop = self._watchers.add(key, changed, self._unwatched)
        self._place.arm()
        return stop

    def fence(self, key: str) -> Deferred[None]:
        self._place.sweep()
        self._deliver()
        return succeed(None)

    def _unwatched(self, key: str) -> None:
        self._pending.pop(key, None)
        if not self._pending:
            self._cancelDelivery()
        if not self._watchers:
            del self._place.watching[self]
        self._place.arm()

    def _changed(self, key: str) -> None:
        """
        Somebody else changed a session; tell whoever watches it, later.
        """
        if key in self._watchers:
            self._pending[key] = None
            if self._delivery is None:
                self._delivery = self._place.reactor.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._cancelDelivery()
        pending, self._pending = self._pending, {}
        self._watchers.report(pending)

    def _cancelDelivery(self) -> None:
        if self._delivery is not None and self._delivery.active():
            self._delivery.cancel()
        self._delivery = None


class _Place:
    """
    The sessions that some stores share.

    @ivar watching: The stores by which something is watched.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self.reactor = reactor
        self.watching: dict[MemoryStore, None] = {}
        self._sessions: dict[str, Stored] = {}
        # A session has at most one entry that counts.  A deadline that moves
        # away leaves its entry where it is, so a touch costs no sorting.
        self._heap: list[tuple[float, str]] = []
        self._entries: dict[str, float] = {}
        self._timer: IDelayedCall | None = None
        self._armed: float | None = None

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
        self._expect(key, stored.expires)
        self._tell(key, by)
        self.arm()

    def remove(self, key: str, by: MemoryStore) -> bool:
        """
        Forget a session, and tell all stores but the one that did it.
        """
        self.sweep()
        if self._sessions.pop(key, None) is None:
            return False
        if len(self._heap) > 2 * len(self._sessions) + 64 or not self._sessions:
            self._rebuild()
        self._tell(key, by)
        self.arm()
        return True

    def sweep(self) -> None:
        """
        Drop what has expired, and tell all stores.
        """
        now = self.reactor.seconds()
        while self._heap and self._heap[0][0] <= now:
            entry, key = heappop(self._heap)
            if self._entries.get(key) != entry:
                continue
            del self._entries[key]
            stored = self._sessions.get(key)
            if stored is None or stored.expires is None:
                continue
            if stored.expires <= now:
                del self._sessions[key]
                self._tell(key)
            else:
                self._expect(key, stored.expires)

    def arm(self) -> None:
        """
        Have the timer run for the nearest deadline, if anybody is to be told.
        """
        wanted = self._heap[0][0] if self._heap and self.watching else None
        if wanted == self._armed:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer, self._armed = None, wanted
        if wanted is not None:
            delay = max(0.0, wanted - self.reactor.seconds())
            self._timer = self.reactor.callLater(delay, self._due)

    def _due(self) -> None:
        self._armed = None
        self.sweep()
        self.arm()
        for store in list(self.watching):
            store._deliver()

    def _tell(self, key: str, by: MemoryStore | None = None) -> None:
        for store in self.watching:
            if store is not by:
                store._changed(key)

    def _expect(self, key: str, expires: float | None) -> None:
        if expires is not None and expires < self._entries.get(key, math.inf):
            self._entries[key] = expires
            heappush(self._heap, (expires, key))
            if len(self._heap) > 2 * len(self._sessions) + 64:
                self._rebuild()

    def _rebuild(self) -> None:
        """
        Drop the entries of sessions that are gone.
        """
        self._entries = {
            key: stored.expires
            for key, stored in self._sessions.items()
            if stored.expires is not None
        }
        self._heap = [(expires, key) for key, expires in self._entries.items()]
        heapify(self._heap)
