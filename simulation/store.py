# -*- test-case-name: tests.simulation.test_store -*-
"""
Models of stores: the place where sessions are, and each node's connection to it.

A connection is one stream in each direction: what is sent over it arrives in order,
if it arrives.  As in Redis, answers and reports come over the same one, and a change
is reported once, until the key is read again; or, as in PostgreSQL, reports come over
another one, and each change is reported.

A Redis has a clock of its own, and tells how long a session has still to live.  A
table and a file have none: each who is connected looks at its own clock for what has
ended.

tests/support/storescripts.py has what the models and the real stores both do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, cast

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
    UndecodableSession,
)

from .queue import SECOND, Event, NodeClock, Queue


__all__ = [
    "BY_NODES",
    "LINKS",
    "ApartLink",
    "Link",
    "Place",
    "PolledLink",
    "SilentLink",
    "WatchedLink",
    "placeFor",
]

BY_NODES: Final = ("apart", "polled", "silent", "cached")
"""
The kinds whose places have no clock.
"""

_T = TypeVar("_T")
_Changed = Callable[[str], None]

_TIMEOUT = 2.0
_POLLING = 0.1
_NEVER = 1 << 62
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

    @ivar spoiled: What it was made by somebody: C{"bytes"} that mean nothing, or
        C{"type"}: something that has no bytes.
    """

    __slots__ = ("expires", "expiry", "raw", "spoiled")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.spoiled = ""
        self.expires: int | None = 0
        self.expiry: Event | None = None


class Place:
    """
    Where sessions are: bytes by key, with a deadline.

    @ivar links: Those who are connected.

    @ivar changes: How many changes there were; C{log} has the number of the last
        of each key by each connection.

    @ivar hasClock: Whether it goes by its own clock, as a Redis does; else by that
        of each who is connected.
    """

    def __init__(
        self,
        queue: Queue,
        told: Callable[[str, str, str, bytes | None, int | None], None],
        *,
        hasClock: bool = True,
    ) -> None:
        """
        @param told: Called with what happens: C{"created"}, C{"stored"},
            C{"touched"}, C{"deleted"} or C{"expired"}, who did it, the key, what
            is stored now, and until when, in microseconds since the epoch.
        """
        self.queue = queue
        self.hasClock = hasClock
        self._told = told
        self._rows: dict[str, _Row] = {}
        self.links: dict[WatchedLink, None] = {}
        self.changes = 0
        self.log: dict[tuple[str, Link | None], int] = {}

    def _now(self, link: Link | None) -> int:
        """
        What time it is here for somebody.
        """
        return self.queue.now if link is None or self.hasClock else link.ticks

    def _row(self, key: str, link: Link | None) -> _Row | None:
        row = self._rows.get(key)
        if row is None or row.expires is None or row.expires > self._now(link):
            return row
        return None

    def get(self, key: str, link: Link | None = None) -> Stored | None:
        row = self._row(key, link)
        # Web applications can do nothing with what is spoiled, either.
        if row is None or (row.spoiled and link is None):
            return None
        return _stored(row)

    def create(
        self, key: str, raw: bytes, ttl: TTL, by: str, link: Link | None
    ) -> bool:
        if self._row(key, link) is not None:
            return False
        # Some other clock may not have come to the end of what was there.
        self._rows.pop(key, None)
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
        row = self._row(key, link)
        if row is None:
            raise NoSuchSession
        stored = _stored(row)
        if row.raw != old:
            raise SessionConflict(stored)
        self._put("stored", key, new, ttl, by=by, link=link)
        return _stored(row)

    def touch(self, key: str, ttl: TTL, by: str, link: Link | None) -> float | None:
        row = self._row(key, link)
        if row is None:
            raise NoSuchSession
        before = row.expires
        if _deadline(ttl, self._now(link), before) != before or (
            link is not None and link.reportsTouch(ttl)
        ):
            self._put("touched", key, row.raw, ttl, by=by, link=link)
        return _seconds(row.expires)

    def destroy(self, key: str, old: bytes | None, by: str, link: Link | None) -> bool:
        row = self._row(key, link)
        if row is None:
            return False
        if old is not None and _stored(row).raw != old:
            raise SessionConflict(_stored(row))
        self._remove("deleted", key, by, link)
        return True

    def spoil(self, key: str, by: str, how: str = "type") -> bytes | None:
        """
        Put something there that is nothing a session can be read from.

        @param how: C{"bytes"} or C{"type"}.

        @return: What was there; L{None} for nothing.
        """
        row = self._rows.get(key)
        if row is None or row.spoiled:
            return None
        raw = row.raw
        row.spoiled = how
        self._told("spoiled", by, key, None, row.expires)
        if how == "bytes":
            row.raw = b"{" + raw
            self._changed(key, None)
        else:
            # Nobody writes into the log of a file of ours but we.
            for link in list(self.links):
                link.placeChanged(key)
        return raw

    def isSpoiled(self, key: str) -> bool:
        row = self._rows.get(key)
        return row is not None and bool(row.spoiled)

    def mend(self, key: str, raw: bytes, ttl: TTL, by: str) -> None:
        """
        Put back what was there before it was spoiled, if it is spoiled still.
        """
        row = self._rows.get(key)
        if row is not None and row.spoiled:
            self._put("stored", key, raw, ttl, by=by, link=None)

    def discardSpoiled(self, by: str) -> None:
        """
        Delete what no session can be read from: whoever has changes for that keeps
        them until then.
        """
        for key in [key for key, row in self._rows.items() if row.spoiled]:
            self._remove("deleted", key, by, None)

    def empty(self, by: str) -> None:
        """
        Be without all that was there.
        """
        for key in list(self._rows):
            self._remove("deleted", key, by, None)
        for link in list(self.links):
            link.placeEmptied()

    def _put(
        self, what: str, key: str, raw: bytes, ttl: TTL, *, by: str, link: Link | None
    ) -> None:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(raw)
        row.raw = raw
        if what != "touched":
            row.spoiled = ""
        row.expires = _deadline(ttl, self._now(link), row.expires)
        if row.expiry is not None:
            row.expiry.isOver = True
            row.expiry = None
        if row.expires is not None:
            expire = partial(self._remove, "expired", key, "time", None)
            row.expiry = self.queue.at(row.expires, expire)
        self._told(what, by, key, None if row.spoiled else raw, row.expires)
        self._changed(key, link)

    def _remove(self, what: str, key: str, by: str, link: Link | None) -> None:
        row = self._rows.pop(key)
        if row.expiry is not None:
            row.expiry.isOver = True
        self._told(what, by, key, None, None)
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
    if not isinstance(ttl, AtLeast):
        return end
    return None if current is None else max(current, end)


