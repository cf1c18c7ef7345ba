# -*- test-case-name: tests.real.redis.test_redis_link -*-
"""
A command for Redis, from the question to the answer.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock.interfaces import SessionError, StoreError

from .address import RedisAddress
from .resp import encode


__all__ = ["CallOwner", "RedisCall"]


class CallOwner(Protocol):
    """
    Sends calls, and decides what becomes of one that was not done.
    """

    address: RedisAddress

    def refused(self, call: RedisCall, error: Exception) -> None:
        """
        The answer is an error.
        """


class RedisCall:
    """
    A command, from the question to the answer.

    @ivar answer: Fires with the reply.  Fails with L{StoreUnavailable},
        L{StoreTimeout} or L{StoreError}.

    @ivar deadline: When there has to be an answer.

    @ivar sent: When the command was sent; L{None} if it was not.
    """

    __slots__ = ("answer", "command", "deadline", "owner", "sent")

    def __init__(self, *arguments: bytes) -> None:
        self.command = encode(*arguments)
        # The owner makes it.  Its canceller would be a method of this call, and
        # the two would refer to each other: garbage for the collector, with
        # each command.
        self.answer: Deferred[Any]
        self.sent: float | None = None
        self.deadline = 0.0
        self.owner: CallOwner | None = None

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
        assert self.owner is not None
        return StoreError(f"{self.owner.address}: {text}")

    def callback(self, reply: Any) -> None:
        """
        There is an answer; called by txredisapi.
        """
        owner = self.owner
        assert owner is not None
        if isinstance(reply, Exception):
            self.undone()
            if not self.answer.called:
                owner.refused(self, reply)
            return
        try:
            result = self.interpret(reply)
        except SessionError:
            result = Failure()
        except (TypeError, ValueError, LookupError):
            result = Failure(StoreError(f"{owner.address}: this is no answer"))
        if not self.answer.called:
            self.answer.callback(result)

    def fail(self, error: SessionError) -> None:
        """
        There will be no answer.
        """
        if not self.answer.called:
            self.answer.errback(error)
