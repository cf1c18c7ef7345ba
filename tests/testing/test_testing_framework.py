"""
Tests for L{txsessionsock.testing.StoringContract}: the tests for frameworks of
one's own.
"""

from __future__ import annotations

import json
import secrets
import unittest
from typing import Any, ClassVar, cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsessionsock.interfaces import (
    TTL,
    CookieAttributes,
    Document,
    IFramework,
    InvalidCredential,
    SessionID,
    UndecodableSession,
)
from txsessionsock.testing import StoringContract


@implementer(IFramework)
class Plain:
    """
    The least that a framework can be: a dictionary as JSON, an id as it is.
    """

    cookieName = "plain"
    firstCookieWins = True
    readOnly = False
    rolling = False

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        if len(cookieValue) != 32 or not cookieValue.isascii():
            raise InvalidCredential("malformed")
        return SessionID(cookieValue)

    def cookieValue(self, sessionID: SessionID) -> str:
        return sessionID

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        return None

    def cookieAttributes(self, document: Document) -> CookieAttributes:
        return CookieAttributes()

    def newSessionID(self) -> SessionID:
        return SessionID(secrets.token_hex(16))

    def newDocument(self, now: float, like: Document | None = None) -> Document:
        return Document({}, {})

    def key(self, sessionID: SessionID) -> str:
        return f"plain:{sessionID}"

    def loads(self, raw: bytes, now: float) -> Document:
        try:
            data = json.loads(raw)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise UndecodableSession("the session is no JSON object")
        return Document(data, {})

    def dumps(self, document: Document, now: float) -> bytes:
        return json.dumps(document.data).encode()

    def lifetime(self, document: Document, now: float) -> TTL:
        return 3600

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return 3600

    def identity(self, data: dict[str, Any]) -> object:
        return data.get("user")

    def same(self, one: object, other: object) -> bool:
        return one == other

    def isEnded(self, data: dict[str, Any]) -> bool:
        return False


class PlainTests(StoringContract, SynchronousTestCase):
    """
    It has all that is expected of it.
    """

    framework = Plain()
    identities = (({"user": 7}, 7), ({}, None))
    malformed = ("", "short", "é" * 32)
    undecodable = (b"", b"[]", b'"s3cret"', b"\xff", b"[" * 100_000)
    ids = "[0-9a-f]{32}"


class Guessable(Plain):
    """
    Its ids come twice.
    """

    def newSessionID(self) -> SessionID:
        return SessionID("0" * 32)


class Surprised(Plain):
    """
    It raises what nobody expects, for some cookies.
    """

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        return super().sessionID(cookieValue.encode("ascii").decode(), now)


class Talkative(Plain):
    """
    Its errors tell what is in a session, and keep what led to them.
    """

    def loads(self, raw: bytes, now: float) -> Document:
        try:
            data: dict[str, Any] = {**json.loads(raw)}
        except (ValueError, TypeError, RecursionError) as error:
            raise UndecodableSession(f"{raw[:20]!r}: {error}") from error
        return Document(data, {})


class Forgetful(Plain):
    """
    It stores no order.
    """

    def dumps(self, document: Document, now: float) -> bytes:
        return json.dumps(document.data, sort_keys=True).encode()


class NoticedTests(SynchronousTestCase):
    """
    Tests that what is wrong with a framework is noticed.
    """

    wrong: ClassVar[dict[type[Plain], set[str]]] = {
        Guessable: {"test_newSessionID"},
        Surprised: {"test_malformed", "test_noCycles", "test_anyCookie"},
        Talkative: {"test_undecodable"},
        Forgetful: {"test_roundTrip"},
    }

    def failing(self, framework: Plain) -> set[str]:
        """
        @return: The tests that a framework does not pass.
        """
        case = type("Tests", (PlainTests,), {"framework": framework})
        result = unittest.TestResult()
        loader = unittest.defaultTestLoader
        loader.loadTestsFromTestCase(case).run(result)
        wrong = [*result.errors, *result.failures]
        return {cast(Any, test)._testMethodName for test, _ in wrong}

    def test_noticed(self) -> None:
        """
        Each has the test that it fails.
        """
        for kind, expected in self.wrong.items():
            self.assertEqual(self.failing(kind()), expected, kind.__name__)

    def test_leftOut(self) -> None:
        """
        What is no framework at all fails.
        """
        self.assertIn("test_interface", self.failing(cast(Plain, object())))
