# -*- test-case-name: tests.real.redis.test_redis_bus -*-
"""
A bus on a Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock._arguments import AboveZero, Size, checked
from txsessionsock._deferreds import Timer
from txsessionsock._kinds import Clock
from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import BusFull, IBus, StoreFailure, StoreUnavailable

from .envelopes import Answer, Bye, Envelope, Hello, Question, open_, seal
from .node import COMMAND_SIZE, Handling, checkSize, newNode
from .presence import Nodes, Presence
from .pubsub import PubSub
from .requests import Answers, Requests


__all__ = ["RedisBus"]

_BEATS = 3
"""
How often in its lifetime a node says that it is there.
"""

_RETRY = 1.0
"""
After how many seconds to try again to say that this node is there.
"""


class _Part(Enum):
    """
    Whether a node takes part.

    @cvar OUT: It does not, since it is not connected, or could not yet say that
        it is there.

    @cvar IN: It does: its commands reach others.

    @cvar CLOSED: It does not, and never will again.
    """

    OUT = auto()
    IN = auto()
    CLOSED = auto()


@checked
@implementer(IBus)
class RedisBus:
    """
    Nodes that find each other in a Redis, and talk through it.

    All its keys and channels begin with one prefix: C{nodes} is a set of the
    nodes, C{node:ID} is there while one lives; C{DATABASE:all} is a channel to
    all, C{DATABASE:to:ID} one to a node.

    @ivar node: See L{IBus}.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        reactor: Clock | None = None,
        *,
        prefix: str = "sessionsock:",
        timeout: AboveZero = 2.0,
        lifetime: AboveZero = 15.0,
        waiting: Size = 10_000,
        waitingBytes: Size = 16 * 1024 * 1024,
        commandSize: Size = COMMAND_SIZE,
    ) -> None:
        """
        @param url: Where the Redis is, as for
            L{RedisStore<txsessionsock.stores.redis.RedisStore>}.

        @param reactor: The global reactor, unless given.

        @param prefix: What keys and channels begin with.  Applications that
            share a database have different ones.

        @param timeout: How many seconds other nodes, and Redis, have for an
            answer.

        @param lifetime: After how many seconds of silence a node counts as
            gone.

        @param waiting: How many commands may wait for answers, and
            C{waitingBytes}, of what size together.

        @param commandSize: How many bytes a command may have.

        @raise ValueError: The URL is wrong.
        """
        from txsessionsock._redis.address import RedisAddress  # noqa: PLC0415 - is for a Redis only

        address = RedisAddress.parse(url)
        self.node = newNode()
        self._reactor = clockOf(reactor)
        self._beatInterval = lifetime / _BEATS
        self._commandSize = commandSize
        # The channels of a Redis do not care for the database.
        channels = f"{prefix}{address.database or 0}:"
        self._all, self._to = f"{channels}all".encode(), f"{channels}to:"
        self._handling = Handling()
        self._nodes = Nodes(self.node, lifetime, self._beatInterval)
        self._requests = Requests(
            self.node, self._reactor, timeout, waiting, waitingBytes
        )
        self._pubsub = PubSub(
            address,
            self._reactor,
            timeout,
            (self._all, self._channel(self.node)),
            # Announce this node before subscribing.  Otherwise a command may
            # reach a node that its sender does not count.
            prepare=lambda: Deferred.fromCoroutine(self._presence.announce()),
            ready=self._connected,
            lost=self._lost,
            received=self._received,
        )
        self._presence = Presence(
            self.node, self._nodes, prefix, lifetime, self._pubsub.ask
        )
        self._part = _Part.OUT
        self._lostAt = 0.0
        self._whenReady: list[Deferred[None]] = []
        self._starting = Timer(self._reactor)
        self._beating = Timer(self._reactor)
        # Counts how often a connection came or went: what was begun before the
        # last time is out of date.
        self._generation = 0
        self._complaint = ""
        self._unsure: list[int] = []
        self._isLooking = False

    def _channel(self, node: str) -> bytes:
        return f"{self._to}{node}".encode()

    # What the hub calls.

    def handle(self, answer: Callable[[bytes], bytes]) -> None:
        self._handling.answerBy(answer)
        # Not at once: twistd may call this before it forks to become a daemon,
        # and the connection would stay with the parent.
        self._starting.start(0, self._pubsub.start)

    def ready(self) -> Deferred[None]:
        """
        @return: A L{Deferred} that fires when this node takes part.  It fails
            with L{StoreUnavailable} if the bus is closed before.
        """
        if self._part is _Part.IN:
            return succeed(None)
        ready: Deferred[None] = Deferred(lambda _: self._whenReady.remove(ready))
        self._whenReady.append(ready)
        return ready

    def request(self, command: bytes) -> Deferred[Answers]:
        checkSize(command, self._commandSize)
        if self._part is not _Part.IN:
            isClosed = self._part is _Part.CLOSED
            why = "is closed" if isClosed else "has no connection to other nodes"
            return fail(StoreUnavailable(f"the bus {why}"))
        others = self._nodes.others(self._reactor.seconds())
        try:
            number, answers = self._requests.add(len(command), others)
        except BusFull:
            return fail()
        self._publish(self._all, Question(self.node, number, command)).addCallbacks(
            partial(self._reached, number), partial(self._requests.failed, number)
        )
        self._handling.answerOwn(
            self.node, command, partial(self._requests.answered, number, self.node)
        )
        return answers

    def _reached(self, number: int, count: int) -> None:
        # Redis counts this node too.
        if self._requests.reached(number, count - 1):
            self._unsure.append(number)
            if not self._isLooking:
                self._isLooking = True
                Deferred.fromCoroutine(self._lookAgain()).addErrback(self._died)

    async def _lookAgain(self) -> None:
        """
        More nodes got a command than are known: see which they are.
        """
        try:
            while self._unsure:
                unsure, self._unsure = self._unsure, []
                with suppress(StoreFailure):
                    await self._presence.look(self._reactor.seconds)
                others = self._nodes.others(self._reactor.seconds())
                for number in unsure:
                    self._requests.awaits(number, others)
        finally:
            self._isLooking = False

    def close(self) -> Deferred[None]:
        if self._part is _Part.CLOSED:
            return succeed(None)
        wasIn, self._part = self._part is _Part.IN, _Part.CLOSED
        # It can be seen before it takes part.
        isSeen = self._pubsub.isConnected
        self._starting.stop()
        self._stopBeating()
        self._requests.stop()
        waiting, self._whenReady = self._whenReady, []
        for ready in waiting:
            ready.errback(StoreUnavailable("the bus is closed"))

        async def close() -> None:
            try:
                if isSeen:
                    # In this order.  Otherwise a node may hear the goodbye, look
                    # who is there, and still see this one.
                    withdrawing = Deferred.fromCoroutine(self._presence.withdraw())
                    self._publish(self._all, Bye(self.node)).addErrback(_ignore)
                    await withdrawing
            except StoreFailure as error:
                if wasIn:
                    self._log.warn(
                        "other nodes miss this one for a while: {why}", why=error
                    )
            await self._pubsub.close()

        return Deferred.fromCoroutine(close())

    # Being there.

    def _connected(self) -> None:
        if self._part is not _Part.CLOSED:
            self._generation += 1
            self._beat()

    def _lost(self) -> None:
        self._stopBeating()
        if self._part is _Part.IN:
            self._part = _Part.OUT
            self._lostAt = self._reactor.seconds()
        self._requests.giveUp()

    def _stopBeating(self) -> None:
        self._generation += 1
        self._beating.stop()

    def _beat(self) -> None:
        beat = self._sayPresent(self._generation)
        Deferred.fromCoroutine(beat).addErrback(self._died)

    def _died(self, failure: Failure) -> None:
        self._log.failure("node {node} failed", failure, node=self.node)

    async def _sayPresent(self, generation: int) -> None:
        """
        Say that this node is there, see who else is, and do so again.

        @param generation: Which connection this is for.
        """
        delay = self._beatInterval
        try:
            await self._presence.announce()
            await self._presence.look(self._reactor.seconds)
            if self._part is _Part.OUT:
                await self._publish(self._all, Hello(self.node))
        except StoreFailure as error:
            delay = min(_RETRY, delay)
            if generation == self._generation:
                self._complain(str(error))
        else:
            self._complaint = ""
            if generation == self._generation and self._part is _Part.OUT:
                self._joined()
        # Not before this: those who waited for the node to join may close it as
        # soon as they are told.
        if generation == self._generation:
            self._beating.start(delay, self._beat)

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            self._log.warn(
                "node {node} cannot say that it is there: {why}; trying again",
                node=self.node,
                why=complaint,
            )

    def _joined(self) -> None:
        self._part = _Part.IN
        self._nodes.resume(self._lostAt, self._reactor.seconds())
        self._log.info("node {node} takes part", node=self.node)
        waiting, self._whenReady = self._whenReady, []
        for ready in waiting:
            ready.callback(None)

    # Talking.

    def _publish(self, channel: bytes, envelope: Envelope) -> Deferred[Any]:
        return self._pubsub.ask(b"PUBLISH", channel, seal(envelope))

    def _received(self, raw: bytes) -> None:
        try:
            envelope = open_(raw)
        except ValueError as error:
            self._log.warn(
                "ignored a message of {size} bytes on the bus: {why}",
                size=len(raw),
                why=error,
            )
            return
        if envelope.node == self.node or self._part is _Part.CLOSED:
            return
        if isinstance(envelope, Bye):
            self._nodes.saidBye(envelope.node)
            self._requests.lost(envelope.node)
            return
        self._nodes.heard(envelope.node, self._reactor.seconds())
        if isinstance(envelope, Answer):
            self._requests.answered(envelope.number, envelope.node, envelope.answer)
        elif isinstance(envelope, Question):
            if not self._nodes.asks(envelope.node, envelope.number):
                return
            answer = self._handling.answer(envelope.node, envelope.command)
            if self._pubsub.isReady:
                answered = Answer(self.node, envelope.number, answer)
                channel = self._channel(envelope.node)
                self._publish(channel, answered).addErrback(_ignore)


def _ignore(failure: Failure) -> None:
    """
    The message did not go out.  Its receiver will notice: an answer does not
    come, or a node's key expires.
    """
    failure.trap(StoreFailure)
