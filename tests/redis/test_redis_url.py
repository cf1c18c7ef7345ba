"""
Tests for L{txsessionsock._redis.address}.
"""

from __future__ import annotations

import string
from contextlib import suppress as ignoring
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._redis.address import RedisAddress


SECRET = "Xq7hunter2Zk"

SCHEMES = ["redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel"]

# What URLs are made of, and what takes them apart.
_odd = st.text(st.sampled_from("abe01:/?#[]@,;=&%+. \t\n\\.é\ud800") | st.characters())


def _isKept(secret: str, url: str) -> bool:
    """
    Whether nothing that is shown of a URL has the secret in it.
    """
    try:
        address = RedisAddress.parse(url)
    except ValueError as error:
        shown = f"{error} {error!r}"
    else:
        shown = f"{address} {address!r}"
    return secret.lower() not in shown.lower()


class RedisAddressTests(SynchronousTestCase):
    """
    Tests for L{RedisAddress}.
    """

    def test_hosts(self) -> None:
        """
        A URL names a host, and may name a port and a database.
        """
        for url, host, port, database in (
            ("redis://localhost", "localhost", 6379, None),
            ("redis://", "localhost", 6379, None),
            ("redis:///3", "localhost", 6379, 3),
            ("redis://:7000", "localhost", 7000, None),
            ("redis://example.com:/", "example.com", 6379, None),
            ("redis://example.com:6380/15", "example.com", 6380, 15),
            ("redis://example.com?db=4", "example.com", 6379, 4),
            ("redis://10.0.0.1/0", "10.0.0.1", 6379, 0),
            ("redis://[::1]/2", "::1", 6379, 2),
            ("redis://[2001:db8::1]:6380", "2001:db8::1", 6380, None),
            ("REDIS://Example.com/1/", "example.com", 6379, 1),
            ("redis://localhost/2\n", "localhost", 6379, 2),
        ):
            expected = RedisAddress(hosts=((host, port),), database=database)
            self.assertEqual(RedisAddress.parse(url), expected, url)

    def test_credentials(self) -> None:
        """
        A user and a password come before the host, quoted or not; what is
        quoted is taken out of its quotes once.
        """
        for text, user, password in (
            ("", None, None),
            ("@", None, None),
            (":@", None, None),
            (":secret@", None, "secret"),
            ("joe:secret@", "joe", "secret"),
            ("joe:@", "joe", ""),
            ("joe:a:b@", "joe", "a:b"),
            ("joe:a@b@", "joe", "a@b"),
            (":%40%2F%3A%3F%23%25%20@", None, "@/:?#% "),
            (":%2541@", None, "%41"),
            ("jo%3Ae:a+b@", "jo:e", "a+b"),
            ("jos%C3%A9:é,@", "josé", "é,"),
        ):
            address = RedisAddress.parse(f"redis://{text}host/0")
            seen = address.user, address.password, address.hosts
            self.assertEqual(seen, (user, password, (("host", 6379),)), text)

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_quoted(self, password: str) -> None:
        """
        Any password can be given, quoted.
        """
        for place in "host:1/2", "/run/redis.sock":
            scheme = "redis+unix" if place.startswith("/") else "redis"
            url = f"{scheme}://joe:{quote(password, safe='')}@{place}"
            address = RedisAddress.parse(url)
            self.assertEqual((address.user, address.password), ("joe", password))

    def test_unix(self) -> None:
        """
        A socket is named by its path.
        """
        for url, path, database in (
            ("redis+unix:///run/redis.sock", "/run/redis.sock", None),
            ("redis+unix:///run/redis.sock?db=2", "/run/redis.sock", 2),
            ("redis+unix:///a%20b%3F", "/a b?", None),
        ):
            expected = RedisAddress(path=path, database=database)
            self.assertEqual(RedisAddress.parse(url), expected)
        address = RedisAddress.parse("redis+unix://joe:secret@/run/s?db=1")
        expected = RedisAddress(
            path="/run/s", database=1, user="joe", password="secret"
        )
        self.assertEqual(address, expected)

    def test_tls(self) -> None:
        """
        C{rediss} is secure, and may say by which certificates.
        """
        address = RedisAddress.parse("rediss://:pw@example.com/1")
        expected = RedisAddress(
            (("example.com", 6379),), database=1, password="pw", isSecure=True
        )
        self.assertEqual(address, expected)
        address = RedisAddress.parse("rediss://h?ca=/a%26b.pem&cert=c.pem&key=k.pem")
        expected = RedisAddress(
            (("h", 6379),),
            isSecure=True,
            authorities="/a&b.pem",
            certificate="c.pem",
            privateKey="k.pem",
        )
        self.assertEqual(address, expected)

    def test_sentinel(self) -> None:
        """
        Sentinels are several hosts, and a service that they know.
        """
        address = RedisAddress.parse(
            "redis+sentinel://joe:pw@one,two:7000,[::1]/my%20master/3"
        )
        hosts = ("one", 26379), ("two", 7000), ("::1", 26379)
        expected = RedisAddress(hosts, None, "my master", 3, user="joe", password="pw")
        self.assertEqual(address, expected)
        address = RedisAddress.parse(
            "rediss+sentinel://one/m?sentinel-user=s&sentinel-password=p%40&ca=c&db=2"
        )
        expected = RedisAddress(
            (("one", 26379),),
            service="m",
            database=2,
            sentinelUser="s",
            sentinelPassword="p@",
            isSecure=True,
            authorities="c",
        )
        self.assertEqual(address, expected)

    def test_str(self) -> None:
        """
        What is shown of an address is its URL, without what is secret.
        """
        for url, shown in (
            ("redis://joe:secret@h", "redis://h:6379/"),
            ("redis://:secret@[::1]:1/2", "redis://[::1]:1/2"),
            ("rediss://h/0?cert=c&key=secret", "rediss://h:6379/0"),
            ("redis+unix://:secret@/run/s", "redis+unix:///run/s"),
            ("redis+unix://:secret@/run/s?db=2", "redis+unix:///run/s?db=2"),
            (
                "redis+sentinel://:secret@a,b:1/m?sentinel-password=secret",
                "redis+sentinel://a:26379,b:1/m/",
            ),
            ("rediss+sentinel://a/m/3", "rediss+sentinel://a:26379/m/3"),
        ):
            address = RedisAddress.parse(url)
            self.assertEqual(str(address), shown)
            again = RedisAddress.parse(shown)
            self.assertEqual(str(again), shown)
            for name in "hosts", "path", "service", "database", "isSecure":
                self.assertEqual(getattr(again, name), getattr(address, name))

    def test_errors(self) -> None:
        """
        What is wrong with a URL is said, and what would be right.
        """
        redis = "redis://localhost:6379/0"
        secure = "rediss://user:password@redis.example.com:6379/0"
        unix = "redis+unix:///run/redis.sock?db=0"
        sentinel = "redis+sentinel://one:26379,two:26379/service/0"
        begin = "redis+sentinel://"
        for url, problem, example_ in (
            ("", "begins with", "rediss://"),
            ("localhost:6379", "begins with", "rediss://"),
            ("http://localhost", "begins with", "redis+unix://"),
            (" redis://localhost", "begins with", "redis+sentinel://"),
            ("redis:localhost", "two slashes", redis),
            ("redis+unix:/run/s", "two slashes", unix),
            ("redis://localhost:x", "port is a number", redis),
            ("redis://localhost:65536", "port is a number", redis),
            ("redis://localhost:-1", "port is a number", redis),
            ("redis://::1", r"IPv6 stands in \[ \]", redis),
            ("redis://[::1", r"cannot be read: .* %5B", redis),
            ("redis://:a[b@h", r"cannot be read: .* %5B", redis),
            ("redis://[localhost]", "cannot be read", redis),
            ("redis://h/x", "database is a number", redis),
            ("redis://h/-1", "database is a number", redis),
            ("redis://h/²", "database is a number", redis),
            ("redis://h/" + "1" * 5000, "database is a number", redis),
            ("redis://h?db=x", "database is a number", redis),
            ("redis://h/0/1", "too much after the host", redis),
            ("redis://h?databse=1", "follow [?] is db;", redis),
            ("redis://h?ca=x", "follow [?] is db;", redis),
            ("rediss://h?x", "is db, ca, cert, key;", secure),
            ("rediss://h?cert=x", "go together", secure),
            ("rediss://h?key=x", "go together", secure),
            ("redis+unix://", "path of a socket", unix),
            ("redis+unix:///", "path of a socket", unix),
            ("redis+unix://run/s", "path of a socket", unix),
            ("redis+unix:///s?ca=x", "is db;", unix),
            ("redis://a,b", "sentinels only", redis),
            (begin + "a,b", "service is missing", sentinel),
            (begin + "a,b/", "service is missing", sentinel),
            (begin + "a,,b/m", "a host is missing", sentinel),
            (begin + "a,/m", "a host is missing", sentinel),
            (begin + "a/m/x", "database is a number", sentinel),
            (begin + "a/m/0/1", "too much after", sentinel),
            (begin + "a/m?ca=x", "is db, sentinel-user", sentinel),
            (begin + "a/m?sentinel-user=x", "needs sentinel-pass", sentinel),
            ("rediss+sentinel://a", "service", "rediss+sentinel://one:26379"),
            ("redis://secret@h", "after a colon", redis),
            ("redis://:a#b@h", "# in a password is written %23", redis),
            ("redis://:a/b@h", "password is written %40, %2F or %3F", redis),
            ("redis://:1/b@h", "password is written %40, %2F or %3F", redis),
            ("redis://:1?b@h", "password is written %40, %2F or %3F", redis),
            (begin + ":1/b@h", "password is written %40, %2F or %3F", sentinel),
        ):
            with self.assertRaisesRegex(ValueError, problem) as caught:
                RedisAddress.parse(url)
            self.assertIs(type(caught.exception), ValueError, url)
            self.assertIn(example_, str(caught.exception))
            self.assertIsNone(caught.exception.__cause__)
            self.assertTrue(
                caught.exception.__suppress_context__
                or not caught.exception.__context__
            )

    @given(st.sampled_from([f"{scheme}://" for scheme in SCHEMES]) | _odd, _odd)
    @example("redis://", "[")
    @example("redis://", "h:\ud800")
    def test_odd(self, begin: str, rest: str) -> None:
        """
        Whatever is no URL of a Redis is a L{ValueError}; whatever is one can
        be shown.
        """
        with ignoring(ValueError):
            address = RedisAddress.parse(begin + rest)
            self.assertIn("://", str(address))
            self.assertTrue(address.hosts or address.path)
            for host, port in address.hosts:
                self.assertTrue(host)
                self.assertIn(port, range(65536))

    @given(
        st.sampled_from(SCHEMES),
        st.sampled_from(["", "joe", "joe:pass"]) | _odd,
        _odd,
        _odd,
        st.sampled_from(["host", "host:1/0", "one,two/m/0", "/run/s", "h/m?db=1"]),
    )
    @example("redis+sentinel", "", "1/", "", "h/m")
    @example("redis+sentinel", "", "1/", "?db=", "1")
    @example("redis+unix", "", "a/", "", "/run/s")
    @example("redis+sentinel", "joe", "p@a/", "", "h/m")
    def test_password(
        self, scheme: str, user: str, before: str, after: str, place: str
    ) -> None:
        """
        Nothing that is shown has the password in it, however wrong its
        quoting.
        """
        password = f"{before}{SECRET}{after}"
        self.assertTrue(_isKept(SECRET, f"{scheme}://{user}:{password}@{place}"))

    @given(st.sampled_from(SCHEMES), _odd, _odd)
    def test_misplaced(self, scheme: str, before: str, after: str) -> None:
        """
        The password is not shown either if the URL does not begin as it should,
        or if there is no colon before the password.
        """
        password = f"{before}{SECRET}{after}"
        for url in f"{password}@host/0", f"//:{password}@host/0":
            self.assertTrue(_isKept(SECRET, url))
        for url in (
            f"{scheme}:{SECRET}@host/0",
            f"{scheme}://{SECRET}@host/0",
            f"{scheme}:/:{SECRET}@host/0",
        ):
            self.assertTrue(_isKept(SECRET, url), url)

    @given(st.sampled_from(SCHEMES), st.text(string.ascii_letters, max_size=3), _odd)
    def test_sentinelPassword(self, scheme: str, before: str, after: str) -> None:
        """
        The sentinels' password is kept as well.
        """
        url = f"{scheme}://h/m/0?sentinel-password={before}{SECRET}{after}"
        self.assertTrue(_isKept(SECRET, url))

    def test_shows(self) -> None:
        """
        The tests above would notice a password that is shown.
        """
        self.assertFalse(_isKept(SECRET, f"redis://{SECRET}"))
        self.assertFalse(_isKept(SECRET, f"redis+unix:///{SECRET}"))
