"""
What real frameworks wrote, recorded; and what might be in cookies and stores.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime
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
JUNK = st.recursive(
    SCALARS
    | st.floats()
    | st.integers()
    | st.text(st.characters())
    | st.sampled_from(["lone \ud800 surrogate", 2**64, -(10**400), 10**18, 1e308]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
"""
What JSON may hold, of use or not.
"""
COOKIES = st.text() | st.text(st.characters(min_codepoint=33, max_codepoint=126))

DEEP = b"[" * 100_000
NESTED = b"[" * 120 + b"]" * 120
DIGITS = b"9" * 5000

Case = tuple[IFramework, dict[str, Any]]

_REASONS = {
    "empty": "malformed",
    "expired": "expired",
    "no_signature": "malformed",
    "short_key": "malformed",
}


def asJSON(value: object) -> bytes:
    """
    What others may have written.
    """
    return json.dumps(value).encode()


def ordered(raw: bytes) -> Any:
    """
    What some JSON says, with the order in which it does.
    """
    return json.loads(raw, object_pairs_hook=list)


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
        name, now = case["name"], case["recorded_at"]
        cookie = cookieNamed(
            case["cookie"], framework.cookieName, framework.firstCookieWins
        )
        assert cookie is not None
        try:
            sessionID = framework.sessionID(cookie, now)
        except InvalidCredential as error:
            self.assertEqual(case.get("rejected_at"), "cookie", name)
            self.assertEqual(error.reason, _REASONS.get(name, "bad-signature"), name)
            return True
        if framework.readOnly:
            raw = framework.key(sessionID).encode("ascii")
        else:
            if case["raw_b64"] is None or _ended(case) < now:
                self.assertEqual(case.get("rejected_at"), "store", name)
                return True
            self.assertEqual(sessionID, case["sid"])
            self.assertEqual(framework.key(sessionID), case["key"])
            if name != "rotated_secret":
                self.assertEqual(framework.cookieValue(sessionID), cookie)
            raw = b64decode(case["raw_b64"])
        try:
            document = framework.loads(raw, now)
        except (NoSuchSession, UndecodableSession):
            self.assertEqual(case.get("rejected_at"), "store", name)
            return True
        if case["session"] is not None:
            self.assertEqual(document.data, case["session"], name)
        if not framework.readOnly:
            again = framework.loads(framework.dumps(document, now), now)
            self.assertEqual(again.data, document.data, name)
            self.assertEqual(list(again.envelope), list(document.envelope))
            lifetime = framework.lifetime(document, now)
            self.assertLives(case, lifetime)
        return False

    def assertLives(self, case: dict[str, Any], lifetime: object) -> None:
        """
        Check that a session lives as long as the real one had it live.
        """
        name = case["name"]
        if case["ttl"] and case["ttl"] > 0:
            assert isinstance(lifetime, (int, float)), name
            # Some were read a moment later.
            self.assertIn(lifetime - case["ttl"], (0, 1), name)
        elif case.get("expire_date") and name != "rotated_secret":
            assert isinstance(lifetime, (int, float)), name
            late = case["recorded_at"] + lifetime - _ended(case)
            self.assertLess(abs(late), 1, name)

    def assertUndecodable(
        self, framework: IFramework, raw: bytes, words: str = ""
    ) -> None:
        """
        Check that C{raw} is refused and nowhere to be seen afterwards.
        """
        error = self.assertRaises(UndecodableSession, framework.loads, raw, NOW)
        self.assertIsNone(error.__context__)
        self.assertNotIn("s3cret", str(error))
        self.assertIn(words or "the s", str(error))

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
        if not framework.readOnly:
            again = framework.loads(framework.dumps(document, NOW), NOW)
            self.assertEqual(repr(again.data), repr(document.data))
        lifetime = framework.lifetime(document, NOW)
        self.assertIsNot(lifetime, KEEP)
        self.assertTrue(isinstance(lifetime, Lifetime) or lifetime >= 0)
        framework.touchLifetime(document, NOW)
        framework.cookieLifetime(document, NOW)
        framework.identity(document.data)


def _ended(case: dict[str, Any]) -> float:
    """
    When the row of a recorded session ended, in seconds since the epoch.
    """
    if not case.get("expire_date"):
        return float("inf")
    return datetime.fromisoformat(case["expire_date"] + "+00:00").timestamp()
