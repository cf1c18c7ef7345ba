"""
Tests for L{txsessionsock.session.draft}: data for handlers that may run again.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.interfaces import IncrementError, UnencodableSession
from txsessionsock.session import Draft


def fine(data: dict[str, Any]) -> None:
    """
    All can be stored.
    """


class DraftTests(SynchronousTestCase):
    """
    What handlers do to it.
    """

    def setUp(self) -> None:
        self.before: dict[str, Any] = {"n": 1, "list": [[1], [2]], "gone": "x"}
        self.draft = Draft(self.before)

    def test_untouched(self) -> None:
        """
        What it begins with stays as it is; values that are the same are shared.
        """
        self.draft.get("list")[0].append(3)
        self.draft.assign("n", 2)
        self.draft.assign("gone", "".join("x"))
        self.draft.get("list")[1].append(4)
        self.assertEqual(self.draft.take(fine), ["list", "n"])
        self.assertEqual(self.before, {"n": 1, "list": [[1], [2]], "gone": "x"})
        self.assertEqual(
            self.draft.data, {"n": 2, "list": [[1, 3], [2, 4]], "gone": "x"}
        )

    def test_read(self) -> None:
        """
        Who only reads changes nothing, and the value stays the same object.
        """
        self.assertEqual(self.draft.get("list"), [[1], [2]])
        self.assertEqual(self.draft.take(fine), [])
        self.assertIs(self.draft.data["list"], self.before["list"])

    def test_backAgain(self) -> None:
        """
        What is as it was in the end was not changed.
        """
        self.draft.assign("n", 5)
        self.draft.assign("n", 1)
        self.draft.delete("gone")
        self.draft.assign("gone", "x")
        self.draft.assign("new", 1)
        self.draft.delete("new")
        self.assertEqual(self.draft.take(fine), [])
        self.assertEqual(self.draft.data, self.before)

    def test_types(self) -> None:
        """
        C{1}, C{1.0} and C{True} are three.
        """
        self.draft.assign("n", True)
        self.assertEqual(self.draft.take(fine), ["n"])
        self.assertIs(self.draft.data["n"], True)

    def test_given(self) -> None:
        """
        A value that a handler keeps is none of the draft's afterwards.
        """
        mine = [1]
        self.draft.assign("mine", mine)
        mine.append(2)
        self.assertEqual(self.draft.take(fine), ["mine"])
        mine.append(3)
        theirs = self.draft.get("mine")
        self.draft.take(fine)
        theirs.append(4)
        self.assertEqual(self.draft.data["mine"], [1, 2])

    def test_undo(self) -> None:
        """
        What was changed since the last handler is dropped.
        """
        self.draft.assign("n", 2)
        self.draft.take(fine)
        self.draft.get("list").append(3)
        self.draft.assign("n", 3)
        self.draft.assign("new", 3)
        self.draft.delete("gone")
        self.draft.undo()
        self.assertEqual(self.draft.data, {**self.before, "n": 2})

    def test_missing(self) -> None:
        """
        There is nothing to delete, or to read.
        """
        for do in (self.draft.get, self.draft.delete):
            self.assertRaises(KeyError, do, "other")
        self.assertEqual(self.draft.take(fine), [])

    def test_increment(self) -> None:
        """
        A missing key counts from 0; what is no number does not count.
        """
        self.assertEqual(self.draft.increment("n", 2), 3)
        self.assertEqual(self.draft.increment("new", 0.5), 0.5)
        self.assertRaises(IncrementError, self.draft.increment, "list", 1)
        self.assertRaises(IncrementError, self.draft.increment, "n", True)
        self.assertEqual(self.draft.take(fine), ["n", "new"])

    def test_uncopied(self) -> None:
        """
        What cannot be copied is refused, with its place; so is what cannot be stored.
        """
        loop: list[Any] = []
        loop.append(loop)
        self.draft.assign("n", 2)
        self.draft.assign("loop", loop)
        error = self.assertRaises(UnencodableSession, self.draft.take, fine)
        self.assertEqual(error.keys, ("loop",))
        self.draft.undo()

        def refuse(data: dict[str, Any]) -> None:
            raise UnencodableSession("no", ("n",))

        self.draft.assign("n", 2)
        self.assertRaises(UnencodableSession, self.draft.take, refuse)
        self.draft.undo()
        self.assertEqual(self.draft.data, self.before)
