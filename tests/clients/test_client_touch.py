"""
Tests for L{txsessionsock.clients.conversation}: what messages do to the lifetime of
their session.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent

from tests.manager.test_manager_touch import lasting
from tests.support.managing import raw
from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock.interfaces import FOREVER
from txsessionsock.session import Session


class KeepMeLoggedInTests(SocketCase):
    """
    A request gives a session of a minute a longer life, and a message of its
    page comes right behind, before the store has told anything.
    """

    perMessage = True
    longer = 30 * 86400

    def setUp(self) -> None:
        super().setUp()
        self.putRaw(lasting(60), 60)
        self.serve()
        self.clock.advance(30)

    def remember(self, ttl: Any) -> None:
        self.putRaw(lasting(ttl), ttl)

    def assertEnds(self, browser: Browser, seconds: float) -> None:
        session = browser.server.session
        assert isinstance(session, Session)
        self.assertEqual(session.expires, self.clock.seconds() + seconds)
        stored = self.successResultOf(self.place.load(session.keeper.live.key))  # type: ignore[attr-defined]  # a SessionKeeper
        self.assertEqual(stored and stored.expires, session.expires)

    def test_longer(self) -> None:
        """
        It has the longer life.
        """
        browser = self.browse()
        self.remember(self.longer)
        browser.send("a")
        self.assertEnds(browser, self.longer)

    def test_received(self) -> None:
        """
        Also when it is a handler that waits for the message.
        """

        async def ask(client: Recording, *_: object) -> None:
            await client.receive()

        self.do["smessage"] = ask
        browser = self.browse()
        browser.send("a")
        self.clock.advance(10)
        self.remember(self.longer)
        browser.send("b")
        self.assertEnds(browser, self.longer)

    def test_shorter(self) -> None:
        """
        A shorter life is shorter.
        """
        browser = self.browse()
        self.remember(20)
        browser.send("a")
        self.assertEnds(browser, 20)

    def test_endless(self) -> None:
        """
        What has no end gets none.
        """
        browser = self.browse()
        self.putRaw(raw(n=1), FOREVER)
        browser.send("a")
        assert browser.server.session is not None
        self.assertIsNone(browser.server.session.expires)


class KeepMeLoggedInPerConnectionTests(KeepMeLoggedInTests):
    """
    The same per connection, where messages do not wait for the store.
    """

    perMessage = False


class OutlivedTests(SocketCase):
    """
    Messages keep a session, and not the cookie of its browser.
    """

    def warnings(self, ttl: int | None, *, visits: int = 14) -> list[str]:
        """
        Send messages, one every 10 s, over two sockets.

        @param ttl: For how many seconds the browser keeps the cookie.

        @return: What is logged, each with the time.
        """
        self.putRaw(lasting(ttl) if ttl else raw(n=1), 60)
        self.serve()
        browsers = self.browse(), self.browse()
        begun, said = self.clock.seconds(), []
        for _ in range(visits):
            self.clock.advance(10)
            with capturedLogs() as events:
                for browser in browsers:
                    browser.send("a")
            now = self.clock.seconds() - begun
            said += [f"{now:.0f}: {formatEvent(event)}" for event in events]
        for browser in browsers:
            session = browser.server.session
            assert isinstance(session, Session)
            self.assertIsNone(session.keeper.reason)
        return said

    def test_outlived(self) -> None:
        """
        It is said once when the first message comes after the end of the
        cookie.
        """
        (line,) = self.warnings(60)
        self.assertIn("70: session ", line)
        self.assertIn("was to keep the cookie for 60 s", line)

    def test_not(self) -> None:
        """
        Nothing is said while the browser has the cookie, also where it keeps it
        until it is closed.
        """
        self.assertEqual(self.warnings(60, visits=6), [])
        self.setUp()
        self.assertEqual(self.warnings(None), [])


class OutlivedPerMessageTests(OutlivedTests):
    """
    The same per message.
    """

    perMessage = True
