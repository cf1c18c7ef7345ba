"""
Tests for L{txsessionsock.handshake}: one reading of a request, for sockets, pages
and the demo.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from tests.support.pages import Connection, WebTestCase, World, put
from tests.support.wires import Recording, SocketCase, shake
from txsessionsock import handshake
from txsessionsock.credentials import Cookie
from txsessionsock.demo import demo
from txsessionsock.handshake import Handshake, fieldsIn, handshakeOf
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.testing import ADDRESS, MemoryWire
from txsessionsock.web import requests, sessionOf
from txsessionsock.websocket import protocol


HEAD = (
    b"Host: app.example\r\ncookie: a=1\r\nCOOKIE:\tb=\xe9, c \r\n"
    b"X-Forwarded-Proto: http, wss"
)

_TRUSTED: tuple[tuple[str, bool, str, bool], ...] = (
    ("https", False, "https", True),
    ("WSS", False, "https", True),
    ("http, https", False, "https", True),
    ("https, http", True, "http", False),
    ("ws", True, "http", False),
    ("nonsense", True, "http", False),
    ("", True, "https", True),
    ("", False, "http", False),
)
"""
What a trusted proxy says of TLS, whether it came to us over TLS, and then what
it is.
"""


class HandshakeTests(SynchronousTestCase):
    """
    L{Handshake}, L{handshakeOf} and L{fieldsIn}.
    """

    def read(self, *, isTLS: bool = False, trustProxy: bool = False) -> Handshake:
        """
        Read the example.
        """
        return handshakeOf(
            fieldsIn(HEAD), isTLS=isTLS, trustProxy=trustProxy, peer=ADDRESS
        )

    def test_headers(self) -> None:
        """
        Names are in lower case, and a header that is repeated has two values.
        """
        headers = self.read().headers
        self.assertEqual(headers["cookie"], ["a=1", "b=\xe9, c"])
        self.assertEqual(sorted(headers), ["cookie", "host", "x-forwarded-proto"])

    def test_malformed(self) -> None:
        """
        Lines end with CR LF, and what is no header by RFC 9110 is refused: nobody
        may read it otherwise than a proxy did.
        """
        self.assertEqual(list(fieldsIn(b"")), [])
        whole = bytes([*range(0x20, 0x7F), *range(0x80, 0x100), 0x09])
        self.assertEqual(list(fieldsIn(b"a:" + whole)), [(b"a", whole)])
        for octet in {*range(0x20), 0x7F} - {0x09}:
            with self.assertRaises(ValueError):
                list(fieldsIn(b"a: b%cc: d" % octet))
        for lines in (
            b"a",
            b": a",
            b"a : b",
            b" a: b",
            b"a: b\r\n c",
            b"\xe9: a",
            b"\r\n",
        ):
            with self.assertRaises(ValueError):
                list(fieldsIn(lines))

    def test_secret(self) -> None:
        """
        What a client has sent is not shown.
        """
        self.assertNotIn("a=1", repr(self.read()))

    def test_secure(self) -> None:
        """
        Only a proxy that is trusted is believed.
        """
        self.assertFalse(self.read().isSecure)
        self.assertTrue(self.read(isTLS=True).isSecure)
        self.assertTrue(self.read(trustProxy=True).isSecure)
        for value, isTLS, _, isSecure in _TRUSTED:
            headers = {"x-forwarded-proto": [value]}
            trusting = Handshake(headers, isTLS, trustProxy=True)
            self.assertIs(trusting.isSecure, isSecure, value)
            self.assertIs(Handshake(headers, isTLS).isSecure, isTLS)

    def test_nearest(self) -> None:
        """
        What a client adds in front of what the proxy says, as a value or as a
        header of its own, counts for nothing.
        """
        told = {
            "x-forwarded-proto": ["https", "http"],
            "x-forwarded-host": ["a.example, b.example", "c.example, d.example"],
        }
        handshake = Handshake(told, False, trustProxy=True)
        self.assertFalse(handshake.isSecure)
        self.assertEqual(handshake.host, "d.example")

    def test_otherHeaders(self) -> None:
        """
        Other headers that proxies have are never believed.
        """
        told = {
            "forwarded": ["proto=https;host=evil.example"],
            "x-forwarded-ssl": ["on"],
            "front-end-https": ["on"],
            "x-forwarded-scheme": ["https"],
            "x-forwarded-server": ["evil.example"],
            "x-forwarded-port": ["443"],
            "host": ["app.example"],
        }
        handshake = Handshake(told, False, trustProxy=True)
        self.assertFalse(handshake.isSecure)
        self.assertEqual(handshake.host, "app.example")

    def test_host(self) -> None:
        """
        The host is that of the request, or what a trusted proxy says; of two
        hosts, none is.
        """
        forwarded = {"host": ["in:81"], "x-forwarded-host": ["app.example:8443"]}
        for headers, trustProxy, host, name, header in (
            (forwarded, True, "app.example:8443", "app.example", "X-Forwarded-Host"),
            (forwarded, False, "in:81", "in", "Host"),
            ({**forwarded, "x-forwarded-host": [""]}, True, "in:81", "in", "Host"),
            ({"host": ["[::1]:8080"]}, False, "[::1]:8080", "::1", "Host"),
            ({"host": ["[::1]"]}, False, "[::1]", "::1", "Host"),
            ({"host": ["a.example", "b.example"]}, False, "", "", "Host"),
            ({}, True, "", "", "Host"),
        ):
            handshake = Handshake(headers, False, trustProxy)
            self.assertEqual(
                (handshake.host, handshake.hostname, handshake.hostHeader),
                (host, name, header),
            )


class SocketTests(SocketCase):
    """
    Sockets read their request once.
    """

    def counted(self) -> list[Handshake]:
        """
        @return: What is read from now on.
        """
        made: list[Handshake] = []

        def counting(*args: Any, **named: Any) -> Handshake:
            made.append(handshake.handshakeOf(*args, **named))
            return made[-1]

        self.patch(protocol, "handshakeOf", counting)
        return made

    def test_once(self) -> None:
        """
        A socket's request is read once, in however many pieces it comes, and
        that is the one that its credentials see.
        """
        self.put()
        seen: list[Handshake] = []

        class Seeing(Cookie):
            def inHandshake(self, handshake: Handshake, *args: Any) -> Any:
                seen.append(handshake)
                return super().inHandshake(handshake, *args)

        self.serve(credentials=[Seeing()])
        made = self.counted()
        browser = self.browse()
        self.wait()
        self.assertEqual(len(made), 1)
        self.assertIs(seen[0], made[0])
        other = self.factory.buildProtocol(ADDRESS)
        other.makeConnection(MemoryWire(other, isServer=True, peerAddress=ADDRESS))
        for byte in browser.server.http_request_data:
            other.dataReceived(bytes([byte]))
        self.assertEqual((len(made), made[1]), (2, made[0]))
        self.assertEqual(len(self.events("sconnection")), 2)
        other.connectionLost(Failure(ConnectionLost()))

    def test_framesWhileAsked(self) -> None:
        """
        What comes while C{onConnect} waits is no second handshake, also if it
        looks like one.
        """
        gate: Deferred[None] = Deferred()
        asked: list[object] = []

        class Slow(Recording):
            def onConnect(self, request: Any) -> Any:
                asked.append(request)
                return gate

        self.put()
        self.serve(Slow)
        made = self.counted()
        browser = self.browse()
        second = b"GET / HTTP/1.1\r\nHost: b\r\nOrigin: http://b\r\n\r\n"
        browser.server.dataReceived(second)
        self.assertEqual((len(made), len(asked)), (1, 1))
        gate.callback(None)
        browser.flush()
        self.assertEqual((len(made), len(asked)), (1, 1))
        # Read as frames, it breaks the rules of RFC 6455.
        self.assertEqual(browser.server.localCloseCode, 1002)

    def test_proxy(self) -> None:
        """
        Behind a proxy that is trusted, its word on TLS decides which pages may
        connect; without trust it decides nothing.
        """
        factory = SessionSocketFactory(self.manager, trustProxy=True)
        plain = SessionSocketFactory(self.manager)
        for value, isTLS, scheme, _ in _TRUSTED:
            for each in "http", "https":
                headers = (
                    "Host: inner:81",
                    "X-Forwarded-Host: app.example",
                    f"X-Forwarded-Proto: {value}",
                    f"Origin: {each}://app.example",
                )
                status = shake(factory, *headers, isSecure=isTLS)
                self.assertEqual(status, 101 if each == scheme else 403, headers)
                self.assertEqual(shake(plain, *headers, isSecure=isTLS), 403)


class PageTests(WebTestCase):
    """
    Pages read their request by the same rule, once.
    """

    def test_once(self) -> None:
        """
        A page's request is read once, with all its headers.
        """
        made: list[Handshake] = []

        def counting(*args: Any, **named: Any) -> Handshake:
            made.append(handshake.handshakeOf(*args, **named))
            return made[-1]

        self.patch(requests, "handshakeOf", counting)
        given: list[Handshake] = []

        def page(request: Request) -> bytes:
            given.append(sessionOf(request).handshake)
            return put(request)

        cookie, _ = self.login()
        browser = self.serve(page)
        browser.send(cookie=cookie, Origin="http://example.com")
        self.assertEqual(browser.answers()[0].code, 200)
        self.assertEqual(len(made), 1)
        self.assertIs(given[0], made[0])
        self.assertEqual(made[0].headers["cookie"], [cookie])
        self.assertEqual(made[0].headers["origin"], ["http://example.com"])

    def test_proxy(self) -> None:
        """
        The cookie of a page is C{Secure} where a socket counts as such.
        """
        for value, isTLS, _, isSecure in _TRUSTED:
            browser = self.serve(put, trustProxy=True, isSecure=isTLS)
            browser.send(X_Forwarded_Proto=value)
            attributes = str(browser.answers()[0].cookie()).split("; ")
            self.assertEqual("Secure" in attributes, isSecure, value)


class DemoTests(SynchronousTestCase):
    """
    The demo's buttons ask the same.
    """

    def press(self, trustProxy: bool, **headers: str) -> int:
        """
        Look at the demo, then press a button.

        @return: The status of the answer.
        """
        world = World()
        root, _ = demo(
            world.manager, origins=["https://friend.example"], trustProxy=trustProxy
        )

        def connected() -> Connection:
            return world.connect(root)

        page = connected()
        page.send("/")
        cookie = str(page.answers()[0].cookie()).partition(";")[0]
        button = connected()
        button.send("/add", "POST", cookie, X_Demo_Tab="mine", **headers)
        return button.answers()[0].code

    def test_own(self) -> None:
        """
        The demo's own pages may, others may not, nor may those that may have
        sockets.
        """
        for origin, code in (
            ("http://example.com", 204),
            ("http://EXAMPLE.com:80", 204),
            ("https://example.com", 403),
            ("http://example.com:81", 403),
            ("https://friend.example", 403),
            ("null", 403),
            ("nonsense", 403),
        ):
            self.assertEqual(self.press(False, Origin=origin), code, origin)
        self.assertEqual(self.press(False), 204)

    def test_proxy(self) -> None:
        """
        Behind a proxy that changes the name and ends TLS, its headers count if
        it is trusted.
        """
        forwarded = {
            "Host": "inner:81",
            "X_Forwarded_Proto": "https",
            "X_Forwarded_Host": "app.example",
            "Origin": "https://app.example",
        }
        self.assertEqual(self.press(True, **forwarded), 204)
        self.assertEqual(self.press(False, **forwarded), 403)
        forged = {**forwarded, "Origin": "http://inner:81"}
        self.assertEqual(self.press(True, **forged), 403)
