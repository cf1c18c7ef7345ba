# -*- test-case-name: tests.test_redis_bus -*-
"""
Subscribing to channels of a Redis, and asking it things beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.interfaces import StoreFailure


if TYPE_CHECKING:
    from txsessionsock._redis.address import RedisAddress
    from txsessionsock._redis.link import Link

__all__ = ["PubSub"]

_RETRY = 1.0
"""
After how many seconds to try again what was refused.
"""


class _Listener:
    """
    Hears of one of the two connections.
    """

    def __init__(
        self,
        up: Callable[[], None],
        down: Callable[[], None],
        pushed: Callable[[list[Any]], None],
    ) -> None:
        self._up, self._down, self._pushed = up, down, pushed

    def up(self) -> None:
        self._up()

    def down(self) -> None:
        self._down()

    def pushed(self, message: list[Any]) -> None:
        self._pushed(message)


class PubSub:
    """
    One connection where replies and messages can be told apart (RESP3), else
    two.

    @ivar isReady: Whether all channels are subscribed to and something can be
        asked.
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

        @param prepare: Called before subscribing, which goes on if it did not
            fail.

        @param ready: Called when L{isReady} became true, and C{lost} when it
            did not stay so.

        @param received: Called with each message.
        """
        from txsessionsock._redis.link import Link  # noqa: PLC0415 - txredisapi is for a Redis only

        self.isReady = False
        self._reactor = reactor
        self._timeout = timeout
        self._channels = tuple(channels)
        self._prepare = prepare
        self._ready = ready
        self._lost = lost
        self._received = received
        self._confirmed: set[bytes] = set()
        self._isAsked = self._isRefused = self._isTold = False
        self._visit = 0
        self._timer: IDelayedCall | None = None
        self._hearing = Link(
            address,
            _Listener(self._up, self._down, self._pushed),
            reactor,
            timeout=timeout,
            subscribes=True,
        )
        self._other = Link(
            address,
            _Listener(self._look, self._otherDown, self._pushed),
            reactor,
            timeout=timeout,
        )

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
        self._stopTimer()
        self._visit += 1
        self.isReady = False
        closing = gatherResults([self._other.close(), self._hearing.close()])
        return closing.addCallback(lambda _: None)

    def _up(self) -> None:
        self._confirmed.clear()
        if self._isRefused:
            self._later(_RETRY, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._isRefused = True
        visit = self._visit

        def prepared(_: None) -> None:
            if visit == self._visit:
                self._isAsked = True
                self._hearing.tell(b"SUBSCRIBE", *self._channels)
                why = "it does not answer a SUBSCRIBE"
                self._later(self._timeout, partial(self._hearing.drop, why))

        def failed(failure: Failure) -> None:
            failure.trap(StoreFailure)
            if visit == self._visit:
                why = failure.getErrorMessage()
                self._hearing.drop(why.removeprefix(f"{self._hearing.address}: "))

        self._prepare().addCallbacks(prepared, failed)

    def _down(self) -> None:
        self._visit += 1
        self._stopTimer()
        # It hangs up on us: the answer was an error, which is nobody's reply.
        if self._isAsked and self._isRefused and not self._isTold:
            self._isTold = True
            self._log.warn(
                "{address}: it does not let us subscribe to {channels}; trying again",
                address=self._hearing.address,
                channels=b", ".join(self._channels).decode(),
            )
        self._isAsked = False
        self._confirmed.clear()
        self._look()

    def _otherDown(self) -> None:
        # Perhaps because its server became a replica.  Who subscribes without
        # RESP3 cannot ask for that, and may be connected to the same one.
        if self._hearing.isUp and not self._hearing.hasPushes:
            # We hang up: that is no answer to a SUBSCRIBE.
            self._isAsked = False
            self._hearing.drop("")
        self._look()

    def _pushed(self, message: list[Any]) -> None:
        match message:
            case [b"message", bytes(), bytes(payload)]:
                self._received(payload)
            case [b"subscribe", bytes(channel), int()]:
                self._confirmed.add(channel)
                self._look()

    def _look(self) -> None:
        """
        See whether this is of use now.
        """
        isSubscribed = self._confirmed.issuperset(self._channels)
        if isSubscribed and self._isRefused:
            self._isRefused = self._isTold = False
            self._stopTimer()
        if isSubscribed and not self._asking.isUp:
            _connect(self._asking)
        isReady = isSubscribed and self._asking.isUp
        if isReady != self.isReady:
            self.isReady = isReady
            if isReady:
                self._ready()
            else:
                self._lost()

    def _later(self, seconds: float, f: Callable[[], object]) -> None:
        self._stopTimer()
        self._timer = self._reactor.callLater(seconds, f)

    def _stopTimer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def _connect(link: Link) -> None:
    """
    Connect by asking something; that goes on when it fails.
    """

    def failed(failure: Failure) -> None:
        failure.trap(StoreFailure)

    link.ask(b"PING").addErrback(failed)
