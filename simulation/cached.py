# -*- test-case-name: tests.simulation.test_cached -*-
"""
A place of sessions with copies in front of it, which a web application reads first, as
Django's C{cached_db} does; and a node's way to both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from txsessionsock.interfaces import TTL, Stored
from txsessionsock.stores.cached import CachedStore

from . import store
from .queue import SECOND, Event, NodeClock, Queue
from .store import ApartLink, Link, Place, WatchedLink


__all__ = ["LINKS", "CachedLink", "CachedPlace", "placeFor"]

_Told = Callable[[str, str, str, bytes | None, int | None], None]

_LATER: Final = 0.2
"""
How many seconds a web application takes at most from reading a session to having a
copy of it in the cache.
"""


class CachedPlace(Place):
    """
    Where sessions are.  Whoever comes by no connection is a web application.

    @ivar copies: Where the copies are.
    """

    def __init__(self, queue: Queue, told: _Told) -> None:
        super().__init__(queue, told, hasClock=False)

        def copied(
            what: str, by: str, key: str, raw: bytes | None, until: int | None
        ) -> None:
            told("uncopied" if raw is None else "copied", by, key, raw, until)

        self.copies = Place(queue, copied)
        self._copying: dict[str, Event] = {}

    def get(self, key: str, link: Link | None = None) -> Stored | None:
        if link is not None:
            return super().get(key, link)
        copy = self.copies.get(key)
        if copy is not None:
            return copy
        stored = super().get(key)
        if stored is not None:
            delay = self.queue.random.random() * _LATER
            self._copyLater(key, stored, delay)
        return stored

    def put(self, key: str, raw: bytes, ttl: TTL, by: str) -> None:
        # Django updates a row, and does not make one that is gone.
        if key in self._rows:
            super().put(key, raw, ttl, by)
            stored = super().get(key)
            assert stored is not None
            self._copyLater(key, stored, 0.002)

    def destroy(self, key: str, old: bytes | None, by: str, link: Link | None) -> bool:
        found = super().destroy(key, old, by, link)
        if link is None:
            self._stopCopying(key)
            self.copies.destroy(key, None, by, None)
        return found

    def _copyLater(self, key: str, stored: Stored, delay: float) -> None:
        """
        Store a copy.  Of two, the later counts: what web applications do to each other
        is nothing of ours.
        """
        self._stopCopying(key)
        ttl = (stored.expires or 0.0) - self.queue.now / SECOND
        copy = partial(self.copies.put, key, stored.raw, ttl, "web1")
        self._copying[key] = self.queue.after(delay, copy)

    def _stopCopying(self, key: str) -> None:
        event = self._copying.pop(key, None)
        if event is not None:
            event.isOver = True


class CachedLink(ApartLink):
    """
    A node's connections to a table that tells what others do, and to the cache.
    """

    def __init__(
        self, name: str, place: CachedPlace, clock: NodeClock, latency: float
    ) -> None:
        super().__init__(name, place, clock, latency)
        self.copies = WatchedLink(name, place.copies, clock, latency)
        self._store = CachedStore(self, self.copies, lambda key: key, clock)

    @property
    def store(self) -> CachedStore:
        return self._store

    @property
    def isIll(self) -> bool:
        return bool(self.trouble or self.copies.trouble)

    def befall(self, trouble: str) -> None:
        which = self._queue.random.randrange(3)
        if which < 2:
            self.trouble = trouble
        if which:
            self.copies.befall(trouble)

    def cut(self, *, isLost: bool = False) -> None:
        which = self._queue.random.randrange(3)
        if which < 2:
            super().cut(isLost=isLost)
        if which:
            self.copies.cut(isLost=isLost)

    def heal(self) -> None:
        super().heal()
        self.copies.heal()

    def rest(self) -> list[str]:
        return super().rest() + self.copies.rest()


LINKS: Final[dict[str, Callable[[str, Any, NodeClock, float], Link]]] = {
    **store.LINKS,
    "cached": CachedLink,
}


def placeFor(kind: str, queue: Queue, told: _Told) -> Place:
    """
    A place for connections of a kind.
    """
    if kind == "cached":
        return CachedPlace(queue, told)
    return store.placeFor(kind, queue, told)
