"""
What every framework promises.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import given
from hypothesis.strategies import SearchStrategy
from zope.interface.verify import verifyObject

from txsessionsock.cookies import cookieNamed, setCookie
from txsessionsock.interfaces import (
    KEEP,
    Document,
    IFramework,
    InvalidCredential,
    ISignedCookies,
    NoSuchSession,
    SessionID,
    UndecodableSession,
    UnencodableSession,
)
from txsessionsock.testing.storecontract import toOverride

from .managing import framesLeftBy
from .recorded import COOKIES, NOW, SESSIONS, Case, RecordedCase


__all__ = [
    "BYTES",
    "BYTES_TIME",
    "QUOTED",
    "FrameworkContract",
    "InBrowserContract",
    "SecretsContract",
    "StoringContract",
]


QUOTED = {
    "a/b=c": "a/b=c",
    "us\\351r 1": "usér 1",
    "a\\054b\\073c": "a,b;c",
    'q\\"\\\\z': 'q"\\z',
    "user:1": "user:1",
}
"""
Ids that an application may choose, by how L{http.cookies} writes them.
"""

if TYPE_CHECKING:
    _Case = RecordedCase
else:
    # As a test case of its own it would be run wherever it is imported.
    _Case = object


BYTES = bytes.fromhex("fffe00808182c3a9d09f0a0de282acff" * 2)
"""
A secret that is no text, with a newline in it.
"""

BYTES_TIME = 1_763_800_000

# What is given to these tests is given to a function of each class: Hypothesis
# refuses a method that several classes share.


class FrameworkContract(_Case):
    """
    Tests for what every L{IFramework} promises.

    Mix into a L{RecordedCase}, and say what is below.

    @cvar framework: The one to test.

    @cvar alike: Others that differ from it by options; whatever comes, they
        read or refuse it as well.

    @cvar make: Makes a framework by the options C{cookieName} and C{identity}.

    @cvar recordings: In which of C{tests/fixtures} is what the real one wrote,
        and how many of the cases are sessions.

    @cvar firstCookieWins: Which of two cookies with the same name it takes.

    @cvar shown: Its C{repr()}.

    @cvar secrets: What is in no C{repr()}.

    @cvar identities: Who is logged in.

    @cvar malformed: Cookies that are no ids.

    @cvar forged: Cookies that are none of ours.

    @cvar cookies: Cookies that might be.

    @cvar undecodable: What may be stored and is no session.

    @cvar junk: What might be.
    """

    framework: IFramework
    alike: tuple[IFramework, ...] = ()
    make: ClassVar[staticmethod[..., IFramework]]
    recordings: Sequence[tuple[str, int]]
    firstCookieWins: bool
    shown: str
    secrets: Sequence[str] = ()
    identities: Sequence[tuple[dict[str, Any], object]]
    malformed: Sequence[str]
    forged: Sequence[str] = ("s:abc.def", "abc.def.ghi", "abc:1xVBlY:def")
    cookies: SearchStrategy[str] = COOKIES
    undecodable: Sequence[bytes]
    junk: SearchStrategy[bytes]

    def made(self, config: dict[str, Any]) -> IFramework:
        """
        A framework that is set like a recorded one.
        """
        task = "returns a framework with the settings of a recorded one"
        raise toOverride(self, "made(config)", task)

    def test_interface(self) -> None:
        """
        It is a framework, which takes the cookie that the real one takes, and
        shows what is set and no secret.
        """
        for framework in self.framework, *self.alike:
            verifyObject(IFramework, framework)
            isInCookie = ISignedCookies.providedBy(framework)
            if isInCookie:
                verifyObject(ISignedCookies, framework)
            self.assertIs(framework.readOnly, isInCookie)
            self.assertIs(framework.firstCookieWins, self.firstCookieWins)
            for secret in self.secrets:
                self.assertNotIn(secret, repr(framework))
        self.assertEqual(repr(self.framework), self.shown)

    def test_cookieName(self) -> None:
        """
        What can be no name of a cookie is refused at once; what can is one.
        """
        for bad in "a b", "", "a;b", "a=b", "é":
            self.assertRaises(ValueError, self.make, cookieName=bad)
        self.assertEqual(self.make(cookieName="a.b").cookieName, "a.b")

    def test_recorded(self) -> None:
        """
        What the real one wrote is what we read; what it refuses, we refuse.
        """
        for name, valid in self.recordings:
            count = 0
            for framework, case in self.recorded(name, self.made):
                isRefused = self.isRefused(framework, case)
                self.assertIs(isRefused, not case["valid"], case["name"])
                count += not isRefused
            self.assertEqual(count, valid, name)

    def test_identity(self) -> None:
        """
        Who is logged in is found by the usual names, or as the application
        says.
        """
        for data, who in self.identities:
            for framework in self.framework, *self.alike:
                self.assertEqual(framework.identity(data), who, data)
        own = self.make(identity=lambda data: data.get("who"))
        self.assertEqual(own.identity({"who": 1, "user": 2, "user_id": 3}), 1)
        self.assertIsNone(own.identity({"user": 2}))

    def test_malformed(self) -> None:
        """
        What nobody would have made as an id does not get to the store.
        """
        for cookie in self.malformed:
            error = self.assertRaises(
                InvalidCredential, self.framework.sessionID, cookie, NOW
            )
            self.assertEqual(error.reason, "malformed", cookie)
            self.assertIsNone(error.__context__)

    def test_noCycles(self) -> None:
        """
        What is refused is in no cycle with the frames that refused it, which
        would keep what their callers have, such as a connection.
        """

        def refuseAll() -> None:
            for framework in self.framework, *self.alike:
                for cookie in *self.malformed, *self.forged:
                    with suppress(InvalidCredential):
                        framework.sessionID(cookie, NOW)
                for raw in self.undecodable:
                    with suppress(UndecodableSession, NoSuchSession):
                        framework.loads(raw, NOW)

        self.assertEqual([*map(str, framesLeftBy(refuseAll))], [])

    def test_anyCookie(self) -> None:
        """
        Whatever is in a cookie, it is an id or refused.
        """

        @given(self.cookies)
        def check(cookie: str) -> None:
            for framework in self.framework, *self.alike:
                self.assertOnlyInvalid(framework, cookie)

        check()

    def test_undecodable(self) -> None:
        """
        What is no session is reported as such, without showing it.
        """
        for raw in self.undecodable:
            for framework in self.framework, *self.alike:
                self.assertUndecodable(framework, raw)

    def test_junk(self) -> None:
        """
        Whatever is stored, it is a session or refused.
        """

        @given(self.junk)
        def check(raw: bytes) -> None:
            for framework in self.framework, *self.alike:
                self.assertStable(framework, raw)

        check()


class StoringContract(FrameworkContract):
    """
    Tests for what every L{IFramework} promises whose sessions are in a store.

    @cvar ids: What its new ids look like.

    @cvar chosen: Ids that an application may choose, by the value of the
        cookie that the real one makes of them.

    @cvar sessions: What it can store.

    @cvar envelope: What it stores beside that.
    """

    ids: str
    chosen: ClassVar[dict[str, str]]
    sessions: SearchStrategy[dict[str, Any]] = SESSIONS
    envelope: ClassVar[dict[str, Any]] = {}

    def test_newSessionID(self) -> None:
        """
        Ids look like those of the real one, none comes twice, and each is what
        its cookie says.
        """
        for framework in self.framework, *self.alike:
            ids = {framework.newSessionID() for _ in range(100)}
            self.assertEqual(len(ids), 100)
            for sessionID in ids:
                self.assertRegex(sessionID, rf"\A{self.ids}\Z")
                cookie = framework.cookieValue(sessionID)
                self.assertEqual(framework.sessionID(cookie, NOW), sessionID)

    def test_chosenID(self) -> None:
        """
        Ids that the application chooses are taken, and come back the same from
        a browser that got the cookie from us.
        """
        for cookie, sessionID in self.chosen.items():
            self.assertEqual(self.framework.sessionID(cookie, NOW), sessionID)
        for sessionID in [*self.chosen.values(), "x" * 2000]:
            value = self.framework.cookieValue(SessionID(sessionID))
            header = setCookie("n", value, maxAge=None, isHTTPS=False).decode()
            sent = cookieNamed(header.partition(";")[0], "n")
            assert sent is not None
            self.assertEqual(self.framework.sessionID(sent, NOW), sessionID)

    def test_roundTrip(self) -> None:
        """
        What is stored comes back the same, by value, type and order, and so
        does what stands beside it.
        """

        @given(self.sessions)
        def check(data: dict[str, Any]) -> None:
            for framework in self.framework, *self.alike:
                raw = framework.dumps(Document(data, self.envelope), NOW)
                self.assertWritten(framework, raw, data)
                again = framework.loads(raw, NOW)
                self.assertEqual(repr(again.data), repr(self.asRead(data)))
                self.assertEqual(again.envelope, self.envelope)
                self.assertEqual(framework.dumps(again, NOW), raw)

        check()

    def asRead(self, data: dict[str, Any]) -> dict[str, Any]:
        """
        What comes back; where that differs, override it.
        """
        return data

    def assertWritten(
        self, framework: IFramework, raw: bytes, data: dict[str, Any]
    ) -> None:
        """
        Check that others read what was written; where others do, override it.
        """

    def test_rewritten(self) -> None:
        """
        What was not changed is written as it came, in the same order, with
        all that belongs to the framework.
        """
        for framework, case in self.stored():
            raw, at = b64decode(case["raw_b64"]), case["recorded_at"]
            again = framework.dumps(framework.loads(raw, at), at)
            self.assertEqual(self.comparable(again), self.comparable(raw), case["name"])

    def stored(self) -> Iterator[Case]:
        """
        What the real one stored.
        """
        for name, _ in self.recordings:
            for framework, case in self.recorded(name, self.made):
                if case["valid"]:
                    yield framework, case

    def dataOf(self, name: str) -> dict[str, Any]:
        """
        What we read of one case.
        """
        (data,) = (
            framework.loads(b64decode(case["raw_b64"]), case["recorded_at"]).data
            for framework, case in self.stored()
            if case["name"] == name
        )
        return data

    def comparable(self, raw: bytes) -> object:
        """
        What is the same when it is written again; where that is not every
        byte, override it.
        """
        return raw


class SecretsContract(_Case):
    """
    Tests for what frameworks promise that sign something.

    @cvar make: Makes a framework by the option C{secrets}.

    @cvar byBytes: What the real one signed with L{BYTES} for its secret, at
        L{BYTES_TIME}.
    """

    make: ClassVar[staticmethod[..., IFramework]]
    byBytes: str

    def test_noSecrets(self) -> None:
        """
        What can be no secret is refused at once, and not shown.
        """
        for bad in (
            *("", [], ["s3cret", ""], [5], ["s3cret", None], 5, {"s3cret"}),
            *("s3cret\udcff", ["s3cret", "\ud800"], b"", [b"s3cret", b""]),
            *(bytearray(b"s3cret"), {"s3cret": "s3cret"}),
        ):
            error = self.assertRaises(ValueError, self.make, secrets=bad)
            self.assertNotIn("s3cret", str(error))

    def opened(self, framework: IFramework, value: str) -> object:
        """
        Verify what L{byBytes} is.

        @raise InvalidCredential: It is signed with another secret.
        """
        return framework.sessionID(value, BYTES_TIME)

    def test_bytes(self) -> None:
        """
        Secrets may be any bytes, alone and beside others, as the real one has
        them.
        """
        for secrets in BYTES, [BYTES], ["text", BYTES], (b"\xff", BYTES, "old"):
            framework = self.make(secrets=secrets)
            self.assertTrue(self.opened(framework, self.byBytes))
        for others in BYTES[:-1], ["text", b"\xff"], BYTES.hex():
            framework = self.make(secrets=others)
            with self.assertRaises((InvalidCredential, UndecodableSession)):
                self.opened(framework, self.byBytes)


class InBrowserContract(FrameworkContract):
    """
    Tests for what every L{ISignedCookies} promises.

    @cvar cookie: One that holds C{{"n": 1}}.

    @cvar signed: When it was signed, in seconds since the epoch.

    @cvar maxAge: For how many seconds C{framework} takes it.
    """

    framework: ISignedCookies
    cookie: str
    signed: float
    maxAge = 100

    def test_inCookie(self) -> None:
        """
        The cookie is the id, the key and what is stored.
        """
        sessionID = self.framework.sessionID(self.cookie, self.signed)
        self.assertEqual(sessionID, self.cookie)
        self.assertEqual(self.framework.key(sessionID), self.cookie)
        self.assertEqual(self.framework.cookieValue(sessionID), self.cookie)
        document = self.framework.loads(self.cookie.encode("ascii"), self.signed)
        self.assertEqual(document, Document({"n": 1}, {}))

    def test_readOnly(self) -> None:
        """
        Nothing can be stored, nothing puts off the end, and new ids are no
        cookies.
        """
        error = self.assertRaises(
            UnencodableSession, self.framework.dumps, Document({"a": 1}, {}), NOW
        )
        self.assertEqual(error.keys, ("a",))
        document = self.framework.newDocument(NOW)
        self.assertEqual(document, Document({}, {}))
        self.assertEqual(self.framework.lifetime(document, NOW), self.maxAge)
        self.assertEqual(self.framework.cookieLifetime(document, NOW), self.maxAge)
        self.assertIs(self.framework.touchLifetime(document, NOW), KEEP)
        self.assertInvalid(self.framework.newSessionID(), NOW, "malformed")

    def test_age(self) -> None:
        """
        A cookie is good until it is older, in whole seconds, than it may be,
        and not from a later time than a clock may differ; the deadline is
        where that begins.
        """
        sessionID = self.framework.sessionID(self.cookie, self.signed)
        end = self.signed + self.maxAge + 1
        self.assertEqual(self.framework.deadline(sessionID), end)
        for now in self.signed - 60, self.signed + self.maxAge, end - 0.01:
            self.framework.sessionID(self.cookie, now)
        for now in self.signed - 61, end, NOW * 2:
            self.assertInvalid(self.cookie, now, "expired")

    def test_badSignature(self) -> None:
        """
        What is not signed by us is told apart, and has no deadline.
        """
        other = "A" if self.cookie[-2] != "A" else "B"
        for forged in f"x{self.cookie}", self.cookie[:-2] + other + self.cookie[-1]:
            self.assertInvalid(forged, self.signed, "bad-signature")
            error = self.assertRaises(
                InvalidCredential, self.framework.deadline, forged
            )
            self.assertEqual(error.reason, "bad-signature")

    def assertInvalid(self, cookie: str, now: float, reason: str) -> None:
        """
        Check why a cookie is refused.
        """
        error = self.assertRaises(
            InvalidCredential, self.framework.sessionID, cookie, now
        )
        self.assertEqual(error.reason, reason, cookie)
        self.assertIsNone(error.__context__)
