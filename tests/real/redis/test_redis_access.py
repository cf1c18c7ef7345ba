"""
Tests for how L{txsessionsock.stores.redis} gets to its server: as whom, on which
way, and what it says when it is not let in, or somebody else is there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.support.accesscase import SECRET, AccessCase
from tests.support.certificates import Certificates
from tests.support.documents import commands
from tests.support.rediscase import RedisCase
from tests.support.redisserver import RedisServer
from tests.support.servers import reactor
from txsessionsock._redis import link as _redis
from txsessionsock._redis.link import Link
from txsessionsock.interfaces import FOREVER, StoreError, StoreUnavailable
from txsessionsock.stores.redis import RedisStore


(_USER,) = [text for text in commands("redis.md") if "user app" in text]
SURER = ["client|id", "client|list", "client|kill"]
"""
Which commands a store can do without.
"""
NEEDED = [name for name in re.findall(r"\+(\S+)", _USER) if name not in SURER]
"""
Which commands it needs, as C{docs/redis.md} says.
"""


class CredentialsTests(AccessCase):
    """
    Passwords, users, and what they may do.
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
        A user that may not have changes reported sees none, which is said once,
        and can do all else, on a restarted server too.
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

    def test_plainHello(self) -> None:
        """
        A server that takes no C{HELLO} without a version, as Redis 6.0, sees
        nevertheless.
        """
        ask = Link.ask

        def old(link: Link, *words: bytes) -> Any:
            # Of no version either, but not for Redis 6.2 and later.
            return ask(link, *words, *([b""] if words == (b"HELLO",) else []))

        with patch.object(Link, "ask", old):
            self.failing(self.open()._link.ask(b"HELLO"), StoreError)
            self.assertSees(self.server.url)
            with patch.object(_redis, "canBePushed", lambda: False):
                self.assertIsNone(self.wait(self.open().load("k")))

    def test_keys(self) -> None:
        """
        A user that may not use the keys is told so, without the keys.
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


class EndpointTests(AccessCase):
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
        locked = Path(self.mktemp())
        locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
        for options, problem in (
            (f"ca={empty}.pem", f"{empty}.pem: No such file"),
            (f"ca={empty.parent}", "Is a directory"),
            (f"ca={empty}", f"{empty}: there is no certificate in it"),
            (f"ca={made.key}", f"{made.key}: there is no certificate in it"),
            (f"cert={empty}&key={made.clientKey}", f"{empty}: no PEM"),
            (f"cert={made.certificate}&key={empty}", "no PEM that is of use"),
            (f"cert={made.certificate}&key={empty}.pem", f"{empty}.pem: No such"),
            (f"cert={made.certificate}&key={locked}", "must not have a password"),
            (f"cert={made.certificate}&key={made.clientKey}", "no PEM"),
        ):
            with self.assertRaisesRegex(ValueError, problem):
                RedisStore(f"rediss://localhost?{options}", reactor)


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
        root = Path(__file__).parents[3]
        tests = Path(__file__).parents[2] / "support" / "blindstore.py"
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
