# -*- test-case-name: tests.socketio.test_enginepackets -*-
"""
The packets of Engine.IO, version 4.

Each is a message as a WebSocket has it: a text begins with the digit of its type,
and bytes are a message as they are.  In polling, packets are joined by one
character, and bytes are in Base64, behind a C{b}.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Final

from txsessionsock.limits import Limits


__all__ = [
    "CLOSE",
    "MESSAGE",
    "NOOP",
    "PING",
    "PONG",
    "PROBE",
    "PROBED",
    "UPGRADE",
    "Message",
    "joined",
    "nextIn",
    "opening",
]

Message = tuple[bytes, bool]
"""
The payload, and whether it is binary.
"""

_MILLISECONDS = 1000

MESSAGE: Final = b"4"
"""
The first byte of a text message.
"""

CLOSE: Final = (b"1", False)
PING: Final = (b"2", False)
PONG: Final = (b"3", False)
PROBE: Final = (b"2probe", False)
PROBED: Final = (b"3probe", False)
UPGRADE: Final = (b"5", False)
NOOP: Final = (b"6", False)

_SEPARATOR: Final = b"\x1e"
_BINARY: Final = b"b"


def opening(sid: str, upgrades: Sequence[str], limits: Limits) -> Message:
    """
    @param upgrades: The transports to which the client may go over.

    @return: The first packet, which says how the connection is.
    """
    found = {
        "sid": sid,
        "upgrades": list(upgrades),
        "pingInterval": round(limits.pingInterval * _MILLISECONDS),
        "pingTimeout": round(limits.pingTimeout * _MILLISECONDS),
        "maxPayload": limits.messageSize,
    }
    return b"0" + json.dumps(found, separators=(",", ":")).encode("ascii"), False


def joined(messages: Iterable[Message]) -> bytes:
    """
    @return: The packets as the answer to a poll.
    """
    return _SEPARATOR.join(
        _BINARY + b64encode(payload) if isBinary else payload
        for payload, isBinary in messages
    )


def nextIn(body: bytes, at: int) -> tuple[Message, int]:
    """
    Read one of the packets that a client has posted.

    @param at: Where it begins.

    @return: The packet, and where the next one begins: behind the end, if this was
        the last.

    @raise ValueError: It is no packet.
    """
    end = body.find(_SEPARATOR, at)
    end = len(body) if end < 0 else end
    packet = body[at:end]
    if packet.startswith(_BINARY):
        return (b64decode(packet[1:], validate=True), True), end + 1
    if not packet:
        raise ValueError("an empty packet")
    return (packet, False), end + 1
