"""
Tests for L{txsessionsock.web}: an answer waits until what its page did is
stored.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import capturedLogs, formatEvent
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.pages import (
    Answer,
    Connection,
    Socket,
    WebTestCase,
    World,
    put,
    read,
    waiting,
)
from txsessionsock.interfaces import (
    FOREVER,
    SessionError,
    SessionID,
    StoreTimeout,
    StoreUnavailable,
    UnencodableSession,
)
from txsessionsock.web import sessionOf
from txsessionsock.web.page import PageSession


class StoredFirstTests(WebTestCase):
    """
    A page is stored before the first byte of its answer leaves.
    """

    def test_held(self) -> None:
        """
        The answer waits until the changes of the page are stored.
        """
        cookie, sessionID = self.login()
        browser = self.serve(put)
        self.world.store.hold("replace")
        browser.send(cookie=cookie)
        self.assertEqual(browser.wire.value(), b"")
        self.world.store.release()
        self.assertEqual(browser.answers()[0].body, b"n is 2")
        self.assertEqual(self.stored(sessionID), {"n": 2})
        self.assertIdle()

    def test_heldNew(self) -> None:
        """
        A new session's cookie leaves when the session is stored.
        """
        browser = self.serve(put)
        self.world.store.hold("create")
        browser.send()
        self.assertEqual(browser.wire.value(), b"")
        self.world.store.release()
        self.assertIsNotNone(browser.answers()[0].cookie())

    def test_unchanged(self) -> None:
        """
        A page that changes nothing writes nothing and waits for nothing.
        """
        cookie, _ = self.login()
        del self.world.store.calls[:]
        self.get(read, cookie)
        asked = [method for method, _ in self.world.store.calls]
        self.assertEqual(asked, ["fence", "load"])

    def streaming(self) -> tuple[Connection, Request, PageSession, SessionID]:
        """
        A page that has begun to answer.
        """
        cookie, sessionID = self.login()
        requests: list[Request] = []

        def page(request: Request) -> int:
            requests.append(request)
            request.write(b"first ")
            return NOT_DONE_YET

        browser = self.serve(page)
        browser.send(cookie=cookie)
        self.assertEqual(browser.answers()[0].body, b"first ")
        return browser, requests[0], sessionOf(requests[0]), sessionID

    def test_laterChanges(self) -> None:
        """
        Changes after the first byte are stored before the next byte leaves, and
        before the end.
        """
        browser, request, session, sessionID = self.streaming()
        self.world.store.hold("replace")
        session["a"] = 1
        request.write(b"second")
        self.assertEqual(browser.answers()[0].body, b"first ")
        self.world.store.release()
        self.assertEqual(browser.answers()[0].body, b"first second")
        self.world.store.hold("replace")
        session["b"] = 2
        request.finish()
        self.assertFalse(browser.answers()[0].isWhole)
        self.world.store.release()
        self.assertTrue(browser.answers()[0].isWhole)
        self.assertEqual(self.stored(sessionID), {"n": 1, "a": 1, "b": 2})
        self.assertIdle()

    def test_changedWhileHeld(self) -> None:
        """
        Bytes that are written while others wait, wait for the changes before
        them.
        """
        cookie, sessionID = self.login()

        def page(request: Request) -> int:
            sessionOf(request)["a"] = 1
            request.write(b"a")
            sessionOf(request)["b"] = 1
            request.write(b"b")
            request.finish()
            return NOT_DONE_YET

        browser = self.serve(page)
        self.world.store.hold("replace")
        browser.send(cookie=cookie)
        self.world.store.release()
        self.assertEqual(browser.answers()[0].body, b"ab")
        self.assertEqual(self.stored(sessionID), {"n": 1, "a": 1, "b": 1})

    def test_changedMind(self) -> None:
        """
        Headers that are set after the first byte was written are too late, also
        while that byte waits.
        """

        def page(request: Request) -> bytes:
            put(request)
            request.write(b"begun")
            request.setHeader(b"x-late", b"1")
            return b""

        browser = self.serve(page)
        self.world.store.hold("create")
        browser.send()
        self.world.store.release()
        self.assertNotIn("x-late", browser.answers()[0].headers)

    def test_tooLate(self) -> None:
        """
        After the first byte no new id can be had.  Logging out still works.
        """
        browser, request, session, sessionID = self.streaming()
        failure = self.failureResultOf(session.regenerate(), SessionError)
        self.assertIn("begun", str(failure.value))
        self.assertEqual(self.stored(sessionID), {"n": 1})
        self.successResultOf(session.destroy())
        self.assertIsNone(self.stored(sessionID))
        request.finish()
        self.assertTrue(browser.answers()[0].isWhole)
        self.assertIdle()

    def test_raises(self) -> None:
        """
        A page that raises is answered with 500, and what it changed is stored.
        """
        cookie, sessionID = self.login()

        def page(request: Request) -> bytes:
            put(request)
            raise ZeroDivisionError

        self.assertEqual(self.get(page, cookie).code, 500)
        self.assertEqual(self.stored(sessionID), {"n": 2})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIdle()

    def test_raisesLate(self) -> None:
        """
        The answer of a page that raises after it wrote goes on as it began,
        whether its beginning is out or waits.
        """

        def page(request: Request) -> bytes:
            put(request)
            request.write(b"begun")
            raise ZeroDivisionError

        self.world.store.hold("create")
        browser = self.serve(page)
        browser.send()
        self.world.store.release()
        (answer,) = browser.answers()
        self.assertEqual((answer.code, answer.isWhole), (200, True))
        self.assertTrue(answer.body.startswith(b"begun<html>"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class OutageTests(WebTestCase):
    """
    Answers when the store fails, and when the session is gone.
    """

    def test_load(self) -> None:
        """
        If the session cannot be loaded, the page is not asked for and the
        browser keeps its cookie.  When the store is well again, the session is
        there.
        """
        cookie, _ = self.login()
        self.world.store.fail(StoreUnavailable())
        answer = self.get(put, cookie)
        self.assertEqual(answer.code, 503)
        self.assertEqual(answer.headers["retry-after"], ["5"])
        self.assertNotIn("set-cookie", answer.headers)
        self.world.store.heal()
        self.assertEqual(self.get(put, cookie).body, b"n is 2")
        self.assertIdle()

    def test_undecodable(self) -> None:
        """
        A session that cannot be decoded is answered with 500, and what is
        stored stays as it is.
        """
        cookie, sessionID = self.login()
        key = self.world.framework.key(sessionID)
        self.successResultOf(self.world.inner.destroy(key))
        self.successResultOf(self.world.inner.create(key, b"?", FOREVER))
        with capturedLogs() as logs:
            answer = self.get(put, cookie)
        self.assertEqual(answer.code, 500)
        self.assertNotIn("set-cookie", answer.headers)
        self.assertIn("its session cannot be read: ", "\n".join(map(formatEvent, logs)))
        self.assertEqual(self.flushLoggedErrors(), [])
        stored = self.successResultOf(self.world.inner.load(key))
        assert stored is not None
        self.assertEqual(stored.raw, b"?")

    def test_save(self) -> None:
        """
        A page whose changes cannot be stored is not sent, nor are its headers
        and cookies.  The changes are tried again.
        """
        cookie, sessionID = self.login()

        def page(request: Request) -> bytes:
            request.setHeader(b"x-basket", b"full")
            request.addCookie(b"seen", b"yes")
            return put(request)

        browser = self.serve(page)
        self.world.store.fail(StoreUnavailable(), "replace")
        browser.send(cookie=cookie)
        (answer,) = browser.answers()
        self.assertEqual((answer.code, answer.isWhole), (503, True))
        self.assertNotIn(b"n is", answer.body)
        self.assertNotIn("x-basket", answer.headers)
        self.assertNotIn("set-cookie", answer.headers)
        self.assertIn("server", answer.headers)
        self.assertTrue(browser.wire.disconnecting)
        self.assertFalse(browser.wire.isAborted)
        self.assertEqual(self.stored(sessionID), {"n": 1})
        self.world.store.heal()
        self.world.clock.advance(2)
        self.assertEqual(self.stored(sessionID), {"n": 2})

    def test_saveHTTP2(self) -> None:
        """
        Over HTTP/2 the refusal has no header that HTTP/2 forbids.
        """

        def page(request: Request) -> bytes:
            request.clientproto = b"HTTP/2"
            self.world.store.fail(StoreUnavailable(), "create")
            return put(request)

        browser = self.serve(page)
        browser.send()
        self.assertIn(b"503 Service", browser.wire.value())
        self.assertNotIn(b"Connection:", browser.wire.value())

    def test_givenUp(self) -> None:
        """
        Nor is one of which a change was given up while it was at work, in a write of
        somebody else.
        """
        cookie, sessionID = self.login()
        requests: list[Request] = []
        browser = self.serve(waiting(requests))
        session, socket = self.hold(sessionID)
        browser.send(cookie=cookie)
        sessionOf(requests[0]).increment("n")
        self.world.store.fail(StoreTimeout(), "replace")
        saved = session.save()
        self.world.store.heal()
        self.world.clock.advance(1)
        self.failureResultOf(saved, StoreTimeout)
        requests[0].write(b"n is 2")
        requests[0].finish()
        self.assertEqual(browser.answers()[0].code, 503)
        self.assertEqual(self.stored(sessionID), {"n": 1})
        self.successResultOf(self.world.manager.release(session, socket))

    def test_saveSlowly(self) -> None:
        """
        A failure that comes later refuses the page as well.  The answer to HEAD
        has no body.
        """
        cookie, _ = self.login()
        browser = self.serve(put)
        self.world.store.hold("replace")
        browser.send(cookie=cookie, method="HEAD")
        self.world.store.fail(StoreUnavailable(), "load")
        self.assertEqual(browser.wire.value(), b"")
        self.world.clock.advance(2)
        self.world.clock.advance(2)
        (answer,) = browser.answers()
        self.assertEqual(answer.code, 503)
        self.assertNotEqual(answer.headers["content-length"], ["0"])

    def test_saveForNobody(self) -> None:
        """
        Nothing is sent if the client left meanwhile.
        """
        cookie, _ = self.login()
        browser = self.serve(put)
        self.world.store.hold("replace")
        browser.send(cookie=cookie)
        self.world.store.fail(StoreUnavailable(), "load")
        browser.leave()
        self.world.clock.advance(2)
        self.world.clock.advance(2)
        self.assertEqual(browser.wire.value(), b"")

    def test_saveLate(self) -> None:
        """
        An answer that has begun is cut off, so that no client takes it for
        whole.
        """
        cookie, _ = self.login()

        def page(request: Request) -> int:
            request.write(b"first")
            put(request)
            self.world.store.fail(StoreUnavailable(), "replace")
            request.finish()
            return NOT_DONE_YET

        browser = self.serve(page)
        browser.send(cookie=cookie)
        self.assertTrue(browser.wire.isAborted)
        self.assertFalse(browser.answers()[0].isWhole)

    def test_unencodable(self) -> None:
        """
        A value that cannot be stored is an error of the page.
        """
        cookie, sessionID = self.login()

        def page(request: Request) -> bytes:
            sessionOf(request)["x"] = object()
            return b"fine"

        self.assertEqual(self.get(page, cookie).code, 500)
        self.assertEqual(len(self.flushLoggedErrors(UnencodableSession)), 1)
        self.assertEqual(self.stored(sessionID), {"n": 1})

    def test_unencodableUnnoticed(self) -> None:
        """
        It is one also if the save of another holder dropped the value.  It is
        none if the page was told and put another value in its place.
        """
        cookie, sessionID = self.login()
        session, _ = self.hold(sessionID)

        def careless(request: Request) -> bytes:
            sessionOf(request)["x"] = object()
            self.failureResultOf(session.save(), UnencodableSession)
            return b"fine"

        self.assertEqual(self.get(careless, cookie).code, 500)
        self.assertEqual(len(self.flushLoggedErrors(UnencodableSession)), 1)

        def careful(request: Request) -> bytes:
            mine = sessionOf(request)
            mine["x"] = object()
            self.failureResultOf(mine.save(), UnencodableSession)
            mine["x"] = "y"
            return b"fine"

        self.assertEqual(self.get(careful, cookie).code, 200)
        self.assertEqual(self.stored(sessionID), {"n": 1, "x": "y"})

    def test_unencodableOfAnother(self) -> None:
        """
        A value that a socket put in is no error of a page that changed nothing
        meanwhile.
        """
        cookie, sessionID = self.login()
        session, holder = self.hold(sessionID)

        def page(request: Request) -> bytes:
            sessionOf(request)
            session.keeper.handlerBegins(holder)
            session["x"] = object()
            session.keeper.handlerEnds(holder, wasSync=True, saveNow=True)
            return b"fine"

        self.assertEqual(self.get(page, cookie).code, 200)
        self.assertEqual(self.stored(sessionID), {"n": 1})

    def test_gone(self) -> None:
        """
        A session that was logged out elsewhere does not come back.  A page that
        changed it is refused, one that changed nothing is sent.  The answer has
        no cookie, since the browser may have a new one by now.
        """

        def gone(page: Callable[[Request], bytes]) -> Answer:
            cookie, sessionID = self.login()

            def interrupted(request: Request) -> bytes:
                body = page(request)
                session, _ = self.hold(sessionID)
                self.successResultOf(session.destroy())
                return body

            answer = self.get(interrupted, cookie)
            self.assertIsNone(self.stored(sessionID))
            self.assertNotIn("set-cookie", answer.headers)
            self.assertIdle()
            return answer

        self.assertEqual(gone(put).code, 409)
        self.assertEqual(gone(read).code, 200)

    def test_goneNew(self) -> None:
        """
        The cookie of a session that is gone already is not sent.
        """

        def page(request: Request) -> bytes:
            mine = sessionOf(request)
            mine["a"] = 1
            self.successResultOf(mine.save())
            session, _ = self.hold(mine.id)
            self.successResultOf(session.destroy())
            mine["b"] = 1
            return b"fine"

        answer = self.get(page)
        self.assertEqual((answer.code, answer.cookie()), (409, None))

    def test_replaced(self) -> None:
        """
        A session whose stored data was replaced ends for those who had it.  A
        new request has what is stored.
        """
        cookie, sessionID = self.login(user="ann")
        _, socket = self.hold(sessionID)
        other = World(self.world)
        session = self.successResultOf(other.manager.open(sessionID, Socket()))
        del session["user"]
        self.successResultOf(session.save())
        session["user"] = "bob"
        self.successResultOf(session.save())

        def page(request: Request) -> bytes:
            return str(sessionOf(request)["user"]).encode()

        self.assertEqual(self.get(page, cookie).body, b"bob")
        self.assertEqual(socket.seen, ["replaced"])
