"""
Tests for L{txsessionsock.session.workingcopy}.
"""

from __future__ import annotations

from datetime import date
from threading import Lock
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.interfaces import IncrementError
from txsessionsock.session.workingcopy import WorkingCopy


def changed(copy: WorkingCopy) -> list[str]:
    """
    Look for changes where all can be copied.
    """
    keys, found = copy.collect()
    assert not found
    return list(keys)


def uncopied(copy: WorkingCopy) -> tuple[list[str], list[str]]:
    """
    Look for changes, and for what cannot be copied.
    """
    keys, found = copy.collect()
    return list(keys), list(found)


class CollectTests(SynchronousTestCase):
    """
    L{WorkingCopy.collect} notices what was changed.
    """

    def test_untouched(self) -> None:
        """
        What nobody touched costs no comparison.
        """

        class Touchy(str):
            def __eq__(self, other: object) -> bool:
                raise AssertionError("compared")

            __hash__ = str.__hash__

        copy = WorkingCopy({"a": Touchy("x"), "b": 1})
        copy.get("b")
        self.assertEqual((copy.collect(), copy.number), (((), {}), 0))

    def test_kinds(self) -> None:
        """
        Assigning, deleting, incrementing and changing nested values are all
        noticed, once.
        """
        copy = WorkingCopy({"a": 1, "b": 1, "c": 1, "d": {"e": [1]}, "f": 1})
        copy.assign("a", 2)
        copy.delete("b")
        copy.increment("c", 1)
        copy.get("d")["e"].append(2)
        copy.assign("n", 1)
        self.assertEqual(changed(copy), ["a", "b", "c", "d", "n"])
        self.assertEqual((changed(copy), copy.number), ([], 1))
        self.assertTrue(copy.differs())

    def test_byType(self) -> None:
        """
        C{1}, C{1.0} and C{True} differ.
        """
        copy = WorkingCopy({"a": 1})
        for value in (1.0, True, 1):
            copy.assign("a", value)
            self.assertEqual(changed(copy), ["a"])

    def test_back(self) -> None:
        """
        What was undone before anybody looked was no change.
        """
        copy = WorkingCopy({"a": 1, "b": []})
        copy.assign("a", 2)
        copy.assign("a", 1)
        copy.get("b").append(1)
        copy.get("b").clear()
        self.assertEqual((changed(copy), copy.number), ([], 0))

    def test_heldReference(self) -> None:
        """
        A list that was handed out once is looked at from then on.
        """
        copy = WorkingCopy({"a": []})
        held = copy.get("a")
        self.assertEqual(changed(copy), [])
        held.append(1)
        self.assertEqual(changed(copy), ["a"])

    def test_otherContainers(self) -> None:
        """
        So are values that are neither dictionary nor list, which some
        frameworks store.
        """
        copy = WorkingCopy({"a": {1}, "b": ([],), "c": bytearray(b"x")})
        copy.get("a").add(2)
        copy.get("b")[0].append(1)
        copy.get("c").extend(b"y")
        self.assertEqual(changed(copy), ["a", "b", "c"])

    def test_changedBackAfterOthers(self) -> None:
        """
        What others changed, and we change back, is a change.
        """
        copy = WorkingCopy({"a": [1]})
        held = copy.get("a")
        changed(copy)
        copy.rebase({"a": [2]})
        held[:] = [1]
        self.assertEqual(changed(copy), ["a"])

    def test_assignedReference(self) -> None:
        """
        What was assigned stays attached.
        """
        copy = WorkingCopy({})
        value: dict[str, Any] = {}
        copy.assign("a", value)
        changed(copy)
        value["b"] = 1
        self.assertEqual(changed(copy), ["a"])
        self.assertEqual(copy.collected, {"a": {"b": 1}})

    def test_copies(self) -> None:
        """
        What is collected is of the same types as what was assigned, and shares
        nothing with it that can be changed.
        """
        values: list[Any] = [
            [1, [2.5, None, True], {"a": [b"b", "\ud800", -0.0, 10**40]}],
            [bytearray(b"a"), [1]],
            {1: [2], (3, (4,)): {5}},
            [(1, [2]), frozenset({3}), date(2026, 11, 29)],
        ]
        for value in values:
            copy = WorkingCopy({})
            copy.assign("x", value)
            self.assertEqual(changed(copy), ["x"])
            found: Any = copy.collected["x"]
            self.assertIsNot(found, value)
            self.assertEqual(repr(found), repr(value))
            before = repr(found)
            if isinstance(value, list):
                value.append("more")
                if isinstance(value[1], list):
                    value[1].append("more")
            self.assertEqual(repr(found), before)

    def test_order(self) -> None:
        """
        New keys are stored in the order in which they were set.
        """
        names = [f"key-{n}" for n in range(50)]
        copy = WorkingCopy({"first": 1})
        for name in names:
            copy.assign(name, 1)
        self.assertEqual(changed(copy), names)
        self.assertEqual(list(copy.begin().data), ["first", *names])

    def test_equalToNothing(self) -> None:
        """
        What is not even equal to its own copy is refused: it would be a
        change for ever.
        """
        copy = WorkingCopy({"a": 1})
        copy.assign("a", object())
        copy.assign("b", [object()])
        self.assertEqual(uncopied(copy), ([], ["a", "b"]))
        self.assertEqual(copy.data, {"a": 1})
        self.assertEqual(changed(copy), [])

    def test_uncopied(self) -> None:
        """
        What contains itself is refused, the key is as it was, and all others
        are collected.
        """
        cycle: list[Any] = []
        cycle.append(cycle)
        copy = WorkingCopy({"a": 1, "c": [1]})
        copy.assign("a", cycle)
        copy.assign("b", {"deep": cycle})
        copy.get("c").append(cycle)
        copy.assign("d", 1)
        self.assertEqual(uncopied(copy), (["d"], ["a", "b", "c"]))
        self.assertEqual((copy.data, copy.number), ({"a": 1, "c": [1], "d": 1}, 1))
        self.assertEqual(uncopied(copy), ([], []))

    def test_namesUncopied(self) -> None:
        """
        What cannot be copied is named with its place and type.
        """
        copy = WorkingCopy({})
        loop: list[Any] = []
        loop.append(loop)
        for value, words in [
            ([1, {"x": (Lock(),)}], "session['a'][1]['x'][0]: lock (store plain"),
            ({"x": {1, date(2000, 1, 1)}, "y": iter("a").__next__}, "['y']: method-wr"),
            ({"x": {object()}}, "session['a']['x']: set (store a list)"),
            ({"x": loop}, "session['a']: nested too deeply, or contains itself"),
        ]:
            copy.assign("a", value)
            (found,) = copy.collect()[1].values()
            self.assertIn(words, found.told("session", "store"))

    def test_afterUncopied(self) -> None:
        """
        A key that was refused can still be incremented as if nothing was.
        """
        cycle: list[Any] = []
        cycle.append(cycle)
        copy = WorkingCopy({"n": 1})
        copy.assign("n", cycle)
        copy.collect()
        copy.increment("n", 1)
        changed(copy)
        copy.rebase({"n": 10})
        self.assertEqual(copy.data, {"n": 11})

    def test_deletedKeys(self) -> None:
        """
        Nothing is kept of keys that come and go.
        """
        copy = WorkingCopy({})
        for number in range(10):
            copy.assign(f"key{number}", [number])
            changed(copy)
            copy.delete(f"key{number}")
            changed(copy)
        self.assertEqual((copy._marks, copy.suspects), ({}, {}))


