# -*- test-case-name: tests.test_redis_link -*-
"""
One connection to a Redis that is made again whenever it is lost.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import StoreError, StoreTimeout, StoreUnavailable

from .address import RedisAddress
from .call import Call, said
from .connection import Connection, Factory, Refusal, canBePushed
from .greeting import REPLICA, Greeting, isReplica
from .sentinel import encode
from .way import Way


__all__ = ["Call", "Link", "Listener"]

_PROBE_INTERVAL = 5.0
"""
How many seconds may pass until a connection is found dead on which nothing is
asked.
"""

_AT_ONCE = 100
"""
How many calls to fail in one turn of the reactor: whoever asked will do
something about it.
"""

_NOT_NOW = ("BUSY", "NOAUTH")
"""
With what words a Redis says that it does nothing at present.
"""

_ELSEWHERE = {
    # It was a master, and is none any more.
    "READONLY": REPLICA,
    "MASTERDOWN": REPLICA,
    # A server that answered before loads what another one has.
    "LOADING": "",
    # It may be a master that is cut off, whose place another one took.
    "NOREPLICAS": "",
    "CLUSTERDOWN": "",
    # A cluster of one shard has another master now.
    "MOVED": "it is not the node of a cluster that has the key",
}
"""
With what words a Redis says that it does nothing, where the address may lead
to another server by now, which does; and what problem that is, if those words
do not say it.
"""


class Listener(Protocol):
    """
    Who is told what becomes of a connection.
    """

    def up(self) -> None:
        """
        There is one.  What is sent now is sent before all that waits.
        """

    def down(self) -> None:
        """
        There is none any more.
        """

    def pushed(self, message: list[Any]) -> None:
        """
        The server said something that nobody had asked for.
        """


class Link:
    """
    The connection.  It is made when something is first asked.

    @ivar isUp: Whether there is one.

    @ivar isTracking: Whether what was read over it is tracked: the server
        reports each change to it.

    @ivar hasPushes: Whether it speaks RESP3, in which pushed messages and
        replies are told apart.
    """

    _log = Logger()

    def __init__(
        self,
        address: RedisAddress,
        listener: Listener,
        reactor: IReactorTime | None = None,
        *,
        timeout: float = 2.0,
        tracks: bool = False,
        subscribes: bool = False,
    ) -> None:
        """
        @param listener: Who is told what becomes of it.

        @param reactor: The global reactor, which txredisapi uses anyway.

        @param timeout: How many seconds there are for an answer.

        @param tracks: Whether to have tracked what is read.

        @param subscribes: Whether it is used to subscribe.

        @raise ValueError: A file that the address names is of no use.
        """
        self.address = address
        self.isUp = self.isTracking = self.hasPushes = False
        self._listener = listener
        self.reactor = clockOf(reactor)
        self.timeout = timeout
        self._greeting = Greeting(
            speaksThree=canBePushed() and (tracks or subscribes),
            tracks=tracks,
            wantsMaster=address.service is not None,
        )
        self.subscribes = subscribes
        self._way = Way(address, self.reactor, timeout, self.troubled)
        self._factory: Factory | None = None
        self._connection: Connection | None = None
        self._waiting: deque[Call] = deque()
        self._watchdog: IDelayedCall | None = None
        self._probing: IDelayedCall | None = None
        self._problem = ""
        self._told = ""
        self._isClosed = self._isDone = False
        # An answer said that another server may be the right one, and no
        # connection has passed a probe since; and what this one said of that.
        self._isDoubted = False
        self._refusal = ""

    def send(self, call: Call) -> Deferred[Any]:
        """
        Ask, as soon as there is a connection.

        @return: The call's answer.
        """
        now = self.reactor.seconds()
        self._prepare(call, now)
        connection = self._connection
        if self._isClosed:
            call.fail(self._unavailable("it is closed"))
        elif connection is not None and self.isUp:
            connection.put(call, now)
        else:
            self._waiting.append(call)
            self._connect()
        if self._watchdog is None and not self._isClosed:
            self._watchdog = self.reactor.callLater(self.timeout, self._checkTimes)
        return call.answer

    def _prepare(self, call: Call, now: float) -> Call:
        call.link = self
        call.answer = Deferred(self._cancelled)
        call.deadline = now + self.timeout
        return call

    def ask(self, *arguments: bytes) -> Deferred[Any]:
        """
        Ask, as soon as there is a connection.

        @return: A L{Deferred} of the reply.  It fails with
            L{StoreUnavailable}, L{StoreTimeout} or L{StoreError}.
        """
        return self.send(Call(*arguments))

    def check(self) -> Deferred[None]:
        """
        See whether the server lives and still is no replica.  Writes are
        refused by one, but what is read there is old, and what is published
        there reaches few.

        @return: A L{Deferred} that fails with L{StoreTimeout}, or with
            L{StoreUnavailable}: also if the server is a replica; then another
            connection is made.
        """

        def answered(reply: Any) -> None:
            if isReplica(reply):
                self.drop(REPLICA)
                raise self._unavailable(REPLICA)

        def refused(failure: Failure) -> None:
            # Redis 6.0 wants a version, proxies have their own commands, and who
            # subscribes without RESP3 may not ask: it lives, and says no more.
            failure.trap(StoreError)

        return self.ask(b"HELLO").addCallbacks(answered, refused)

    def tell(self, *arguments: bytes) -> None:
        """
        Send a command that has no reply: C{SUBSCRIBE} is answered by a push.

        @raise StoreUnavailable: There is no connection.
        """
        if self._connection is None or not self.isUp:
            raise self._unavailable("there is no connection")
        self._connection.transport.write(encode(*arguments))

    def close(self) -> Deferred[None]:
        """
        Wait for the answers to what was asked, then disconnect.
        """
        if self._isClosed:
            return succeed(None)
        last = self.ask(b"PING") if self.isUp else succeed(None)
        self._isClosed = True
        return last.addBoth(self._close)

    def _close(self, _: object) -> Deferred[Any] | None:
        connection, now = self._connection, self.reactor.seconds()
        if self.isUp and connection is not None and connection.pending():
            # A script that the server did not know was sent again.
            last = self._prepare(Call(b"PING"), now)
            connection.put(last, now)
            return last.answer.addBoth(self._close)
        self._isDone = True
        for timer in self._watchdog, self._probing:
            if timer is not None and timer.active():
                timer.cancel()
        self._watchdog = self._probing = None
        for call in list(self._waiting):
            call.fail(self._unavailable("it is closed"))
        self._waiting.clear()
        if self._factory is None:
            return None
        self._factory.abort()
        ended = DeferredList([self._way.close(), self._factory.disconnect()])
        return ended.addCallback(lambda _: None)

    def drop(self, problem: str) -> None:
        """
        Make another connection: this one is of no use.

        @param problem: Why; nothing, if that has been said.
        """
        self._problem = problem
        connection, self._connection = self._connection, None
        if connection is not None:
            self._greeting.lost(isInDoubt=bool(connection.pending()))
            connection.transport.abortConnection()
        self._isDown()

    def _cancelled(self, answer: Deferred[Any]) -> None:
        """
        Nobody waits for an answer any more.
        """
        for call in self._waiting:
            if call.answer is answer:
                self._waiting.remove(call)
                call.fail(self._unavailable(self._problem))
                return
        answer.errback(self._late())

    def refused(self, call: Call, error: Exception) -> None:
        """
        The answer is an error.
        """
        text = said(error)
        word = text.partition(" ")[0]
        if not isinstance(error, Refusal):
            call.fail(self._late())
        elif call.retry(text):
            self._again(call)
        elif word in _ELSEWHERE:
            # First, or whoever asks again at once would ask this server.
            self._doubt(_ELSEWHERE[word] or text)
            call.fail(self._unavailable(text))
        elif word in _NOT_NOW:
            call.fail(self._unavailable(text))
        else:
            call.fail(call.error(text))

    def _doubt(self, problem: str) -> None:
        """
        Look whether the address leads to another server by now.  It may not:
        so a connection that was made for that reason is kept until it is
        probed.
        """
        if self._isDoubted and self.isUp:
            self._refusal = self._problem = problem
            self._tell()
        elif self.isUp:
            self._isDoubted = True
            self.drop(problem)

    def _again(self, call: Call) -> None:
        if self._connection is not None and self.isUp:
            self._connection.put(call, self.reactor.seconds())
        else:
            call.sent = None
            self._waiting.appendleft(call)

    def _unavailable(self, problem: str) -> StoreUnavailable:
        return StoreUnavailable(f"{self.address}: {problem or 'no connection yet'}")

    def _late(self) -> StoreTimeout:
        return StoreTimeout(f"{self.address}: no answer")

    def _checkTimes(self) -> None:
        """
        Fail what waits too long, and let go of a connection that hangs.
        """
        now, self._watchdog = self.reactor.seconds(), None
        pending = [] if self._connection is None else self._connection.pending()
        if pending and (pending[0].sent or 0.0) + self.timeout <= now:
            self.drop("it hangs")
        for call in [call for call in pending if call.isLate(now)][:_AT_ONCE]:
            call.fail(self._late())
        for _ in range(_AT_ONCE):
            if self._waiting and self._waiting[0].isLate(now):
                self._waiting.popleft().fail(self._unavailable(self._problem))
        left = [call.deadline for call in list(self._waiting)[:1]]
        left += [call.deadline for call in pending if not call.answer.called][:1]
        if pending and self._connection is not None:
            left.append((pending[0].sent or 0.0) + self.timeout)
        if left and not self._isDone:
            if self._watchdog is not None:
                # Whoever was told asked again.
                self._watchdog.cancel()
            delay = max(0.0, min(left) - now)
            self._watchdog = self.reactor.callLater(delay, self._checkTimes)

    def pushed(self, message: list[Any]) -> None:
        """
        The server said something that nobody had asked for.
        """
        self._listener.pushed(message)

    # The connection.

    def _connect(self) -> None:
        if self._factory is None:
            self._factory = Factory(self)
            self._factory.startConnecting(self._way)
            self._way.watch(lambda: self.drop("another server is the master now"))

    def made(self, connection: Connection) -> None:
        """
        There is a connection that knows who we are.  See what it can.
        """
        self._connection = connection

        def failed(failure: Failure) -> None:
            if connection is self._connection:
                problem = failure.getErrorMessage()
                self.drop(problem.removeprefix(f"{self.address}: "))

        Deferred.fromCoroutine(self._greet(connection)).addErrback(failed)

    async def _greet(self, connection: Connection) -> None:
        """
        @raise StoreFailure: It is of no use.
        """

        def ask(*arguments: bytes) -> Deferred[Any]:
            call, now = Call(*arguments), self.reactor.seconds()
            self._prepare(call, now)
            connection.put(call, now)
            return call.answer

        skills = await self._greeting.greet(ask)
        self.hasPushes = connection.hasPushes = skills.hasPushes
        self.isTracking = skills.isTracking
        if connection is self._connection:
            self._isReady(connection)

    def _isReady(self, connection: Connection) -> None:
        if not self._isDoubted:
            self._isRight()
        self.isUp, self._refusal = True, ""
        connection.settle()
        self._probing = self.reactor.callLater(_PROBE_INTERVAL, self._probe)
        self._listener.up()
        now = self.reactor.seconds()
        while self._waiting and connection is self._connection:
            connection.put(self._waiting.popleft(), now)

    def _isRight(self) -> None:
        """
        The server is the one to use.
        """
        if self._told:
            self._log.info("{address}: connected again", address=self.address)
        self._told = self._problem = ""
        self._way.failures = 0
        self._isDoubted = False

    def _probe(self) -> None:
        """
        See whether the connection lives, does what it was told to, and leads
        to the right server.
        """
        self._probing = None
        self._way.check()
        connection = self._connection

        def answered(reply: Any) -> None:
            if connection is not self._connection or self._probing is not None:
                return
            flags = reply.get(b"flags", ()) if isinstance(reply, dict) else (b"on",)
            if self.isTracking and b"on" not in flags:
                self.drop("it stopped to track")
            elif self._refusal:
                self.drop(self._refusal)
            elif self.isUp:
                if self._isDoubted:
                    self._isRight()
                self._probing = self.reactor.callLater(_PROBE_INTERVAL, self._probe)

        # A server that says not now lives.
        probe: Deferred[Any] = self.check().addErrback(lambda _: None)
        if self.isTracking:
            probe = self.ask(b"CLIENT", b"TRACKINGINFO").addErrback(lambda _: None)
        probe.addCallback(answered)

    def lost(self, connection: Connection, problem: str) -> None:
        """
        A connection is gone.

        @param problem: Why, if that has not been said.
        """
        if connection is self._connection:
            self._connection = None
            self._greeting.lost(isInDoubt=bool(connection.pending()))
            self._problem = problem or self._problem
            self._isDown()
        elif problem and not connection.isKnown:
            self.troubled(problem)

    def _isDown(self) -> None:
        if self._probing is not None and self._probing.active():
            self._probing.cancel()
        self._probing = None
        self._tell()
        if self.isUp:
            self.isUp = self.isTracking = False
            self._listener.down()

    def troubled(self, error: object) -> None:
        """
        There was a problem with a connection, or with getting one.
        """
        self._problem = said(error)
        self._tell()

    def _tell(self) -> None:
        if self._problem not in ("", self._told) and not self._isClosed:
            self._told = self._problem
            self._log.warn(
                "{address}: {problem}; trying again",
                address=self.address,
                problem=self._problem,
            )
