"""
Tests for L{txsessionsock.socketio.msgpack}.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._foreign import DEPTH
from txsessionsock.limits import Limits
from txsessionsock.socketio.msgpack import MSGPACK
from txsessionsock.socketio.packets import RESERVED, BadPacket, Kind, Packet

from .parsing import PACKETS, decoded, tried, unsent


_EVENT = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data"
"""
An event, up to its data.
"""

UNDEFINED = b"\xd4\0\0"


def packed(**fields: Any) -> tuple[bytes, bool]:
    """
    A message.
    """
    return msgspec.msgpack.encode(fields), True


class ReadTests(SynchronousTestCase):
    """
    Tests for the decoder.
    """

    def read(self, raw: bytes, **limits: Any) -> Packet:
        """
        The packet that there is in a message.
        """
        packet = decoded(MSGPACK, (raw, True), **limits)
        assert packet is not None
        return packet

    def refused(self, raw: bytes, **limits: Any) -> str:
        """
        What is said against a message.
        """
        return str(self.assertRaises(BadPacket, self.read, raw, **limits))

    def test_undefined(self) -> None:
        """
        JavaScript's C{undefined} is nothing, where there may be nothing, and L{None}
        among arguments.
        """
        head = b"\x84\xa4type\x00\xa3nsp\xa1/\xa2id"
        connect = head + UNDEFINED + b"\xa4data" + UNDEFINED
        self.assertEqual(self.read(connect), Packet(Kind.CONNECT))
        raw = _EVENT + b"\x93\xa1x" + UNDEFINED + b"\x81\xa1a" + UNDEFINED
        expected = Packet(Kind.EVENT, data=["x", None, {"a": None}])
        self.assertEqual(self.read(raw), expected)

    def test_extensions(self) -> None:
        """
        An C{ArrayBuffer} is bytes, as a C{Buffer} is.  Nothing knows other ones.
        """
        for raw, expected in (
            (b"\xc7\x03\x00abc", b"abc"),
            (b"\xc7\x00\x00", b""),
            (b"\xd4\x00a", b"a"),
            (b"\xd5\x00\x00\x00", b"\0\0"),
            (b"\xd7\x0012345678", b"12345678"),
            (b"\xc8\x00\x03\x00abc", b"abc"),
            (b"\xc9\x00\x00\x00\x03\x00abc", b"abc"),
            (b"\xc4\x03abc", b"abc"),
        ):
            self.assertEqual(self.read(_EVENT + b"\x92\xa1x" + raw).data[1], expected)
        for raw in (
            b"\xd4\x01a",
            b"\xd4\xfea",
            b"\xd6\xff\0\0\0\0",
            b"\xd7\xff" + bytes(8),
        ):
            self.refused(_EVENT + b"\x92\xa1x" + raw)

    def test_notFinite(self) -> None:
        """
        Numbers that are none are refused, for a client that reads text could not
        have them.
        """
        for value in float("nan"), float("inf"), float("-inf"):
            for raw in (
                b"\xcb" + struct.pack(">d", value),
                b"\xca" + struct.pack(">f", value),
            ):
                for before in b"\x92\xa1x", b"\x92\xa1x\x81\xa1a\x91":
                    self.assertIn("finite", self.refused(_EVENT + before + raw))

    def test_packets(self) -> None:
        """
        What has no type, no namespace or not the data of its type is no packet.
        """
        good = {"type": 2, "nsp": "/", "data": ["x"]}
        self.assertEqual(
            decoded(MSGPACK, packed(**good)), Packet(Kind.EVENT, data=["x"])
        )
        wrong: list[dict[str, Any]] = [
            {"type": True},
            {"type": 5},
            {"type": -1},
            {"type": 2.0},
            {"type": 2**63},
            {"nsp": None},
            {"nsp": "chat"},
            {"nsp": ""},
            {"nsp": b"/"},
            {"data": None},
            {"data": []},
            {"data": {}},
            {"data": [None]},
            *({"data": [name]} for name in RESERVED),
            {"id": -1},
            {"id": 2**53},
            {"id": 1.0},
            {"id": True},
            {"id": "1"},
            {"type": 3},
            {"type": 3, "id": 1, "data": {}},
            {"type": 0},
            {"type": 0, "data": {}, "id": 1},
            {"type": 1},
            {"type": 4},
        ]
        for fields in wrong:
            self.refused(packed(**{**good, **fields})[0])
        for raw in b"", b"\xc1", b"\x90", b"\xa1x", _EVENT, _EVENT + b"\x91\xa1x\0":
            self.refused(raw)
        # What this library does not know, another one may.
        packet = self.read(packed(**good, options={"compress": True}, id=None)[0])
        self.assertEqual(packet.data, ["x"])
        self.assertEqual(self.read(packed(**{**good, "data": [1.0]})[0]).data, ["1"])

    def test_namespaces(self) -> None:
        """
        A query is no part of a namespace.
        """
        packet = self.read(packed(type=0, nsp="/admin?token=1")[0])
        self.assertEqual(packet, Packet(Kind.CONNECT, "/admin"))

    def test_keys(self) -> None:
        """
        The keys of dictionaries are texts.
        """
        for key in b"\x01", b"\xc0", b"\xc4\x01a", b"\x91\x01", b"\x80", UNDEFINED:
            self.refused(_EVENT + b"\x92\xa1x\x81" + key + b"\x01")

    def test_text(self) -> None:
        """
        A connection that speaks MessagePack sends no text.
        """
        raw, _ = packed(type=2, nsp="/", data=["x"])
        for text in b'2["x"]', raw:
            self.assertRaises(BadPacket, MSGPACK.decoder(Limits()).add, text, False)

    def test_depth(self) -> None:
        """
        What is nested deeply is refused, however deep.
        """
        for depth in DEPTH - 1, 500, 2000, 90_000, 200_000:
            for level in b"\x91", b"\x81\xa1a":
                raw = _EVENT + b"\x92\xa1x" + level * depth
                self.refused(raw)
                says = "deeply" if depth < 100_000 else "too many values"
                self.assertIn(says, self.refused(raw + b"\x90"))
        raw = _EVENT + b"\x92\xa1x" + b"\x91" * (DEPTH - 4) + b"\x90"
        packet = self.read(raw)
        self.assertEqual(tried(MSGPACK, MSGPACK.encode(packet)), packet)

    def test_sizes(self) -> None:
        """
        A packet is not larger than a message may be.
        """
        raw = _EVENT + b"\x92\xa1x\xc4\x64" + bytes(100)
        self.assertEqual(self.read(raw, messageSize=len(raw)).data[1], bytes(100))
        self.assertEqual(self.refused(raw, messageSize=len(raw) - 1), "too large")

    def test_values(self) -> None:
        """
        A packet has not more values than a message may have.
        """
        for most in 100, 20_000:
            for value in (
                *(b"\x90", b"\x80", b"\x01", b"\xa3abc", b"\xc0", b"\xff", b"\xc3"),
                # In these, what looks like lists is none.
                *(b"\xcc\x9f", b"\xd0\x9f", b"\xcd\x9f\x9f", b"\xd1\x9f\x9f"),
                *(b"\xce" + 4 * b"\x9f", b"\xd2" + 4 * b"\x9f", b"\xca" + 4 * b"\x9f"),
                *(b"\xcf" + 8 * b"\x9f", b"\xd3" + 8 * b"\x9f", b"\xcb" + 8 * b"\x9f"),
                *(b"\xd4\0\x9f", b"\xd5\0\x9f\x9f", b"\xd6\0" + 4 * b"\x9f"),
                *(b"\xd7\0" + 8 * b"\x9f", b"\xd8\0" + 16 * b"\x9f"),
                *(b"\xc7\2\0\x9f\x9f", b"\xc8\0\1\0\x9f", b"\xc9\0\0\0\1\0\x9f"),
                *(b"\xc4\2\x9f\x9f", b"\xc5\0\1\x9f", b"\xc6\0\0\0\1\x9f"),
                *(b"\xd9\1a", b"\xda\0\1a", b"\xdb\0\0\0\1a"),
                *(b"\xdc\0\0", b"\xdd\0\0\0\0", b"\xde\0\0", b"\xdf\0\0\0\0"),
            ):
                # The packet, its data, the name and others are values, too.
                values = b"\xdd" + struct.pack(">L", most - 10) + value * (most - 10)
                fits = _EVENT + b"\x92\xa1x" + values
                self.assertEqual(len(self.read(fits, messageValues=most).data), 2)
                values = b"\xdd" + struct.pack(">L", most) + value * most
                more = _EVENT + b"\x92\xa1x" + values
                said = self.refused(more, messageValues=most)
                self.assertEqual(said, "too many values")

    def test_announced(self) -> None:
        """
        What is only said to be there is no reason to make room.
        """
        for head in b"\xdd", b"\xdf", b"\xdb", b"\xc6":
            self.refused(_EVENT + head + b"\xff\xff\xff\xff")
            self.refused(_EVENT + head + b"\xff\xff\xff\xff" + bytes(200_000))

    def test_sizeInMemory(self) -> None:
        """
        A packet that is all empty lists counts as what these take, and one that is
        all bytes as these.
        """
        decoder = MSGPACK.decoder(Limits())
        many = _EVENT + b"\x92\xa1x\xdc\x60\x00" + b"\x90" * 0x6000
        decoder.add(many, True)
        self.assertGreater(decoder.size, 64 * 0x6000)
        large = _EVENT + b"\x92\xa1x\xc5\x60\x00" + b"\x90" * 0x6000
        decoder.add(large, True)
        self.assertLess(decoder.size, len(large) + 1000)
        decoder.add(_EVENT + b"\x91\xa1x", True)
        self.assertEqual(decoder.size, len(_EVENT) + 3)

    @given(st.binary(max_size=60))
    def test_anyBytes(self, raw: bytes) -> None:
        """
        Of any bytes, it makes a packet or a L{BadPacket}; after a good beginning,
        too, and while it looks at how many values there are.
        """
        tried(MSGPACK, [(raw, True)])
        tried(MSGPACK, [(_EVENT + b"\x92\xa1x" + raw, True)])
        for message in raw, _EVENT + b"\x92\xa1x" + raw:
            with contextlib.suppress(BadPacket):
                decoded(MSGPACK, (message, True), messageValues=1)

    @given(PACKETS, st.data())
    def test_broken(self, packet: Packet, data: st.DataObject) -> None:
        """
        Of any packet in which some bytes are others, too.
        """
        [(raw, isBinary)] = MSGPACK.encode(packet)
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, len(raw)))
        middle = data.draw(st.binary(max_size=3))
        tried(MSGPACK, [(raw[:start] + middle + raw[end:], isBinary)])

    @given(PACKETS)
    def test_counted(self, packet: Packet) -> None:
        """
        The count of values is that of the packet.
        """
        [(raw, _)] = MSGPACK.encode(packet)
        fields = msgspec.msgpack.decode(raw)
        whole = counted(fields)
        self.assertEqual(decoded(MSGPACK, (raw, True), messageValues=whole), packet)
        if whole < len(raw):
            limits = Limits(messageValues=whole - 1)
            self.assertRaises(BadPacket, MSGPACK.decoder(limits).add, raw, True)


def counted(value: Any) -> int:
    """
    How many values there are in one, and itself, keys aside.
    """
    if isinstance(value, dict):
        return 1 + sum(map(counted, value.values()))
    return 1 + sum(map(counted, value)) if isinstance(value, list) else 1


class SendTests(SynchronousTestCase):
    """
    Tests for the encoder.
    """

    def sent(self, *args: Any, **fields: Any) -> Any:
        """
        What an event with such arguments is.
        """
        [(raw, isBinary)] = MSGPACK.encode(Packet(Kind.EVENT, data=["x", *args]))
        self.assertTrue(isBinary)
        return msgspec.msgpack.decode(raw)

    def test_noNil(self) -> None:
        """
        What a packet has not is left out: clients refuse nil there.
        """
        for packet, expected in (
            (Packet(Kind.DISCONNECT, "/chat"), {"type": 1, "nsp": "/chat"}),
            (
                Packet(Kind.CONNECT, data={"sid": "a"}),
                {"type": 0, "nsp": "/", "data": {"sid": "a"}},
            ),
            (
                Packet(Kind.ACK, data=[None], id=0),
                {"type": 3, "nsp": "/", "data": [None], "id": 0},
            ),
        ):
            [(raw, _)] = MSGPACK.encode(packet)
            self.assertEqual(msgspec.msgpack.decode(raw), expected)

    def test_bytes(self) -> None:
        """
        Bytes of each kind are bin, never an extension, and as many as one likes.
        """
        values = [b"A", bytearray(b"B"), memoryview(b"C"), (b"D",) * 20]
        self.assertEqual(self.sent(*values)["data"][1:4], [b"A", b"B", b"C"])
        self.assertEqual(self.sent(*values)["data"][4], [b"D"] * 20)

    def test_largeNumbers(self) -> None:
        """
        A number of more than 64 bits is floating, as JavaScript reads it from JSON.
        """
        data = self.sent(2**64, {"a": -(2**70)}, 2**63)["data"]
        self.assertEqual(data[1:], [float(2**64), {"a": -float(2**70)}, 2**63])
        self.assertIsInstance(data[1], float)

    def test_halfPairs(self) -> None:
        """
        Half a surrogate pair, which JSON has and UTF-8 has not, is replaced.
        """
        data = self.sent("a\ud800b", {"\udc00": "\U0001f600"})["data"]
        self.assertEqual(data[1:], ["a\ufffdb", {"\ufffd": "\U0001f600"}])

    def test_subclasses(self) -> None:
        """
        Values of subclasses are what these extend.
        """

        class Text(str):
            pass

        class Number(int):
            pass

        class Bytes(bytes):
            pass

        data = self.sent(Text("a"), Number(1), Bytes(b"b"), {"c": (Number(2),)})["data"]
        self.assertEqual(data[1:], ["a", 1, b"b", {"c": [2]}])

    @given(PACKETS)
    def test_roundTrip(self, packet: Packet) -> None:
        """
        What is sent is what arrives.
        """
        self.assertEqual(tried(MSGPACK, unsent(MSGPACK.encode(packet))), packet)
