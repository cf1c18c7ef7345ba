"""
Tests for L{txsessionsock.clients.client}: messages in order, and not too many.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.support.wires import Recording, SocketCase
from txsessionsock.interfaces import ClientGone
from txsessionsock.limits import Limits
from txsessionsock.session import Session


class OrderTests(SocketCase):
    """
    Messages, one at a time.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.gates: dict[str, Deferred[None]] = {}

        async def handler(client: Recording, message: Any, session: Session) -> None:
            if message in self.gates:
                await self.gates[message]
            self.seen.append(("done", message))

        self.do["smessage"] = handler

    def test_slow(self) -> None:
        """
        While a handler is at work, other messages wait; other clients do not.
        """
        self.serve()
        self.gates["a"] = Deferred()
        one, two = self.browse(), self.browse()
        one.send("a", "b", "c")
        two.send("x")
        self.assertEqual(self.events("done"), ["x"])
        self.gates["a"].callback(None)
        self.assertEqual(self.events("done"), ["x", "a", "b", "c"])

    def test_thousandsThatFail(self) -> None:
        """
        However many handlers fail at once, the next message, and in the end
        the disconnect, is handled.
        """

        async def handler(client: Recording, message: Any, session: Session) -> None:
            await self.gates["a"]
            raise ZeroDivisionError

        self.do["smessage"] = handler
        self.serve(limits=Limits(waitingMessages=2000))
        self.gates["a"] = Deferred()
        browser = self.browse()
        browser.send(*range(2000))
        # They come in slices.
        browser.wait(10)
        self.gates["a"].callback(None)
        self.assertEqual(len(self.events("smessage")), 2000)
        self.assertClosed(browser, 1011, "handler failed")
        self.assertNothingLeft()
        self.assertEqual(len(self.events("disconnect")), 1)

    def test_beforeLoaded(self) -> None:
        """
        Messages that come before the session is loaded wait for it, and for
        the handler of C{sconnection}.
        """
        self.serve()
        connected: Deferred[None] = Deferred()
        self.do["sconnection"] = lambda client, session: connected
        self.store.hold("load", "fence")
        browser = self.browse()
        browser.send("a", "b")
        self.assertEqual(self.seen, [])
        self.store.heal()
        self.assertEqual(self.seen, [("sconnection",)])
        connected.callback(None)
        self.assertEqual(self.events("done"), ["a", "b"])

    def test_beforeDisconnect(self) -> None:
        """
        What came before a disconnect is still handled, its answers are
        dropped, and then C{disconnect} is called.
        """
        self.serve()
        self.gates["a"] = Deferred()
        browser = self.browse()
        browser.send("a", "b")
        browser.cut()
        self.assertEqual(self.events("disconnect"), [])
        browser.server.send("nobody hears")
        self.gates["a"].callback(None)
        self.assertEqual(
            self.seen[-3:], [("smessage", "b"), ("done", "b"), ("disconnect", 1006)]
        )
        self.assertNothingLeft()

    def test_asked(self) -> None:
        """
        A handler that waits for a client which leaves is told, and that it
        fails so is no error.
        """
        self.serve()
        seen: list[object] = []

        async def ask(client: Recording, message: Any, session: Session) -> None:
            try:
                await client.receive()
            except ClientGone as error:
                seen.append(error)
                raise

        self.do["smessage"] = ask
        browser = self.browse()
        browser.send("a")
        browser.cut()
        self.assertEqual(len(seen), 1)
        self.assertEqual(self.events("serror"), [])
        self.failureResultOf(browser.server.receive(), ClientGone)

    def flood(self, limits: Limits, *sizes: int) -> Any:
        """
        Send messages of these sizes while the first is not done.
        """
        self.serve(limits=limits)
        self.gates["x" * sizes[0]] = Deferred()
        browser = self.browse()
        for size in sizes:
            browser.send("x" * size)
        return browser

    def test_askedWhilePaused(self) -> None:
        """
        A handler that asks its client gets what came first, also if more is
        received as soon as that is taken.
        """
        self.serve(limits=Limits(waitingMessages=4))
        gate: Deferred[None] = Deferred()
        answers: list[str] = []

        async def ask(client: Any, *_: object) -> None:
            await gate
            while len(answers) < 5:
                answers.append(await client.receive())

        self.do["sconnection"] = ask
        browser = self.browse()
        browser.send(*"abcd")
        browser.send(*"ef")
        self.assertTrue(browser.wire.isPaused)
        gate.callback(None)
        self.wait()
        self.assertEqual(answers, list("abcde"))
        self.assertEqual(self.events("smessage"), ["f"])

    def test_count(self) -> None:
        """
        A client that sends without end is paused, not buffered, and received
        from again when half is done.
        """
        browser = self.flood(Limits(waitingMessages=8), *range(1, 101))
        self.assertTrue(browser.wire.isPaused)
        self.assertEqual(self.factory.sockets.statistics().waitingMessages, 8)
        self.assertEqual(len(browser.wire.unread), 91)
        gates = self.gates
        for done in range(1, 6):
            gates["x" * (done + 1)] = Deferred()
            self.assertEqual(browser.wire.isPaused, done < 6)
            gates["x" * done].callback(None)
            self.assertEqual(len(browser.wire.unread) == 91, done < 5)
        self.assertEqual(len(self.events("done")), 5)
        self.assertLess(len(browser.wire.unread), 91)
        gates["x" * 6].callback(None)
        self.assertEqual([len(m) for m in self.events("done")], [*range(1, 101)])
        self.assertFalse(browser.wire.isPaused)

    def test_size(self) -> None:
        """
        The same by size.
        """
        browser = self.flood(Limits(waitingBytes=1000), 300, 301, 302, 303, 304, 305)
        found = self.factory.sockets.statistics()
        self.assertTrue(browser.wire.isPaused)
        self.assertEqual(found.waitingMessages, 4)
        self.assertEqual(found.waitingBytes, 301 + 302 + 303 + 304 + 8)
        self.gates["x" * 300].callback(None)
        self.assertEqual([len(m) for m in self.events("done")], [*range(300, 306)])
        self.assertFalse(browser.wire.isPaused)

    def test_wide(self) -> None:
        """
        Lists and objects count as much as they take, which may be twenty times
        the size of the message: 24 MiB would wait instead of 1.
        """
        self.serve()
        gate: Deferred[None] = Deferred()
        self.do["smessage"] = lambda *_: gate
        browser = self.browse()
        browser.send("first")
        for _ in range(10):
            browser.send([[]] * 20_000)
        self.assertTrue(browser.wire.isPaused)
        found = self.factory.sockets.statistics()
        self.assertEqual(found.waitingMessages, 1)
        self.assertGreater(found.waitingBytes, 64 * 20_000)
        gate.callback(None)
        self.wait()
        self.assertEqual(len(self.events("smessage")), 11)

    def test_whileLoading(self) -> None:
        """
        The limits hold before the session is there.
        """
        self.serve(limits=Limits(waitingMessages=4))
        self.store.hold("load", "fence")
        browser = self.browse()
        for number in range(10):
            browser.send(number)
        self.assertTrue(browser.wire.isPaused)
        self.assertEqual(len(browser.wire.unread), 6)
        self.store.heal()
        self.assertEqual(self.events("done"), [*range(10)])

    def test_closeWhilePaused(self) -> None:
        """
        Whoever is closed while paused can still answer.
        """
        browser = self.flood(Limits(waitingMessages=2), 1, 2, 3, 4, 5)
        self.assertTrue(browser.wire.isPaused)
        browser.server.close(4000, "enough")
        self.assertClosed(browser, 4000, "enough")

    def test_pings(self) -> None:
        """
        Missing pongs do not count while we receive nothing, and do after.
        """
        browser = self.flood(Limits(waitingMessages=2), 1, 2, 3, 4)
        self.wait(100)
        self.assertFalse(browser.wire.isAborted)
        self.gates["x"].callback(None)
        self.wait(100)
        self.assertFalse(browser.wire.isAborted)
        browser.client.dataReceived = lambda data: None
        self.wait(46)
        self.assertTrue(browser.wire.isAborted)


