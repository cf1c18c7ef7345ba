"""
Tests for L{txsessionsock.tickets}: tickets and the store in which they lie.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.interfaces import (
    InvalidCredential,
    SessionID,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore
from txsessionsock.tickets import PREFIX, Tickets, isTicketKey


SID = SessionID("an-id/é\ud800")


class TicketsTests(SynchronousTestCase):
    """
    Tests for L{Tickets} on a place that two nodes share.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.place = MemoryStore(self.clock)
        self.store, self.other = self.node(), self.node()
        self.tickets = Tickets(self.store)

    def node(self) -> FlakyStore:
        """
        The store of a node.
        """
        return FlakyStore(MemoryStore(place=self.place))

    def issue(self) -> str:
        """
        Get a ticket.
        """
        return self.successResultOf(self.tickets.issue(SID))

    def assertRefused(self, redeeming: Deferred[Any], reason: str) -> None:
        """
        A ticket was no good, and the error does not show it.
        """
        failure = self.failureResultOf(redeeming, InvalidCredential)
        self.assertEqual(failure.value.reason, reason)
        self.assertEqual(str(failure.value), reason)

    def found(self) -> dict[str, Any]:
        """
        All that is stored.
        """
        place: Any = self.place
        return dict(place._place._sessions)

    def test_once(self) -> None:
        """
        A ticket is good for its session, once, and leaves nothing behind.
        """
        ticket = self.issue()
        self.assertEqual(self.successResultOf(self.tickets.redeem(ticket)), SID)
        self.assertRefused(self.tickets.redeem(ticket), "unknown")
        self.assertRefused(Tickets(self.other).redeem(ticket), "unknown")
        self.assertEqual(self.found(), {})

    def test_random(self) -> None:
        """
        It is 192 bits, and another one each time.
        """
        tickets = {self.issue() for _ in range(20)}
        self.assertEqual(len(tickets), 20)
        self.assertEqual({len(urlsafe_b64decode(each)) for each in tickets}, {24})

    def test_late(self) -> None:
        """
        It is good for 30 seconds.
        """
        early, late = self.issue(), self.issue()
        self.clock.advance(29)
        self.assertEqual(self.successResultOf(self.tickets.redeem(early)), SID)
        self.clock.advance(2)
        self.assertRefused(self.tickets.redeem(late), "unknown")

    def test_raced(self) -> None:
        """
        If two nodes are shown a ticket at once, one of them has it, whichever reads
        or ends it first.
        """
        for isFirst in True, False:
            ticket = self.issue()
            for store in self.store, self.other:
                store.hold("load", "destroy")
            both = [Tickets(each).redeem(ticket) for each in (self.store, self.other)]
            # Both have read it, and none was told.
            stores = [self.store, self.other] if isFirst else [self.other, self.store]
            for store in stores * 2:
                store.release()
            results: list[object] = []

            def reason(failure: Failure, results: list[object] = results) -> None:
                results.append(failure.getErrorMessage())

            for redeeming in both:
                redeeming.addCallbacks(results.append, reason)
            self.assertCountEqual(results, [SID, "unknown"])

    def test_guessed(self) -> None:
        """
        What was never given out opens nothing, and is no question to the store if it
        cannot be a ticket.
        """
        ticket = self.issue()
        other = ("B" if ticket[0] == "A" else "A") + ticket[1:]
        self.assertRefused(self.tickets.redeem(other), "unknown")
        self.store.fail(StoreUnavailable("asked"), "load")
        for each in (
            *("", ticket[:-1], ticket + "A", ticket + "\n", ticket[:-1] + "+"),
            *(ticket[:-1] + "é", f" {ticket}", PREFIX, None, 1, [ticket], {"a": 1}),
            ticket.encode(),
        ):
            self.assertRefused(self.tickets.redeem(each), "malformed")

    def test_hash(self) -> None:
        """
        What is stored is a hash of the ticket, and the session's id: who reads the
        store has no ticket.
        """
        ticket = self.issue()
        ((key, stored),) = self.found().items()
        self.assertTrue(key.startswith(PREFIX))
        self.assertTrue(isTicketKey(key))
        for secret in ticket.encode(), urlsafe_b64decode(ticket):
            self.assertNotIn(secret, key.encode() + stored.raw)
        digest = key.removeprefix(PREFIX)
        self.assertEqual(
            urlsafe_b64decode(digest + "="), sha256(urlsafe_b64decode(ticket)).digest()
        )
        self.assertRefused(self.tickets.redeem(digest[:32]), "unknown")
        self.assertRefused(self.tickets.redeem(digest), "malformed")

    def test_forged(self) -> None:
        """
        What cannot be an id under its key names no session, and is not left there.
        """
        ticket = self.issue()
        (key,) = self.found()
        self.successResultOf(self.place.destroy(key))
        self.successResultOf(self.place.create(key, b"\xff", 30))
        self.assertRefused(self.tickets.redeem(ticket), "unknown")
        self.assertEqual(self.found(), {})

    def test_outage(self) -> None:
        """
        A store that fails says nothing about a ticket, whatever it was asked.
        """
        for method in "load", "destroy":
            for error in StoreUnavailable("gone"), StoreTimeout("late"):
                ticket = self.issue()
                self.store.fail(error, method)
                redeeming = self.tickets.redeem(ticket)
                self.assertIs(self.failureResultOf(redeeming).value, error)
                self.store.heal()
                self.assertEqual(self.successResultOf(self.tickets.redeem(ticket)), SID)
        self.store.fail(StoreUnavailable("gone"), "create")
        self.failureResultOf(self.tickets.issue(SID), StoreUnavailable)

    def test_lostAnswer(self) -> None:
        """
        A ticket that was taken by a question whose answer was lost is taken.
        """
        ticket = self.issue()
        self.store.lose("destroy")
        self.failureResultOf(self.tickets.redeem(ticket), StoreTimeout)
        self.store.heal()
        self.assertRefused(self.tickets.redeem(ticket), "unknown")

    def test_taken(self) -> None:
        """
        A store that has a new ticket already is not believed.
        """

        class Broken(MemoryStore):
            def create(self, *args: Any) -> Any:
                return super().create(*args).addCallback(lambda _: False)

        self.failureResultOf(Tickets(Broken(self.clock)).issue(SID), StoreError)
