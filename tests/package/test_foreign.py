"""
Tests for L{txsessionsock._foreign} and L{txsessionsock._json}: what cannot be
written in a notation, and how that is told.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from math import inf, isnan, nan
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock import _json
from txsessionsock._foreign import DEPTH, Notation
from txsessionsock.messages import JSON


Pair = namedtuple("Pair", "x y")


class Colour(Enum):
    """
    No value that JSON has.
    """

    RED = 1


class Size(IntEnum):
    """
    Numbers.
    """

    LARGE = 3


class Word(StrEnum):
    """
    Texts.
    """

    YES = "yes"


REFUSED: tuple[tuple[Any, str], ...] = (
    (nan, "float that is not finite (send None or a str)"),
    (-inf, "float that is not finite (send None or a str)"),
    (b"s3cret", "bytes (send a str, such as its hex())"),
    (bytearray(b"s3cret"), "bytearray (send a str, such as its hex())"),
    ({"s3cret"}, "set (send a list)"),
    (frozenset({"s3cret"}), "frozenset (send a list)"),
    (datetime(1999, 12, 31, tzinfo=UTC), "datetime (send its isoformat())"),
    (date(1999, 12, 31), "date (send its isoformat())"),
    (time(12, 30), "time (send its isoformat())"),
    (timedelta(1), "timedelta (send its total_seconds())"),
    (Decimal("1999"), "Decimal (send its str())"),
    (Fraction(1, 1999), "Fraction (send its str())"),
    (UUID(int=1999), "UUID (send its str())"),
    (Colour.RED, "Colour (send its value)"),
    ({1999: "s3cret"}, "int as a key (send keys that are str)"),
    ({None: "s3cret"}, "NoneType as a key (send keys that are str)"),
    ({b"s3cret": 1}, "bytes as a key (send keys that are str)"),
    ({(1999, 2): 1}, "tuple as a key (send keys that are str)"),
    (object(), "object (send plain values)"),
    (10**5000, "int of thousands of digits (send a shorter one)"),
    ({1, 2}.union, "builtin_function_or_method (send plain values)"),
)


class MessageTests(SynchronousTestCase):
    """
    Tests for L{JSON}.
    """

    def refusal(self, value: object) -> str:
        """
        @return: What is said about a value that is no message.
        """
        return str(self.assertRaises(ValueError, JSON().encode, value))

    def test_refused(self) -> None:
        """
        What JSON does not have is refused, with its type and place, and with
        what can be sent; never with its value.
        """
        for value, words in REFUSED:
            for nested, place in (
                *((value, ""), ([1, value], "[1]"), ((value,), "[0]")),
                *(({"a": 1, "b": {"c": [0, value]}}, "['b']['c'][1]"),),
                (OrderedDict(a=Pair(1, value)), "['a'][1]"),
            ):
                said = self.refusal(nested)
                self.assertEqual(said, f"no JSON: message{place}: {words}")

    def test_keys(self) -> None:
        """
        Of long keys, the place shows so much that they can be recognized.
        """
        said = self.refusal({"k" * 10_000: nan})
        self.assertLess(len(said), 150)
        self.assertIn("message['kkk", said)

    def test_nested(self) -> None:
        """
        What contains itself cannot be sent, nor what nobody could read.
        """
        loop: list[object] = []
        loop.append(loop)
        deep: object = 1
        for _ in range(101):
            deep = [deep]
        for value in loop, deep, {"a": loop}:
            self.assertIn("message: nested too deeply", self.refusal(value))

    def test_depth(self) -> None:
        """
        A hundred levels can be sent, and what has itself many times is noticed
        as fast.
        """
        value: Any = []
        for level in range(DEPTH + 1):
            if level < DEPTH:
                JSON().encode(value)
            else:
                with self.assertRaisesRegex(ValueError, "nested too deeply"):
                    JSON().encode(value)
            value = {"a": value} if level % 2 else [value]
        twice: list[Any] = []
        twice += [twice, twice]
        with self.assertRaisesRegex(ValueError, "contains itself"):
            JSON().encode(twice)

    def test_sent(self) -> None:
        """
        What JSON has can be sent; of subclasses, what they are a kind of.
        """
        lists: Any = defaultdict(list, a=[1])
        for value, text in [
            (None, "null"),
            ([True, False, 1.5, -0.0, 2**70], f"[true,false,1.5,-0.0,{2**70}]"),
            ({"a": ("é", "\0", "\u2028")}, '{"a":["é","\\u0000","\u2028"]}'),
            ("half \ud83d", '"half \\ud83d"'),
            (Counter("aab"), '{"a":2,"b":1}'),
            (lists, '{"a":[1]}'),
            (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
            (Pair(1, [Pair(2, 3)]), "[1,[[2,3]]]"),
            ([Size.LARGE, Word.YES], '[3,"yes"]'),
            ({Word.YES: Size.LARGE}, '{"yes":3}'),
        ]:
            self.assertEqual(JSON().encode(value), (text.encode(), False))
            self.assertEqual(JSON().encode([value]), (f"[{text}]".encode(), False))


class PythonTests(SynchronousTestCase):
    """
    Tests for JSON as Python's C{json} has it.
    """

    def test_notFinite(self) -> None:
        """
        Numbers that JSON has not come and go as Python writes them, beside
        C{None} and half a surrogate pair too.
        """
        for text, value in [
            (b"[NaN]", [nan]),
            (b"[Infinity,-Infinity,1e+400]", [inf, -inf, inf]),
            (b'{"a":null,"b":[NaN,"\\ud83d"]}', {"a": None, "b": [nan, "\ud83d"]}),
        ]:
            read = _json.loads(text, _json.PYTHON)
            self.assertEqual(repr(read), repr(value))
            written = text.replace(b"1e+400", b"Infinity")
            self.assertEqual(_json.dumps(read, _json.PYTHON), written)
            self.assertRaises(ValueError, _json.loads, text)
        self.assertTrue(isnan(_json.loads(b"NaN", _json.PYTHON)))

    def test_null(self) -> None:
        """
        C{None} stays C{null}.
        """
        self.assertEqual(_json.dumps([None, "é"], _json.PYTHON), '[null,"é"]'.encode())

    def test_wrong(self) -> None:
        """
        What is no JSON to Python either is refused, and nowhere to be seen.
        """
        for text in b"nan", b"[NaN", b"+Infinity", b"[s3cret]", b"[1]" * 2, b"\xff":
            error = self.assertRaises(ValueError, _json.loads, text, _json.PYTHON)
            self.assertIsNone(error.__context__)
            self.assertNotIn("s3cret", str(error))
        for value in object(), 10**5000, [nan, {1}]:
            self.assertRaises(ValueError, _json.dumps, value, _json.PYTHON)


class NotationTests(SynchronousTestCase):
    """
    Tests for L{Notation}.
    """

    def test_noticed(self) -> None:
        """
        What the encoder notices is looked for only when it has.
        """
        self.assertIsNone(_json.STRICT.find([10**5000]))
        found = _json.STRICT.find([10**5000], isThorough=True)
        assert found is not None
        self.assertEqual(found.path, (0,))

    def test_deepKeys(self) -> None:
        """
        A key that is nested too deeply is no key.
        """
        notation = Notation({}, keys={tuple})
        key: tuple[Any, ...] = ()
        for _ in range(98):
            key = (key,)
        self.assertIsNone(notation.find({key: None}))
        self.assertRaises(RecursionError, notation.find, {(key,): None})
