"""
Tests for what waits for a client that does not read: there is a bound at every
moment, and the client causes no more meanwhile.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock.limits import Limits
from txsessionsock.session import Session


def answer(client: Recording, message: Any, session: Session) -> None:
    """
    Answer a number with so many bytes.
    """
    client.send("x" * (message - 2))


class UnsentCase(SocketCase):
    """
    Clients that do not read.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(
            limits=Limits(unsentBytes=1000, messageSize=2000, unsentTimeout=10.0)
        )
        self.do["smessage"] = answer

    def slow(self, **options: Any) -> Browser:
        """
        A client that does not read any more.
        """
        browser = self.browse(**options)
        browser.producer.pauseProducing()
        return browser

    def unsent(self, browser: Browser) -> int:
        """
        How much waits.
        """
        return int(browser.server._sessionsock.unsent)

    def reads(self, browser: Browser) -> None:
        """
        Have a client read on.
        """
        browser.producer.resumeProducing()
        self.wait()


class WaitingTests(UnsentCase):
    """
    A client that does not read what it asked for.
    """

    def test_handlers(self) -> None:
        """
        Its handlers do not run on, and it is not read, until there is room;
        then all is handled in its order.
        """
        browser = self.slow()
        for number in range(10):
            browser.send(600 + number)
        self.assertEqual(self.events("smessage"), [600, 601])
        self.assertTrue(browser.wire.isPaused)
        self.assertLess(self.unsent(browser), 1300)
        self.wait(9)
        self.assertEqual(self.events("smessage"), [600, 601])
        self.reads(browser)
        self.assertFalse(browser.wire.isPaused)
        self.assertEqual(self.events("smessage"), [*range(600, 610)])
        self.assertEqual([len(x) + 2 for x in browser.got], [*range(600, 610)])
        self.assertNothingLeft()

    def test_writable(self) -> None:
        """
        As long as its transport is full, or something waits, it is not writable.
        """
        browser = self.browse()
        client = browser.server._sessionsock.client
        self.assertTrue(client.isWritable)
        browser.producer.pauseProducing()
        self.assertEqual(self.unsent(browser), 0)
        self.assertFalse(client.isWritable)
        browser.send(600)
        self.assertFalse(client.isWritable)
        self.reads(browser)
        self.assertTrue(client.isWritable)
        browser.cut()
        self.assertFalse(client.isWritable)
        self.assertNothingLeft()

    def test_pings(self) -> None:
        """
        Pings are not answered meanwhile, and pongs that it owes us are not
        counted against it.
        """
        browser = self.slow()
        browser.send(1001)
        for _ in range(100):
            browser.client.sendPing(b"x" * 125)
            browser.flush()
        self.assertLess(self.unsent(browser), 1100)
        browser.server.onAutoPingTimeout()
        self.assertFalse(browser.wire.isAborted)
        browser.cut()
        self.assertNothingLeft()

    def test_pongs(self) -> None:
        """
        Pongs alone fill it, too.
        """
        browser = self.slow()
        for _ in range(100):
            browser.client.sendPing(b"x" * 125)
            browser.flush()
        self.assertTrue(browser.wire.isPaused)
        self.assertEqual(self.unsent(browser), 8 * 127)

    def test_changes(self) -> None:
        """
        What others change meanwhile, it is told in one go.
        """
        browser, other = self.slow(), self.browse()
        browser.send(1001)
        self.do["schanged"] = lambda client, session, keys: client.send(list(keys))
        for key in "abc":
            other.server.session[key] = 1
            self.wait(2)
        # The other one was told each time.
        self.assertEqual(len(self.events("schanged")), 3)
        self.reads(browser)
        self.assertEqual(browser.got[1:], [["a", "b", "c"]])

    def test_receive(self) -> None:
        """
        A handler that waits for the next message gets it when there is room.
        """
        heard: list[Any] = []

        async def ask(client: Any, message: Any, session: Session) -> None:
            client.send("x" * 1000)
            heard.append(await client.receive())
            client.send("y" * 1000)
            heard.append(await client.receive())

        self.do["smessage"] = ask
        browser = self.slow()
        browser.send("go", 1, 2)
        self.assertEqual(heard, [])
        self.reads(browser)
        self.assertEqual(heard, [1, 2])

    def test_close(self) -> None:
        """
        A client that is closed meanwhile is read again, for its answer.
        """
        browser = self.slow()
        browser.send(1001)
        browser.client.sendClose(4001)
        browser.flush()
        self.assertTrue(browser.wire.isPaused)
        self.assertTrue(browser.wire.unread)
        browser.server.close(4000, "enough")
        self.assertFalse(browser.wire.isPaused)
        self.assertFalse(browser.wire.unread)

    def test_bothPause(self) -> None:
        """
        It is not read because its output is full as long as its messages are
        too many, and the other way round.
        """
        browser = self.slow()
        line = browser.server._sessionsock
        browser.send(1001)
        line.pause()
        line.resume()
        self.assertTrue(browser.wire.isPaused)
        line.pause()
        browser.producer.resumeProducing()
        self.assertTrue(browser.wire.isPaused)
        line.resume()
        self.assertFalse(browser.wire.isPaused)

    def test_gone(self) -> None:
        """
        When it is gone, what it sent before is handled.
        """
        browser = self.slow()
        browser.send(600, 600, 600, 600)
        self.assertEqual(len(self.events("smessage")), 2)
        browser.cut()
        self.wait()
        self.assertEqual(len(self.events("smessage")), 4)
        self.assertNothingLeft()