class IncrementTests(SynchronousTestCase):
    """
    L{WorkingCopy.increment}.
    """

    @given(
        st.integers(-3, 3),
        st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3)), max_size=12),
    )
    def test_addUp(self, start: int, steps: list[tuple[int, int]]) -> None:
        """
        Increments of three copies add up, in whatever order and grouping they
        are made and stored.
        """
        stored: dict[str, Any] = {"n": start}
        copies = [WorkingCopy(dict(stored)) for _ in range(3)]

        def store(copy: WorkingCopy) -> None:
            nonlocal stored
            copy.collect()
            copy.rebase(dict(stored))
            flight = copy.begin()
            copy.landed(flight)
            stored = dict(flight.data)

        for who, by in steps:
            if by:
                copies[who].increment("n", by)
                copies[who].collect()
            else:
                store(copies[who])
        for copy in copies:
            store(copy)
        self.assertEqual(stored, {"n": start + sum(by for _, by in steps)})

    def test_missing(self) -> None:
        """
        A missing key counts from 0, here and there.
        """
        copy = WorkingCopy({"n": 5})
        self.assertEqual(copy.increment("m", 2), 2)
        copy.increment("n", 1)
        copy.collect()
        self.assertEqual(copy.rebase({})[1], [])
        self.assertEqual(copy.data, {"m": 2, "n": 1})

    def test_noNumber(self) -> None:
        """
        What is no number cannot be incremented, nor by what is none.
        """
        copy = WorkingCopy({"s": "1", "b": True, "n": 1})
        for key, by in [("s", 1), ("b", 1), ("n", "1"), ("n", True)]:
            with self.assertRaises(IncrementError):
                copy.increment(key, by)  # type: ignore[arg-type]  # wrong on purpose
        self.assertEqual((changed(copy), copy.data["n"]), ([], 1))

    def test_noNumberThere(self) -> None:
        """
        If it is none any more there, it stays what it is there, and the rest
        is merged.
        """
        copy = WorkingCopy({"n": 1, "a": 1})
        copy.increment("n", 1)
        copy.assign("a", 2)
        copy.collect()
        self.assertEqual(copy.rebase({"n": "x", "a": 1, "b": 1}), (["n", "b"], ["n"]))
        self.assertEqual(copy.data, {"n": "x", "a": 2, "b": 1})
        self.assertEqual(copy.rebase({"n": 5})[1], [])
        self.assertEqual(copy.data["n"], 5)

    def test_afterAssignment(self) -> None:
        """
        An increment of what was just assigned is part of the assignment, and
        an assignment takes back increments.
        """
        for act in (
            lambda c: (c.assign("n", 10), c.increment("n", 1)),
            lambda c: (c.assign("n", 10), c.collect(), c.increment("n", 1)),
            lambda c: (c.increment("n", 5), c.assign("n", 11)),
            lambda c: (c.increment("n", 5), c.collect(), c.assign("n", 11)),
        ):
            copy = WorkingCopy({"n": 1})
            act(copy)
            copy.collect()
            copy.rebase({"n": 100})
            self.assertEqual(copy.data, {"n": 11})

    def test_afterSameAssignment(self) -> None:
        """
        An assignment that changed nothing is none: increments made before or
        after still add up.
        """
        for act in (
            lambda c: (c.assign("n", 1), c.collect(), c.increment("n", 1)),
            lambda c: (c.increment("n", 1), c.collect(), c.assign("n", 2)),
        ):
            copy = WorkingCopy({"n": 1})
            act(copy)
            copy.collect()
            copy.rebase({"n": 100})
            self.assertEqual(copy.data, {"n": 101})

    def test_settled(self) -> None:
        """
        So do increments made after an assignment that was undone again.
        """
        copy = WorkingCopy({"n": 1})
        copy.assign("n", 2)
        copy.collect()
        copy.assign("n", 1)
        copy.collect()
        self.assertFalse(copy.differs())
        copy.settle()
        copy.increment("n", 1)
        copy.collect()
        copy.rebase({"n": 100})
        self.assertEqual(copy.data, {"n": 101})
