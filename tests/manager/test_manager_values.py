"""
Sessions with keys and values that JSON does not have, of applications whose
serializers do.
"""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from math import inf, nan
from typing import Any
from unittest.mock import patch

import msgspec
from twisted.internet.defer import Deferred, fail

from tests.support.managing import SID, ManagerCase, Recorder
from tests.support.wires import SocketCase
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.interfaces import (
    TTL,
    IFramework,
    Stored,
    StoreRefusal,
    UnencodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.session.merge import same
from txsessionsock.stores.memory import MemoryStore


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
        two[7] = None  # type: ignore[index]  # To type checkers, keys are text.
        del two[1, (2.5,)]  # type: ignore[arg-type]  # The same.
        self.successResultOf(two.save())
        del expected[1, (2.5,)]
        self.assertTrue(same(self.read(), {**expected, 7: None}))
        with self.assertRaisesRegex(TypeError, "keys are str, not int"):
            two[8] = 1  # type: ignore[index]  # The same.

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


class LaterTests(ManagerCase):
    """
    What was written before is not looked through again, and what is new is.
    """

    def test_refused(self) -> None:
        """
        After a write, a value that JSON does not have is refused, as before, be it
        assigned or put into a list; whether versions are remembered or not.
        """
        for repair in (True, False):
            self.put(cart=[1], n=0)
            manager = self.newManager(repair=repair)
            session = self.open(manager=manager)
            session["n"] += 1
            self.successResultOf(session.save())
            for change in (
                lambda each: each.update(n=nan),
                lambda each: each.update(new=[1, {"k": inf}]),
                lambda each: each["cart"].append({2}),
            ):
                change(session)
                self.failureResultOf(session.save(), UnencodableSession)
                self.assertEqual(dict(session), {"cart": [1], "n": 1})
            session["cart"].append(2)
            self.successResultOf(session.save())
            stored = self.stored() or {}
            self.assertEqual((stored["cart"], stored["n"]), ([1, 2], 1))
            self.settled(manager.stop(), 10)


class JSONBStore(MemoryStore):
    """
    A store that takes what PostgreSQL's C{jsonb} does, and no more than 200
    bytes.
    """

    refusals = 0

    def isRefused(self, raw: bytes) -> bool:
        """
        Whether it does not take something.
        """
        isRefused = len(raw) > 200 or b"\\u0000" in raw or b"\\ud83d" in raw
        self.refusals += isRefused
        return isRefused

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        if self.isRefused(raw):
            return fail(StoreRefusal("no such JSON"))
        return super().create(key, raw, ttl)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        if self.isRefused(new):
            return fail(StoreRefusal("no such JSON"))
        return super().replace(key, old, new, ttl)


class RefusedTests(ManagerCase):
    """
    Tests for values that the framework can write, and the store does not take.
    """

    def newStore(self) -> Any:
        return JSONBStore(place=self.place)

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.session = self.open()
        self.store: Any

    def refused(self, saved: Deferred[Any]) -> UnencodableSession:
        """
        @return: With what it failed, which is no outage.
        """
        error = self.failureResultOf(saved, UnencodableSession).value
        assert isinstance(error, UnencodableSession)
        return error

    def test_characters(self) -> None:
        """
        Text that the store does not take is given up, with its place; what was
        changed beside it is stored.
        """
        for text, what in ("a\0b", "U+0000"), ("a\ud83d", "half a surrogate pair"):
            self.session["text"] = {"deep": [1, text]}
            self.session.increment("n")
            self.session["fine"] = text[:1]
            error = self.refused(self.session.save())
            self.assertEqual(
                str(error),
                f"the store refuses session['text']['deep'][1]: str with {what}"
                " (store it without that): no such JSON",
            )
            self.assertEqual(error.keys, ("text",))
            self.assertNotIn("text", self.session)
        self.assertEqual(self.stored(), {"n": 2, "fine": "a"})
        self.assertEqual(len(self.holder.failures), 2)
        self.assertEqual(self.store.refusals, 2)
        # It was told; nothing is tried again.
        self.session["n"] = 5
        self.successResultOf(self.session.save())
        self.clock.advance(60)
        self.assertEqual(self.store.refusals, 2)
        self.assertEqual(self.stored(), {"n": 5, "fine": "a"})

    def test_nameOfKey(self) -> None:
        """
        Names of keys are text, too.
        """
        self.session["a\0"] = 1
        self.session["b"] = [{"c\0": 1}]
        error = self.refused(self.session.save())
        self.assertEqual(error.keys, ("a\0", "b"))
        self.assertIn("session['b'][0]: str with U+0000 as a key", str(error))
        self.assertEqual(self.stored(), {"n": 0})

    def test_updates(self) -> None:
        """
        Of several updates, only those fail that put in what is refused.
        """
        bad = self.session.update(lambda data: data.update(text="\0"))
        good = self.session.update(lambda data: data.update(fine=1))
        self.assertEqual(self.refused(bad).keys, ("text",))
        self.assertIsNone(self.successResultOf(good))
        self.assertEqual(self.stored(), {"n": 0, "fine": 1})
        self.assertEqual(self.holder.failures, [])

    def test_other(self) -> None:
        """
        Where nobody knows what the store has against it, all is given up that
        was changed, and the session goes on.
        """
        self.session["n"] = 7
        self.session["long"] = "x" * 300
        error = self.refused(self.session.save())
        self.assertEqual(
            str(error), "the store refuses session['n']; session['long']: no such JSON"
        )
        self.assertEqual(error.keys, ("n", "long"))
        self.assertEqual(dict(self.session), {"n": 0})
        bad = self.session.update(lambda data: data.update(long="x" * 300))
        self.assertEqual(self.refused(bad).keys, ("long",))
        self.session.increment("n")
        self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"n": 1})

    def test_theirs(self) -> None:
        """
        What the application has stored is not what the store refuses.
        """

        def isLong(store: object, raw: bytes) -> bool:
            return len(raw) > 200

        with patch.object(JSONBStore, "isRefused", isLong):
            self.put(n=0, theirs="a\0b")
            self.successResultOf(self.session.reload())
            self.session["long"] = "x" * 300
            self.assertEqual(self.refused(self.session.save()).keys, ("long",))
            self.session["n"] = 1
            self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"n": 1, "theirs": "a\0b"})

    def test_new(self) -> None:
        """
        A new session is stored without it.
        """
        new = self.manager.create(self.holder)
        new["text"] = "\0"
        new["user"] = "ann"
        self.assertEqual(self.refused(new.save()).keys, ("text",))
        self.assertEqual(self.stored(f"sess:{new.id}"), {"user": "ann"})

    def test_nothingOfOurs(self) -> None:
        """
        A store that refuses what was not changed is broken: that is told as it
        is, and not for ever tried at once.
        """
        new = self.manager.create(self.holder)
        with patch.object(JSONBStore, "isRefused", lambda self, raw: True):
            new["user"] = "ann"
            self.refused(new.save())
            self.session["n"] = 1
            self.refused(self.session.save())
        self.assertEqual(self.stored(), {"n": 0})


