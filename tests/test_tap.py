"""
The options of C{twistd sessionsock}: what is made of each, and what is said
when it is wrong.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.service import SessionSockService
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.tap import Options, makeService
from txsessionsock.workers import Workers

from .servers import MODULES


def desk(name: str) -> list[str]:
    return ["--protocol", f"desk.{name}"]


class TapCase(SynchronousTestCase):
    """
    In a directory with some files, and with the modules of the end-to-end
    tests on the path.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir(parents=True)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.directory)
        self.patch(sys, "path", [*sys.path, MODULES])
        self.addCleanup(self.forget)
        self.patch(os, "environ", {"SESSIONSOCK_SECRET": "for tests"})

    def forget(self) -> None:
        """
        Let the next test import modules of these names anew.
        """
        for name in "desk", "broken", "lacking", "failing", "exiting":
            sys.modules.pop(name, None)

    def write(self, name: str, text: str) -> str:
        """
        Write a file.

        @return: Its name.
        """
        Path(name).write_text(text)
        return name

    def make(self, *options: str) -> SessionSockService:
        """
        Make what twistd would.
        """
        service = makeService(self.parsed(*options))
        assert isinstance(service, SessionSockService)
        return service

    def parsed(self, *options: str) -> Options:
        """
        Read options.
        """
        parsed = Options()
        parsed.parseOptions(options)
        return parsed

    def refused(self, *options: str) -> str:
        """
        Make what cannot be made.

        @return: What is said about it.
        """
        with self.assertRaises(SystemExit) as raised:
            makeService(self.parsed(*options))
        said = raised.exception.code
        assert isinstance(said, str)
        self.assertEqual(said.count("\n"), 0, said)
        start = "twistd sessionsock: "
        self.assertEqual(said[: len(start)], start)
        return said[len(start) :]


class MakeTests(TapCase):
    """
    What is made of good options.
    """

    def test_nothing(self) -> None:
        """
        Without options: the demo at port 8080, sessions in memory, each message
        with a fresh session.
        """
        service = self.make()
        with capturedLogs() as logs:
            service.listening()
        self.assertEqual([where for where, _ in service._endpoints], ["tcp:8080"])
        self.assertTrue(service._sockets.perMessage)
        self.assertEqual(service._drain, 10)
        self.assertIn("http://localhost:8080/", logs[0]["log_format"])

    def test_modes(self) -> None:
        """
        Sockets have their session per connection unless C{--per-message} is
        said.
        """
        self.assertFalse(self.make(*desk("Desk"))._sockets.perMessage)
        service = self.make(*desk("Desk"), "--per-message")
        self.assertTrue(service._sockets.perMessage)

    def test_plainProtocol(self) -> None:
        """
        An Autobahn protocol that knows nothing of sessions gets them.
        """
        service = self.make(*desk("Echo"), "--per-message")
        self.assertTrue(service._sockets.perMessage)

    def test_freshness(self) -> None:
        """
        C{--freshness} and C{--drain} reach their places.
        """
        service = self.make("--freshness", "tracked", "--drain", "2.5")
        self.assertEqual(service._manager._settings.isTracked, True)
        self.assertEqual(service._drain, 2.5)

    def test_listen(self) -> None:
        """
        C{--listen} may be repeated.
        """
        service = self.make("--listen", "tcp:1", "--listen", "tcp:2")
        self.assertEqual([where for where, _ in service._endpoints], ["tcp:1", "tcp:2"])

    def test_cookie(self) -> None:
        """
        C{--cookie} is the name of the session cookie.
        """
        self.assertEqual(self.framework().cookieName, "connect.sid")
        self.assertEqual(self.framework("--cookie", "sid").cookieName, "sid")

    def test_secrets(self) -> None:
        """
        Of several lines, the first signs and all verify.  The file goes before
        the environment variable.
        """
        name = self.write("secrets", "new\n\n  old  \n")
        both = self.framework("--secret-file", name)
        for secret, signs in ("new", True), ("old", False):
            os.environ["SESSIONSOCK_SECRET"] = secret
            one = self.framework()
            value = one.cookieValue("some id")
            one = self.framework()
            value = one.cookieValue("some-id")
            self.assertEqual(both.sessionID(value, 0), "some-id")
            self.assertEqual(both.cookieValue("some-id") == value, signs)

    def test_noSecret(self) -> None:
        """
        Without a secret one is made, another each time, with a warning that
        does not show it.
        """
        del os.environ["SESSIONSOCK_SECRET"]
        values = set()
        for _ in range(2):
            with capturedLogs() as logs:
                values.add(self.framework("--listen=tcp:1").cookieValue("some-id"))
            (event,) = logs
            self.assertEqual(event["log_level"], LogLevel.warn)
            self.assertIn("sessions will not survive it", event["log_format"])
            self.assertEqual(event["variable"], "SESSIONSOCK_SECRET")
        self.assertEqual(len(values), 2)

    def test_cwd(self) -> None:
        """
        Classes are looked for in the current directory, and first there.
        """
        self.write(
            "desk.py",
            "from txsessionsock.protocol import SessionSocketProtocol\n"
            "class Here(SessionSocketProtocol): pass\n",
        )
        self.make(*desk("Here"))

    def framework(self, *options: str) -> Any:
        """
        The framework of a server.
        """
        return self.make(*options)._manager.framework


