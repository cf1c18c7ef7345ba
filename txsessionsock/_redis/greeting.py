# -*- test-case-name: tests.real.redis.test_redis_link -*-
"""
The first commands on a connection to a Redis, and what the answers show: what it
can, and whether it is the right server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from txsessionsock.interfaces import StoreError, StoreUnavailable


__all__ = ["REPLICA", "Greeting", "Skills", "isReplica"]

Ask = Callable[..., Deferred[Any]]

REPLICA = "it is a replica"

_REPLICAS = b"replica", b"slave"
"""
What servers call what they are then: C{HELLO}, and C{ROLE} or older ones.
"""


def _roleIn(reply: Any) -> Any:
    """
    @param reply: The reply to C{HELLO}.  No access control list can forbid that
        command.

    @return: C{b"master"}, C{b"replica"}, or L{None} if it does not say.
    """
    if isinstance(reply, dict):
        return reply.get(b"role")
    pairs = reply if isinstance(reply, list) else []
    found = zip(pairs[::2], pairs[1::2], strict=False)
    return next((value for name, value in found if name == b"role"), None)


def isReplica(reply: Any) -> bool:
    """
    Whether the server that gives this reply to C{HELLO} says that it is one.
    """
    return _roleIn(reply) in _REPLICAS


@dataclass(frozen=True)
class Skills:
    """
    What a connection can do.

    @ivar hasPushes: Whether it speaks RESP3, in which pushed messages and
        replies are told apart.

    @ivar isTracking: Whether the server reports each change of what was read
        over it.
    """

    hasPushes: bool = False
    isTracking: bool = False


class Greeting:
    """
    Sends the first commands over one connection after the other.
    """

    def __init__(self, *, speaksThree: bool, tracks: bool, wantsMaster: bool) -> None:
        """
        @param speaksThree: Whether to speak RESP3, if the server does.

        @param tracks: Whether to have tracked what is read.

        @param wantsMaster: Whether a server has to say that it is a master.
            Otherwise it is enough if it does not say that it is a replica.
        """
        self._name = f"txsessionsock-{token_hex(8)}".encode()
        self._wantsMaster = wantsMaster
        self._number: int | None = None
        self._strays: list[int] = []
        name = b"SETNAME", self._name
        named = [(b"CLIENT", *name), (b"HELLO",)]
        self._commands: list[tuple[bytes, ...]] = [
            (b"PING",),
            *([(b"HELLO", b"3", *name)] if speaksThree else named),
            (b"CLIENT", b"ID"),
            *([(b"CLIENT", b"TRACKING", b"ON")] if speaksThree and tracks else []),
            # Some servers do not know HELLO, or not without a version.
            *([(b"ROLE",)] if wantsMaster else []),
        ]

    def lost(self, *, isInDoubt: bool) -> None:
        """
        The connection is gone.

        @param isInDoubt: Whether something that was sent was not answered.
        """
        if isInDoubt and self._number is not None:
            self._strays.append(self._number)
        self._number = None

    async def greet(self, ask: Ask) -> Skills:
        """
        @param ask: Sends a command over a new connection.

        @raise StoreFailure: The connection is of no use.
        """
        # All are sent at once, so that this costs one round trip.
        answers = await DeferredList(
            [ask(*command) for command in self._commands], consumeErrors=True
        )
        replies: dict[bytes, Any] = {}
        for command, (isDone, reply) in zip(self._commands, answers, strict=True):
            if isDone:
                replies[b" ".join(command[:2])] = reply
            # A server that refuses one of the commands may be of use without it.
            elif not reply.check(StoreError):
                reply.raiseException()
        if replies.get(b"PING", b"PONG") not in (b"PONG", "PONG"):
            raise StoreUnavailable("it does not speak as a Redis does")
        hello = replies.get(b"HELLO 3", replies.get(b"HELLO"))
        role = _roleIn(hello) or (replies.get(b"ROLE") or [None])[0]
        if role in _REPLICAS:
            raise StoreUnavailable(REPLICA)
        if self._wantsMaster and role != b"master":
            raise StoreUnavailable("it does not say that it is a master")
        self._number = replies.get(b"CLIENT ID")
        await self._killStrays(ask)
        hasPushes = b"HELLO 3" in replies
        return Skills(hasPushes, hasPushes and b"CLIENT TRACKING" in replies)

    async def _killStrays(self, ask: Ask) -> None:
        """
        Have the server close our earlier connections, if something was not
        answered there.  It may not know yet that they are lost, or it may hang
        and read them later.  Then a write that timed out would be done after we
        have looked whether it was done.
        """
        try:
            while self._strays:
                number = b"%d" % self._strays[-1]
                found = await ask(b"CLIENT", b"LIST", b"ID", number)
                # A server that was restarted counts from 1 again, so that the
                # number may be that of somebody else.
                if b" name=%b " % self._name in _bytes(found):
                    await ask(b"CLIENT", b"KILL", b"ID", number)
                self._strays.pop()
        except StoreError:
            # This user may not use CLIENT LIST or CLIENT KILL.
            self._strays.clear()


def _bytes(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)
