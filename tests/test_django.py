"""
Tests for L{txsessionsock.frameworks.django}.
"""

from __future__ import annotations

import json
import pickle
import zlib
from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from txsessionsock.frameworks._signing import _signature, signed
from txsessionsock.frameworks.django import (
    Django,
    DjangoDatabase,
    DjangoSignedCookies,
    whoIsLoggedIn,
)
from txsessionsock.interfaces import (
    KEEP,
    Document,
    IFramework,
    InvalidCredential,
    ISignedCookies,
    SessionID,
    UnencodableSession,
)

from .recorded import COOKIES, NOW, SESSIONS, VALUES, RecordedCase


SECRET = "django-test-secret-0123456789abcdefghijklmnop"
SALT = "django.contrib.sessions.SessionStore"
COOKIE_SALT = "django.contrib.sessions.backends.signed_cookies"
WEEKS = 1209600


def cached(config: dict[str, Any]) -> Django:
    """
    A framework that is set like a recorded one.
    """
    return Django(
        cookieName=config["cookie_name"],
        cookieAge=config["cookie_age"],
        pickled=config["serializer"] != "json",
    )


def inDatabase(config: dict[str, Any]) -> DjangoDatabase:
    """
    A framework that is set like a recorded one.
    """
    return DjangoDatabase(
        config["secrets"],
        cookieName=config["cookie_name"],
        cookieAge=config["cookie_age"],
    )


def inCookie(config: dict[str, Any]) -> DjangoSignedCookies:
    """
    A framework that is set like a recorded one.
    """
    return DjangoSignedCookies(
        config["secrets"],
        cookieName=config["cookie_name"],
        cookieAge=config["cookie_age"],
    )