class DroppedTests(UnsentCase):
    """
    A client that does not read what others send it.
    """

    def assertDropped(self, browser: Browser, why: str) -> None:
        """
        It was dropped, what waited is freed, and the log says why.
        """
        self.assertTrue(browser.wire.isAborted)
        self.assertEqual(self.unsent(browser), 0)
        lines = [str(formatEvent(event)) for event in self.logs]
        self.assertEqual(
            [line for line in lines if line.startswith("a client is cut off")],
            [f"a client is cut off: it was sent more than may wait {why}"],
        )
        browser.cut()
        self.assertEqual(self.seen[-1], ("disconnect", 1006))
        self.assertNothingLeft()

    def test_elsewhere(self) -> None:
        """
        At no moment more than the bound waits for it.
        """
        browser = self.slow()
        with capturedLogs() as self.logs:
            for _ in range(3):
                browser.server.send("x" * 990)
                self.assertFalse(browser.wire.isAborted)
            browser.server.send("x" * 990)
        self.assertDropped(browser, "for a client that does not read")

    def test_handler(self) -> None:
        """
        A handler that sends in a loop sends to nobody when the bound is
        reached; that it goes on takes no room.
        """

        def loop(client: Recording, message: Any, session: Session) -> None:
            for _ in range(1000):
                client.send("x" * 998)
                self.assertLess(self.unsent(browser), 3100)

        self.do["smessage"] = loop
        browser = self.slow()
        with capturedLogs() as self.logs:
            browser.send("go")
        self.assertDropped(browser, "for a client that does not read")

    def test_between(self) -> None:
        """
        What waits for the end of a message that is sent in frames counts.
        """
        browser = self.browse()
        server = browser.server
        server.beginMessage()
        server.sendMessageFrame(b'"a')
        with capturedLogs() as self.logs:
            for _ in range(3):
                server.send("x" * 998)
            self.assertFalse(browser.wire.isAborted)
            browser.send(10)
            self.assertEqual(self.events("smessage"), [])
            server.sendMessageFrame(b'b"')
            server.endMessage()
            self.wait()
            self.assertEqual(len(browser.got), 5)
            server.beginMessage()
            for _ in range(4):
                server.send("x" * 998)
        self.assertDropped(browser, "for the end of a message")

    def test_politely(self) -> None:
        """
        A client that closes and does not read what it was sent before is not
        waited for.
        """
        browser = self.slow()
        browser.server.send("x" * 900)
        browser.server.dataReceived(b"\x88\x82" + bytes(4) + b"\x0f\xa1")
        self.assertTrue(browser.wire.disconnecting)
        self.assertFalse(browser.wire.isAborted)
        self.clock.advance(2.9)
        self.assertFalse(browser.wire.isAborted)
        self.clock.advance(0.2)
        self.assertTrue(browser.wire.isAborted)


class HeldTests(UnsentCase):
    """
    What is held back until it is stored.
    """

    perMessage = True

    def held(self) -> Browser:
        """
        A client whose answers wait for the store.
        """
        browser = self.browse()
        self.store.hold("replace")
        return browser

    def change(self, client: Any, message: Any, session: Session) -> None:
        """
        A handler whose answer is held back.
        """
        session["n"] = session.get("n", 0) + 1
        answer(client, message, session)

    def test_handlers(self) -> None:
        """
        Handlers do not run on until that is stored; then all is handled.
        """
        self.do["smessage"] = self.change
        browser = self.held()
        for number in range(10):
            browser.send(600 + number)
            self.wait()
        self.assertEqual(self.events("smessage"), [600, 601])
        self.store.heal()
        self.wait()
        self.wait()
        self.assertEqual([len(x) + 2 for x in browser.got], [*range(600, 610)])
        self.assertNothingLeft()

    def test_dropped(self) -> None:
        """
        At no moment more than the bound is held: who is sent more is dropped.
        """

        def loop(client: Recording, message: Any, session: Session) -> None:
            session["n"] = 1
            for _ in range(1000):
                client.send("x" * 998)

        self.do["smessage"] = loop
        browser = self.held()
        with capturedLogs() as logs:
            browser.send("go")
        self.assertTrue(browser.wire.isAborted)
        self.assertEqual(browser.server._sessionsock.client.waiting[2], 0)
        lines = [str(formatEvent(event)) for event in logs]
        self.assertIn(
            "a client is cut off: it was sent more than may wait until it is stored",
            lines,
        )
        browser.cut()
        self.assertEqual(self.seen[-1], ("disconnect", 1006))
        self.store.heal()
        self.wait()
        self.assertEqual(self.stored(), {"n": 1})
        self.assertNothingLeft()

    def test_together(self) -> None:
        """
        What is held back and what the client does not read count together.
        """
        gate: Deferred[None] = Deferred()

        async def change(client: Any, message: Any, session: Session) -> None:
            client.send("x" * 998)
            session["n"] = 1
            client.send("y" * 998)
            client.send("z" * 998)
            await gate

        self.do["smessage"] = change
        browser = self.held()
        browser.producer.pauseProducing()
        browser.send("go")
        self.assertEqual(self.unsent(browser), 1000 + 4)
        self.assertFalse(browser.wire.isAborted)
        browser.server.send("and more")
        self.assertTrue(browser.wire.isAborted)
        gate.callback(None)
        self.store.heal()
        browser.cut()
        self.assertNothingLeft()
