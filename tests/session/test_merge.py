"""
Tests for L{txsessionsock.session.merge}.
"""

from __future__ import annotations

import contextlib
from copy import deepcopy
from decimal import Decimal
from math import nan
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.session import detached
from txsessionsock.session.merge import (
    ATOMS,
    MISSING,
    adapted,
    assimilate,
    fingerprint,
    isNumber,
    merge,
    renewed,
    same,
)


keys = st.sampled_from("abcd")
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.sampled_from(["", "x"]),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=6,
)
documents = st.dictionaries(keys, values, max_size=4)


def containers(value: object) -> list[int]:
    """
    The identities of all dictionaries and lists in a value.
    """
    if isinstance(value, dict):
        return [id(value), *(i for item in value.values() for i in containers(item))]
    if isinstance(value, list):
        return [id(value), *(i for item in value for i in containers(item))]
    return []


class SameTests(SynchronousTestCase):
    """
    L{same}.
    """

    def test_types(self) -> None:
        """
        What differs in type differs, also within other values.
        """
        for one, other in [(1, 1.0), (1, True), (0, False), (1.0, True), ("1", 1)]:
            self.assertFalse(same(one, other))
            self.assertFalse(same([one], [other]))
            self.assertFalse(same({"k": (one,)}, {"k": (other,)}))
        self.assertFalse(same([1], (1,)))
        self.assertFalse(same(None, MISSING))

    def test_nan(self) -> None:
        """
        NaN is the same as NaN, or it would be a change for ever.
        """
        self.assertTrue(same(nan, float("nan")))
        self.assertFalse(same(nan, 1.0))
        self.assertFalse(same(1.0, nan))
        quiet, signaling = Decimal("NaN"), Decimal("sNaN")
        for one, other in (quiet, Decimal("NaN")), (signaling, Decimal("sNaN")):
            self.assertTrue(same(one, other))
            self.assertTrue(same({"a": [one]}, {"a": [other]}))
            for number in Decimal(1), nan, quiet if one is signaling else signaling:
                self.assertFalse(same(one, number))
                self.assertFalse(same(number, one))

    def test_keys(self) -> None:
        """
        Keys that are equal and of several types are several.
        """
        for one, other in [(1, True), (1.0, 1), ((1, (0,)), (1, (False,)))]:
            self.assertFalse(same({one: "a"}, {other: "a"}))
            self.assertFalse(same([{one}], [{other}]))
            self.assertFalse(same(frozenset({one}), frozenset({other})))
            self.assertTrue(same({one: "a", None: 1}, {None: 1, one: "a"}))

    def test_different(self) -> None:
        """
        Lengths, keys and values matter; the order of keys does not.
        """
        self.assertFalse(same({"a": 1}, {"a": 1, "b": 1}))
        self.assertFalse(same({"a": None}, {"b": None}))
        self.assertFalse(same([1], [1, 2]))
        self.assertTrue(same({"a": 1, "b": 2}, {"b": 2, "a": 1}))

    @given(values)
    def test_copy(self, value: Any) -> None:
        """
        A copy is the same, and shares nothing that can be changed.
        """
        copy = detached(value)
        self.assertTrue(same(copy, value))
        self.assertEqual(set(containers(copy)) & set(containers(value)), set())

    @given(values, values)
    def test_fingerprint(self, one: Any, other: Any) -> None:
        """
        Different values have different fingerprints; a copy has the same.
        """
        self.assertEqual(fingerprint(one), fingerprint(deepcopy(one)))
        if fingerprint(one) == fingerprint(other):
            self.assertTrue(same(one, other))
        self.assertIsNone(fingerprint([one, object()]))

    def test_fingerprintOfStrings(self) -> None:
        """
        It does not depend on how a string came about, or who refers to it.
        """
        made = "".join(["na", "me"])
        self.assertEqual(fingerprint(["name", made]), fingerprint(["name"] * 2))
        self.assertNotEqual(fingerprint([1]), fingerprint([True]))
        self.assertNotEqual(fingerprint([1]), fingerprint((1,)))

    def test_copyOfOthers(self) -> None:
        """
        Values that JSON does not know are copied too.
        """
        value = ({1}, bytearray(b"x"))
        copy = detached(value)
        self.assertEqual(copy, value)
        self.assertIsNot(copy[0], value[0])

    def test_kinds(self) -> None:
        """
        Booleans are no numbers; what can be changed in place is no atom.
        """
        self.assertEqual(
            [isNumber(v) for v in (1, 1.5, True, "1", None)], [True] * 2 + [False] * 3
        )
        atoms = {*map(type, (1, "", None, True, 1.0, b"", MISSING))}
        self.assertLessEqual(atoms, ATOMS)
        others = {*map(type, ([], {}, (), set(), bytearray()))}
        self.assertTrue(ATOMS.isdisjoint(others))


