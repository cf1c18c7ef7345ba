"""
Tests for L{txsessionsock.session}.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.interfaces import IncrementError, SessionError, SessionID
from txsessionsock.session import Session, shortHash
from txsessionsock.session.roles import Keeper
from txsessionsock.session.workingcopy import WorkingCopy


class SessionTests(SynchronousTestCase):
    """
    L{Session} as a mapping.
    """

    def setUp(self) -> None:
        self.copy = WorkingCopy({"a": 1, "b": {"c": []}})
        keeper = SimpleNamespace(isHandling=True)
        self.session = Session(SessionID("secret-id"), self.copy, cast(Keeper, keeper))

    def test_mapping(self) -> None:
        """
        It is like a dictionary.
        """
        session = self.session
        self.assertIsInstance(session, MutableMapping)
        session["n"] = 1
        del session["a"]
        self.assertEqual(dict(session), {"b": {"c": []}, "n": 1})
        self.assertEqual(
            (len(session), "a" in session, "n" in session), (2, False, True)
        )
        self.assertEqual(session.get("a", 5), 5)
        self.assertEqual(session.setdefault("n", 7), 1)
        self.assertEqual(session.pop("n"), 1)
        for wrong in (lambda: session["a"], lambda: session.pop("a")):
            self.assertRaises(KeyError, wrong)
        session.clear()
        self.assertEqual(list(session), [])

    def test_strings(self) -> None:
        """
        Keys are strings.
        """
        for key in (1, None, b"k"):
            with self.assertRaises(TypeError):
                self.session[key] = 1  # type: ignore[index]  # wrong on purpose
            with self.assertRaises(TypeError):
                self.session.increment(key)  # type: ignore[arg-type]  # wrong on purpose

    def test_snapshot(self) -> None:
        """
        Walking over keys, values or items is not disturbed by changes.
        """
        for view in (self.session, self.session.keys()):
            self.setUp()
            walk = iter(view)
            next(walk)
            self.session.clear()
            self.assertEqual(list(walk), ["b"])
        self.setUp()
        items, values = iter(self.session.items()), iter(self.session.values())
        next(items), next(values)
        del self.session["b"]
        self.session["z"] = 1
        self.assertEqual(list(items), [("b", {"c": []})])
        self.assertEqual(list(values), [{"c": []}])

    def test_views(self) -> None:
        """
        Nested values that were reached by walking are looked at, too.
        """
        for reach in (
            lambda s: list(s.values())[1],
            lambda s: dict(s.items())["b"],
            lambda s: s.get("b"),
            lambda s: s.setdefault("b", {}),
        ):
            self.setUp()
            reach(self.session)["c"].append(1)
            self.assertEqual(self.copy.collect(), (["b"], {}))

    def test_inPlaceOperators(self) -> None:
        """
        C{+=} and C{|=} are assignments.
        """
        self.session["a"] += 1
        self.session["b"] |= {"d": 1}
        self.assertEqual(self.copy.collect(), (["a", "b"], {}))
        self.assertEqual(self.copy.collected, {"a": 2, "b": {"c": [], "d": 1}})

    def test_increment(self) -> None:
        """
        It gives the new value, and refuses what is no number.
        """
        self.assertEqual(self.session.increment("a", 2.5), 3.5)
        self.assertEqual(self.session.increment("new"), 1)
        self.assertRaises(IncrementError, self.session.increment, "b")

    def test_repr(self) -> None:
        """
        It shows neither id nor data.
        """
        self.session["password"] = "hidden"
        shown = f"{self.session!r} {self.session}"
        self.assertNotIn("secret-id", shown)
        self.assertNotIn("hidden", shown)
        self.assertIn(shortHash("secret-id"), shown)
        self.assertEqual(len(shortHash("\ud800")), 8)

    def test_regenerate(self) -> None:
        """
        Where no cookie can be set, there is no new id.
        """
        self.failureResultOf(self.session.regenerate(), SessionError)

    def test_update(self) -> None:
        """
        C{update} takes what a dictionary takes, and hands functions on.
        """
        asked: list[Any] = []

        class FakeKeeper:
            isHandling = True

            def change(self, f: Any) -> str:
                asked.append(f)
                return "a Deferred"

        session = Session(SessionID("id"), self.copy, cast(Keeper, FakeKeeper()))
        self.assertIsNone(session.update({"x": 1}, y=2))
        self.assertIsNone(session.update(z=3))
        self.assertEqual([session[key] for key in "xyz"], [1, 2, 3])
        self.assertEqual(session.update(len), "a Deferred")
        self.assertEqual(asked, [len])
