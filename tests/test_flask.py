"""
Tests for L{txsessionsock.frameworks.flask}: C{Flask-Session}; Flask's own
sessions are in L{tests.test_signed_cookies}.
"""

from __future__ import annotations

import json
import pickle
import sys
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from txsessionsock.frameworks.flask import Flask, FlaskSession, whoIsLoggedIn
from txsessionsock.interfaces import (
    KEEP,
    Document,
    IFramework,
    InvalidCredential,
    SessionID,
    UnencodableSession,
)

from .recorded import COOKIES, NOW, SESSIONS, VALUES, RecordedCase


SECRET = "flask-test-secret"
MONTH = 31 * 86400
RICH = st.recursive(
    VALUES
    | st.binary()
    | st.floats()
    | st.datetimes(
        datetime(1900, 1, 1),
        datetime(9000, 1, 1),
        timezones=st.just(UTC),
    ).map(lambda time: time.replace(fold=0)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers(-9, 9) | st.text("ab"), inner, max_size=3)
    ),
    max_leaves=8,
)


def made(config: dict[str, Any]) -> FlaskSession:
    """
    A framework that is set like a recorded one.
    """
    return FlaskSession(
        cookieName=config["cookie_name"],
        prefix=config["prefix"],
        lifetime=config.get("lifetime", MONTH),
        format=config["format"],
        secrets=config["secrets"] if config["use_signer"] else None,
    )


