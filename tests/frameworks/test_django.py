"""
Tests for L{txsessionsock.frameworks.django}.
"""

from __future__ import annotations

import json
import pickle
import zlib
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frameworkcontract import (
    FrameworkContract,
    InBrowserContract,
    SecretsContract,
    StoringContract,
)
from tests.support.recorded import (
    COOKIES,
    DEEP,
    DIGITS,
    JUNK,
    NESTED,
    NOW,
    SESSIONS,
    RecordedCase,
    asJSON,
    ordered,
)
from txsessionsock.frameworks._django import whoIsLoggedIn
from txsessionsock.frameworks._djangosigning import _signature, signed
from txsessionsock.frameworks.django import Django, DjangoDatabase, DjangoSignedCookies
from txsessionsock.interfaces import (
    KEEP,
    Document,
    IFramework,
    SessionID,
    UnencodableSession,
)


SECRET = "django-test-secret-0123456789abcdefghijklmnop"
KEY = SECRET.encode()
SALT = "django.contrib.sessions.SessionStore"
COOKIE_SALT = "django.contrib.sessions.backends.signed_cookies"
WEEKS = 1209600
LOGIN = {"_auth_user_id": "1", "_auth_user_backend": "b", "_auth_user_hash": "h"}
BAD_IDS = (
    "",
    "1234567",
    "\\101234567",
    "a" * 4097,
    "abcdefgh\n",
    "\\001bcdefgh",
    "é" * 9,
)
CHOSEN = {
    "user:123": "user:123",
    r"us\351r 123": "usér 123",
    r"a\054b\073cdef": "a,b;cdef",
    r"q\"\\z/b=c": 'q"\\z/b=c',
}


def packed(raw: bytes) -> str:
    """
    What Django makes of bytes.
    """
    return urlsafe_b64encode(raw).decode().rstrip("=")


def encoded(payload: str, salt: str = SALT) -> bytes:
    """
    Something that is signed, whatever it is.
    """
    timed = f"{payload}:1xVBlY"
    return f"{timed}:{_signature(timed, KEY, salt)}".encode()


NOT_SESSIONS = (
    *("", ".", "A", ".AAAA"),
    "." + packed(zlib.compress(b"{}" * 50)[:-4]),
    *map(
        packed,
        (
            *(b'{"s3cret"', b'["s3cret"]', b"null", b'{"s3cret":nan}'),
            *(b'{"a":' + NESTED + b"}", b'{"s3cret":' + DIGITS + b"}"),
        ),
    ),
)
"""
What may be signed and is no session.
"""


class OfDjango(FrameworkContract):
    """
    What holds for all of Django's sessions.
    """

    firstCookieWins = False
    identities = (
        ({}, None),
        ({"_auth_user_hash": "h", "user_id": 2}, None),
        (LOGIN | {"visits": 1}, ("1", "b", "h")),
    )
    malformed: Sequence[str] = BAD_IDS