def _stored(row: _Row) -> Stored:
    if row.spoiled == "type":
        raise UndecodableSession("what is stored is no session")
    return Stored(row.raw, _seconds(row.expires))


def _seconds(expires: int | None) -> float | None:
    return None if expires is None else expires / SECOND


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

    @property
    def ticks(self) -> int:
        """
        What time its node has, in microseconds since the epoch.
        """
        return self._clock.ticks

    @property
    def store(self) -> Any:
        """
        What a manager is given.
        """
        return self

    def reportsTouch(self, ttl: TTL) -> bool:
        """
        Whether others are told of a touch that changes nothing.
        """
        return False

    # What befalls it.

    def cut(self, *, isLost: bool = False) -> None:
        """
        The connection is gone, and both sides notice.  What was on its way may
        have arrived.

        @param isLost: It has not.
        """
        self._lose(mayArrive=not isLost)

    @property
    def isIll(self) -> bool:
        """
        Whether something is wrong.
        """
        return bool(self.trouble)

    def befall(self, trouble: str) -> None:
        """
        Have something be wrong from now on.
        """
        self.trouble = trouble

    def heal(self) -> None:
        """
        Be well.
        """
        self.trouble = ""

    def _lose(self, *, mayArrive: bool = True) -> None:
        arrives = mayArrive and self._queue.random.random() < 0.5
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
        do = partial(self._shown, do, self.ticks)
        self.open[answer] = self._clock.callLater(_TIMEOUT, self._timedOut)
        if self.trouble != "deaf":
            connection = connection or self._connection
            connection.lastUp = max(connection.lastUp, self._queue.now + self._delay())
            arrive = partial(self._arrived, connection, do, answer)
            self._queue.at(connection.lastUp, arrive)
        return answer

    def _shown(self, do: Callable[[], _T], asked: int) -> _T:
        """
        Do something, and tell when a session ends by the clock of its node.

        @param asked: What that showed then.
        """
        if not self._place.hasClock:
            return do()
        off = (asked - self._queue.now) / SECOND
        try:
            return cast(_T, _moved(do(), off))
        except SessionConflict as conflict:
            raise SessionConflict(_moved(conflict.current, off)) from None

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
        except (NoSuchSession, SessionConflict, UndecodableSession):
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

    def _key(self, key: str, do: Callable[..., _T], *args: Any) -> Deferred[_T]:
        """
        Have something done with a key there.
        """
        return self._ask(partial(do, key, *args))

    def load(self, key: str) -> Deferred[Stored | None]:
        return self._key(key, self._place.get, self)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self._key(key, self._place.create, raw, ttl, self._name, self)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        replace = partial(self._place.replace, by=self._name, link=self)
        return self._key(key, replace, old, new, ttl)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self._key(key, self._place.touch, ttl, self._name, self)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return self._key(key, self._place.destroy, old, self._name, self)

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

    def _key(self, key: str, do: Callable[..., _T], *args: Any) -> Deferred[_T]:
        connection = self._connection

        def track() -> _T:
            # Whatever is asked about a key there also reads it.
            connection.tracked[key] = None
            return do(key, *args)

        return self._ask(track)

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

    def placeEmptied(self) -> None:
        """
        Nothing is there any more.
        """
        if not self._clock.isStopped and self._reconnecting is None:
            self._connection.tracked.clear()
            self._down(self._connection, self._report)

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


