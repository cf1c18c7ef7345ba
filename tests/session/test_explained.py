"""
Tests for what a log says of why something was not stored.
"""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import ManagerCase, withoutEvents
from tests.support.pages import WebTestCase, put
from tests.support.wires import SocketCase, count
from txsessionsock.interfaces import StoreTimeout, StoreUnavailable
from txsessionsock.session import explained


WHY = "StoreUnavailable: redis://it: Connection refused"


def down() -> StoreUnavailable:
    """
    An outage that says what it is.
    """
    return StoreUnavailable("redis://it: Connection refused")


class ExplainedTests(SynchronousTestCase):
    """
    L{explained}.
    """

    def test_ours(self) -> None:
        """
        Our errors say their kind and what it is, if they say anything.
        """
        self.assertEqual(explained(down()), WHY)
        self.assertEqual(explained(StoreTimeout()), "StoreTimeout")

    def test_others(self) -> None:
        """
        Others may quote what is in a session.
        """
        self.assertEqual(explained(KeyError("a secret")), "KeyError")


class ManagerTests(ManagerCase):
    """
    What a manager cannot store.
    """

    def test_stop(self) -> None:
        """
        When it stops.
        """
        self.put()
        self.open()["n"] = 1
        self.store.fail(down())
        with capturedLogs() as logs:
            self.successResultOf(self.manager.stop())
        [text] = [str(formatEvent(event)) for event in withoutEvents(logs)]
        self.assertRegex(text, rf"^session \w+, \d+ bytes, was not stored: {WHY}$")

    def test_abandoned(self) -> None:
        """
        When it cannot end what it began for another id.
        """
        self.put()
        session = self.open()
        session["n"] = 1
        self.store.lose("create")
        self.store.fail(down(), "load", "destroy")
        with capturedLogs() as logs:
            moving = self.manager.regenerate(session, self.holder)
            self.run_(10)
        self.failureResultOf(moving, StoreTimeout)
        said = [str(formatEvent(event)) for event in withoutEvents(logs)]
        self.assertIn(f"an abandoned session stays until it expires: {WHY}", said)


class SocketTests(SocketCase):
    """
    What a socket leaves.
    """

    def test_closed(self) -> None:
        """
        When it closes.
        """
        self.put()
        self.serve()
        self.do["smessage"] = count
        browser = self.browse()
        self.store.fail(down(), "replace")
        with capturedLogs() as logs:
            browser.send("a")
            browser.close()
            self.wait(1)
        self.store.heal()
        self.run_(30)
        said = [str(formatEvent(event)) for event in withoutEvents(logs)]
        [line] = [line for line in said if "when its socket closed" in line]
        self.assertRegex(line, f"was not stored when its socket closed: {WHY}$")


class PageTests(WebTestCase):
    """
    What a page leaves.
    """

    def test_over(self) -> None:
        """
        When it is over.
        """
        cookie, sessionID = self.login()
        self.world.store.fail(down(), "replace")
        with capturedLogs() as logs:
            self.assertEqual(self.get(put, cookie).code, 503)
        self.world.store.heal()
        self.world.clock.pump([1.0] * 30)
        said = [str(formatEvent(event)) for event in withoutEvents(logs)]
        lost, unsent = sorted(said, key=lambda line: "not sent" in line)
        self.assertRegex(lost, rf"^what a page did .* is not stored: {WHY}$")
        self.assertRegex(unsent, rf"^a page was not sent, .* failed: {WHY}$")
        self.assertEqual(self.stored(sessionID), {"n": 2})
