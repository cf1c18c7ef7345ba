"""
Tests for L{txsessionsock.socketio.packets}: packets as text.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._foreign import DEPTH
from txsessionsock.limits import Limits
from txsessionsock.socketio.packets import (
    MSGPACK,
    RESERVED,
    TEXT,
    BadPacket,
    Kind,
    Packet,
    Parser,
    parserFor,
)

from .parsing import (
    FIXTURE,
    PACKETS,
    binariesIn,
    decoded,
    messagesOf,
    restored,
    tried,
    unsent,
)


MSGPACK_NIL = "83a47479706500a36e7370a12fa464617461c0"
"""
CONNECT with nil as its data, as clients that are not JavaScript write it.
"""

_ZERO = '{"_placeholder":true,"num":0}'
STRICTER = {
    # No packet; an id where none belongs, and none where one does.
    *("", "00", "41{}", "3[]"),
    # Placeholders and attachments that are not the same.
    *("51-", '51-["x"]', f'52-["x",{_ZERO}]', f'51-["x",{_ZERO},{_ZERO}]'),
    f'52-["x",{_ZERO},{_ZERO}]',
    '51-["x",{"_placeholder":true,"num":0.5}]',
    '51-["x",{"_placeholder":1,"num":0}]',
}
"""
What the official parser takes and ours does not.
"""

ODDITIES = [
    *(b"-", b"/", b",", b"?", b"{", b"}", b"[", b"]", b'"', b"NaN", b"1e999", b"null"),
    *(b"\0", b"\xff", b"\\ud800", b"51-", b'{"_placeholder":true,"num":0}'),
    *(b"true", b"99999999999999999999", b"[" * 200, b'{"a":' * 200),
]
"""
What may be amid a packet.
"""


class OfficialTests(SynchronousTestCase):
    """
    Tests for both parsers beside the official ones.
    """

    parsers: ClassVar[dict[str, Parser]] = {"text": TEXT, "msgpack": MSGPACK}

    def test_read(self) -> None:
        """
        What the official parsers write is read as what it was made of, apart from
        a number that names an event, which is text, and dates: these are text in
        text, and 8 bytes in MessagePack.
        """
        for row in FIXTURE["written"]:
            data = restored(row["data"])
            if row["type"] == Kind.EVENT:
                data[0] = str(data[0])
                for place, value in enumerate(data):
                    if isinstance(value, dict) and "$date" in value:
                        isText = row["parser"] == "text"
                        data[place] = value["$date"] if isText else bytes(8)
            expected = Packet(Kind(row["type"]), row["nsp"], data, row["id"])
            found = tried(self.parsers[row["parser"]], messagesOf(row["messages"]))
            self.assertEqual(found, expected, row)
        self.assertGreater(len(FIXTURE["written"]), 40)

    def test_written(self) -> None:
        """
        We write text as the official parser does, byte for byte, apart from numbers
        that both can write otherwise, and from names that are numbers.
        """
        different = set()
        for row in FIXTURE["written"]:
            if row["parser"] == "text":
                messages = messagesOf(row["messages"])
                packet = tried(TEXT, messages)
                assert isinstance(packet, Packet)
                if unsent(TEXT.encode(packet)) != messages:
                    different.add(row["name"])
        allowed = {
            "event with numbers",
            "event with numbers beyond 64 bits",
            "event with a number as name",
            "event with a broken number as name",
        }
        self.assertLessEqual(different, allowed)

    def test_refused(self) -> None:
        """
        What the official parsers refuse, ours do, apart from nil for data that is
        not there.
        """
        nil = [{"hex": MSGPACK_NIL}]
        for row in FIXTURE["odd"]:
            found = tried(self.parsers[row["parser"]], messagesOf(row["inputs"]))
            if row["refused"] and row["inputs"] != nil:
                self.assertIsInstance(found, str, str(row))
        self.assertGreater(len(FIXTURE["odd"]), 100)

    def test_stricter(self) -> None:
        """
        Ours refuse some more, which no official client writes.  All else is read
        as the official parsers do.
        """
        stricter = set()
        for row in FIXTURE["odd"]:
            if row["refused"]:
                continue
            found = tried(self.parsers[row["parser"]], messagesOf(row["inputs"]))
            if isinstance(found, str):
                stricter.add(row["inputs"][0].get("text"))
                continue
            packet = row["packet"]
            if packet is None:
                self.assertIsNone(found, row)
                continue
            assert found is not None
            self.assertEqual(found.kind, packet["type"], row)
            self.assertEqual(found.id, packet["id"], row)
            self.assertEqual(found.namespace, packet["nsp"].partition("?")[0], row)
            data = restored(packet["data"])
            if found.kind is Kind.EVENT and not isinstance(data[0], str):
                data[0] = found.data[0]
            self.assertEqual(found.data, data, row)
        self.assertEqual(stricter, STRICTER)


class ReadTests(SynchronousTestCase):
    """
    Tests for the decoder of text.
    """

    def refused(self, *messages: bytes | tuple[bytes, bool], **limits: Any) -> str:
        """
        What is said against messages.
        """
        error = self.assertRaises(BadPacket, decoded, TEXT, *messages, **limits)
        return str(error)

    def test_numbersAsNames(self) -> None:
        """
        A number that names an event is the text that JavaScript makes of it, so
        that 1 and 1.0 are one event.
        """
        names = {
            **{b"1": "1", b"-7": "-7", b"1.0": "1", b"1.5": "1.5", b"-0": "0"},
            **{b"1e3": "1000", b"1e20": "1" + 20 * "0", b"1e21": "1e+21"},
        }
        for raw, name in names.items():
            packet = decoded(TEXT, b"2[" + raw + b"]")
            self.assertEqual(packet, Packet(Kind.EVENT, data=[name]), raw)
        for raw in b"null", b"true", b"[]", b"{}", b"9" * 400:
            self.assertIn("name", self.refused(b"2[" + raw + b"]"), raw)

    def test_reserved(self) -> None:
        """
        No event has a name that means something else to clients.
        """
        for name in RESERVED:
            self.assertIn("reserved", self.refused(b'2["%s",1]' % name.encode()))
        self.assertEqual(len(RESERVED), 6)

    def test_notFinite(self) -> None:
        """
        Numbers that JSON has not are refused: another client could not read them.
        """
        for word in b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999":
            for raw in b'2["x",%s]', b'2["x",{"a":[%s]}]', b"31[%s]", b'0{"a":%s}':
                self.assertEqual(self.refused(raw % word), "not JSON", word)

    def test_ids(self) -> None:
        """
        An id is one of JavaScript's whole numbers.
        """
        packet = decoded(TEXT, b'2/chat,9007199254740991["x"]')
        self.assertEqual(packet, Packet(Kind.EVENT, "/chat", ["x"], 2**53 - 1))
        for digits in b"9007199254740992", b"9" * 17, b"9" * 100_000:
            self.assertIn("too large", self.refused(b"2" + digits + b'["x"]'))

    def test_namespaces(self) -> None:
        """
        A namespace ends with a comma or with the packet.  A query after it is no
        part of it.
        """
        namespaces = {
            **{b"0": "/", b"0/": "/", b"0/,": "/", b"0/chat": "/chat"},
            **{b"0/chat,": "/chat", b'0/chat,{"a":1}': "/chat"},
            **{b"0/admin?token=1": "/admin", b"0/admin?token=1&a=/x,": "/admin"},
            "0/é,{}".encode(): "/é",
        }
        for raw, namespace in namespaces.items():
            packet = decoded(TEXT, raw)
            assert packet is not None
            self.assertEqual((packet.kind, packet.namespace), (0, namespace), raw)
        self.assertEqual(self.refused(b"0/\xff,"), "not UTF-8")

    def test_placeholders(self) -> None:
        """
        Each attachment has one place, and each place an attachment.
        """
        one = b'{"_placeholder":true,"num":%s}'
        a, b = (b"A", True), (b"B", True)
        raw = b'52-["x",' + one % b"1" + b',{"y":[' + one % b"0" + b"]}]"
        expected = Packet(Kind.EVENT, data=["x", b"B", {"y": [b"A"]}])
        self.assertEqual(decoded(TEXT, raw, a, b), expected)
        for number in b"1", b"-1", b'"x"', b"null", b"0.5", b"true", b"1e9", b"[]":
            self.refused(b'51-["x",' + one % number + b"]")
        two = b'["x",' + one % b"0" + b"," + one % b"0" + b"]"
        self.refused(b"51-" + two)
        self.refused(b"52-" + two)
        # No attachment is missing here, so that it is a dictionary as any other.
        packet = decoded(TEXT, b"2" + two)
        assert packet is not None
        self.assertEqual(packet.data[1], {"_placeholder": True, "num": 0})

    def test_attachments(self) -> None:
        """
        A packet has up to 10 attachments, and these come next.
        """
        places = b",".join(b'{"_placeholder":true,"num":%d}' % n for n in range(11))
        for number in b"11", b"00", b"0", b"9999999999", b"-1", b"":
            self.refused(b'5%s-["x",%s]' % (number, places))
        decoder = TEXT.decoder(Limits())
        raw = b'510-["x",%s]' % places[: places.rindex(b",{")]
        self.assertFalse(decoder.isWaiting)
        self.assertIsNone(decoder.add(raw, False))
        for each in range(9):
            self.assertTrue(decoder.isWaiting)
            self.assertIsNone(decoder.add(bytes([each]), True))
        packet = decoder.add(b"\x09", True)
        expected = [bytes([each]) for each in range(10)]
        self.assertEqual(packet, Packet(Kind.EVENT, data=["x", *expected]))
        self.assertFalse(decoder.isWaiting)
        self.assertEqual(decoder.size, len(raw) + 10)
        self.assertEqual(decoder.add(b'2["x"]', False), Packet(Kind.EVENT, data=["x"]))
        self.assertEqual(decoder.size, 6)

    def test_order(self) -> None:
        """
        Neither text while attachments are missing, nor attachments of nothing.
        """
        first = b'51-["x",{"_placeholder":true,"num":0}]'
        self.refused((b'2["x"]', True))
        self.refused(first, b'2["x"]')
        self.refused(first, (b"A", True), (b"B", True))

    def test_sizes(self) -> None:
        """
        A packet is not larger than a message may be, with all its attachments.
        """
        first = b'52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        room = len(first) + 100
        fits = first, (bytes(50), True), (bytes(50), True)
        self.assertIsNotNone(decoded(TEXT, *fits, messageSize=room))
        self.assertEqual(self.refused(*fits, messageSize=room - 1), "too large")
        self.assertEqual(self.refused(first, messageSize=50), "too large")
        # It begins anew with each packet.
        self.assertIsNotNone(decoded(TEXT, *fits, *fits, messageSize=room))

    def test_values(self) -> None:
        """
        A packet has not more values than a message may have.
        """
        for most in 100, 30_000:
            fits = b'2["x"' + b",[]" * (most - 2) + b"]"
            self.assertIsNotNone(decoded(TEXT, fits, messageValues=2 * most))
            more = b'2["x"' + b",[]" * most + b"]"
            self.assertEqual(self.refused(more, messageValues=most), "too many values")

    def test_sizeInMemory(self) -> None:
        """
        A packet that is all empty lists counts as what these take.
        """
        decoder = TEXT.decoder(Limits())
        decoder.add(b'2["x"' + b",[]" * 20_000 + b"]", False)
        self.assertGreater(decoder.size, 64 * 20_000)

    def test_depth(self) -> None:
        """
        What is nested deeply is refused, however deep.
        """
        for depth in DEPTH + 1, 2000, 90_000, 200_000:
            for left, right in (b"[", b"]"), (b'{"a":', b"}"):
                raw = b'2["x",' + left * depth + b"1" + right * depth + b"]"
                self.assertIn("too", self.refused(raw))
                self.refused(b'2["x",' + left * depth)
        self.assertIn("deeply", self.refused(b"2" + b"[" * 90_000 + b"]" * 90_000))
        raw = b'2["x",' + b"[" * (DEPTH - 2) + b"]" * (DEPTH - 2) + b"]"
        packet = decoded(TEXT, raw)
        assert packet is not None
        # What was received can be sent.
        self.assertEqual(TEXT.encode(packet), ((b"4" + raw, False),))

    @given(st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=3))
    def test_anyBytes(self, messages: list[tuple[bytes, bool]]) -> None:
        """
        Of any bytes, it makes a packet or a L{BadPacket}.
        """
        tried(TEXT, messages)

    @given(PACKETS, st.data())
    def test_broken(self, packet: Packet, data: st.DataObject) -> None:
        """
        Of any packet in which some bytes are others, too.
        """
        try:
            messages = unsent(TEXT.encode(packet))
        except ValueError:
            assume(False)
        raw, isBinary = messages[0]
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, len(raw)))
        middle = data.draw(st.sampled_from(ODDITIES) | st.binary(max_size=3))
        tried(TEXT, [(raw[:start] + middle + raw[end:], isBinary), *messages[1:]])


class SendTests(SynchronousTestCase):
    """
    Tests for the encoder of text.
    """

    def refused(self, *args: Any, parser: Any = TEXT) -> str:
        """
        Why an event with such arguments cannot be sent.
        """
        packet = Packet(Kind.EVENT, data=["x", *args])
        return str(self.assertRaises(ValueError, parser.encode, packet))

    def test_heads(self) -> None:
        """
        Each packet is what the protocol says.
        """
        texts = {
            b"40": Packet(Kind.CONNECT),
            b'40{"sid":"a"}': Packet(Kind.CONNECT, data={"sid": "a"}),
            b'40/chat,{"sid":"a"}': Packet(Kind.CONNECT, "/chat", {"sid": "a"}),
            b"41/chat,": Packet(Kind.DISCONNECT, "/chat"),
            b'42["x",1]': Packet(Kind.EVENT, data=["x", 1]),
            b'42/chat,0["x"]': Packet(Kind.EVENT, "/chat", ["x"], 0),
            b"437[]": Packet(Kind.ACK, data=[], id=7),
            b'44{"message":"no"}': Packet(Kind.CONNECT_ERROR, data={"message": "no"}),
        }
        for raw, packet in texts.items():
            self.assertEqual(TEXT.encode(packet), ((raw, False),))

    def test_attachments(self) -> None:
        """
        Bytes of each kind are attachments, wherever they are; what was given to
        be sent stays as it is.
        """
        values = [b"A", {"y": (bytearray(b"B"), [memoryview(b"C")])}]
        packet = Packet(Kind.EVENT, "/chat", ["x", *values], 3)
        text, *attachments = TEXT.encode(packet)
        self.assertEqual(attachments, [(b"A", True), (b"B", True), (b"C", True)])
        place = b'{"_placeholder":true,"num":%d}'
        expected = b'453-/chat,3["x",%s,{"y":[%s,[%s]]}]'
        places = tuple(place % number for number in range(3))
        self.assertEqual(text, (expected % places, False))
        self.assertEqual({type(raw) for raw, _ in attachments}, {bytes})
        self.assertEqual(packet.data[1:], values)
        self.assertIsInstance(packet.data[2]["y"][0], bytearray)

    def test_tooManyAttachments(self) -> None:
        """
        The clients would hang up on 11 attachments.
        """
        self.assertEqual(len(TEXT.encode(Packet(Kind.ACK, data=[b""] * 10, id=1))), 11)
        self.assertIn("11 values of bytes", self.refused([b"x"] * 11))

    def test_likePlaceholders(self) -> None:
        """
        Beside attachments there is no dictionary that looks like the place of one.
        Alone it is as any other.
        """
        like = {"_placeholder": True, "num": 0}
        self.assertIn("_placeholder", self.refused(b"x", like))
        self.assertIn("_placeholder", self.refused(b"x", [{**like, "num": 5}]))
        raw = b'42["x",{"_placeholder":true,"num":0}]'
        self.assertEqual(TEXT.encode(Packet(Kind.EVENT, data=["x", like]))[0][0], raw)

    def test_bytesElsewhere(self) -> None:
        """
        There are no attachments of what is said as a client connects.
        """
        packet = Packet(Kind.CONNECT_ERROR, data={"message": "no", "data": b"x"})
        error = str(self.assertRaises(ValueError, TEXT.encode, packet))
        self.assertIn("data['data']: bytes", error)

    def test_foreign(self) -> None:
        """
        Both parsers refuse what the other one could not send, and say where it is.
        """
        endless: list[Any] = []
        endless.append(endless)
        deep: Any = 1
        for _ in range(2000):
            deep = [deep]
        for parser in TEXT, MSGPACK:
            for value, says in (
                (float("nan"), "float that is not finite"),
                (float("inf"), "float that is not finite"),
                ({1, 2}, "set (send a list)"),
                (object(), "object"),
                ({1: 2}, "int as a key"),
                (10**5000, "digits"),
            ):
                said = self.refused(1, {"a": [value, b"x"]}, parser=parser)
                self.assertIn("args[1]['a']", said)
                self.assertIn(says, said)
            for value in endless, deep, [b"x", endless], [b"x", deep]:
                self.assertIn("too deeply", self.refused(value, parser=parser))

    def test_names(self) -> None:
        """
        Both refuse an event whose name nobody can listen for.
        """
        for parser in TEXT, MSGPACK:
            for name, says in (("disconnect", "'disconnect'"), (1, "not int")):
                packet = Packet(Kind.EVENT, data=[name])
                error = str(self.assertRaises(ValueError, parser.encode, packet))
                self.assertIn(says, error)

    @given(PACKETS)
    def test_roundTrip(self, packet: Packet) -> None:
        """
        What is sent is what arrives.
        """
        if binariesIn(packet.data) > 10:
            self.assertRaises(ValueError, TEXT.encode, packet)
            return
        sent = TEXT.encode(packet)
        self.assertEqual(tried(TEXT, unsent(sent)), packet)


class ParserTests(SynchronousTestCase):
    """
    Tests for L{parserFor}.
    """

    def test_found(self) -> None:
        """
        The first packet of a connection says what it speaks.
        """
        self.assertIs(parserFor(False), TEXT)
        self.assertIs(parserFor(True), MSGPACK)
