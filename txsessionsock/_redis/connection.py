# -*- test-case-name: tests.real.redis.test_redis_link -*-
"""
txredisapi's connection, with a short way for commands.

What txredisapi still does for us: it connects again and again, says AUTH and
SELECT, parses RESP2, and finds out who waits for a reply.

This leans on two internals of txredisapi 1.6: C{replyQueue.waiting}, a list of
what is called back with the next replies, and C{_reader}, its hiredis parser.
A small object in that list costs a fourth of what a command of its own costs.
"""

from __future__ import annotations

from typing import Any, Protocol

import txredisapi  # type: ignore[import-untyped]  # It has no types.
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.error import ConnectionAborted, ConnectionClosed
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer

from .address import RedisAddress
from .call import RedisCall
from .resp import said


try:
    from hiredis import PushNotification
except ImportError:
    PushNotification = None  # type: ignore[assignment, misc]  # As it is optional.


__all__ = [
    "ConnectionFactory",
    "ConnectionOwner",
    "RedisConnection",
    "Refusal",
    "canBePushed",
]

Refusal = txredisapi.ResponseError
"""
What a Redis answers with when it says no.
"""

_PUBSUB = (b"message", b"subscribe", b"unsubscribe")


def canBePushed() -> bool:
    """
    Whether we understand what a server says without being asked: RESP3.
    """
    return PushNotification is not None


class ConnectionOwner(Protocol):
    """
    Has one connection after the other, and hears what becomes of each.

    @ivar timeout: How many seconds there are for a new one to be of use.

    @ivar subscribes: Whether it is used to subscribe.
    """

    address: RedisAddress
    reactor: IReactorTime
    timeout: float
    subscribes: bool

    def made(self, connection: RedisConnection) -> None:
        """
        There is a connection that knows who we are.
        """

    def pushed(self, message: list[Any]) -> None:
        """
        The server said something that nobody had asked for.
        """

    def troubled(self, error: object) -> None:
        """
        There was a problem with a connection, or with getting one.
        """

    def lost(self, connection: RedisConnection, problem: str) -> None:
        """
        A connection is gone.

        @param problem: Why; nothing, if that has been said.
        """


class RedisConnection(txredisapi.RedisProtocol):  # type: ignore[misc]  # It has no types.
    """
    txredisapi's protocol, with a short way for commands and an ear for what
    the server says by itself.
    """

    factory: ConnectionFactory
    hasPushes = False

    @property
    def isKnown(self) -> bool:
        """
        Whether the server knows who we are.
        """
        return bool(self._ready)

    @inlineCallbacks
    def connectionMade(self) -> Any:
        self.factory.connection = self
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        owner = self.factory.owner
        self._patience = Timer(owner.reactor)
        self._patience.start(owner.timeout, self._impatient)
        # AUTH and SELECT.
        yield super().connectionMade()
        if self._ready:
            owner.made(self)

    def _impatient(self) -> None:
        self.factory.owner.troubled("it does not answer")
        self.transport.abortConnection()

    def put(self, call: RedisCall, now: float) -> None:
        """
        Send a command.
        """
        call.sent = now
        call.sending()
        self.replyQueue.waiting.append(call)
        self.transport.write(call.command)

    def settle(self) -> None:
        """
        The connection is of use: it may be kept.
        """
        self._patience.stop()

    def pending(self) -> list[RedisCall]:
        """
        What was sent and is not answered.
        """
        return [call for call in self.replyQueue.waiting if isinstance(call, RedisCall)]

    if PushNotification is not None:

        def dataReceived(self, data: bytes, unpause: bool = False) -> None:
            reader = self._reader
            reader.feed(data)
            try:
                while (reply := reader.gets()) is not False:
                    if type(reply) is PushNotification:
                        self.factory.owner.pushed(reply)
                    else:
                        self.replyReceived(reply)
            except txredisapi.InvalidData:
                self._hangUp()

    else:

        def dataReceived(self, data: bytes, unpause: bool = False) -> None:
            try:
                super().dataReceived(data, unpause)
            except (txredisapi.InvalidData, UnicodeDecodeError):
                self._hangUp()

    def _hangUp(self) -> None:
        """
        What came is not what a Redis sends.
        """
        self.factory.owner.troubled("it does not speak as a Redis does")
        self.transport.abortConnection()

    def replyReceived(self, reply: Any) -> None:
        owner = self.factory.owner
        isPush = owner.subscribes and not self.hasPushes and isinstance(reply, list)
        if isPush and reply and reply[0] in _PUBSUB:
            owner.pushed(reply)
            return
        waiting = self.replyQueue.waiting
        if waiting:
            waiting.pop(0).callback(reply)
        else:
            self.transport.abortConnection()

    def connectionLost(self, why: Any) -> None:
        self.settle()
        self.factory.connection = None
        # The owner hears of it before the calls fail.  Somebody may ask again
        # as soon as a call fails, and would ask this connection, for ever.
        self.factory.owner.lost(self, "" if self._isOurs(why) else said(why.value))
        super().connectionLost(why)
        # txredisapi put a function in place of this method, which leads back to
        # the connection: that would wait for the garbage collector.
        self.__dict__.pop("connectionLost", None)

    def _isOurs(self, why: Failure) -> bool:
        """
        Whether the connection was lost because we wanted that.
        """
        isClosed = self.transport.disconnecting and why.check(ConnectionClosed)
        return bool(isClosed or why.check(ConnectionAborted))


class ConnectionFactory(txredisapi.RedisFactory):  # type: ignore[misc]  # It has no types.
    """
    Connects, and does not give up.
    """

    protocol = RedisConnection

    def __init__(self, owner: ConnectionOwner) -> None:
        address = owner.address
        super().__init__(
            None,
            address.database,
            1,
            charset=None,
            password=address.password,
            convertNumbers=False,
            username=address.user,
        )
        self.owner = owner
        self.connection: RedisConnection | None = None

    def stopTrying(self) -> Deferred[None]:
        # txredisapi calls this when AUTH or SELECT fails, and would never try
        # again: not even if they failed because the server hangs.
        return succeed(None)

    def retryDelay(self, attempt: int) -> float:
        # The endpoint waits, since it also waits between its own attempts.
        return 0.0

    def delConnection(self, connection: RedisConnection) -> None:
        super().delConnection(connection)
        # Otherwise it is dropped from this queue when somebody asks the pool for a
        # connection.  Nobody does: one of them stayed with each reconnection.
        self.connectionQueue.remove(connection)

    def connectionError(self, why: str) -> None:
        # The owner knows better why a connection was lost.
        if not why.endswith("Lost connection"):
            self.owner.troubled(why)

    def abort(self) -> None:
        """
        Close the connection, whatever it is doing: one that has not yet become
        secure would wait for the server to answer.
        """
        if self.connection is not None:
            self.connection.transport.abortConnection()
