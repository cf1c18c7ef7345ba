"""
Tests for L{txsessionsock.frameworks.flask}: C{Flask-Session}; Flask's own
sessions are in L{tests.frameworks.test_signed_cookies}.
"""

from __future__ import annotations

import json
import pickle
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar
from unittest.mock import patch

import msgspec
from hypothesis import strategies as st

from tests.support.frameworkcontract import SecretsContract, StoringContract
from tests.support.recorded import NOW, VALUES, RecordedCase
from txsessionsock.frameworks.flask import Flask, FlaskSession
from txsessionsock.interfaces import (
    KEEP,
    Document,
    IFramework,
    InvalidCredential,
    SessionID,
    UnencodableSession,
)


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


CALLED: list[str] = []


class Evil:
    """
    Something whose pickle calls a function.
    """

    def __reduce__(self) -> Any:
        return note, ("s3cret",)


def note(what: str) -> None:
    """
    What a hostile pickle calls.
    """
    CALLED.append(what)


def packed(value: object) -> bytes:
    """
    A session that holds something, as msgpack.
    """
    return msgspec.msgpack.encode({"a": value})


class OfFlaskSession(SecretsContract, StoringContract):
    """
    What holds for C{Flask-Session}, however it writes.
    """

    make = staticmethod(FlaskSession)
    firstCookieWins = True
    shown = "<FlaskSession cookieName='session' prefix='session:'>"
    secrets = (SECRET,)
    byBytes = "a-session-id.P7tN99GCR00u5kGiI52Y0zmz9EQ"
    identities = (
        ({"_user_id": "1", "user_id": 2, "user": 3, "username": "ann"}, "1"),
        ({"user_id": 2, "user": 3, "username": "ann"}, 2),
        ({"user": 3, "username": "ann"}, 3),
        ({"username": "ann"}, "ann"),
        ({"_user_id": None, "_fresh": True}, None),
    )
    malformed = ("", "a\nb", "\\001", "\\351", "é", "x" * 4097)
    ids = r"[\w-]{43}"
    chosen: ClassVar[dict[str, str]] = {
        "a/b=c": "a/b=c",
        "a\\054b\\073c": "a,b;c",
        'q\\"\\\\z': 'q"\\z',
        "user:1": "user:1",
        "us\\303\\251r 1": "usér 1",
        "\\320\\2371": "П1",
    }

    def made(self, config: dict[str, Any]) -> IFramework:
        return FlaskSession(
            cookieName=config["cookie_name"],
            prefix=config["prefix"],
            lifetime=config.get("lifetime", MONTH),
            format=config["format"],
            pickled=config.get("pickled", False),
            secrets=config["secrets"] if config.get("use_signer") else None,
        )


