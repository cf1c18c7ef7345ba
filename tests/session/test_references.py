"""
Tests for L{txsessionsock.session._references}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.session import _references
from txsessionsock.session._references import isReferredTo
from txsessionsock.session.merge import fingerprint
from txsessionsock.session.workingcopy import WorkingCopy


trees = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def containers(value: Any) -> Iterator[Any]:
    """
    @return: All in it that can be changed in place, and itself.
    """
    if isinstance(value, (dict, list)):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def fresh(value: Any) -> Any:
    """
    A copy that nobody else has any part of.
    """
    return json.loads(json.dumps(value))


async def looks(values: list[Any]) -> None:
    """
    Wait while going through a list.
    """
    for _ in values:
        await Deferred()


async def appends(values: list[Any]) -> None:
    """
    Wait for what is appended.
    """
    values.append(await Deferred())


class ReferenceTests(SynchronousTestCase):
    """
    Who has a value.
    """

    def has(self, hold: Callable[[Any], object]) -> bool:
        """
        @param hold: Is called with a list within a list; what it returns is kept.
        """
        data = {"a": [[1, 2], {"b": [3]}]}
        kept = hold(data["a"][0])
        found = isReferredTo(data, "a")
        del kept
        self.assertFalse(isReferredTo(data, "a"))
        return found

    def test_nobody(self) -> None:
        """
        Nobody has it, though it was looked at.
        """
        self.assertFalse(self.has(len))

    def test_held(self) -> None:
        """
        A variable, an attribute, another list, a method, an iterator, and a function
        that waits have it.
        """
        ways: list[Callable[[Any], object]] = [
            lambda value: value,
            lambda value: SimpleNamespace(cart=value),
            lambda value: (value,),
            lambda value: value.append,
            iter,
            lambda value: lambda: value,
        ]
        for hold in ways:
            self.assertTrue(self.has(hold))

        def waits(value: Any, function: Any) -> object:
            waiting = function(value)
            waiting.send(None)
            return waiting

        for function in looks, appends:
            self.assertTrue(self.has(partial(waits, function=function)))

    @given(trees, st.data())
    def test_anyPart(self, tree: Any, draw: st.DataObject) -> None:
        """
        Whatever part of it somebody has is found, and nothing where nobody has any.
        """
        data = {"a": [fresh(tree)]}
        self.assertFalse(isReferredTo(data, "a"))
        number = draw.draw(st.integers(0, len(list(containers(data["a"]))) - 1))
        [held] = [part for n, part in enumerate(containers(data["a"])) if n == number]
        self.assertTrue(isReferredTo(data, "a"), held)
        del held
        self.assertFalse(isReferredTo(data, "a"))

    def test_unknown(self) -> None:
        """
        Of what is neither a dictionary nor a list, nobody knows.
        """
        value: Any
        for value in {1}, bytearray(b"x"), ([],), SimpleNamespace():
            self.assertTrue(isReferredTo({"a": [value]}, "a"))
            self.assertTrue(isReferredTo({"a": value}, "a"))

    def test_notCounting(self) -> None:
        """
        Nor where references are not counted.
        """
        self.assertFalse(isReferredTo({"a": [1]}, "a"))
        self.patch(_references, "_isCounting", False)
        self.assertTrue(isReferredTo({"a": [1]}, "a"))


class SuspectTests(SynchronousTestCase):
    """
    How long a value is looked at that somebody got.
    """

    def setUp(self) -> None:
        self.copy = WorkingCopy({"cart": [["figs"], {"n": []}], "small": 1})
        self.marshalled = 0
        original: Any = sys.modules["marshal"].dumps

        def counting(value: Any, version: int) -> bytes:
            found = bytes(original(value, version))
            self.marshalled += len(found)
            return found

        self.patch(sys.modules["marshal"], "dumps", counting)

    def collect(self, times: int = 1) -> list[str]:
        """
        Look for changes.
        """
        found: list[str] = []
        for _ in range(times):
            found += self.copy.collect()[0]
        return found

    def test_letGo(self) -> None:
        """
        Until nobody has it any more; and again from when somebody gets it.
        """
        self.copy.get("cart")
        self.assertEqual(self.collect(5), [])
        self.assertFalse(self.copy.suspects)
        self.marshalled = 0
        self.assertEqual((self.collect(100), self.marshalled), ([], 0))
        for n in range(3):
            self.copy.get("cart")[1]["n"].append(n)
            self.assertEqual(self.collect(1), ["cart"])
            self.assertEqual(self.collect(5), [])
            self.assertFalse(self.copy.suspects)

    def test_held(self) -> None:
        """
        As long as somebody has a part of it.
        """
        part = self.copy.get("cart")[1]["n"]
        for _ in range(20):
            self.assertEqual(self.collect(20), [])
            part.append("nuts")
            self.assertEqual(self.collect(1), ["cart"])
        part = None
        self.collect(1000)
        self.assertFalse(self.copy.suspects)

    def test_others(self) -> None:
        """
        What others changed of it meanwhile shows where it is held, and is not taken
        for a change of ours.
        """
        self.copy.get("cart")
        self.collect(5)
        self.copy.rebase({"cart": [["dates"]], "small": 1})
        self.assertEqual(self.collect(), [])
        held = self.copy.get("cart")
        self.assertEqual((held, self.collect(5)), ([["dates"]], []))
        self.copy.rebase({"cart": [["plums"]], "small": 1})
        self.assertEqual((held, self.collect(5)), ([["plums"]], []))
        held.append("nuts")
        self.assertEqual(self.collect(), ["cart"])

    def test_passes(self) -> None:
        """
        A list that grows with each message is gone through twice for each, however long
        it is: once as it is, and once as it was.
        """
        value: list[Any] = [[n, n] for n in range(1000)]
        self.copy.assign("cart", value)
        self.collect()
        value.append([0])
        self.collect()
        self.marshalled = 0
        for n in range(10):
            value.append([n])
            self.assertEqual(self.collect(), ["cart"])
        found, self.marshalled = self.marshalled, 0
        fingerprint(value)
        self.assertLess(found, 10 * 2.2 * self.marshalled)
