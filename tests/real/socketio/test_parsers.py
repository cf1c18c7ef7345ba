"""
Packets of ours, read by the official parsers.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.socketio.parsing import PACKETS, binariesIn
from tests.support.socketioclients import DIRECTORY, socketIOIsThere
from txsessionsock.socketio.packets import MSGPACK, TEXT, Kind, Packet


pytestmark = socketIOIsThere

_MANY = 500


def seen(value: Any) -> Any:
    """
    A value, as the program says it.
    """
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, list):
        return [*map(seen, value)]
    if isinstance(value, dict):
        return {key: seen(item) for key, item in value.items()}
    # There, all numbers are floating.
    return float(value) if type(value) is int else value


def rowOf(name: str, parser: Any, packet: Packet) -> dict[str, Any]:
    """
    What one parser of ours writes.
    """
    messages = [
        {"hex": raw.hex()} if isBinary else {"text": raw[1:].decode()}
        for raw, isBinary in parser.encode(packet)
    ]
    return {"parser": name, "messages": messages}


def test_read() -> None:
    """
    The official parsers read what was written.
    """
    packets = [
        Packet(Kind.EVENT, data=["x", 2**64, -(2**70), 2**53 - 1, 1e300, 5e-324]),
        Packet(Kind.EVENT, "/é", ["x", bytearray(b"A"), {"y": memoryview(b"B")}], 7),
    ]

    @settings(max_examples=_MANY, database=None, suppress_health_check=[*HealthCheck])
    @given(PACKETS)
    def collect(packet: Packet) -> None:
        if binariesIn(packet.data) <= 10:
            packets.append(packet)

    collect()
    rows, expected = [], []
    for packet in packets:
        for name, parser in ("text", TEXT), ("msgpack", MSGPACK):
            rows.append(rowOf(name, parser, packet))
            data = seen(json.loads(json.dumps(packet.data, default=_binary)))
            number = None if packet.id is None else float(packet.id)
            expected.append((float(packet.kind), packet.namespace, number, data))
    said = subprocess.run(
        ["node", "parsers.js"],
        cwd=DIRECTORY,
        input=json.dumps(rows).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(said.stdout)
    assert len(found) == len(expected) > _MANY
    for row, each, right in zip(rows, found, expected, strict=True):
        assert "error" not in each, (each, row)
        read = tuple(seen(each[name]) for name in ("type", "nsp", "id", "data"))
        assert read == right, row


def _binary(value: Any) -> Any:
    return {"$bytes": bytes(value).hex()}
