"""
Tests for who may connect.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.support.wires import Recording, SocketCase, shake
from txsessionsock.handshake import Handshake
from txsessionsock.origins import Origins
from txsessionsock.protocol import enable


class OriginsTests(SynchronousTestCase):
    """
    L{Origins.permits}
    """

    def permits(
        self,
        origin: str | None,
        host: str = "app.example",
        *allowed: str,
        isSecure: bool = False,
        trustProxy: bool = False,
        more: dict[str, str] | None = None,
    ) -> bool:
        headers = {name: [value] for name, value in (more or {}).items()}
        headers["host"] = [host]
        if origin is not None:
            headers["origin"] = [origin]
        return Origins(allowed).permits(Handshake(headers, isSecure, trustProxy))

    def test_same(self) -> None:
        """
        A page of the same scheme, host and port may connect.
        """
        self.assertTrue(self.permits("http://app.example"))
        self.assertTrue(self.permits("http://APP.example", "app.EXAMPLE"))
        self.assertTrue(self.permits("HTTP://app.example:80"))
        self.assertTrue(self.permits("http://app.example", "app.example:80"))
        self.assertTrue(self.permits("http://app.example:81", "app.example:81"))
        self.assertTrue(self.permits("https://app.example", isSecure=True))
        self.assertTrue(
            self.permits("https://app.example:443", "app.example", isSecure=True)
        )
        self.assertTrue(self.permits("http://[::1]:8080", "[::1]:8080"))
        self.assertTrue(self.permits("http://[::1]", "[::1]"))

    def test_other(self) -> None:
        """
        Pages of other origins may not connect, however similar those are.
        """
        for origin in (
            "null",
            "",
            "file://",
            "https://app.example",
            "http://app.example:81",
            "http://app.example:0",
            "http://app.example:x",
            "http://app.example.evil",
            "http://evil.app.example",
            "http://app.example/path",
            "http://app.example?",
            "http://@app.example",
            "http://user@app.example",
            "ws://app.example",
            "app.example",
            "//app.example",
            "http://app.example, http://app.example",
            "http://[::1",
        ):
            if origin == "http://app.example?":
                continue  # urlsplit cannot tell it from the same without "?".
            self.assertFalse(self.permits(origin), origin)
        self.assertFalse(self.permits("http://[::2]:8080", "[::1]:8080"))
        self.assertFalse(self.permits("http://app.example", isSecure=True))
        self.assertFalse(self.permits("http://", ""))

    def test_noBrowser(self) -> None:
        """
        A client that sends no origin is no browser, and may connect.
        """
        self.assertTrue(self.permits(None))

    def test_several(self) -> None:
        """
        A handshake with two origins is refused.
        """
        twice = {"host": ["a.example"], "origin": ["http://a.example"] * 2}
        self.assertFalse(Origins().permits(Handshake(twice, False)))

    def test_listed(self) -> None:
        """
        A page of an origin that is listed may connect, with exactly that scheme
        and port.
        """
        listed = "https://App.example:443/", "http://[::1]:3000", "capacitor://local"
        for origin in "https://app.example", "http://[::1]:3000", "capacitor://local":
            self.assertTrue(self.permits(origin, "host", *listed), origin)
        for origin in "http://app.example", "http://[::1]", "https://x.app.example":
            self.assertFalse(self.permits(origin, "host", *listed), origin)

    def test_noOrigin(self) -> None:
        """
        A text that no browser ever sends cannot be listed, and the error says
        what is right.
        """
        for origin, right in (
            ("*", "list each origin"),
            ("https://*.example.com", "list each origin"),
            ("http://localhost:*", "list each origin"),
            ("https://.example.com:81", "like https://app.example.com:81"),
            ("null", "local files"),
            ("file://host", "serve them by http:"),
            ("https://a.example,https://b.example", "each by itself"),
            ("https://a.example https://b.example", "each by itself"),
            ("https://a.example,b.example", "each by itself"),
            ("", "right is scheme, host"),
            ("app.example", "right is scheme, host"),
            ("localhost:3000", "right is scheme, host"),
            ("//app.example", "right is scheme, host"),
            ("https://", "right is scheme, host"),
            ("https://app.example:x", "right is scheme, host"),
            ("https://app.example:65536", "right is scheme, host"),
            ("https://[::1", "right is scheme, host"),
            ("https://[::x]", "right is scheme, host"),
            ("https://app.example:0", "port 0"),
            ("https://me@app.example", "no user name"),
            ("wss://app.example:81", "like https://app.example:81"),
            ("ws://app.example", "like http://app.example"),
            ("https://app.example/path", "right is https://app.example"),
            ("https://app.example/?q", "right is https://app.example"),
            ("https://app.example#top", "right is https://app.example"),
            ("https://app..example", "no host"),
            ("https://app%2eexample", "no host"),
            (f"https://{'a' * 64}.example", "no host"),
            ("http://127.1:3000", "four numbers"),
            ("http://0x7f000001", "four numbers"),
            ("http://127.0.0.01", "four numbers"),
            ("http://[fe80::1%25eth0]", "zone"),
            ("https://\u10a0\U0001f600.example", "in punycode"),
        ):
            with self.assertRaises(ValueError, msg=origin) as raised:
                Origins([origin])
            said = str(raised.exception)
            self.assertIn(f"not an origin: {origin!r}; ", said)
            self.assertIn(right, said)

    def test_notText(self) -> None:
        """
        Origins are texts, in a list.
        """
        for wrong in "https://a.example", b"https://a.example":
            with self.assertRaisesRegex(TypeError, "a list, each in it a str, not"):
                Origins(wrong)  # type: ignore[arg-type]  # That is the point.
        with self.assertRaisesRegex(TypeError, "a list, each in it a str, not"):
            Origins([b"https://a.example"])  # type: ignore[list-item]  # As above.
        with self.assertRaisesRegex(TypeError, "an origin is a text"):
            Origins(iter([b"https://a.example"]))  # type: ignore[arg-type]  # As above.

    def test_sameOrigin(self) -> None:
        """
        An origin may be listed in many spellings.  Browsers send one of them.
        """
        for listed, sent in (
            ("HTTPS://App.Example:443/", "https://app.example"),
            (" https://app.example: ", "https://app.example"),
            ("https://app.example?", "https://app.example"),
            ("https://app.example.", "https://app.example."),
            ("http://my_host:8080", "http://my_host:8080"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[0:0::0:1]:3000", "http://[::1]:3000"),
            ("https://MÜNCHEN.example", "https://xn--mnchen-3ya.example"),
            ("https://日本語。example:81", "https://xn--wgv71a119e.example:81"),
            ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
            ("https://STRA\u1e9eE.example", "https://xn--strae-oqa.example"),
            ("https://straße.example", "https://xn--strae-oqa.example"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ):
            self.assertTrue(self.permits(sent, "host", listed), listed)
            self.assertFalse(self.permits(f"{sent}x", "host", listed), listed)

    def test_proxy(self) -> None:
        """
        A proxy that is trusted says for which host the browser asked.  The
        proxy nearest to us counts.
        """
        host, proto = "x-forwarded-host", "x-forwarded-proto"
        for headers in (
            {host: "app.example", proto: "https"},
            {host: "evil.example, app.example", proto: "http, HTTPS"},
            {host: "app.example", proto: "wss"},
        ):
            trusted = self.permits(
                "https://app.example", "inner:81", trustProxy=True, more=headers
            )
            self.assertTrue(trusted)
            self.assertFalse(
                self.permits("https://app.example", "inner:81", more=headers)
            )
        first = {host: "app.example, other.example", proto: "https"}
        self.assertFalse(
            self.permits("https://app.example", "inner", trustProxy=True, more=first)
        )

    def test_silentProxy(self) -> None:
        """
        Where a trusted proxy says nothing, the request to us counts.
        """
        for more in {}, {"x-forwarded-host": "", "x-forwarded-proto": ""}:
            self.assertTrue(
                self.permits(
                    "https://app.example", isSecure=True, trustProxy=True, more=more
                )
            )


class RefusalTests(SynchronousTestCase):
    """
    L{Origins.refusal}
    """

    def refusal(self, origin: str, trustProxy: bool = False, **headers: str) -> str:
        given = {name.replace("_", "-"): [value] for name, value in headers.items()}
        handshake = Handshake({**given, "origin": [origin]}, False, trustProxy)
        refusal = Origins().refusal(handshake)
        assert refusal is not None
        return refusal

    def test_compared(self) -> None:
        """
        The refusal says with what the page's origin was compared, and from
        which header that came.
        """
        self.assertEqual(
            self.refusal("http://localhost:5173", host="localhost:8080"),
            "refused a page of 'http://localhost:5173', which is not listed in origins"
            " (--origin): this server is 'http://localhost:8080' (Host:"
            " 'localhost:8080', without TLS)",
        )
        self.assertEqual(
            self.refusal("null", x_forwarded_host="a.example", trustProxy=True),
            "refused a page of 'null', which is not listed in origins (--origin): this"
            " server is 'http://a.example' "
            "(X-Forwarded-Host: 'a.example', without TLS)",
        )
        self.assertIn("is 'unknown' (Host: '',", self.refusal("http://a.example"))
        for origin in "http://\x1b\n" + "a" * 5000, "http://" + "b" * 5000 + ":81":
            long = self.refusal(origin, host="\x1b" + "b" * 5000)
            self.assertLess(len(long), 1500)
            self.assertTrue(long.isprintable())

    def test_hints(self) -> None:
        """
        The refusal says what a proxy has probably done wrong, and what is
        right: a sentence for each mistake, and none where there is none.
        """
        port = "if a proxy drops the port, right is"
        tls = "where a proxy ends TLS, right is X-Forwarded-Proto: https"
        flag = "count only with trustProxy=True (--trust-proxy)"
        name = "a proxy has changed the name"
        web, tcp = "https://a.example", "http://a.example:81"
        for origin, trustProxy, headers, said in (
            (tcp, False, {"host": "a.example"}, [f"{port} Host: 'a.example:81'"]),
            (web, False, {"host": "a.example"}, [f"{tls} and trustProxy=True"]),
            (web, True, {"host": "a.example"}, [tls]),
            (f"{web}:81", False, {"host": "a.example"}, [tls, port]),
            (f"{web}:81", False, {"host": "a.example:81"}, [tls]),
            (web, False, {"host": "backend:80"}, [name]),
            (tcp, False, {"host": "a.example:82"}, []),
            ("null", False, {"host": "a.example"}, []),
            (
                *(web, False, {"host": "in", "x_forwarded_proto": "https"}),
                [f"X-Forwarded-Proto of a proxy {flag}"],
            ),
            (
                *(web, False, {"x_forwarded_proto": "x", "x_forwarded_host": "x"}),
                [f"X-Forwarded-Proto and X-Forwarded-Host of a proxy {flag}"],
            ),
            (
                *(tcp, True, {"host": "in", "x_forwarded_host": "a.example"}),
                [f"{port} X-Forwarded-Host: 'a.example:81'"],
            ),
        ):
            refusal = self.refusal(origin, trustProxy=trustProxy, **headers)
            for hint in port, tls, flag, name:
                isSaid = any(hint in each for each in said)
                self.assertEqual(hint in refusal, isSaid, (refusal, hint))
            for each in said:
                self.assertIn(each, refusal)
        trusted = self.refusal(web, host="a.example", trustProxy=True)
        self.assertNotIn("trustProxy", trusted)


class RefusingTests(SocketCase):
    """
    Answers to handshakes of pages from elsewhere.
    """

    def test_refused(self) -> None:
        """
        A page from elsewhere gets 403, and the application is not told.
        """
        self.put()
        self.serve()
        asked: list[object] = []

        class Asking(Recording):
            def onConnect(self, request: Any) -> Any:
                asked.append(request)

        self.factory.protocol = Asking
        cookie, host = f"Cookie: {self.cookie()}", "Host: app.example"
        same = "Origin: http://app.example"
        for origins in (
            ["Origin: http://evil.example"],
            ["Origin: null"],
            ["Origin:"],
            ["Origin: nonsense"],
        ):
            self.assertEqual(shake(self.factory, cookie, host, *origins), 403)
        for origins in [same, same], [same, "Origin: http://evil.example"]:
            self.assertEqual(shake(self.factory, cookie, host, *origins), 400)
        self.assertEqual((self.seen, asked), ([], []))
        self.assertEqual(shake(self.factory, cookie, host, same), 101)
        self.assertEqual(shake(self.factory, cookie, host), 101)
        self.assertEqual((len(asked), len(self.events("sconnection"))), (2, 2))
        self.assertNothingLeft()

    def test_secure(self) -> None:
        """
        Over TLS, the same page with another scheme is another page.
        """
        self.serve()
        host = "Host: app.example"
        for scheme, status in ("https", 101), ("http", 403):
            origin = f"Origin: {scheme}://app.example"
            self.assertEqual(shake(self.factory, host, origin, isSecure=True), status)

    def test_ownOptions(self) -> None:
        """
        An Autobahn factory goes on refusing what it refuses by its own
        options.  What it would let in has to be listed.
        """
        factory = WebSocketServerFactory(reactor=self.clock)
        factory.setProtocolOptions(allowedOrigins=["http://app.example:80"])
        enable(factory, self.manager, origins=["http://b.example"])
        for host, origin, status in (
            ("app.example", "http://app.example", 101),
            ("other.example", "http://app.example", 403),
            ("other.example", "http://other.example", 403),
            ("other.example", "http://b.example", 403),
        ):
            self.assertEqual(
                shake(factory, f"Host: {host}", f"Origin: {origin}"), status
            )

    def test_logged(self) -> None:
        """
        The log says once in a minute why a page is refused, however often it
        comes back and whatever it calls itself, and then how often it was.
        """
        self.serve()
        host = "Host: a.example"
        with capturedLogs() as logs:
            for n in range(3):
                origin = f"Origin: https://{'a' * (n + 1)}.example"
                self.assertEqual(shake(self.factory, host, origin), 403)
            self.clock.advance(60)
            self.assertEqual(shake(self.factory, host, "Origin: null"), 403)
        lines = [line for line in map(formatEvent, logs) if line and "page" in line]
        self.assertIn("this server is 'http://a.example' (Host: 'a.example',", lines[0])
        self.assertIn("left out: 2 more of: refused a page of 'https://a.ex", lines[1])
        self.assertIn("refused a page of 'null'", lines[2])
        self.assertEqual(len(lines), 3)
