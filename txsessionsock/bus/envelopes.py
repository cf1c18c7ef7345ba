# -*- test-case-name: tests.bus.test_bus -*-
"""
What nodes say to each other on a bus that carries bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec


__all__ = ["Answer", "Bye", "Envelope", "Hello", "Question", "open_", "seal"]

_Node = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
_Number = Annotated[int, msgspec.Meta(ge=0)]


class _Envelope(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """
    @ivar node: Who sent it.
    """

    node: _Node


class Hello(_Envelope, frozen=True):
    """
    A node takes part.
    """


class Bye(_Envelope, frozen=True):
    """
    A node takes part no more.
    """


class Question(_Envelope, frozen=True):
    """
    A command for all nodes.

    @ivar number: What the answers to it will say.
    """

    number: _Number
    command: bytes


class Answer(_Envelope, frozen=True):
    """
    What a node answered to a command.

    @ivar number: That of the question.

    @ivar answer: L{None} if the node did not understand it.
    """

    number: _Number
    answer: bytes | None


Envelope = Hello | Bye | Question | Answer

seal = msgspec.msgpack.Encoder().encode
"""
Make bytes of an envelope.
"""

_decode: Callable[[bytes], Envelope] = msgspec.msgpack.Decoder(Envelope).decode


def open_(raw: bytes) -> Envelope:
    """
    @raise ValueError: It is no envelope.  The message does not show it.
    """
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        problem = "not understood"
    raise ValueError(problem)
