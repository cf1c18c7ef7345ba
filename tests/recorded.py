"""
What real frameworks wrote, recorded; and what every framework of ours must do.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.cookies import cookieNamed
from txsessionsock.interfaces import (
    KEEP,
    IFramework,
    InvalidCredential,
    Lifetime,
    NoSuchSession,
    UndecodableSession,
)


FIXTURES = Path(__file__).parent / "fixtures"
NOW = 1795370044.919

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
KEYS = st.text("abcé", max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
SESSIONS = st.dictionaries(KEYS, VALUES, max_size=4)
COOKIES = st.text() | st.text(st.characters(min_codepoint=33, max_codepoint=126))

Case = tuple[IFramework, dict[str, Any]]


class RecordedCase(SynchronousTestCase):
    """
    Helpers for the tests of one framework.
    """

    def recorded(
        self, name: str, make: Callable[[dict[str, Any]], IFramework]
    ) -> Iterator[Case]:
        """
        The recorded cases.

        @param make: Makes a framework of what is to be set.
        """
        fixture = json.loads((FIXTURES / name / "fixtures.json").read_text("utf-8"))
        for case in fixture["cases"]:
            yield make(fixture["config"] | case.get("config", {})), case

    def isRefused(self, framework: IFramework, case: dict[str, Any]) -> bool:
        """
        Go the way of a handshake: cookie, id, key, session.

        @return: Whether that ended before a session; otherwise it was the
            recorded one.
        """
        now = case["recorded_at"]
        cookie = cookieNamed(
            case["cookie"], framework.cookieName, framework.firstCookieWins
        )
        assert cookie is not None
        try:
            sessionID = framework.sessionID(cookie, now)
        except InvalidCredential:
            self.assertEqual(case["rejected_at"], "cookie", case["name"])
            return True
        if framework.readOnly:
            raw = framework.key(sessionID).encode("ascii")
        else:
            if case["raw_b64"] is None:
                self.assertEqual(case["rejected_at"], "store", case["name"])
                return True
            self.assertEqual(sessionID, case["sid"])
            self.assertEqual(framework.key(sessionID), case["key"])
            self.assertEqual(framework.cookieValue(sessionID), cookie)
            raw = b64decode(case["raw_b64"])
        try:
            document = framework.loads(raw, now)
        except (NoSuchSession, UndecodableSession):
            self.assertEqual(case["rejected_at"], "store", case["name"])
            return True
        if case["session"] is not None:
            self.assertEqual(document.data, case["session"], case["name"])
        if not framework.readOnly:
            again = framework.loads(framework.dumps(document, now), now)
            self.assertEqual(again.data, document.data, case["name"])
            self.assertEqual(list(again.envelope), list(document.envelope))
            if case["ttl"] and case["ttl"] > 0:
                # Some were read a moment later.
                lifetime = framework.lifetime(document, now)
                self.assertIn(lifetime - case["ttl"], (0, 1), case["name"])
        return False

    def check(
        self, name: str, make: Callable[[dict[str, Any]], IFramework], valid: int
    ) -> None:
        """
        Check all recorded cases.

        @param valid: How many of them are sessions.
        """
        count = 0
        for framework, case in self.recorded(name, make):
            isRefused = self.isRefused(framework, case)
            self.assertIs(isRefused, not case["valid"], case["name"])
            count += not isRefused
        self.assertEqual(count, valid)

    def assertUndecodable(
        self, framework: IFramework, raw: bytes, words: str = ""
    ) -> None:
        """
        Check that C{raw} is refused and nowhere to be seen afterwards.
        """
        error = self.assertRaises(UndecodableSession, framework.loads, raw, NOW)
        self.assertIsNone(error.__context__)
        self.assertNotIn("s3cret", str(error))
        self.assertIn(words, str(error))

    def assertOnlyInvalid(self, framework: IFramework, cookie: str) -> None:
        """
        Check that a cookie is an id, or refused in the one way there is.
        """
        try:
            sessionID = framework.sessionID(cookie, NOW)
        except InvalidCredential:
            return
        self.assertIsInstance(framework.key(sessionID), str)

    def assertStable(self, framework: IFramework, raw: bytes) -> None:
        """
        Check that bytes are a session that can be stored again, or refused in
        one of the ways there are.
        """
        try:
            document = framework.loads(raw, NOW)
        except (NoSuchSession, UndecodableSession):
            return
        again = framework.loads(framework.dumps(document, NOW), NOW)
        self.assertEqual(repr(again.data), repr(document.data))
        lifetime = framework.lifetime(document, NOW)
        self.assertIsNot(lifetime, KEEP)
        self.assertTrue(isinstance(lifetime, Lifetime) or lifetime > 0)
        framework.cookieLifetime(document, NOW)
        framework.identity(document.data)
