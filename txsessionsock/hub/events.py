# -*- test-case-name: tests.hub.test_hub_events -*-
"""
Events on their way to other nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from txsessionsock._foreign import Foreign, Notation, isFinite, isText
from txsessionsock.messages import Event


__all__ = ["pack", "unpack"]

_LEAST, _MOST = -(2**63), 2**64 - 1


def _isWord(value: int) -> Foreign | None:
    if _LEAST <= value <= _MOST:
        return None
    return Foreign("int of more than 64 bits", "its str()")


def _isWhole(value: memoryview) -> Foreign | None:
    return (
        None if value.contiguous else Foreign("memoryview with gaps", "its tobytes()")
    )


_EVENTS: Final = Notation(
    {int: _isWord, float: isFinite, str: isText, memoryview: _isWhole},
    plain={int, str, bytes, bytearray, memoryview},
    isExact=False,
)
"""
What an event may bring: JSON, as far as msgpack has it, and bytes.
"""


def _base(value: Any) -> Any:
    """
    What msgspec takes in place of an object of a subclass.
    """
    for base, make in _BASES:
        if isinstance(value, base):
            return make(value)
    raise TypeError


_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__index__),
    (float, float.__float__),
    (bytes, bytes.__bytes__),
    (bytearray, bytes),
)

_encode = msgspec.msgpack.Encoder(enc_hook=_base).encode
_decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(
    Annotated[list[Any], msgspec.Meta(min_length=1)]
).decode


def pack(event: Event) -> bytes:
    """
    @raise ValueError: It cannot be sent; the message says what is in the way,
        and where.
    """
    if not isinstance(event.name, str):
        kind = type(event.name).__name__
        raise ValueError(f"the name of an event is a str, not {kind}")
    args = list(event.args)
    try:
        found = _EVENTS.find(args)
        if found is None:
            return _encode([event.name, *args])
    except RecursionError:
        found = Foreign("nested too deeply, or contains itself")
    except (ArithmeticError, BufferError, TypeError, ValueError):
        found = _EVENTS.find(args, isThorough=True)
        found = found or Foreign("what msgpack has not")
    raise ValueError(
        f"event {event.name!r} cannot be sent: {found.told('args', 'send')}"
    )


def unpack(payload: bytes) -> Event:
    """
    @raise ValueError: That is no event.
    """
    try:
        name, *args = _decode(payload)
        if isinstance(name, str):
            return Event(name, tuple(args))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    problem = "no event"
    # Out here, the exceptions that quote the input are not this one's context.
    raise ValueError(problem)
