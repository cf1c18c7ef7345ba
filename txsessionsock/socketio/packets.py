# -*- test-case-name: tests.socketio.test_packets -*-
"""
Packets of Socket.IO as text with binary attachments, as C{socket.io-parser}
writes and reads them; and which of the parsers is a connection's.
"""

from __future__ import annotations

import re
from typing import Any, Final

from txsessionsock import _json
from txsessionsock._foreign import DEPTH, Notation, isFinite, isShort
from txsessionsock.limits import Limits

from .msgpack import MSGPACK
from .packet import (
    LARGE,
    LARGEST_ID,
    RESERVED,
    BadPacket,
    Decoder,
    Kind,
    Message,
    Packet,
    Parser,
    checkName,
    isSimple,
    namespaceOf,
    rebuilt,
    told,
    validated,
)


__all__ = [
    "MOST_ATTACHMENTS",
    "MSGPACK",
    "RESERVED",
    "TEXT",
    "BadPacket",
    "Decoder",
    "Kind",
    "Message",
    "Packet",
    "Parser",
    "parserFor",
]


MOST_ATTACHMENTS: Final = 10
"""
The official clients hang up on a packet that has more.
"""

_HEAD: Final = re.compile(rb"(?:([0-4])|([56])(\d{1,2})-)(?:(/[^,]*),?)?(\d*)")
_ATTACHED: Final = 3  # What the types of packets with attachments are more.
_BINARY: Final = (bytes, bytearray, memoryview)
_MARK: Final = "_placeholder"
_VALUES: Final = Notation(
    {int: isShort, float: isFinite},
    plain={int, str, *_BINARY},
    isExact=False,
)

_SIMPLE: Final[frozenset[type]] = frozenset({str, int, bool, type(None)})

_Place = tuple[Any, Any]  # A dictionary or list, and the key or index in it.


def _places(data: Any, number: int) -> list[_Place]:
    """
    Where in data attachments belong, in their order.

    @raise BadPacket: There is not one place for each.
    """
    places: dict[int, _Place] = {}
    rest = [data]
    while rest:
        outer = rest.pop()
        for place, item in outer.items() if type(outer) is dict else enumerate(outer):
            kind = type(item)
            if kind is dict and item.get(_MARK) is True:
                which = item.get("num")
                # True is 1 in Python.  With one attachment in many places, what is
                # sent on would be many times as much as came.
                if type(which) is not int or which in places:
                    raise BadPacket("a placeholder of no attachment, or a second one")
                places[which] = outer, place
            elif kind is dict or kind is list:
                rest.append(item)
    if places.keys() != set(range(number)):
        raise BadPacket("attachments and placeholders that are not the same number")
    return [places[which] for which in range(number)]


class _Decoder:
    """
    L{Decoder} of text.

    @ivar _packet: The one whose attachments are missing.

    @ivar _open: Where they belong, the next one last.
    """

    __slots__ = ("_limits", "_open", "_packet", "_received", "size")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._packet: Packet | None = None
        self._open: list[_Place] = []
        self._received = 0
        self.size = 0

    @property
    def isWaiting(self) -> bool:
        return self._packet is not None

    def add(self, payload: bytes, isBinary: bool) -> Packet | None:
        if isBinary is (self._packet is None):
            raise BadPacket("an attachment where none belongs, or none where one does")
        if self._packet is None:
            self.size = self._received = 0
        self._received += len(payload)
        if self._received > self._limits.messageSize:
            raise BadPacket("too large")
        if self._packet is None:
            return self._text(payload)
        outer, place = self._open.pop()
        outer[place] = payload
        self.size += len(payload)
        if self._open:
            return None
        packet, self._packet = self._packet, None
        return packet

    def _text(self, payload: bytes) -> Packet | None:
        head = _HEAD.match(payload)
        if head is None:
            raise BadPacket("no packet begins like this")
        plain, attached, number, namespace, digits = head.groups()
        kind = int(plain) if plain else int(attached) - _ATTACHED
        packet = validated(
            kind,
            namespaceOf(_decoded(namespace)) if namespace else "/",
            self._data(payload[head.end() :]),
            _id(digits) if digits else None,
        )
        if attached is None:
            return packet
        attachments = int(number)
        if not 1 <= attachments <= MOST_ATTACHMENTS:
            raise BadPacket("no attachments, or too many")
        self._open = _places(packet.data, attachments)[::-1]
        self._packet = packet
        return None

    def _data(self, raw: bytes) -> Any:
        self.size = self._received
        if not raw:
            return None
        if len(raw) > LARGE:
            self.size += _json.sizeOf(raw) - len(raw)
        if _json.hasMoreValues(raw, self._limits.messageValues):
            raise BadPacket("too many values")
        try:
            data = _json.loads(raw)
        except ValueError as error:
            raise BadPacket(str(error)) from None
        if data is None:
            raise BadPacket("null as data")
        return data


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadPacket("not UTF-8") from None


