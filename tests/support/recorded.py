"""
What real frameworks wrote, recorded.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.cookies import cookieNamed
from txsessionsock.interfaces import (
    IFramework,
    InvalidCredential,
    NoSuchSession,
    UndecodableSession,
)
from txsessionsock.testing import (
    COOKIES,
    JUNK,
    NOW,
    SESSIONS,
    VALUES,
    FrameworkChecks,
)


__all__ = [
    "COOKIES",
    "DEEP",
    "DIGITS",
    "FIXTURES",
    "JUNK",
    "NESTED",
    "NOW",
    "SESSIONS",
    "VALUES",
    "Case",
    "RecordedCase",
    "asJSON",
    "ordered",
]


FIXTURES = Path(__file__).parents[1] / "fixtures"
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


class RecordedCase(FrameworkChecks, SynchronousTestCase):
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
        super().assertUndecodable(framework, raw, words or "the s")


def _ended(case: dict[str, Any]) -> float:
    """
    When the row of a recorded session ended, in seconds since the epoch.
    """
    if not case.get("expire_date"):
        return float("inf")
    return datetime.fromisoformat(case["expire_date"] + "+00:00").timestamp()
