"""
Tests for L{txsessionsock.cookies}.
"""

from __future__ import annotations

from http.cookies import SimpleCookie

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.cookies import cookieNamed, parseCookies, setCookie, sign, unsign


# What npm's cookie-signature makes of "hello" and "tobiiscool", from its own tests.
NODE_SIGNED = "hello.DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


class ParseTests(SynchronousTestCase):
    """
    Tests for L{parseCookies} and L{cookieNamed}.
    """

    def test_order(self) -> None:
        """
        Names and values come in order, a name as often as it was sent.
        """
        self.assertEqual(
            list(parseCookies("a=1; b=2;a=3")), [("a", "1"), ("b", "2"), ("a", "3")]
        )

    def test_neighbours(self) -> None:
        """
        Odd cookies of others, before which L{SimpleCookie} gives up, do not
        hide ours.
        """
        for odd in 'prefs={"a":1}', "a[b]=1", "x", "", "=", "é=\x85ü", '"', 'q="a b':
            header = f"{odd}; connect.sid=x"
            self.assertEqual(cookieNamed(header, "connect.sid"), "x")
        self.assertEqual(SimpleCookie('prefs={"a":1}; connect.sid=x'), {})

    def test_values(self) -> None:
        """
        A value may hold C{=} and C{,}; one pair of quotes and the blanks
        around it are not part of it; without C{=} there is no cookie.
        """
        for header, value in [
            ("n=eyJhIjoxfQ==.x", "eyJhIjoxfQ==.x"),
            ("n=a,b=c", "a,b=c"),
            ('n="quoted"', "quoted"),
            ('n=""quoted""', '"quoted"'),
            ('n="', '"'),
            ("  n \t=  v  ", "v"),
            ("n=\x85v\x1c", "\x85v\x1c"),
            ("n=", ""),
        ]:
            self.assertEqual(list(parseCookies(header)), [("n", value)])
        self.assertEqual(list(parseCookies("n")), [])

    def test_severalHeaders(self) -> None:
        """
        Several headers are one after the other; the comma with which some
        join them separates nothing.
        """
        self.assertEqual(list(parseCookies("a=1", "b=2")), [("a", "1"), ("b", "2")])
        self.assertEqual(cookieNamed(["a=1", "b=2"], "b"), "2")
        self.assertIsNone(cookieNamed("a=1,b=2", "b"))

    def test_duplicates(self) -> None:
        """
        Either the first or the last of two cookies of one name is taken.
        """
        for headers in "n=1; m=0; n=2", ["n=1; m=0", "n=2"]:
            self.assertEqual(cookieNamed(headers, "n", True), "1")
            self.assertEqual(cookieNamed(headers, "n", False), "2")

    def test_missing(self) -> None:
        """
        Names are compared as they are.
        """
        self.assertIsNone(cookieNamed("SID=1; sid2=1; xsid=1", "sid"))
        self.assertIsNone(cookieNamed([], "sid"))

    @given(st.text(), st.text())
    def test_junk(self, before: str, after: str) -> None:
        """
        Nothing that comes in front of a cookie or behind it hides it.
        """
        found = [v for n, v in parseCookies(f"{before};sid=x;{after}") if n == "sid"]
        self.assertIn("x", found)


class SignatureTests(SynchronousTestCase):
    """
    Tests for L{sign} and L{unsign}.
    """

    def test_node(self) -> None:
        """
        The signature is the one of C{cookie-signature}.
        """
        self.assertEqual(sign("hello", "tobiiscool"), NODE_SIGNED)
        self.assertEqual(unsign(NODE_SIGNED, ["tobiiscool"]), "hello")

    def test_rotation(self) -> None:
        """
        Any of several secrets verifies, and no other one does.
        """
        signed = sign("a", "old")
        self.assertEqual(unsign(signed, ["new", "old"]), "a")
        self.assertIsNone(unsign(signed, ["new"]))
        self.assertIsNone(unsign(signed, []))

    def test_empty(self) -> None:
        """
        The signature of nothing needs its dot, too.
        """
        self.assertEqual(unsign(sign("", "k"), ["k"]), "")
        self.assertIsNone(unsign(sign("", "k").removeprefix("."), ["k"]))

    @given(TEXT, TEXT, st.integers(0), st.characters())
    def test_tampered(self, value: str, secret: str, at: int, other: str) -> None:
        """
        What was signed verifies; with any one character changed, or without
        its last one, it does not.
        """
        signed = sign(value, secret)
        self.assertEqual(unsign(signed, [secret]), value)
        at %= len(signed)
        if other != signed[at]:
            tampered = signed[:at] + other + signed[at + 1 :]
            self.assertIsNone(unsign(tampered, [secret]))
        self.assertIsNone(unsign(signed[:-1], [secret]))
        self.assertIsNone(unsign(signed + "=", [secret]))

    @given(st.text())
    def test_junk(self, junk: str) -> None:
        """
        What nobody signed does not verify, whatever it is.
        """
        self.assertIsNone(unsign(junk, ["secret"]))


class SetCookieTests(SynchronousTestCase):
    """
    Tests for L{setCookie}.
    """

    def test_defaults(self) -> None:
        """
        A cookie is out of reach for scripts and other sites unless told
        otherwise.
        """
        self.assertEqual(
            setCookie("sid", "s%3Aa", maxAge=None, secure=False),
            b"sid=s%3Aa; Path=/; HttpOnly; SameSite=Lax",
        )

    def test_options(self) -> None:
        """
        Each option has its attribute.
        """
        self.assertEqual(
            setCookie(
                "a",
                "",
                maxAge=59.2,
                secure=True,
                path="/x",
                httpOnly=False,
                sameSite="None",
            ),
            b"a=; Path=/x; Max-Age=60; Secure; SameSite=None",
        )

    def test_dropped(self) -> None:
        """
        A lifetime that is over is sent as 0, at which browsers drop a cookie.
        """
        for over in 0, -5:
            header = setCookie("a", "", maxAge=over, secure=False)
            self.assertIn(b"; Max-Age=0;", header)

    def test_injection(self) -> None:
        """
        No argument adds a header, another cookie or an attribute.
        """

        def plant(name: str = "n", value: str = "v", path: str = "/") -> bytes:
            return setCookie(name, value, maxAge=None, secure=True, path=path)

        for bad in "a\r\nX: y", "a\n", "a;b", "a\x00", "a\x7f", "ä", "a\ud800":
            for arguments in ({"name": bad}, {"value": bad}, {"path": f"/{bad}"}):
                with self.assertRaises(ValueError, msg=repr(arguments)):
                    plant(**arguments)
        for name, value in ("", "v"), ("a b", "v"), ("a=b", "v"), ("a", 'b"'):
            with self.assertRaises(ValueError):
                setCookie(name, value, maxAge=None, secure=True)

    def test_refusedByBrowsers(self) -> None:
        """
        A cookie that browsers would drop silently is an error here.
        """
        with self.assertRaises(ValueError):
            setCookie("a", "b", maxAge=None, secure=False, sameSite="None")
        with self.assertRaises(ValueError):
            setCookie("a", "b", maxAge=None, secure=True, path="x")

    @given(st.text(), st.text())
    def test_inverse(self, name: str, value: str) -> None:
        """
        What is not refused is one header line, and reads back as it was.
        """
        try:
            header = setCookie(name, value, maxAge=None, secure=False)
        except ValueError:
            return
        cookie = header.decode("ascii").partition(";")[0]
        self.assertEqual(list(parseCookies(cookie)), [(name, value)])
