"""
Tests for L{txsessionsock.frameworks.aiohttp}.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frameworkcontract import QUOTED, StoringContract
from tests.support.managing import Recorder
from tests.support.recorded import (
    DEEP,
    DIGITS,
    JUNK,
    NESTED,
    NOW,
    RecordedCase,
    asJSON,
    ordered,
)
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    Document,
    IFramework,
    NoSuchSession,
    UnencodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.stores.memory import MemoryStore


class AiohttpTests(StoringContract, RecordedCase):
    """
    Tests for L{Aiohttp}.
    """

    framework = Aiohttp()
    alike = (Aiohttp(maxAge=60),)
    make = staticmethod(Aiohttp)
    recordings = (("aiohttp_session_redis", 8),)
    firstCookieWins = False
    shown = "<Aiohttp cookieName='AIOHTTP_SESSION'>"
    identities = (
        ({"AIOHTTP_SECURITY": "ann", "user": "bob"}, "ann"),
        ({"user": {"id": 7}, "username": "bob"}, 7),
        ({"user_id": 0}, 0),
        ({"user": "", "username": False}, None),
    )
    malformed = ("", "a\n", "\\001", "\\237", "é", "x" * 4097)
    undecodable = (
        b"",
        b"s3cret",
        b"[]",
        b"null",
        b'"s3cret"',
        b'{"created":"s3cret","session":{}}',
        b'{"created":true,"session":{}}',
        b'{"created":1795370044,"session":["s3cret"]}',
        b'{"created":1795370044,"session":"s3cret"}',
        b'{"created":1795370044,"session":{"s3cret":' + DEEP,
        b'{"created":1795370044,"session":{"a":' + NESTED + b"}}",
        b'{"created":1795370044,"session":{"s3cret":nan}}',
        b'{"created":1795370044,"session":{"s3cret":' + DIGITS + b"}}",
    )
    junk = (
        st.binary()
        | JUNK.map(asJSON)
        | st.fixed_dictionaries({"created": JUNK, "session": JUNK}).map(asJSON)
        | JUNK.map(lambda value: asJSON({"created": NOW, "session": {"a": value}}))
    )
    ids = "[0-9a-f]{32}"
    chosen = QUOTED
    envelope: ClassVar[dict[str, Any]] = {"created": int(NOW), "more": 1}

    def made(self, config: dict[str, Any]) -> IFramework:
        self.assertEqual(config["prefix"], config["cookie_name"] + "_")
        return Aiohttp(cookieName=config["cookie_name"], maxAge=config["max_age"])

    def comparable(self, raw: bytes) -> object:
        # The time is that of the last change.
        return [item for item in ordered(raw) if item[0] != "created"]

    def test_new(self) -> None:
        """
        New sessions look like those that C{aiohttp-session} begins.
        """
        raw = self.framework.dumps(self.framework.newDocument(NOW), NOW)
        self.assertEqual(json.loads(raw), {"created": 1795370044, "session": {}})

    def test_gone(self) -> None:
        """
        An empty object is what C{invalidate()} leaves: no session.
        """
        self.assertRaises(NoSuchSession, self.framework.loads, b"{}", NOW)

    def test_age(self) -> None:
        """
        The age is counted from the last change, in whole seconds; what is
        too old is gone, and so is what has no age.
        """
        framework = Aiohttp(maxAge=60)
        raw = b'{"created":1795370044,"session":{"a":1}}'
        self.assertEqual(framework.loads(raw, NOW + 60).data, {"a": 1})
        self.assertRaises(NoSuchSession, framework.loads, raw, NOW + 61)
        self.assertRaises(NoSuchSession, framework.loads, b'{"session":{}}', NOW)
        again = framework.dumps(framework.loads(raw, NOW + 50), NOW + 50)
        self.assertEqual(json.loads(again)["created"], 1795370094)
        self.assertEqual(framework.loads(again, NOW + 110).data, {"a": 1})
        self.assertEqual(self.framework.loads(raw, NOW * 2).data, {"a": 1})

    def test_lifetime(self) -> None:
        """
        Only changes extend a session's life; one without C{max_age} has no
        end.
        """
        document = self.framework.newDocument(NOW)
        self.assertIs(self.framework.lifetime(document, NOW), FOREVER)
        self.assertIs(self.framework.touchLifetime(document, NOW), KEEP)
        self.assertIsNone(self.framework.cookieLifetime(document, NOW))
        framework = Aiohttp(maxAge=60)
        self.assertEqual(framework.lifetime(document, NOW), 60)
        self.assertIs(framework.touchLifetime(document, NOW), KEEP)
        self.assertEqual(framework.cookieLifetime(document, NOW), 60)

    def test_envelope(self) -> None:
        """
        What stands beside the session goes back as it came.
        """
        raw = b'{"created":5,"session":{"created":1,"session":2},"more":[3]}'
        document = self.framework.loads(raw, NOW)
        self.assertEqual(document.data, {"created": 1, "session": 2})
        again = json.loads(self.framework.dumps(document, NOW))
        self.assertEqual(again["more"], [3])
        self.assertEqual(again["session"], document.data)

    def test_unencodable(self) -> None:
        """
        What JSON does not have is refused, with the keys in question.
        """
        document = Document({"a": {1}, "b": 1, "c": b"s3cret"}, {})
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, document, NOW
        )
        self.assertEqual(error.keys, ("a", "c"))
        self.assertEqual(
            str(error),
            "cannot be stored as JSON: session['a']: set (store a list);"
            " session['c']: bytes (store a str, such as its hex())",
        )

    def test_tooDeep(self) -> None:
        """
        What is too deep because of where the framework puts it, is refused by
        its key.
        """
        deep: object = 1
        for _ in range(99):
            deep = [deep]
        document = Document({"a": deep, "b": 1}, {})
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, document, NOW
        )
        self.assertEqual(error.keys, ("a",))
        self.framework.dumps(Document({"a": [1], "b": 1}, {}), NOW)


class InvalidatedTests(SynchronousTestCase):
    """
    C{invalidate()}, as a manager sees it.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.place = MemoryStore(self.clock)
        self.framework = Aiohttp()
        store = MemoryStore(place=self.place)
        self.manager = SessionManager(store, self.framework, self.clock)
        self.holder = Recorder()
        self.sessionID = self.framework.newSessionID()
        self.key = self.framework.key(self.sessionID)
        self.raw = b'{"created":1700000000,"session":{"n":1}}'

    def put(self, raw: bytes) -> None:
        """
        Write the session as the web application does.
        """
        self.successResultOf(self.place.destroy(self.key))
        self.successResultOf(self.place.create(self.key, raw, FOREVER))

    def test_before(self) -> None:
        """
        An invalidated session is not there for who comes after that.
        """
        self.put(b"{}")
        opened = self.manager.open(self.sessionID, self.holder)
        self.failureResultOf(opened, NoSuchSession)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_meanwhile(self) -> None:
        """
        It ends for who has it open, as if it were deleted.
        """
        self.put(self.raw)
        opened = self.manager.open(self.sessionID, self.holder)
        session = self.successResultOf(opened)
        self.put(b"{}")
        self.clock.advance(0)
        self.assertEqual(self.holder.reasons, ["destroyed"])
        self.failureResultOf(session.save(), NoSuchSession)
        self.assertEqual(self.holder.failures, [])

    def test_notRevived(self) -> None:
        """
        A change that meets it on its way to the store is not stored.
        """
        self.put(self.raw)
        opened = self.manager.open(self.sessionID, self.holder)
        session = self.successResultOf(opened)
        self.put(b"{}")
        session["n"] = 2
        self.failureResultOf(session.save(), NoSuchSession)
        self.assertEqual(self.holder.reasons, ["destroyed"])
        stored = self.successResultOf(self.place.load(self.key))
        assert stored is not None
        self.assertEqual(stored.raw, b"{}")
