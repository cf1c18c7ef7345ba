"""
Tests for L{txsessionsock.clients.conversation}: handlers that take long, while
other clients wait.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.support.managing import turn
from tests.support.wires import Recording, SocketCase
from txsessionsock.interfaces import ClientGone
from txsessionsock.session import Session


class SliceTests(SocketCase):
    """
    A client sends many messages at once, and each takes 20 ms.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.serve()
        self.do["smessage"] = self.work
        self.greedy, self.other = self.browse(), self.browse()

    def burst(self, count: int) -> None:
        """
        Have a client send this many, which wait together for their handler.
        """
        gate: Deferred[None] = Deferred()
        self.do["smessage"] = lambda *_: gate
        self.greedy.send("first", *range(count))
        self.seen.clear()
        self.do["smessage"] = self.work
        gate.callback(None)

    def work(self, client: Recording, message: Any, session: Session) -> None:
        """
        Handle a message.
        """
        self.clock.rightNow += 0.02
        session["n"] += 1
        client.send([message, session["n"]])

    def turn(self) -> list[Any]:
        """
        Let the reactor go round once.

        @return: The messages that were handled.
        """
        before = len(self.events("smessage"))
        turn(self.clock)
        return self.events("smessage")[before:]

    def test_others(self) -> None:
        """
        In one turn of the reactor, one of these is handled, and a message of
        somebody else comes soon.
        """
        self.burst(60)
        self.assertEqual(len(self.events("smessage")), 1)
        self.turn()
        self.other.send("x")
        for _ in range(3):
            self.turn()
        self.assertIn("x", self.events("smessage"))
        self.assertLess(len(self.events("smessage")), 6)

    def test_all(self) -> None:
        """
        All are handled, in order and once, and so are their answers.
        """
        self.burst(60)
        self.wait()
        self.assertEqual(self.events("smessage"), [*range(60)])
        self.assertEqual(
            self.greedy.got, [[number, number + 1] for number in range(60)]
        )
        self.run_(2)
        self.assertEqual(self.stored(), {"n": 60})

    def test_disconnect(self) -> None:
        """
        What came before a disconnect is handled before C{disconnect} is called.
        """
        self.burst(10)
        self.greedy.cut()
        self.assertEqual(len(self.events("smessage")), 1)
        self.assertEqual(self.events("disconnect"), [])
        self.wait()
        self.assertEqual(self.events("smessage"), [*range(10)])
        self.assertEqual(self.seen[-1], ("disconnect", 1006))
        self.assertNothingLeft()

    def test_ended(self) -> None:
        """
        What waits for its slice is not handled any more once the session ended.
        """
        self.burst(10)
        self.successResultOf(self.greedy.server.session.destroy())
        self.wait()
        self.assertEqual(self.events("smessage"), [0])
        self.assertClosed(self.greedy, 4401, "session-destroyed")
        self.assertNothingLeft()

    def test_receive(self) -> None:
        """
        The same for a handler that asks for one message after the other.
        """
        asked: list[Any] = []

        async def ask(client: Any, message: Any, session: Session) -> None:
            await gate
            try:
                while True:
                    asked.append(await client.receive())
                    self.clock.rightNow += 0.02
            except ClientGone:
                asked.append("gone")

        gate: Deferred[None] = Deferred()
        self.do["smessage"] = ask
        self.greedy.send("begin", *range(10))
        self.assertEqual(asked, [])
        gate.callback(None)
        for count in range(3):
            self.assertEqual(asked, [*range(count)])
            turn(self.clock)
        self.wait()
        self.assertEqual(asked, [*range(10)])
        self.greedy.cut()
        self.assertEqual(asked[-1], "gone")
        self.assertNothingLeft()

    def test_changed(self) -> None:
        """
        A change that a hundred sockets are told of is told to a few at a time.
        """
        many = [self.browse() for _ in range(90)]
        self.do["schanged"] = self.told
        self.greedy.send("x")
        self.assertEqual(self.events("schanged"), [])
        turn(self.clock)
        self.assertEqual(len(self.events("schanged")), 1)
        self.wait()
        self.assertEqual(len(self.events("schanged")), len(many) + 1)

    def told(self, client: Recording, session: Session, keys: Any) -> None:
        """
        Look at what somebody changed.
        """
        self.clock.rightNow += 0.02


class PerMessageSliceTests(SocketCase):
    """
    The same where the session is fresh for each message.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.serve()
        self.cost = 0.02
        self.do["smessage"] = self.work

    def work(self, client: Recording, message: Any, session: Session) -> None:
        """
        Handle a message.
        """
        self.clock.rightNow += self.cost
        session["n"] += 1
        client.send(session["n"])

    def test_together(self) -> None:
        """
        Those who waited for one answer of the store go on a few at a time, each
        message of a client after the one before.
        """
        browsers = [self.browse() for _ in range(20)]
        self.store.hold("fence")
        for number in range(3):
            for browser in browsers:
                browser.send(number)
        self.store.release()
        self.assertLessEqual(len(self.events("smessage")), 1)
        for _ in range(10):
            turn(self.clock)
        self.assertIn(len(self.events("smessage")), range(5, 15))
        self.store.heal()
        self.wait()
        self.assertEqual(sorted(self.events("smessage")), sorted([*range(3)] * 20))
        for browser in browsers:
            self.assertEqual(sorted(browser.got), browser.got)
            self.assertEqual(len(browser.got), 3)
        self.assertEqual(self.stored(), {"n": 60})

    def test_writes(self) -> None:
        """
        Messages that wait together are still stored together: those of a slice
        by one write: five here.
        """
        browser = self.browse()
        self.cost = 0.001
        self.store.hold("fence")
        browser.send(*range(60))
        self.store.heal()
        while len(browser.got) < 60:
            turn(self.clock)
            browser.flush()
        self.assertEqual(browser.got, [*range(1, 61)])
        self.assertLessEqual(self.calls("replace"), 13)

    def test_held(self) -> None:
        """
        Answers wait until what they tell of is stored, in whichever slice it
        was changed.
        """
        browser = self.browse()
        self.store.hold("replace")
        browser.send(*range(5))
        for _ in range(20):
            turn(self.clock)
            browser.flush()
        self.assertEqual(browser.got, [])
        self.assertEqual(len(self.events("smessage")), 5)
        self.store.heal()
        self.wait()
        self.assertEqual(browser.got, [1, 2, 3, 4, 5])
        self.assertEqual(self.stored(), {"n": 5})
