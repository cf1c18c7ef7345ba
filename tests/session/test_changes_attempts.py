"""
Tests for L{txsessionsock.session.workingcopy}: attempts to store, and what others did.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.session.workingcopy import WorkingCopy


def changed(copy: WorkingCopy) -> list[str]:
    """
    Look for changes where all can be copied.
    """
    keys, uncopied = copy.collect()
    assert not uncopied
    return list(keys)


class FlightTests(SynchronousTestCase):
    """
    Attempts that succeed, fail, or nobody knows.
    """

    def setUp(self) -> None:
        self.copy = WorkingCopy({"n": 1, "a": 1})

    def begin(self, **data: Any) -> Any:
        self.copy.collect()
        return self.copy.begin({**self.copy.snapshot(), **data} if data else None)

    def test_landed(self) -> None:
        """
        What changed since an attempt began is still to be stored after it.
        """
        self.copy.increment("n", 1)
        flight = self.begin()
        self.copy.increment("n", 1)
        self.copy.assign("a", 2)
        self.assertEqual(flight.data, {"n": 2, "a": 1})
        self.copy.collect()
        self.assertEqual(self.copy.landed(flight), [])
        self.assertTrue(self.copy.differs())
        self.copy.rebase({"n": 100, "a": 1})
        self.assertEqual(self.copy.data, {"n": 101, "a": 2})

    def test_refused(self) -> None:
        """
        What was in an attempt that failed is to be stored with what changed
        since.
        """
        self.copy.increment("n", 1)
        flight = self.begin()
        self.copy.increment("n", 1)
        self.copy.collect()
        self.copy.back(flight)
        self.copy.rebase({"n": 100, "a": 1})
        self.assertEqual(self.copy.data["n"], 102)

    def test_refusedAssignment(self) -> None:
        """
        An assignment, in the attempt or since, makes increments part of it.
        """
        for first, second, expected in (
            (lambda c: c.assign("n", 5), lambda c: c.increment("n", 1), 6),
            (lambda c: c.increment("n", 1), lambda c: c.assign("n", 7), 7),
        ):
            self.setUp()
            first(self.copy)
            flight = self.begin()
            second(self.copy)
            self.copy.collect()
            self.copy.back(flight)
            self.copy.rebase({"n": 100, "a": 1})
            self.assertEqual(self.copy.data["n"], expected)

    def test_landedWithMore(self) -> None:
        """
        What an update stored comes in when it is stored, in place, beside
        what changed meanwhile.
        """
        copy = WorkingCopy({"d": {"a": 1, "b": 1}})
        held = copy.get("d")
        copy.collect()
        flight = copy.begin({"d": {"a": 2, "b": 1}, "new": 1})
        held["b"] = 2
        copy.collect()
        self.assertEqual(copy.landed(flight), ["d", "new"])
        self.assertEqual(copy.data, {"d": {"a": 2, "b": 2}, "new": 1})
        self.assertIs(copy.data["d"], held)
        self.assertTrue(copy.differs())

    def test_landedLate(self) -> None:
        """
        An attempt that succeeds after it was taken back counts once.
        """
        self.copy.increment("n", 1)
        flight = self.begin()
        self.copy.back(flight)
        self.copy.increment("n", 1)
        self.copy.collect()
        self.copy.landedLate(flight)
        self.copy.rebase({"n": 100, "a": 1})
        self.assertEqual(self.copy.data["n"], 101)

    def test_forgotten(self) -> None:
        """
        Of one that nobody knows about, increments are given up, assignments
        and later increments are not.
        """
        self.copy.increment("n", 5)
        self.copy.increment("m", 5)
        self.copy.assign("a", 2)
        flight = self.begin()
        self.copy.increment("n", 1)
        self.copy.collect()
        self.copy.forget(flight)
        self.copy.back(flight)
        self.assertEqual(self.copy.data, {"n": 2, "a": 2})
        self.copy.rebase({"n": 100, "a": 1})
        self.assertEqual(self.copy.data, {"n": 101, "a": 2})

    def test_reverted(self) -> None:
        """
        A key that is given up has its stored value again, in place, and can
        be incremented as before.
        """
        copy = WorkingCopy({"n": 1, "d": {"a": 1}})
        held = copy.get("d")
        held["x"] = {1}
        copy.assign("n", "?")
        copy.assign("o", 1)
        copy.collect()
        self.assertEqual(copy.revert(["d", "n", "o", "p"]), ["d", "n", "o"])
        self.assertEqual(copy.data, {"n": 1, "d": {"a": 1}})
        self.assertIs(copy.data["d"], held)
        copy.increment("n", 1)
        copy.collect()
        copy.rebase({"n": 10})
        self.assertEqual(copy.data["n"], 11)


class SharedTests(SynchronousTestCase):
    """
    One and the same dictionary or list at two places.
    """

    def test_twoKeys(self) -> None:
        """
        What others did to one key does not show in another.
        """
        copy = WorkingCopy({})
        shared = {"x": 1}
        copy.assign("a", shared)
        copy.assign("b", shared)
        copy.collect()
        copy.landed(copy.begin())
        copy.rebase({"a": {"x": 2}, "b": {"x": 1}})
        self.assertEqual(copy.data, {"a": {"x": 2}, "b": {"x": 1}})
        self.assertEqual(changed(copy), [])

    def test_twice(self) -> None:
        """
        Nor in another item of one list.
        """
        copy = WorkingCopy({})
        shared = {"x": 1}
        copy.assign("a", [shared, shared])
        copy.collect()
        copy.landed(copy.begin())
        copy.rebase({"a": [{"x": 1}, {"x": 2}]})
        self.assertEqual(copy.data, {"a": [{"x": 1}, {"x": 2}]})
        self.assertEqual(changed(copy), [])

    def test_reverted(self) -> None:
        """
        Nor does what is given up.
        """
        copy = WorkingCopy({"a": {"x": 1}, "b": {"x": 1}})
        shared = copy.get("a")
        copy.assign("b", shared)
        shared["x"] = 2
        changed(copy)
        copy.revert(["b"])
        self.assertEqual(copy.data, {"a": {"x": 2}, "b": {"x": 1}})
        self.assertEqual(changed(copy), [])
