# -*- test-case-name: tests.test_redis_link -*-
"""
A command for Redis, from the question to the answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock.interfaces import SessionError, StoreError

from .sentinel import encode


if TYPE_CHECKING:
    from .link import Link

__all__ = ["Call", "said"]

_SCRIPTED = re.compile(
    r"^ERR Error running script .*: -?(?=[A-Z]+ )| script: \S+, on @\S+$"
)
"""
What a Redis puts around the error of a command that a script runs: 6.2 before
it, 7 and later behind it.
"""


class Call:
    """
    A command, from the question to the answer.

    @ivar answer: Fires with the reply.  Fails with L{StoreUnavailable},
        L{StoreTimeout} or L{StoreError}.
    """

    __slots__ = ("answer", "command", "deadline", "link", "sent")

    def __init__(self, *arguments: bytes) -> None:
        self.command = encode(*arguments)
        # The link makes it: a canceller of ours would be garbage that only a
        # collector finds, with each command.
        self.answer: Deferred[Any]
        self.sent: float | None = None
        self.deadline = 0.0
        self.link: Link | None = None

    def isLate(self, now: float) -> bool:
        """
        Whether there should have been an answer.
        """
        return self.deadline <= now and not self.answer.called

    def sending(self) -> None:
        """
        It is sent now.
        """

    def interpret(self, reply: Any) -> Any:
        """
        Make the result of a reply that is no error.
        """
        return reply

    def undone(self) -> None:
        """
        The answer is an error, or will not come.
        """

    def retry(self, error: str) -> bool:
        """
        Whether to send C{command} again after an error that says that nothing
        was done.
        """
        return False

    def error(self, text: str) -> SessionError:
        """
        What C{answer} fails with if the server refused the command for good.

        @param text: What the server said.
        """
        assert self.link is not None
        return StoreError(f"{self.link.address}: {text}")

    def callback(self, reply: Any) -> None:
        """
        There is an answer; called by txredisapi.
        """
        link = self.link
        assert link is not None
        if isinstance(reply, Exception):
            self.undone()
            if not self.answer.called:
                link.refused(self, reply)
            return
        try:
            result = self.interpret(reply)
        except SessionError:
            result = Failure()
        except (TypeError, ValueError, LookupError):
            result = Failure(StoreError(f"{link.address}: this is no answer"))
        if not self.answer.called:
            self.answer.callback(result)

    def fail(self, error: SessionError) -> None:
        """
        There will be no answer.
        """
        if not self.answer.called:
            self.answer.errback(error)


def said(error: object) -> str:
    """
    What an error says, in one line, and without what was asked.
    """
    match error:
        case Exception(args=[[*_, [*_, str(last)]]]):
            # OpenSSL's, whose last word is plain.
            return f"TLS: {last}"
        case Exception() if type(error).__name__ == "VerificationError":
            return "TLS: the certificate is that of another host"
    # A server that does not know a command repeats it, arguments and all.
    text = _SCRIPTED.sub("", str(error).partition(", with args")[0])
    return text[:200].strip() or type(error).__name__