class DjangoTests(OfDjango, StoringContract, RecordedCase):
    """
    Tests for L{Django}, the sessions in the cache.
    """

    framework = Django()
    alike = (Django(expireAtBrowserClose=True, saveEveryRequest=True),)
    make = staticmethod(Django)
    recordings = (
        ("django_cache_django_json", 7),
        ("django_cache_django_redis_json", 6),
    )
    shown = "<Django cookieName='sessionid'>"
    undecodable = (
        b"",
        b"s3cret",
        b"5",
        b'["s3cret"]',
        b'{"s3cret":nan}',
        b'{"s3cret":' + DIGITS + b"}",
        b'{"a":' + DEEP,
        b'{"a":' + NESTED + b"}",
    )
    junk = st.binary() | (
        JUNK
        | JUNK.map(lambda value: {"a": value})
        | JUNK.map(lambda value: {"_session_expiry": value, "_auth_user_id": value})
    ).map(asJSON)
    ids = "[0-9a-z]{32}"
    chosen = CHOSEN

    def made(self, config: dict[str, Any]) -> IFramework:
        return Django(cookieName=config["cookie_name"], cookieAge=config["cookie_age"])

    def comparable(self, raw: bytes) -> object:
        # There may be blanks.
        return ordered(raw)

    def assertWritten(
        self, framework: IFramework, raw: bytes, data: dict[str, Any]
    ) -> None:
        # Django takes it for Latin-1.
        self.assertEqual(repr(json.loads(raw.decode("latin-1"))), repr(data))

    def test_key(self) -> None:
        """
        The cache's own prefix and version are a part of the key.
        """
        framework = Django(keyPrefix="shop", version=3)
        self.assertEqual(
            framework.key(SessionID("12345678")),
            "shop:3:django.contrib.sessions.cache12345678",
        )

    def test_new(self) -> None:
        """
        New sessions are empty.
        """
        document = self.framework.newDocument(NOW)
        self.assertEqual(document, Document({}, {}))
        self.assertEqual(self.framework.dumps(document, NOW), b"{}")

    def test_timeZone(self) -> None:
        """
        A time zone is what is one.
        """
        self.assertRaises(ValueError, Django, timeZone="Nowhere/Land")

    def test_pickle(self) -> None:
        """
        A pickle is refused by name.
        """
        raw = pickle.dumps({"s3cret": 1})
        self.assertUndecodable(self.framework, raw, "pickled=True")

    def test_unencodable(self) -> None:
        """
        What cannot be stored is refused by its keys, all of them.
        """
        bad: dict[Any, Any] = {"a": 1, "s": {"s3cret"}, "d": date(2000, 1, 1)}
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, Document(bad, {}), NOW
        )
        self.assertEqual(error.keys, ("s", "d"))
        self.assertNotIn("s3cret", str(error))


class PickledDjangoTests(OfDjango, StoringContract, RecordedCase):
    """
    Tests for L{Django}, where the cache pickles.
    """

    framework = Django(pickled=True)
    make = staticmethod(Django)
    recordings = (("django_cache_django", 5), ("django_cache_django_redis", 6))
    shown = "<Django cookieName='sessionid'>"
    undecodable = (
        b"",
        b'{"s3cret": 1}',
        pickle.dumps(["s3cret"]),
        pickle.dumps({"a": print}),
        pickle.dumps({"a": {bytearray: "s3cret"}}),
        pickle.dumps({"a": 10**5000}),
        pickle.dumps({"a": ["s3cret"] * 10**5}),
    )
    junk = st.binary() | (JUNK | JUNK.map(lambda value: {"a": value})).map(pickle.dumps)
    ids = "[0-9a-z]{32}"
    chosen = CHOSEN

    def made(self, config: dict[str, Any]) -> IFramework:
        return Django(
            cookieName=config["cookie_name"],
            cookieAge=config["cookie_age"],
            pickled=True,
        )

    def comparable(self, raw: bytes) -> object:
        # Its protocol may be another one.
        return repr(pickle.loads(raw))

    def assertWritten(
        self, framework: IFramework, raw: bytes, data: dict[str, Any]
    ) -> None:
        self.assertEqual(repr(pickle.loads(raw)), repr(data))

    def test_types(self) -> None:
        """
        Pickles hold what JSON does not have.
        """
        data: dict[str, Any] = {
            "when": datetime(2026, 1, 2, tzinfo=UTC),
            "price": Decimal("1.10"),
            "id": UUID(int=7),
            "pair": (1, b"x"),
            "n": {1: 2},
        }
        raw = pickle.dumps(data, pickle.HIGHEST_PROTOCOL)
        document = self.framework.loads(raw, NOW)
        self.assertEqual(document.data, data)
        self.assertEqual(pickle.loads(self.framework.dumps(document, NOW)), data)

    def test_words(self) -> None:
        """
        What is wrong is said.
        """
        for raw, words in [
            (b'{"s3cret": 1}', "no pickle; say pickled=False"),
            (b"\x80\x04s3cret", "not read: no pickle"),
            (pickle.dumps(["s3cret"]), "no dictionary"),
            (pickle.dumps({"a": print}), "plain values"),
            (pickle.dumps({"a": [WEEKS] * 10**5}), "too much"),
        ]:
            self.assertUndecodable(self.framework, raw, words)

    def test_unencodable(self) -> None:
        """
        What cannot be stored is refused by its keys, all of them.
        """
        bad: dict[Any, Any] = {"a": date(2000, 1, 1), "s": print, print: 1, 5: 1}
        bad |= {"n": 10**5000, "l": [], "b": bytearray(b"s3cret")}
        bad["l"].append(bad["l"])
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, Document(bad, {}), NOW
        )
        self.assertEqual(error.keys, ("s", print, "n", "l", "b"))
        large = {"a": "s3cret" * 100_000, "b": "s3cret" * 100_000}
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, Document(large, {}), NOW
        )
        self.assertEqual(error.keys, ("a", "b"))
        self.assertIn("too much altogether", str(error))
        self.assertIn("pickle", str(error))
        self.assertNotIn("s3cret", str(error))


