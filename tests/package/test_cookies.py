"""
Tests for L{txsessionsock.cookies}.
"""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.cookies import (
    cookieAttributes,
    cookieNamed,
    parseCookies,
    quoted,
    setCookie,
    sign,
    storedAttributes,
    unquoted,
    unsign,
    whichCookie,
    whyDropped,
)
from txsessionsock.interfaces import CookieAttributes


# What npm's cookie-signature makes of "hello" and "tobiiscool", from its own tests.
NODE_SIGNED = "hello.DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


class ParseTests(SynchronousTestCase):
    """
    Tests for L{parseCookies} and L{cookieNamed}.
    """

    def test_order(self) -> None:
        """
        Names and values come in order.  A name comes as often as it was sent.
        """
        self.assertEqual(
            list(parseCookies("a=1; b=2;a=3")), [("a", "1"), ("b", "2"), ("a", "3")]
        )

    def test_neighbours(self) -> None:
        """
        Odd cookies, at which L{SimpleCookie} gives up, do not hide ours.
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
        Several headers are read one after the other.  A comma, with which some
        programs join them, separates nothing.
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
        Names are compared with upper and lower case.
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
        The signature is that of C{cookie-signature}.
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
        The signature of an empty value needs its dot, too.
        """
        self.assertEqual(unsign(sign("", "k"), ["k"]), "")
        self.assertIsNone(unsign(sign("", "k").removeprefix("."), ["k"]))

    @given(TEXT, TEXT, st.integers(0), st.characters())
    def test_tampered(self, value: str, secret: str, at: int, other: str) -> None:
        """
        A signed value verifies.  It does not with any character changed, or
        without the last one.
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
        A text that was never signed does not verify.
        """
        self.assertIsNone(unsign(junk, ["secret"]))


class SetCookieTests(SynchronousTestCase):
    """
    Tests for L{setCookie}.
    """

    def test_defaults(self) -> None:
        """
        Unless options say otherwise, a cookie is out of reach for scripts and
        other sites, and C{Secure} under https.
        """
        plain = b"sid=s%3Aa; Path=/; HttpOnly; SameSite=Lax"
        for isHTTPS, header in [
            (False, plain),
            (True, plain.replace(b"HttpOnly", b"Secure; HttpOnly")),
        ]:
            self.assertEqual(
                setCookie("sid", "s%3Aa", maxAge=None, isHTTPS=isHTTPS), header
            )

    def test_attributes(self) -> None:
        """
        Each attribute is sent, or none of them.
        """
        attributes = CookieAttributes(
            domain="example.com",
            path="/x",
            secure=True,
            httpOnly=True,
            sameSite="None",
            partitioned=True,
            priority="High",
        )
        self.assertEqual(
            setCookie("a", "", attributes, maxAge=59.2, isHTTPS=False),
            b"a=; Domain=example.com; Path=/x; Max-Age=60; Secure; HttpOnly;"
            b" SameSite=None; Partitioned; Priority=High",
        )
        nothing = CookieAttributes(
            path=None, secure=False, httpOnly=False, sameSite=None
        )
        self.assertEqual(
            setCookie("a", "b", nothing, maxAge=None, isHTTPS=True), b"a=b"
        )

    def test_secure(self) -> None:
        """
        A cookie that browsers keep only if it is C{Secure} is that, also where
        the page came by http.
        """
        insecure = CookieAttributes(secure=False)
        for name, attributes in [
            ("__Host-a", CookieAttributes()),
            ("__secure-a", insecure),
            ("a", CookieAttributes(secure=True)),
            ("a", CookieAttributes(sameSite="None")),
            ("a", CookieAttributes(secure=False, partitioned=True)),
        ]:
            header = setCookie(name, "b", attributes, maxAge=None, isHTTPS=False)
            self.assertIn(b"; Secure", header)
        header = setCookie("a", "b", insecure, maxAge=None, isHTTPS=True)
        self.assertNotIn(b"Secure", header)

    def test_dropped(self) -> None:
        """
        A lifetime that is over is sent as 0, and browsers drop the cookie.
        """
        for over in 0, -5:
            header = setCookie("a", "", maxAge=over, isHTTPS=False)
            self.assertIn(b"; Max-Age=0;", header)

    def test_injection(self) -> None:
        """
        No argument adds a header, another cookie or an attribute.
        """

        def plant(name: str = "n", value: str = "v", **attributes: Any) -> bytes:
            return setCookie(
                name, value, CookieAttributes(**attributes), maxAge=None, isHTTPS=True
            )

        for bad in "a\r\nX: y", "a\n", "a;b", "a\x00", "a\x7f", "ä", "a\ud800":
            for arguments in (
                {"name": bad},
                {"value": bad},
                {"path": f"/{bad}"},
                {"domain": bad},
                {"sameSite": bad},
                {"priority": bad},
            ):
                with self.assertRaises(ValueError, msg=repr(arguments)):
                    plant(**arguments)
        for name, value in (
            *(("", "v"), ("a b", "v"), ("a=b", "v"), ("a", 'b"'), ("a", '"b')),
            *(("a", '"b";"'), ("a", '"b"c"'), ("a", '"b\\"'), ("a", '"\\;"')),
        ):
            with self.assertRaises(ValueError):
                plant(name, value)

    @given(st.text(st.characters(max_codepoint=255)), st.text())
    def test_quoted(self, value: str, other: str) -> None:
        """
        A value that a cookie cannot hold is quoted as L{http.cookies} does.
        """
        header = setCookie("n", quoted(value), maxAge=None, isHTTPS=False).decode()
        sent = header.partition(";")[0]
        found = cookieNamed(sent, "n")
        assert found is not None
        self.assertEqual(unquoted(found), value)
        self.assertEqual(SimpleCookie(sent)["n"].value, value)
        sent = f"n={quoted(other, 'utf-8')}"
        found = cookieNamed(sent, "n")
        assert found is not None
        self.assertEqual(unquoted(found, "utf-8"), other)

    @given(st.text(), st.text())
    def test_inverse(self, name: str, value: str) -> None:
        """
        A cookie that is not refused is one header line, and reads back as it
        was.
        """
        try:
            header = setCookie(name, value, maxAge=None, isHTTPS=False)
        except ValueError:
            return
        cookie = header.decode("ascii").partition(";")[0]
        self.assertEqual(list(parseCookies(cookie)), [(name, value)])


