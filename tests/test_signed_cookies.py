"""
Tests for sessions in signed cookies: L{txsessionsock.frameworks.flask.Flask}
and L{txsessionsock.frameworks.starlette.Starlette}.
"""

from __future__ import annotations

import json
import sys
import zlib
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from txsessionsock.frameworks.flask import Flask
from txsessionsock.frameworks.starlette import Starlette
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    Document,
    IFramework,
    InvalidCredential,
    ISignedCookies,
    SessionID,
    UndecodableSession,
    UnencodableSession,
)

from .recorded import COOKIES, NOW, VALUES, RecordedCase
from .signedcookies import (
    SECRET,
    SIGNED,
    Signer,
    flaskCookie,
    flaskPayload,
    starletteCookie,
)


class SignedCookiesTests(RecordedCase):
    """
    What Flask's and Starlette's own sessions have in common.
    """

    flask = Flask(SECRET, lifetime=100)
    starlette = Starlette(SECRET, maxAge=100)
    value = flaskCookie(flaskPayload(b'{"n":1}'))

    def reason(self, framework: IFramework, cookie: str, now: float = SIGNED) -> str:
        """
        Why a cookie is refused.
        """
        error = self.assertRaises(InvalidCredential, framework.sessionID, cookie, now)
        self.assertIsNone(error.__context__)
        reason: str = error.reason
        return reason

    def test_interface(self) -> None:
        """
        Both are read-only frameworks; of two cookies, each takes the one
        that the real one takes.
        """
        for framework in self.flask, self.starlette:
            verifyObject(ISignedCookies, framework)
            self.assertTrue(framework.readOnly)
            self.assertNotIn(SECRET, repr(framework))
        self.assertTrue(self.flask.firstCookieWins)
        self.assertFalse(self.starlette.firstCookieWins)

    def test_settings(self) -> None:
        """
        What cannot be right is refused at once.
        """
        for kind in Flask, Starlette:
            self.assertRaises(ValueError, kind, SECRET, cookieName="a b")
            for secrets in "", b"", [], ["x", ""], [5], "\ud800":
                self.assertRaises(ValueError, kind, secrets)

    def test_missing(self) -> None:
        """
        Without C{itsdangerous}, Starlette's say how to get it.
        """
        with patch.dict(sys.modules, {"itsdangerous": None}):
            error = self.assertRaises(ImportError, Starlette, SECRET)
        self.assertIn('pip install "txsessionsock[starlette]"', str(error))

    def test_recorded(self) -> None:
        """
        What the real ones made is what we read; what they refuse, we refuse.
        """
        self.check(
            "flask_cookie",
            lambda config: Flask(
                config["secrets"],
                cookieName=config["cookie_name"],
                lifetime=config["lifetime"],
                salt=config["salt"],
            ),
            valid=4,
        )
        self.check(
            "starlette_cookie",
            lambda config: Starlette(
                config["secrets"],
                cookieName=config["cookie_name"],
                maxAge=config["max_age"],
            ),
            valid=4,
        )

    def test_id(self) -> None:
        """
        The id is the cookie, and so is the key.
        """
        sessionID = self.flask.sessionID(self.value, SIGNED)
        self.assertEqual(sessionID, self.value)
        self.assertEqual(self.flask.key(sessionID), self.value)
        self.assertEqual(self.flask.cookieValue(sessionID), self.value)
        raw = self.value.encode("ascii")
        self.assertEqual(self.flask.loads(raw, SIGNED), Document({"n": 1}, {}))

    def test_reasons(self) -> None:
        """
        A cookie that is no good is told apart from one that is too old.
        """
        starlettes = starletteCookie(b"{}")
        for framework, value in (self.flask, self.value), (self.starlette, starlettes):
            payload, time, signature = value.rsplit(".", 2)
            for cookie, reason in [
                ("", "malformed"),
                ("null", "malformed"),
                (f"{payload}.{time}", "malformed"),
                (f".{time}.{signature}", "malformed"),
                (f"{value} ", "malformed"),
                (f"é{value}", "malformed"),
                (f"{value}é", "malformed"),
                ("x" * 8192 + value, "malformed"),
                (f"{value}x", "bad-signature"),
                (f"x{value}", "bad-signature"),
                (f"{payload}.{time}x.{signature}", "bad-signature"),
            ]:
                self.assertEqual(self.reason(framework, cookie), reason, cookie)
        # Each has a salt of its own.
        self.assertEqual(self.reason(self.starlette, self.value), "bad-signature")

    def test_secrets(self) -> None:
        """
        All secrets verify.
        """
        for secrets in ["new", SECRET], [SECRET, "new"], [SECRET.encode()]:
            Flask(secrets).sessionID(self.value, SIGNED)
        self.assertEqual(self.reason(Flask(["new"]), self.value), "bad-signature")

    def test_age(self) -> None:
        """
        A cookie is good until it is older, in whole seconds, than it may be;
        the deadline is where that begins.
        """
        for now in SIGNED, SIGNED + 100, SIGNED + 100.99, SIGNED - 60:
            self.flask.sessionID(self.value, now)
        deadline = self.flask.deadline(SessionID(self.value))
        self.assertEqual(deadline, SIGNED + 101)
        for now in SIGNED + 101, NOW, SIGNED - 61:
            self.assertEqual(self.reason(self.flask, self.value, now), "expired")

    def test_ageless(self) -> None:
        """
        Starlette can do without an age limit.
        """
        framework, value = Starlette(SECRET, maxAge=None), starletteCookie(b"{}", 5)
        self.assertIsNone(framework.deadline(framework.sessionID(value, NOW)))
        self.assertIsNone(framework.cookieLifetime(Document({}, {}), NOW))
        self.assertIs(framework.lifetime(Document({}, {}), NOW), FOREVER)

    def test_oddTimes(self) -> None:
        """
        A time that no date expresses is no time.
        """
        value = flaskCookie(b"e30", now=2**62)
        self.assertEqual(self.reason(self.flask, value), "bad-signature")

    def test_deadlineOfForeign(self) -> None:
        """
        There is no deadline for what is not signed.
        """
        self.assertRaises(InvalidCredential, self.flask.deadline, SessionID("x.y.z"))

    def test_lifetime(self) -> None:
        """
        Nothing here puts off the end.
        """
        document = self.flask.newDocument(NOW)
        self.assertEqual(document, Document({}, {}))
        self.assertEqual(self.flask.lifetime(document, NOW), 100)
        self.assertEqual(self.flask.cookieLifetime(document, NOW), 100)
        self.assertIs(self.flask.touchLifetime(document, NOW), KEEP)

    def test_readOnly(self) -> None:
        """
        Nothing can be encoded, and new ids are no cookies.
        """
        error = self.assertRaises(
            UnencodableSession, self.flask.dumps, Document({"a": 1}, {}), NOW
        )
        self.assertEqual(error.keys, ("a",))
        self.assertEqual(
            self.reason(self.flask, self.flask.newSessionID()), "malformed"
        )

    def test_identity(self) -> None:
        """
        Who is logged in is found under the usual names.
        """
        self.assertEqual(self.flask.identity({"_user_id": "1"}), "1")
        self.assertEqual(self.starlette.identity({"user": {"id": 3}}), 3)
        own = Starlette(SECRET, identity=lambda data: data.get("who"))
        self.assertEqual(own.identity({"who": 1, "user": 2}), 1)

    @given(COOKIES | st.tuples(COOKIES, COOKIES, COOKIES).map(".".join))
    def test_cookies(self, cookie: str) -> None:
        """
        Whatever is in a cookie, it is an id or refused.
        """
        self.assertOnlyInvalid(self.flask, cookie)
        self.assertOnlyInvalid(self.starlette, cookie)