class LifetimeTests(SynchronousTestCase):
    """
    Tests for how long Django's sessions and cookies live.
    """

    def assertLivesFor(
        self, expiry: object, lifetime: float, cookie: float | None, **options: Any
    ) -> None:
        framework = Django(**options)
        document = Document({"_session_expiry": expiry}, {})
        self.assertEqual(framework.lifetime(document, NOW), lifetime)
        self.assertEqual(framework.cookieLifetime(document, NOW), cookie)

    def test_settings(self) -> None:
        """
        Without C{set_expiry} the settings decide.
        """
        self.assertLivesFor(None, WEEKS, WEEKS)
        self.assertLivesFor(None, 60, 60, cookieAge=60)
        self.assertLivesFor(None, 60, None, cookieAge=60, expireAtBrowserClose=True)

    def test_expiry(self) -> None:
        """
        What C{set_expiry} said, counts: seconds, 0 for a cookie that lives
        until the browser is closed, or a date.
        """
        self.assertLivesFor(300, 300, 300, expireAtBrowserClose=True)
        self.assertLivesFor(0, WEEKS, None)
        self.assertLivesFor(-5, 0, 0)
        end = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=90)
        for expiry in end, end.isoformat(), end.replace(tzinfo=None).isoformat():
            framework = Django()
            document = Document({"_session_expiry": expiry}, {})
            self.assertIn(framework.lifetime(document, NOW), (89, 90))
            self.assertAlmostEqual(framework.cookieLifetime(document, NOW), 90, 3)
        self.assertLivesFor("2020-01-01T00:00:00+00:00", 0, 0)

    def test_timeZone(self) -> None:
        """
        Dates without a time zone are in the one that is set.
        """
        end = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=90.5)
        there = (end + timedelta(hours=9)).replace(tzinfo=None).isoformat()
        document = Document({"_session_expiry": there}, {})
        self.assertEqual(Django(timeZone="Asia/Tokyo").lifetime(document, NOW), 90)

    def test_odd(self) -> None:
        """
        What is no such thing counts as none.
        """
        odds: list[object] = ["soon", [], {}, True, 10**400]
        for odd in [*odds, float("nan"), float("inf")]:
            self.assertLivesFor(odd, WEEKS, WEEKS)
        self.assertLivesFor("0001-01-01T00:00:00+14:00", 0, 0)

    def test_visits(self) -> None:
        """
        A visit extends a session's life only where every request saves it.
        """
        document = Document({}, {})
        self.assertIs(Django().touchLifetime(document, NOW), KEEP)
        self.assertEqual(
            Django(saveEveryRequest=True).touchLifetime(document, NOW), WEEKS
        )


class IdentityTests(SynchronousTestCase):
    """
    Tests for who is logged in.
    """

    def test_hash(self) -> None:
        """
        The same user with another password hash, or from another backend, is
        somebody else.
        """
        who = whoIsLoggedIn(LOGIN)
        for key in LOGIN:
            self.assertNotEqual(who, whoIsLoggedIn(LOGIN | {key: "other"}))


