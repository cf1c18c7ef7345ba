"""
Tests for how L{txsessionsock.stores.redis} gets to its server: as whom, on which
way, and what it says when it is not let in, or somebody else is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.web.resource import Resource
from twisted.web.server import Site

from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    StoreError,
    StoreFailure,
    StoreUnavailable,
)
from txsessionsock.stores.redis import RedisStore

from .certificates import Certificates
from .rediscase import RedisCase
from .redisserver import Proxy, RedisServer
from .servers import reactor


pytestmark = pytest.mark.redis

SECRET = "Xq7hunter2Zk"

NEEDED = [
    *("ping", "select", "client|tracking", "client|trackinginfo", "evalsha", "eval"),
    *("get", "set", "del", "pttl", "pexpire", "persist"),
]
"""
Which commands a store needs.
"""


class AccessCase(RedisCase):
    """
    Stores that are let in, or not.
    """

    async def everything(self, store: RedisStore) -> None:
        """
        Do all that a store can do, but not see.
        """
        assert await store.load("k") is None
        assert await store.create("k", b"0", 60.0)
        assert (await store.replace("k", b"0", b"1", KEEP)).raw == b"1"
        assert await store.touch("k", FOREVER) is None
        assert await store.touch("k", 60.0)
        loaded = await store.load("k")
        assert loaded is not None and loaded.raw == b"1"
        assert await store.destroy("k")

    async def seeing(self, store: RedisStore) -> None:
        """
        Do all that a store can do, and see.
        """
        await self.everything(store)
        told: list[str] = []
        stop = store.watch("k", told.append)
        await store.load("k")
        await store.fence("k")
        # Of what we did before.
        told.clear()
        other = self.open(self.urls[store])
        assert await other.create("k", b"x", 60.0)
        await store.fence("k")
        assert told == ["k"]
        await store.load("k")
        assert await other.destroy("k")
        await store.fence("k")
        assert told == ["k", "k"]
        stop()

    def setUp(self) -> None:
        super().setUp()
        self.urls: dict[RedisStore, str] = {}

    def open(self, url: str | None = None, timeout: float = 2.0) -> RedisStore:
        store = super().open(url, timeout)
        self.urls[store] = url or self.server.url
        return store

    def assertSees(self, url: str) -> None:
        """
        All works, and nobody complains.
        """
        self.wait(self.seeing(self.open(url)))
        self.assertEqual(self.warnings, [])

    def assertRefused(self, url: str, problem: str) -> RedisStore:
        """
        Nothing works, and why is said once, here and in the log.
        """
        store = self.open(url, timeout=0.25)
        error = self.failing(store.load("k"), StoreUnavailable)
        self.assertIn(problem, error)
        self.failing(store.load("k"), StoreUnavailable)
        self.assertEqual(len(self.warnings), 1, self.warnings)
        self.assertIn(problem, self.warnings[0])
        self.assertIn("trying again", self.warnings[0])
        self.logged.clear()
        return store


class CredentialsTests(AccessCase):
    """
    As whom a store comes.
    """

    def test_password(self) -> None:
        """
        A password lets in, with whatever is in it; none or a wrong one does
        not, which is said.
        """
        server = self.start(password="p@/:#?é")
        self.assertSees(server.url)
        place = f"127.0.0.1:{server.port}"
        self.assertRefused(f"redis://{place}", "NOAUTH")
        self.assertRefused(f"redis://:wrong@{place}", "WRONGPASS")
        self.assertRefused(f"redis://joe:wrong@{place}/1", "WRONGPASS")

    def test_rights(self) -> None:
        """
        A user needs the rights in L{NEEDED}, for the keys of the sessions, and
        each of them.
        """
        server = self.start()
        url = f"redis://app:pw@127.0.0.1:{server.port}/0"

        def allow(commands: list[str]) -> None:
            rights = [f"+{command}" for command in commands]
            keys = f"~{self.prefix}*"
            server.command(
                "ACL", "SETUSER", "app", "reset", "on", ">pw", keys, "-@all", *rights
            )
            server.command("SCRIPT", "FLUSH")

        allow(NEEDED)
        self.assertSees(url)
        for missing in NEEDED:
            allow([command for command in NEEDED if command != missing])
            with self.assertRaises((StoreError, StoreUnavailable)):
                store = self.open(url, timeout=0.25)
                self.wait(self.seeing(store))
                # It is only asked now and then.
                self.wait(store._link.ask(b"CLIENT", b"TRACKINGINFO"))
            server.command("FLUSHALL")

    def test_nopass(self) -> None:
        """
        A user may have no password.
        """
        server = self.start("user open on nopass ~* &* +@all")
        self.assertSees(f"redis://open:@127.0.0.1:{server.port}")

    def test_blind(self) -> None:
        """
        Who may not have changes reported sees none, which is said once, and
        can do all else, on a restarted server too.
        """
        server = self.start("user app on >pw ~* &* +@all -client")
        store = self.open(f"redis://app:pw@127.0.0.1:{server.port}/0")
        told: list[str] = []
        store.watch("k", told.append)
        for _ in range(2):
            self.wait(self.everything(store))
            error = self.failing(store.fence("k"), StoreUnavailable)
            self.assertIn("sees no changes", error)
            told.clear()
            server.restart()
            self.until(lambda: told and store._link.isUp)
        warnings = [line for line in self.warnings if "trying again" not in line]
        self.assertEqual(len(warnings), 1)
        self.assertIn("no CLIENT TRACKING", warnings[0])
        self.assertIn("read for each batch", warnings[0])

    def test_keys(self) -> None:
        """
        Who may not use the keys is told so, and the keys are not.
        """
        server = self.start("user app on >pw ~other:* +@all")
        store = self.open(f"redis://app:pw@127.0.0.1:{server.port}/0")
        error = self.failing(store.load(f"sess:{SECRET}"), StoreError)
        self.assertIn("NOPERM", error)
        self.assertNotIn(SECRET, error)

    def test_database(self) -> None:
        """
        Each database has its own sessions; one that there is not is no place.
        """
        url = self.server.url.removesuffix("/0")
        first, second = self.open(f"{url}/0"), self.open(f"{url}/7")
        self.assertTrue(self.wait(first.create("k", b"0", FOREVER)))
        self.assertIsNone(self.wait(second.load("k")))
        self.assertTrue(self.wait(second.create("k", b"7", FOREVER)))
        self.assertTrue(self.wait(second.destroy("k")))
        self.assertTrue(self.wait(first.destroy("k")))
        self.assertSees(f"{url}/7")
        self.assertRefused(f"{url}/99", "out of range")


class WayTests(AccessCase):
    """
    Unix sockets and TLS.
    """

    def test_unix(self) -> None:
        """
        A Unix socket is as good as a port.
        """
        server = self.start(password=SECRET)
        self.assertSees(server.unixURL)
        self.assertRefused("redis+unix:///no/such/socket", "No such file")

    def test_certificates(self) -> None:
        """
        A server whose certificate was not issued by whom we trust, or for
        another name, is not spoken to; nor does plain text do.
        """
        server = self.start(tls=True, password=SECRET)
        made = server.certificates
        assert made is not None
        self.assertSees(f"{server.tlsURL}?ca={made.authority}")
        self.assertRefused(server.tlsURL, "TLS: certificate verify failed")
        other = self.certificates()
        url = f"{server.tlsURL}?ca={other.authority}"
        self.assertRefused(url, "TLS: certificate verify failed")
        # The same address by another name.
        url = server.tlsURL.replace("localhost", "127.1")
        url = f"{url}?ca={made.authority}"
        self.assertRefused(url, "TLS: the certificate is that of another host")
        wrong = server.tlsURL.replace(SECRET, "wrong")
        self.assertRefused(f"{wrong}?ca={made.authority}", "WRONGPASS")
        self.assertRefused(server.tlsURL.replace("rediss:", "redis:"), "lost")
        stats: bytes = server.command("INFO", "commandstats")
        # Nobody who was refused by us has told the password.
        self.assertEqual(self.secretsSeen(server), [])
        self.assertIn(b"cmdstat_auth", stats)

    def certificates(self) -> Certificates:
        """
        Others.
        """
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        return Certificates.make(directory)

    def secretsSeen(self, server: RedisServer) -> list[str]:
        """
        Where the secret is to be seen.
        """
        return [text for text in [*self.logged, server.log] if SECRET in text]

    # Twisted gives pyOpenSSL what pyOpenSSL does not like to be given.
    @pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
    def test_clientCertificate(self) -> None:
        """
        A server may ask for a certificate of ours.
        """
        server = self.start(tls=True, clientCertificates=True)
        made = server.certificates
        assert made is not None
        url = f"{server.tlsURL}?ca={made.authority}"
        self.assertSees(f"{url}&cert={made.clientCertificate}&key={made.clientKey}")
        self.assertRefused(url, "certificate required")
        other = self.certificates()
        self.assertRefused(
            f"{url}&cert={other.clientCertificate}&key={other.clientKey}", "TLS: "
        )

    def test_files(self) -> None:
        """
        A file that is not there, or of no use, is said at once, and which.
        """
        made = self.certificates()
        empty = Path(self.mktemp())
        empty.write_text("")
        for options, problem in (
            (f"ca={empty}.pem", f"{empty}.pem: No such file"),
            (f"ca={empty.parent}", "Is a directory"),
            (f"ca={empty}", f"{empty}: there is no certificate in it"),
            (f"ca={made.key}", f"{made.key}: there is no certificate in it"),
            (f"cert={empty}&key={made.clientKey}", f"{empty}: no PEM"),
            (f"cert={made.certificate}&key={empty}", "no PEM that is of use"),
            (f"cert={made.certificate}&key={empty}.pem", f"{empty}.pem: No such"),
            (f"cert={made.certificate}&key={made.clientKey}", "no PEM"),
        ):
            with self.assertRaisesRegex(ValueError, problem):
                RedisStore(f"rediss://localhost?{options}", reactor)


class _Says(Protocol):
    """
    Says something to everybody.
    """

    transport: Any
    factory: Any

    def connectionMade(self) -> None:
        self.factory.peers.append(self)
        self.transport.write(self.factory.greeting)
        if self.factory.closes:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self.factory.heard += data
        self.transport.write(self.factory.answer(data))


class _Stranger(Factory):
    """
    No Redis.
    """

    noisy = False
    protocol = _Says

    def __init__(
        self,
        greeting: bytes = b"",
        answer: Callable[[bytes], bytes] = lambda _: b"",
        closes: bool = False,
    ) -> None:
        self.greeting = greeting
        self.answer = answer
        self.closes = closes
        self.heard = b""
        self.peers: list[Any] = []


class StrangerTests(AccessCase):
    """
    Somebody else at the port.
    """

    def listen(self, factory: Any) -> int:
        """
        Be somebody, until the end of the test.
        """
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port: Any = self.wait(endpoint.listen(factory))

        def stop() -> None:
            self.wait(maybeDeferred(port.stopListening))
            for peer in getattr(factory, "peers", []):
                peer.transport.abortConnection()
            self.advance(0.01)

        self.addCleanup(stop)
        number: int = port.getHost().port
        return number

    def test_strangers(self) -> None:
        """
        Who does not speak as a Redis does is found out, with and without a
        password, and no error is logged; when there is a Redis, all is well.
        """
        unknown = "does not speak as a Redis"
        for stranger, problem in (
            (Site(Resource()), unknown),
            (_Stranger(b"\xff\xfe garbage \r\n"), unknown),
            (_Stranger(b"220 mail.example.com ESMTP\r\n"), unknown),
            (_Stranger(closes=True), "closed"),
            (_Stranger(b"-ERR max number of clients reached\r\n", closes=True), ""),
        ):
            network = Proxy(self.listen(stranger))
            self.wait(network.listen())
            for credentials in "", ":pw@":
                url = f"redis://{credentials}127.0.0.1:{network.port}"
                store = self.open(url, timeout=0.25)
                error = self.failing(store.load("k"), StoreUnavailable)
                self.assertIn(problem, error)
                self.advance(0.15)
                # Not one for each attempt.
                self.assertLess(len(self.warnings), 3, self.warnings)
                self.logged.clear()
                self.wait(store.close())
            network.target = self.server.port
            self.wait(network.cut())
            store = self.open(f"redis://127.0.0.1:{network.port}")
            self.wait(self.everything(store))
            self.wait(store.close())
            self.wait(network.refuse())
            self.wait(network.cut())

    def test_odd(self) -> None:
        """
        Who speaks as a Redis does and says odd things is not believed either.
        """
        for stranger in (
            _Stranger(answer=lambda data: data),
            _Stranger(answer=lambda _: b"*3\r\n:1\r\n:2\r\n:3\r\n" * 9),
            _Stranger(answer=lambda _: b"+PONG\r\n" * 4),
            _Stranger(b"+PONG\r\n" * 100),
        ):
            store = self.open(f"redis://127.0.0.1:{self.listen(stranger)}", 0.25)
            for _ in range(2):
                with self.assertRaises(StoreFailure):
                    self.wait(store.load("k"))
            self.wait(store.close())

    def test_comesBack(self) -> None:
        """
        The same store works as soon as there is a Redis.
        """
        network = Proxy(self.listen(Site(Resource())))
        self.wait(network.listen())
        store = self.assertRefused(
            f"redis://127.0.0.1:{network.port}", "does not speak as a Redis"
        )
        network.target = self.server.port
        self.until(lambda: store._link.isUp)
        self.wait(self.everything(store))
        self.wait(network.refuse())
        self.wait(network.cut())

    def test_secrets(self) -> None:
        """
        What a server repeats of what it was asked is neither told nor logged:
        no password, no key and no session.
        """

        def repeat(data: bytes) -> bytes:
            name, *words = data.split(b"\r\n")[2::2]
            said = b"', '".join(words)
            return b"-ERR unknown command '%s', with args beginning with: '%s'\r\n" % (
                name,
                said,
            )

        parrot = _Stranger(answer=repeat)
        place = f"127.0.0.1:{self.listen(parrot)}"
        url = f"redis://joe:{SECRET}@{place}"
        store = self.assertRefused(url, "unknown command 'AUTH'")
        self.assertIn(SECRET.encode(), parrot.heard)
        shown = [repr(each) for each in _reachable(store)]
        self.assertGreater(len(shown), 5)
        self.assertEqual([text for text in shown if SECRET in text], [])

    def test_secretSessions(self) -> None:
        """
        Nor does it do so with sessions.
        """
        server = self.start('rename-command EVALSHA ""')
        store = self.open(server.url)
        for answer in (
            store.load(SECRET),
            store.create(SECRET, SECRET.encode(), FOREVER),
            store.replace(SECRET, b"", SECRET.encode(), KEEP),
        ):
            error = self.failing(answer, StoreError)
            self.assertIn("unknown command", error)
            self.assertNotIn(SECRET, error)
        self.assertEqual([line for line in self.logged if SECRET in line], [])


def _reachable(store: RedisStore) -> list[object]:
    """
    What somebody may come to look at.
    """
    link: Any = store._link
    own = [store, link, link.address, link._way, link._factory, link._connection]
    return [*own, store.load("k").addErrback(lambda _: None), vars(store), vars(link)]


class BlindTests(RedisCase):
    """
    Without hiredis.
    """

    def test_contract(self) -> None:
        """
        Without hiredis, a store keeps what every store promises, and says once
        that it sees no changes.
        """
        program = "import sys; sys.modules['hiredis'] = None; import pytest"
        program += "; sys.exit(pytest.main(sys.argv[1:]))"
        root = Path(__file__).parent.parent
        tests = Path(__file__).with_name("blindstore.py")
        options = ["-q", "-x", "-p", "no:cacheprovider", str(tests)]
        done = subprocess.run(
            [sys.executable, "-c", program, *options],
            cwd=root,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(" passed", done.stdout)
