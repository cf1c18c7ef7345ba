# -*- test-case-name: tests.real.redis.test_redis_bus -*-
"""
Subscribing to channels of a Redis, and asking it things beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer
from txsessionsock.interfaces import StoreFailure


if TYPE_CHECKING:
    from txsessionsock._redis.address import RedisAddress
    from txsessionsock._redis.link import Link

__all__ = ["PubSub", "PubSubState"]

_RETRY = 1.0
"""
After how many seconds to subscribe again, when the last attempt failed.
"""


class PubSubState(Enum):
    """
    What there is of a subscription.

    @cvar DOWN: No connection that could hear anything.

    @cvar PAUSING: A connection.  The last attempt to subscribe failed, so the
        next one waits.

    @cvar PREPARING: A connection.  What has to be done before C{SUBSCRIBE} is
        being done.

    @cvar SUBSCRIBING: C{SUBSCRIBE} was sent.  Not all channels are confirmed.

    @cvar SUBSCRIBED: All channels are confirmed.  Nothing can be asked yet.

    @cvar READY: All channels are confirmed, and something can be asked.

    @cvar CLOSED: No connection, and there will be none.
    """

    DOWN = auto()
    PAUSING = auto()
    PREPARING = auto()
    SUBSCRIBING = auto()
    SUBSCRIBED = auto()
    READY = auto()
    CLOSED = auto()


_S = PubSubState
_FOLLOWING = {
    _S.DOWN: (_S.PAUSING, _S.PREPARING, _S.CLOSED),
    _S.PAUSING: (_S.PREPARING, _S.DOWN, _S.CLOSED),
    _S.PREPARING: (_S.SUBSCRIBING, _S.DOWN, _S.CLOSED),
    _S.SUBSCRIBING: (_S.SUBSCRIBED, _S.DOWN, _S.CLOSED),
    _S.SUBSCRIBED: (_S.READY, _S.DOWN, _S.CLOSED),
    _S.READY: (_S.DOWN, _S.CLOSED),
    _S.CLOSED: (),
}
"""
Which states can come after each.
"""


class _Trouble(Enum):
    """
    What became of the attempts to subscribe since one succeeded.

    @cvar NONE: None of them failed.

    @cvar FAILED: One failed.

    @cvar REFUSED: The server refused one.  That is logged.
    """

    NONE = auto()
    FAILED = auto()
    REFUSED = auto()


class _OwnerOfOne:
    """
    Tells a L{PubSub} what becomes of one of its two links: by functions, since
    each link has its own.
    """

    def __init__(
        self,
        up: Callable[[], None],
        down: Callable[[], None],
        pushed: Callable[[list[Any]], None],
    ) -> None:
        self.up, self.down, self.pushed = up, down, pushed


class PubSub:
    """
    A subscription to some channels.  It has one connection if replies and
    messages can be told apart there (RESP3), and otherwise two: one that hears,
    and one that asks.

    @ivar state: What there is of a subscription.
    """

    _log = Logger()

    def __init__(
        self,
        address: RedisAddress,
        reactor: IReactorTime,
        timeout: float,
        channels: Iterable[bytes],
        *,
        prepare: Callable[[], Deferred[None]],
        ready: Callable[[], object],
        lost: Callable[[], object],
        received: Callable[[bytes], object],
    ) -> None:
        """
        @param timeout: How many seconds there are for an answer.

        @param prepare: Called before subscribing.  If it fails, nothing is
            subscribed to.

        @param ready: Called when the subscription is L{PubSubState.READY}, and
            C{lost} when it is so no more, unless because it was closed.

        @param received: Called with each message.
        """
        from txsessionsock._redis.link import Link  # noqa: PLC0415 - txredisapi is for a Redis only

        self.state = PubSubState.DOWN
        self._timeout = timeout
        self._channels = tuple(channels)
        self._prepare = prepare
        self._ready = ready
        self._lost = lost
        self._received = received
        self._confirmed: set[bytes] = set()
        self._trouble = _Trouble.NONE
        self._timer = Timer(reactor)
        self._hearing = Link(
            address,
            _OwnerOfOne(self._up, self._down, self._pushed),
            reactor,
            timeout=timeout,
            subscribes=True,
        )
        self._other = Link(
            address,
            _OwnerOfOne(self._look, self._otherDown, self._pushed),
            reactor,
            timeout=timeout,
        )

    @property
    def isReady(self) -> bool:
        """
        Whether all channels are subscribed to and something can be asked.
        """
        return self.state is PubSubState.READY

    @property
    def isConnected(self) -> bool:
        """
        Whether there is a connection.
        """
        return self.state not in (PubSubState.DOWN, PubSubState.CLOSED)

    def _become(self, state: PubSubState) -> None:
        """
        Go on to another state.  Nothing else does.

        @raise RuntimeError: It cannot follow this one.
        """
        was = self.state
        if state not in _FOLLOWING[was]:
            raise RuntimeError(
                f"a subscription: after {was.name} comes no {state.name}"
            )
        self.state = state
        # It runs within one state only.
        self._timer.stop()
        if state is PubSubState.READY:
            self._ready()
        elif state is PubSubState.DOWN and was is PubSubState.READY:
            self._lost()

    def start(self) -> None:
        """
        Connect, now and whenever the connection is lost.
        """
        _connect(self._hearing)

    def ask(self, *arguments: bytes) -> Deferred[Any]:
        """
        Ask something.

        @return: A L{Deferred} of the reply.  It fails with L{StoreFailure}.
        """
        return self._asking.ask(*arguments)

    @property
    def _asking(self) -> Link:
        return self._hearing if self._hearing.hasPushes else self._other

    def close(self) -> Deferred[None]:
        """
        Wait for the answers to what was asked, then disconnect.
        """
        if self.state is not PubSubState.CLOSED:
            self._become(PubSubState.CLOSED)
        closing = gatherResults([self._other.close(), self._hearing.close()])
        return closing.addCallback(lambda _: None)

    def _up(self) -> None:
        if self.state is PubSubState.CLOSED:
            return
        self._confirmed.clear()
        if self._trouble is _Trouble.NONE:
            self._begin()
        else:
            self._become(PubSubState.PAUSING)
            self._timer.start(_RETRY, self._begin)

    def _begin(self) -> None:
        # The connection may be lost while this is prepared.  Then the result comes
        # in another state, and is ignored.  Or it comes in the next attempt's
        # PREPARING, and serves that one: the same was prepared.
        self._become(PubSubState.PREPARING)

        def prepared(_: None) -> None:
            if self.state is PubSubState.PREPARING:
                self._become(PubSubState.SUBSCRIBING)
                self._hearing.tell(b"SUBSCRIBE", *self._channels)
                why = "it does not answer a SUBSCRIBE"
                self._timer.start(self._timeout, self._hearing.drop, why)

        def failed(failure: Failure) -> None:
            failure.trap(StoreFailure)
            if self.state is PubSubState.PREPARING:
                why = failure.getErrorMessage()
                self._hearing.drop(why.removeprefix(f"{self._hearing.address}: "))

        self._prepare().addCallbacks(prepared, failed)

    def _down(self) -> None:
        # The answer to SUBSCRIBE was an error, which nobody waits for: so the
        # connection was closed.  Or there was no answer in time.
        isRefused = self.state is PubSubState.SUBSCRIBING
        if isRefused and self._trouble is not _Trouble.REFUSED:
            self._trouble = _Trouble.REFUSED
            self._log.warn(
                "{address}: it does not let us subscribe to {channels}; trying again",
                address=self._hearing.address,
                channels=b", ".join(self._channels).decode(),
            )
        self._end()

    def _end(self) -> None:
        """
        Nothing is heard any more.
        """
        if self.state in (PubSubState.DOWN, PubSubState.CLOSED):
            return
        isUnfinished = self.state in (PubSubState.PREPARING, PubSubState.SUBSCRIBING)
        if isUnfinished and self._trouble is _Trouble.NONE:
            self._trouble = _Trouble.FAILED
        self._become(PubSubState.DOWN)

    def _otherDown(self) -> None:
        # Perhaps because its server became a replica.  Without RESP3, the
        # connection that hears cannot ask for that, and may lead to the same
        # server.
        if self._hearing.isUp and not self._hearing.hasPushes:
            # This ends before the connection does, so that the end of the
            # connection does not look like the server's refusal.
            self._end()
            self._hearing.drop("")

    def _pushed(self, message: list[Any]) -> None:
        match message:
            case [b"message", bytes(), bytes(payload)]:
                self._received(payload)
            case [b"subscribe", bytes(channel), int()]:
                self._confirmed.add(channel)
                self._look()

    def _look(self) -> None:
        """
        See whether all channels are confirmed, and whether something can be
        asked.
        """
        isConfirmed = self._confirmed.issuperset(self._channels)
        if isConfirmed and self.state is PubSubState.SUBSCRIBING:
            self._trouble = _Trouble.NONE
            self._become(PubSubState.SUBSCRIBED)
            if not self._asking.isUp:
                _connect(self._asking)
        if self.state is PubSubState.SUBSCRIBED and self._asking.isUp:
            self._become(PubSubState.READY)


def _connect(link: Link) -> None:
    """
    Connect by asking something.  The link goes on trying when that fails.
    """

    def failed(failure: Failure) -> None:
        failure.trap(StoreFailure)

    link.ask(b"PING").addErrback(failed)
