# -*- test-case-name: tests.simulation.test_bus -*-
"""
The bus of Redis as it is, on a model of a Redis: keys with deadlines, a set, and
channels.

Each node has one connection, a stream in each direction.  What is published reaches
the streams of all who have subscribed then, and nobody else: what is on its way to a
node that loses its connection is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from txsessionsock.bus import RedisBus
from txsessionsock.bus import redis as _redis
from txsessionsock.bus.requests import Answers
from txsessionsock.interfaces import StoreFailure, StoreTimeout, StoreUnavailable

from .queue import SECOND, NodeClock, Queue


__all__ = ["Ether", "SimulatedBus"]

_RETRY = 1.0
_SLOWEST = 1.2
"""
How many seconds the way takes at most while a connection is late: two ways are longer
than anybody waits.
"""

_AGAIN: Final = 0.25
"""
How often a proxy sends what was sent last again, after a connection was lost.
"""


class _Stream:
    """
    A connection, as the Redis knows it.

    @ivar isOpen: Whether its node still takes what comes.
    """

    __slots__ = ("isOpen", "lastDown", "lastUp", "line")

    def __init__(self, line: _Line) -> None:
        self.line = line
        self.isOpen = True
        self.lastUp = self.lastDown = 0


class Ether:
    """
    A Redis, as far as a bus needs one.

    @ivar numbers: What tells the commands that were sent from each other.
    """

    def __init__(self, queue: Queue, latency: float) -> None:
        """
        @param latency: How many seconds the way to it takes at most, while all is
            well.
        """
        self.queue = queue
        self.latency = latency
        self._keys: dict[bytes, int] = {}
        self._sets: dict[bytes, dict[bytes, None]] = {}
        self._subscribed: dict[bytes, dict[_Stream, None]] = {}
        self.numbers: dict[bytes, tuple[str, int]] = {}

    def do(self, stream: _Stream, name: bytes, *arguments: bytes) -> Any:
        """
        Do what somebody asks.

        @return: The reply.
        """
        return getattr(self, f"_{name.decode().lower()}")(stream, *arguments)

    def lost(self, stream: _Stream) -> None:
        """
        See that a connection is gone.
        """
        for streams in self._subscribed.values():
            streams.pop(stream, None)

    def _ping(self, stream: _Stream) -> bytes:
        return b"PONG"

    def _set(self, stream: _Stream, key: bytes, value: bytes, *px: bytes) -> bytes:
        self._keys[key] = self.queue.now + int(px[1]) * SECOND // 1000
        return b"OK"

    def _del(self, stream: _Stream, key: bytes) -> int:
        return int(self._keys.pop(key, None) is not None)

    def _pttl(self, stream: _Stream, key: bytes) -> int:
        left = self._keys.get(key, 0) - self.queue.now
        return left * 1000 // SECOND if left > 0 else -2

    def _sadd(self, stream: _Stream, key: bytes, member: bytes) -> int:
        self._sets.setdefault(key, {})[member] = None
        return 1

    def _srem(self, stream: _Stream, key: bytes, *members: bytes) -> int:
        found = self._sets.get(key, {})
        return sum(found.pop(member, self) is None for member in members)

    def _smembers(self, stream: _Stream, key: bytes) -> list[bytes]:
        return list(self._sets.get(key, ()))

    def _subscribe(self, stream: _Stream, *channels: bytes) -> None:
        for channel in channels:
            self._subscribed.setdefault(channel, {})[stream] = None

    def _publish(self, stream: _Stream, channel: bytes, message: bytes) -> int:
        streams = list(self._subscribed.get(channel, ()))
        for each in streams:
            each.line.down(each, partial(each.line.received, message))
        return len(streams)


class _Line:
    """
    One node's way to the Redis: in the place of a L{PubSub
    <txsessionsock.bus.pubsub.PubSub>}.

    @ivar trouble: What is wrong with it: C{"cut"}: there is no connection.
        C{"deaf"}: nothing comes through, and nobody notices.  C{"late"}: everything
        takes long.
    """

    def __init__(
        self,
        ether: Ether,
        address: object,
        clock: NodeClock,
        timeout: float,
        channels: Iterable[bytes],
        *,
        prepare: Callable[[], Deferred[None]],
        ready: Callable[[], object],
        lost: Callable[[], object],
        received: Callable[[bytes], object],
    ) -> None:
        self._ether = ether
        self._queue = ether.queue
        self._clock = clock
        self._timeout = timeout
        self._channels = tuple(channels)
        self._prepare = prepare
        self._ready = ready
        self._lost = lost
        self.received = received
        self.trouble = ""
        self.isReady = False
        self._isClosed = False
        # None while there is no connection.
        self._stream: _Stream | None = None
        self._old: list[_Stream] = []
        self._open: deque[tuple[int, Deferred[Any]]] = deque()
        self._watchdog: IDelayedCall | None = None
        self._last: Callable[[], object] | None = None

    @property
    def isConnected(self) -> bool:
        """
        Whether there is a connection.
        """
        return self._stream is not None

    # What befalls it.

    def cut(self) -> None:
        """
        Lose the connection, which both sides notice.
        """
        if self._stream is not None:
            self._ether.lost(self._stream)
            self._lose()

    def killed(self) -> None:
        """
        The process is gone, and its connection with it.
        """
        self._isClosed = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.isOpen = False
            self._ether.lost(stream)

    # What the bus calls.

    def start(self) -> None:
        self._connect(self._queue.random.random() * self._ether.latency)

    def ask(self, *arguments: bytes) -> Deferred[Any]:
        stream = self._stream
        if stream is None:
            return fail(StoreUnavailable("not connected"))
        answer: Deferred[Any] = Deferred()
        self._open.append((self._clock.ticks + round(self._timeout * SECOND), answer))
        if self._watchdog is None:
            self._watchdog = self._clock.callLater(self._timeout, self._checkTimes)
        if self.trouble != "deaf":
            stream.lastUp = max(stream.lastUp, self._queue.now + self._delay())
            arrive = partial(self._arrived, stream, arguments, answer)
            self._queue.at(stream.lastUp, arrive)
            if arguments[0] == b"PUBLISH":
                self._last = partial(self._ether.do, stream, *arguments)
        return answer

    def close(self) -> Deferred[None]:
        self._isClosed = True
        if self._stream is None:
            return succeed(None)
        # Behind all that was asked.
        last = self.ask(b"PING")

        def answered(_: object) -> None:
            if self._stream is not None:
                self._ether.lost(self._stream)
                self._lose()

        return last.addBoth(answered)

    # The connection.

    def _connect(self, seconds: float) -> None:
        def connect() -> None:
            if self._isClosed:
                return
            if self.trouble in ("cut", "deaf"):
                self._connect(0.25)
                return
            for stream in self._old:
                self._ether.lost(stream)
            self._old.clear()
            last, self._last = self._last, None
            if last is not None and self._queue.random.random() < _AGAIN:
                last()
            self._stream = _Stream(self)
            self._prepare().addCallbacks(
                partial(self._prepared, self._stream),
                partial(self._notPrepared, self._stream),
            )

        self._clock.callLater(seconds, connect)

    def _prepared(self, stream: _Stream, _: object) -> None:
        if stream is not self._stream or self._isClosed:
            return

        def subscribed(_: object) -> None:
            if stream is self._stream and not self._isClosed:
                self.isReady = True
                self._ready()

        subscribing = self.ask(b"SUBSCRIBE", *self._channels)
        subscribing.addCallback(subscribed)
        subscribing.addErrback(partial(self._notPrepared, stream))

    def _notPrepared(self, stream: _Stream, failure: Failure) -> None:
        failure.trap(StoreFailure)
        if stream is self._stream and not self._isClosed:
            self._ether.lost(stream)
            self._lose(_RETRY)

    def _lose(self, seconds: float | None = None) -> None:
        stream, self._stream = self._stream, None
        assert stream is not None
        stream.isOpen = False
        wasReady, self.isReady = self.isReady, False
        if not self._isClosed:
            most = self._queue.random.uniform(0.0, 0.3)
            self._connect(most if seconds is None else seconds)
        waiting, self._open = self._open, deque()
        for _, answer in waiting:
            if not answer.called:
                answer.errback(StoreTimeout("the connection was lost"))
        if wasReady and not self._isClosed:
            self._lost()

    def _checkTimes(self) -> None:
        """
        Let go of a connection that hangs.
        """
        self._watchdog = None
        while self._open and self._open[0][1].called:
            self._open.popleft()
        if not self._open or self._stream is None:
            return
        left = self._open[0][0] - self._clock.ticks
        if left > 0:
            self._watchdog = self._clock.callLater(left / SECOND, self._checkTimes)
            return
        # The Redis knows nothing of that yet.
        self._old.append(self._stream)
        self._lose()

    def _delay(self) -> int:
        most = _SLOWEST if self.trouble == "late" else self._ether.latency
        return round(self._queue.random.random() * most * SECOND)

    def _arrived(
        self, stream: _Stream, arguments: tuple[bytes, ...], answer: Deferred[Any]
    ) -> None:
        reply: Any
        if self.trouble == "busy":
            reply = Failure(StoreUnavailable("BUSY"))
        else:
            reply = self._ether.do(stream, *arguments)

        def answered() -> None:
            if not answer.called:
                answer.callback(reply)

        self.down(stream, answered)

    def down(self, stream: _Stream, arrive: Callable[[], object]) -> None:
        """
        Have something come to the node.
        """
        if not stream.isOpen or self.trouble == "deaf":
            # Streams have no gaps: nothing comes after what was lost.
            if stream.isOpen and stream is self._stream:
                stream.isOpen = False
                self._clock.callLater(self._timeout, self._notice, stream)
            return

        def arrived() -> None:
            if stream.isOpen:
                arrive()

        stream.lastDown = max(stream.lastDown, self._queue.now + self._delay())
        self._queue.at(stream.lastDown, arrived, self._clock)

    def _notice(self, stream: _Stream) -> None:
        """
        A connection is dead: it is probed now and then.
        """
        if stream is self._stream:
            self._old.append(stream)
            self._lose()

    @property
    def unanswered(self) -> int:
        """
        How much was asked that has no answer.
        """
        return sum(not answer.called for _, answer in self._open)


class SimulatedBus(RedisBus):
    """
    One node's way to the others.

    @ivar line: How it is connected.

    @ivar number: What tells the next command from others: who sends it, and a
        number; L{None} for one that needs not be told.

    @ivar gets: Called with that when such a command comes; C{did}, with the answer
        too, when it is done.
    """

    number: tuple[str, int] | None = None
    gets: Callable[[str, int], object]
    did: Callable[[str, int, bytes], object]

    def __init__(
        self,
        node: str,
        ether: Ether,
        clock: NodeClock,
        *,
        timeout: float = 2.0,
        lifetime: float = 15.0,
    ) -> None:
        """
        @param node: Its name, which no other node has or had.
        """
        with _standIns(node, ether):
            super().__init__("redis://bus", clock, timeout=timeout, lifetime=lifetime)
        self.ether = ether
        self.line: _Line = self._pubsub  # type: ignore[assignment]  # It is in its place.

    def handle(self, answer: Callable[[bytes], bytes]) -> None:
        def noted(command: bytes) -> bytes:
            number = self.ether.numbers.get(command)
            if number is None:
                return answer(command)
            self.gets(*number)
            result = answer(command)
            self.did(*number, result)
            return result

        super().handle(noted)

    def request(self, command: bytes) -> Deferred[Answers]:
        number, self.number = self.number, None
        if number is not None:
            self.ether.numbers[command] = number
        return super().request(command)

    def killed(self) -> None:
        """
        The process is gone.
        """
        self.line.killed()

    def rest(self) -> list[str]:
        """
        @return: What is left, when nothing should be.
        """
        requests = self._requests
        found = [f"{len(requests._pending)} requests"] * bool(requests._pending)
        found += [f"{requests._size} bytes of requests"] * bool(requests._size)
        found += [f"{len(self._unsure)} unsure requests"] * bool(self._unsure)
        return found


@contextmanager
def _standIns(node: str, ether: Ether) -> Iterator[None]:
    """
    Have a bus get a name that comes from no chance, and a connection that is a
    model.
    """
    module: Any = _redis
    before = module.newNode, module.PubSub
    module.newNode = lambda: node
    module.PubSub = partial(_Line, ether)
    try:
        yield
    finally:
        module.newNode, module.PubSub = before