class AttributesTests(SynchronousTestCase):
    """
    Tests for L{cookieAttributes}, L{storedAttributes} and L{whichCookie}.
    """

    def test_words(self) -> None:
        """
        The words of several frameworks for one option are taken.
        """
        cases: list[tuple[dict[str, Any], CookieAttributes]] = [
            ({"sameSite": "strict"}, CookieAttributes(sameSite="Strict")),
            ({"sameSite": True}, CookieAttributes(sameSite="Strict")),
            ({"sameSite": "NONE"}, CookieAttributes(sameSite="None")),
            ({"sameSite": False}, CookieAttributes(sameSite=None)),
            ({"sameSite": None}, CookieAttributes(sameSite=None)),
            ({"priority": "high"}, CookieAttributes(priority="High")),
            ({"secure": "auto"}, CookieAttributes()),
            ({"secure": None}, CookieAttributes()),
            ({"domain": ".Example.com"}, CookieAttributes(domain=".Example.com")),
            ({"domain": ""}, CookieAttributes()),
            (
                {"path": "/shop", "httpOnly": False},
                CookieAttributes(None, "/shop", None, False),
            ),
            ({"path": ""}, CookieAttributes(path=None)),
            ({}, CookieAttributes()),
        ]
        for options, attributes in cases:
            self.assertEqual(cookieAttributes("sid", options), attributes, options)
            self.assertEqual(storedAttributes(options), attributes, options)

    def test_refused(self) -> None:
        """
        A wrong value for an option, or a cookie that browsers would drop, is
        refused with a sentence that says what is right.
        """
        cases: list[tuple[str, dict[str, Any], str]] = [
            ("sid", {"samesite": "lax"}, "no 'samesite' here; it has domain, path,"),
            ("sid", {"sameSite": "auto"}, "sameSite is Strict, Lax, None, not 'auto'"),
            ("sid", {"secure": "yes"}, "secure is True or False, not 'yes'"),
            ("sid", {"httpOnly": 1}, "httpOnly is True or False, not 1"),
            ("sid", {"partitioned": None}, "partitioned is True or False"),
            ("sid", {"priority": True}, "priority is Low, Medium, High, not True"),
            ("sid", {"domain": "bücher.example"}, "xn--"),
            ("sid", {"domain": "a;b"}, "a host such as example.com"),
            ("sid", {"domain": "example.com:80"}, "a host such as example.com"),
            ("sid", {"path": "shop"}, "path begins with /"),
            ("sid", {"path": "/a;b"}, "has no ;"),
            ("sid", {"sameSite": "none", "secure": False}, "browsers drop it"),
            ("sid", {"partitioned": True, "secure": False}, "browsers drop it"),
            ("__Secure-sid", {"secure": False}, "browsers drop it"),
            ("__Host-sid", {"domain": "example.com"}, "no domain, and the path /"),
            ("__HOST-sid", {"path": "/shop"}, "no domain, and the path /"),
        ]
        for name, options, said in cases:
            with self.assertRaises(ValueError) as caught:
                cookieAttributes(name, options)
            self.assertIn(said, str(caught.exception))

    def test_stored(self) -> None:
        """
        Each stored value that a cookie can have counts.  Others are left out,
        and nothing is raised.
        """
        self.assertEqual(
            storedAttributes(
                {
                    **{"originalMaxAge": None, "expires": None, "more": 1},
                    **{"domain": "a; Domain=b", "path": 7, "secure": "yes"},
                    **{"httpOnly": 0, "sameSite": "strict", "priority": ["high"]},
                }
            ),
            CookieAttributes(sameSite="Strict"),
        )

    def test_which(self) -> None:
        """
        Cookies of one name differ by domain, path and partition.
        """
        which = whichCookie(CookieAttributes(domain=".Example.com", secure=True))
        self.assertEqual(which, whichCookie(CookieAttributes(domain="example.com")))
        for other in (
            CookieAttributes(),
            CookieAttributes(domain="www.example.com"),
            CookieAttributes(domain="example.com", path="/x"),
            CookieAttributes(domain="example.com", partitioned=True),
        ):
            self.assertNotEqual(which, whichCookie(other))


