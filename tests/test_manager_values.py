"""
Sessions with keys and values that JSON does not have, of applications whose
serializers do.
"""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import msgspec

from txsessionsock._merge import same
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.interfaces import IFramework, UnencodableSession
from txsessionsock.manager import SessionManager

from .managing import SID, ManagerCase, Recorder


NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
BOARD: dict[Any, Any] = {
    "board": {(0, 1): "rook", None: [nan], True: {b"k": -inf}, 1.5: {NOON: {}}},
    "user": "ann",
    7: {"a": 1},
    (1, (2.5,)): nan,
}


class ForeignKeysTests(ManagerCase):
    """
    Tests for sessions of Python applications that have keys of other types.
    """

    def serve(self, framework: IFramework, raw: bytes) -> None:
        """
        Have an application with a session, and two processes of ours.
        """
        self.framework = framework
        key = framework.key(SID)
        self.successResultOf(self.place.destroy(key))
        self.assertTrue(self.successResultOf(self.place.create(key, raw, 60)))
        self.managers = [
            SessionManager(self.newStore(), framework, self.clock) for _ in "12"
        ]
        self.holders = [Recorder(), Recorder()]
        self.sessions = [
            self.successResultOf(manager.open(SID, holder))
            for manager, holder in zip(self.managers, self.holders, strict=True)
        ]

    def read(self) -> dict[Any, Any]:
        """
        What is stored, but for what managers keep there.
        """
        stored = self.successResultOf(self.place.load(self.framework.key(SID)))
        assert stored is not None
        data: dict[Any, Any] = self.framework.loads(stored.raw, 0.0).data
        return {key: value for key, value in data.items() if key != "_sessionsock"}

    def check(self) -> None:
        """
        Check that all in L{BOARD} can be read, changed and carried along.
        """
        one, two = self.sessions
        self.assertTrue(same(dict(one), BOARD))
        two["n"] = 1
        one["board"][(0, 1)] = "queen"
        one[7]["a"] += 1  # type: ignore[index]  # of the application's
        self.successResultOf(two.save())
        self.successResultOf(one.save())
        expected = {**BOARD, "board": {**BOARD["board"], (0, 1): "queen"}, "n": 1}
        expected[7] = {"a": 2}
        self.assertTrue(same(self.read(), expected))
        self.successResultOf(two.reload())
        self.assertTrue(same(dict(two), expected))
        # Only what has changed is told, though no NaN is equal to another.
        told = [key for keys in self.holders[1].keys for key in keys]
        self.assertEqual(set(told), {"board", 7, "n"})
        two[7] = None  # type: ignore[index]
        del two[1, (2.5,)]  # type: ignore[arg-type]
        self.successResultOf(two.save())
        del expected[1, (2.5,)]
        self.assertTrue(same(self.read(), {**expected, 7: None}))
        with self.assertRaisesRegex(TypeError, "keys are str, not int"):
            two[8] = 1  # type: ignore[index]

    def test_msgpack(self) -> None:
        """
        Those of Flask-Session.
        """
        self.serve(FlaskSession(), msgspec.msgpack.encode(BOARD))
        self.check()

    def test_pickles(self) -> None:
        """
        Those of Django and old versions of Flask-Session, which pickle.
        """
        for framework in Django(pickled=True), FlaskSession(pickled=True):
            self.serve(framework, pickle.dumps(BOARD, 5))
            self.check()

    def test_regenerate(self) -> None:
        """
        They go along to a new id.
        """
        self.serve(FlaskSession(), msgspec.msgpack.encode(BOARD))
        new, _ = self.successResultOf(
            self.managers[0].regenerate(self.sessions[0], self.holders[0])
        )
        self.assertTrue(same(dict(new), BOARD))

    def test_typeOfKey(self) -> None:
        """
        What another type makes another key is a change.
        """
        self.serve(FlaskSession(), msgspec.msgpack.encode({"user": 1, "d": {1: "a"}}))
        self.sessions[0]["d"] = {True: "a"}
        self.successResultOf(self.sessions[0].save())
        self.assertIs(next(iter(self.read()["d"])), True)

    def test_notFinite(self) -> None:
        """
        Numbers that JSON has not are there where Python writes it.
        """
        self.serve(Aiohttp(), b'{"created":1,"session":{"a":[NaN,Infinity],"n":1}}')
        self.sessions[0].increment("n")
        self.successResultOf(self.sessions[0].save())
        self.assertEqual(repr(self.read()), "{'a': [nan, inf], 'n': 2}")

    def test_refused(self) -> None:
        """
        A key that the application's serializer does not have is refused with
        its place; the rest is stored.
        """
        self.serve(Aiohttp(), b'{"created":1,"session":{"n":1}}')
        self.sessions[0]["a"] = [{(1, 2): "x"}]
        self.sessions[0]["b"] = 1
        error = self.failureResultOf(self.sessions[0].save(), UnencodableSession).value
        self.assertIn("session['a'][0]: tuple as a key (store keys that", str(error))
        self.assertEqual(error.keys, ("a",))
        self.assertEqual(self.read(), {"n": 1, "b": 1})