class RenewedTests(SynchronousTestCase):
    """
    L{renewed}.
    """

    @given(values, values)
    def test_copy(self, before: Any, value: Any) -> None:
        """
        A copy is the same, and shares nothing that can be changed; it is the
        earlier one if that is the same.
        """
        original = deepcopy(before)
        copy = renewed(value, before)
        self.assertTrue(same(copy, value))
        self.assertTrue(same(before, original))
        self.assertEqual(copy is before, same(value, before))
        self.assertEqual(set(containers(copy)) & set(containers(value)), set())

    def test_parts(self) -> None:
        """
        What did not change is that of the earlier copy.
        """
        before = {"a": {"b": [1, [2]]}, "c": [[1], [2], {"d": {}}], "e": 1}
        value: Any = deepcopy(before)
        value["c"][1].append(3)
        value["c"].append([4])
        value["new"] = [[5]]
        copy = renewed(value, before)
        self.assertEqual(copy, value)
        self.assertIs(copy["a"], before["a"])
        self.assertIs(copy["c"][0], before["c"][0])  # type: ignore[index]  # a list
        self.assertIs(copy["c"][2], before["c"][2])  # type: ignore[index]  # a list

    def test_byType(self) -> None:
        """
        What changed only in its type did change, also beside what did not.
        """
        before = {"a": [1, [1], [2]], "b": {"c": [0.0]}}
        value: Any = {"a": [1, [True], [2]], "b": {"c": [0.0]}}
        copy = renewed(value, before)
        self.assertIs(copy["a"][1][0], True)
        self.assertIs(copy["b"], before["b"])
        self.assertEqual(list(map(type, renewed({True: [1]}, {1: [1]}))), [bool])

    def test_order(self) -> None:
        """
        Another order of keys is no change.
        """
        before = {"a": [{"b": [1], "c": [2]}]}
        self.assertIs(renewed({"a": [{"c": [2], "b": [1]}]}, before), before)

    def test_queue(self) -> None:
        """
        A long list of which the first item was taken is copied all the same; and
        so is what no other can be compared with in one go.
        """
        before: list[Any] = [[n] for n in range(1000)]
        for more in ([], [{1}]):
            value = [*deepcopy(before[1:]), [more]]
            copy = renewed(value, before)
            self.assertEqual(copy, value)
            self.assertEqual(set(map(id, copy)) & set(map(id, value)), set())

    def test_others(self) -> None:
        """
        Of what JSON does not know, the copy is the same, too, or refused.
        """
        before = {"a": ([1],), "b": {1}, "c": bytearray(b"x")}
        value: Any = deepcopy(before)
        self.assertIs(renewed(value, before), before)
        value["a"][0].append(2)
        value["c"].extend(b"y")
        copy = renewed(value, before)
        self.assertTrue(same(copy, value))
        self.assertIs(copy["b"], before["b"])
        self.assertIsNot(copy["a"][0], value["a"][0])
        with self.assertRaises(TypeError):
            renewed([object()], [1])


