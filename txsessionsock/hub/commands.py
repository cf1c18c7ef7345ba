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


__all__ = [
    "Ask",
    "Close",
    "Command",
    "Count",
    "Disconnect",
    "Emit",
    "Send",
    "Tally",
    "answer",
    "decode",
    "encode",
    "number",
]


class _ForGroup(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """
    @ivar label: Which clients it is about.
    """

    label: Label

    @property
    def labels(self) -> tuple[Label, ...]:
        """
        Those who are in any of these groups are meant.
        """
        return (self.label,)


class Send(_ForGroup, frozen=True):
    """
    Send them a message.

    @ivar payload: JSON.

    @ivar id: What tells this message from others; older nodes give it none.
    """

    payload: bytes
    id: str = ""


class Close(_ForGroup, frozen=True):
    """
    Close their sockets.
    """

    code: int
    reason: str

    def __post_init__(self) -> None:
        refuseCode(self.code)


class Count(_ForGroup, frozen=True):
    """
    Do nothing but count them.
    """


class _ForMany(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """
    For clients of Socket.IO.

    @ivar labels: Those who are in any of these groups are meant.

    @ivar apart: Those in any of these are not.

    @ivar namespace: Only those who are connected to it are.
    """

    labels: tuple[Label, ...]
    apart: tuple[Label, ...]
    namespace: str


class Emit(_ForMany, frozen=True):
    """
    Send them an event.

    @ivar payload: See L{txsessionsock.hub.events}.

    @ivar isVolatile: Whether those for whom something waits are left out.

    @ivar id: What tells this event from others.
    """

    payload: bytes
    isVolatile: bool
    id: str


class Disconnect(_ForMany, frozen=True):
    """
    Close their sockets.
    """

    code: int
    reason: str

    def __post_init__(self) -> None:
        refuseCode(self.code)


class Tally(_ForMany, frozen=True):
    """
    Do nothing but count them.
    """


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """
    Something that is not about groups.

    @ivar topic: Who answers it on each node.
    """

    topic: str
    payload: bytes


Command = Send | Close | Count | Emit | Disconnect | Tally | Ask

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


_answer: Callable[[bytes], bytes | None] = msgspec.msgpack.Decoder(bytes | None).decode


def answer(raw: bytes | None) -> bytes | None:
    """
    Read what was answered to an L{Ask}.

    @return: L{None} if nothing was.
    """
    if raw is None:
        return None
    try:
        return _answer(raw)
    except msgspec.MsgspecError:
        return None


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
