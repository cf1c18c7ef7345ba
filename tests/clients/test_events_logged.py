"""
Tests for what is counted of sockets, and what the log tells of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from tests.support.managing import SID
from tests.support.wires import HOST, SocketCase, count, shake
from txsessionsock.limits import Limits
from txsessionsock.session import shortHash


class LoggedTests(SocketCase):
    """
    Sockets that come and go.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.do["smessage"] = count
        self.serve(limits=Limits(socketsPerSession=2))
        self.tally = self.manager.tally

    def told(self, logs: Sequence[Any]) -> list[tuple[Any, ...]]:
        """
        @return: The names of the events in a log, with their reasons; there is no
            secret in them.
        """
        found = [each for each in logs if "event" in each]
        for each in found:
            self.assertEqual(each["log_namespace"], "sessionsock.events")
            self.assertNotIn(SID, repr(each))
        return [(each["event"], each.get("reason")) for each in found]

    def test_connects(self) -> None:
        """
        A socket that has its session is an event, with the hash of that; for all in
        a minute there is one.
        """
        with capturedLogs() as logs:
            self.browse()
            self.browse()
        self.assertEqual(self.told(logs), [("connect", None)])
        self.assertEqual(logs[0]["session"], shortHash(SID))
        self.assertEqual(self.tally.connects, 2)

    def test_messages(self) -> None:
        """
        Each message is counted, whichever way it takes.
        """
        browser = self.browse()
        browser.send("a")
        self.store.hold("fence", "replace")
        browser.send("b", "c", "d")
        self.assertEqual(self.tally.messages, 4)
        self.store.heal()
        self.wait(1)
        self.assertEqual(browser.got[-1], 4)
        self.assertEqual(self.tally.messages, 4)

    def test_closes(self) -> None:
        """
        How sockets were closed is counted by the code, in few kinds.
        """
        for code in 1000, 3999, 4321, 4000:
            browser = self.browse()
            browser.client.sendClose(code)
            self.wait(1)
            browser.cut()
        self.browse().cut()
        self.assertEqual(dict(self.tally.closes), {"1000": 1, "other": 3, "1006": 1})

    def test_ended(self) -> None:
        """
        A logout is an event, and its sockets are closed with 4401.
        """
        browser = self.browse()
        with capturedLogs() as logs:
            self.settled(browser.server.session.destroy())
            self.wait(1)
        browser.cut()
        self.assertEqual(self.told(logs), [("destroyed", "destroyed")])
        self.assertEqual(dict(self.tally.closes), {"4401": 1})
        self.assertEqual(dict(self.tally.ends), {"destroyed": 1})

    def test_invalid(self) -> None:
        """
        Those without a session are events with the reason.
        """
        with capturedLogs() as logs:
            self.browse(cookie=None)
            self.browse(cookie="connect.sid=s%3Anobody.wrong")
            self.browse(cookie=self.cookie("nobody"))
            self.wait(1)
        reasons = "missing", "bad-signature", "unknown"
        self.assertEqual(self.told(logs), [("invalid", each) for each in reasons])
        self.assertEqual(dict(self.tally.refusals), dict.fromkeys(reasons, 1))

    def test_refused(self) -> None:
        """
        So are handshakes that are refused, and sockets that are too many.
        """
        head = f"Host: {HOST}", f"Cookie: {self.cookie()}"
        with capturedLogs() as logs:
            self.assertEqual(shake(self.factory, *head, "Origin: http://else"), 403)
            self.assertEqual(shake(self.factory, "Cookie: x=y"), 400)
            for _ in range(3):
                self.browse()
            self.wait(1)
        refused = [each for each in self.told(logs) if each[0] == "refused"]
        reasons = "origin", "malformed", "session-limit"
        self.assertEqual(refused, [("refused", each) for each in reasons])
        self.assertEqual(dict(self.tally.refusals), dict.fromkeys(reasons, 1))

    def test_limits(self) -> None:
        """
        And connections that are too many.
        """
        self.serve(limits=Limits(maxConnections=1))
        self.browse()
        with capturedLogs() as logs:
            status = shake(self.factory, f"Host: {HOST}", f"Cookie: {self.cookie()}")
        self.assertEqual(status, 503)
        self.assertEqual(self.told(logs), [("refused", "limit")])
        self.assertEqual(dict(self.tally.refusals), {"limit": 1})

    def test_times(self) -> None:
        """
        How long handlers take is noted as soon as somebody wants to know: what holds
        the reactor, and what waits.
        """
        gate: Deferred[None] = Deferred()

        def work(client: Any, message: Any, session: Any) -> Any:
            self.clock.rightNow += 0.003
            return gate if message == "wait" else None

        self.do["smessage"] = work
        browser = self.browse()
        browser.send("a")
        self.assertEqual(sum(self.tally.handlers.counts), 0)
        self.manager.measure()
        browser.send("b")
        browser.send("wait")
        self.wait(2)
        self.assertEqual(sum(self.tally.waits.counts), 0)
        self.assertAlmostEqual(self.tally.handlers.total, 0.006, 3)
        gate.callback(None)
        self.assertEqual(sum(self.tally.waits.counts), 1)
        self.assertGreater(self.tally.waits.total, 1.9)
