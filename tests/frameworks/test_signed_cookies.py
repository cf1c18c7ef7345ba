"""
Tests for sessions in signed cookies: L{txsessionsock.frameworks.flask.Flask}
and L{txsessionsock.frameworks.starlette.Starlette}.
"""

from __future__ import annotations

import sys
import zlib
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import UUID

from hypothesis import strategies as st

from tests.support.frameworkcontract import InBrowserContract, SecretsContract
from tests.support.recorded import (
    COOKIES,
    DEEP,
    DIGITS,
    JUNK,
    NESTED,
    NOW,
    RecordedCase,
    asJSON,
)
from tests.support.signedcookies import (
    SECRET,
    SIGNED,
    Signer,
    flaskCookie,
    flaskPayload,
    starletteCookie,
)
from txsessionsock.frameworks.flask import Flask
from txsessionsock.frameworks.starlette import Starlette
from txsessionsock.interfaces import FOREVER, Document, IFramework, InvalidCredential


class OfSignedCookies(SecretsContract, InBrowserContract):
    """
    What Flask's and Starlette's own sessions have in common.
    """

    secrets = (SECRET,)
    signed = SIGNED
    cookies = COOKIES | st.tuples(COOKIES, COOKIES, COOKIES).map(".".join)

    def test_reasons(self) -> None:
        """
        A cookie that does not look signed is told apart from one that is
        signed wrongly.
        """
        payload, time, signature = self.cookie.rsplit(".", 2)
        for cookie, reason in [
            ("null", "malformed"),
            (f"{payload}.{time}", "malformed"),
            (f".{time}.{signature}", "malformed"),
            (f"{self.cookie} ", "malformed"),
            (f"é{self.cookie}", "malformed"),
            (f"{self.cookie}é", "malformed"),
            ("x" * 8192 + self.cookie, "malformed"),
            (f"{self.cookie}x", "bad-signature"),
            (f"{payload}.{time}x.{signature}", "bad-signature"),
        ]:
            self.assertInvalid(cookie, SIGNED, reason)


FLASK_PAYLOADS = (
    *(b"", b"s3cret", b".s3cret", b".", b"!!!!!"),
    b"." + flaskPayload(zlib.compress(b'{"a":"' + b"s3cret" * 2**20 + b'"}')),
    b"." + flaskPayload(zlib.compress(b'{"s3cret":1}')[:-4]),
    *map(
        flaskPayload,
        (
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
            b'{"s3cret":nan}',
            b'{"s3cret":' + DIGITS + b"}",
            b'{"a":' + DEEP,
            b'{"a":' + NESTED + b"}",
        ),
    ),
)
"""
What Flask may have signed, and is no session.
"""


class FlaskTests(OfSignedCookies, RecordedCase):
    """
    Tests for L{Flask}.
    """

    framework = Flask(SECRET, lifetime=100)
    make = staticmethod(partial(Flask, secrets=SECRET))
    recordings = (("flask_cookie", 4),)
    firstCookieWins = True
    shown = "<Flask cookieName='session'>"
    identities = (
        ({"_user_id": "1", "user": 2}, "1"),
        ({"user": {"id": 3}}, 3),
        ({"_fresh": True}, None),
    )
    cookie = flaskCookie(flaskPayload(b'{"n":1}'))
    byBytes = "eyJuIjoxfQ.aSFzwA.uAHNxgUiDD2JlkIVtvFIPs6WNUE"
    malformed = ("", "x.y", "x.y.z ", "x" * 8193)
    undecodable = (
        b"\xff.\xff.\xff",
        *(flaskCookie(payload).encode("ascii") for payload in FLASK_PAYLOADS),
    )
    junk = (
        st.binary().map(urlsafe_b64encode)
        | st.binary()
        | st.binary().map(lambda raw: b"." + flaskPayload(zlib.compress(raw)))
        | JUNK.map(lambda value: flaskPayload(asJSON(value)))
        | st.dictionaries(
            st.sampled_from([" di", " t", " b", " m", " u", " d", "a"]),
            JUNK,
            max_size=1,
        ).map(lambda value: flaskPayload(asJSON({"a": value})))
    ).map(Signer(SECRET, salt="cookie-session", key_derivation="hmac").sign)

    def made(self, config: dict[str, Any]) -> IFramework:
        return Flask(
            config["secrets"],
            cookieName=config["cookie_name"],
            lifetime=config["lifetime"],
            salt=config["salt"],
        )

    def loads(self, text: bytes) -> dict[str, Any]:
        """
        Decode JSON as it is in a cookie.
        """
        raw = flaskCookie(flaskPayload(text)).encode("ascii")
        return self.framework.loads(raw, SIGNED).data

    def test_notFinite(self) -> None:
        """
        Numbers that JSON has not are what Python reads.
        """
        text = b'{"a":{" t":[NaN,Infinity]},"b":-Infinity}'
        raw = flaskCookie(flaskPayload(text)).encode()
        data = self.framework.loads(raw, NOW).data
        self.assertEqual(repr(data), "{'a': (nan, inf), 'b': -inf}")

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

    def test_unsigned(self) -> None:
        """
        What is not signed is not decoded.
        """
        value = flaskCookie(flaskPayload(b'{"s3cret":1}'), secret="another")
        self.assertUndecodable(self.framework, value.encode("ascii"), "not signed")
        self.assertUndecodable(self.framework, b"\xff.\xff.\xff", "not signed")

    def test_secrets(self) -> None:
        """
        All secrets verify.
        """
        for secrets in ["new", SECRET], [SECRET, "new"], [SECRET.encode()]:
            Flask(secrets).sessionID(self.cookie, SIGNED)
        error = self.assertRaises(
            InvalidCredential, Flask(["new"]).sessionID, self.cookie, SIGNED
        )
        self.assertEqual(error.reason, "bad-signature")

    def test_oddTimes(self) -> None:
        """
        A time that no date expresses is no time.
        """
        value = flaskCookie(b"e30", now=2**62)
        self.assertInvalid(value, SIGNED, "bad-signature")