@implementer(IWatchableStore)
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
        self._pollLater()
        return super().watch(key, changed)

    def _poll(self) -> None:
        self._polling = None
        if not self._watchers:
            return

        if self._place.changes == self._seen and self._isConnected and not self.trouble:
            # Most polls find nothing: then it takes no time to be answered.
            self._pollLater()
        else:
            self.fence("").addBoth(self._pollLater)

    def _pollLater(self, _: object = None) -> None:
        if self._polling is None:
            self._polling = self._clock.callLater(_POLLING, self._poll)

    def _key(self, key: str, do: Callable[..., _T], *args: Any) -> Deferred[_T]:
        return self._ask(partial(do, key, *args))

    def fence(self, key: str) -> Deferred[None]:
        return self._ask(lambda: None)

    def _ask(
        self, do: Callable[[], _T], connection: _Connection | None = None
    ) -> Deferred[_T]:
        """
        Whatever is asked, what others did before is looked for first.
        """

        def look() -> tuple[int, list[tuple[str, int]], _T | Failure]:
            place = self._place
            found = [
                (key, number)
                for (key, by), number in place.log.items()
                if number > self._seen and by is not self
            ]
            number = place.changes
            try:
                return number, found, do()
            except (NoSuchSession, SessionConflict, UndecodableSession):
                return number, found, Failure()

        def looked(
            got: tuple[int, list[tuple[str, int]], _T | Failure],
        ) -> _T | Failure:
            seen, self._seen = self._seen, max(self._seen, got[0])
            for key, number in got[1]:
                # An earlier answer may have told it already.
                if number > seen:
                    self._report(key)
            return got[2]

        return super()._ask(look, connection).addCallback(looked)

    def reportsTouch(self, ttl: TTL) -> bool:
        return True

    def placeEmptied(self) -> None:
        """
        It tells nothing by itself.
        """

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
        self._ends: dict[str, int] = {}
        super().__init__(name, place, clock, latency)

    def _connections(self) -> tuple[_Connection, ...]:
        return self._connection, self._listening

    def _connect(self) -> None:
        super()._connect()
        self._listening = _Connection()

    def fence(self, key: str) -> Deferred[None]:
        return self._ask(lambda: None, self._listening)

    def _key(self, key: str, do: Callable[..., _T], *args: Any) -> Deferred[_T]:
        def note(result: _T) -> _T:
            self._note(key, getattr(result, "expires", result))
            return result

        return self._ask(partial(do, key, *args)).addCallback(note)

    def _note(self, key: str, expires: object) -> None:
        """
        Tell those who watch when a session ends: the table does not.
        """
        if type(expires) is float and any(k == key for k, _ in self._watchers.values()):
            end = round(expires * SECOND)
            if end < self._ends.get(key, _NEVER):
                self._ends[key] = end
                due = self._queue.now + end - self.ticks
                self._queue.at(due, partial(self._ended, key), self._clock)

    def _ended(self, key: str) -> None:
        self._ends.pop(key, None)
        self._report(key)

    def reportsTouch(self, ttl: TTL) -> bool:
        return not isinstance(ttl, Lifetime)

    def placeChanged(self, key: str) -> None:
        if not self._clock.isStopped and self._reconnecting is None:
            self._down(self._listening, partial(self._report, key))

    def placeEmptied(self) -> None:
        if not self._clock.isStopped and self._reconnecting is None:
            self._down(self._listening, self._report)


def _moved(result: Any, off: float) -> Any:
    """
    An answer with another time for the end of its session.
    """
    if isinstance(result, Stored) and result.expires is not None:
        return Stored(result.raw, result.expires + off)
    return result + off if type(result) is float else result


def placeFor(
    kind: str,
    queue: Queue,
    told: Callable[[str, str, str, bytes | None, int | None], None],
) -> Place:
    """
    A place for connections of a kind.
    """
    return Place(queue, told, hasClock=kind not in BY_NODES)


LINKS: dict[str, Callable[[str, Place, NodeClock, float], Link]] = {
    "watched": WatchedLink,
    "apart": ApartLink,
    "polled": PolledLink,
    "silent": SilentLink,
}