class MsgpackTests(OfFlaskSession, RecordedCase):
    """
    Tests for L{FlaskSession} as it is usually.
    """

    framework = FlaskSession()
    alike = (FlaskSession(secrets=["new", SECRET], refreshEachRequest=False),)
    recordings = (
        ("flask_session_redis_msgpack", 3),
        ("flask_session_redis_signer", 2),
        ("flask_session_sqlalchemy", 5),
    )
    undecodable = (
        b"",
        b"s3cret",
        b"7",
        b"[]",
        b"null",
        msgspec.msgpack.encode(["s3cret"]),
        packed(msgspec.msgpack.Ext(5, b"s3cret")),
        b"\x81\xa1a\x81\x81\x01\x01\x01",  # A dictionary as a key.
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
    )
    junk = (
        st.binary()
        | st.binary().map(lambda raw: b"\x82\xa1a" + raw)
        | RICH.map(msgspec.msgpack.encode)
        | RICH.map(packed)
        | VALUES.map(lambda value: json.dumps(value).encode())
        | VALUES.map(lambda value: json.dumps({"a": value}).encode())
    )
    sessions = st.dictionaries(st.text("abc"), RICH, max_size=4)

    def assertWritten(
        self, framework: IFramework, raw: bytes, data: dict[str, Any]
    ) -> None:
        self.assertEqual(msgspec.msgpack.decode(raw).keys(), data.keys())

    def test_richTypes(self) -> None:
        """
        Bytes are bytes and times are times.
        """
        data = self.dataOf("rich_types_and_flash")
        self.assertEqual(data["byt"], b"\x00\xff")
        self.assertEqual(data["when"], datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
        self.assertEqual(data["_flashes"][1], ["error", "bad"])


class JSONTests(OfFlaskSession, RecordedCase):
    """
    Tests for L{FlaskSession} with JSON.
    """

    framework = FlaskSession(format="json")
    recordings = (("flask_session_redis_json", 6),)
    undecodable = MsgpackTests.undecodable
    junk = MsgpackTests.junk

    def assertWritten(
        self, framework: IFramework, raw: bytes, data: dict[str, Any]
    ) -> None:
        self.assertEqual(repr(msgspec.json.decode(raw)), repr(data))


class PickledTests(OfFlaskSession, RecordedCase):
    """
    Tests for L{FlaskSession} with the pickles of old versions.
    """

    framework = FlaskSession(pickled=True)
    alike = (FlaskSession(pickled=True, format="json"),)
    make = staticmethod(partial(FlaskSession, pickled=True))
    recordings = (("flask_session_redis_pickle", 7),)
    undecodable = (
        b"",
        b"\x81\xa1a\xa6s3cret",
        b'{"a":"s3cret"}',
        pickle.dumps(Evil()),
        pickle.dumps({"a": Evil()}),
        pickle.dumps({"a": msgspec.json.decode}),
        pickle.dumps(["s3cret"]),
        pickle.dumps({"a": 10**5000}),
        pickle.dumps({"a": ["s3cret"] * 10**5}),
        pickle.dumps({"a": 1}, 0),
        b"\x80\x04}\x8c\x01a" + b"]" * 101 + b"a" * 100 + b"s.",
        b"\x80\x04}X\xff\xff\xff\x7fs3cret.",
    )
    junk = st.binary() | (RICH | RICH.map(lambda value: {"a": value})).map(pickle.dumps)

    def assertWritten(
        self, framework: IFramework, raw: bytes, data: dict[str, Any]
    ) -> None:
        self.assertEqual(repr(pickle.loads(raw)), repr(data))

    def test_notCalled(self) -> None:
        """
        What a pickle names is not called.
        """
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            self.assertUndecodable(self.framework, pickle.dumps(Evil(), protocol))
        self.assertEqual(CALLED, [])
        # Python itself would have called it.
        pickle.loads(pickle.dumps(Evil()))
        self.assertEqual(CALLED.pop(), "s3cret")

    def test_flashes(self) -> None:
        """
        Tuples, as Flask has them for messages that are to be shown, are such.
        """
        self.assertEqual(self.dataOf("flash")["_flashes"], [("message", "Hello ☃")])


class FlaskSessionTests(RecordedCase):
    """
    Tests for what is C{Flask-Session}'s own.
    """

    framework = FlaskSession()
    asJSON = FlaskSession(format="json")
    signing = FlaskSession(secrets=["new", SECRET])

    def test_format(self) -> None:
        """
        A format that there is not is refused at once.
        """
        self.assertRaises(ValueError, FlaskSession, format="pickle")

    def test_longIDs(self) -> None:
        """
        Ids that we make are taken, however long they are to be.
        """
        for framework in FlaskSession(sidLength=400), FlaskSession(sidLength=1):
            sessionID = framework.newSessionID()
            value = framework.cookieValue(sessionID)
            self.assertEqual(framework.sessionID(value, NOW), sessionID)

    def test_chosenSigned(self) -> None:
        """
        Ids that the application chooses may be signed.
        """
        value = self.signing.cookieValue(SessionID("usér,1"))
        self.assertTrue(value.startswith('"us\\303\\251r\\0541.'))
        self.assertEqual(self.signing.sessionID(value.strip('"'), NOW), "usér,1")

    def test_either(self) -> None:
        """
        Both formats are read, if what is there can be written in the one that
        is set, as it is then.
        """
        raw = self.asJSON.dumps(Document({"a": [1]}, {}), NOW)
        self.assertEqual(raw, b'{"a":[1]}')
        packed = self.framework.dumps(self.framework.loads(raw, NOW), NOW)
        self.assertEqual(packed, b"\x81\xa1a\x91\x01")
        self.assertEqual(self.asJSON.loads(packed, NOW).data, {"a": [1]})
        packed = self.framework.dumps(Document({"a": b"s3cret"}, {}), NOW)
        self.assertUndecodable(self.asJSON, packed, "with a bytes in it")

    def test_new(self) -> None:
        """
        New sessions look like those that C{Flask-Session} begins.
        """
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
        ]:
            error = self.assertRaises(
                InvalidCredential, framework.sessionID, cookie, NOW
            )
            self.assertEqual(error.reason, reason, cookie)

    def test_pickles(self) -> None:
        """
        Pickles are refused by name, and not executed.
        """
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            raw = pickle.dumps({"_permanent": True, "s3cret": 1}, protocol)
            self.assertUndecodable(self.framework, raw, "a pickle, as Flask-Session")
            self.assertUndecodable(self.asJSON, raw, "a pickle, as Flask-Session")
            evil = pickle.dumps(Evil(), protocol)
            self.assertUndecodable(self.framework, evil, "a pickle")
        self.assertEqual(CALLED, [])

    def test_deep(self) -> None:
        """
        What is nested less deeply than what is refused is read, and written as
        it was.
        """
        raw = b"\x81\xa1a" + b"\x91" * 98 + b"\xc0"
        document = self.framework.loads(raw, NOW)
        value: Any = document.data["a"]
        for _ in range(98):
            (value,) = value
        self.assertIsNone(value)
        self.assertEqual(self.framework.dumps(document, NOW), raw)

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
            ({naive: "s3cret"}, "datetime without a time zone as a key"),
            ({(1, naive.date()): "s3cret"}, "date as a key"),
            (loop, "nested too deeply, or contains itself"),
            (2**64, "int of more than 64 bits"),
            (-(2**63) - 1, "int of more than 64 bits"),
            ("s3cret \ud800", "str with half a surrogate pair"),
            ({"s3cret \ud800": 1}, "str with half a surrogate pair as a key"),
            ({2**64: 1}, "int of more than 64 bits as a key"),
            (datetime.max.replace(tzinfo=timezone(-timedelta(hours=9))), "datetime be"),
        ]:
            for nested, place in (
                *((value, ""), ([1, value], "[1]")),
                *(({"x": [(value,)]}, "['x'][0][0]"), ({(5,): value}, "[(5,)]")),
            ):
                message = self.refused(self.framework, {"fine": b"x", "bad": nested})
                at = "" if value is loop else place
                said = f"cannot be stored as msgpack: session['bad']{at}: {words}"
                self.assertIn(said, message)
        for value, words in [
            (b"s3cret", "bytes"),
            (naive, "datetime"),
            ({5: 1}, "int as a key"),
            (float("nan"), "float that is not finite"),
            ("s3cret \ud800", "str with half a surrogate pair"),
        ]:
            message = self.refused(self.asJSON, {"fine": 1, "bad": value})
            self.assertIn(f"stored as JSON: session['bad']: {words}", message)

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
