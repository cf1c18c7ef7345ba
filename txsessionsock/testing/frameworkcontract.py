# -*- test-case-name: tests.testing.test_testing_framework -*-
"""
What every framework promises, as tests; published in L{txsessionsock.testing}.

A framework has all that this library expects of it when these pass::

    class MyFrameworkTests(StoringContract, SynchronousTestCase):
        framework = MyFramework()
        malformed = ["", "too short"]           # cookies that are no ids
        undecodable = [b"", b"no session"]      # what is stored and is no session
        ids = "[0-9a-f]{32}"                    # what its new ids look like

They need Hypothesis, which thinks of sessions, cookies and junk.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from zope.interface.verify import verifyObject

from txsessionsock.cookies import cookieNamed, setCookie
from txsessionsock.interfaces import (
    KEEP,
    Document,
    IFramework,
    InvalidCredential,
    ISignedCookies,
    Lifetime,
    NoSuchSession,
    SessionID,
    UndecodableSession,
    UnencodableSession,
)

from .contract import MixedIn


__all__ = [
    "COOKIES",
    "JUNK",
    "NOW",
    "SESSIONS",
    "VALUES",
    "FrameworkChecks",
    "FrameworkContract",
    "InBrowserContract",
    "StoringContract",
]


NOW = 1795370044.919
"""
The time, in seconds since the epoch.
"""

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_KEYS = st.text("abcé", max_size=3)


def _nested(scalars: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3)
        ),
        max_leaves=8,
    )


VALUES = _nested(_SCALARS)
SESSIONS = st.dictionaries(_KEYS, VALUES, max_size=4)
"""
What JSON may hold, and a session.
"""

JUNK = _nested(
    _SCALARS
    | st.floats()
    | st.integers()
    | st.text(st.characters())
    | st.sampled_from(["lone \ud800 surrogate", 2**64, -(10**400), 10**18, 1e308])
)
"""
What JSON may hold, of use or not.
"""

COOKIES = st.text() | st.text(st.characters(min_codepoint=33, max_codepoint=126))

# What is given to these tests is given to a function of each class: Hypothesis
# refuses a method that several classes share.


def _framesLeftBy(f: Callable[[], object]) -> list[FrameType]:
    """
    Call a function.

    @return: The frames that are in cycles then, until the garbage collector
        finds them.
    """
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        f()
        gc.collect()
        return [found for found in gc.garbage if isinstance(found, FrameType)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


class FrameworkChecks(MixedIn):
    """
    What the tests of frameworks check, each for one cookie or some bytes.

    @cvar secrets: What no error shows, and no C{repr()}.
    """

    secrets: Sequence[str] = ()

    def assertUndecodable(
        self, framework: IFramework, raw: bytes, words: str = ""
    ) -> None:
        """
        Check that C{raw} is refused and nowhere to be seen afterwards.

        @param words: What the error says.
        """
        error = self.assertRaises(UndecodableSession, framework.loads, raw, NOW)
        self.assertIsNone(error.__context__)
        self.assertIn(words, str(error))
        for secret in *self.secrets, "s3cret":
            self.assertNotIn(secret, str(error))

    def assertOnlyInvalid(self, framework: IFramework, cookie: str) -> None:
        """
        Check that a cookie is an id, or refused in the one way there is.
        """
        try:
            sessionID = framework.sessionID(cookie, NOW)
        except InvalidCredential:
            return
        self.assertIsInstance(framework.key(sessionID), str)

    def assertStable(self, framework: IFramework, raw: bytes) -> None:
        """
        Check that bytes are a session that can be stored again, or refused in
        one of the ways there are.
        """
        try:
            document = framework.loads(raw, NOW)
        except (NoSuchSession, UndecodableSession):
            return
        if not framework.readOnly:
            again = framework.loads(framework.dumps(document, NOW), NOW)
            self.assertEqual(repr(again.data), repr(document.data))
        lifetime = framework.lifetime(document, NOW)
        self.assertIsNot(lifetime, KEEP)
        self.assertTrue(isinstance(lifetime, Lifetime) or lifetime >= 0)
        framework.touchLifetime(document, NOW)
        framework.cookieLifetime(document, NOW)
        framework.identity(document.data)


class FrameworkContract(FrameworkChecks):
    """
    Tests for what every L{IFramework} promises.  Mix L{StoringContract} or
    L{InBrowserContract} into a L{twisted.trial.unittest.SynchronousTestCase},
    and say what is below.

    @cvar framework: The one to test.

    @cvar alike: Others that differ from it by options; whatever comes, they
        read or refuse it as well.

    @cvar identities: Some sessions, each with who is logged in there.

    @cvar malformed: Cookies that are no ids.

    @cvar forged: Cookies that are none of ours.

    @cvar cookies: Cookies that might be.

    @cvar undecodable: What may be stored and is no session.  What has C{s3cret}
        in it shows whether an error tells it.

    @cvar junk: What might be.
    """

    framework: IFramework
    alike: Sequence[IFramework] = ()
    identities: Sequence[tuple[dict[str, Any], object]] = ()
    malformed: Sequence[str]
    forged: Sequence[str] = ("s:abc.def", "abc.def.ghi", "abc:1xVBlY:def")
    cookies: SearchStrategy[str] = COOKIES
    undecodable: Sequence[bytes]
    junk: SearchStrategy[bytes] = st.binary()

    def test_interface(self) -> None:
        """
        It is a framework, whose sessions are in its cookies if and only if it
        says that, and no secret is shown.
        """
        for framework in self.framework, *self.alike:
            verifyObject(IFramework, framework)
            isInCookie = ISignedCookies.providedBy(framework)
            if isInCookie:
                verifyObject(ISignedCookies, framework)
            self.assertIs(framework.readOnly, isInCookie)
            self.assertIsInstance(framework.firstCookieWins, bool)
            for secret in self.secrets:
                self.assertNotIn(secret, repr(framework))

    def test_identity(self) -> None:
        """
        Who is logged in is found.
        """
        for data, who in self.identities:
            for framework in self.framework, *self.alike:
                self.assertEqual(framework.identity(data), who, data)

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

        self.assertEqual([*map(str, _framesLeftBy(refuseAll))], [])

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

    @cvar ids: What its new ids look like, as a regular expression.

    @cvar chosen: Ids that an application may choose, by the value of the
        cookie that the real one makes of them.

    @cvar sessions: What it can store.

    @cvar envelope: What it stores beside that.
    """

    ids: str
    chosen: ClassVar[dict[str, str]] = {}
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
        long = ["x" * 2000] if self.chosen else []
        for sessionID in [*self.chosen.values(), *long]:
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