class StarletteTests(OfSignedCookies, RecordedCase):
    """
    Tests for L{Starlette}.
    """

    framework = Starlette(SECRET, maxAge=100)
    alike = (Starlette([SECRET, "another"]),)
    make = staticmethod(partial(Starlette, secrets=SECRET))
    recordings = (("starlette_cookie", 4),)
    firstCookieWins = False
    shown = "<Starlette cookieName='session'>"
    identities = (
        ({"user_id": 0, "user": 2}, 0),
        ({"user": {"id": 3}}, 3),
        ({"_user_id": 1}, None),
    )
    cookie = starletteCookie(b'{"n":1}')
    byBytes = "eyJuIjogMX0=.aSFzwA.O0_OOXUulcdh8ANRW9iY-JNYoSQ"
    malformed = ("", "x.y", "x.y.z ", "x" * 8193)
    undecodable = (
        b"s3cret.x.y",
        Signer(SECRET).sign(b"s3cret"),
        *(
            starletteCookie(text).encode("ascii")
            for text in (
                *(b"", b"s3cret", b"[]", b"null", b'{"s3cret":nan}'),
                *(b'{"s3cret":"\xff"}', b'{"s3cret":' + DIGITS + b"}"),
                *(b'{"a":' + DEEP, b'{"a":' + NESTED + b"}"),
            )
        ),
    )
    junk = (
        st.binary()
        | JUNK.map(lambda value: b64encode(asJSON(value)))
        | JUNK.map(lambda value: b64encode(asJSON({"a": value})))
    ).map(Signer(SECRET).sign)

    def test_asText(self) -> None:
        """
        Starlette signs with the text that C{str} makes of its secret.
        """

        class Secret:  # As Starlette has it.
            def __bool__(self) -> bool:
                return True

            def __str__(self) -> str:
                return SECRET

        for framework in Starlette(Secret()), Starlette(["new", Secret()]):
            framework.sessionID(self.cookie, SIGNED)
        with self.assertRaises(InvalidCredential):
            Starlette(SECRET.encode()).sessionID(self.cookie, SIGNED)

    def made(self, config: dict[str, Any]) -> IFramework:
        return Starlette(
            config["secrets"],
            cookieName=config["cookie_name"],
            maxAge=config["max_age"],
        )

    def test_missing(self) -> None:
        """
        Without C{itsdangerous}, Starlette's say how to get it.
        """
        with patch.dict(sys.modules, {"itsdangerous": None}):
            error = self.assertRaises(ImportError, Starlette, SECRET)
        self.assertIn('pip install "txsessionsock[starlette]"', str(error))

    def test_notFinite(self) -> None:
        """
        Numbers that JSON has not are what Python reads.
        """
        raw = starletteCookie(b'{"a":[NaN,Infinity]}').encode()
        self.assertEqual(repr(self.framework.loads(raw, NOW).data), "{'a': [nan, inf]}")

    def test_ageless(self) -> None:
        """
        Starlette can do without an age limit.
        """
        framework, value = Starlette(SECRET, maxAge=None), starletteCookie(b"{}", 5)
        self.assertIsNone(framework.deadline(framework.sessionID(value, NOW)))
        self.assertIsNone(framework.cookieLifetime(Document({}, {}), NOW))
        self.assertIs(framework.lifetime(Document({}, {}), NOW), FOREVER)

    def test_ofOthers(self) -> None:
        """
        What Flask signed by the same secret is signed otherwise.
        """
        cookie = flaskCookie(flaskPayload(b"{}"))
        self.assertInvalid(cookie, SIGNED, "bad-signature")