class FlaskSessionTests(RecordedCase):
    """
    Tests for L{FlaskSession}.
    """

    framework = FlaskSession()
    asJSON = FlaskSession(format="json")
    signing = FlaskSession(secrets=["new", SECRET])

    def test_interface(self) -> None:
        """
        It is a framework, in which the first of two cookies wins.
        """
        verifyObject(IFramework, self.framework)
        self.assertTrue(self.framework.firstCookieWins)
        self.assertNotIn(SECRET, repr(self.signing))

    def test_settings(self) -> None:
        """
        What cannot be right is refused at once.
        """
        self.assertRaises(ValueError, FlaskSession, cookieName="a b")
        self.assertRaises(ValueError, FlaskSession, format="pickle")
        for secrets in "", b"", [], ["x", ""], [5], "\ud800":
            self.assertRaises(ValueError, FlaskSession, secrets=secrets)

    def test_recorded(self) -> None:
        """
        What the real one wrote is what we read; what it refuses, we refuse.
        """
        self.check("flask_session_redis_json", made, valid=6)
        self.check("flask_session_redis_msgpack", made, valid=3)
        self.check("flask_session_redis_signer", made, valid=2)

    def test_reencoded(self) -> None:
        """
        What was not changed is written byte for byte as it came.
        """
        names = ["json", "msgpack", "signer"]
        for name in names:
            for framework, case in self.recorded(f"flask_session_redis_{name}", made):
                if case["raw_b64"] is not None:
                    raw = b64decode(case["raw_b64"])
                    again = framework.dumps(framework.loads(raw, NOW), NOW)
                    self.assertEqual(again, raw, case["name"])

    def test_richTypes(self) -> None:
        """
        With msgpack, bytes are bytes and times are times.
        """
        for framework, case in self.recorded("flask_session_redis_msgpack", made):
            if case["name"] == "rich_types_and_flash":
                data = framework.loads(b64decode(case["raw_b64"]), NOW).data
                self.assertEqual(data["byt"], b"\x00\xff")
                self.assertEqual(
                    data["when"], datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
                )
                self.assertEqual(data["_flashes"][1], ["error", "bad"])
                return
        self.fail("no such case")

    def test_either(self) -> None:
        """
        Both formats are read, and the one that is set is written.
        """
        raw = self.asJSON.dumps(Document({"a": [1]}, {}), NOW)
        self.assertEqual(raw, b'{"a":[1]}')
        packed = self.framework.dumps(self.framework.loads(raw, NOW), NOW)
        self.assertEqual(packed, b"\x81\xa1a\x91\x01")
        self.assertEqual(self.asJSON.loads(packed, NOW).data, {"a": [1]})

    def test_new(self) -> None:
        """
        New sessions look like those that C{Flask-Session} begins.
        """
        sessionID = self.framework.newSessionID()
        self.assertRegex(sessionID, r"^[\w-]{43}$")
        self.assertNotEqual(sessionID, self.framework.newSessionID())
        document = self.framework.newDocument(NOW)
        self.assertEqual(document.data, {"_permanent": True})
        self.assertEqual(self.framework.cookieLifetime(document, NOW), MONTH)
        framework = FlaskSession(permanent=False, sidLength=16)
        document = framework.newDocument(NOW)
        self.assertEqual(document.data, {})
        self.assertIsNone(framework.cookieLifetime(document, NOW))
        self.assertEqual(len(framework.newSessionID()), 22)

    def test_lifetime(self) -> None:
        """
        Each request extends a session's life, unless that is turned off.
        """
        document = Document({}, {})
        framework = FlaskSession(lifetime=60)
        self.assertEqual(framework.lifetime(document, NOW), 60)
        self.assertEqual(framework.touchLifetime(document, NOW), 60)
        framework = FlaskSession(lifetime=60, refreshEachRequest=False)
        self.assertEqual(framework.lifetime(document, NOW), 60)
        self.assertIs(framework.touchLifetime(document, NOW), KEEP)

    def test_signer(self) -> None:
        """
        The first secret signs, all verify, and what is not signed is refused.
        """
        value = self.signing.cookieValue(SessionID("an-id"))
        self.assertEqual(self.signing.sessionID(value, NOW), "an-id")
        new, old = FlaskSession(secrets="new"), FlaskSession(secrets=SECRET.encode())
        self.assertEqual(new.cookieValue(SessionID("an-id")), value)
        byOld = old.cookieValue(SessionID("an-id"))
        self.assertEqual(self.signing.sessionID(byOld, NOW), "an-id")
        for framework, cookie, reason in [
            (new, byOld, "bad-signature"),
            (self.signing, "an-id", "bad-signature"),
            (self.signing, value + "x", "bad-signature"),
            (self.signing, "x" + value, "bad-signature"),
            (self.signing, "." + value.partition(".")[2], "malformed"),
            (self.signing, "", "malformed"),
            (self.framework, "", "malformed"),
            (self.framework, "a b", "malformed"),
            (self.framework, "é", "malformed"),
            (self.framework, "x" * 257, "malformed"),
        ]:
            error = self.assertRaises(
                InvalidCredential, framework.sessionID, cookie, NOW
            )
            self.assertEqual(error.reason, reason, cookie)

    def test_pickled(self) -> None:
        """
        Pickles are refused by name, and not executed.
        """
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            raw = pickle.dumps({"_permanent": True, "s3cret": 1}, protocol)
            self.assertUndecodable(self.framework, raw, "a pickle, as Flask-Session")
            self.assertUndecodable(self.asJSON, raw, "a pickle, as Flask-Session")
            evil = pickle.dumps(Evil(), protocol)
            self.assertUndecodable(self.framework, evil, "a pickle")
        self.assertEqual(Evil.calls, [])

    def test_undecodable(self) -> None:
        """
        What is no session is reported as such, without showing it.
        """
        pack = msgspec.msgpack.encode
        for raw in [
            b"",
            b"s3cret",
            b"7",
            b"[]",
            b"null",
            pack(["s3cret"]),
            pack({1: "s3cret"}),
            pack({"a": {1.5: "s3cret"}}),
            pack({"a": {b"s3cret": 1}}),
            pack({"a": {True: "s3cret"}}),
            pack({"a": msgspec.msgpack.Ext(5, b"s3cret")}),
            b"\x81\xa1a\x81\x91\x01\x01",  # A list as a key.
            b"\x81\xa1a\xa2\xc3\x28",  # No UTF-8.
            b"\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12,  # No time.
            b"\x81\xa1a",
            b"\x81\xa1a\xc0s3cret",
            b"\xdd\xff\xff\xff\xff",  # As long as memory.
            b"\xdf\xff\xff\xff\xff\xa1a\xc0",
            b"\x81\xa1a\xdb\xff\xff\xff\xffs3cret",
            b"\x81\xa1a\xc6\xff\xff\xff\xffs3cret",
            b"\x81\xa1a" + b"\x91" * 100_000,
            b"\x81\xa1a" + b"\x91" * 101 + b"\xc0",
            b'{"a":' + b"[" * 100_000,
            b'{"a":' + b"[" * 101 + b"]" * 101 + b"}",
            b'{"s3cret":NaN}',
            b'{"s3cret":1e400}',
            b'{"s3cret":"\\ud800"}',
            b'{"s3cret":' + b"9" * 5000 + b"}",
        ]:
            self.assertUndecodable(self.framework, raw)
            self.assertUndecodable(self.asJSON, raw)

    def test_deep(self) -> None:
        """
        What is nested less deeply than what is refused is read.
        """
        document = self.framework.loads(b"\x81\xa1a" + b"\x91" * 98 + b"\xc0", NOW)
        self.framework.dumps(document, NOW)

    def refused(self, framework: FlaskSession, data: dict[Any, Any]) -> str:
        """
        What is said of data that cannot be stored; C{bad} is its only bad key.
        """
        document = Document(data, {})
        error = self.assertRaises(UnencodableSession, framework.dumps, document, NOW)
        self.assertEqual(error.keys, ("bad",))
        self.assertNotIn("s3cret", str(error))
        return str(error)

    def test_unencodable(self) -> None:
        """
        What would not come back the same is refused, also where the encoder
        would write something else in its place.
        """
        loop: list[object] = []
        loop.append(loop)
        naive = datetime(2024, 5, 6)
        for value, words in [
            ({"s3cret"}, "set"),
            (Decimal(5), "Decimal"),
            (naive, "datetime without a time zone"),
            (naive.date(), "date"),
            (timedelta(5), "timedelta"),
            ({None: "s3cret"}, "NoneType as a key"),
            ({1.5: "s3cret"}, "float as a key"),
            (loop, "nested too deeply, or contains itself"),
            (2**64, "not representable as msgpack"),
            (-(2**63) - 1, "not representable as msgpack"),
            ("s3cret \ud800", "not representable as msgpack"),
            ({2**64: 1}, "not representable as msgpack"),
            (datetime.max.replace(tzinfo=timezone(-timedelta(hours=9))), "not repres"),
        ]:
            for nested in value, [1, value], {"x": [(value,)]}:
                message = self.refused(self.framework, {"fine": b"x", "bad": nested})
                self.assertIn(f"cannot be stored as msgpack: 'bad': {words}", message)
        for value, words in [
            (b"s3cret", "bytes"),
            (naive, "datetime"),
            ({5: 1}, "int as a key"),
            (float("nan"), "float that is not finite"),
            ("s3cret \ud800", "not representable as JSON"),
        ]:
            message = self.refused(self.asJSON, {"fine": 1, "bad": value})
            self.assertIn(f"cannot be stored as JSON: 'bad': {words}", message)

    @given(st.dictionaries(st.text("abc"), RICH, max_size=4))
    def test_roundTrip(self, data: dict[str, Any]) -> None:
        """
        What is stored as msgpack comes back the same, by value, type and
        order.
        """
        raw = self.framework.dumps(Document(data, {}), NOW)
        again = self.framework.loads(raw, NOW)
        self.assertEqual(repr(again.data), repr(data))
        self.assertEqual(msgspec.msgpack.decode(raw).keys(), data.keys())

    @given(SESSIONS)
    def test_roundTripJSON(self, data: dict[str, Any]) -> None:
        """
        The same for JSON.
        """
        raw = self.asJSON.dumps(Document(data, {}), NOW)
        self.assertEqual(repr(self.asJSON.loads(raw, NOW).data), repr(data))
        self.assertEqual(repr(msgspec.json.decode(raw)), repr(data))

    @given(
        st.binary()
        | st.binary().map(lambda raw: b"\x82\xa1a" + raw)
        | RICH.map(msgspec.msgpack.encode)
        | RICH.map(lambda value: msgspec.msgpack.encode({"a": value}))
        | VALUES.map(lambda value: json.dumps(value).encode())
        | VALUES.map(lambda value: json.dumps({"a": value}).encode())
    )
    def test_junk(self, raw: bytes) -> None:
        """
        Whatever is in the store, it is a session or refused.
        """
        self.assertStable(self.framework, raw)

    @given(COOKIES)
    def test_cookies(self, cookie: str) -> None:
        """
        Whatever is in a cookie, it is an id or refused.
        """
        self.assertOnlyInvalid(self.framework, cookie)
        self.assertOnlyInvalid(self.signing, cookie)

    def test_identity(self) -> None:
        """
        The common names, in order, or what the application says.
        """
        names = {"_user_id": "1", "user_id": 2, "user": 3, "username": "ann"}
        for name in list(names):
            self.assertEqual(self.framework.identity(names), names.pop(name))
        self.assertIsNone(whoIsLoggedIn({"_user_id": None, "_fresh": True}))
        own = FlaskSession(identity=lambda data: data.get("who"))
        self.assertEqual(own.identity({"who": 1, "user": 2}), 1)

    def test_missing(self) -> None:
        """
        Without C{itsdangerous}, what needs it says how to get it, and what
        does not works.
        """
        with patch.dict(sys.modules, {"itsdangerous": None}):
            FlaskSession()
            for make in (lambda: FlaskSession(secrets="x"), lambda: Flask("x")):
                error = self.assertRaises(ImportError, make)
                self.assertIn('pip install "txsessionsock[flask]"', str(error))


class Evil:
    """
    Something whose pickle calls a function.
    """

    calls: ClassVar[list[int]] = []

    def __reduce__(self) -> Any:
        return Evil.calls.append, (1,)
