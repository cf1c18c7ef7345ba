# -*- test-case-name: tests.test_web -*-
"""
An answer that waits until what its page did to the session is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from .page import Page
from .refusal import Refusal
from .requests import isHTTP2
from .valve import _Valve


__all__ = ["HeldChannel"]


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