def _id(digits: bytes) -> int:
    # Long ones take long to read.
    number = int(digits) if len(digits) <= len(str(LARGEST_ID)) else LARGEST_ID + 1
    if number > LARGEST_ID:
        raise BadPacket("an id that is too large")
    return number


class _Text:
    """
    L{Parser} of text.
    """

    def encode(self, packet: Packet) -> tuple[Message, ...]:
        data, attachments = self._parts(packet)
        body = b"" if data is None else self._body(packet, data)
        kind = int(packet.kind)
        head = f"4{kind + _ATTACHED}{len(attachments)}-" if attachments else f"4{kind}"
        if packet.namespace != "/":
            head += packet.namespace + ","
        if packet.id is not None:
            head += str(packet.id)
        text = head.encode() + body, False
        return (
            (text, *((each, True) for each in attachments)) if attachments else (text,)
        )

    def check(self, packet: Packet) -> None:
        """
        Look whether clients take a packet whose data can be written: the reasons of
        L{encode} to refuse one but for those that any writer has.

        @raise ValueError: See L{encode}.
        """
        self._parts(packet)

    def decoder(self, limits: Limits) -> Decoder:
        return _Decoder(limits)

    def _parts(self, packet: Packet) -> tuple[Any, tuple[bytes, ...]]:
        """
        The data of a packet without what is binary in it, and that.
        """
        checkName(packet)
        data = packet.data
        # Nothing, as a packet may have, is simple.
        return (data, ()) if isSimple(data, _SIMPLE) else self._taken(packet)

    def _body(self, packet: Packet, data: Any) -> bytes:
        try:
            return _json.dumps(data)
        except ValueError as error:
            raise told(packet, _VALUES, str(error)) from None

    def _taken(self, packet: Packet) -> tuple[Any, tuple[bytes, ...]]:
        """
        The data of a packet with placeholders for what is binary in it, and that.
        """
        taken: list[bytes] = []

        def leaf(value: Any) -> Any:
            if not isinstance(value, _BINARY):
                return value
            taken.append(bytes(value))
            return {_MARK: True, "num": len(taken) - 1}

        try:
            data = rebuilt(packet.data, leaf, DEPTH)
            isForeign = _json.MESSAGES.find(data) is not None
        except RecursionError:
            isForeign = True
        if isForeign:
            raise told(packet, _VALUES)
        if not taken:
            return data, ()
        if packet.kind not in (Kind.EVENT, Kind.ACK):
            raise told(packet, _json.MESSAGES)
        if len(taken) > MOST_ATTACHMENTS:
            raise ValueError(
                f"cannot be sent: {len(taken)} values of bytes, of which clients take "
                f"no more than {MOST_ATTACHMENTS} at once (send them in several events)"
            )
        try:
            _places(data, len(taken))
        except BadPacket:
            # A client can have an application send it on, to hang up on all others.
            raise ValueError(
                f"cannot be sent: bytes beside a dictionary with {_MARK!r}, which says "
                "where bytes belong (send one of them)"
            ) from None
        return data, tuple(taken)


TEXT: Final = _Text()


def parserFor(isBinary: bool) -> Parser:
    """
    The parser of a connection whose first packet came as that.
    """
    return MSGPACK if isBinary else TEXT