class DjangoDatabaseTests(OfDjango, SecretsContract, StoringContract, RecordedCase):
    """
    Tests for L{DjangoDatabase}.
    """

    framework = DjangoDatabase(SECRET)
    alike = (DjangoDatabase([SECRET, "0ld-one"]),)
    make = staticmethod(partial(DjangoDatabase, secrets=SECRET))
    recordings = (("django_db", 6), ("django_cached_db", 7))
    shown = "<DjangoDatabase cookieName='sessionid'>"
    secrets = (SECRET, "0ld-one")
    byBytes = "eyJuIjoxfQ:1vMix6:6dq80MPj6qBt650GsDiICgIfBeVncEdaiFAXwR16ohs"
    undecodable = (
        b"",
        b"s3cret",
        b"::",
        b"a:b:c",
        "é:b:c".encode(),
        encoded("e30") + b"=",
        encoded("e30").replace(b":", b";"),
        signed({"s3cret": 1}, KEY, COOKIE_SALT, NOW),
        *map(encoded, NOT_SESSIONS),
    )
    junk = (
        st.binary()
        | st.from_regex(rb"\.?[\w-]*:[0-9A-Za-z]+:[\w-]+")
        | st.binary().map(lambda raw: encoded(packed(raw)))
        | st.binary().map(lambda raw: encoded("." + packed(zlib.compress(raw))))
        | JUNK.map(lambda value: encoded(packed(asJSON({"a": value}))))
    )
    ids = "[0-9a-z]{32}"
    chosen = CHOSEN

    def made(self, config: dict[str, Any]) -> IFramework:
        return DjangoDatabase(
            config["secrets"],
            cookieName=config["cookie_name"],
            cookieAge=config["cookie_age"],
        )

    def comparable(self, raw: bytes) -> object:
        # Time and compression may differ.
        packed = raw.partition(b":")[0].removeprefix(b".")
        plain = urlsafe_b64decode(packed + b"=" * (-len(packed) % 4))
        return zlib.decompress(plain) if raw.startswith(b".") else plain

    def test_cacheKey(self) -> None:
        """
        The copy that C{cached_db} has in the cache is found by the key.
        """
        count = 0
        for framework, case in self.recorded("django_cached_db", self.made):
            if case.get("cache_key"):
                count += 1
                assert isinstance(framework, DjangoDatabase)
                key = framework.key(SessionID(case["sid"]))
                self.assertEqual(framework.cacheKey(key), case["cache_key"])
        self.assertEqual(count, 6)
        other = DjangoDatabase(SECRET, keyPrefix="p", version=2)
        self.assertTrue(other.cacheKey("k").startswith("p:2:django."))

    def opened(self, framework: IFramework, value: str) -> object:
        return framework.loads(value.encode("ascii"), NOW)

    def test_resigned(self) -> None:
        """
        What Django signed, we would sign with the very same text, at the
        time at which it did; if it is small, as compression may differ.
        """
        for framework, case in self.recorded("django_db", self.made):
            if case["name"] == "new_session_counter":
                raw = b64decode(case["raw_b64"])
                at = case["recorded_at"]
                again = [
                    framework.dumps(framework.loads(raw, at), at - late)
                    for late in (0, 1)
                ]
                self.assertIn(raw, again)

    @given(SESSIONS, st.floats(0, 10**11))
    def test_anyTime(self, data: dict[str, Any], now: float) -> None:
        """
        What is stored comes back the same, whenever it is signed.
        """
        raw = self.framework.dumps(Document(data, {}), now)
        self.assertEqual(repr(self.framework.loads(raw, NOW).data), repr(data))

    def test_compressed(self) -> None:
        """
        Large sessions are compressed, and none becomes larger than memory.
        """
        data = {"a": "x" * 10_000}
        raw = self.framework.dumps(Document(data, {}), NOW)
        self.assertLess(len(raw), 300)
        self.assertTrue(raw.startswith(b"."))
        self.assertEqual(self.framework.loads(raw, NOW).data, data)
        bomb = signed({"a": "x" * (17 * 1024 * 1024)}, KEY, SALT, NOW)
        self.assertUndecodable(self.framework, bomb, "too large")

    def test_rotated(self) -> None:
        """
        The first secret signs, all verify.
        """
        new = DjangoDatabase(["a new secret", SECRET])
        raw = self.framework.dumps(Document({"a": 1}, {}), NOW)
        document = new.loads(raw, NOW)
        self.assertEqual(document.data, {"a": 1})
        self.assertUndecodable(
            self.framework, new.dumps(document, NOW), "another secret"
        )

    def test_unencodable(self) -> None:
        """
        What cannot be stored is refused by its keys.
        """
        error = self.assertRaises(
            UnencodableSession,
            self.framework.dumps,
            Document({"a": 1, "b": {1}, "c": [b""], "d": float("nan")}, {}),
            NOW,
        )
        self.assertEqual(error.keys, ("b", "c"))

    def test_changed(self) -> None:
        """
        What was changed by one letter is not read.
        """
        raw = self.framework.dumps(Document({"s3cret": 1}, {}), NOW)
        for at in range(len(raw)):
            if raw[at : at + 1] != b":":
                other = b"A" if raw[at : at + 1] != b"A" else b"B"
                changed = raw[:at] + other + raw[at + 1 :]
                self.assertUndecodable(self.framework, changed)


