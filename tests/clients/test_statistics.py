"""
Tests for C{sockets.statistics()}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.clients.test_client_asking import Ticket
from tests.support.hubbing import OTHER
from tests.support.managing import SID
from tests.support.wires import SocketCase, count
from txsessionsock.clients import Phase, SocketStatistics


class StatisticsTests(SocketCase):
    """
    Tests for what is counted.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.ticket = Ticket(True)
        self.serve(credentials=[self.ticket])

    def statistics(self) -> SocketStatistics:
        """
        What is counted now.
        """
        found: SocketStatistics = self.factory.sockets.statistics()
        return found

    def phases(self) -> dict[str, int]:
        """
        How many clients there are by the name of the phase, where there are any.
        """
        found = self.statistics()
        self.assertEqual(list(found.phases), list(Phase))
        self.assertEqual(found.clients, len(self.factory.sockets))
        return {phase.name: number for phase, number in found.phases.items() if number}

    def test_phases(self) -> None:
        """
        Clients are counted by the phases of their lives.
        """
        self.assertEqual(self.phases(), {})
        browsers = [self.browse(cookie=None) for _ in range(3)]
        self.assertEqual(self.phases(), {"WAITING": 3})
        for browser in browsers[:2]:
            browser.send({"ticket": 1})
        self.assertEqual(self.phases(), {"WAITING": 1, "ASKING": 2})
        self.store.hold("load")
        self.ticket.answer(OTHER)
        self.assertEqual(self.phases(), {"WAITING": 1, "ASKING": 1, "OPENING": 1})
        refusal: Deferred[None] = Deferred()
        self.do["sinvalid"] = lambda *_: refusal
        self.store.release()
        self.wait()
        self.assertEqual(self.phases(), {"WAITING": 1, "ASKING": 1, "REFUSED": 1})
        refusal.callback(None)
        browsers[2].cut()
        self.wait()
        self.ticket.answer(SID)
        self.wait()
        self.assertEqual(self.phases(), {"OPEN": 1})
        self.store.hold("replace")
        self.do["smessage"] = lambda client, message, session: (
            session.update(n=1),
            client.close(),
        )
        browsers[1].send("x")
        self.assertEqual(self.phases(), {"CLOSING": 1})
        browsers[1].cut()
        self.assertEqual(self.phases(), {"OVER": 1})
        self.store.release()
        self.wait()
        self.assertEqual(self.phases(), {})

    def test_waiting(self) -> None:
        """
        What waits is counted in both directions.
        """
        self.serve(credentials=None)
        gate: Deferred[None] = Deferred()

        def slow(client: Any, message: Any, session: Any) -> Any:
            count(client, message, session)
            return gate

        self.do["smessage"] = slow
        self.store.hold("replace")
        one, two = self.browse(), self.browse()
        one.send("a", "bb", "ccc")
        two.send("d")
        found = self.statistics()
        self.assertEqual((found.waitingMessages, found.waitingBytes), (2, 4 + 5))
        self.assertEqual(found.heldMessages, 2)
        gate.callback(None)
        self.store.release()
        self.wait()
        found = self.statistics()
        self.assertEqual((found.waitingMessages, found.waitingBytes), (0, 0))
        self.assertEqual(found.heldMessages, 0)
        self.assertEqual((one.got, two.got), ([1, 3, 4], [2]))
        with self.assertRaises(AttributeError):
            found.waitingBytes = 1  # type: ignore[misc]  # it is frozen
