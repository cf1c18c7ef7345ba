"""
Tests for L{txsessionsock.web}: login and logout, and those who share a
session or leave it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.managing import timers
from tests.support.pages import (
    Connection,
    WebTestCase,
    put,
    read,
    waiting,
)
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionError,
    SessionID,
    StoreUnavailable,
)
from txsessionsock.web import sessionOf
from txsessionsock.web.page import PageSession


class LoginTests(WebTestCase):
    """
    L{PageSession.regenerate} and L{PageSession.destroy}.
    """

    def asking(self, page: Callable[[Request], Any], cookie: str | None) -> Connection:
        """
        Ask for a page that is a coroutine.
        """

        def render(request: Request) -> int:
            def done(_: object) -> None:
                request.write(b"done")
                request.finish()

            asked = Deferred.fromCoroutine(page(request)).addCallback(done)
            # It passes the failure on, to be logged once more by a collector.
            asked.addErrback(request.processingFailed).addErrback(lambda _: None)
            return NOT_DONE_YET

        browser = self.serve(render)
        browser.send(cookie=cookie)
        return browser

    def test_regenerate(self) -> None:
        """
        The same object goes on as a session with the same data and another
        id.  The old id opens nothing, and its sockets are told when the answer
        is out.
        """
        cookie, oldID = self.login(basket=["pear"])
        _, socket = self.hold(oldID)
        browsers: list[Connection] = []
        answered: list[bool] = []

        def ended(reason: str) -> None:
            answered.append(browsers[0].answers()[0].isWhole)

        socket.ended = ended  # type: ignore[method-assign]  # Looks around.

        async def page(request: Request) -> None:
            session = sessionOf(request)
            self.assertIs(await session.regenerate(), session)
            self.assertIs(sessionOf(request), session)
            self.assertNotEqual(session.id, oldID)
            self.assertIsNone(self.stored(oldID))
            session["user"] = "ann"
            self.world.store.hold("replace")

        browser = self.asking(page, cookie)
        browsers.append(browser)
        self.assertEqual((browser.wire.value(), answered), (b"", []))
        self.world.store.release()
        newID = self.idIn(browser.answers()[0].cookie())
        self.assertEqual(answered, [True])
        self.assertEqual(self.stored(newID), {"basket": ["pear"], "user": "ann"})
        self.assertEqual(self.get(read, cookie).body, b"n is 0")
        self.assertIdle()

    def test_regenerateNew(self) -> None:
        """
        A session that was never stored gets a new id too, and a cookie when
        something is put into it.
        """

        async def page(request: Request) -> None:
            session = await sessionOf(request).regenerate()
            session["user"] = "ann"

        newID = self.idIn(self.asking(page, None).answers()[0].cookie())
        self.assertEqual(self.stored(newID), {"user": "ann"})

    def test_notAwaited(self) -> None:
        """
        A page that does not wait for its new id gets it nevertheless.
        """
        cookie, oldID = self.login()

        def page(request: Request) -> bytes:
            sessionOf(request).regenerate()
            return b"done"

        browser = self.serve(page)
        self.world.store.hold("create", "destroy")
        browser.send(cookie=cookie)
        self.assertEqual(browser.wire.value(), b"")
        self.world.store.release()
        newID = self.idIn(browser.answers()[0].cookie())
        self.assertEqual(self.stored(newID), {"n": 1})
        self.assertIsNone(self.stored(oldID))

    def test_failing(self) -> None:
        """
        A session that cannot get a new id keeps the old one.
        """
        cookie, oldID = self.login()

        async def page(request: Request) -> None:
            self.world.store.fail(StoreUnavailable(), "create")
            try:
                await sessionOf(request).regenerate()
            except StoreUnavailable:
                self.world.store.heal()
                put(request)

        (answer,) = self.asking(page, cookie).answers()
        self.assertEqual((answer.code, answer.cookie()), (200, None))
        self.assertEqual(self.stored(oldID), {"n": 2})

    def test_outageAfter(self) -> None:
        """
        The browser gets the new id also if the page cannot be stored: an outage
        is not a logout.
        """
        cookie, _ = self.login()

        async def page(request: Request) -> None:
            session = await sessionOf(request).regenerate()
            session["user"] = "ann"
            self.world.store.fail(StoreUnavailable(), "replace")

        (answer,) = self.asking(page, cookie).answers()
        self.assertEqual(answer.code, 503)
        self.assertEqual(self.stored(self.idIn(answer.cookie())), {"n": 1})

    def test_destroy(self) -> None:
        """
        Logging out ends the session, expires the cookie, and leaves the page
        with an empty session that is not stored.
        """
        cookie, sessionID = self.login()
        _, socket = self.hold(sessionID)

        async def page(request: Request) -> None:
            session = sessionOf(request)
            await session.destroy()
            self.assertEqual(dict(session), {})
            self.assertTrue(session.isNew)

        (answer,) = self.asking(page, cookie).answers()
        self.assertEqual(
            str(answer.cookie()).split("; "),
            ["connect.sid=", "Path=/", "Max-Age=0", "HttpOnly", "SameSite=Lax"],
        )
        self.assertEqual(socket.seen, ["destroyed"])
        self.assertIsNone(self.stored(sessionID))
        self.assertIdle()

    def test_destroyAndGoOn(self) -> None:
        """
        Values that are put into the session after a logout are in a new
        session.
        """
        cookie, oldID = self.login()

        async def page(request: Request) -> None:
            session = sessionOf(request)
            await session.destroy()
            session["notice"] = "logged out"

        newID = self.idIn(self.asking(page, cookie).answers()[0].cookie())
        self.assertNotEqual(newID, oldID)
        self.assertEqual(self.stored(newID), {"notice": "logged out"})

    def test_destroyNothing(self) -> None:
        """
        A browser that has no cookie is not told to forget it.
        """

        async def page(request: Request) -> None:
            await sessionOf(request).destroy()

        self.assertIsNone(self.asking(page, None).answers()[0].cookie())

    def test_destroyFails(self) -> None:
        """
        A logout that fails leaves session and cookie as they are.
        """
        cookie, sessionID = self.login()

        async def page(request: Request) -> None:
            self.world.store.fail(StoreUnavailable(), "destroy")
            await sessionOf(request).destroy()

        (answer,) = self.asking(page, cookie).answers()
        self.assertEqual((answer.code, answer.cookie()), (500, None))
        self.assertEqual(self.stored(sessionID), {"n": 1})
        self.assertEqual(len(self.flushLoggedErrors(StoreUnavailable)), 1)


class SharingTests(WebTestCase):
    """
    A page and others who hold the session at the same time.
    """

    def test_announced(self) -> None:
        """
        Sockets see what a page changes in their session, and are told of it.
        """
        cookie, sessionID = self.login()
        session, socket = self.hold(sessionID)
        self.get(put, cookie)
        self.assertEqual(session["n"], 2)
        self.assertEqual(socket.seen, [["n"]])

    def test_announcedDuringHandler(self) -> None:
        """
        A socket is also told what a page did while the socket's own handler
        waits.
        """
        cookie, sessionID = self.login()
        session, socket = self.hold(sessionID)
        session.keeper.handlerBegins(socket)
        self.get(put, cookie)
        session.keeper.handlerEnds(socket, wasSync=False, saveNow=True)
        self.assertEqual(socket.seen, [["n"]])

    def assertUndisturbed(self, sessionID: SessionID) -> None:
        """
        Assert that no page counts as being at work: a socket is not told what
        its own handler did.
        """
        session, socket = self.hold(sessionID)
        session.keeper.handlerBegins(socket)
        session["mine"] = session.get("mine", 0) + 1
        session.keeper.handlerEnds(socket, wasSync=False, saveNow=True)
        self.assertEqual(socket.seen, [])

    def test_done(self) -> None:
        """
        A page that is done, or whose client left, is no longer at work.
        """
        cookie, sessionID = self.login()
        self.hold(sessionID)
        self.get(put, cookie)
        self.assertUndisturbed(sessionID)
        requests: list[Request] = []
        browser = self.serve(waiting(requests))
        browser.send(cookie=cookie)
        browser.leave()
        self.assertUndisturbed(sessionID)

    def test_movedForNobody(self) -> None:
        """
        If a client leaves before its page has the new id, nothing changes for
        others who have the session.
        """
        cookie, oldID = self.login()
        _, socket = self.hold(oldID)
        sessions: list[PageSession] = []

        def page(request: Request) -> int:
            sessions.append(sessionOf(request))
            sessions[0].regenerate()
            return NOT_DONE_YET

        browser = self.serve(page)
        self.world.store.hold("create")
        browser.send(cookie=cookie)
        browser.leave()
        self.assertEqual(socket.seen, [])
        self.world.store.release()
        self.assertEqual(socket.seen, ["moved"])
        self.assertNotEqual(sessions[0].id, oldID)
        self.assertUndisturbed(sessions[0].id)

    def test_twoPages(self) -> None:
        """
        Two pages at once do not lose each other's changes.
        """
        cookie, sessionID = self.login()
        requests: list[Request] = []

        one, two = (self.serve(waiting(requests)) for _ in "ab")
        one.send(cookie=cookie)
        two.send(cookie=cookie)
        for request in requests:
            put(request)
        for request in requests:
            request.finish()
        self.assertEqual(self.stored(sessionID), {"n": 3})
        self.assertIdle()


class ClientLeavesTests(WebTestCase):
    """
    A client that does not wait for its answer.
    """

    def test_whileLoading(self) -> None:
        """
        A client leaves while its session is loaded: its page is not asked for.
        """
        cookie, _ = self.login()
        asked: list[Request] = []
        browser = self.serve(waiting(asked))
        self.world.store.hold("load")
        browser.send(cookie=cookie)
        browser.leave()
        self.world.store.release()
        self.assertEqual(asked, [])
        self.assertIdle()

    def test_midway(self) -> None:
        """
        A client leaves before its page is done: what the page does is stored,
        until nothing has its session any more.
        """
        cookie, sessionID = self.login()
        requests: list[Request] = []

        def page(request: Request) -> int:
            requests.append(request)
            put(request)
            return NOT_DONE_YET

        browser = self.serve(page)
        browser.send(cookie=cookie)
        session = sessionOf(requests[0])
        browser.leave()
        self.assertEqual(self.stored(sessionID), {"n": 2})
        session["n"] = 3
        self.world.clock.advance(1)
        self.assertEqual(self.stored(sessionID), {"n": 3})
        with self.assertRaises(RuntimeError):
            requests[0].finish()
        session["n"] = 4
        self.failureResultOf(session.regenerate(), SessionError)
        del session, browser, requests[:]
        gc.collect()
        self.world.clock.advance(1)
        self.assertEqual(self.stored(sessionID), {"n": 4})
        self.assertIdle()

    def test_whileHeld(self) -> None:
        """
        A client leaves when its page is done: the rest is stored, and nothing
        is sent, not even an answer to the next request, which had come already.
        """
        cookie, sessionID = self.login()
        browser = self.serve(put)
        self.world.store.hold("replace")
        browser.send(cookie=cookie)
        browser.send(cookie=cookie)
        browser.leave()
        self.world.store.release()
        self.assertEqual(browser.wire.value(), b"")
        self.assertEqual(self.stored(sessionID), {"n": 2})
        self.assertIdle()

    def test_moved(self) -> None:
        """
        The sockets of an old id are told also if the client left.
        """
        cookie, oldID = self.login()
        _, socket = self.hold(oldID)
        requests: list[Request] = []

        def page(request: Request) -> int:
            requests.append(request)
            self.successResultOf(sessionOf(request).regenerate())
            return NOT_DONE_YET

        browser = self.serve(page)
        browser.send(cookie=cookie)
        self.assertEqual(socket.seen, [])
        browser.leave()
        self.assertEqual(socket.seen, ["moved"])

    def test_destroyed(self) -> None:
        """
        A session that ends meanwhile is let go.
        """
        cookie, _ = self.login()
        requests: list[Request] = []
        browser = self.serve(waiting(requests))
        browser.send(cookie=cookie)
        session = sessionOf(requests[0])
        browser.leave()
        self.successResultOf(session.destroy())
        self.world.clock.advance(2)
        self.assertIdle()
        self.failureResultOf(session.save(), NoSuchSession)
        self.assertEqual(timers(self.world.clock), [])