class FlaskTests(RecordedCase):
    """
    What is in Flask's cookies.
    """

    framework = Flask(SECRET)

    def loads(self, text: bytes) -> dict[str, Any]:
        """
        Decode JSON as it is in a cookie.
        """
        raw = flaskCookie(flaskPayload(text)).encode("ascii")
        return self.framework.loads(raw, SIGNED).data

    def test_tags(self) -> None:
        """
        Flask's tags are the values they stand for, at any depth.
        """
        found = self.loads(
            b'{"t":{" t":[1,{" b":"AP8="}]},"l":[{" u":"' + b"5" * 32 + b'"}],'
            b'"d":{" d":"Mon, 06 May 2024 07:08:09 GMT"},"m":{" m":"<b>"},'
            b'"k":{" di":{" t__":[{" t":[]}]}},"o":{" t":1,"x":2},"e":{},"f":{"x":1}}'
        )
        self.assertEqual(
            found,
            {
                "t": (1, b"\x00\xff"),
                "l": [UUID("5" * 32)],
                "d": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
                "m": "<b>",
                "k": {" t": [()]},
                "o": {" t": 1, "x": 2},
                "e": {},
                "f": {"x": 1},
            },
        )
        self.assertEqual(self.loads(b'{" di":{" b__":1}}'), {" b": 1})

    def test_undecodable(self) -> None:
        """
        What is no session is reported as such, without showing it.
        """
        bomb = zlib.compress(b'{"a":"' + b"s3cret" * 2**20 + b'"}')
        self.assertLess(len(bomb), 60_000)
        for payload in [
            b"",
            b"s3cret",
            b".s3cret",
            b".",
            b"!!!!!",
            b"." + flaskPayload(bomb),
            b"." + flaskPayload(zlib.compress(b'{"s3cret":1}')[:-4]),
            *map(
                flaskPayload,
                [
                    b"s3cret",
                    b"[]",
                    b"null",
                    b'{" t":["s3cret"]}',
                    b'{" m":"s3cret"}',
                    b'{"a":{" t":"s3cret"}}',
                    b'{"a":{" t":5}}',
                    b'{"a":{" b":"s3cret\xc3\xa9"}}',
                    b'{"a":{" b":5}}',
                    b'{"a":{" m":["s3cret"]}}',
                    b'{"a":{" u":"s3cret"}}',
                    b'{"a":{" u":5}}',
                    b'{"a":{" d":"s3cret"}}',
                    b'{"a":{" d":5}}',
                    b'{"a":{" d":"Mon, 99 May 99999 99:99:99 GMT"}}',
                    b'{"a":{" di":5}}',
                    b'{"a":{" di":{"x":1,"y":2}}}',
                    b'{"a":{" di":{}}}',
                    b'{"a":' + b"[" * 100_000,
                    b'{"a":' + b"[" * 120 + b"]" * 120 + b"}",
                ],
            ),
        ]:
            raw = flaskCookie(payload).encode("ascii")
            self.assertUndecodable(self.framework, raw)

    def test_unsigned(self) -> None:
        """
        What is not signed is not decoded.
        """
        value = flaskCookie(flaskPayload(b'{"s3cret":1}'), secret="another")
        self.assertUndecodable(self.framework, value.encode("ascii"), "not signed")
        self.assertUndecodable(self.framework, b"\xff.\xff.\xff", "not signed")

    @given(
        st.binary().map(urlsafe_b64encode)
        | st.binary()
        | st.binary().map(lambda raw: b"." + flaskPayload(zlib.compress(raw)))
        | VALUES.map(lambda value: flaskPayload(json.dumps(value).encode()))
        | st.dictionaries(
            st.sampled_from([" di", " t", " b", " m", " u", " d", "a"]),
            VALUES,
            max_size=1,
        ).map(lambda value: flaskPayload(json.dumps({"a": value}).encode()))
    )
    def test_junk(self, payload: bytes) -> None:
        """
        Whatever is in a cookie, it is a session or refused.
        """
        signer = Signer(SECRET, salt="cookie-session", key_derivation="hmac")
        try:
            data = self.framework.loads(signer.sign(payload), SIGNED).data
        except UndecodableSession:
            return
        self.assertIsInstance(data, dict)
        self.framework.identity(data)


class StarletteTests(RecordedCase):
    """
    What is in Starlette's cookies.
    """

    framework = Starlette(SECRET)

    def test_undecodable(self) -> None:
        """
        What is no session is reported as such, without showing it.
        """
        for text in [
            b"",
            b"s3cret",
            b"[]",
            b"null",
            b'{"s3cret":NaN}',
            b'{"a":' + b"[" * 100_000,
        ]:
            raw = starletteCookie(text).encode("ascii")
            self.assertUndecodable(self.framework, raw)
        raw = Signer(SECRET).sign(b"s3cret")
        self.assertUndecodable(self.framework, raw)
        self.assertUndecodable(self.framework, b"s3cret.x.y", "not signed")

    @given(
        st.binary() | VALUES.map(lambda value: b64encode(json.dumps(value).encode()))
    )
    def test_junk(self, payload: bytes) -> None:
        """
        Whatever is in a cookie, it is a session or refused.
        """
        try:
            data = self.framework.loads(Signer(SECRET).sign(payload), SIGNED).data
        except UndecodableSession:
            return
        self.assertIsInstance(data, dict)
