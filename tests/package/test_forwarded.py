"""
Tests for L{txsessionsock.forwarded}: which proxies are trusted, and what they say.
"""

from __future__ import annotations

from random import Random

from twisted.internet.address import (
    HostnameAddress,
    IPv4Address,
    IPv6Address,
    UNIXAddress,
)
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.forwarded import UNIX, Proxies, Told, peerOf, trusted
from txsessionsock.handshake import Handshake, handshakeOf
from txsessionsock.origins import Origins


class TrustTests(SynchronousTestCase):
    """
    L{Proxies.trusts}, L{peerOf} and L{trusted}.
    """

    def test_local(self) -> None:
        """
        Proxies on this machine are trusted, unless they are not meant.
        """
        for peer in "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", UNIX:
            self.assertTrue(Proxies().trusts(peer), peer)
            self.assertFalse(Proxies(["10.0.0.0/8"], local=False).trusts(peer), peer)
        for other in "10.0.0.1", "::2", "192.168.1.1", "", "localhost", None:
            self.assertFalse(Proxies().trusts(other), other)

    def test_networks(self) -> None:
        """
        So are those in networks that are listed, however an address is written.
        """
        proxies = Proxies(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
        for address in (
            *("10.255.0.1", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8::1"),
            "2001:0db8:0:0:0:0:0:1",
        ):
            self.assertTrue(proxies.trusts(address), address)
        for peer in "11.0.0.1", "192.0.2.8", "2001:db9::1", "::10.0.0.1":
            self.assertFalse(proxies.trusts(peer), peer)
        mapped = Proxies(["::ffff:10.0.0.0/104"])
        self.assertTrue(mapped.trusts("10.1.2.3"))
        self.assertFalse(mapped.trusts("11.1.2.3"))

    def test_noNetworks(self) -> None:
        """
        What is no network is refused, with what is right.
        """
        for text, right in (
            ("10.0.0.1/8", "right is 10.0.0.0/8"),
            ("10.0.0.0/33", "like 10.0.0.0/8"),
            ("proxy.example", "like 10.0.0.0/8"),
            ("", "like 10.0.0.0/8"),
        ):
            with self.assertRaisesRegex(
                ValueError, f"not a network: '{text}'.*{right}"
            ):
                Proxies([text])
        with self.assertRaisesRegex(TypeError, "networks is a list"):
            Proxies("10.0.0.0/8")

    def test_peerOf(self) -> None:
        """
        An address has one form, IPv4 within IPv6 is IPv4, and a zone is no part
        of it.
        """
        for address, peer in (
            (IPv4Address("TCP", "192.0.2.1", 9), "192.0.2.1"),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 9), "192.0.2.1"),
            (IPv6Address("TCP", "2001:0db8:0:0::1", 9), "2001:db8::1"),
            (IPv6Address("TCP", "fe80::1%eth0", 9), "fe80::1"),
            (UNIXAddress(b"/run/it"), UNIX),
            (UNIXAddress(None), UNIX),
            (HostnameAddress(b"localhost", 9), None),
            (None, None),
        ):
            self.assertEqual(peerOf(address), peer)

    def test_trusted(self) -> None:
        """
        C{trustProxy} is a flag, or says which.
        """
        proxies = Proxies(["10.0.0.0/8"])
        self.assertIs(trusted(proxies), proxies)
        self.assertIsNone(trusted(False))
        local = trusted(True)
        assert local is not None
        self.assertTrue(local.local)
        self.assertEqual(
            repr(proxies), "Proxies(['10.0.0.0/8'], local=True, forwarded=False)"
        )


