"""
Tests for L{txsessionsock.clients.toll}: a session, or a user, that sends more than
it may.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock.interfaces import FOREVER, SessionID
from txsessionsock.limits import Limits, Rate
from txsessionsock.session import Session


class RateTests(SocketCase):
    """
    Sockets of one session, of which ten messages are handled a second, and two at
    once.
    """

    limits = Limits(sessionRate=Rate(10, 2))

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.putOther(SessionID("other"), b'{"cookie":{"originalMaxAge":null}}')
        self.serve(limits=self.limits)

    def putOther(self, sid: SessionID, raw: bytes) -> None:
        """
        Write another session.
        """
        self.successResultOf(self.place.create(f"sess:{sid}", raw, FOREVER))

    def pass_(self, seconds: float) -> None:
        """
        Let time pass in small steps, and everything arrive.
        """
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)
            for browser in self.browsers:
                browser.flush()

    @property
    def handled(self) -> list[Any]:
        """
        The messages that were handled.
        """
        return self.events("smessage")

    def test_later(self) -> None:
        """
        What is too much is handled later, in order; meanwhile no more is
        received than may wait, and in the end nothing is lost.
        """
        limits = replace(self.limits, waitingMessages=4)
        self.serve(limits=limits)
        browser = self.browse()
        for number in range(20):
            browser.send(number)
        self.assertEqual(self.handled, [0, 1])
        self.assertTrue(browser.wire.isPaused)
        self.assertEqual(self.factory.sockets.statistics().waitingMessages, 4)
        self.pass_(0.5)
        self.assertIn(len(self.handled), (6, 7))
        self.pass_(1.5)
        self.assertEqual(self.handled, [*range(20)])
        self.assertFalse(browser.wire.isPaused)
        self.assertIsNone(browser.closed)
        self.assertNothingLeft()

    def test_together(self) -> None:
        """
        All sockets of a session have its rate together, and each its part; that
        of another session is its own.
        """
        tabs = [self.browse() for _ in range(5)]
        other = self.browse(cookie=self.cookie("other"))
        for number, tab in enumerate(tabs):
            tab.send(*([number, each] for each in range(20)))
        self.assertEqual(len(self.handled), 2)
        self.pass_(4.0)
        self.assertIn(len(self.handled), range(41, 44))
        for number in range(5):
            mine = [each for tab, each in self.handled if tab == number]
            self.assertEqual(mine, [*range(len(mine))])
            self.assertIn(len(mine), range(8, 11))
        before = len(self.handled)
        other.send("x")
        self.assertEqual(self.handled[before:], ["x"])

    def test_receive(self) -> None:
        """
        A message that a handler asks for costs as much.
        """
        asked: list[Any] = []

        async def ask(client: Any, *_: object) -> None:
            while True:
                asked.append(await client.receive())

        self.do["sconnection"] = ask
        browser = self.browse()
        browser.send(*range(10))
        self.assertEqual(asked, [0, 1])
        self.pass_(0.4)
        self.assertIn(len(asked), (5, 6))
        self.pass_(1.0)
        self.assertEqual(asked, [*range(10)])

    def test_disconnect(self) -> None:
        """
        What came before a disconnect is handled, at the rate: to leave is no way
        round it.  Nor is to come again.
        """
        browser = self.browse()
        browser.send(*range(5))
        browser.cut()
        self.browse().send("x")
        self.assertEqual(self.handled, [0, 1])
        self.assertEqual(self.events("disconnect"), [])
        self.pass_(0.5)
        self.assertEqual(sorted(map(str, self.handled)), ["0", "1", "2", "3", "4", "x"])
        self.assertEqual(self.events("disconnect"), [1006])
        self.assertNothingLeft()

    def test_ended(self) -> None:
        """
        When the session ends, nothing waits any more.
        """
        browser = self.browse()
        browser.send(*range(5))
        self.successResultOf(browser.server.session.destroy())
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertEqual(self.handled, [0, 1])
        self.assertNothingLeft()

    def test_stop(self) -> None:
        """
        When the server ends, what was received is handled at once.
        """
        browser = self.browse()
        browser.send(*range(5))
        self.do["smessage"] = lambda client, message, _: client.send(message)
        self.factory.sockets.goAway()
        self.assertEqual(self.handled, [*range(5)])
        self.assertClosed(browser, 1001, "server going away")
        self.assertEqual(browser.got, [2, 3, 4])
        self.assertNothingLeft()

    def test_closed(self) -> None:
        """
        A client that is closed meanwhile can answer.
        """
        browser = self.browse()
        browser.send(*range(5))
        browser.server.close(4000, "enough")
        self.assertClosed(browser, 4000, "enough")
        self.pass_(1.0)
        self.assertEqual(self.handled, [*range(5)])
        self.assertNothingLeft()

    def test_closedByHandler(self) -> None:
        """
        So can one that has messages waiting for their tokens only then.
        """

        gate: Deferred[None] = Deferred()

        async def close(client: Recording, message: Any, session: Session) -> None:
            if message == 0:
                await gate
            if message == 1:
                client.close(4000, "enough")

        self.do["smessage"] = close
        browser = self.browse()
        browser.send(*range(5))
        gate.callback(None)
        self.assertFalse(browser.wire.isPaused)
        self.assertClosed(browser, 4000, "enough")
        self.pass_(1.0)
        self.assertNothingLeft()

    def test_leaves(self) -> None:
        """
        Whoever has nothing to wait for any more leaves no timer behind.
        """
        self.serve(limits=Limits(sessionRate=Rate(0.01, 1)))
        browser = self.browse()
        browser.send(*range(5))
        self.successResultOf(browser.server.session.destroy())
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertNothingLeft()

    def test_pings(self) -> None:
        """
        Missing pongs do not count while nothing is received.
        """
        self.serve(limits=Limits(sessionRate=Rate(0.01, 1), waitingMessages=1))
        browser = self.browse()
        browser.send(1)
        browser.send(2)
        self.assertTrue(browser.wire.isPaused)
        self.wait(90)
        self.assertFalse(browser.wire.isAborted)
        self.wait(20)
        self.assertEqual(self.handled, [1, 2])
        self.assertIsNone(browser.closed)


class PerMessageRateTests(RateTests):
    """
    The same where the session is fresh for each message.
    """

    perMessage = True

    def test_gaveUp(self) -> None:
        """
        A message that nobody waits for any more goes to the handlers, and costs
        one token.
        """
        browser = self.browse()
        waiting = browser.server.receive()
        self.store.hold("fence")
        browser.send("a", "b")
        waiting.addErrback(lambda _: None).cancel()
        self.store.release()
        self.clock.advance(0)
        self.assertEqual(self.handled, ["a", "b"])


class UserRateTests(RateTests):
    """
    Sessions of one user, of which ten messages are handled a second.
    """

    limits = Limits(userRate=Rate(10, 2))

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0, user=42)
        for sid, who in ("mine", b"42"), ("theirs", b"43"):
            raw = b'{"cookie":{"originalMaxAge":null},"user":%s}' % who
            self.putOther(SessionID(sid), raw)

    def test_together(self) -> None:
        """
        All sessions of a user have one rate; that of another user is its own,
        and nobody's session has none.
        """
        for number, sid in enumerate(("an-id", "mine")):
            self.browse(cookie=self.cookie(sid)).send(*([number, i] for i in range(9)))
        self.assertEqual(self.handled, [[0, 0], [0, 1]])
        self.pass_(1.0)
        self.assertIn(len(self.handled), (11, 12, 13))
        self.assertIn(len([1 for tab, _ in self.handled if tab]), (4, 5, 6))
        before = len(self.handled)
        self.browse(cookie=self.cookie("theirs")).send("x", "y")
        self.browse(cookie=self.cookie("other")).send(*"abcdef")
        self.assertEqual(self.handled[before:], [*"xyabcdef"])

    def test_login(self) -> None:
        """
        Whoever logs in has the rate of that user from then on.
        """

        def login(client: Recording, message: Any, session: Session) -> None:
            if message == "login":
                session["user"] = 42

        self.do["smessage"] = login
        self.browse().send("a", "b")
        browser = self.browse(cookie=self.cookie("other"))
        browser.send(1, 2, 3, "login", 4)
        self.assertEqual(self.handled, ["a", "b", 1, 2, 3, "login"])
        self.pass_(0.2)
        self.assertEqual(self.handled[-1], 4)


class BothTests(SocketCase):
    """
    Both rates: the lower one holds.
    """

    def test_both(self) -> None:
        """
        A message costs a token of each.
        """
        limits = Limits(sessionRate=Rate(5, 2), userRate=Rate(20, 2))
        self.put(user=1)
        self.serve(limits=limits)
        tabs: list[Browser] = [self.browse(), self.browse()]
        for tab in tabs:
            tab.send(*range(10))
        self.run_(2.0)
        self.assertIn(len(self.events("smessage")), (11, 12, 13))
        self.run_(3.0)
        self.assertEqual(sorted(self.events("smessage")), sorted([*range(10)] * 2))
