"""
Tests for L{SessionManager.tickets}: where tickets lie.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from tests.support.managing import SID, ManagerCase
from txsessionsock import SessionSocketFactory
from txsessionsock.credentials import Ticket
from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.frameworks.flask import Flask
from txsessionsock.interfaces import StoreTimeout
from txsessionsock.manager import SessionManager
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.sql import SQLStore
from txsessionsock.testing import UnwatchableStore
from txsessionsock.web import TicketResource


class Closing(UnwatchableStore):
    """
    A store that says when it is closed, and may not answer.
    """

    isClosed = False
    hangs = False

    def close(self) -> Deferred[None]:
        self.isClosed = True
        return succeed(None)

    def load(self, key: str) -> Deferred[Any]:
        return Deferred() if self.hangs else super().load(key)


class TicketingTests(ManagerCase):
    """
    Tests for where tickets lie.
    """

    def own(self) -> Closing:
        """
        A store for tickets only.
        """
        return Closing(MemoryStore(self.clock))

    def assertWorks(self, manager: SessionManager) -> None:
        """
        Tickets are issued and taken.
        """
        tickets = manager.tickets()
        ticket = self.successResultOf(tickets.issue(SID))
        self.assertEqual(self.successResultOf(tickets.redeem(ticket)), SID)

    def test_sessions(self) -> None:
        """
        They lie beside the sessions, in any store of ours.
        """
        self.assertWorks(self.manager)
        self.assertIs(self.manager.tickets(), self.manager.tickets())
        self.assertIs(self.manager.tickets(self.store), self.manager.tickets())

    def test_own(self) -> None:
        """
        A store of their own may be said by whoever comes first, and has to be the
        same for all.
        """
        own = self.own()
        resource = TicketResource(self.manager, own)
        SessionSocketFactory(self.manager, credentials=[Ticket()])
        SessionSocketFactory(self.manager, credentials=[Ticket(own)])
        self.assertWorks(self.manager)
        self.assertIsNotNone(resource)
        place: Any = self.place
        self.assertEqual(place._place._sessions, {})
        with self.assertRaisesRegex(ValueError, "another store already"):
            TicketResource(self.manager, self.own())
        with self.assertRaisesRegex(ValueError, "another store already"):
            SessionSocketFactory(self.manager, credentials=[Ticket(self.store)])

    def test_taken(self) -> None:
        """
        It serves nobody else.
        """
        other = self.newStore()
        self.newManager(other)
        with self.assertRaisesRegex(ValueError, "of its own"):
            self.manager.tickets(other)
        with self.assertRaisesRegex(TypeError, "store"):
            self.manager.tickets("redis://localhost")  # type: ignore[arg-type]  # that is the mistake

    def manage(self, store: Any, framework: Any) -> SessionManager:
        """
        Another manager.
        """
        return SessionManager(store, framework, self.clock)

    def test_refused(self) -> None:
        """
        Without one, an application's table, its cache and cookies are refused when
        the server is made, with what is right.
        """
        flask, django = Flask(secrets=["a"]), DjangoDatabase(secrets=["a"])
        sql = SQLStore("sqlite:nothing", DJANGO, self.clock)
        table = SQLStore("sqlite:nothing", DJANGO, self.clock)
        cached = CachedStore(table, self.newStore(), django.cacheKey, self.clock)
        for store, framework, where in (
            (sql, django, "table of a web application"),
            (cached, django, "table of a web application"),
            (CookieStore(flask, self.clock), flask, "in cookies"),
        ):
            manager = self.manage(store, framework)
            for serve in (
                TicketResource,
                lambda manager: SessionSocketFactory(manager, credentials=[Ticket()]),
            ):
                with self.assertRaisesRegex(ValueError, f"{where}.*--ticket-store"):
                    serve(manager)
            with self.assertRaisesRegex(ValueError, f"not for tickets.*{where}"):
                self.manager.tickets(store)
            TicketResource(manager, self.own())
            self.assertWorks(manager)

    def test_hangs(self) -> None:
        """
        A store that does not answer is given up in time.
        """
        own = self.own()
        tickets = self.manager.tickets(own)
        ticket = self.successResultOf(tickets.issue(SID))
        own.hangs = True
        redeeming = tickets.redeem(ticket)
        self.clock.pump([0.5] * 6)
        self.failureResultOf(redeeming, StoreTimeout)

    def test_end(self) -> None:
        """
        The end of the manager closes it, and leaves no timer.
        """
        own = self.own()
        self.manager.tickets(own)
        self.assertWorks(self.manager)
        ending = self.manager.end()
        self.clock.pump([0.5] * 30)
        self.successResultOf(ending)
        self.assertTrue(own.isClosed)
        self.assertEqual(self.clock.getDelayedCalls(), [])