class FreshTests(SocketCase):
    """
    Per message, while a message waits for a fresh session.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()

    def test_ended(self) -> None:
        """
        When the session ends meanwhile, no handler is called.
        """
        browser = self.browse()
        self.store.hold("fence")
        browser.send("a")
        self.successResultOf(browser.server.session.destroy())
        self.store.release()
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertEqual(self.events("smessage"), [])
        self.assertNothingLeft()

    def test_askedInOutage(self) -> None:
        """
        When the store fails for the answer of a client that was asked something,
        what came behind that answer is dropped with it.
        """

        async def ask(client: Recording, message: Any, session: Session) -> None:
            if message == "a":
                await client.receive()

        self.do["smessage"] = ask
        browser = self.browse()
        browser.send("a")
        self.store.hold("fence", "load")
        browser.send("b", "c")
        self.run_(3)
        self.store.heal()
        self.assertClosed(browser, 1013, "store failed")
        self.run_(3)
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertNothingLeft()

    def test_gaveUp(self) -> None:
        """
        A message that nobody waits for any more goes to the handlers.
        """
        browser = self.browse()
        waiting = browser.server.receive()
        self.store.hold("fence")
        browser.send("a", "b")
        waiting.addErrback(lambda _: None).cancel()
        self.store.release()
        self.clock.advance(0)
        self.assertEqual(self.events("smessage"), ["a", "b"])
