"""
Tests for L{txsessionsock.frameworks._pickles}.
"""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict, defaultdict
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid1
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.frameworks import _pickles


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.just("lone \ud800 surrogate")
    | st.binary()
)
ZONES = st.none() | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    timezone
)
OTHERS = (
    st.dates()
    | st.datetimes(timezones=ZONES)
    | st.times(timezones=ZONES)
    | st.timedeltas()
    | ZONES
    | st.decimals(allow_nan=False)
    | st.uuids()
)
KEYS = st.recursive(
    SCALARS | OTHERS,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3)
    ),
    max_leaves=4,
)
PLAIN = st.recursive(
    SCALARS | OTHERS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
    ),
    max_leaves=12,
)


class Cart:
    """
    Something that an application keeps in its sessions.
    """


class Colour(IntEnum):
    """
    Something that looks like a number.
    """

    RED = 1


class Calls:
    """
    Something that has a function called when it is unpickled.
    """

    called: list[str] = []  # noqa: RUF012  # It is the one and only.

    def __init__(self, function: Any, *arguments: object) -> None:
        self._how = function, arguments

    def __reduce__(self) -> Any:
        return self._how


def note(what: str) -> str:
    """
    What a hostile pickle calls.
    """
    Calls.called.append(what)
    return what


class PicklesTests(SynchronousTestCase):
    """
    Tests for reading pickles without trusting them.
    """

    def assertRefused(self, raw: bytes) -> str:
        """
        Check that something is refused, and nowhere to be seen afterwards.

        @return: What is said about it.
        """
        error = self.assertRaises(ValueError, _pickles.loads, raw)
        self.assertIs(type(error), ValueError)
        self.assertIsNone(error.__context__)
        self.assertNotIn("s3cret", str(error))
        return str(error)

    @given(PLAIN, st.integers(4, pickle.HIGHEST_PROTOCOL))
    def test_plain(self, value: object, protocol: int) -> None:
        """
        What Python pickles of plain values, is read; and what we write is
        what Python reads.
        """
        again = _pickles.loads(pickle.dumps(value, protocol))
        self.assertEqual(again, value)
        self.assertEqual(type(again), type(value))
        self.assertIsNone(_pickles.find(value))
        self.assertEqual(pickle.loads(_pickles.dumps(value)), value)
        self.assertEqual(_pickles.loads(_pickles.dumps(value)), value)

    def test_many(self) -> None:
        """
        Large sessions are read, in the pieces in which Python writes them.
        """
        value = {"many": list(range(5000)), "names": {str(n): n for n in range(3000)}}
        self.assertEqual(_pickles.loads(pickle.dumps(value, 5)), value)
        unique = {"id": uuid1()}
        self.assertEqual(_pickles.loads(pickle.dumps(unique, 5)), unique)

    def test_shared(self) -> None:
        """
        One and the same list may be at several places.
        """
        shared = [1, "x"]
        value = {"a": shared, "b": shared, "c": (shared, shared)}
        self.assertEqual(_pickles.loads(pickle.dumps(value, 5)), value)

    def test_calls(self) -> None:
        """
        Nothing that a pickle names is called, imported or changed.
        """
        hostile = [
            Calls(note, "s3cret"),
            Calls(os.system, "exit 1"),
            Calls(eval, "note('s3cret')"),
            Calls(getattr, datetime, "now"),
            Calls(bytearray, 1),
            Calls(type, "A", (), {}),
        ]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for value in hostile:
                self.assertRefused(pickle.dumps({"a": value}, protocol))
        self.assertEqual(Calls.called, [])
        # Python itself would have; so the pickles are right.
        pickle.loads(pickle.dumps(hostile[0]))
        self.assertEqual(Calls.called.pop(), "s3cret")
        self.assertRefused(b"\x80\x04cthis_module\nis_not_there\n.")

    def test_reduced(self) -> None:
        """
        The few classes that may be named take what they are pickled with and
        nothing else, and are no values themselves.
        """
        for made, arguments in [
            (datetime, (b"s3cret", 1)),
            (datetime, (2020, 1, 1)),
            (datetime, (b"\xff" * 10,)),
            (datetime, (b"\x07\xe4\x01\xff" + b"\xff" * 6,)),
            (date, (b"\x07\xe4\x01\xff",)),
            (time, (b"\x17\xff" + b"\0" * 4,)),
            (timezone, (timedelta(days=9),)),
            (timedelta, (10**30, 0, 0)),
            (Decimal, ("s3cret",)),
            (Decimal, ()),
            (Decimal, (5,)),
            (timedelta, (1.5,)),
            (UUID, ("0" * 32,)),
        ]:
            self.assertRefused(pickle.dumps({"a": Calls(made, *arguments)}, 4))
        self.assertRefused(pickle.dumps({"a": datetime}, 4))
        self.assertRefused(pickle.dumps({"a": UUID}, 4))

    def test_built(self) -> None:
        """
        State is given to nothing but a UUID, and only what it has.
        """
        unique = b"\x80\x04cuuid\nUUID\n)\x81"
        number = b"}\x8c\x03intK\x07sb."
        self.assertEqual(_pickles.loads(unique + number), UUID(int=7))
        for raw in [
            unique + b".",
            b"\x80\x04cuuid\nUUID\n" + number,
            b"\x80\x04}" + number,
            unique + b"}\x8c\x03int\x8c\x06s3cretsb.",
            unique + b"}\x8c\x03intJ\xff\xff\xff\xffsb.",
            unique + b"}(\x8c\x03intK\x07\x8c\x07is_safe]ub.",
            unique + b"}\x8c\x05bytesK\x07sb.",
            unique + b"N}\x8c\x03intK\x07s\x86b.",
            unique + b"]b.",
            b"\x80\x04cdatetime\ndatetime\n)\x81.",
            b"\x80\x04cdatetime\ndatetime\n)\x81" + number,
        ]:
            self.assertRefused(raw)

    def test_foreign(self) -> None:
        """
        What is no plain value is refused, when read and when written.
        """
        loop: list[object] = []
        loop.append(loop)
        for value, kind in [
            (Cart(), "Cart"),
            (Colour.RED, "Colour"),
            (OrderedDict(a=1), "OrderedDict"),
            (defaultdict(list), "defaultdict"),
            (Fraction(1, 2), "Fraction"),
            (bytearray(b"s3cret"), "bytearray"),
            (1j, "complex"),
            (10**5000, "int of thousands of digits"),
            (datetime(2020, 1, 1, tzinfo=ZoneInfo("UTC")), "datetime with a"),
            ({(1, Colour.RED): 3}, "Colour as a key"),
            ({Fraction(1, 2)}, "Fraction as a key"),
            ({frozenset({datetime(2020, 1, 1, tzinfo=ZoneInfo("UTC"))})}, "rules as a"),
        ]:
            for nested in value, [value], {"a": (value,)}:
                found = _pickles.find(nested)
                assert found is not None
                self.assertIn(kind, found.what)
                self.assertRefused(pickle.dumps(nested, 4))
        self.assertRaises(RecursionError, _pickles.find, loop)
        self.assertIn("deep", self.assertRefused(pickle.dumps(loop, 4)))

    def test_deep(self) -> None:
        """
        What is nested too deeply is refused: lists, and tuples that are keys,
        which crash the process when they are hashed.
        """
        for depth in 100, 101:
            nest = b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b"."
            if depth == 100:
                self.assertEqual(len(_pickles.loads(nest)), 1)
            else:
                self.assertIn("deep", self.assertRefused(nest))
        for count in 150, 50_000:
            nest = b"\x80\x04)" + b"\x85" * count
            self.assertIn("deep", self.assertRefused(nest + b"."))
            self.assertRefused(b"\x80\x04}" + nest[2:] + b"Ns.")

    def test_bombs(self) -> None:
        """
        What is small and would become large, or take for ever, is refused at
        once.
        """
        start = b"\x80\x04"
        lists = [b"](]\x94", *(b"](h%ch%ce\x94" % (n, n) for n in range(60)), b"e"]
        small = start + b"".join([*lists[:2], b"e."])
        self.assertEqual(_pickles.loads(small), [[], [[], []]])
        tuples = [b")\x94", *(b"h%c\x86\x94" % n for n in range(60))]
        text = b"X\xa0\x86\x01\x00" + b"x" * 100_000 + b"\x94"
        for bomb in (
            b"".join(lists),
            b"".join(tuples),
            b"](" + text + b"h\0" * 50 + b"e",
            b"](" + b"N" * 150_000 + b"e",
        ):
            self.assertEqual(self.assertRefused(start + bomb + b"."), "too much")
        idle = start + b"N" + b"\x94" * 250_000 + b"."
        self.assertEqual(self.assertRefused(idle), "too much")
        isKey = start + b"}" + b"".join(tuples) + b"Ns."
        self.assertIn("deep", self.assertRefused(isKey))
        wide = b"((" + b"N" * 400 + b"t\x94" + b"h\0" * 399 + b"t"
        for isKey in (b"}" + wide + b"Ns.", b"\x8f(" + wide + b"\x90."):
            self.assertEqual(self.assertRefused(start + isKey), "too much")
        self.assertIn("large", self.assertRefused(b"N" * (_pickles.MAX_SIZE + 1)))
        self.assertRaises(ValueError, _pickles.dumps, b"x" * _pickles.MAX_SIZE)

    def test_lengths(self) -> None:
        """
        Lengths and places that are not there are believed by nobody.
        """
        huge = b"\xff\xff\xff\x7f"
        for raw in [
            b"\x80\x04X" + huge + b"s3cret.",
            b"\x80\x04B" + huge + b"s3cret.",
            b"\x80\x04\x8d" + huge * 2 + b".",
            b"\x80\x04\x8e" + huge * 2 + b".",
            b"\x80\x05\x96" + huge * 2 + b".",
            b"\x80\x04\x8b" + huge + b".",
            b"\x80\x04\x8b\xff\xff\xff\xff.",
            b"\x80\x04\x95" + huge * 2,
            b"\x80\x04j" + huge + b".",
        ]:
            self.assertRefused(raw)
        # C{pickle} would allocate 16 GiB for this one.
        self.assertIsNone(_pickles.loads(b"\x80\x04Nr" + huge + b"."))

    def test_wrong(self) -> None:
        """
        What is no pickle is refused, and what has something behind it.
        """
        for raw in [
            b"",
            b".",
            b"s3cret",
            b'{"s3cret": 1}',
            b"\x80\x04",
            b"\x80\x04N",
            b"\x80\x04NN.",
            b"\x80\x04N.s3cret",
            b"\x80\x04(.",
            b"\x80\x04(\x94N.",
            b"\x80\x04e.",
            b"\x80\x04]Ns.",
            b"\x80\x04}(Nu.",
            b"\x80\x04}((Nu.",
            b"\x80\x04N](\x85.",
            b"\x80\x04\x85.",
            b"\x80\x04N\x86.",
            b"\x80\x04R.",
            b"\x80\x04)R.",
            b"\x80\x04N)R.",
            b"\x80\x04]]\x93.",
            b"\x80\x04\x82\x01.",
            b"\x80\x04NQ.",
            b"\x80\x04Ps3cret\n.",
            b"\x80\x05\x97.",
            b"\xff",
        ]:
            self.assertRefused(raw)

    @given(st.binary() | PLAIN.map(pickle.dumps), st.data())
    def test_junk(self, raw: bytes, data: st.DataObject) -> None:
        """
        Whatever it is, it is read or L{ValueError}, and what is read can be
        written.
        """
        at = data.draw(st.integers(0, len(raw)))
        raw = raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + 1 :]
        try:
            value = _pickles.loads(raw)
        except ValueError as error:
            self.assertIs(type(error), ValueError)
            return
        self.assertIsNone(_pickles.find(value))
        self.assertEqual(_pickles.loads(_pickles.dumps(value)), value)
