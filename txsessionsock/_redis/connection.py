# -*- test-case-name: tests.test_redis_link -*-
"""
txredisapi's connection, with a short way for commands.

This leans on two internals of txredisapi 1.6: C{replyQueue.waiting}, a list of
what is called back with the next replies, and C{_reader}, its hiredis parser.
A small object in that list costs a fourth of what a command of its own costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import txredisapi  # type: ignore[import-untyped]  # It has no types.
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.error import ConnectionAborted, ConnectionClosed
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure

from .call import Call, said


if TYPE_CHECKING:
    from .link import Link

try:
    from hiredis import PushNotification
except ImportError:
    PushNotification = None  # type: ignore[assignment, misc]  # As it is optional.


__all__ = ["Connection", "Factory", "Refusal", "canBePushed"]

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


class Connection(txredisapi.RedisProtocol):  # type: ignore[misc]  # It has no types.
    """
    txredisapi's protocol, with a short way for commands and an ear for what
    the server says by itself.
    """

    factory: Factory
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
        link = self.factory.link
        self._patience = link.reactor.callLater(link.timeout, self._impatient)
        # AUTH and SELECT.
        yield super().connectionMade()
        if self._ready:
            link.made(self)

    def _impatient(self) -> None:
        self.factory.link.troubled("it does not answer")
        self.transport.abortConnection()

    def put(self, call: Call, now: float) -> None:
        """
        Send a command.
        """
        call.sent = now
        call.sending()
        self.replyQueue.waiting.append(call)
        self.transport.write(call.command)

    def settle(self) -> None:
        """
        It is of use, so there is no hurry any more.
        """
        if self._patience.active():
            self._patience.cancel()

    def pending(self) -> list[Call]:
        """
        What was sent and is not answered.
        """
        return [call for call in self.replyQueue.waiting if isinstance(call, Call)]

    if PushNotification is not None:

        def dataReceived(self, data: bytes, unpause: bool = False) -> None:
            reader = self._reader
            reader.feed(data)
            try:
                while (reply := reader.gets()) is not False:
                    if type(reply) is PushNotification:
                        self.factory.link.pushed(reply)
                    else:
                        self.replyReceived(reply)
            except txredisapi.InvalidData:
                self._isStranger()

    else:

        def dataReceived(self, data: bytes, unpause: bool = False) -> None:
            try:
                super().dataReceived(data, unpause)
            except (txredisapi.InvalidData, UnicodeDecodeError):
                self._isStranger()

    def _isStranger(self) -> None:
        self.factory.link.troubled("it does not speak as a Redis does")
        self.transport.abortConnection()

    def replyReceived(self, reply: Any) -> None:
        link = self.factory.link
        isPush = link.subscribes and not self.hasPushes and isinstance(reply, list)
        if isPush and reply and reply[0] in _PUBSUB:
            link.pushed(reply)
            return
        waiting = self.replyQueue.waiting
        if waiting:
            waiting.pop(0).callback(reply)
        else:
            self.transport.abortConnection()

    def connectionLost(self, why: Any) -> None:
        self.settle()
        self.factory.connection = None
        # First, or whoever asks again when there is no answer would ask this
        # connection, and for ever.
        self.factory.link.lost(self, "" if self._isOurs(why) else said(why.value))
        super().connectionLost(why)

    def _isOurs(self, why: Failure) -> bool:
        """
        Whether the connection was lost because we wanted that.
        """
        isClosed = self.transport.disconnecting and why.check(ConnectionClosed)
        return bool(isClosed or why.check(ConnectionAborted))


class Factory(txredisapi.RedisFactory):  # type: ignore[misc]  # It has no types.
    """
    Connects, and does not give up.
    """

    protocol = Connection

    def __init__(self, link: Link) -> None:
        address = link.address
        super().__init__(
            None,
            address.database,
            1,
            charset=None,
            password=address.password,
            convertNumbers=False,
            username=address.user,
        )
        self.link = link
        self.connection: Connection | None = None

    def stopTrying(self) -> Deferred[None]:
        # txredisapi would give up for ever when it is not let in at once, also
        # if that is because the server hangs.
        return succeed(None)

    def retryDelay(self, attempt: int) -> float:
        return 0.0

    def connectionError(self, why: str) -> None:
        # Why it was lost, the link knows better.
        if not why.endswith("Lost connection"):
            self.link.troubled(why)

    def abort(self) -> None:
        """
        Close the connection, whatever it is doing: one that has not yet become
        secure would wait for the server to answer.
        """
        if self.connection is not None:
            self.connection.transport.abortConnection()
