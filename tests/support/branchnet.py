"""
One process of ours in a world without sockets: a clock of its own, and a store
at the other end of a network that delays, loses and is cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock.interfaces import (
    TTL,
    ISessionStore,
    ISharedStore,
    IWatchableStore,
    Stored,
    StoreUnavailable,
)
from txsessionsock.stores.memory import MemoryStore


__all__ = ["Clocks", "NodeClock", "RemoteStore", "WatchableRemoteStore"]

_T = TypeVar("_T")


class NodeClock(Clock):
    """
    The clock of one machine.

    @ivar offset: By how many seconds it is ahead of the world's time.
    """

    def __init__(self, now: float, offset: float) -> None:
        super().__init__()
        self.offset = offset
        self.rightNow = now + offset
        self._isStopped = False

    def next(self) -> float | None:
        """
        When something is due here, by the world's time.
        """
        if self._isStopped or not self.calls:
            return None
        due: float = self.calls[0].getTime() - self.offset
        return due

    def runNext(self) -> None:
        """
        Do what is due first, at the time it is due.
        """
        call: Any = self.calls.pop(0)
        self.rightNow = max(self.rightNow, call.getTime())
        call.called = 1
        call.func(*call.args, **call.kw)

    def stop(self) -> None:
        """
        Nothing happens here any more.
        """
        self._isStopped = True

    def drain(self) -> None:
        """
        Have whoever waits here wait no longer.
        """
        for _ in range(50):
            if self.calls:
                self.runNext()


class Clocks:
    """
    The world's time, and the clocks that go with it.

    @ivar now: In seconds since the epoch.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._clocks: list[NodeClock] = []

    def new(self, offset: float = 0.0) -> NodeClock:
        """
        One more clock.
        """
        clock = NodeClock(self.now, offset)
        self._clocks.append(clock)
        return clock

    def advance(self, seconds: float, goesOn: Callable[[], bool]) -> None:
        """
        Let time pass, and do what is due, in order.

        @param goesOn: Asked before each call whether to go on.
        """
        end = self.now + seconds
        while goesOn():
            at, clock = self._next()
            self._set(min(max(at, self.now), end))
            if clock is None or at > end:
                return
            clock.runNext()

    def _next(self) -> tuple[float, NodeClock | None]:
        first: tuple[float, NodeClock | None] = inf, None
        for clock in self._clocks:
            at = clock.next()
            if at is not None and at < first[0]:
                first = at, clock
        return first

    def _set(self, now: float) -> None:
        self.now = now
        for clock in self._clocks:
            clock.rightNow = max(clock.rightNow, now + clock.offset)


class _Line:
    """
    One direction of a connection: what is sent comes in order.
    """

    def __init__(self, clock: NodeClock, delay: Callable[[], float]) -> None:
        self._clock = clock
        self._delay = delay
        self._under: deque[Callable[[], object]] = deque()
        self._last = 0.0

    def send(self, arrive: Callable[[], object]) -> None:
        now = self._clock.seconds()
        self._last = max(self._last, now + self._delay())
        if self._last <= now and not self._under:
            arrive()
            return
        self._under.append(arrive)
        self._clock.callLater(self._last - now, self._arrive)

    def _arrive(self) -> None:
        self._under.popleft()()


@implementer(ISessionStore, ISharedStore)
class RemoteStore:
    """
    A store that is asked through a network.  One that cannot be watched.

    @ivar isDead: Whether the process is gone; then it hears nothing any more.
    """

    def __init__(
        self,
        place: MemoryStore,
        server: NodeClock,
        client: NodeClock,
        *,
        delay: Callable[[], float],
        wrote: Callable[[bytes], object],
        seen: Callable[[], Callable[[], object]],
    ) -> None:
        """
        @param place: What is at the other end.

        @param server: The clock there.

        @param client: The clock here.

        @param delay: How many seconds the next thing takes to arrive.

        @param wrote: Called with what a write stored.

        @param seen: Called when a question is answered there; what it returns
            is called when the answer is here.
        """
        self.inner = MemoryStore(place=place)
        self.isDead = False
        self._up = _Line(server, delay)
        self._down = _Line(client, delay)
        self._wrote = wrote
        self._seen = seen
        self._trouble = ""
        self._watchers: dict[object, tuple[str, Callable[[str], None]]] = {}
        self._missed = False
        self._open: dict[Deferred[Any], None] = {}

    # What befalls the network.

    def trouble(self, kind: str) -> None:
        """
        Be in trouble from now on.

        @param kind: C{"refused"}: nothing is sent, and that is known.
            C{"deaf"}: what is sent does not arrive.  C{"mute"}: what is sent
            arrives, and no answer comes.
        """
        self._trouble = kind
        self._missed = True

    def heal(self) -> None:
        """
        Be well, and say that something may have been missed.
        """
        self._trouble = ""
        if self._missed and not self.isDead:
            self._missed = False
            for key, changed in list(self._watchers.values()):
                changed(key)

    def drain(self) -> None:
        """
        Have whoever waits for an answer wait no longer.
        """
        self.trouble("refused")
        for answer in list(self._open):
            self._answer(answer, [Failure(StoreUnavailable("it is over"))], None)

    # The store.

    def load(self, key: str) -> Deferred[Stored | None]:
        return self._ask(partial(self.inner.load, key), sees=True)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self._ask(partial(self.inner.create, key, raw, ttl))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        def replace() -> Deferred[Stored]:
            answer = self.inner.replace(key, old, new, ttl)
            if isinstance(answer.result, Stored):
                self._wrote(new)
            return answer

        return self._ask(replace, sees=True)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self._ask(partial(self.inner.touch, key, ttl))

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        args = (key,) if old is None else (key, old)
        return self._ask(partial(self.inner.destroy, *args))

    def _ask(
        self, ask: Callable[[], Deferred[_T]], *, sees: bool = False
    ) -> Deferred[_T]:
        if self._trouble == "refused":
            return fail(StoreUnavailable("the network is down"))
        answer: Deferred[_T] = Deferred()
        self._open[answer] = None
        if not self.isDead and self._trouble != "deaf":
            self._up.send(partial(self._arrived, ask, answer, sees))
        return answer

    def _arrived(
        self, ask: Callable[[], Deferred[_T]], answer: Deferred[_T], sees: bool
    ) -> None:
        found: list[_T | Failure] = []
        ask().addBoth(found.append)
        seen = self._seen() if sees else None
        self._back(partial(self._answer, answer, found, seen))

    def _back(self, arrive: Callable[[], object]) -> None:
        if not (self.isDead or self._trouble):
            self._down.send(arrive)

    def _answer(
        self,
        answer: Deferred[_T],
        found: list[_T | Failure],
        seen: Callable[[], object] | None,
    ) -> None:
        self._open.pop(answer, None)
        if answer.called:
            return  # Whoever asked has given up.
        if seen is not None:
            seen()
        answer.callback(found[0])


@implementer(IWatchableStore)
class WatchableRemoteStore(RemoteStore):
    """
    One that can be watched.
    """

    def fence(self, key: str) -> Deferred[None]:
        return self._ask(partial(self.inner.fence, key))

    def watch(self, key: str, changed: Callable[[str], None]) -> Callable[[], None]:
        token = object()
        self._watchers[token] = key, changed

        def tell() -> None:
            if token in self._watchers:
                changed(key)

        unwatch = self.inner.watch(key, lambda _: self._back(tell))

        def stop() -> None:
            self._watchers.pop(token, None)
            unwatch()

        return stop
