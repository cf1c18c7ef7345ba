# -*- test-case-name: tests.web.test_web_serving -*-
"""
What a client gets in place of a page whose session cannot be had, or stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.web.server import Request

from txsessionsock._arguments import checked
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionError,
    SessionReplaced,
    StoreFailure,
    UndecodableSession,
)
from txsessionsock.session import explained
from txsessionsock.websocket import Quiet

from .quiet import quietOf
from .requests import AnyRequest


__all__ = ["Refusal", "ServerEnding", "refuse"]


class ServerEnding(SessionError):
    """
    This server is about to end: its sessions are being stored for the last
    time, and none is opened any more.
    """


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
        @param failure: Why the session cannot be had, or stored.
        """
        if failure.check(StoreFailure):
            return _OUTAGE
        if failure.check(NoSuchSession, SessionReplaced):
            return _ENDED
        if failure.check(ServerEnding):
            return _ENDING
        return _BROKEN

    def report(self, log: Quiet, failure: Failure) -> None:
        """
        Write the reason to a log.  A session that ended is no fault, and nothing
        is written.
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
        @return: The headers of the answer.
        """
        yield b"Content-Type", b"text/plain; charset=utf-8"
        yield b"Content-Length", b"%d" % (len(self.body),)
        yield b"Cache-Control", b"no-store"
        if self.retryAfter is not None:
            yield b"Retry-After", b"%d" % (self.retryAfter,)

    def answer(self, request: Request) -> None:
        """
        Answer a request whose answer has not begun.
        """
        request.setResponseCode(self.code)
        for name, value in self.headers():
            request.setHeader(name, value)
        request.write(self.body)
        request.finish()


_ENDING = Refusal(
    503, b"This server is about to end. Please try again in a moment.\n", retryAfter=5
)


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


@checked
def refuse(failure: Failure, request: AnyRequest) -> None:
    """
    Answer a request whose session could not be opened, or whose page failed;
    for C{addErrback}.  A store that fails is 503, a session that ended
    meanwhile 409, everything else 500, and the log has why.  If the client has
    left, there is nobody to answer.
    """
    if not failure.check(CancelledError):
        _refuse(failure, request)


def _refuse(failure: Failure, request: Any) -> None:
    isGone = request._disconnected or request.finished
    if failure.check(SessionError) and not request.startedWriting:
        refusal = Refusal.because(failure)
        refusal.report(quietOf(request), failure)
        if not isGone:
            refusal.answer(request)
    elif isGone:
        quietOf(request).failure("a page failed whose client is gone", failure)
    else:
        request.processingFailed(failure)
