"""
The options of C{twistd sessionsock}: what is made of each, and what is said
when it is wrong.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from twisted.application import app
from twisted.internet.defer import setDebugging
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python import failure
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tests.support.servers import MODULES, reactor
from txsessionsock.limits import Limits, Rate
from txsessionsock.service import SessionSockService, Workers
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.tap import Options, makeService
from txsessionsock.tap.inherited import argumentsLike


def verbs(name: str) -> list[str]:
    return ["--protocol", f"verbs.{name}"]


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
        for name in "verbs", "broken", "lacking", "failing", "exiting":
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
        self.assertFalse(self.make(*verbs("Verbs"))._sockets.perMessage)
        service = self.make(*verbs("Verbs"), "--per-message")
        self.assertTrue(service._sockets.perMessage)

    def test_plainProtocol(self) -> None:
        """
        An Autobahn protocol that knows nothing of sessions gets them.
        """
        service = self.make(*verbs("Echo"), "--per-message")
        self.assertTrue(service._sockets.perMessage)

    def test_freshness(self) -> None:
        """
        C{--freshness} and C{--drain} reach their places.
        """
        service = self.make("--freshness", "tracked", "--drain", "2.5")
        self.assertEqual(service._manager._policy.isTracked, True)
        self.assertEqual(service._drain, 2.5)

    def test_rates(self) -> None:
        """
        C{--session-rate} and C{--user-rate} are limits, of the demo too.
        """
        options = ("--session-rate", "20/40", "--user-rate", "0.5/1")
        for protocol in (), verbs("Verbs"):
            limits = self.make(*protocol, *options)._sockets.limits
            self.assertEqual(limits.sessionRate, Rate(20, 40))
            self.assertEqual(limits.userRate, Rate(0.5, 1))
            self.assertIsNone(self.make(*protocol)._sockets.limits.sessionRate)

    def test_proxies(self) -> None:
        """
        Which proxies are trusted, for the sockets and for the pages.
        """
        for options, said in (
            ([], "False"),
            (["--trust-proxy"], "Proxies([], local=True, forwarded=False)"),
            (
                ["--trusted-network", "10.0.0.0/8", "--trusted-network=::2/128"],
                "Proxies(['10.0.0.0/8', '::2/128'], local=False, forwarded=False)",
            ),
            (
                ["--forwarded", "--trust-proxy", "--trusted-network", "192.0.2.7"],
                "Proxies(['192.0.2.7/32'], local=True, forwarded=True)",
            ),
        ):
            root: Any = self.make(
                *options, *verbs("Verbs"), "--class", "verbs.Pages"
            )._site.resource
            sockets, pages = root._sockets._factory._sessionsock, root._pages
            self.assertEqual(repr(sockets.trustProxy), said)
            self.assertEqual(repr(pages._trustProxy), said)
            demo: Any = self.make(*options)._site.resource
            factory = demo.children[b"ws"]._factory
            self.assertEqual(repr(factory._sessionsock.trustProxy), said)

    def test_limits(self) -> None:
        """
        How many connections there may be, for the user's sockets and the demo's.
        """
        said = ["--max-connections=900", "--per-address", "20", "--per-network=30"]
        for served in [], verbs("Verbs"):
            limits = self.make(*served)._sockets.limits
            self.assertEqual(limits, Limits())
            self.assertIsNone(limits.maxConnections)
            limits = self.make(*said, *served)._sockets.limits
            self.assertEqual(
                limits, Limits(maxConnections=900, perAddress=20, perNetwork=30)
            )

    def test_bodySize(self) -> None:
        """
        C{--body-size} reaches the site.
        """
        size = self.make()._site.limits.bodySize
        self.assertEqual(size, Limits().bodySize)
        self.assertEqual(self.make("--body-size", "99")._site.limits.bodySize, 99)

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

    def test_cwd(self) -> None:
        """
        Classes are looked for in the current directory, and first there.
        """
        self.write(
            "verbs.py",
            "from txsessionsock.protocol import SessionSocketProtocol\n"
            "class Here(SessionSocketProtocol): pass\n",
        )
        self.make(*verbs("Here"))

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
        return self.make(*options)._manager._storage._store

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
        self.assertIsInstance(service._manager._storage._store, MemoryStore)

    def test_several(self) -> None:
        """
        Several, at each C{--listen}, with the same options, whole again where
        they were shortened.
        """
        service = self.workers(
            *("--store", "sqlite:x.db", "--proto", "verbs.Verbs", "--per-m"),
            *("--listen", "tcp:1", "--listen=tcp6:2", "--cookie=", "--drain", "3"),
        )
        self.assertEqual([d for d, _ in service._endpoints], ["tcp:1", "tcp6:2"])
        self.assertEqual(len(service._slots), 2)
        self.assertEqual(
            service._command.arguments,
            [
                *("--workers=2", "--protocol=verbs.Verbs", "--per-message"),
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


class InheritedTests(TapCase):
    """
    What was said to C{twistd} itself counts for workers too.
    """

    def made(self, *before: str) -> Workers:
        """
        Make what C{twistd} would that was told something.
        """
        twistd = ServerOptions()
        command = ["--workers=2", "--store=sqlite:x.db", "--listen=tcp:1"]
        twistd.parseOptions([*before, "sessionsock", *command])
        service = makeService(twistd.subOptions)
        assert isinstance(service, Workers)
        return service

    def test_reactor(self) -> None:
        """
        They have the reactor that it has, whoever installed it; one that has no
        name is refused, unless its name was said.
        """
        installed: list[str] = []
        self.patch(app, "installReactor", installed.append)
        twistd = ServerOptions()
        for option in ["--reactor=asyncio"], ["-r", "asyncio"], ["--rea", "asyncio"]:
            line = self.made(*option)._command.line
            self.assertLess(line.index("--reactor=asyncio"), line.index("sessionsock"))
            twistd.parseOptions(line[line.index("--reactor=asyncio") :])
            self.assertEqual(twistd["reactor"], "asyncio")
        self.assertEqual(installed, ["asyncio"] * 6)
        own = type(reactor).__module__.rpartition(".")[2].removesuffix("reactor")
        self.assertIn(f"--reactor={own}", self.made()._command.line)
        for said in {"reactor": object(), "reactorName": "poll"}, {"reactor": "poll"}:
            self.assertIn("--reactor=poll", argumentsLike(said, Clock()))
        other = SelectReactor.__new__(SelectReactor)
        self.assertEqual(argumentsLike({}, other), ["--reactor=select"])
        with self.assertRaisesRegex(SystemExit, "use twisted.*Clock; right is twistd"):
            argumentsLike({}, Clock())

    def test_directory(self) -> None:
        """
        They go into the directory that it goes into, after they have read what
        they serve, as it does.
        """
        os.mkdir("var")
        command = self.made("--rundir=var")._command
        self.assertIn(f"--rundir={os.path.abspath('var')}", command.line)
        self.assertEqual(command.directory, os.getcwd())

    def test_impossible(self) -> None:
        """
        What is for one process is refused.
        """
        trace = sys.gettrace()
        self.addCleanup(setDebugging, False)
        self.patch(failure, "startDebugMode", lambda: None)
        for option in "--profile=file", "--debug", "--chroot=/", "--spew":
            try:
                with self.assertRaises(SystemExit) as raised:
                    self.made(option)
            finally:
                sys.settrace(trace)
                threading.settrace(trace)
            said = str(raised.exception.code)
            self.assertIn(f"twistd's {option.partition('=')[0]} ", said)
            self.assertIn("right is --workers 1", said)


class FilesTests(TapCase):
    """
    The files that C{twistd} itself writes.
    """

    def asked(self, *before: str) -> None:
        """
        Have the command line read.
        """
        ServerOptions().parseOptions([*before, "sessionsock"])

    def problem(self, *before: str) -> str:
        """
        @return: Why it cannot go on.
        """
        with self.assertRaises(SystemExit) as raised:
            self.asked(*before)
        return str(raised.exception.code)

    def test_ownPID(self) -> None:
        """
        A PID file that names this very process was left by another one, and is
        removed; any other is left to C{twistd}.
        """
        for name, before in ("twistd.pid", ["-n"]), ("own", ["--pidfile=own"]):
            self.write(name, str(os.getpid()))
            with capturedLogs() as logs:
                self.asked(*before)
            self.assertFalse(Path(name).exists())
            (line,) = map(formatEvent, logs)
            self.assertIn(f"removed {name}: it named this very process", str(line))
        for content in str(os.getppid()), "nonsense", "":
            self.write("twistd.pid", content)
            self.asked("-n")
            self.assertEqual(Path("twistd.pid").read_text(), content)
        self.write("twistd.pid", str(os.getpid()))
        self.asked("--pidfile=")
        self.parsed()
        self.assertTrue(Path("twistd.pid").exists())

    def test_notThere(self) -> None:
        """
        Where they cannot be, that is said, with what is right.
        """
        os.mkdir("directory")
        for before, said in (
            (["-n", "--pidfile=no/such"], "PID file no/such: there is no directory no"),
            (["--pidfile=directory"], "PID file directory: that is no file"),
            (["--logfile=no/such"], "log no/such: there is no directory no"),
            (["--logfile=directory"], "log directory: that is no file"),
        ):
            self.assertIn(said, self.problem(*before))
        for before in (
            ["-n", "-l-"],
            ["--syslog"],
            ["--logger=os.getcwd"],
            ["-l/dev/null"],
        ):
            self.asked(*before)

    def test_notWritable(self) -> None:
        """
        The same in a directory that cannot be written to.
        """
        self.write("twistd.pid", "1")
        os.mkdir("closed")
        os.mkdir("open")
        os.chmod("open", 0o777)
        os.chmod("twistd.pid", 0o444)
        os.chmod("closed", 0o555)
        if not os.geteuid():
            self.addCleanup(os.seteuid, 0)
            os.seteuid(65534)
        self.assertIn("PID file twistd.pid: it cannot be written", self.problem("-n"))
        self.assertIn("--pidfile= for none", self.problem("-n", "--pidfile=closed/x"))
        said = self.problem("--pidfile=", "--logfile=closed/log")
        self.assertIn("log closed/log: it cannot be written; right is twistd -n", said)
        self.asked("-n", "--pidfile=")
        said = self.problem("-n", "--rundir=closed", "--pidfile=x")
        self.assertIn("PID file closed/x: it cannot be written", said)
        os.chdir("closed")
        self.asked("-n", "--rundir=../open", "--pidfile=x")
        for place in "sqlite:x.db", "sqlite:./x.db":
            self.assertIn(
                f"{place}: it cannot be written", self.refused("--store", place)
            )


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
            ("--body-size", "much"),
            ("--body-size", "-1"),
            ("--drain", "soon"),
            ("--drain", "-1"),
            ("--drain", "inf"),
            ("--drain", "nan"),
            ("--session-rate", "20"),
            ("--session-rate", "0/40"),
            ("--user-rate", "20/0"),
            ("--user-rate", "many/more"),
            ("--cookie", "a=b"),
            ("--cookie", "a b"),
            ("--origin", "example.com"),
            ("--trusted-network", "10.0.0.1/8"),
            ("--max-connections", "0"),
            ("--per-address", "-1"),
            ("--per-address", "1.5"),
            ("--per-network", "many"),
            ("--trusted-network", "proxy.example"),
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

    def test_forwarded(self) -> None:
        """
        There is no proxy whose header could count.
        """
        self.assertIn("--forwarded needs --trust-proxy", self.refused("--forwarded"))

    def test_noStore(self) -> None:
        """
        What is there is no SQLite file.
        """
        name = self.write("notes.txt", "just text, and long enough to be read\n" * 40)
        os.mkdir("directory")
        for place in name, "directory":
            with self.subTest(place):
                self.assertIn("--store", self.refused("--store", f"sqlite:{place}"))

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
            ("verbs.Nothing", "Nothing"),
            ("verbs", "verbs"),
            ("", ""),
            ("..", ".."),
            ("broken.Class", "line 1"),
            ("lacking.Class", "there_is_no_such_module"),
            ("failing.Class", "ValueError"),
            ("exiting.Class", "exiting"),
            ("verbs.Pages", "verbs.Pages"),
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
            "class Verbs(SessionSocketProtocol): indexes = {'user': who}\n",
        )
        said = self.refused("--protocol", "lacking.Verbs")
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
            ("--wsgi", "verbs.missing"),
            ("--wsgi", "os.sep"),
            ("--class", "verbs.missing"),
            ("--class", "verbs.Verbs"),
            ("--class", "os.sep"),
        ):
            with self.subTest(option=option, value=value):
                said = self.refused(*verbs("Verbs"), option, value)
                self.assertIn(option, said)
                self.assertIn(value, said)

    def test_combinations(self) -> None:
        """
        Pages without sockets are nothing for this command; there is one kind
        of pages; the sockets have a name.
        """
        self.assertIn("needs --protocol", self.refused("--path", "."))
        both = self.refused(
            *verbs("Verbs"), "--path", ".", "--wsgi", "verbs.application"
        )
        self.assertIn("--path and --wsgi", both)
        for path in "", "/", "a//b":
            self.assertIn(
                "--socket-path", self.refused(*verbs("Verbs"), "--socket-path", path)
            )
