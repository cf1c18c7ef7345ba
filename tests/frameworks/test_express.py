"""
Tests for L{txsessionsock.frameworks.express}.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64decode
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from functools import partial
from typing import Any, ClassVar, NamedTuple
from unittest import skipUnless
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frameworkcontract import SecretsContract, StoringContract
from tests.support.recorded import NOW, RecordedCase
from txsessionsock.cookies import sign
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    Document,
    IFramework,
    InvalidCredential,
    SessionID,
    UnencodableSession,
)


SECRET = "keyboard cat"
ENVELOPE = {"originalMaxAge": None, "expires": None, "httpOnly": True, "path": "/"}
MINUTE = ENVELOPE | {"originalMaxAge": 60000, "expires": "2020-01-01T00:00:00.000Z"}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.just("lone \ud800 surrogate")
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc\ud800", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.text("abcé\ud800", max_size=3)
SESSIONS = st.dictionaries(KEYS, JSON, max_size=4)


class Colour(IntEnum):
    """
    Something that looks like a number and comes back as one.
    """

    RED = 1


class Pair(NamedTuple):
    """
    Something that looks like a tuple and comes back as a list.
    """

    left: int
    right: int


class ExpressTests(SecretsContract, StoringContract, RecordedCase):
    """
    Tests for L{Express}.
    """

    framework = Express(SECRET)
    alike = (
        Express([SECRET, "older"], maxAge=60),
        Express(SECRET, disableTTL=True, disableTouch=True),
    )
    make = staticmethod(partial(Express, secrets=SECRET))
    recordings = (("express", 12),)
    firstCookieWins = True
    shown = "<Express cookieName='connect.sid' prefix='sess:'>"
    secrets = (SECRET, "older")
    byBytes = "s:abc.cKQah9MNfe4vOBzsRELC4y5x8NRJ/gkECAPpsF8tRMo"
    identities = (
        ({"passport": {"user": 1}, "userId": 2, "user": 3}, 1),
        ({"passport": {"user": {"id": 1, "name": "x"}}}, 1),
        ({"passport": {}, "userId": 2, "user": 3}, 2),
        ({"userId": None, "user": {"id": "a", "n": 1}}, "a"),
        ({"user": "ann"}, "ann"),
        ({"userId": 0}, 0),
        ({"passport": {"user": {"_id": "a", "name": "x"}}, "userId": 2}, "a"),
        ({"passport": {"user": {}}, "userId": 2}, 2),
        ({"user": False, "userId": ""}, None),
        ({"passport": "x"}, None),
        ({}, None),
    )
    malformed = (
        "",
        "s:",
        "s%3A",
        "%",
        "s%3Aabc%zz",
        "s%3A%ff.abc",
        "s:" + sign("", SECRET),
        "x" * 4097,
        "s:" + sign("x" * 4096, SECRET),
    )
    cookies = (
        st.text()
        | st.text("s:%3A.abc\ud800").map("s:{}".format)
        | st.text().map(lambda text: "s:" + sign(text, SECRET))
    )
    undecodable = (
        b"",
        b"s3cret",
        b'{"cookie":{},"s3cret":"\xff"}',
        b'{"cookie":{},"s3cret":',
        b'{"cookie":{},"s3cret":NaN}',
        b'{"cookie":{},"s3cret":1e400}',
        b'{"cookie":{},"s3cret":"\\ud800" s3cret}',
        b'\xef\xbb\xbf{"cookie":{}}',
        '{"cookie":{}}'.encode("utf-16"),
        b'["cookie"]',
        b'"cookie"',
        b"null",
        b'{"s3cret":1}',
        b'{"cookie":null}',
        b'{"cookie":"s3cret"}',
        b'{"cookie":{},"s3cret":' + b"9" * 5000 + b"}",
        b'{"cookie":{},"a":' + b"[" * 100_000,
        b'{"cookie":{},"a":' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"cookie":{},"a":"\\ud800","b":' + b"[" * 150 + b"]" * 150 + b"}",
    )
    junk = (
        st.binary()
        | JSON.map(lambda value: json.dumps(value).encode())
        | JSON.map(lambda value: json.dumps({"cookie": value, "a": value}).encode())
        | JSON.map(
            lambda value: json.dumps({"cookie": {"originalMaxAge": value}}).encode()
        )
    )
    ids = "[A-Za-z0-9_-]{32}"
    chosen: ClassVar[dict[str, str]] = {
        "s%3A%C3%A9%201.RvzIqK6TMyoGJiLPqkG1ikLP8duAueGJ1PuDSJj5gnY": "é 1",
        "s%3A%C3%A9%202.0%2FUIpDIGi0FRpVbW9psKvCO2OgK9n3dxXxzGV8WssLA": "é 2",
        "s%3A%C3%A9%203.FkAnTQiZrzRpKmQ883dXC7xOaN%2FL1WA1xHQN16d4z%2F0": "é 3",
        "s%3A%D0%9F.Ce8S6u2wAajR8F0%2FF2mG0fSTZoWQn07MZ2ilN%2BPZNNI": "П",
        "s%3A%D0%9F1.RWmh7wIX5veXs4Vz6M4nJTyKGa%2BicGlehAMrkUwTUvY": "П1",
        "s%3A%F0%9F%98%80.%2BklYz%2BiWGNAwYTeBCL7TaJJzlvJIrrfWOupehh11LrE": "😀",
        "s%3A%F0%9F%98%801.tMtMkV%2Fmx2kpMHpO2Nec6Ec%2FF%2BQYQvrfbdUVKL0KIyQ": "😀1",
        "s%3Aa%25b%3Bc.gufLCR9av4PK2uiWD9A%2Bgl50WGR59k0vhvJxGQel6JM": "a%b;c",
    }
    sessions = SESSIONS
    envelope: ClassVar[dict[str, Any]] = {
        **ENVELOPE,
        "secure": True,
        "sameSite": "lax",
        "domain": "example.com",
        "priority": "high",
        "partitioned": True,
        "more": ["\ud800"],
    }

    def made(self, config: dict[str, Any]) -> IFramework:
        return Express(
            config["secrets"],
            cookieName=config["cookie_name"],
            prefix=config["prefix"],
            ttl=config["ttl"],
        )

    def comparable(self, raw: bytes) -> object:
        # The date is renewed.
        return re.sub(rb'"expires":"[^"]*"', b"", raw)

    def test_readBack(self) -> None:
        """
        What we read is what Express read back, apart from its own.
        """
        count = 0
        for framework, case in self.stored():
            if case["framework_read_back"]:
                data = framework.loads(b64decode(case["raw_b64"]), NOW).data
                readBack = dict(case["framework_read_back"])
                readBack.pop("cookie", None)
                self.assertEqual(data, readBack)
                count += 1
        self.assertEqual(count, 12)


class CredentialTests(SynchronousTestCase):
    """
    Tests for cookies and session ids.
    """

    framework = Express([SECRET, "older"])

    def reason(self, value: str) -> str | None:
        """
        Why a cookie names no session, L{None} if it does.
        """
        try:
            self.framework.sessionID(value, NOW)
        except InvalidCredential as error:
            return error.reason
        return None

    def test_unencoded(self) -> None:
        """
        A client may leave the value without percent-encoding, as Express
        lets it.
        """
        self.assertIsNone(self.reason("s:" + sign("abc", SECRET)))

    def test_rotated(self) -> None:
        """
        All secrets verify, the first one signs.
        """
        self.assertIsNone(self.reason("s:" + sign("abc", "older")))
        value = self.framework.cookieValue(SessionID("abc"))
        self.assertEqual(unquote(value), "s:" + sign("abc", SECRET))

    def test_genid(self) -> None:
        """
        An application may make ids of its own, with dots in them too.
        """
        for own in "user.42.0123456789", "(a)!*'~", "a%b", "a/b+c", "a\n", "s:a.b":
            value = self.framework.cookieValue(SessionID(own))
            self.assertEqual(self.framework.sessionID(value, NOW), own)

    def test_badSignature(self) -> None:
        """
        An id with no signature or with somebody else's is told apart.
        """
        for forged in [
            "abc",
            "s:abc",
            "s:abc.",
            "abc.def",
            sign("abc", SECRET),
            "s:" + sign("abc", "another"),
            "S:" + sign("abc", SECRET),
            "s:é." + "x" * 43,
            "s:\ud800.abc",
            "s:" + sign("abc", SECRET) + "=",
        ]:
            self.assertEqual(self.reason(forged), "bad-signature", forged)

    def test_oneSecret(self) -> None:
        """
        One secret will do.
        """
        self.assertEqual(
            Express(SECRET).cookieValue(SessionID("a")),
            Express([SECRET]).cookieValue(SessionID("a")),
        )


class LifetimeTests(SynchronousTestCase):
    """
    Tests for how long sessions and their cookies live.
    """

    def test_new(self) -> None:
        """
        A new session has the envelope of one that Express made.
        """
        document = Express(SECRET).newDocument(NOW)
        self.assertEqual(document, Document({}, ENVELOPE))
        self.assertEqual(list(document.envelope), list(ENVELOPE))
        self.assertEqual(
            Express(SECRET, maxAge=60).newDocument(NOW).envelope,
            MINUTE | {"expires": "2026-11-22T17:55:04.919Z"},
        )

    def test_cookieOptions(self) -> None:
        """
        What the application has its cookies be, those of our sessions are, too,
        in the order in which C{express-session} writes it.
        """
        options: dict[str, str | bool] = {
            **{"sameSite": "lax", "domain": "example.com", "secure": True},
            **{"priority": "high", "partitioned": True, "path": "/shop"},
        }
        framework = Express(SECRET, cookie=options)
        envelope = framework.newDocument(NOW).envelope
        self.assertEqual(
            json.dumps(envelope),
            '{"originalMaxAge": null, "partitioned": true, "priority": "high",'
            ' "expires": null, "secure": true, "httpOnly": true,'
            ' "domain": "example.com", "path": "/shop", "sameSite": "lax"}',
        )
        for bad in "maxAge", "originalMaxAge", "expires", "samesite":
            error = self.assertRaises(ValueError, Express, SECRET, cookie={bad: "x"})
            self.assertIn(bad, str(error))

    def test_browserSession(self) -> None:
        """
        Without a lifetime of its own a cookie lives until the browser is
        closed, and the session for C{ttl} from each visit on.
        """
        framework = Express(SECRET, ttl=100)
        document = framework.newDocument(NOW)
        self.assertIsNone(framework.cookieLifetime(document, NOW))
        self.assertEqual(framework.lifetime(document, NOW), 100)
        self.assertEqual(framework.touchLifetime(document, NOW), 100)

    def test_maxAge(self) -> None:
        """
        A cookie with a lifetime takes its session along, in whole seconds.
        """
        framework = Express(SECRET, maxAge=0.5)
        document = framework.newDocument(NOW)
        self.assertEqual(framework.cookieLifetime(document, NOW), 0.5)
        self.assertEqual(framework.lifetime(document, NOW), 1)
        self.assertEqual(framework.touchLifetime(document, NOW), 1)

    def test_stale(self) -> None:
        """
        Express leaves the date in the store behind when a visit extends a
        session; it is renewed with a write, and the session lives on.
        """
        framework = Express(SECRET)
        stored = json.dumps({"cookie": MINUTE, "a": 1}).encode()
        document = framework.loads(stored, NOW)
        self.assertEqual(document, Document({"a": 1}, dict(MINUTE)))
        self.assertEqual(framework.lifetime(document, NOW), 60)
        again = framework.loads(framework.dumps(document, NOW), NOW)
        self.assertEqual(
            again,
            Document({"a": 1}, MINUTE | {"expires": "2026-11-22T17:55:04.919Z"}),
        )
        self.assertEqual(list(again.envelope), list(MINUTE))
        self.assertEqual(document.envelope, MINUTE)

    def test_dateAlone(self) -> None:
        """
        A date without a lifetime to renew it by does not stay either.
        """
        framework = Express(SECRET)
        document = Document({}, MINUTE | {"originalMaxAge": None})
        self.assertEqual(framework.lifetime(document, NOW), 86400)
        again = framework.loads(framework.dumps(document, NOW), NOW)
        self.assertIsNone(again.envelope["expires"])

    def test_over(self) -> None:
        """
        C{connect-redis} ends a session whose lifetime is not above 0.
        """
        framework = Express(SECRET)
        for over in 0, -1, -5000:
            document = Document({}, MINUTE | {"originalMaxAge": over})
            self.assertEqual(framework.lifetime(document, NOW), 0)
            self.assertEqual(framework.cookieLifetime(document, NOW), 0)

    def test_odd(self) -> None:
        """
        What is no lifetime counts as none.
        """
        framework = Express(SECRET)
        odds: list[object] = ["60000", True, [], {}, 1e300, 10**400]
        for odd in [*odds, float("inf"), float("nan")]:
            document = Document({}, MINUTE | {"originalMaxAge": odd})
            self.assertEqual(framework.lifetime(document, NOW), 86400)
            self.assertIsNone(framework.cookieLifetime(document, NOW))

    def test_disableTTL(self) -> None:
        """
        The options of C{connect-redis} turn off what they turn off there.
        """
        document = Document({}, dict(MINUTE))
        framework = Express(SECRET, disableTTL=True)
        self.assertIs(framework.lifetime(document, NOW), FOREVER)
        self.assertIs(framework.touchLifetime(document, NOW), KEEP)
        framework = Express(SECRET, disableTouch=True)
        self.assertEqual(framework.lifetime(document, NOW), 60)
        self.assertIs(framework.touchLifetime(document, NOW), KEEP)


class EncodingTests(RecordedCase):
    """
    Tests for what cannot be stored.
    """

    framework = Express(SECRET)

    def refused(self, data: dict[Any, Any]) -> tuple[str, tuple[str, ...]]:
        """
        What is said about data that cannot be stored.
        """
        document = Document(data, dict(ENVELOPE))
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, document, NOW
        )
        return str(error), error.keys

    @given(SESSIONS, st.dictionaries(KEYS, JSON, max_size=2))
    def test_anyEnvelope(self, data: dict[str, Any], more: dict[str, Any]) -> None:
        """
        Whatever else is in the envelope, it is left alone.
        """
        document = Document(data, ENVELOPE | more)
        again = self.framework.loads(self.framework.dumps(document, NOW), NOW)
        self.assertEqual(repr(again.envelope), repr(document.envelope))

    def test_tuples(self) -> None:
        """
        Tuples are lists.
        """
        raw = self.framework.dumps(Document({"a": (1, (2,))}, {}), NOW)
        self.assertEqual(raw, b'{"cookie":{},"a":[1,[2]]}')

    def test_foreign(self) -> None:
        """
        What JSON does not have is refused, also where the encoder would write
        something else in its place; the message names key and type, and never
        the value.
        """
        for value, kind in [
            (datetime(1999, 12, 31), "datetime"),
            ({"s3cret"}, "set"),
            (b"s3cret", "bytes"),
            (Decimal("1999"), "Decimal"),
            (float("nan"), "float that is not finite"),
            (float("-inf"), "float that is not finite"),
            (Colour.RED, "Colour"),
            (defaultdict(int), "defaultdict"),
            (Pair(1, 2), "Pair"),
            ({1999: "s3cret"}, "int as a key"),
            ({None: "s3cret"}, "NoneType as a key"),
            (Document({"s3cret": 1}, {}), "Document"),
        ]:
            for nested, place in (
                *((value, ""), ([1, value], "[1]")),
                ({"x": [(value,)]}, "['x'][0][0]"),
            ):
                message, keys = self.refused({"fine": 1, "bad": nested})
                said = f"cannot be stored as JSON: session['bad']{place}: {kind} (store"
                self.assertIn(said, message)
                self.assertNotIn("s3cret", message)
                self.assertNotIn("1999", message)
                self.assertEqual(keys, ("bad",))

    def test_severalKeys(self) -> None:
        """
        All keys that are in the way are named.
        """
        message, keys = self.refused({"a": {1}, "b": [], "c": b"", "cookie": {}, 5: 1})
        self.assertEqual(keys, ("a", "c", "cookie", 5))
        for word in "['a']: set", "['c']: bytes", "['cookie']: the name", "int as a k":
            self.assertIn(word, message)

    def test_attributes(self) -> None:
        """
        What C{req.session} has by itself under a name cannot be stored under
        it, and is not read from there.
        """
        for name in "id", "save", "req", "__proto__", "toString":
            self.assertEqual(self.refused({name: 1, "a": 1})[1], (name,))
        raw = b'{"cookie":{},"id":"s3cret","a":{"id":1},"toString":1}'
        self.assertEqual(self.framework.loads(raw, NOW).data, {"a": {"id": 1}})

    def test_envelopeIsSafe(self) -> None:
        """
        A handler cannot put something in the place of Express' own data.
        """
        self.assertEqual(self.refused({"cookie": dict(MINUTE)})[1], ("cookie",))

    def test_recursion(self) -> None:
        """
        What contains itself, or is nested absurdly, is refused; so it is when
        it comes from the store, in front of which all depths are equal.
        """
        loop: list[object] = []
        loop.append(loop)
        self.assertIn("nested too deeply", self.refused({"a": loop})[0])
        self.assertEqual(self.refused({"b": 1, "a": {"x": loop}})[1], ("a",))
        deepest: list[object] = []
        for _ in range(98):
            deepest = [deepest]
        document = Document({"a": deepest}, {})
        raw = self.framework.dumps(document, NOW)
        self.assertEqual(self.framework.loads(raw, NOW), document)
        self.assertEqual(self.refused({"a": [[deepest]]})[1], ("a",))
        deeper = raw.replace(b"[[", b"[[[[").replace(b"]]", b"]]]]")
        self.assertUndecodable(self.framework, deeper)

    def test_digits(self) -> None:
        """
        Large numbers are kept, up to what Python reads back.
        """
        document = Document({"a": 10**30, "b": -(2**64)}, {})
        raw = self.framework.dumps(document, NOW)
        self.assertEqual(self.framework.loads(raw, NOW), document)
        self.assertEqual(self.refused({"a": 10**5000, "b": 1})[1], ("a",))


NODE = shutil.which("node")


@skipUnless(NODE, "no Node.js here")
class NodeTests(SynchronousTestCase):
    """
    Node.js reads what we write, and the other way round.
    """

    def node(self, script: str, argument: object) -> Any:
        """
        Run a script that finds C{argument} in C{input} and prints JSON.
        """
        assert NODE is not None
        done = subprocess.run(
            [
                NODE,
                "-e",
                f"const input = JSON.parse(process.argv[1]);{script}",
                json.dumps(argument),
            ],
            capture_output=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout)

    def test_signatures(self) -> None:
        """
        The signature that C{cookie-signature} would compute is ours.
        """
        ids = [Express(SECRET).newSessionID() for _ in range(20)]
        ids += map(SessionID, ["a.b/ç(x)!", "П/€ 😀", "a\n%;", "x" * 2000])
        values = self.node(
            """
            const { createHmac } = require("crypto");
            console.log(JSON.stringify(input.ids.map((id) => {
                const mac = createHmac("sha256", input.secret).update(id);
                const signature = mac.digest("base64").replace(/=+$/, "");
                return encodeURIComponent("s:" + id + "." + signature);
            })));
            """,
            {"ids": ids, "secret": "schlüssel ☃"},
        )
        framework = Express("schlüssel ☃")
        for sessionID, value in zip(ids, values, strict=True):
            self.assertEqual(framework.cookieValue(SessionID(sessionID)), value)
        for sessionID, value in zip(ids, values, strict=True):
            self.assertEqual(framework.sessionID(value, NOW), sessionID)

    def test_json(self) -> None:
        """
        What we store parses in Node.js, whose own encoding we decode to the
        same, and encode to the same bytes; the new date is a date there.
        """
        data = {
            "text": 'é☃🎉\u2028\x00"\\/</script>\ud800',
            "numbers": [0, -7, 3.25, 2**53 - 1, 1e-7, True, None],
            "nested": {"__proto__": {"x": [[], {}]}},
        }
        framework = Express(SECRET)
        raw = framework.dumps(Document(data, dict(MINUTE)), NOW)
        answer = self.node(
            """
            const session = JSON.parse(input);
            console.log(JSON.stringify({
                again: JSON.stringify(session),
                remaining: new Date(session.cookie.expires) - 1795370044919,
            }));
            """,
            raw.decode("utf-8"),
        )
        self.assertEqual(answer["remaining"], 60000)
        fromNode = answer["again"].encode("utf-8")
        self.assertEqual(framework.loads(fromNode, NOW), framework.loads(raw, NOW))
        self.assertEqual(framework.loads(fromNode, NOW).data, data)