class StoreTests(TapCase):
    """
    Where sessions are, and that passwords stay where they were put.
    """

    def store(self, *options: str) -> Any:
        """
        The store of a server.
        """
        return self.make(*options)._manager._backend._store

    def test_kinds(self) -> None:
        """
        Each kind of address has its store.
        """
        self.assertIsInstance(self.store("--store=sqlite:x.db"), SQLiteStore)
        for address in (
            "redis://localhost",
            "rediss://user:hush@localhost:1/2",
            "redis+unix:///run/redis.sock?db=0",
            "redis+sentinel://one:26379,two:26379/service/0",
            "REDIS://localhost",
        ):
            store = self.store("--store", address)
            self.assertIsInstance(store, RedisStore, address)

    def test_environment(self) -> None:
        """
        The variable is the default of the option; an empty one is none.
        """
        os.environ["SESSIONSOCK_STORE"] = "redis://localhost"
        self.assertIsInstance(self.store(), RedisStore)
        self.assertIsInstance(self.store("--store=sqlite:x.db"), SQLiteStore)
        os.environ["SESSIONSOCK_STORE"] = ""
        self.assertIsInstance(self.store(), MemoryStore)
        os.environ["SESSIONSOCK_STORE"] = "nonsense"
        self.assertIn("--store is memory:", self.refused())

    def test_wrong(self) -> None:
        """
        A wrong address is refused, and nothing that may be a password is
        shown.
        """
        for address in (
            "redis:",
            "redis://:hush@localhost/one",
            "redis://:hu/sh@localhost",
            "redis+unix:",
            "redis+sentinel://:hush@localhost",
            "rediss://localhost/0?password=hush",
            "redos://user:hush@localhost",
            "mysql://localhost?password=hush",
        ):
            with self.subTest(address), capturedLogs() as logs:
                said = self.refused("--store", address)
                self.assertIn("--store", said)
                self.assertNotIn("hu", said)
                self.assertIn(address.partition(":")[0], said)
            self.assertEqual(logs, [])

    def test_notInstalled(self) -> None:
        """
        What it takes is said when it is not there.
        """
        name = "txsessionsock.stores.redis"
        anyModules: dict[str, Any] = sys.modules
        self.addCleanup(anyModules.__setitem__, name, sys.modules[name])
        anyModules[name] = None
        said = self.refused("--store=redis://:hush@localhost")
        self.assertIn('pip install "txsessionsock[redis]"', said)
        self.assertNotIn("hush", said)


