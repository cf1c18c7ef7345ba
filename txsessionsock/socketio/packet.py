# -*- test-case-name: tests.socketio.test_packets -*-
"""
What packets of Socket.IO are, whatever they are written in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import Any, Final, Protocol

from txsessionsock._foreign import DEPTH, Foreign, Notation
from txsessionsock.limits import Limits


__all__ = [
    "LARGE",
    "LARGEST_ID",
    "RESERVED",
    "BadPacket",
    "Decoder",
    "Kind",
    "Message",
    "Packet",
    "Parser",
    "checkName",
    "isSimple",
    "namespaceOf",
    "rebuilt",
    "told",
    "validated",
]


Message = tuple[bytes, bool]
"""
One of Engine.IO's messages, as it is in a WebSocket: text, which begins with
C{b"4"}, or what is binary, and then bare.
"""

LARGE: Final = 16 * 1024
"""
Of how many bytes a packet is worth a look at how many it will take.
"""

LARGEST_ID: Final = 2**53 - 1
"""
What JavaScript has no whole numbers above.
"""

RESERVED: Final = frozenset(
    {
        *("connect", "connect_error", "disconnect", "disconnecting"),
        *("newListener", "removeListener"),
    }
)
"""
No event has these names: the official clients hang up on one that does.
"""

_TEXTS: Final = frozenset({str})
_MOST_DIGITS: Final = 1e21  # JavaScript writes larger whole numbers otherwise.


class Kind(IntEnum):
    """
    Of packets.  5 and 6 are L{EVENT} and L{ACK} with attachments, in text only.
    """

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4


@dataclass(slots=True)
class Packet:
    """
    One packet.

    @ivar data: Of an event, its name and arguments in one list, of an ack, a list;
        of what a client says as it connects, a dictionary or nothing.

    @ivar id: What an event wants its ack by, and what that is an ack of.
    """

    kind: Kind
    namespace: str = "/"
    data: Any = None
    id: int | None = None


# Names of their own: Python 3.11 is slow to find the members of an Enum, and these
# are asked for at each packet.
_EVENT, _ACK = Kind.EVENT, Kind.ACK


class BadPacket(ValueError):
    """
    What came is no packet.  Its text shows nothing of what came.
    """


class Decoder(Protocol):
    """
    Makes packets of what comes on one connection.
    """

    @property
    def isWaiting(self) -> bool:
        """
        Whether there are attachments to come.
        """

    @property
    def size(self) -> int:
        """
        About how many bytes the packet takes that was returned last.
        """

    def add(self, payload: bytes, isBinary: bool) -> Packet | None:
        """
        A message came; of text, without the C{4} of Engine.IO.

        @return: L{None} if there are attachments to come.

        @raise BadPacket: It is no packet, or more than limits let pass.
        """


class Parser(Protocol):
    """
    What packets are written in.
    """

    def encode(self, packet: Packet) -> tuple[Message, ...]:
        """
        @raise ValueError: It cannot be sent; the message says what is in the way,
            and where it is.
        """

    def decoder(self, limits: Limits) -> Decoder:
        """
        One for a new connection.
        """


def namespaceOf(text: str) -> str:
    """
    The namespace that a packet is for: old clients let a query follow it.
    """
    if text[:1] != "/":
        raise BadPacket("a namespace begins with /")
    return text.partition("?")[0] if "?" in text else text


def validated(kind: int, namespace: str, data: Any, number: int | None) -> Packet:
    """
    Make a packet of its parts, if they make one.
    """
    if kind == _EVENT:
        if type(data) is not list or not data:
            raise BadPacket("an event is a list that begins with its name")
        if type(data[0]) is not str:
            data[0] = _named(data[0])
        if data[0] in RESERVED:
            raise BadPacket("an event with a reserved name")
        return Packet(_EVENT, namespace, data, number)
    if kind == _ACK:
        if type(data) is not list or number is None:
            raise BadPacket("an ack is a list, and of an event with an id")
        return Packet(_ACK, namespace, data, number)
    if number is not None:
        raise BadPacket("an id where none belongs")
    kinds = _DATA.get(kind)
    if kinds is None:
        raise BadPacket("no such type of packets")
    if type(data) not in kinds:
        raise BadPacket("data that packets of this type do not have")
    return Packet(Kind(kind), namespace, data)


_DATA: Final[dict[int, tuple[type, ...]]] = {
    Kind.CONNECT: (dict, type(None)),
    Kind.DISCONNECT: (type(None),),
    Kind.CONNECT_ERROR: (dict, str),
}


def _named(number: Any) -> str:
    """
    In JavaScript, events may be named by numbers, and are the same as those that
    are named by what the number is in text.  There, 1 and 1.0 are one number.
    """
    if type(number) is float and isfinite(number):
        isWhole = number.is_integer() and abs(number) < _MOST_DIGITS
        return str(int(number)) if isWhole else repr(number)
    if type(number) is int and number.bit_length() <= LARGEST_ID.bit_length():
        return str(number)
    raise BadPacket("the name of an event is a text")


def checkName(packet: Packet) -> None:
    """
    Refuse to send an event whose name nobody can listen for.
    """
    if packet.kind is not _EVENT:
        return
    name = packet.data[0]
    if not isinstance(name, str):
        raise ValueError(f"the name of an event is a str, not {type(name).__name__}")
    if name in RESERVED:
        raise ValueError(f"an event cannot be named {name!r}: clients hang up on it")


def isSimple(value: Any, plain: frozenset[Any], depth: int = DEPTH - 2) -> bool:
    """
    Whether there is certainly nothing in a value that cannot be sent: a shorter way
    than L{Notation.find} for what is as small as most packets.

    @param plain: The types that need no look.
    """
    kind = type(value)
    if kind is dict:
        if not _TEXTS.issuperset(map(type, value)):
            return False
        value = value.values()
    elif kind is not list:
        return kind in plain or (kind is float and isfinite(value))
    if plain.issuperset(map(type, value)):
        return True
    if not depth:
        return False
    # As a loop, this takes half of what all() takes.
    for item in value:
        if type(item) not in plain and not isSimple(item, plain, depth - 1):
            return False
    return True


def told(packet: Packet, notation: Notation, problem: str = "") -> ValueError:
    """
    Say why a packet cannot be sent.

    @param problem: What is to be said if nothing is found in its data.
    """
    isEvent = packet.kind is Kind.EVENT
    data = packet.data[1:] if isEvent else packet.data
    try:
        found = notation.find(data, isThorough=True)
    except RecursionError:
        found = Foreign("nested too deeply, or contains itself")
    if found is None:
        return ValueError(f"cannot be sent: {problem}")
    return ValueError(
        f"cannot be sent: {found.told('args' if isEvent else 'data', 'send')}"
    )


def rebuilt(value: Any, leaf: Callable[[Any], Any], depth: int) -> Any:
    """
    A copy in which dictionaries, lists and tuples are plain dictionaries and
    lists, and each other value is what C{leaf} makes of it.

    @raise RecursionError: It is nested more deeply.
    """
    if isinstance(value, (dict, list, tuple)):
        if not depth:
            raise RecursionError
        if isinstance(value, dict):
            return {key: rebuilt(item, leaf, depth - 1) for key, item in value.items()}
        return [rebuilt(item, leaf, depth - 1) for item in value]
    return leaf(value)
