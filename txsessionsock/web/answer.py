# -*- test-case-name: tests.web.test_web_stored -*-
"""
The answer to a request.  It waits until what its page did to the session is
stored, and is refused if that cannot be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from .page import Page, PageState
from .quiet import quietOf
from .refusal import Refusal
from .requests import isHTTP2
from .valve import Valve


__all__ = ["HeldChannel"]


class Sent(Enum):
    """
    What the client has of an answer.
    """

    NOTHING = auto()
    BEGUN = auto()
    """
    Status, headers and perhaps more.
    """
    REFUSED = auto()
    """
    Another answer in its place, or only its beginning: the connection is closed,
    and what the page still writes goes nowhere.
    """


class Flow(Enum):
    """
    What becomes of what the page writes.
    """

    IDLE = auto()
    """
    There is nothing.
    """
    HOLDING = auto()
    """
    It waits for the store.
    """
    SENDING = auto()
    """
    It goes out.
    """


class HeldChannel:
    """
    Stands between a request and its channel.  Each byte leaves when everything
    is stored that had been done to the session when that byte was written.

    The request does not know of it.  Twisted makes the answer, as it would of
    any page, and nothing of that has to be imitated here.
    """

    def __init__(self, request: Request, page: Page, reactor: IReactorTime) -> None:
        self._channel: Any = request.channel
        self._request = request
        self._page = page
        self._reactor = reactor
        self._waiting: list[Callable[[], None]] = []
        self._flow = Flow.IDLE
        self._sent = Sent.NOTHING
        self._valve: Valve | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    # What a request does with its channel.

    @property
    def factory(self) -> HeldChannel:
        """
        Twisted logs a request with the factory of its channel, as soon as the
        page is done.  Only when all is stored it is known what the answer is,
        so L{log} waits for that.
        """
        return self

    def log(self, request: Request) -> None:
        self._then(self._logNow)

    def writeHeaders(
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
        self._page.answers()
        self._then(partial(self._beginAnswer, version, code, reason, headers.copy()))

    def write(self, data: bytes) -> None:
        self._then(partial(self._channel.write, data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self._then(partial(self._channel.writeSequence, data))

    def loseConnection(self) -> None:
        self._then(self._channel.loseConnection)

    def requestDone(self, request: Request) -> None:
        self._page.done()
        self._then(partial(self._channel.requestDone, request))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._valve = Valve(producer, streaming, self._reactor, self._failed)
        self._channel.registerProducer(self._valve, True)
        if self._flow is Flow.HOLDING:
            self._valve.turn("held", True)
        self._valve.start()

    def unregisterProducer(self) -> None:
        valve, self._valve = self._valve, None
        if valve is not None:
            valve.end()
            self._channel.unregisterProducer()

    # How it goes out.

    def _then(self, step: Callable[[], None]) -> None:
        self._waiting.append(step)
        if self._flow is Flow.IDLE:
            Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> None:
        try:
            while self._waiting:
                steps, self._waiting = self._waiting, []
                await self._settled()
                for step in steps:
                    if not (self._sent is Sent.REFUSED or self._request._disconnected):
                        step()
        finally:
            self._turn(Flow.IDLE)
            if self._page.state is PageState.DONE:
                self._page.over()

    async def _settled(self) -> None:
        # Before the page is asked: what is written meanwhile waits for the next
        # round.
        self._turn(Flow.SENDING)
        settled = Deferred.fromCoroutine(self._page.settled())
        if not settled.called:
            self._turn(Flow.HOLDING)
        try:
            await settled
        except Exception:
            if self._sent is not Sent.REFUSED:
                self._refuse(Failure())
        self._turn(Flow.SENDING)

    def _turn(self, flow: Flow) -> None:
        """
        The one place where the flow changes.
        """
        self._flow = flow
        if self._valve is not None:
            self._valve.turn("held", flow is Flow.HOLDING)

    def _beginAnswer(
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
        self._sent = Sent.BEGUN
        self._sendHead(version, code, reason, headers)

    def _sendHead(
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
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
        before, self._sent = self._sent, Sent.REFUSED
        refusal = Refusal.because(failure)
        refusal.report(quietOf(self._request), failure)
        if self._request._disconnected:
            return
        if before is Sent.BEGUN:
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
        # The page may go on for ever.  A closed connection tells the page, and
        # the client, that there is nothing to wait for.
        if not isHTTP2(request):
            headers.addRawHeader(b"Connection", b"close")
        code = b"%d" % (refusal.code,)
        reason = RESPONSES.get(refusal.code, b"")
        self._sendHead(request.clientproto, code, reason, headers)
        if request.method != b"HEAD":
            channel.write(refusal.body)
            request.sentLength = len(refusal.body)
        self._logNow()
        channel.loseConnection()

    def _abort(self) -> None:
        # A stream of HTTP/2 has no transport of its own.
        (self._channel.transport or self._channel).abortConnection()

    def _failed(self, failure: Failure) -> None:
        quietOf(self._request).failure("an answer could not be sent", failure)
        self._abort()