class XForwardedTests(SynchronousTestCase):
    """
    C{X-Forwarded-For}, C{X-Forwarded-Proto} and C{X-Forwarded-Host}.
    """

    proxies = Proxies(["10.0.0.0/8", "2001:db8::/32"])

    def client(self, *values: str, peer: str | None = "10.0.0.1") -> str | None:
        """
        @return: Who is the client.
        """
        return self.proxies.told({"x-forwarded-for": values}, peer).client

    def test_fromTheRight(self) -> None:
        """
        The client is the rightmost that is not trusted, whatever a client wrote
        before that.
        """
        for values, client in (
            (["192.0.2.1"], "192.0.2.1"),
            (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (["10.9.9.9, 192.0.2.1"], "192.0.2.1"),
            (["192.0.2.1, 10.0.0.2, 127.0.0.1"], "192.0.2.1"),
            (["6.6.6.6", "192.0.2.1,10.0.0.2"], "192.0.2.1"),
            (["6.6.6.6,192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            (["nonsense, 192.0.2.1"], "192.0.2.1"),
            (["::ffff:192.0.2.1"], "192.0.2.1"),
            (["192.0.2.1:4711"], "192.0.2.1"),
            (["2001:db9:0:0::1, 2001:db8::2"], "2001:db9::1"),
            (["[2001:db9::1]:4711"], "2001:db9::1"),
            (["[2001:DB9::1]"], "2001:db9::1"),
        ):
            self.assertEqual(self.client(*values), client, values)
            told = self.proxies.told({"x-forwarded-for": values}, UNIX)
            self.assertEqual((told.client, told.problem), (client, None))

    def test_onlyTrusted(self) -> None:
        """
        Where all are trusted, the client is the first of them.
        """
        self.assertEqual(self.client("10.0.0.3, 10.0.0.2"), "10.0.0.3")
        self.assertEqual(self.client(), "10.0.0.1")
        self.assertEqual(self.client(""), "10.0.0.1")
        self.assertIsNone(self.client(peer=UNIX))

    def test_bad(self) -> None:
        """
        What is no address ends the walk: the proxy that wrote it counts as the
        client, and the log is told.
        """
        for bad in (
            *("unknown", "x" * 9000, "192.0.2.1.", "192.0.2.1:x", "[::1", "::1]:1"),
            *("192.0.2.1 192.0.2.2", "fe80::1%eth0", "192.0.2.01", "[192.0.2.1]"),
        ):
            headers = {"x-forwarded-for": [f"6.6.6.6, {bad}, 10.0.0.2"]}
            told = self.proxies.told(headers, "10.0.0.1")
            self.assertEqual(told.client, "10.0.0.2", bad)
            assert told.problem is not None
            self.assertIn("X-Forwarded-For has no address in ", told.problem)
            self.assertLess(len(told.problem), 300)
        self.assertEqual(self.client("192.0.2.1,"), "10.0.0.1")

    def test_many(self) -> None:
        """
        What a client wrote is not looked at, however much it is.
        """
        self.assertEqual(
            self.client(",".join(["x"] * 100_000 + ["192.0.2.1"])), "192.0.2.1"
        )

    def test_scheme(self) -> None:
        """
        A scheme that is none is no TLS, and the log is told.
        """
        told = self.proxies.told({"x-forwarded-proto": ["https, gopher"]}, UNIX)
        self.assertEqual(told.scheme, "")
        self.assertEqual(told.problem, "X-Forwarded-Proto is no scheme: 'gopher'")


class ForwardedTests(SynchronousTestCase):
    """
    C{Forwarded} (RFC 7239).
    """

    proxies = Proxies(["10.0.0.0/8"], forwarded=True)

    def told(self, *values: str, peer: str | None = "10.0.0.1") -> Told:
        """
        @return: What is understood.
        """
        return self.proxies.told({"forwarded": values}, peer)

    def test_read(self) -> None:
        """
        What RFC 7239 allows is understood.
        """
        for value, client, scheme, host in (
            ("for=192.0.2.1", "192.0.2.1", None, None),
            (
                "For=192.0.2.1;Proto=HTTPS;Host=a.example",
                "192.0.2.1",
                "https",
                "a.example",
            ),
            (
                'for="192.0.2.1:80";host="a.example:8443"',
                "192.0.2.1",
                None,
                "a.example:8443",
            ),
            ('for="[2001:DB8::17]:4711"', "2001:db8::17", None, None),
            ('for="[2001:db8::17]"', "2001:db8::17", None, None),
            ('for="[::ffff:192.0.2.1]"', "192.0.2.1", None, None),
            ("for=unknown;proto=https", None, "https", None),
            ("for=_hidden;by=_x", None, None, None),
            ('for="_SEVKISEK:_port"', None, None, None),
            ("by=10.0.0.1;for=192.0.2.1;ext=1;", "192.0.2.1", None, None),
            ("proto=https;host=a.example", None, "https", "a.example"),
            (r'for="192.0.2\.1";x="\"a, b\""', "192.0.2.1", None, None),
            (" , ,for=192.0.2.1 ,\t", "192.0.2.1", None, None),
            ("", "10.0.0.1", None, None),
        ):
            told = self.told(value)
            self.assertEqual(told, Told(client, scheme, host), value)

    def test_fromTheRight(self) -> None:
        """
        Of several elements, that of the proxy that the client talked to counts,
        and no other.
        """
        outer = "for=192.0.2.1;proto=https;host=a.example"
        for values in (
            [f"for=6.6.6.6;host=evil.example, {outer}"],
            [f"for=10.0.0.9;host=evil, {outer}, for=10.0.0.2;proto=http;host=b"],
            [f"for=6.6.6.6, {outer}", "for=10.0.0.2;proto=http"],
            ['for="', outer],
            ["for=6.6.6.6;host=evil", outer, 'for="127.0.0.1:1"'],
        ):
            for peer in "10.0.0.1", UNIX:
                told = self.told(*values, peer=peer)
                self.assertEqual(told, Told("192.0.2.1", "https", "a.example"), values)

    def test_bad(self) -> None:
        """
        What is not as RFC 7239 says counts for nothing, and neither does the
        request: no TLS, and no host.
        """
        for value in (
            *("for", "for=", "=1", "for=1.2.3.4:80", "for=[::1]", "for=::1", 'for="'),
            *('for="::1"', "for=1.2.3.4; proto=https", "for =1.2.3.4", "for= 1.2.3.4"),
            *("for=1.2.3.4 proto=https", "for=1.2.3.4;for=1.2.3.5", 'for="a"b"'),
            *("for=1.2.3.4;FOR=1.2.3.5", "for=1.2.3.999", "for=example.com", "\x85"),
            *(
                "for=1.2.3.4;proto=gopher",
                "for=1.2.3.4;proto",
                'for="1.2.3.4',
                "nonsense",
            ),
            # A client sent the beginning, up to the first comma.
            *('for="x, for=1.2.3.4', 'x=", for="[2001:db8::1]";host="a:1"'),
            *('for="x\\, for="[2001:db8::1]"', 'x=",for=1.2.3.4;host="a:1"'),
        ):
            told = self.told(value)
            self.assertEqual(
                (told.client, told.scheme, told.host), ("10.0.0.1", "", "")
            )
            assert told.problem is not None
            self.assertLess(len(told.problem), 300)

    def test_hostOfAClient(self) -> None:
        """
        A proxy may put into C{host} what a client sent, as it came: nothing in it
        passes for an address, since the proxy's own stands behind it.
        """
        parts = ['"', ",", ";", "=", "\\", " ", "for=6.6.6.6", "for", "x=", "a"]
        parts += ["6.6.6.6", "proto=https", "proto"]
        random = Random(12)
        understood = 0
        for _ in range(20_000):
            host = "".join(random.choices(parts, k=random.randrange(1, 9)))
            told = self.told(f'host="{host}";proto=http;for=192.0.2.1')
            if told.problem is None:
                understood += 1
                self.assertEqual((told.client, told.scheme), ("192.0.2.1", "http"))
            else:
                self.assertEqual((told.client, told.scheme), ("10.0.0.1", ""))
        self.assertGreater(understood, 100)


class FamilyTests(SynchronousTestCase):
    """
    A handshake behind a proxy.
    """

    both = (
        (b"Host", b"in:81"),
        (b"Forwarded", b"for=192.0.2.1;proto=https;host=new.example"),
        (b"X-Forwarded-For", b"192.0.2.2"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"old.example"),
    )

    def read(self, trustProxy: bool | Proxies, peer: object) -> Handshake:
        """
        @return: A request with both families of headers.
        """
        return handshakeOf(self.both, isTLS=False, trustProxy=trustProxy, peer=peer)

    def test_one(self) -> None:
        """
        Only one family is believed.
        """
        near = IPv4Address("TCP", "127.0.0.1", 9)
        new, old = self.read(Proxies(forwarded=True), near), self.read(True, near)
        self.assertEqual((new.client, new.host), ("192.0.2.1", "new.example"))
        self.assertEqual((old.client, old.host), ("192.0.2.2", "old.example"))
        self.assertEqual(
            (new.hostHeader, old.hostHeader), ("Forwarded", "X-Forwarded-Host")
        )
        self.assertTrue(new.isSecure and old.isSecure)

    def test_notTrusted(self) -> None:
        """
        From elsewhere, none is; nor if nobody knows from where.
        """
        for trust, peer, client in (
            (True, IPv4Address("TCP", "10.0.0.1", 9), "10.0.0.1"),
            (
                Proxies(["10.0.0.0/9"]),
                IPv4Address("TCP", "10.128.0.1", 9),
                "10.128.0.1",
            ),
            (False, IPv4Address("TCP", "127.0.0.1", 9), "127.0.0.1"),
            (Proxies(["10.0.0.0/9"], local=False), UNIXAddress(None), None),
            (True, None, None),
        ):
            handshake = self.read(trust, peer)
            self.assertEqual((handshake.client, handshake.host), (client, "in:81"))
            self.assertFalse(handshake.isSecure)
            self.assertFalse(handshake.trustProxy)

    def test_hints(self) -> None:
        """
        A page that is refused for that is refused with what is right.
        """
        far = IPv4Address("TCP", "10.0.0.1", 9)
        near = IPv4Address("TCP", "127.0.0.1", 9)
        forwarded = Proxies(["10.0.0.1"], forwarded=True)
        for headers, trust, peer, hint in (
            (
                self.both[2:],
                True,
                far,
                "Proxies(['10.0.0.1']) (--trusted-network 10.0.0.1)",
            ),
            (self.both[2:], False, near, "only with trustProxy=True (--trust-proxy)"),
            (self.both[1:2], True, near, "only with forwarded=True (--forwarded)"),
            (
                self.both[2:],
                forwarded,
                far,
                "only without forwarded=True (--forwarded)",
            ),
            ([(b"Forwarded", b"=")], forwarded, far, "Forwarded is wrong: '='"),
            (
                [(b"Forwarded", b'proto=http;host="p:1"')],
                *(forwarded, far, "right is Forwarded: proto=https"),
            ),
            (
                [(b"Forwarded", b"proto=https;host=p")],
                *(forwarded, far, "right is Forwarded: host='p:1'"),
            ),
        ):
            fields = [*headers, (b"Origin", b"https://p:1"), (b"Host", b"h:80")]
            handshake = handshakeOf(fields, isTLS=False, trustProxy=trust, peer=peer)
            refusal = Origins().refusal(handshake)
            assert refusal is not None
            self.assertIn(hint, refusal)
