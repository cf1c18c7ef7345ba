"""
What every framework promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import given
from hypothesis.strategies import SearchStrategy
from zope.interface.verify import verifyObject

from txsessionsock.interfaces import (
    Document,
    IFramework,
    InvalidCredential,
    ISignedCookies,
)

from .recorded import COOKIES, NOW, SESSIONS, RecordedCase


__all__ = ["FrameworkContract", "RecordedContract", "StoringContract"]


if TYPE_CHECKING:
    _Case = RecordedCase
else:
    # As a test case of its own it would be run wherever it is imported.
    _Case = object


# What is given to these tests is given to a function of each class: Hypothesis
# refuses a method that several classes share.


class FrameworkContract(_Case):
    """
    Tests for what every L{IFramework} promises of cookies.

    Mix into a L{RecordedCase}, and say what is below.

    @cvar framework: The one to test.

    @cvar alike: Others that differ from it by options; whatever comes, they
        read or refuse it as well.

    @cvar make: Makes a framework by the options C{cookieName} and C{identity}.

    @cvar firstCookieWins: Which of two cookies with the same name it takes.

    @cvar shows: What is in its C{repr()}.

    @cvar secrets: What is not, in any.

    @cvar malformed: Cookies that are no ids.

    @cvar cookies: Cookies that might be.
    """

    framework: IFramework
    alike: tuple[IFramework, ...] = ()
    make: ClassVar[Callable[..., IFramework]]
    firstCookieWins: bool
    shows: str
    secrets: Sequence[str] = ()
    malformed: Sequence[str]
    cookies: SearchStrategy[str] = COOKIES

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
        self.assertIn(self.shows, repr(self.framework))

    def test_cookieName(self) -> None:
        """
        What can be no name of a cookie is refused at once; what can is one.
        """
        for bad in "a b", "", "a;b", "a=b", "é":
            self.assertRaises(ValueError, self.make, cookieName=bad)
        self.assertEqual(self.make(cookieName="a.b").cookieName, "a.b")

    def test_ownIdentity(self) -> None:
        """
        An application may say itself who is logged in.
        """
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

    def test_anyCookie(self) -> None:
        """
        Whatever is in a cookie, it is an id or refused.
        """

        @given(self.cookies)
        def check(cookie: str) -> None:
            for framework in self.framework, *self.alike:
                self.assertOnlyInvalid(framework, cookie)

        check()


class StoringContract(FrameworkContract):
    """
    Tests for what every L{IFramework} promises whose sessions are in a store.

    @cvar ids: What its new ids look like.

    @cvar undecodable: What may be stored and is no session.

    @cvar junk: What might be.

    @cvar sessions: What it can store.

    @cvar envelope: What it stores beside that.
    """

    ids: str
    undecodable: Sequence[bytes]
    junk: SearchStrategy[bytes]
    sessions: SearchStrategy[dict[str, Any]] = SESSIONS
    envelope: Mapping[str, Any] = {}

    def test_newSessionID(self) -> None:
        """
        Ids look like those of the real one, none comes twice, and each is what
        its cookie says.
        """
        ids = {self.framework.newSessionID() for _ in range(100)}
        self.assertEqual(len(ids), 100)
        for sessionID in ids:
            self.assertRegex(sessionID, self.ids)
            cookie = self.framework.cookieValue(sessionID)
            self.assertEqual(self.framework.sessionID(cookie, NOW), sessionID)

    def test_undecodable(self) -> None:
        """
        What is no session is reported as such, without showing it.
        """
        for raw in self.undecodable:
            for framework in self.framework, *self.alike:
                self.assertUndecodable(framework, raw)

    def test_junk(self) -> None:
        """
        Whatever is in the store, it is a session or refused.
        """

        @given(self.junk)
        def check(raw: bytes) -> None:
            for framework in self.framework, *self.alike:
                self.assertStable(framework, raw)

        check()

    def test_roundTrip(self) -> None:
        """
        What is stored comes back the same, by value, type and order.
        """

        @given(self.sessions)
        def check(data: dict[str, Any]) -> None:
            raw = self.framework.dumps(Document(data, dict(self.envelope)), NOW)
            self.assertWritten(raw, data)
            again = self.framework.loads(raw, NOW)
            self.assertEqual(repr(again.data), repr(self.asRead(data)))
            self.assertEqual(again.envelope, self.envelope)
            self.assertEqual(self.framework.dumps(again, NOW), raw)

        check()

    def asRead(self, data: dict[str, Any]) -> dict[str, Any]:
        """
        What comes back; where that differs, override it.
        """
        return data

    def assertWritten(self, raw: bytes, data: dict[str, Any]) -> None:
        """
        Check that others read what was written; where others do, override it.
        """


class RecordedContract(_Case):
    """
    Tests for what the real framework wrote.

    @cvar recordings: In which of C{tests/fixtures} that is, and how many of
        the cases are sessions.

    @cvar made: Makes a framework that is set like a recorded one.
    """

    recordings: Mapping[str, int]
    made: ClassVar[Callable[[dict[str, Any]], IFramework]]

    def test_recorded(self) -> None:
        """
        What the real one wrote is what we read; what it refuses, we refuse.
        """
        for name, valid in self.recordings.items():
            self.check(name, self.made, valid)
