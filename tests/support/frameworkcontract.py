"""
What our frameworks promise beside what every framework does: they read what real
ones wrote, and have the same options.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tests.support.recorded import Case, RecordedCase
from txsessionsock import testing
from txsessionsock.interfaces import (
    IFramework,
    InvalidCredential,
    ISignedCookies,
    UndecodableSession,
)


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


class FrameworkContract(testing.FrameworkContract, _Case):
    """
    Tests for what each of our frameworks promises.

    Mix into a L{RecordedCase}, and say what is below.

    @cvar make: Makes a framework by the options C{cookieName} and C{identity}.

    @cvar recordings: In which of C{tests/fixtures} is what the real one wrote,
        and how many of the cases are sessions.

    @cvar firstCookieWins: Which of two cookies with the same name it takes.

    @cvar shown: Its C{repr()}.
    """

    make: ClassVar[staticmethod[..., IFramework]]
    recordings: Sequence[tuple[str, int]]
    firstCookieWins: bool
    shown: str

    def made(self, config: dict[str, Any]) -> IFramework:
        """
        A framework that is set like a recorded one.
        """
        raise NotImplementedError

    def test_interface(self) -> None:
        """
        It takes the cookie that the real one takes, and shows what is set.
        """
        super().test_interface()
        for framework in self.framework, *self.alike:
            self.assertIs(framework.firstCookieWins, self.firstCookieWins)
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
        super().test_identity()
        own = self.make(identity=lambda data: data.get("who"))
        self.assertEqual(own.identity({"who": 1, "user": 2, "user_id": 3}), 1)
        self.assertIsNone(own.identity({"user": 2}))


class StoringContract(FrameworkContract, testing.StoringContract):
    """
    The same for those whose sessions are in a store.
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


class InBrowserContract(FrameworkContract, testing.InBrowserContract):
    """
    The same for those whose sessions are in cookies.
    """

    framework: ISignedCookies
