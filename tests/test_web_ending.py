"""
Pages of a server that ends.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.web import sessionOf

from .pages import Connection, WebTestCase, put, read, waiting


class EndingTests(WebTestCase):
    """
    L{SessionManager.end}, while pages are at work.
    """

    def goesOut(self, browser: Connection) -> None:
        """
        All that was written to a connection goes out, and it is closed.
        """
        self.assertTrue(browser.wire.disconnecting)
        self.leaves(browser)

    def leaves(self, browser: Connection) -> None:
        """
        A connection is closed.
        """
        browser.wire.disconnected = True
        browser.leave()

    def test_underWay(self) -> None:
        """
        A page that is under way is waited for, and what it does is stored.
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
        A page whose client left is not.
        """
        requests: list[Request] = []
        browser = self.serve(waiting(requests))
        browser.send()
        self.leaves(browser)
        self.successResultOf(self.world.manager.end())

    def test_refused(self) -> None:
        """
        Nor is one that had no session because the store failed.
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
        Who comes while others are waited for is served.
        """
        requests: list[Request] = []
        self.serve(waiting(requests)).send()
        ended = self.world.manager.end()
        self.assertEqual(self.get(put).code, 200)
        self.assertNoResult(ended)

    def test_tooLate(self) -> None:
        """
        Who comes when sessions are stored for the last time is asked to come
        again, and the store is not.
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
        A connection that asks for nothing more is closed at once, and one that
        is a WebSocket by now is not.
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
