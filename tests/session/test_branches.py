"""
Tests for L{txsessionsock.session.branches}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.frameworks.express import Express
from txsessionsock.session.branches import (
    Conflict,
    Stamp,
    Stamps,
    added,
    covers,
    differences,
    graft,
    numberOf,
    put,
    valueAt,
)
from txsessionsock.session.merge import MISSING, same


class StampTests(SynchronousTestCase):
    """
    Which version has what was in another one.
    """

    def test_covers(self) -> None:
        """
        One that has at least the number of each node.
        """
        none: Stamps = {}
        one: Stamps = {"a": Stamp(1, 0, 1)}
        two: Stamps = {"a": Stamp(2, 0, 2)}
        both: Stamps = {**one, "b": Stamp(1, 0, 1)}
        for more, less in (one, none), (one, one), (two, one), (both, one):
            self.assertTrue(covers(more, less))
        for more, less in (none, one), (one, two), (two, both), (both, two):
            self.assertFalse(covers(more, less))
        self.assertEqual((numberOf(two, "a"), numberOf(two, "b")), (2, 0))


class PlaceTests(SynchronousTestCase):
    """
    Places in nested dictionaries.
    """

    def test_differences(self) -> None:
        """
        The smallest places are found, whatever was done there.
        """
        one = {"a": 1, "b": {"c": 1, "d": {"e": [1]}}, "gone": {"x": 1}, "t": 1}
        other = {
            "a": 1,
            "b": {"c": 2, "d": {"e": [2]}},
            "new": {"x": {"y": 1}},
            "t": {},
        }
        expected = {
            ("b", "c"): 2,
            ("b", "d", "e"): [2],
            ("gone",): MISSING,
            ("new", "x", "y"): 1,
            ("t",): {},
        }
        self.assertEqual(differences(one, other, same), expected)
        self.assertEqual(differences(one, one, same), {})
        self.assertEqual(differences({"a": {}}, {"a": {}}, same), {})
        self.assertEqual(differences({}, {"a": {}}, same), {("a",): {}})

    def test_same(self) -> None:
        """
        What is one to the framework is no difference.
        """
        one, other = {"a": 10.0, "b": {"c": (1,)}}, {"a": 10, "b": {"c": [1]}}
        self.assertEqual(differences(one, other, Express("secret").same), {})
        self.assertEqual(len(differences(one, other, same)), 2)

    def test_put(self) -> None:
        """
        Dictionaries are made where they are needed, and nothing is pushed aside;
        what is given stays as it is.
        """
        data = {"a": {"b": 1}, "c": 1}
        self.assertEqual(put(data, ("a", "b"), 2), {"a": {"b": 2}, "c": 1})
        self.assertEqual(put(data, ("a", "b"), MISSING), {"a": {}, "c": 1})
        self.assertEqual(put(data, ("d", "e"), 2), {**data, "d": {"e": 2}})
        self.assertIs(put(data, ("d", "e"), MISSING), data)
        self.assertIs(put(data, ("c", "e"), 2), data)
        self.assertEqual(put(data, ("c",), MISSING), {"a": {"b": 1}})
        self.assertEqual(data, {"a": {"b": 1}, "c": 1})

    def test_valueAt(self) -> None:
        """
        Nothing is where there is no dictionary.
        """
        data = {"a": {"b": 1}}
        self.assertEqual(valueAt(data, ("a", "b")), 1)
        for path in ("a", "c"), ("a", "b", "c"), ("d", "e"):
            self.assertIs(valueAt(data, path), MISSING)

    def test_added(self) -> None:
        """
        How much more a number is, or what was appended.
        """
        for old, new, more in (
            (1, 3, 2),
            (3, 1, -2),
            (MISSING, 2, 2),
            ([1], [1, 2, 2], [2, 2]),
            (MISSING, [1], [1]),
            ([1, 2], [1], None),
            ([1], [2], None),
            (True, 2, None),
            ("1", 2, None),
            (1, "2", None),
        ):
            self.assertEqual(added(old, new, same), more, (old, new))


class GraftTests(SynchronousTestCase):
    """
    L{graft}
    """

    def test_both(self) -> None:
        """
        What both sides changed, each elsewhere, is all there.
        """
        base = {"a": 1, "b": {"c": 1, "d": 1}, "gone": 1}
        theirs = {"a": 1, "b": {"c": 2, "d": 1}, "gone": 1, "new": 1}
        latest = {"a": 2, "b": {"c": 1, "d": 2}}
        places = [("a",), ("b", "d"), ("gone",)]
        grafted = graft(theirs, latest, places, [base], same)
        self.assertEqual(grafted, {"a": 2, "b": {"c": 2, "d": 2}, "new": 1})

    def test_conflict(self) -> None:
        """
        One place that both changed is too much; what is as in any of the
        versions that it may descend from was not changed.
        """
        latest = {"a": 3}
        self.assertRaises(Conflict, graft, {"a": 2}, latest, [("a",)], [{"a": 1}], same)
        twins = [{"a": 2}, {"a": 1}]
        self.assertEqual(graft({"a": 2}, latest, [("a",)], twins, same), latest)

    def test_nothing(self) -> None:
        """
        With nothing to bring in, it is the version itself.
        """
        theirs = {"a": 2}
        self.assertIs(graft(theirs, {"a": 1}, [("a",)], [{"a": 1}], same), theirs)
