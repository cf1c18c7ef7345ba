# -*- test-case-name: tests.socketio.test_msgpack -*-
"""
Packets in MessagePack, as C{socket.io-msgpack-parser} writes and reads them.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from txsessionsock._collector import undisturbed
from txsessionsock._foreign import DEPTH, Foreign, Notation, isFinite
from txsessionsock.limits import Limits

from .packet import (
    LARGE,
    LARGEST_ID,
    BadPacket,
    Decoder,
    Message,
    Packet,
    checkName,
    isSimple,
    namespaceOf,
    rebuilt,
    told,
    validated,
)


__all__ = ["MSGPACK"]


_UNDEFINED: Final = b"\0"
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1
_CONTAINER: Final = 64  # Bytes that an empty list or dictionary takes.


def _isNumber(value: int) -> Foreign | None:
    try:
        float(value)
    except OverflowError:
        return Foreign("int of hundreds of digits", "a shorter one")
    return None


_VALUES: Final = Notation(
    {int: _isNumber, float: isFinite},
    plain={int, str, bytes, bytearray, memoryview},
    isExact=False,
)


_SIMPLE: Final[frozenset[type]] = frozenset({str, int, bytes, bool, type(None)})


def _extended(code: int, data: memoryview) -> bytes | None:
    """
    What JavaScript has besides: L{None} for C{undefined}, or an C{ArrayBuffer}.
    """
    if code:
        raise BadPacket("an unknown extension of MessagePack")
    raw = bytes(data)
    return None if raw == _UNDEFINED else raw


class _Fields(msgspec.Struct, omit_defaults=True):
    """
    A packet, as it is written.  JavaScript wants undefined, not nil, of what is not
    there, so that this is left out.
    """

    type: int
    nsp: str
    data: Any = None
    id: Any = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Fields, ext_hook=_extended).decode


def _plain(value: Any) -> Any:
    """
    Something that has no other value in it, as JavaScript reads it from JSON.
    """
    if isinstance(value, str):
        # Half a surrogate pair is no UTF-8.
        units = value.encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        # There, all numbers are floating; and no more than 64 bits fit in here.
        return int(value) if _SMALLEST <= value <= _LARGEST else float(value)
    return float(value) if isinstance(value, float) else bytes(value)


def _plainKeys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plainKeys(item) for key, item in value.items()}
    return [*map(_plainKeys, value)] if isinstance(value, list) else value


def _fixed() -> list[int]:
    """
    How many bytes each of MessagePack's values takes, by its first one; 0 if
    that alone does not say it.
    """
    fixed = [0] * 256
    for first in (*range(0x80), *range(0xC0, 0xC4), *range(0xE0, 0x100)):
        fixed[first] = 1
    for length in range(32):
        fixed[0xA0 + length] = 1 + length
    fixed[0xCA], fixed[0xCB] = 5, 9
    for power in range(4):
        fixed[0xCC + power] = fixed[0xD0 + power] = 1 + 2**power
    for power in range(5):
        fixed[0xD4 + power] = 2 + 2**power
    return fixed


_FIXED: Final = _fixed()

_STRINGS: Final = {
    **{0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0)},
    **{0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)},
    **{0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)},
}
"""
Bytes, extensions and texts: of how many bytes the length is that follows, and how
many more there are than that says.
"""

_CONTAINERS: Final = {
    **dict.fromkeys(range(0x80, 0x90), (0, 2)),
    **dict.fromkeys(range(0x90, 0xA0), (0, 1)),
    **{0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)},
}
"""
Dictionaries and lists: of how many bytes the number of items is that follows, if it
is not half of the first one, and how many values each is.
"""


def _containers(raw: bytes, most: int) -> int:
    """
    How many lists and dictionaries there are in MessagePack.  Of what is none,
    some number.

    @raise BadPacket: There are more values than C{most}, keys aside.
    """
    end = len(raw)
    position = found = 0
    left = values = 1
    while left and position < end:
        first = raw[position]
        left -= 1
        if step := _FIXED[first]:
            position += step
            continue
        position += 1
        if first in _STRINGS:
            width, more = _STRINGS[first]
            length = int.from_bytes(raw[position : position + width], "big")
            position += width + length + more
            continue
        width, each = _CONTAINERS[first]
        if width:
            length = int.from_bytes(raw[position : position + width], "big")
            position += width
        else:
            length = first & 0x0F
        found += 1
        left += length * each
        values += length
        if values > most:
            raise BadPacket("too many values")
    return found


class _Decoder:
    """
    L{Decoder} of MessagePack, where each packet is one message.
    """

    __slots__ = ("_limits", "size")

    isWaiting = False

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.size = 0

    def add(self, payload: bytes, isBinary: bool) -> Packet:
        if not isBinary:
            raise BadPacket("text where there was MessagePack before")
        size = len(payload)
        if size > self._limits.messageSize:
            raise BadPacket("too large")
        if size > min(LARGE, self._limits.messageValues):
            size += _CONTAINER * _containers(payload, self._limits.messageValues)
        self.size = size
        return _read(payload)


def _read(payload: bytes) -> Packet:
    try:
        isSmall = len(payload) < LARGE
        fields = _decode(payload) if isSmall else undisturbed(_decode, payload)
        found = (
            None
            if isSmall and isSimple(fields.data, _SIMPLE)
            else _VALUES.find(fields.data)
        )
    except RecursionError:
        raise BadPacket("nested too deeply") from None
    except msgspec.ValidationError:
        raise BadPacket("a packet has a type and a namespace") from None
    except BadPacket:
        raise
    except ValueError:
        raise BadPacket("not MessagePack") from None
    if found is not None:
        raise BadPacket(f"a value that no packet has: {found.what}")
    number = fields.id
    if number is not None and not (type(number) is int and 0 <= number <= LARGEST_ID):
        raise BadPacket("an id is a whole number")
    return validated(fields.type, namespaceOf(fields.nsp), fields.data, number)


class _MessagePack:
    """
    L{Parser} of MessagePack.
    """

    def encode(self, packet: Packet) -> tuple[Message, ...]:
        checkName(packet)
        data = packet.data
        try:
            if not isSimple(data, _SIMPLE) and _VALUES.find(data) is not None:
                raise told(packet, _VALUES)
            fields = _Fields(int(packet.kind), packet.namespace, data, packet.id)
            try:
                return ((_encode(fields), True),)
            except (OverflowError, TypeError, UnicodeEncodeError):
                fields.data = _plainKeys(rebuilt(data, _plain, DEPTH))
            return ((_encode(fields), True),)
        except (OverflowError, RecursionError):
            raise told(packet, _VALUES) from None

    def decoder(self, limits: Limits) -> Decoder:
        return _Decoder(limits)


MSGPACK: Final = _MessagePack()