class DjangoSignedCookiesTests(
    OfDjango, SecretsContract, InBrowserContract, RecordedCase
):
    """
    Tests for L{DjangoSignedCookies}.
    """

    framework = DjangoSignedCookies(SECRET, cookieAge=100)
    make = staticmethod(partial(DjangoSignedCookies, secrets=SECRET))
    recordings = (("django_signed_cookies", 4),)
    shown = "<DjangoSignedCookies cookieName='sessionid'>"
    secrets = (SECRET,)
    byBytes = "eyJuIjoxfQ:1vMix6:r-GKamDw5inkHqkztQBszi29RCUUIhpYeGc5yNprOPg"
    cookie = signed({"n": 1}, KEY, COOKIE_SALT, NOW).decode()
    signed = int(NOW)
    malformed = (
        *("", "a", "a:b", "a:b:c;", f"é{cookie}", f"{cookie}\n", "\ud800"),
        cookie * 200,
        *(encoded(payload, COOKIE_SALT).decode() for payload in NOT_SESSIONS),
    )
    cookies = (
        COOKIES
        | st.from_regex(r"\.?[\w-]*:[0-9A-Za-z]+:[\w-]+")
        | JUNK.map(lambda value: packed(asJSON({"_session_expiry": value}))).map(
            lambda payload: encoded(payload, COOKIE_SALT).decode()
        )
    )
    undecodable = tuple(encoded(payload, COOKIE_SALT) for payload in NOT_SESSIONS)
    junk = st.binary() | (
        JUNK
        | JUNK.map(lambda value: {"a": value})
        | JUNK.map(lambda value: {"_session_expiry": value})
    ).map(lambda value: encoded(packed(asJSON(value)), COOKIE_SALT))

    def test_notFinite(self) -> None:
        """
        Numbers that JSON has not are what Python reads.
        """
        raw = signed(
            {"a": [float("nan"), float("inf")]}, SECRET.encode(), COOKIE_SALT, NOW
        )
        self.assertEqual(repr(self.framework.loads(raw, NOW).data), "{'a': [nan, inf]}")

    def made(self, config: dict[str, Any]) -> IFramework:
        return DjangoSignedCookies(
            config["secrets"],
            cookieName=config["cookie_name"],
            cookieAge=config["cookie_age"],
        )

    def test_expiry(self) -> None:
        """
        Where C{set_expiry} said less, that is when it is too old; not if it
        said more.
        """
        for expiry, age in (10, 11), (1000, 101):
            raw = signed({"_session_expiry": expiry}, KEY, COOKIE_SALT, NOW)
            end = self.framework.deadline(SessionID(raw.decode()))
            self.assertEqual(end, int(NOW) + age)

    def test_notOurs(self) -> None:
        """
        What others signed, or what we did as something else, is told apart.
        """
        for secret, salt in (KEY, SALT), (b"other", COOKIE_SALT):
            cookie = signed({}, secret, salt, NOW).decode()
            self.assertInvalid(cookie, NOW, "bad-signature")
