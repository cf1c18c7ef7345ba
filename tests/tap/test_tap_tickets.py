"""
The options of C{twistd sessionsock} for clients without cookies.
"""

from __future__ import annotations

import os
from typing import Any

from tests.tap.test_tap import TapCase
from txsessionsock.credentials import Bearer, Cookie, Ticket
from txsessionsock.service import Workers
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.tap import makeService
from txsessionsock.web import TicketResource


VERBS = """
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.socketio import SocketIOSocket

class Plain(SessionSocketProtocol):
    pass

class Chat(SocketIOSocket):
    pass
"""

PLAIN = ("--protocol", "verbs.Plain")


class CredentialsTests(TapCase):
    """
    Tests for C{--tickets} and C{--bearer}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.write("verbs.py", VERBS)
        self.write("secret", "keyboard cat")

    def root(self, *options: str) -> Any:
        """
        The root of a server's site.
        """
        return self.make(*options)._site.resource

    def kinds(self, *options: str) -> list[type]:
        """
        The kinds of credentials that the sockets take.
        """
        factory = self.root(*PLAIN, *options).children[b"ws"]._factory
        return [type(each) for each in factory.sockets.shared.credentials]

    def place(self, *options: str) -> Any:
        """
        The store in which tickets lie.
        """
        root = self.root(*PLAIN, "--tickets", *options)
        resource = root.children[b"sessionsock"].children[b"ticket"]
        return resource._manager._ticketing._store

    def test_credentials(self) -> None:
        """
        Only the cookie, unless the others are asked for.
        """
        self.assertEqual(self.kinds(), [Cookie])
        self.assertEqual(self.kinds("--bearer", "--tickets"), [Bearer, Ticket, Cookie])

    def test_resource(self) -> None:
        """
        Tickets are at C{/sessionsock/ticket}, if they are asked for.
        """
        self.assertNotIn(b"sessionsock", self.root(*PLAIN).children)
        ours = self.root(*PLAIN, "--tickets").children[b"sessionsock"]
        self.assertIsInstance(ours.children[b"ticket"], TicketResource)
        events = "--socketio", "--protocol", "verbs.Chat", "--tickets"
        for options in events, (*PLAIN, *events):
            root = self.root(*options)
            self.assertIn(b"sessionsock", root.children)
            shared = root.children[b"socket.io"].io.sockets.shared
            self.assertEqual([type(c) for c in shared.credentials], [Ticket, Cookie])

    def test_store(self) -> None:
        """
        They lie beside the sessions, or where C{--ticket-store} or the variable says.
        """
        self.assertIsInstance(self.place(), MemoryStore)
        self.assertIsInstance(self.place("--ticket-store", "sqlite:t"), SQLiteStore)
        os.environ["SESSIONSOCK_TICKET_STORE"] = "sqlite:t"
        self.addCleanup(os.environ.pop, "SESSIONSOCK_TICKET_STORE")
        self.assertIsInstance(self.place(), SQLiteStore)
        self.assertIsInstance(self.place("--ticket-store", "memory:"), MemoryStore)
        # It says nothing where there are none.
        self.assertEqual(self.kinds(), [Cookie])

    def test_needed(self) -> None:
        """
        Where tickets cannot lie beside the sessions, the lack of C{--ticket-store} is
        refused.
        """
        cookies = "--framework", "flask", "--secret-file", "secret"
        said = self.refused(*PLAIN, *cookies, "--tickets")
        self.assertIn("--tickets: tickets cannot lie in cookies", said)
        self.assertIn("--ticket-store", said)
        more = *cookies, "--ticket-store", "sqlite:t"
        self.assertIsInstance(self.place(*more), SQLiteStore)

    def test_refused(self) -> None:
        """
        What makes no sense is refused, with what is right.
        """
        for options, right in (
            ((*PLAIN, "--ticket-store", "memory:"), "is for --tickets"),
            (("--tickets",), "--tickets needs --protocol"),
            (("--bearer",), "--bearer needs --protocol"),
            (
                (*PLAIN, "--tickets", "--ticket-store", "postgresql://h/d"),
                "--ticket-store is memory:",
            ),
            (
                (*PLAIN, "--tickets", "--ticket-store", "sqlite:no/such/t"),
                "--ticket-store sqlite:no/such/t: there is no directory",
            ),
            (
                (*PLAIN, "--tickets", "--socket-path", "sessionsock/ws"),
                "the place of --tickets",
            ),
            ((*PLAIN, "--bearer", "--framework", "django"), "sign their ids"),
        ):
            self.assertIn(right, self.refused(*options))

    def test_password(self) -> None:
        """
        An address that makes no sense is not shown, if it may have a password in it.
        """
        place = "rediss:user:hunter2@host"
        said = self.refused(*PLAIN, "--tickets", "--ticket-store", place)
        self.assertNotIn("hunter2", said)

    def test_workers(self) -> None:
        """
        Workers are told where they lie by the variable; one process's memory is
        refused.
        """
        many = *PLAIN, "--workers", "2", "--store", "sqlite:s", "--tickets"
        service = makeService(self.parsed(*many, "--ticket-store", "sqlite:t"))
        assert isinstance(service, Workers)
        command: Any = service._command
        self.assertEqual(command.environment["SESSIONSOCK_TICKET_STORE"], "sqlite:t")
        self.assertNotIn("--ticket-store=sqlite:t", command.arguments)
        self.assertIn("--tickets", command.arguments)
        said = self.refused(*many, "--ticket-store", "memory:")
        self.assertIn("--ticket-store: memory: is of one process", said)
