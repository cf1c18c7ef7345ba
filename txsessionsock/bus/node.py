# -*- test-case-name: tests.bus.test_bus -*-
"""
What a node does with the commands that a bus brings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from os import getpid
from secrets import token_hex
from socket import gethostname

from twisted.logger import Logger

from txsessionsock._waiting import refuseToWait


__all__ = ["COMMAND_SIZE", "Handling", "checkSize", "newNode"]

COMMAND_SIZE = 2 * 1024 * 1024
"""
How many bytes a command may have, unless said otherwise: more than the largest
message to a client.
"""


def newNode() -> str:
    """
    An id that no other node has, and that tells people where the node is.
    """
    return f"{gethostname()[:200]}.{getpid()}.{token_hex(6)}"


def checkSize(command: bytes, limit: int) -> None:
    """
    @raise ValueError: The command is too long.
    """
    if len(command) > limit:
        raise ValueError(
            f"a command of {len(command)} bytes; no more than {limit} go to other nodes"
        )


class Handling:
    """
    Has commands answered by one function.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._answer: Callable[[bytes], bytes] | None = None
        self._own: deque[tuple[bytes, Callable[[bytes | None], object]]] = deque()
        self._isBusy = False

    def answerBy(self, answer: Callable[[bytes], bytes]) -> None:
        """
        Have them answered by a function from now on.

        @raise ValueError: There is one already.
        """
        if self._answer is not None:
            raise ValueError("a bus serves one hub, and this one has one")
        self._answer = answer

    def answer(self, node: str, command: bytes) -> bytes | None:
        """
        Answer a command.

        @param node: Who sent it.

        @return: L{None} if it was not understood.
        """
        if self._answer is None:
            return None
        try:
            answer = self._answer(command)
            refuseToWait(answer, "handle()")
            return answer
        except ValueError as error:
            self._log.warn(
                "ignored a command of node {node}: {why}", node=node, why=error
            )
        except Exception:
            self._log.failure("a command of node {node} failed", node=node)
        return None

    def answerOwn(
        self, node: str, command: bytes, answered: Callable[[bytes | None], object]
    ) -> None:
        """
        Answer one of this node's own commands: at once, unless it was sent while
        another one is being answered.  Then it waits for the end of that, so that
        the order is the same as on other nodes.
        """
        self._own.append((command, answered))
        if self._isBusy:
            return
        self._isBusy = True
        try:
            while self._own:
                command, answered = self._own.popleft()
                answered(self.answer(node, command))
        finally:
            self._isBusy = False
