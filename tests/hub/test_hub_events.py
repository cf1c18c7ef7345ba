"""
Tests for L{txsessionsock.hub.events}.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.hub.events import pack, unpack
from txsessionsock.messages import Event


class Word(str):
    """
    A text of a class of somebody's.
    """


class Number(int):
    """
    A number of a class of somebody's.
    """


class Part(float):
    """
    Another one.
    """


class Data(bytes):
    """
    Bytes of such a class.
    """


class Colour(IntEnum):
    """
    Numbers with names.
    """

    RED = 1


class EventTests(SynchronousTestCase):
    """
    Tests for L{pack} and L{unpack}.
    """

    def test_through(self) -> None:
        """
        JSON comes through, and bytes anywhere in it.
        """
        values: list[tuple[Any, ...]] = [
            (),
            (None, True, 1, -(2**63), 2**64 - 1, 1.5, "ü", "\0", [], {}),
            (b"", {"a": [b"\xff" * 1000, {"b": b"x"}]}),
        ]
        for args in values:
            event = Event("name", args)
            self.assertEqual(unpack(pack(event)), event)

    def test_alike(self) -> None:
        """
        What is of a class of its own comes as what it is like.
        """
        data = Word("a"), Number(1), Part(0.5), Data(b"b"), Colour.RED
        plain = "a", 1, 0.5, b"b", 1
        event = Event(Word("name"), (*data, [*data], (1, 2), OrderedDict(a=data)))
        found = unpack(pack(event))
        wanted = (*plain, [*plain], [1, 2], {"a": [*plain]})
        self.assertEqual(found, Event("name", wanted))
        self.assertEqual(list(map(type, found.args[:5])), [str, int, float, bytes, int])
        binary = bytearray(b"ab"), memoryview(b"cd")
        self.assertEqual(unpack(pack(Event("n", binary))).args, (b"ab", b"cd"))

    def test_refused(self) -> None:
        """
        What would not arrive as it is is refused, and the error says what it is
        and where.
        """
        endless: list[Any] = []
        endless.append(endless)
        for value, kind in (
            (float("nan"), "float that is not finite"),
            (float("inf"), "float that is not finite"),
            (2**64, r"int of more than 64 bits \(send its str\(\)\)"),
            (-(2**63) - 1, "int of more than 64 bits"),
            ("\ud800", "str with half a surrogate pair"),
            ({1}, r"set \(send a list\)"),
            (object(), "object"),
            (1j, "complex"),
            ({1: 2}, "int as a key"),
            ({"\ud800": 2}, "str with half a surrogate pair as a key"),
            (memoryview(b"abcd")[::2], "memoryview with gaps"),
        ):
            with self.assertRaisesRegex(ValueError, rf"'n' .*args\[1\]\['a'\]: {kind}"):
                pack(Event("n", (0, {"a": value})))
        with self.assertRaisesRegex(ValueError, "nested too deeply"):
            pack(Event("n", (endless,)))
        for name in None, 1, b"n":
            bad: Any = name
            with self.assertRaisesRegex(ValueError, "name of an event is a str"):
                pack(Event(bad))

    def test_noEvent(self) -> None:
        """
        What is no event is refused, without a word of it.
        """
        encode = msgspec.msgpack.encode
        for payload in (
            b"",
            b"\xc1",
            b"\x91" * 100_000,
            encode([]),
            encode({"a": 1}),
            encode([1]),
            encode([b"secret"]),
            encode("secret"),
            b"\x92\xa1n",
            b"\x91\xa2\xff\xff",
        ):
            with self.assertRaises(ValueError) as caught:
                unpack(payload)
            self.assertEqual(str(caught.exception), "no event")
            self.assertIsNone(caught.exception.__context__)