class DjangoTests(RecordedCase):
    """
    Tests for L{Django}, the sessions in the cache.
    """

    framework = Django()

    def test_interface(self) -> None:
        """
        It is a framework, in which the last of two cookies wins.
        """
        verifyObject(IFramework, self.framework)
        self.assertFalse(self.framework.firstCookieWins)
        self.assertFalse(self.framework.readOnly)
        self.assertEqual(repr(self.framework), "<Django cookieName='sessionid'>")
        self.assertRaises(ValueError, Django, cookieName="a b")
        self.assertRaises(KeyError, Django, timeZone="Nowhere/Land")

    def test_recorded(self) -> None:
        """
        What the real one wrote is what we read, as JSON and pickled, with
        Django's cache and with C{django-redis}.
        """
        for name, valid in [
            ("django_cache_django", 5),
            ("django_cache_django_json", 7),
            ("django_cache_django_redis", 6),
            ("django_cache_django_redis_json", 6),
        ]:
            self.check(name, cached, valid=valid)

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
        New sessions are empty, and their ids are like Django's.
        """
        sessionID = self.framework.newSessionID()
        self.assertRegex(sessionID, "^[0-9a-z]{32}$")
        self.assertNotEqual(sessionID, self.framework.newSessionID())
        document = self.framework.newDocument(NOW)
        self.assertEqual(document, Document({}, {}))
        self.assertEqual(self.framework.dumps(document, NOW), b"{}")

    def test_cookies(self) -> None:
        """
        An id is what can be one.
        """
        for good in "12345678", "a" * 256, "(own)+id!":
            self.assertEqual(self.framework.sessionID(good, NOW), good)
        for bad in "", "1234567", "a" * 257, "a b c d e f", "abcdefgh;", "ééééééééé":
            error = self.assertRaises(
                InvalidCredential, self.framework.sessionID, bad, NOW
            )
            self.assertEqual(error.reason, "malformed")

    @given(COOKIES)
    def test_anyCookie(self, cookie: str) -> None:
        """
        A cookie is an id or malformed.
        """
        self.assertOnlyInvalid(self.framework, cookie)

    @given(SESSIONS)
    def test_roundTrip(self, data: dict[str, Any]) -> None:
        """
        What is stored comes back the same, as JSON and pickled, and is what
        Django reads, which takes it for Latin-1.
        """
        document = Document(data, {})
        raw = self.framework.dumps(document, NOW)
        self.assertEqual(repr(self.framework.loads(raw, NOW).data), repr(data))
        self.assertEqual(repr(json.loads(raw.decode("latin-1"))), repr(data))
        pickled = Django(pickled=True)
        raw = pickled.dumps(document, NOW)
        self.assertEqual(repr(pickled.loads(raw, NOW).data), repr(data))
        self.assertEqual(repr(pickle.loads(raw)), repr(data))

    def test_pickled(self) -> None:
        """
        Pickles are read when asked for, and hold what JSON does not have.
        """
        data: dict[str, Any] = {
            "when": datetime(2026, 1, 2, tzinfo=UTC),
            "price": Decimal("1.10"),
            "id": UUID(int=7),
            "pair": (1, b"x"),
            "n": {1: 2},
        }
        raw = pickle.dumps(data, pickle.HIGHEST_PROTOCOL)
        pickled = Django(pickled=True)
        document = pickled.loads(raw, NOW)
        self.assertEqual(document.data, data)
        self.assertEqual(pickle.loads(pickled.dumps(document, NOW)), data)
        self.assertUndecodable(self.framework, raw, "pickled=True")
        self.assertUndecodable(pickled, b'{"a": 1}', "not read: no pickle")
        self.assertUndecodable(pickled, pickle.dumps([1]), "no dictionary")
        self.assertUndecodable(pickled, pickle.dumps({1: 2}), "key that is no text")
        self.assertUndecodable(pickled, pickle.dumps({"a": print}), "plain values")
        self.assertUndecodable(
            pickled, pickle.dumps({"a": [WEEKS] * 10**5}), "too much"
        )

    def test_unencodable(self) -> None:
        """
        What cannot be stored is refused by its keys, all of them.
        """
        bad: dict[Any, Any] = {"a": 1, "s": {"s3cret"}, "d": date(2000, 1, 1)}
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, Document(bad, {}), NOW
        )
        self.assertEqual(error.keys, ("s", "d"))
        bad = {"a": date(2000, 1, 1), "s": print, 5: 1, "n": 10**5000, "l": []}
        bad["l"].append(bad["l"])
        error = self.assertRaises(
            UnencodableSession, Django(pickled=True).dumps, Document(bad, {}), NOW
        )
        self.assertEqual(error.keys, ("s", 5, "n", "l"))
        self.assertIn("pickle", str(error))
        self.assertNotIn("s3cret", str(error))

    def test_undecodable(self) -> None:
        """
        What is no session is reported as such, without showing it.
        """
        for raw in [
            b"",
            b"s3cret",
            b"5",
            b'["s3cret"]',
            b'{"s3cret":NaN}',
            b'{"a":' + b"[" * 100_000,
        ]:
            self.assertUndecodable(self.framework, raw)

    @given(st.binary() | VALUES.map(lambda value: json.dumps({"a": value}).encode()))
    def test_junk(self, raw: bytes) -> None:
        """
        Whatever is in the store, it is a session or undecodable.
        """
        self.assertStable(self.framework, raw)
        self.assertStable(Django(pickled=True), raw)


class LifetimeTests(RecordedCase):
    """
    Tests for how long Django's sessions and cookies live.
    """

    def assertLives(
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
        self.assertLives(None, WEEKS, WEEKS)
        self.assertLives(None, 60, 60, cookieAge=60)
        self.assertLives(None, 60, None, cookieAge=60, expireAtBrowserClose=True)

    def test_expiry(self) -> None:
        """
        What C{set_expiry} said, counts: seconds, 0 for a cookie that lives
        until the browser is closed, or a date.
        """
        self.assertLives(300, 300, 300, expireAtBrowserClose=True)
        self.assertLives(0, WEEKS, None)
        self.assertLives(-5, 0, 0)
        end = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=90)
        for expiry in end, end.isoformat(), end.replace(tzinfo=None).isoformat():
            framework = Django()
            document = Document({"_session_expiry": expiry}, {})
            self.assertIn(framework.lifetime(document, NOW), (89, 90))
            self.assertAlmostEqual(framework.cookieLifetime(document, NOW), 90, 3)
        self.assertLives("2020-01-01T00:00:00+00:00", 0, 0)

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
            self.assertLives(odd, WEEKS, WEEKS)
        self.assertLives("0001-01-01T00:00:00+14:00", 0, 0)

    def test_visits(self) -> None:
        """
        A visit extends a session's life only where every request saves it.
        """
        document = Document({}, {})
        self.assertIs(Django().touchLifetime(document, NOW), KEEP)
        self.assertEqual(
            Django(saveEveryRequest=True).touchLifetime(document, NOW), WEEKS
        )


class IdentityTests(RecordedCase):
    """
    Tests for who is logged in.
    """

    def test_hash(self) -> None:
        """
        The same user with another password hash, or from another backend, is
        somebody else.
        """
        login = {
            "_auth_user_id": "1",
            "_auth_user_backend": "b",
            "_auth_user_hash": "h",
        }
        who = whoIsLoggedIn(login | {"visits": 1})
        self.assertEqual(who, Django().identity(login))
        for key in login:
            self.assertNotEqual(who, whoIsLoggedIn(login | {key: "other"}))
        self.assertIsNone(whoIsLoggedIn({"_auth_user_hash": "h"}))

    def test_own(self) -> None:
        """
        An application may say itself who that is.
        """
        framework = DjangoDatabase(SECRET, identity=lambda data: data.get("member_id"))
        self.assertEqual(framework.identity({"member_id": 3}), 3)


class DjangoDatabaseTests(RecordedCase):
    """
    Tests for L{DjangoDatabase}.
    """

    framework = DjangoDatabase(SECRET)

    def test_interface(self) -> None:
        """
        It is a framework, which does not show its secret.
        """
        verifyObject(IFramework, self.framework)
        self.assertNotIn(SECRET, repr(self.framework))
        for bad in "", [], [SECRET, ""], [b"s3cret"], ["s3cret\udcff"]:
            error = self.assertRaises(ValueError, DjangoDatabase, bad)
            self.assertNotIn("s3cret", str(error))

    def test_recorded(self) -> None:
        """
        What the real one wrote is what we read, and lives as long; what has
        ended is for the store to tell.
        """
        for name, valid in ("django_db", 6), ("django_cached_db", 7):
            count = 0
            for framework, case in self.recorded(name, inDatabase):
                if case["name"] == "expired_row":
                    continue
                isRefused = self.isRefused(framework, case)
                self.assertIs(isRefused, not case["valid"], case["name"])
                count += not isRefused
                if not isRefused and case["name"] != "rotated_secret":
                    end = datetime.fromisoformat(case["expire_date"] + "+00:00")
                    document = framework.loads(b64decode(case["raw_b64"]), NOW)
                    lifetime = framework.lifetime(document, case["recorded_at"])
                    assert isinstance(lifetime, (int, float))
                    late = case["recorded_at"] + lifetime - end.timestamp()
                    self.assertLess(abs(late), 1)
            self.assertEqual(count, valid)

    def test_cacheKey(self) -> None:
        """
        The copy that C{cached_db} has in the cache is found by the key.
        """
        count = 0
        for framework, case in self.recorded("django_cached_db", inDatabase):
            if case.get("cache_key"):
                count += 1
                assert isinstance(framework, DjangoDatabase)
                key = framework.key(SessionID(case["sid"]))
                self.assertEqual(framework.cacheKey(key), case["cache_key"])
        self.assertEqual(count, 6)
        other = DjangoDatabase(SECRET, keyPrefix="p", version=2)
        self.assertTrue(other.cacheKey("k").startswith("p:2:django."))

    def test_rewritten(self) -> None:
        """
        What Django signed, we would sign with the very same text, at the
        time at which it did; if it is small, as compression may differ.
        """
        for framework, case in self.recorded("django_db", inDatabase):
            if case["name"] == "new_session_counter":
                raw = b64decode(case["raw_b64"])
                at = case["recorded_at"]
                again = [
                    framework.dumps(framework.loads(raw, at), at - late)
                    for late in (0, 1)
                ]
                self.assertIn(raw, again)

    @given(SESSIONS, st.floats(0, 10**11))
    def test_roundTrip(self, data: dict[str, Any], now: float) -> None:
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
        bomb = signed({"a": "x" * (17 * 1024 * 1024)}, SECRET, SALT, NOW)
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
            Document({"a": 1, "b": {1}, "c": float("nan")}, {}),
            NOW,
        )
        self.assertEqual(error.keys, ("b", "c"))

    def test_undecodable(self) -> None:
        """
        What was changed, or signed as something else, is not read.
        """
        raw = self.framework.dumps(Document({"s3cret": 1}, {}), NOW)
        for at in range(len(raw)):
            if raw[at : at + 1] != b":":
                other = b"A" if raw[at : at + 1] != b"A" else b"B"
                changed = raw[:at] + other + raw[at + 1 :]
                self.assertUndecodable(self.framework, changed)
        for bad in [
            b"",
            b"s3cret",
            b"::",
            b"a:b:c",
            raw + b"=",
            raw.replace(b":", b";"),
            "é".encode() + raw,
            signed({"s3cret": 1}, SECRET, COOKIE_SALT, NOW),
            signed(["s3cret"], SECRET, SALT, NOW),
        ]:
            self.assertUndecodable(self.framework, bad)

    def test_signedNonsense(self) -> None:
        """
        What is signed and no session, is not read either.
        """
        cut = zlib.compress(b"{}" * 50)[:-4]
        for payload in [
            "",
            ".",
            "A",
            ".AAAA",
            "." + urlsafe_b64encode(cut).decode().rstrip("="),
            urlsafe_b64encode(b'{"s3cret"').decode().rstrip("="),
            urlsafe_b64encode(b"[" * 5000).decode().rstrip("="),
        ]:
            timed = f"{payload}:1xVBlY"
            mac = _signature(timed, SECRET, SALT)
            self.assertUndecodable(self.framework, f"{timed}:{mac}".encode())

    @given(st.binary() | st.from_regex(rb"\.?[\w-]*:[0-9A-Za-z]+:[\w-]+"))
    def test_junk(self, raw: bytes) -> None:
        """
        Whatever is in the store, it is a session or undecodable.
        """
        self.assertStable(self.framework, raw)


class DjangoSignedCookiesTests(RecordedCase):
    """
    Tests for L{DjangoSignedCookies}.
    """

    framework = DjangoSignedCookies(SECRET, cookieAge=100)

    def cookie(self, data: object, now: float = NOW) -> str:
        """
        What Django would set.
        """
        return signed(data, SECRET, COOKIE_SALT, now).decode()

    def assertInvalid(self, cookie: str, now: float, reason: str) -> None:
        error = self.assertRaises(
            InvalidCredential, self.framework.sessionID, cookie, now
        )
        self.assertEqual(error.reason, reason)
        self.assertIsNone(error.__context__)

    def test_interface(self) -> None:
        """
        It is a framework whose sessions live in the browser.
        """
        verifyObject(ISignedCookies, self.framework)
        self.assertTrue(self.framework.readOnly)
        self.assertNotIn(SECRET, repr(self.framework))
        self.assertRaises(ValueError, DjangoSignedCookies, "")

    def test_recorded(self) -> None:
        """
        What the real one set is what we read, also by an old secret.
        """
        self.check("django_signed_cookies", inCookie, valid=4)

    def test_age(self) -> None:
        """
        A cookie is good until it is too old, and its deadline is when it is.
        """
        cookie = self.cookie({"a": 1})
        sessionID = self.framework.sessionID(cookie, NOW + 99)
        self.assertEqual(sessionID, cookie)
        end = int(NOW) + 101
        self.assertEqual(self.framework.deadline(sessionID), end)
        self.framework.sessionID(cookie, end - 0.01)
        self.assertInvalid(cookie, end, "expired")
        self.assertInvalid(cookie, NOW - 100, "expired")
        document = self.framework.loads(sessionID.encode(), NOW)
        self.assertEqual(document, Document({"a": 1}, {}))
        self.assertIs(self.framework.touchLifetime(document, NOW), KEEP)

    def test_expiry(self) -> None:
        """
        Where C{set_expiry} said less, that is when it is too old; not if it
        said more.
        """
        cookie = self.cookie({"_session_expiry": 10})
        self.assertEqual(self.framework.deadline(SessionID(cookie)), int(NOW) + 11)
        cookie = self.cookie({"_session_expiry": 1000})
        self.assertEqual(self.framework.deadline(SessionID(cookie)), int(NOW) + 101)

    def test_invalid(self) -> None:
        """
        What is not signed by us, or no session, is told apart.
        """
        good = self.cookie({"a": 1})
        self.assertInvalid(good[:-1] + "_", NOW, "bad-signature")
        self.assertInvalid("x" + good, NOW, "bad-signature")
        self.assertInvalid(signed({}, SECRET, SALT, NOW).decode(), NOW, "bad-signature")
        other = signed({}, "other", COOKIE_SALT, NOW).decode()
        self.assertInvalid(other, NOW, "bad-signature")
        self.assertInvalid(self.cookie([1]), NOW, "malformed")
        self.assertInvalid(self.cookie({"a": "x" * 10}) * 200, NOW, "malformed")
        for bad in "", "a", "a:b", "é" + good, good + "\n", "\ud800":
            self.assertInvalid(bad, NOW, "malformed")
        self.assertRaises(InvalidCredential, self.framework.deadline, SessionID("x"))

    def test_readOnly(self) -> None:
        """
        Nothing can be stored.
        """
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, Document({"a": 1}, {}), NOW
        )
        self.assertEqual(error.keys, ("a",))

    @given(COOKIES | st.from_regex(r"\.?[\w-]*:[0-9A-Za-z]+:[\w-]+"))
    def test_anyCookie(self, cookie: str) -> None:
        """
        A cookie is an id or invalid.
        """
        self.assertOnlyInvalid(self.framework, cookie)
