"""
Pages of a server that ends.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from tests.support.pages import Connection, WebTestCase, put, read, waiting
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.web import sessionOf


class EndingTests(WebTestCase):
    """
    L{SessionManager.end}, while pages are at work.
    """

    def goesOut(self, browser: Connection) -> None:
        """
        Let all that was written to a connection go out, after which it is
        closed.
        """
        self.assertTrue(browser.wire.disconnecting)
        self.leaves(browser)

    def leaves(self, browser: Connection) -> None:
        """
        Close a connection.
        """
        browser.wire.disconnected = True
        browser.leave()

    def test_underWay(self) -> None:
        """
        A server that ends waits for a page that is being made, and stores what
        it does.
        """
        requests: list[Request] = []
        cookie, sessionID = self.login()
        browser = self.serve(waiting(requests))
        browser.send(cookie=cookie)
        ended = self.world.manager.end()
        self.world.clock.advance(1)
        self.assertNoResult(ended)
        sessionOf(requests[0])["late"] = True
        self.assertFalse(browser.wire.disconnecting)
        requests[0].finish()
        self.world.clock.advance(1)
        self.assertNoResult(ended)
        self.goesOut(browser)
        self.world.clock.advance(1)
        self.successResultOf(ended)
        (answer,) = browser.answers()
        self.assertTrue(answer.isWhole)
        self.assertEqual(self.stored(sessionID), {"n": 1, "late": True})

    def test_left(self) -> None:
        """
        It does not wait for a page whose client left.
        """
        requests: list[Request] = []
        browser = self.serve(waiting(requests))
        browser.send()
        self.leaves(browser)
        self.successResultOf(self.world.manager.end())

    def test_refused(self) -> None:
        """
        It does not wait for a page that had no session because the store
        failed.
        """
        cookie, _ = self.login()
        self.world.store.fail(StoreUnavailable("gone"), "load")
        browser = self.serve(put)
        browser.send(cookie=cookie)
        self.assertEqual(browser.answers()[0].code, 503)
        ended = self.world.manager.end()
        self.goesOut(browser)
        self.world.clock.advance(1)
        self.successResultOf(ended)

    def test_meanwhile(self) -> None:
        """
        A request that comes while others are waited for is served.
        """
        requests: list[Request] = []
        self.serve(waiting(requests)).send()
        ended = self.world.manager.end()
        self.assertEqual(self.get(put).code, 200)
        self.assertNoResult(ended)

    def test_tooLate(self) -> None:
        """
        A request that comes when sessions are stored for the last time is
        answered with 503, and the store is not asked.
        """
        cookie, _ = self.login()
        saving: Deferred[None] = Deferred()

        async def storing(end: float) -> None:
            await saving

        self.patch(self.world.manager, "_stop", storing)
        ended = self.world.manager.end()
        self.assertNoResult(ended)
        calls = len(self.world.store.calls)
        for page in put, read:
            answer = self.get(page, cookie)
            self.assertEqual(answer.code, 503)
            self.assertEqual(answer.headers["retry-after"], ["5"])
        self.assertEqual(len(self.world.store.calls), calls)
        saving.callback(None)
        self.successResultOf(ended)

    def test_idle(self) -> None:
        """
        A connection without a request is closed at once.  One that has become a
        WebSocket is left alone.
        """
        browser, other = self.serve(put), self.serve(put)
        browser.send()
        other.send()
        other.protocol._channel.transport = None
        ended = self.world.manager.end()
        self.assertNoResult(ended)
        self.goesOut(browser)
        self.assertFalse(other.wire.disconnecting)
        self.world.clock.advance(1)
        self.successResultOf(ended)
