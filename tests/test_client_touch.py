"""
Tests for L{txsessionsock._conversation}: what messages do to the lifetime of
their session.
"""

from __future__ import annotations

from typing import Any

from txsessionsock.interfaces import FOREVER
from txsessionsock.session import Session

from .managing import raw
from .test_manager_touch import lasting
from .wires import Browser, Recording, SocketCase


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
        stored = self.successResultOf(self.place.load(session.keeper.key))  # type: ignore[attr-defined]  # a Live
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
