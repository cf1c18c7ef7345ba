"""
Tests for L{txsessionsock.socketio.enginepackets}.
"""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.limits import Limits
from txsessionsock.socketio.enginepackets import joined, nextIn, opening


class PacketTests(SynchronousTestCase):
    """
    Tests for the payloads of polling.
    """

    def all(self, body: bytes) -> list[tuple[bytes, bool]]:
        """
        Read all packets.
        """
        found, at = [], 0
        while at <= len(body):
            packet, at = nextIn(body, at)
            found.append(packet)
        return found

    def test_joined(self) -> None:
        """
        What is joined is read as it was.
        """
        for messages in (
            [(b"4", False)],
            [(b"4hello", False), (b"", True), (b"\x1e", True), ("4ä".encode(), False)],
        ):
            self.assertEqual(self.all(joined(messages)), messages)
        self.assertEqual(joined([(b"4a", False), (b"\0\1", True)]), b"4a\x1ebAAE=")

    def test_wrong(self) -> None:
        """
        A packet has a type, and bytes are Base64.
        """
        for body in b"", b"4a\x1e", b"\x1e4a", b"bA", b"b!!!!", b"b\x1e", b"bAAE":
            if body == b"b\x1e":
                # No bytes are a message, nothing is none.
                self.assertEqual(nextIn(body, 0), ((b"", True), 2))
                continue
            with self.assertRaises(ValueError, msg=body):
                self.all(body)

    def test_opening(self) -> None:
        """
        Times are in milliseconds, also where they have fractions.
        """
        limits = Limits(pingInterval=0.0125, pingTimeout=1.5, messageSize=7)
        payload, isBinary = opening("x", ["websocket"], limits)
        self.assertFalse(isBinary)
        self.assertEqual(payload[:1], b"0")
        self.assertEqual(
            json.loads(payload[1:]),
            {
                "sid": "x",
                "upgrades": ["websocket"],
                "pingInterval": 12,
                "pingTimeout": 1500,
                "maxPayload": 7,
            },
        )
