# -*- test-case-name: tests.simulation.test_store -*-
"""
Models of stores: the place where sessions are, and each node's connection to it.

A connection is one stream in each direction: what is sent over it arrives in order,
if it arrives.  As in Redis, answers and reports come over the same one, and a change
is reported once, until the key is read again; or, as in PostgreSQL, reports come over
another one, and each change is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock.interfaces import (
    TTL,
    AtLeast,
    ISharedStore,
    IWatchableStore,
    Lifetime,
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreTimeout,
    StoreUnavailable,
)

from .queue import SECOND, Event, NodeClock, Queue


__all__ = [
    "LINKS",
    "ApartLink",
    "Link",
    "Place",
    "PolledLink",
    "SilentLink",
    "WatchedLink",
]

_T = TypeVar("_T")
_Changed = Callable[[str], None]

_TIMEOUT = 2.0
_POLLING = 0.1
_AT_ONCE = 0.3
"""
How often there is another connection at once, as where there is a pool of them.
"""
_SLOWEST = 1.5
"""
How many seconds the way takes at most while a connection is late.
"""


class _Row:
    """
    A session at its place.
    """

    __slots__ = ("expires", "expiry", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.expires: int | None = None
        self.expiry: Event | None = None


class Place:
    """
    Where sessions are: bytes by key, with a deadline.

    @ivar links: Those who are connected.

    @ivar changes: How many changes there were; C{log} has the number of the last
        of each key by each connection.
    """

    def __init__(
        self, queue: Queue, told: Callable[[str, str, str, bytes | None], None]
    ) -> None:
        """
        @param told: Called with what happens: C{"created"}, C{"stored"},
            C{"touched"}, C{"deleted"} or C{"expired"}, who did it, the key, and
            what is stored now.
        """
        self.queue = queue
        self._told = told
        self._rows: dict[str, _Row] = {}
        self.links: dict[WatchedLink, None] = {}
        self.changes = 0
        self.log: dict[tuple[str, Link | None], int] = {}

    def get(self, key: str) -> Stored | None:
        row = self._rows.get(key)
        return None if row is None else _stored(row)

    def create(
        self, key: str, raw: bytes, ttl: TTL, by: str, link: Link | None
    ) -> bool:
        if key in self._rows:
            return False
        self._put("created", key, raw, ttl, by=by, link=link)
        return True

    def put(self, key: str, raw: bytes, ttl: TTL, by: str) -> None:
        """
        Write, whatever is there: as web applications do.
        """
        self._put("stored", key, raw, ttl, by=by, link=None)

    def replace(
        self, key: str, old: bytes, new: bytes, ttl: TTL, *, by: str, link: Link
    ) -> Stored:
        row = self._rows.get(key)
        if row is None:
            raise NoSuchSession
        if row.raw != old:
            raise SessionConflict(_stored(row))
        self._put("stored", key, new, ttl, by=by, link=link)
        return _stored(row)

    def touch(self, key: str, ttl: TTL, by: str, link: Link | None) -> float | None:
        row = self._rows.get(key)
        if row is None:
            raise NoSuchSession
        self._put("touched", key, row.raw, ttl, by=by, link=link)
        return _stored(row).expires

    def destroy(self, key: str, old: bytes | None, by: str, link: Link | None) -> bool:
        row = self._rows.get(key)
        if row is None:
            return False
        if old is not None and row.raw != old:
            raise SessionConflict(_stored(row))
        self._remove("deleted", key, by, link)
        return True

    def _put(
        self, what: str, key: str, raw: bytes, ttl: TTL, *, by: str, link: Link | None
    ) -> None:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(raw)
        row.raw = raw
        row.expires = _deadline(ttl, self.queue.now, row.expires)
        if row.expiry is not None:
            row.expiry.isOver = True
            row.expiry = None
        if row.expires is not None:
            expire = partial(self._remove, "expired", key, "time", None)
            row.expiry = self.queue.at(row.expires, expire)
        self._told(what, by, key, raw)
        self._changed(key, link)

    def _remove(self, what: str, key: str, by: str, link: Link | None) -> None:
        row = self._rows.pop(key)
        if row.expiry is not None:
            row.expiry.isOver = True
        self._told(what, by, key, None)
        self._changed(key, link)

    def _changed(self, key: str, by: Link | None) -> None:
        self.changes += 1
        self.log[key, by] = self.changes
        for link in list(self.links):
            if link is not by:
                link.placeChanged(key)


def _deadline(ttl: TTL, now: int, current: int | None) -> int | None:
    if isinstance(ttl, Lifetime):
        return current if ttl is Lifetime.KEEP else None
    end = now + round(ttl * SECOND)
    return max(current, end) if isinstance(ttl, AtLeast) and current else end


def _stored(row: _Row) -> Stored:
    return Stored(row.raw, None if row.expires is None else row.expires / SECOND)


class _Connection:
    """
    One connection: two streams.

    @ivar isOpen: Whether both sides still take something from it.
    """

    def __init__(self) -> None:
        self.isOpen = True
        self.lastUp = self.lastDown = 0
        self.tracked: dict[str, None] = {}


class Link:
    """
    A node's connection to the place; this alone tells nothing.

    @ivar trouble: What is wrong with it: C{"refused"}: nothing can be sent, and
        that is known.  C{"deaf"}: what is sent does not arrive, nor does anything
        come.  C{"mute"}: what is sent arrives, and nothing comes.  C{"late"}:
        everything takes long.
    """

    def __init__(
        self, name: str, place: Place, clock: NodeClock, latency: float
    ) -> None:
        """
        @param name: That of the node.

        @param latency: How many seconds the way takes at most, while all is well.
        """
        self._name = name
        self._place = place
        self._clock = clock
        self._queue = clock.queue
        self._latency = latency
        self._connection = _Connection()
        self._reconnecting: IDelayedCall | None = None
        self.trouble = ""
        self.open: dict[Deferred[Any], IDelayedCall] = {}

    # What befalls it.

    def cut(self) -> None:
        """
        The connection is gone, and both sides notice.  What was on its way may
        have arrived.
        """
        self._lose()

    def heal(self) -> None:
        """
        Be well.
        """
        self.trouble = ""

    def _lose(self) -> None:
        arrives = self._queue.random.random() < 0.5
        for connection in self._connections():
            if not arrives:
                # What was sent and has not arrived never will.
                connection.lastUp = -1
            connection.isOpen = False
        self._connect()
        if self._reconnecting is None:
            if not self.trouble and self._queue.random.random() < _AT_ONCE:
                self._reconnected()
            else:
                self._reconnect(self._queue.random.uniform(0.0, 0.3))
        # Last: whoever hears of it may ask again.
        for answer in list(self.open):
            self._answer(answer, Failure(StoreTimeout("the connection was lost")))

    def _connections(self) -> tuple[_Connection, ...]:
        return (self._connection,)

    def _connect(self) -> None:
        self._connection = _Connection()

    def _reconnect(self, seconds: float) -> None:
        def reconnect() -> None:
            self._reconnecting = None
            if self.trouble in ("refused", "deaf", "mute"):
                self._reconnect(0.25)
            else:
                self._reconnected()

        self._reconnecting = self._clock.callLater(seconds, reconnect)

    def _reconnected(self) -> None:
        """
        There is a connection again.
        """

    @property
    def _isConnected(self) -> bool:
        return self._reconnecting is None and self.trouble != "refused"

    def _delay(self) -> int:
        most = _SLOWEST if self.trouble == "late" else self._latency
        return round(self._queue.random.random() * most * SECOND)

    # Asking.

    def _ask(
        self, do: Callable[[], _T], connection: _Connection | None = None
    ) -> Deferred[_T]:
        """
        Have something done there.

        @param connection: How it is asked, if not as most things are.
        """
        if not self._isConnected:
            if self._reconnecting is None:
                self._lose()
            return fail(StoreUnavailable("not connected"))
        answer: Deferred[_T] = Deferred()
        self.open[answer] = self._clock.callLater(_TIMEOUT, self._timedOut)
        if self.trouble != "deaf":
            connection = connection or self._connection
            connection.lastUp = max(connection.lastUp, self._queue.now + self._delay())
            arrive = partial(self._arrived, connection, do, answer)
            self._queue.at(connection.lastUp, arrive)
        return answer

    def _timedOut(self) -> None:
        self._lose()

    def _arrived(
        self, connection: _Connection, do: Callable[[], _T], answer: Deferred[_T]
    ) -> None:
        # The place reads nothing from an old connection once there is a new one.
        isOld = connection not in self._connections()
        if isOld and (connection.lastUp < 0 or self._reconnecting is None):
            return
        result: _T | Failure
        try:
            result = do()
        except (NoSuchSession, SessionConflict):
            result = Failure()
        self._down(connection, partial(self._answer, answer, result))

    def _down(self, connection: _Connection, arrive: Callable[[], object]) -> None:
        if not connection.isOpen or self.trouble in ("deaf", "mute"):
            # Streams have no gaps: nothing comes after what was lost.
            if connection.isOpen:
                connection.isOpen = False
                self._clock.callLater(_TIMEOUT, self._notice, connection)
            return

        def arrived() -> None:
            if connection.isOpen:
                arrive()

        connection.lastDown = max(connection.lastDown, self._queue.now + self._delay())
        self._queue.at(connection.lastDown, arrived, self._clock)

    def _notice(self, connection: _Connection) -> None:
        """
        A connection is dead, of which nobody may have asked anything since: stores
        ask now and then whether theirs are alive.
        """
        if connection in self._connections():
            self._lose()

    def _answer(self, answer: Deferred[_T], result: _T | Failure) -> None:
        timeout = self.open.pop(answer, None)
        if timeout is not None and timeout.active():
            timeout.cancel()
        if not answer.called:
            answer.callback(result)

    # The store.

    def _askOf(self, key: str, do: Callable[[], _T]) -> Deferred[_T]:
        """
        Have something done with a key, which is read by that: also by what writes.
        """
        connection = self._connection

        def done() -> _T:
            connection.tracked[key] = None
            return do()

        return self._ask(done)

    def load(self, key: str) -> Deferred[Stored | None]:
        return self._askOf(key, partial(self._place.get, key))

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        place, name = self._place, self._name
        return self._askOf(key, partial(place.create, key, raw, ttl, name, self))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        place, name = self._place, self._name
        replace = partial(place.replace, key, old, new, ttl, by=name, link=self)
        return self._askOf(key, replace)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        touch = partial(self._place.touch, key, ttl, self._name, self)
        return self._askOf(key, touch)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        destroy = partial(self._place.destroy, key, old, self._name, self)
        return self._askOf(key, destroy)

    def rest(self) -> list[str]:
        """
        @return: What is left, when nothing should be.
        """
        return [f"{len(self.open)} questions"] * bool(self.open)


@implementer(ISharedStore)
class SilentLink(Link):
    """
    A store that tells nothing.
    """


@implementer(IWatchableStore, ISharedStore)
class WatchedLink(Link):
    """
    One that tells what others do, as Redis.
    """

    def __init__(
        self, name: str, place: Place, clock: NodeClock, latency: float
    ) -> None:
        super().__init__(name, place, clock, latency)
        self._watchers: dict[object, tuple[str, _Changed]] = {}
        place.links[self] = None

    def watch(self, key: str, changed: _Changed) -> Callable[[], None]:
        token = object()
        self._watchers[token] = key, changed

        def stop() -> None:
            self._watchers.pop(token, None)

        return stop

    def fence(self, key: str) -> Deferred[None]:
        return self._ask(lambda: None)

    def placeChanged(self, key: str) -> None:
        """
        Somebody else changed something there.
        """
        connection = self._connection
        if self._clock.isStopped or self._reconnecting is not None:
            return
        # Once, until it is read again.
        if connection.tracked.pop(key, self) is None:
            self._down(connection, partial(self._report, key))

    def _report(self, key: str | None = None) -> None:
        for token, (watched, changed) in list(self._watchers.items()):
            if (key is None or key == watched) and token in self._watchers:
                changed(watched)

    def _reconnected(self) -> None:
        self._report()

    def rest(self) -> list[str]:
        return super().rest() + [f"{len(self._watchers)} watchers"] * bool(
            self._watchers
        )


@implementer(IWatchableStore, ISharedStore)
class PolledLink(WatchedLink):
    """
    One that asks now and then what others did, as SQLite.
    """

    def __init__(
        self, name: str, place: Place, clock: NodeClock, latency: float
    ) -> None:
        super().__init__(name, place, clock, latency)
        self._seen = place.changes
        self._polling: IDelayedCall | None = None

    def watch(self, key: str, changed: _Changed) -> Callable[[], None]:
        if self._polling is None:
            self._polling = self._clock.callLater(_POLLING, self._poll)
        return super().watch(key, changed)

    def _poll(self) -> None:
        self._polling = None
        if not self._watchers:
            return

        def again(_: object) -> None:
            if self._polling is None:
                self._polling = self._clock.callLater(_POLLING, self._poll)

        self.fence("").addBoth(again)

    def fence(self, key: str) -> Deferred[None]:
        def look() -> tuple[int, list[str]]:
            place = self._place
            found = place.log.items()
            keys = [k for (k, by), n in found if n > self._seen and by is not self]
            return place.changes, keys

        def looked(found: tuple[int, list[str]]) -> None:
            self._seen = max(self._seen, found[0])
            for each in found[1]:
                self._report(each)

        return self._ask(look).addCallback(looked)

    def placeChanged(self, key: str) -> None:
        """
        It tells nothing by itself.
        """


@implementer(IWatchableStore, ISharedStore)
class ApartLink(WatchedLink):
    """
    One whose reports come over a connection of their own, as PostgreSQL's: they
    may overtake answers, and be overtaken.
    """

    def __init__(
        self, name: str, place: Place, clock: NodeClock, latency: float
    ) -> None:
        self._listening = _Connection()
        super().__init__(name, place, clock, latency)

    def _connections(self) -> tuple[_Connection, ...]:
        return self._connection, self._listening

    def _connect(self) -> None:
        super()._connect()
        self._listening = _Connection()

    def fence(self, key: str) -> Deferred[None]:
        return self._ask(lambda: None, self._listening)

    def placeChanged(self, key: str) -> None:
        if not self._clock.isStopped and self._reconnecting is None:
            self._down(self._listening, partial(self._report, key))


LINKS: dict[str, Callable[[str, Place, NodeClock, float], Link]] = {
    "watched": WatchedLink,
    "apart": ApartLink,
    "polled": PolledLink,
    "silent": SilentLink,
}