class MergeTests(SynchronousTestCase):
    """
    L{merge}.
    """

    @given(documents, documents)
    def test_unchangedSide(self, base: dict[str, Any], other: dict[str, Any]) -> None:
        """
        Merging with a side that changed nothing is the other side.
        """
        self.assertTrue(same(merge(base, deepcopy(base), other), other))
        self.assertTrue(same(merge(base, other, deepcopy(base)), other))

    @given(documents, documents)
    def test_sameChange(self, base: dict[str, Any], other: dict[str, Any]) -> None:
        """
        What both sides did alike is done once.
        """
        self.assertTrue(same(merge(base, other, deepcopy(other)), other))

    @given(documents, documents, documents)
    def test_nothingLost(
        self, base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]
    ) -> None:
        """
        What one side alone changed is as that side has it; what both changed
        is as one of them has it, or both merged.
        """
        before = deepcopy((base, ours, theirs))
        merged = merge(base, ours, theirs)
        self.assertTrue(same(list(before), [base, ours, theirs]))
        for key in base | ours | theirs:
            was, mine, yours, now = (
                side.get(key, MISSING) for side in (base, ours, theirs, merged)
            )
            if same(mine, was):
                self.assertTrue(same(now, yours))
            elif same(yours, was):
                self.assertTrue(same(now, mine))
            elif isinstance(mine, dict) and isinstance(yours, dict):
                inner = merge(was if isinstance(was, dict) else {}, mine, yours)
                self.assertTrue(same(now, inner))
            elif mine is MISSING:
                self.assertTrue(same(now, yours))
            else:
                self.assertTrue(same(now, mine))

    def test_nested(self) -> None:
        """
        Dictionaries are merged key by key, however deep.
        """
        base = {"cart": {"items": {"a": 1}, "note": "", "old": 1}}
        ours = {"cart": {"items": {"a": 2}, "note": ""}}
        theirs = {"cart": {"items": {"a": 1, "b": 1}, "note": "x", "old": 1}}
        expected = {"cart": {"items": {"a": 2, "b": 1}, "note": "x"}}
        self.assertEqual(merge(base, ours, theirs), expected)

    def test_bothAdd(self) -> None:
        """
        A dictionary that both sides add is merged too.
        """
        self.assertEqual(
            merge({}, {"cart": {"a": 1}}, {"cart": {"b": 1}}),
            {"cart": {"b": 1, "a": 1}},
        )

    def test_changeBeatsDeletion(self) -> None:
        """
        What one side changed stays, though the other deleted it.
        """
        self.assertEqual(merge({"k": 1}, {"k": 2}, {}), {"k": 2})
        self.assertEqual(merge({"k": 1}, {}, {"k": 2}), {"k": 2})
        self.assertEqual(merge({"k": 1}, {}, {"k": 1}), {})
        self.assertEqual(merge({"k": {"a": 1}}, {"k": {"a": 2}}, {}), {"k": {"a": 2}})

    def test_oneValue(self) -> None:
        """
        Lists, and values of different types, are not mixed: ours wins.
        """
        self.assertEqual(merge({"k": [1]}, {"k": [1, 2]}, {"k": [0]}), {"k": [1, 2]})
        self.assertEqual(merge({"k": 1}, {"k": {"a": 1}}, {"k": [0]}), {"k": {"a": 1}})
        merged = merge({"k": 1}, {"k": True}, {"k": 1.0})
        self.assertIs(merged["k"], True)

    def test_typeIsAChange(self) -> None:
        """
        C{1} that becomes C{True} or C{1.0} was changed.
        """
        self.assertIs(merge({"k": 1}, {"k": True}, {"k": 1})["k"], True)
        self.assertIs(type(merge({"k": 1}, {"k": 1}, {"k": 1.0})["k"]), float)

    def test_order(self) -> None:
        """
        Keys come in the order of what is stored, then those that we add.
        """
        merged = merge({"a": 1}, {"x": 1, "a": 1, "y": 1}, {"c": 1, "b": 1, "a": 1})
        self.assertEqual(list(merged), ["c", "b", "a", "x", "y"])


class AssimilateTests(SynchronousTestCase):
    """
    L{assimilate} and L{adapted}.
    """

    @given(documents, documents)
    def test_equal(self, live: dict[str, Any], target: dict[str, Any]) -> None:
        """
        The result is the target, and shares nothing with it.
        """
        before = deepcopy(target)
        assimilate(live, target)
        self.assertTrue(same(live, target))
        self.assertTrue(same(target, before))
        self.assertEqual(set(containers(live)) & set(containers(target)), set())

    @given(documents, documents)
    def test_inPlace(self, live: dict[str, Any], target: dict[str, Any]) -> None:
        """
        Dictionaries and lists that stay one at their place stay themselves,
        however deep.
        """
        held: list[tuple[tuple[Any, ...], Any]] = []

        def note(one: Any, other: Any, path: tuple[Any, ...]) -> None:
            if type(one) is type(other) and isinstance(one, (dict, list)):
                held.append((path, one))
                for key in one if isinstance(one, dict) else range(len(one)):
                    with contextlib.suppress(LookupError):
                        note(one[key], other[key], (*path, key))

        note(live, target, ())
        assimilate(live, target)
        for path, one in held:
            found: Any = live
            for key in path:
                found = found[key]
            self.assertIs(found, one)

    def test_unrelated(self) -> None:
        """
        What becomes something else is replaced by a copy.
        """
        target = [1]
        others: tuple[Any, ...] = (1, {}, MISSING, "x", (1,))
        for held in others:
            result = adapted(held, target)
            self.assertEqual(result, [1])
            self.assertIsNot(result, target)
