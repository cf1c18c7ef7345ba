"""
Tests for L{txsessionsock._json}: what is found out about JSON before it is read.
"""

from __future__ import annotations

import contextlib
import gc
import json
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._foreign import DEPTH
from txsessionsock._json import hasMoreValues, loads


TEXTS = ("", "a", "[", "]]", "{}", ",", ':"', '"', "\\", '\\"', '"\\\\', "é[", "\n")


def someValue(random: Random, depth: int) -> Any:
    """
    A value at random.
    """
    kind = random.randrange(8 if depth else 5)
    if kind < 3:
        return random.choice((None, True, 1, -2.5, 10**30))
    if kind < 5:
        return random.choice(TEXTS)
    some = range(random.randrange(4))
    if kind < 7:
        return [someValue(random, depth - 1) for _ in some]
    keys = random.sample(TEXTS, len(some))
    return {key: someValue(random, depth - 1) for key in keys}


def counted(value: Any) -> int:
    """
    How many values there are in one, and itself.  What is empty counts twice.
    """
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        return 1
    return 1 + (sum(map(counted, inner)) or 1)


class ValuesTests(SynchronousTestCase):
    """
    Tests for L{hasMoreValues}.
    """

    def test_counted(self) -> None:
        """
        It counts lists, objects, texts, numbers and so on, but neither keys nor
        what is written in texts.
        """
        random = Random(1)
        for number in range(3000):
            value = someValue(random, 5)
            separators = random.choice(((",", ":"), (" , ", " :\t")))
            raw = json.dumps(value, separators=separators).encode()
            most = counted(value)
            self.assertFalse(hasMoreValues(raw, most), (number, raw))
            if most > 1:
                self.assertTrue(hasMoreValues(raw, most - 1), (number, raw))

    def test_texts(self) -> None:
        """
        A text is one value, whatever is in it.
        """
        text = json.dumps("[,] {\\} \"'," * 100_000).encode()
        self.assertFalse(hasMoreValues(text, 1))
        self.assertTrue(hasMoreValues(b"[%s,1]" % text, 2))
        self.assertFalse(hasMoreValues(b"[%s,1]" % text, 3))

    def test_noJSON(self) -> None:
        """
        Anything can be asked about.
        """
        random = Random(2)
        for _ in range(2000):
            raw = bytes(random.choices(b'[]{},:"\\1 \xff', k=random.randrange(60)))
            hasMoreValues(raw, 3)


class CollectorTests(SynchronousTestCase):
    """
    The garbage collector rests while many values are made, and goes on.
    """

    def test_goesOn(self) -> None:
        """
        It does so after what is no JSON, too, and stays off where it was.
        """
        wide = b"[" + b"[]," * 5000 + b"1]"
        for raw in wide, wide[:-1]:
            for switch in gc.enable, gc.disable:
                self.addCleanup(gc.enable)
                switch()
                # Trial takes a name C{suppress} in a module for its own.
                with contextlib.suppress(ValueError):
                    loads(raw)
                self.assertEqual(gc.isenabled(), switch is gc.enable)

    def test_rests(self) -> None:
        """
        It does not look at them again and again.
        """
        seen: list[str] = []
        wide = b"[" + b"[]," * 50_000 + b"1]"

        def collects(phase: str, info: object) -> None:
            seen.append(phase)

        gc.callbacks.append(collects)
        self.addCleanup(gc.callbacks.remove, collects)
        loads(wide)
        self.assertLess(seen.count("start"), 10)


class DepthTests(SynchronousTestCase):
    """
    Values that are nested too deeply are refused before they are made.
    """

    def nested(self, depth: int, inner: str = "", many: int = 1) -> bytes:
        """
        JSON that is nested so deeply.
        """
        one = "[" * depth + inner + "]" * depth
        return (f'{{"a":[{",".join([one] * many)}]}}').encode()

    def test_refused(self) -> None:
        """
        A hundred levels are right, whatever else there is, and one more is not.
        """
        for inner in "", '"]]]]"', '"\\\\","[[["', "1":
            for many in 1, 3:
                found = loads(self.nested(DEPTH - 2, inner, many))
                self.assertEqual(len(found["a"]), many)
                with self.assertRaises(ValueError):
                    loads(self.nested(DEPTH - 1, inner, many))

    def test_wide(self) -> None:
        """
        Many that are not nested are not nested too deeply.
        """
        self.assertEqual(loads(b"[" + b"[],{}," * 200 + b"1]")[-1], 1)
        self.assertEqual(loads(b"[" + b'"[[[",' * 200 + b"1]")[-1], 1)

    def test_veryDeep(self) -> None:
        """
        Nor does a million levels crash anything, be they ended or not.
        """
        for raw in (
            b"[" * 500_000 + b"]" * 500_000,
            b"[" * 1_000_000,
            b'{"a":' * 200_000,
            b"[" * 500_000 + b"\\ud800",
            b"]" * 1_000_000,
            b"[NaN" + b",[" * 300_000,
        ):
            with self.assertRaises(ValueError):
                loads(raw)
