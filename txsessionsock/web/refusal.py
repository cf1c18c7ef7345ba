"""
With which answers a page is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.interfaces import (
    NoSuchSession,
    SessionReplaced,
    StoreFailure,
    UndecodableSession,
)
from txsessionsock.session import explained


__all__ = ["ENDING", "Refusal"]


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