class RefusedSocketTests(SocketCase):
    """
    The same, with sockets.
    """

    def newStore(self) -> Any:
        return JSONBStore(place=self.place)

    def change(self, client: Any, message: Any, session: Session) -> None:
        """
        Do what a message says.
        """
        for key, value in message.items():
            session[key] = value
        client.send(dict(session))

    def check(self, perMessage: bool) -> None:
        """
        Check that only the socket whose message brought such a text is closed,
        and that it is not the store's fault; and that all goes on.
        """
        self.put(n=0)
        self.serve(perMessage=perMessage)
        self.do["smessage"] = self.change
        one, other = self.browse(), self.browse()
        one.send({"text": "a\0b", "m": 1})
        if perMessage:
            self.assertClosed(one, 1011, "session failed")
            self.assertEqual(one.got, [])
        self.wait(2)
        self.assertIsNone(other.closed)
        (failure,) = set(self.events("serror"))
        self.assertIsInstance(failure, UnencodableSession)
        self.assertEqual(self.stored(), {"n": 0, "m": 1})
        third = self.browse()
        for browser in other, third:
            browser.send({"n": 5})
        self.wait(2)
        for browser in other, third:
            self.assertEqual(browser.got, [{"n": 5, "m": 1}])
            self.assertIsNone(browser.closed)

    def test_perMessage(self) -> None:
        """
        With answers that wait until all is stored.
        """
        self.check(perMessage=True)

    def test_perConnection(self) -> None:
        """
        With changes that are stored later.
        """
        self.check(perMessage=False)
