"""
Tests for L{txsessionsock.frameworks.starlette}: C{starsessions}; Starlette's
own sessions are in L{tests.frameworks.test_signed_cookies}.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from hypothesis import strategies as st

from tests.support.frameworkcontract import QUOTED, StoringContract
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
from txsessionsock.frameworks.starlette import Starsessions
from txsessionsock.interfaces import KEEP, Document, IFramework, UnencodableSession


MONTH = 30 * 86400
META = {"lifetime": 600, "created": NOW - 100, "last_access": NOW - 50}


class StarsessionsTests(StoringContract, RecordedCase):
    """
    Tests for L{Starsessions}.
    """

    framework = Starsessions()
    alike = (Starsessions(lifetime=60), Starsessions(lifetime=60, rolling=True))
    make = staticmethod(Starsessions)
    recordings = (("starsessions_redis", 7),)
    firstCookieWins = False
    shown = "<Starsessions cookieName='session' prefix='starsessions.'>"
    identities = (
        ({"user_id": 1, "user": 2, "username": 3}, 1),
        ({"user": {"id": None, "name": "x"}, "username": "ann"}, "ann"),
        ({}, None),
    )
    malformed = ("", "a\n", "\\001", "\\237", "é", "x" * 4097)
    undecodable = (
        b"s3cret",
        b"[]",
        b"null",
        b'{"__metadata__":"s3cret"}',
        b'{"__metadata__":null}',
        b'{"__metadata__":{"created":"s3cret"}}',
        b'{"__metadata__":{"lifetime":null}}',
        b'{"__metadata__":{"lifetime":true}}',
        b'{"__metadata__":{"created":1e300}}',
        b'{"a":' + DEEP,
        b'{"a":' + NESTED + b"}",
        b'{"s3cret":nan}',
        b'{"s3cret":' + DIGITS + b"}",
    )
    junk = (
        st.binary()
        | JUNK.map(asJSON)
        | JUNK.map(lambda value: asJSON({"a": value}))
        | st.fixed_dictionaries({"a": JUNK, "__metadata__": JUNK}).map(asJSON)
        | st.fixed_dictionaries({"lifetime": JUNK, "created": JUNK}).map(
            lambda value: asJSON({"__metadata__": value})
        )
    )
    ids = "[0-9a-f]{32}"
    chosen = QUOTED
    envelope: ClassVar[dict[str, Any]] = {**META, "last_access": NOW}

    def made(self, config: dict[str, Any]) -> IFramework:
        return Starsessions(
            cookieName=config["cookie_name"],
            prefix=config["prefix"],
            lifetime=config["lifetime"],
            rolling=config["rolling"],
            gcTTL=config["gc_ttl"],
        )

    def comparable(self, raw: bytes) -> object:
        *data, (envelope, metadata) = ordered(raw)
        self.assertEqual([name for name, _ in metadata][-1], "last_access")
        return data, envelope, metadata[:-1]

    def test_new(self) -> None:
        """
        New sessions look like those that C{starsessions} begins.
        """
        framework = Starsessions(lifetime=60)
        raw = framework.dumps(framework.newDocument(NOW), NOW + 1)
        self.assertEqual(
            json.loads(raw),
            {"__metadata__": {"lifetime": 60, "created": NOW, "last_access": NOW + 1}},
        )

    def test_metadata(self) -> None:
        """
        What C{starsessions} keeps goes back as it came, apart from the time
        of the last access; what it would add, we add.
        """
        document = Document({"a": 1}, {**META, "more": [1]})
        raw = json.loads(self.framework.dumps(document, NOW))
        self.assertEqual(
            raw, {"a": 1, "__metadata__": {**META, "more": [1], "last_access": NOW}}
        )
        document = self.framework.loads(b'{"a":1}', NOW)
        self.assertEqual(document, Document({"a": 1}, {}))
        again = self.framework.loads(self.framework.dumps(document, NOW), NOW)
        self.assertEqual(
            again.envelope, {"lifetime": 0, "created": NOW, "last_access": NOW}
        )
        self.assertEqual(self.framework.loads(b"", NOW), Document({}, {}))

    def test_browserSession(self) -> None:
        """
        Without a lifetime, the store keeps a session for a while after each
        request, and the browser until it is closed.
        """
        document = Document({}, {**META, "lifetime": 0})
        for framework, ttl in [
            (self.framework, MONTH),
            (Starsessions(gcTTL=60), 60),
            (Starsessions(rolling=True), MONTH),
        ]:
            self.assertEqual(framework.lifetime(document, NOW), ttl)
            self.assertEqual(framework.touchLifetime(document, NOW), ttl)
            self.assertIsNone(framework.cookieLifetime(document, NOW))

    def test_fixed(self) -> None:
        """
        The end is where it was when the session began, whatever happens.
        """
        framework, document = Starsessions(lifetime=999), Document({}, META)
        self.assertEqual(framework.lifetime(document, NOW), 500)
        self.assertIs(framework.touchLifetime(document, NOW), KEEP)
        self.assertEqual(framework.cookieLifetime(document, NOW), 500)
        # As starsessions does, since Redis takes no 0.
        self.assertEqual(framework.lifetime(document, NOW + 900), 1)
        self.assertEqual(framework.cookieLifetime(document, NOW + 900), 0)

    def test_rolling(self) -> None:
        """
        Each request begins the lifetime anew.
        """
        framework = Starsessions(lifetime=600, rolling=True)
        document = Document({}, META)
        self.assertEqual(framework.lifetime(document, NOW + 300), 600)
        self.assertEqual(framework.touchLifetime(document, NOW + 300), 600)
        self.assertEqual(framework.cookieLifetime(document, NOW + 300), 600)

    def test_unencodable(self) -> None:
        """
        What JSON does not have is refused, and so is what would take the
        place of the metadata.
        """
        data: dict[Any, Any] = {"a": {1}, "b": 1, "__metadata__": 5, 7: 1}
        document = Document(data, META)
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, document, NOW
        )
        self.assertEqual(error.keys, ("a", "__metadata__", 7))
        for words in "['a']: set", "framework itself keeps", "int as a key":
            self.assertIn(words, str(error))
        document = Document({"__metadata__": dict(META)}, META)
        self.assertRaises(UnencodableSession, self.framework.dumps, document, NOW)
