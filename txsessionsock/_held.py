# -*- test-case-name: tests.test_web -*-
"""
An answer that waits until what its page did to the session is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.server import Request
from zope.interface import implementer

from ._page import Page
from .interfaces import (
    NoSuchSession,
    SessionReplaced,
    StoreFailure,
    UndecodableSession,
)
from .session import explained


__all__ = ["ENDING", "HeldChannel", "Refusal", "isHTTP2"]


def isHTTP2(request: Request) -> bool:
    """
    Whether a request shares its connection with others at the same time.
    """
    return bool(request.clientproto == b"HTTP/2")


@dataclass(frozen=True)
class Refusal:
    """
    What a client gets instead of a page.
    """

    code: int
    body: bytes
    retryAfter: int | None = None

    @classmethod
    def because(cls, failure: Failure) -> Refusal:
        """
        @param failure: What happened to the session.
        """
        if failure.check(StoreFailure):
            return _OUTAGE
        if failure.check(NoSuchSession, SessionReplaced):
            return _ENDED
        return _BROKEN

    def report(self, log: Logger, failure: Failure) -> None:
        """
        Say so in a log, unless it is nobody's fault.
        """
        if failure.check(UndecodableSession):
            log.error(
                "a page was not sent, because its session cannot be read: {why}",
                why=failure.value,
            )
        elif self is _BROKEN:
            log.failure("a page was not sent, because of its session", failure)
        elif self is _OUTAGE:
            log.error(
                "a page was not sent, because the session store failed: {why}",
                why=explained(failure.value),
            )

    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """
        The headers that go with it.
        """
        yield b"Content-Type", b"text/plain; charset=utf-8"
        yield b"Content-Length", b"%d" % (len(self.body),)
        yield b"Cache-Control", b"no-store"
        if self.retryAfter is not None:
            yield b"Retry-After", b"%d" % (self.retryAfter,)


ENDING = Refusal(
    503, b"This server is about to end. Please try again in a moment.\n", retryAfter=5
)
"""
For those who come when sessions are stored for the last time.
"""

_OUTAGE = Refusal(
    503,
    b"Your session cannot be reached just now. Please try again in a moment.\n",
    retryAfter=5,
)
_ENDED = Refusal(
    409,
    b"Your session ended meanwhile, and what you did is not stored."
    b" Please load the page again.\n",
)
_BROKEN = Refusal(500, b"Something is wrong with your session.\n")


class HeldChannel:
    """
    Stands between a request and its channel.  Every byte goes out when
    everything is stored that had been done to the session when it was
    written.

    The request does not know: what it writes, and in which order, is what
    Twisted made of the page, so nothing of that has to be imitated here.
    """

    _log = Logger()

    def __init__(self, request: Request, page: Page, reactor: IReactorTime) -> None:
        self._channel: Any = request.channel
        self._request = request
        self._page = page
        self._reactor = reactor
        self._waiting: list[Callable[[], None]] = []
        self._isRunning = False
        self._isHolding = False
        self._isSent = False
        self._isRefused = False
        self._isDone = False
        self._valve: _Valve | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    # What a request does with its channel.

    @property
    def factory(self) -> HeldChannel:
        """
        Where the request is logged when the page is done, which may be before
        it is known what the answer is.
        """
        return self

    def log(self, request: Request) -> None:
        self._then(self._logNow)

    def writeHeaders(
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
        self._page.hasBegun = True
        self._then(partial(self._begin, version, code, reason, headers.copy()))

    def write(self, data: bytes) -> None:
        self._then(partial(self._channel.write, data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self._then(partial(self._channel.writeSequence, data))

    def loseConnection(self) -> None:
        self._then(self._channel.loseConnection)

    def requestDone(self, request: Request) -> None:
        self._isDone = True
        self._page.leave()
        self._then(partial(self._channel.requestDone, request))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._valve = _Valve(producer, streaming, self._reactor, self._failed)
        self._channel.registerProducer(self._valve, True)
        if self._isHolding:
            self._valve.turn("held", True)
        self._valve.begin()

    def unregisterProducer(self) -> None:
        valve, self._valve = self._valve, None
        if valve is not None:
            valve.end()
            self._channel.unregisterProducer()

    # How it goes out.

    def _then(self, step: Callable[[], None]) -> None:
        self._waiting.append(step)
        if not self._isRunning:
            self._isRunning = True
            Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> None:
        try:
            while self._waiting:
                steps, self._waiting = self._waiting, []
                await self._hold(Deferred.fromCoroutine(self._page.settled()))
                for step in steps:
                    if not (self._isRefused or self._request._disconnected):
                        step()
        finally:
            self._isRunning = False
            if self._isDone:
                self._page.over()

    async def _hold(self, settled: Deferred[None]) -> None:
        if not settled.called:
            self._setHolding(True)
        try:
            await settled
        except Exception:
            if not self._isRefused:
                self._refuse(Failure())
        self._setHolding(False)

    def _setHolding(self, isHolding: bool) -> None:
        self._isHolding = isHolding
        if self._valve is not None:
            self._valve.turn("held", isHolding)

    def _begin(
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
        self._isSent = True
        cookie = self._page.cookie()
        if cookie is not None:
            headers.addRawHeader(b"Set-Cookie", cookie)
            if not headers.hasHeader(b"Cache-Control"):
                headers.setRawHeaders(b"Cache-Control", [b"private"])
        self._channel.writeHeaders(version, code, reason, headers)

    def _logNow(self) -> None:
        factory = getattr(self._channel, "factory", None)
        if factory is not None:
            factory.log(self._request)

    # When it cannot go out.

    def _refuse(self, failure: Failure) -> None:
        self._isRefused = True
        refusal = Refusal.because(failure)
        refusal.report(self._log, failure)
        if self._request._disconnected:
            return
        if self._isSent:
            self._abort()
        else:
            self._answerWith(refusal)

    def _answerWith(self, refusal: Refusal) -> None:
        request, channel = self._request, self._channel
        request.setResponseCode(refusal.code)
        headers = Headers()
        for name in (b"Server", b"Date"):
            for value in request.responseHeaders.getRawHeaders(name, []):
                headers.addRawHeader(name, value)
        for name, value in refusal.headers():
            headers.addRawHeader(name, value)
        # The page may go on for ever; closing tells it, and its client, that
        # there is nothing more to wait for.
        if not isHTTP2(request):
            headers.addRawHeader(b"Connection", b"close")
        code = b"%d" % (refusal.code,)
        reason = RESPONSES.get(refusal.code, b"")
        self._begin(request.clientproto, code, reason, headers)
        if request.method != b"HEAD":
            channel.write(refusal.body)
            request.sentLength = len(refusal.body)
        self._logNow()
        channel.loseConnection()

    def _abort(self) -> None:
        # A stream of HTTP/2 has no transport of its own.
        (self._channel.transport or self._channel).abortConnection()

    def _failed(self, failure: Failure) -> None:
        self._log.failure("an answer could not be sent", failure)
        self._abort()


@implementer(IPushProducer)
class _Valve:
    """
    A page's producer.  It produces as long as the channel takes it and
    nothing is held.
    """

    def __init__(
        self,
        producer: Any,
        isStreaming: bool,
        reactor: IReactorTime,
        failed: Callable[[Failure], None],
    ) -> None:
        """
        @param isStreaming: Whether it produces until it is told not to,
            rather than only when asked.

        @param failed: Called when it raised instead.
        """
        self._producer = producer
        self._isStreaming = isStreaming
        self._reactor = reactor
        self._failed = failed
        self._closedBy: set[str] = set()
        self._pulling: IDelayedCall | None = None
        self._isOver = False

    def begin(self) -> None:
        """
        Ask for the first time, if it wants to be asked.
        """
        if not self._isStreaming:
            self._pullSoon()

    def turn(self, who: str, isClosed: bool) -> None:
        """
        Open or close, unless somebody else keeps it closed.
        """
        wasClosed = bool(self._closedBy)
        (self._closedBy.add if isClosed else self._closedBy.discard)(who)
        if self._isOver or wasClosed == bool(self._closedBy):
            return
        if not self._isStreaming:
            self._pullSoon()
        elif self._closedBy:
            self._producer.pauseProducing()
        else:
            self._producer.resumeProducing()

    def pauseProducing(self) -> None:
        self.turn("channel", True)

    def resumeProducing(self) -> None:
        self.turn("channel", False)

    def stopProducing(self) -> None:
        self.end()
        self._producer.stopProducing()

    def end(self) -> None:
        """
        It produces no more.
        """
        self._isOver = True
        if self._pulling is not None:
            self._pulling.cancel()
            self._pulling = None

    def _pullSoon(self) -> None:
        if self._pulling is None and not (self._closedBy or self._isOver):
            self._pulling = self._reactor.callLater(0, self._pull)

    def _pull(self) -> None:
        self._pulling = None
        if self._closedBy:
            return
        try:
            self._producer.resumeProducing()
        except Exception:
            self.end()
            self._failed(Failure())
        else:
            self._pullSoon()