class DroppedTests(SynchronousTestCase):
    """
    Tests for L{whyDropped}.
    """

    def why(
        self,
        name: str = "sid",
        host: str = "www.example.com",
        isHTTPS: bool = False,
        **attributes: Any,
    ) -> str | None:
        """
        @return: The attribute at fault.
        """
        asked = CookieAttributes(**attributes)
        found = whyDropped(name, asked, isHTTPS=isHTTPS, host=host)
        return None if found is None else found[0]

    def test_secure(self) -> None:
        """
        Over http, browsers keep no cookie that is C{Secure} or would have to
        be, but for hosts on their own machine.
        """
        cases: list[tuple[str, dict[str, Any]]] = [
            ("__Host-sid", {}),
            ("__Secure-sid", {}),
            ("sid", {"secure": True}),
            ("sid", {"sameSite": "None"}),
            ("sid", {"partitioned": True}),
        ]
        for name, attributes in cases:
            self.assertEqual(self.why(name, **attributes), "secure")
            self.assertEqual(self.why(name, "", **attributes), "secure")
            self.assertEqual(
                self.why(name, "localhost.example", **attributes), "secure"
            )
            self.assertIsNone(self.why(name, isHTTPS=True, **attributes))
            for own in "localhost", "shop.localhost", "127.0.0.1", "::1":
                self.assertIsNone(self.why(name, own, **attributes))
        self.assertIsNone(self.why())
        self.assertIsNone(self.why(secure=False))

    def test_domain(self) -> None:
        """
        A page can set a cookie for its own host and for domains above that.
        """
        for domain in "example.com", ".example.com", "WWW.example.com":
            self.assertIsNone(self.why(domain=domain))
            self.assertIsNone(self.why(host="", domain=domain))
        for domain in "shop.example.com", "ample.com", "example.org":
            self.assertEqual(self.why(domain=domain), "domain")

    def test_prefix(self) -> None:
        """
        Stored attributes may not fit the name of the cookie.
        """
        self.assertEqual(
            self.why("__Host-sid", isHTTPS=True, domain="example.com"), "prefix"
        )
        self.assertEqual(self.why("__Host-sid", isHTTPS=True, path="/x"), "prefix")
        self.assertIsNone(self.why("__Secure-sid", isHTTPS=True, path="/x"))
