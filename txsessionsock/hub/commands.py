# -*- test-case-name: tests.hub.test_hub_nodes -*-
"""
The commands that hubs send each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from txsessionsock.closecodes import refuseCode

from .members import Label


__all__ = ["Close", "Command", "Count", "Send", "decode", "encode", "number"]


class _Command(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """
    @ivar label: Which clients it is about.
    """

    label: Label


class Send(_Command, frozen=True):
    """
    Send them a message.

    @ivar payload: JSON.
    """

    payload: bytes


class Close(_Command, frozen=True):
    """
    Close their sockets.
    """

    code: int
    reason: str

    def __post_init__(self) -> None:
        refuseCode(self.code)


class Count(_Command, frozen=True):
    """
    Do nothing but count them.
    """


Command = Send | Close | Count

encode = msgspec.msgpack.Encoder().encode
"""
Make bytes of a command or of its result.
"""

_decode: Callable[[bytes], Command] = msgspec.msgpack.Decoder(Command).decode
_Number = Annotated[int, msgspec.Meta(ge=0)]
_number: Callable[[bytes], int] = msgspec.msgpack.Decoder(_Number).decode


def decode(raw: bytes) -> Command:
    """
    @raise ValueError: It is no command.  The message does not show it.
    """
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        problem = "no command that this node knows"
    raise ValueError(problem)


def number(raw: bytes | None) -> int | None:
    """
    Read the result of a command.

    @return: L{None} if there is none.
    """
    if raw is None:
        return None
    try:
        return _number(raw)
    except msgspec.MsgspecError:
        return None
