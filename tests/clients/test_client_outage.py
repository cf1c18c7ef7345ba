"""
Tests for L{txsessionsock.clients.client}: per message, many writers and a store that
fails.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.support.managing import KEY
from tests.support.wires import Browser, Recording, SocketCase, count
from txsessionsock.interfaces import NoSuchSession, StoreUnavailable
from txsessionsock.session import Session


class GroupCommitTests(SocketCase):
    """
    Many sockets of one session.
    """

    perMessage = True

    def test_counter(self) -> None:
        """
        Nothing is lost of what 20 sockets count, with few writes.
        """
        self.put(n=0)
        self.serve()
        inner = self.store.inner.replace

        def late(*args: Any) -> Deferred[Any]:
            return deferLater(self.clock, 0.01, inner, *args)

        inner_: Any = self.store.inner
        inner_.replace = late
        self.do["smessage"] = count
        browsers = [self.browse() for _ in range(20)]
        for browser in browsers:
            for _ in range(200):
                browser.client.sendMessage(b"1")
        for _ in range(100):
            for browser in browsers:
                browser.flush()
            self.clock.advance(0.001)
        self.wait(1)
        self.assertEqual(self.stored(), {"n": 4000})
        got = sorted(n for browser in browsers for n in browser.got)
        self.assertEqual(got, list(range(1, 4001)))
        self.assertLess(self.calls("replace"), 10)


class OutageTests(SocketCase):
    """
    Per message, a store that fails.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()
        self.error = StoreUnavailable("down")

    def assertOutage(self, browser: Browser) -> None:
        """
        It is told once, and is no logout.
        """
        self.assertClosed(browser, 1013, "store failed")
        self.assertEqual(self.events("serror"), [self.error])
        self.assertEqual(self.events("sinvalid"), [])
        self.assertEqual(self.events("sdestroyed"), [])

    def test_load(self) -> None:
        """
        At the handshake: try again later.
        """
        self.store.fail(self.error)
        browser = self.browse()
        self.assertOutage(browser)
        self.assertEqual(self.events("sconnection"), [])
        self.assertNothingLeft()

    def test_fence(self) -> None:
        """
        A handler is not called on a session that is not fresh.
        """
        browser = self.browse()
        self.store.fail(self.error)
        browser.send("a", "b")
        self.assertOutage(browser)
        self.assertEqual(self.events("smessage"), [])
        self.store.heal()
        self.assertNothingLeft()

    def test_noAnswer(self) -> None:
        """
        When a write is not answered, its sockets hear of it when the store's
        time is up, though it is not yet found out what became of it.
        """
        self.do["smessage"] = count
        browser = self.browse()
        self.store.hold("replace", "load")
        browser.send("a")
        self.wait()
        self.wait(1.75)
        self.assertIsNone(browser.closed)
        self.wait(0.25)
        self.assertClosed(browser, 1013, "store failed")
        self.assertEqual((len(self.events("serror")), browser.got), (1, []))
        self.store.heal()
        self.wait(2)
        self.assertEqual(self.stored(), {"n": 1})

    def test_write(self) -> None:
        """
        What is held is dropped; the changes stay, and are stored later.
        """
        self.do["smessage"] = count
        browser, reader = self.browse(), self.browse()
        self.store.fail(self.error, "replace")
        browser.send("a")
        self.assertOutage(browser)
        self.assertEqual(browser.got, [])
        self.assertIsNone(reader.closed)
        self.store.heal()
        self.wait(12)
        self.assertEqual(self.stored(), {"n": 1})
        self.assertNothingLeft()

    def test_save(self) -> None:
        """
        A handler that awaits a save which fails is not reported twice.
        """

        async def save(client: Recording, message: Any, session: Session) -> None:
            session["n"] = 1
            await session.save()

        self.do["smessage"] = save
        browser = self.browse()
        self.store.fail(self.error, "replace")
        browser.send("a")
        self.assertOutage(browser)

    def test_bystander(self) -> None:
        """
        A socket that sent something after the change is closed too, since it
        may have told of it; one that sent nothing is not.
        """
        self.do["smessage"] = lambda c, m, s: (
            count(c, m, s) if m == "count" else c.send(s.get("n"))
        )
        browser, reader, quiet = self.browse(), self.browse(), self.browse()
        self.store.hold("replace")
        browser.send("count")
        reader.send("read")
        self.store.hold("load")
        self.wait(6)
        for closed in browser, reader:
            self.assertClosed(closed, 1013, "store failed")
            self.assertEqual(closed.got, [])
        self.assertIsNone(quiet.closed)

    def test_end(self) -> None:
        """
        A session that ends in an outage ends, and its handlers' failure to
        save it is no error.
        """

        async def save(client: Recording, message: Any, session: Session) -> None:
            session["n"] = 1
            await gate
            await session.save()

        gate: Deferred[None] = Deferred()
        self.do["smessage"] = save
        browser = self.browse()
        browser.send("a")
        session = browser.server.session
        self.successResultOf(self.place.destroy(KEY))
        self.assertClosed(browser, 4401, "session-destroyed")
        gate.callback(None)
        self.failureResultOf(session.save(), NoSuchSession)
        self.assertEqual(self.events("serror"), [])
        self.assertIsNone(self.stored())
        self.assertNothingLeft()
