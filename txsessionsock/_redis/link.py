# -*- test-case-name: tests.real.redis.test_redis_link -*-
"""
One connection to a Redis that is made again whenever it is lost.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer
from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import StoreError, StoreTimeout, StoreUnavailable

from .address import RedisAddress
from .call import RedisCall
from .connection import ConnectionFactory, RedisConnection, Refusal, canBePushed
from .endpoint import RedisEndpoint
from .greeting import REPLICA, Greeting, Skills, isReplica
from .resp import encode, said


__all__ = ["Link", "LinkOwner", "LinkState"]

_PROBE_INTERVAL = 5.0
"""
After how many seconds a connection is probed: one on which nothing is asked
would not be found dead otherwise.
"""

_AT_ONCE = 100
"""
How many calls to fail in one turn of the reactor: each failure makes its caller
do something, which takes time.
"""

_NOT_NOW = ("BUSY", "NOAUTH")
"""
The first words of errors that say that a Redis does nothing at present.
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
The first words of errors after which the address may lead to another server,
which does what this one refused; and what the problem is, where the error does
not say it.
"""


class LinkState(Enum):
    """
    What there is of a connection.

    @cvar NEW: Nothing was asked until now, so nobody connects.

    @cvar CONNECTING: There is none.  One is being made.

    @cvar GREETING: There is one.  What the server can is being found out.

    @cvar UP: There is one, and it is of use.

    @cvar CLOSING: The same, until all is answered that was asked.

    @cvar CLOSED: There is none, and will be none.
    """

    NEW = auto()
    CONNECTING = auto()
    GREETING = auto()
    UP = auto()
    CLOSING = auto()
    CLOSED = auto()


_FOLLOWING = {
    LinkState.NEW: (LinkState.CONNECTING, LinkState.CLOSED),
    LinkState.CONNECTING: (LinkState.GREETING, LinkState.CLOSED),
    LinkState.GREETING: (LinkState.UP, LinkState.CONNECTING, LinkState.CLOSED),
    LinkState.UP: (LinkState.CONNECTING, LinkState.CLOSING),
    LinkState.CLOSING: (LinkState.CLOSED,),
    LinkState.CLOSED: (),
}
"""
Which states can come after each.
"""

_USABLE = LinkState.UP, LinkState.CLOSING
_CONNECTED = LinkState.GREETING, *_USABLE
_ENDING = LinkState.CLOSING, LinkState.CLOSED


class _Trust(Enum):
    """
    Whether the server is the one to use.

    @cvar SURE: Nothing says that it is not.

    @cvar UNSURE: An answer said that another server may be the right one, and
        no connection has passed a probe since.

    @cvar REFUSED: The same, and the server that the address leads to now gave
        such an answer too.
    """

    SURE = auto()
    UNSURE = auto()
    REFUSED = auto()


class LinkOwner(Protocol):
    """
    Uses a link, and is told what becomes of it.
    """

    def up(self) -> None:
        """
        There is a connection.  What is sent now is sent before all that waits.
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
    The connection.  It is made when something is first asked, and again whenever
    it is lost.

    @ivar owner: Who is told what becomes of the connection.

    @ivar state: What there is of a connection.
    """

    _log = Logger()

    def __init__(
        self,
        address: RedisAddress,
        owner: LinkOwner,
        reactor: IReactorTime | None = None,
        *,
        timeout: float = 2.0,
        tracks: bool = False,
        subscribes: bool = False,
    ) -> None:
        """
        @param reactor: The global reactor, which txredisapi uses anyway.

        @param timeout: How many seconds there are for an answer.

        @param tracks: Whether to have tracked what is read.

        @param subscribes: Whether it is used to subscribe.

        @raise ValueError: A file that the address names is of no use.
        """
        self.address = address
        self.owner = owner
        self.reactor = clockOf(reactor)
        self.timeout = timeout
        self.subscribes = subscribes
        self.state = LinkState.NEW
        self._greeting = Greeting(
            speaksThree=canBePushed() and (tracks or subscribes),
            tracks=tracks,
            wantsMaster=address.service is not None,
        )
        self._skills = Skills()
        self._trust = _Trust.SURE
        self._endpoint = RedisEndpoint(address, self.reactor, timeout, self.troubled)
        self._factory = ConnectionFactory(self)
        self._connection: RedisConnection | None = None
        self._waiting: deque[RedisCall] = deque()
        self._watchdog = Timer(self.reactor)
        self._probing = Timer(self.reactor)
        # What was wrong last, and what of that was logged last.
        self._problem = self._told = ""

    @property
    def isUp(self) -> bool:
        """
        Whether there is a connection that is of use.
        """
        return self.state in _USABLE

    @property
    def isTracking(self) -> bool:
        """
        Whether what is read is tracked: the server reports each change of it.
        """
        return self.isUp and self._skills.isTracking

    @property
    def hasPushes(self) -> bool:
        """
        Whether the connection speaks RESP3, in which pushed messages and
        replies are told apart; if there is none, whether the last one did.
        """
        return self._skills.hasPushes

    def _become(self, state: LinkState) -> None:
        """
        Go on to another state.  Nothing else does, so what belongs to a state
        begins and ends here.

        @raise RuntimeError: It cannot follow this one.
        """
        if state not in _FOLLOWING[self.state]:
            raise RuntimeError(f"a link: after {self.state.name} comes no {state.name}")
        wasUp, self.state = self.isUp, state
        if state not in _CONNECTED and self._connection is not None:
            isInDoubt = bool(self._connection.pending())
            self._connection = None
            self._greeting.lost(isInDoubt=isInDoubt)
            self._probing.stop()
        if state is LinkState.UP:
            self._probing.start(_PROBE_INTERVAL, self._probe)
            self.owner.up()
        elif state is LinkState.CLOSED:
            self._watchdog.stop()
            for call in list(self._waiting):
                call.fail(self._unavailable("it is closed"))
            self._waiting.clear()
        if wasUp and not self.isUp:
            self.owner.down()

    # What is asked.

    def send(self, call: RedisCall) -> Deferred[Any]:
        """
        Ask, as soon as there is a connection.

        @return: The call's answer.
        """
        now = self.reactor.seconds()
        self._prepare(call, now)
        connection = self._connection
        if connection is not None and self.state is LinkState.UP:
            connection.put(call, now)
        elif self.state in _ENDING:
            call.fail(self._unavailable("it is closed"))
            return call.answer
        else:
            self._waiting.append(call)
            self._connect()
        if not self._watchdog.isRunning:
            self._watchdog.start(self.timeout, self._checkTimes)
        return call.answer

    def _prepare(self, call: RedisCall, now: float) -> RedisCall:
        call.owner = self
        call.answer = Deferred(self._cancelled)
        call.deadline = now + self.timeout
        return call

    def ask(self, *arguments: bytes) -> Deferred[Any]:
        """
        Ask, as soon as there is a connection.

        @return: A L{Deferred} of the reply.  It fails with
            L{StoreUnavailable}, L{StoreTimeout} or L{StoreError}.
        """
        return self.send(RedisCall(*arguments))

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
            # The server lives, and does not say what it is: Redis 6.0 wants a
            # version, proxies do not know HELLO, and a connection that has
            # subscribed without RESP3 may not ask anything.
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
        if self.state in _ENDING:
            return succeed(None)
        if not self.isUp:
            return self._end()
        last = self.ask(b"PING")
        self._become(LinkState.CLOSING)
        return last.addBoth(self._drained)

    def _drained(self, _: object) -> Deferred[None]:
        connection, now = self._connection, self.reactor.seconds()
        if connection is None or not connection.pending():
            return self._end()
        # A script that the server did not know was sent again, after the PING.
        last = self._prepare(RedisCall(b"PING"), now)
        connection.put(last, now)
        return last.answer.addBoth(self._drained)

    def _end(self) -> Deferred[None]:
        if self.state is not LinkState.CLOSED:
            self._become(LinkState.CLOSED)
        self._factory.abort()
        ended = DeferredList([self._endpoint.close(), self._factory.disconnect()])
        return ended.addCallback(lambda _: None)

    def _cancelled(self, answer: Deferred[Any]) -> None:
        """
        The caller gave up waiting for an answer.
        """
        for call in self._waiting:
            if call.answer is answer:
                self._waiting.remove(call)
                call.fail(self._unavailable(self._problem))
                return
        answer.errback(self._late())

    def refused(self, call: RedisCall, error: Exception) -> None:
        """
        See L{CallOwner.refused}.
        """
        text = said(error)
        word = text.partition(" ")[0]
        if not isinstance(error, Refusal):
            call.fail(self._late())
        elif call.retry(text):
            self._again(call)
        elif word in _ELSEWHERE:
            # Before the call fails.  Somebody may ask again as soon as it does,
            # and would ask this server.
            self._doubt(_ELSEWHERE[word] or text)
            call.fail(self._unavailable(text))
        elif word in _NOT_NOW:
            call.fail(self._unavailable(text))
        else:
            call.fail(call.error(text))

    def _doubt(self, problem: str) -> None:
        """
        Look whether the address leads to another server by now.  If it does
        not, the new connection is kept until it is probed: another one right
        now would lead to the same server.
        """
        if not self.isUp:
            return
        if self._trust is _Trust.SURE:
            self._trust = _Trust.UNSURE
            self.drop(problem)
        else:
            self._trust = _Trust.REFUSED
            self._problem = problem
            self._tell()

    def _again(self, call: RedisCall) -> None:
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
        now = self.reactor.seconds()
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
        if left and self.state is not LinkState.CLOSED:
            # Somebody whose call failed may have asked again, and so have started
            # the timer for later than this.
            self._watchdog.start(min(left) - now, self._checkTimes)

    # The connection.

    def _connect(self) -> None:
        if self.state is LinkState.NEW:
            self._become(LinkState.CONNECTING)
            self._factory.startConnecting(self._endpoint)
            self._endpoint.watch(lambda: self.drop("another server is the master now"))

    def made(self, connection: RedisConnection) -> None:
        """
        See L{ConnectionOwner.made}.
        """
        self._connection = connection
        self._become(LinkState.GREETING)

        def failed(failure: Failure) -> None:
            if connection is self._connection:
                problem = failure.getErrorMessage()
                self.drop(problem.removeprefix(f"{self.address}: "))

        Deferred.fromCoroutine(self._greet(connection)).addErrback(failed)

    async def _greet(self, connection: RedisConnection) -> None:
        """
        See what a connection can.

        @raise StoreFailure: It is of no use.
        """

        def ask(*arguments: bytes) -> Deferred[Any]:
            call, now = RedisCall(*arguments), self.reactor.seconds()
            self._prepare(call, now)
            connection.put(call, now)
            return call.answer

        skills = await self._greeting.greet(ask)
        if connection is not self._connection:
            return
        self._skills = skills
        connection.hasPushes = skills.hasPushes
        if self._trust is _Trust.SURE:
            self._isRight()
        else:
            # What another server refused says nothing about this one.
            self._trust = _Trust.UNSURE
        connection.settle()
        self._become(LinkState.UP)
        now = self.reactor.seconds()
        while self._waiting and connection is self._connection:
            connection.put(self._waiting.popleft(), now)

    def _isRight(self) -> None:
        """
        The server turned out to be the one to use.
        """
        if self._told:
            self._log.info("{address}: connected again", address=self.address)
        self._told = self._problem = ""
        self._endpoint.failures = 0
        self._trust = _Trust.SURE

    def _probe(self) -> None:
        """
        See whether the connection lives, does what it was told to, and leads
        to the right server.
        """
        self._endpoint.check()
        connection = self._connection

        def answered(reply: Any) -> None:
            if connection is not self._connection or self._probing.isRunning:
                return
            flags = reply.get(b"flags", ()) if isinstance(reply, dict) else (b"on",)
            if self.isTracking and b"on" not in flags:
                self.drop("it stopped to track")
            elif self._trust is _Trust.REFUSED:
                self.drop(self._problem)
            elif self.isUp:
                if self._trust is _Trust.UNSURE:
                    self._isRight()
                self._probing.start(_PROBE_INTERVAL, self._probe)

        # A server lives also if it refuses to answer at present.
        probe: Deferred[Any] = self.check().addErrback(lambda _: None)
        if self.isTracking:
            probe = self.ask(b"CLIENT", b"TRACKINGINFO").addErrback(lambda _: None)
        probe.addCallback(answered)

    def drop(self, problem: str) -> None:
        """
        Make another connection: this one is of no use.

        @param problem: Why; nothing, if that has been said.
        """
        self._problem = problem
        self._tell()
        if (connection := self._connection) is not None:
            self._isLost()
            connection.transport.abortConnection()

    def lost(self, connection: RedisConnection, problem: str) -> None:
        """
        See L{ConnectionOwner.lost}.
        """
        if connection is self._connection:
            self._problem = problem or self._problem
            self._tell()
            self._isLost()
        elif problem and not connection.isKnown:
            self.troubled(problem)

    def _isLost(self) -> None:
        isEnding = self.state in _ENDING
        self._become(LinkState.CLOSED if isEnding else LinkState.CONNECTING)

    def pushed(self, message: list[Any]) -> None:
        """
        See L{ConnectionOwner.pushed}.
        """
        self.owner.pushed(message)

    def troubled(self, error: object) -> None:
        """
        See L{ConnectionOwner.troubled}.
        """
        self._problem = said(error)
        self._tell()

    def _tell(self) -> None:
        if self._problem not in ("", self._told) and self.state not in _ENDING:
            self._told = self._problem
            self._log.warn(
                "{address}: {problem}; trying again",
                address=self.address,
                problem=self._problem,
            )
