"""
The options of C{twistd sessionsock} for Socket.IO.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent

from tests.tap.test_tap import TapCase
from txsessionsock.hub import hubOf
from txsessionsock.service import Workers
from txsessionsock.socketio import SocketIOResource
from txsessionsock.tap import makeService
from txsessionsock.tap.make import _parts
from txsessionsock.tap.site import Served


CHAT = """
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.socketio import SocketIOSocket

def user(session):
    return session.get("user")

class News(SocketIOSocket):
    pass

class Chat(SocketIOSocket):
    indexes = {"user": user}
    namespaces = {"/news": News}

class Wrong(SocketIOSocket):
    namespaces = {"/news": SessionSocketProtocol}

class Plain(SessionSocketProtocol):
    indexes = {"user": user, "shop": lambda session: "one"}

class Other(SessionSocketProtocol):
    indexes = {"user": lambda session: "somebody"}

class Again(SessionSocketProtocol):
    repeatable = True

thing = object()
"""


class SocketIOCase(TapCase):
    """
    With a module that has classes of both kinds.
    """

    def setUp(self) -> None:
        super().setUp()
        self.write("verbs.py", CHAT)

    def root(self, *options: str) -> Any:
        """
        The root of a server's site.
        """
        return self.make(*options)._site.resource


EVENTS = ("--socketio", "--protocol", "verbs.Chat")

PLAIN = ("--protocol", "verbs.Plain")


class ServedTests(SocketIOCase):
    """
    What is served where.
    """

    def test_alone(self) -> None:
        """
        With a class of Socket.IO only, that is served at C{/socket.io}, with its
        namespaces, and nothing at C{/ws}.
        """
        root = self.root(*EVENTS)
        resource = root.children[b"socket.io"]
        self.assertIsInstance(resource, SocketIOResource)
        self.assertNotIn(b"ws", root.children)
        self.assertIn(b"sessionsock.js", root.children)
        io = resource.io
        self.assertEqual(io.protocol.__name__, "Chat")
        self.assertEqual(io.of("/news").protocol.__name__, "News")

    def test_both(self) -> None:
        """
        With one class of each kind, in any order, each is served where it belongs,
        by one manager and one hub, with the same settings.
        """
        more = ("--per-message", "--trust-proxy", "--max-connections=9")
        for given in (*EVENTS, *PLAIN), (*PLAIN, *EVENTS):
            root = self.root(*given, *more)
            plain = root.children[b"ws"]._factory
            io = root.children[b"socket.io"].io
            self.assertEqual(plain.protocol.__name__, "Plain")
            self.assertEqual(io.protocol.__name__, "Chat")
            self.assertIs(plain.sockets.manager, io.sockets.manager)
            self.assertIs(hubOf(plain.sockets), hubOf(io.sockets))
            for sockets in plain.sockets, io.sockets:
                self.assertTrue(sockets.perMessage)
                self.assertEqual(sockets.limits.maxConnections, 9)
            # There may be nine in all, and not of each kind.
            self.assertIs(plain._sessionsock.admission, io.equipment.admission)
            self.assertEqual(
                repr(plain._sessionsock.trustProxy), repr(io.equipment.trustProxy)
            )

    def test_plain(self) -> None:
        """
        Without C{--socketio}, there is nothing at C{/socket.io}.
        """
        self.assertNotIn(b"socket.io", self.root(*PLAIN).children)

    def test_pages(self) -> None:
        """
        Files of the user named C{socket.io} are behind it.
        """
        self.write("socket.io", "a file")
        root = self.root(*EVENTS, "--path", ".")
        self.assertIsInstance(root.children[b"socket.io"], SocketIOResource)

    def test_client(self) -> None:
        """
        C{--socketio-client} names the scripts.
        """
        self.write("mine.js", "var io;")
        root = self.root(*EVENTS, "--socketio-client", "mine.js")
        self.assertEqual(root.children[b"socket.io"]._bundle._path.name, "mine.js")

    def test_recovery(self) -> None:
        """
        C{--recovery} says for how long; without it, or with 0, nobody comes back.
        """
        for more, seconds in (
            (["--recovery=90"], 90),
            ([], None),
            (["--recovery=0"], None),
        ):
            io = self.root(*EVENTS, *more).children[b"socket.io"].io
            self.assertEqual(getattr(io._recovery, "seconds", None), seconds)


class RefusedTests(SocketIOCase):
    """
    What is wrong, in one line that says what is right.
    """

    def test_refused(self) -> None:
        """
        A class without the option, the option without a class, two of a kind, and
        what is neither.
        """
        for options, why in (
            (EVENTS[1:], "verbs.Chat is a SocketIOSocket; right is --socketio, too"),
            ((*PLAIN, *EVENTS[1:]), "right is --socketio, too"),
            (("--socketio",), "--socketio needs its class; right is --protocol"),
            (("--socketio", *PLAIN), "--socketio needs its class"),
            ((*EVENTS, *EVENTS), "there is a class of a SocketIOSocket; right is one"),
            ((*PLAIN, *PLAIN), "there is a class of a WebSocket; right is one"),
            ((*PLAIN, "--protocol", "verbs.thing"), "verbs.thing is no SessionSocket"),
            (("--socketio", "--protocol", "verbs.Wrong"), "subclass of SocketIOSocket"),
            ((*EVENTS, "--socket-path", "/socket.io/"), "right is another"),
            ((*EVENTS, "--socket-path", "socket.io/ws"), "right is another"),
            ((*EVENTS, "--socketio-client", "none"), "--socketio-client: there is no "),
            ((*EVENTS, "--origin", "nonsense"), "--origin"),
            (("--protocol", "verbs.Again"), "Again is repeatable; right is --per-"),
            ((*PLAIN, "--recovery", "60"), "--recovery is for --socketio"),
            ((*PLAIN, "--socketio-client", "a"), "--socketio-client is for --socketio"),
            ((*EVENTS, "--recovery", "soon"), "--recovery is a number of seconds"),
            (
                (*EVENTS, "--protocol", "verbs.Other"),
                "two classes have an index 'user'; right is one",
            ),
        ):
            with self.subTest(options):
                self.assertIn(why, self.refused(*options))


class WorkersTests(SocketIOCase):
    """
    Several processes at one port.
    """

    def workers(self, *options: str) -> tuple[Workers, list[str]]:
        """
        Make the parent of some.

        @return: That, and what was logged.
        """
        shared = ("--store", "sqlite:x.db", "--listen=tcp:1")
        with capturedLogs() as logs:
            service = makeService(self.parsed("--workers=2", *shared, *options))
        assert isinstance(service, Workers)
        return service, [formatEvent(each) for each in logs]

    def test_webSocketOnly(self) -> None:
        """
        There is no long-polling, and the log says so, with what clients need.
        """
        service, lines = self.workers(*EVENTS, *PLAIN)
        said = [line for line in lines if 'transports: ["websocket"]' in line]
        self.assertEqual(len(said), 1, lines)
        self.assertIn("--protocol=verbs.Chat", service._command.arguments)
        self.assertIn("--protocol=verbs.Plain", service._command.arguments)
        self.assertIn("--socketio", service._command.arguments)
        served = self.served(*service._command.arguments)
        root: Any = served.root
        self.assertEqual(root.children[b"socket.io"].transports, {"websocket"})
        root = self.root(*EVENTS)
        both = {"polling", "websocket"}
        self.assertEqual(root.children[b"socket.io"].transports, both)

    def test_plain(self) -> None:
        """
        Without Socket.IO, nothing is said.
        """
        self.assertEqual(self.workers(*PLAIN)[1], [])

    def served(self, *options: str) -> Served:
        """
        What a worker serves.
        """
        from twisted.internet import reactor  # noqa: PLC0415  # As makeService has it.

        parsed = self.parsed("--store=sqlite:x.db", *options)
        served = _parts(parsed, ["a"], reactor, reactor)["served"]
        assert isinstance(served, Served)
        return served