class WorkersTests(TapCase):
    """
    C{--workers}.
    """

    def workers(self, *options: str) -> Workers:
        """
        Make the parent of some.
        """
        service = makeService(self.parsed("--workers=2", *options))
        assert isinstance(service, Workers)
        return service

    def test_one(self) -> None:
        """
        One is this process itself, with any store and endpoint.
        """
        service = self.make("--workers=1", "--listen=unix:socket")
        self.assertIsInstance(service._manager._backend._store, MemoryStore)

    def test_several(self) -> None:
        """
        Several, at each C{--listen}, with the same options, whole again where
        they were shortened.
        """
        service = self.workers(
            *("--store", "sqlite:x.db", "--proto", "desk.Desk", "--per"),
            *("--listen", "tcp:1", "--listen=tcp6:2", "--cookie=", "--drain", "3"),
        )
        self.assertEqual([d for d, _ in service._endpoints], ["tcp:1", "tcp6:2"])
        self.assertEqual(len(service._slots), 2)
        self.assertEqual(
            service._command.arguments,
            [
                *("--workers=2", "--protocol=desk.Desk", "--per-message"),
                *("--listen=tcp:1", "--listen=tcp6:2", "--cookie=", "--drain=3"),
            ],
        )
        self.assertEqual(service._command.directory, os.getcwd())
        self.parsed(*service._command.arguments)

    def test_store(self) -> None:
        """
        The address of the store is in their environment, not on their command
        line, which everybody sees.
        """
        address = "redis://:hush@localhost"
        for given in (["--store", address], [f"--sto={address}"]):
            command = self.workers(*given, "--listen=tcp:1")._command
            self.assertEqual(command.environment["SESSIONSOCK_STORE"], address)
            self.assertNotIn("hush", " ".join(command.line))
            self.assertNotIn("hush", repr(command))
        os.environ["SESSIONSOCK_STORE"] = address
        command = self.workers("--listen=tcp:1")._command
        self.assertEqual(command.environment["SESSIONSOCK_STORE"], address)

    def test_secret(self) -> None:
        """
        Without a secret, all have the same one, and the next ones too; it is
        not on their command line either.  With one, they read it themselves.
        """
        more = "--store=sqlite:x.db", "--listen=tcp:1"
        command = self.workers(*more)._command
        self.assertEqual(command.environment["SESSIONSOCK_SECRET"], "for tests")
        del os.environ["SESSIONSOCK_SECRET"]
        with capturedLogs() as logs:
            command = self.workers(*more)._command
        self.assertIn("no secret given", formatEvent(logs[0]))
        made = command.environment["SESSIONSOCK_SECRET"]
        self.assertGreater(len(made), 40)
        self.assertNotIn(made, " ".join([*command.line, repr(command)]))
        name = self.write("secrets", "new\nold\n")
        command = self.workers(*more, "--secret-file", name)._command
        self.assertNotIn("SESSIONSOCK_SECRET", command.environment)

    def test_refused(self) -> None:
        """
        What several processes cannot share is refused, with what is right.
        """
        shared = "--workers=2", "--store=sqlite:x.db"
        for options, why in (
            (("--workers=2",), "memory: is of one process"),
            (("--workers=2", "--store=memory:"), "sqlite:PATH, redis://"),
            ((*shared, "--listen=unix:socket"), "--listen unix:socket: 2 workers"),
            ((*shared, "--listen=systemd:domain=INET:index=0"), "cannot share it"),
            ((*shared, "--listen=haproxy:unix:socket"), "right is tcp:"),
            ((*shared, "--listen=tcp:nonsense"), "--listen tcp:nonsense"),
            ((*shared, "--protocol=there.is.None"), "--protocol there.is.None"),
        ):
            with self.subTest(options):
                self.assertIn(why, self.refused(*options))


