# -*- test-case-name: tests.socketio.test_engine_flow -*-
"""
The two requests of long-polling: one that waits for what there is, and one that
brings something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from .answers import BAD_REQUEST, answer, finish, prepare, refuse
from .enginepackets import Message, nextIn


__all__ = ["SLICE", "Comer", "Poll", "Post"]

SLICE: Final = 64 * 1024
"""
How many bytes the transport is given at once.
"""


class Owner(Protocol):
    """
    Who has requests.
    """

    def gave(self, poll: Poll) -> None:
        """
        All of an answer was given to the transport.
        """

    def drained(self) -> None:
        """
        Some of an answer was.
        """

    def left(self, its: Poll | Post) -> None:
        """
        The client has closed the connection of a request.
        """

    def goOn(self, post: Post) -> None:
        """
        It is the turn of a post.
        """


@implementer(IPushProducer)
class Poll:
    """
    A request that asks for what there is.

    @ivar isAnswered: Whether its answer has begun.
    """

    __slots__ = ("_at", "_body", "_isPaused", "_owner", "_request", "isAnswered")

    def __init__(self, owner: Owner, request: Any) -> None:
        self._owner: Owner | None = owner
        self._request = request
        self._body = b""
        self._at = 0
        self._isPaused = self.isAnswered = False
        request.notifyFinish().addErrback(self._left)

    def _left(self, failure: Failure) -> None:
        owner, self._owner = self._owner, None
        self._body = b""
        if owner is not None:
            owner.left(self)

    @property
    def rest(self) -> int:
        """
        How many bytes of the answer wait for the client to read.
        """
        return len(self._body) - self._at

    def answer(self, body: bytes, end: Callable[[Any], object]) -> None:
        """
        Give the client its answer, as fast as it reads.
        """
        request, self.isAnswered = self._request, True
        body = prepare(request, body, mayShrink=True)
        # Before this answer, others may wait on its connection.
        self._isPaused = getattr(request.channel, "_waitingForTransport", False)
        if len(body) <= SLICE and not self._isPaused:
            self._give()
            request.write(body)
            end(request)
            return
        self._body = body
        request.registerProducer(self, True)
        self._go(end)

    def _give(self) -> None:
        # Before the end of the request: in that, the next one may be served.
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.gave(self)

    def _go(self, end: Callable[[Any], object]) -> None:
        request, size = self._request, len(self._body)
        while self._at < size and not self._isPaused:
            piece = self._body[self._at : self._at + SLICE]
            self._at += len(piece)
            request.write(piece)
        owner = self._owner
        if self._at >= size and not self._isPaused and owner is not None:
            self._body, self._at = b"", 0
            self._give()
            request.unregisterProducer()
            owner.drained()
            end(request)
        elif owner is not None:
            owner.drained()

    def pauseProducing(self) -> None:
        self._isPaused = True

    def resumeProducing(self) -> None:
        self._isPaused = False
        if self._owner is not None:
            self._go(finish)

    def stopProducing(self) -> None:
        """
        The connection is lost, which the request tells.
        """

    def end(self, body: bytes, end: Callable[[Any], object]) -> None:
        """
        The connection of Engine.IO is over.
        """
        request = self._request
        if self._owner is None or request._disconnected:
            return
        if not self.isAnswered:
            self.answer(body, end)
            return
        self._owner, self._body, self._at = None, b"", 0
        request.unregisterProducer()
        abort = getattr(request.transport, "abortConnection", request.loseConnection)
        abort()


class Comer:
    """
    A request with which a client comes.

    @ivar used: See L{Turns<txsessionsock.websocket.Turns>}, and there C{isBulk}, too.
    """

    __slots__ = ("_begin", "_request", "used")

    isBulk = True

    def __init__(self, request: Any, begin: Callable[[], object]) -> None:
        """
        @param begin: Is called when it is its turn, unless the client has left.
        """
        self._request = request
        self._begin = begin
        self.used = 0.0

    def goOn(self) -> None:
        request = self._request
        if request._disconnected:
            return
        try:
            self._begin()
        except Exception:
            # What Twisted does when a resource raises.
            request.processingFailed(Failure())


class Post:
    """
    A request that brings packets.

    @ivar used: See L{Turns<txsessionsock.websocket.Turns>}, and there C{isBulk},
        too.
    """

    __slots__ = ("_at", "_body", "_owner", "_request", "isBulk", "used")

    def __init__(
        self, owner: Owner, request: Any, body: bytes, *, isBulk: bool
    ) -> None:
        self._owner: Owner | None = owner
        self._request = request
        self._body = body
        self._at = 0
        self.used = 0.0
        self.isBulk = isBulk
        request.notifyFinish().addErrback(self._left)

    def _left(self, failure: Failure) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.left(self)

    @property
    def isDone(self) -> bool:
        """
        Whether all its packets were read.
        """
        return self._at > len(self._body)

    def next(self) -> Message:
        """
        @return: Its next packet.

        @raise ValueError: There is none.
        """
        packet, self._at = nextIn(self._body, self._at)
        return packet

    def goOn(self) -> None:
        if self._owner is not None:
            self._owner.goOn(self)

    def end(self, *, isFine: bool, end: Callable[[Any], object] = finish) -> None:
        """
        Answer it.

        @param isFine: Whether nothing is wrong with it.
        """
        self._owner = None
        if isFine:
            answer(self._request, b"ok", end)
        else:
            refuse(self._request, BAD_REQUEST, end)