class RefusalTests(TapCase):
    """
    What is wrong is said in one line.
    """

    def test_unknownOption(self) -> None:
        """
        There is no such option, or it lacks its value, or has one too many.
        """
        self.assertIn("--nonsense not recognized", self.refused("--nonsense"))
        self.assertIn("--store requires argument", self.refused("--store"))
        self.refused("argument")

    def test_values(self) -> None:
        """
        The line names the option and what was given.
        """
        for option, value in (
            ("--store", "redis-ish"),
            ("--store", "sqlite:"),
            ("--store", "memory:x"),
            ("--store", "sqlite:there/is/no/such.db"),
            ("--workers", "0"),
            ("--workers", "-1"),
            ("--workers", "1.5"),
            ("--workers", "two"),
            ("--workers", "100000"),
            ("--framework", "rails"),
            ("--freshness", "stale"),
            ("--drain", "soon"),
            ("--drain", "-1"),
            ("--drain", "inf"),
            ("--drain", "nan"),
            ("--cookie", "a=b"),
            ("--cookie", "a b"),
            ("--origin", "example.com"),
            ("--listen", "8080x"),
            ("--listen", "nonsense:1"),
            ("--listen", "tcp"),
            ("--listen", "tcp:port"),
            ("--listen", "ssl:1:privateKey=no.pem:certKey=no.pem"),
        ):
            with self.subTest(option=option, value=value):
                said = self.refused(option, value)
                self.assertIn(option, said)
                self.assertIn(value, said)

    def test_noStore(self) -> None:
        """
        What is there is no SQLite file.
        """
        name = self.write("notes.txt", "just text, and long enough to be read\n" * 40)
        os.mkdir("directory")
        for place in name, "directory":
            with self.subTest(place):
                self.assertIn("--store", self.refused("--store", f"sqlite:{place}"))

    def test_secretFile(self) -> None:
        """
        There is none, it is empty, or not readable; nothing of it is shown.
        """
        empty = self.write("empty", " \n\n")
        Path("binary").write_bytes(b"secret \xff")
        for name in "missing", empty, "binary", ".":
            with self.subTest(name):
                said = self.refused("--secret-file", name)
                self.assertIn(f"--secret-file {name}", said)
                self.assertNotIn("secret \\", said)
        os.environ["SESSIONSOCK_SECRET"] = ""
        self.assertIn("SESSIONSOCK_SECRET holds no secret", self.refused())

    def test_names(self) -> None:
        """
        A module or a class that is not there, or cannot be imported, or is
        something else.
        """
        self.write("broken.py", "def f(:\n")
        self.write("lacking.py", "import there_is_no_such_module\n")
        self.write("failing.py", "raise ValueError('two\\nlines')\n")
        self.write("exiting.py", "raise SystemExit(3)\n")
        for name, why in (
            ("there_is_no_such_module.Class", "there_is_no_such_module"),
            ("desk.Nothing", "Nothing"),
            ("desk", "desk"),
            ("", ""),
            ("..", ".."),
            ("broken.Class", "line 1"),
            ("lacking.Class", "there_is_no_such_module"),
            ("failing.Class", "ValueError"),
            ("exiting.Class", "exiting"),
            ("desk.Pages", "desk.Pages"),
            ("os.getcwd", "os.getcwd"),
        ):
            with self.subTest(name):
                said = self.refused("--protocol", name)
                self.assertIn("--protocol", said)
                self.assertIn(why, said)

    def test_indexes(self) -> None:
        """
        The class of the sockets has an index that would have to be waited for.
        """
        self.write(
            "lacking.py",
            "from txsessionsock.protocol import SessionSocketProtocol\n"
            "async def who(session): pass\n"
            "class Desk(SessionSocketProtocol): indexes = {'user': who}\n",
        )
        said = self.refused("--protocol", "lacking.Desk")
        self.assertIn("--protocol: index 'user' wants an ordinary function", said)

    def test_pages(self) -> None:
        """
        What else is to be served is not there, or is no such thing.
        """
        self.write("failing.py", "def Page(): raise ValueError('no page')\n")
        self.write("file", "")
        for option, value in (
            ("--path", "missing"),
            ("--path", "file"),
            ("--wsgi", "desk.missing"),
            ("--wsgi", "os.sep"),
            ("--class", "desk.missing"),
            ("--class", "desk.Desk"),
            ("--class", "os.sep"),
        ):
            with self.subTest(option=option, value=value):
                said = self.refused(*desk("Desk"), option, value)
                self.assertIn(option, said)
                self.assertIn(value, said)

    def test_combinations(self) -> None:
        """
        Pages without sockets are nothing for this command; there is one kind
        of pages; the sockets have one name.
        """
        self.assertIn("needs --protocol", self.refused("--path", "."))
        both = self.refused(*desk("Desk"), "--path", ".", "--wsgi", "desk.application")
        self.assertIn("--path and --wsgi", both)
        for path in "", "/", "a/b":
            self.assertIn(
                "--socket-path", self.refused(*desk("Desk"), "--socket-path", path)
            )
