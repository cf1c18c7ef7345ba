"""
Tests for L{txsessionsock.web}.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.pages import notFound
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request
from twisted.web.static import File
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txsessionsock.interfaces import (
    FOREVER,
    NoSuchSession,
    SessionError,
    SessionID,
    StoreUnavailable,
    UndecodableSession,
    UnencodableSession,
)
from txsessionsock.session import Session
from txsessionsock.web import (
    ClientScript,
    PageSession,
    SessionedResource,
    SessionSocketResource,
    sessionOf,
)

from .pages import Answer, Connection, Socket, View, World


def put(request: Request) -> bytes:
    """
    A page that changes its session.
    """
    session = sessionOf(request)
    session["n"] = session.get("n", 0) + 1
    return b"n is %d" % (session["n"],)


def read(request: Request) -> bytes:
    """
    A page that does not.
    """
    return b"n is %d" % (sessionOf(request).get("n", 0),)


class WebTestCase(SynchronousTestCase):
    """
    A site with some pages.
    """

    options: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def setUp(self) -> None:
        self.world = World(**self.options)

    def serve(
        self, page: Callable[[Request], bytes | int] | IResource, **options: Any
    ) -> Connection:
        """
        Connect a browser to a site with one page.
        """
        isSecure = options.pop("isSecure", False)
        resource = page if IResource.providedBy(page) else View(page)
        sessioned = SessionedResource(resource, self.world.manager, **options)
        return self.world.connect(sessioned, isSecure=isSecure)

    def get(self, page: Any, cookie: str | None = None, **options: Any) -> Answer:
        """
        Get one page.
        """
        browser = self.serve(page, **options)
        browser.send(cookie=cookie)
        (answer,) = browser.answers()
        self.assertTrue(answer.isWhole)
        return answer

    def login(self, **data: Any) -> tuple[str, SessionID]:
        """
        @return: The cookie of a session that is stored, and its id.
        """
        holder = Socket()
        session = self.world.manager.create(holder)
        session.update(data or {"n": 1})
        self.successResultOf(self.world.manager.release(session, holder))
        return f"connect.sid={self.world.framework.cookieValue(session.id)}", session.id

    def stored(self, sessionID: SessionID) -> dict[str, Any] | None:
        """
        What is stored.
        """
        key = self.world.framework.key(sessionID)
        stored = self.successResultOf(self.world.inner.load(key))
        if stored is None:
            return None
        now = self.world.clock.seconds()
        return self.world.framework.loads(stored.raw, now).data

    def hold(self, sessionID: SessionID) -> tuple[Session, Socket]:
        """
        Hold a session, as a socket does.
        """
        socket = Socket()
        return self.successResultOf(self.world.manager.open(sessionID, socket)), socket

    def idIn(self, setCookie: str | None) -> SessionID:
        """
        The session id in a C{Set-Cookie} header.
        """
        assert setCookie is not None
        value = setCookie.partition(";")[0].partition("=")[2]
        return self.world.framework.sessionID(value, self.world.clock.seconds())

    def assertIdle(self) -> None:
        """
        Nobody holds a session any more.
        """
        self.assertEqual(self.world.manager._lives, {})


class CookieTests(WebTestCase):
    """
    Which session a request has, and which cookie its answer.
    """

    def test_interface(self) -> None:
        """
        The resources provide L{IResource}.
        """
        manager = self.world.manager
        verifyObject(IResource, SessionedResource(Resource(), manager))
        verifyObject(IResource, SessionSocketResource(object()))
        verifyObject(IResource, ClientScript())

    def test_nothing(self) -> None:
        """
        A session that nothing was put into is not stored and has no cookie.
        """
        answer = self.get(read)
        self.assertEqual((answer.code, answer.body), (200, b"n is 0"))
        self.assertNotIn("set-cookie", answer.headers)
        self.assertEqual(self.world.store.calls, [])

    def test_new(self) -> None:
        """
        A session that something was put into is stored, and its cookie is out
        of reach for scripts and other sites.  No cache keeps it for others.
        """
        answer = self.get(put)
        setCookie = answer.cookie()
        self.assertEqual(self.stored(self.idIn(setCookie)), {"n": 1})
        assert setCookie is not None
        self.assertEqual(
            setCookie.split("; ")[1:], ["Path=/", "HttpOnly", "SameSite=Lax"]
        )
        self.assertEqual(answer.headers["cache-control"], ["private"])
        again = self.get(put, setCookie.partition(";")[0])
        self.assertEqual(again.body, b"n is 2")
        self.assertIsNone(again.cookie())
        self.assertIdle()

    def test_cacheControl(self) -> None:
        """
        What a page says about caches stands.
        """

        def page(request: Request) -> bytes:
            request.setHeader(b"cache-control", b"no-store")
            return put(request)

        self.assertEqual(self.get(page).headers["cache-control"], ["no-store"])

    def test_secure(self) -> None:
        """
        Under https the cookie is for https only.
        """
        self.assertIn("Secure", str(self.get(put, isSecure=True).cookie()).split("; "))

    def test_proxy(self) -> None:
        """
        What a proxy says about https counts if it is trusted, and then what
        the nearest one says.
        """

        def isSecure(trustProxy: bool, proto: str, isSecure: bool = False) -> bool:
            browser = self.serve(put, trustProxy=trustProxy, isSecure=isSecure)
            browser.send(X_Forwarded_Proto=proto)
            return "Secure" in str(browser.answers()[0].cookie()).split("; ")

        self.assertFalse(isSecure(False, "https"))
        self.assertTrue(isSecure(True, "https"))
        self.assertTrue(isSecure(True, "http, HTTPS"))
        self.assertFalse(isSecure(True, "https, http"))
        self.assertFalse(isSecure(True, "http", isSecure=True))

    def test_neverTheClientsID(self) -> None:
        """
        A client cannot choose the id of its session, even with a good
        signature.
        """
        unknown = SessionID("A" * 32)
        value = self.world.framework.cookieValue(unknown)
        for cookie in value, "s%3Aforged.signature", "%", "":
            new = self.idIn(self.get(put, f"connect.sid={cookie}").cookie())
            self.assertNotEqual(new, unknown)
            self.assertEqual(self.stored(new), {"n": 1})
        self.assertIsNone(self.stored(unknown))

    def test_oddHeaders(self) -> None:
        """
        Repeated C{Cookie} headers are read, odd bytes in other cookies do not
        matter, and the first of two cookies counts, as in Express.
        """
        (one, _), (two, _) = self.login(n=10), self.login(n=20)
        browser = self.serve(read)
        browser.send(cookie="\xc3\x85=\x85, b; c", Cookie=f"{one}; {two}")
        self.assertEqual(browser.answers()[0].body, b"n is 10")

    def test_outside(self) -> None:
        """
        Outside of a L{SessionedResource} it is said what is missing.
        """
        failures: list[str] = []

        def page(request: Request) -> bytes:
            with self.assertRaises(SessionError) as caught:
                sessionOf(request)
            failures.append(str(caught.exception))
            return b""

        self.world.connect(View(page)).send()
        self.assertIn("SessionedResource", failures[0])

    def test_visit(self) -> None:
        """
        A visit that changes nothing puts off the session's end.
        """
        cookie, sessionID = self.login()
        self.world.clock.advance(3600)
        self.get(read, cookie)
        key = self.world.framework.key(sessionID)
        stored = self.successResultOf(self.world.inner.load(key))
        assert stored is not None
        self.assertEqual(stored.expires, self.world.clock.seconds() + 86400)

    def test_secretsStaySecret(self) -> None:
        """
        A session id is not shown by accident.
        """
        shown: list[str] = []
        cookie, sessionID = self.login()

        def page(request: Request) -> bytes:
            shown.append(repr(sessionOf(request)))
            return b""

        self.get(page, cookie)
        self.assertNotIn(sessionID, shown[0])


class LifetimeTests(WebTestCase):
    """
    Cookies that end by themselves.
    """

    options = {"maxAge": 600}  # noqa: RUF012 - never changed

    def test_renewed(self) -> None:
        """
        A cookie with a lifetime is sent again whenever the session changed,
        as Express does, and only then.
        """
        setCookie = self.get(put).cookie()
        assert setCookie is not None
        self.assertIn("Max-Age=600", setCookie.split("; "))
        cookie = setCookie.partition(";")[0]
        self.assertIsNone(self.get(read, cookie).cookie())
        self.assertEqual(self.get(put, cookie).cookie(), setCookie)


class StoredFirstTests(WebTestCase):
    """
    Stored before the first byte leaves.
    """

    def test_held(self) -> None:
        """
        Nothing leaves until what was changed is stored.
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
        self.assertEqual(asked, ["fence", "load", "touch"])

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
        What is changed after the first byte is stored before the byte that
        comes next, and before the end.
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
        What is changed and written while the output waits, waits for its own
        turn.
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

    def test_tooLate(self) -> None:
        """
        After the first byte there is no new id to be had; logging out still
        works.
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
        A page that raises after it wrote cannot change what it began with,
        whether that is out or waits.
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
    When the store fails, and when the session is gone.
    """

    def test_load(self) -> None:
        """
        A session that cannot be loaded is no reason for a new one: the page is
        not asked for, the cookie stays, and all is well when the store is.
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
        A session that cannot be decoded is an error of the server, and stays
        as it is.
        """
        cookie, sessionID = self.login()
        key = self.world.framework.key(sessionID)
        self.successResultOf(self.world.inner.destroy(key))
        self.successResultOf(self.world.inner.create(key, b"?", FOREVER))
        answer = self.get(put, cookie)
        self.assertEqual(answer.code, 500)
        self.assertNotIn("set-cookie", answer.headers)
        self.assertEqual(len(self.flushLoggedErrors(UndecodableSession)), 1)
        stored = self.successResultOf(self.world.inner.load(key))
        assert stored is not None
        self.assertEqual(stored.raw, b"?")

    def test_save(self) -> None:
        """
        A page whose changes cannot be stored is not sent, nor are its headers
        and cookies; the changes are tried again.
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

    def test_saveSlowly(self) -> None:
        """
        It is the same when the failure comes later, and for HEAD there is no
        body.
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

    def test_saveLate(self) -> None:
        """
        When the answer has begun, it is cut off, so that nobody takes it for
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
        Something in the session that cannot be stored is an error of the
        page.
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
        It is one also when somebody else's save was the one that dropped it,
        but not when the page knows and did something about it.
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

    def test_gone(self) -> None:
        """
        A session that was logged out elsewhere is not brought back: a page
        that changed it is not sent, one that did not is.  The cookie is left
        alone, since the browser may have a new one by now.
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

    def test_replaced(self) -> None:
        """
        A session that is somebody else's now ends for those who had it; a new
        request has what is stored.
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

            Deferred.fromCoroutine(page(request)).addCallback(done).addErrback(
                request.processingFailed
            )
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
        A page that does not wait for its new id is answered with it all the
        same.
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
        The new id reaches the browser even if the page does not: an outage is
        not a logout.
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
        What is put into the session after a logout is in a new one.
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
        A logout that fails is not taken for one.
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
        What a page changes is in the sockets' session, and they are told.
        """
        cookie, sessionID = self.login()
        session, socket = self.hold(sessionID)
        self.get(put, cookie)
        self.assertEqual(session["n"], 2)
        self.assertEqual(socket.seen, [["n"]])

    def test_announcedDuringHandler(self) -> None:
        """
        A socket is told what a page did also while its own handler waits.
        """
        cookie, sessionID = self.login()
        session, socket = self.hold(sessionID)
        session.keeper.enter(socket)
        self.get(put, cookie)
        session.keeper.leave(socket, wasSync=False, saveNow=True)
        self.assertEqual(socket.seen, [["n"]])

    def test_twoPages(self) -> None:
        """
        Two pages at once do not lose each other's changes.
        """
        cookie, sessionID = self.login()
        requests: list[Request] = []

        def page(request: Request) -> int:
            requests.append(request)
            return NOT_DONE_YET

        one, two = self.serve(page), self.serve(page)
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
        It left before its page was asked for: the page is not.
        """
        cookie, _ = self.login()
        asked: list[Request] = []
        browser = self.serve(lambda request: asked.append(request) or NOT_DONE_YET)
        self.world.store.hold("load")
        browser.send(cookie=cookie)
        browser.leave()
        self.world.store.release()
        self.assertEqual(asked, [])
        self.assertIdle()

    def test_midway(self) -> None:
        """
        What its page did is stored, and what it does after that, until it has
        no more use for the session.
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
        It left when its page was done: the rest is stored, nothing is sent,
        not even the next request that it had sent already.
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
        browser = self.serve(lambda request: requests.append(request) or NOT_DONE_YET)
        browser.send(cookie=cookie)
        session = sessionOf(requests[0])
        browser.leave()
        self.successResultOf(session.destroy())
        self.world.clock.advance(2)
        self.assertIdle()
        self.failureResultOf(session.save(), NoSuchSession)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])


@implementer(IPushProducer)
class Pushing:
    """
    Produces until it is told not to.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class ProducerTests(WebTestCase):
    """
    Pages that produce as much as the client takes.
    """

    def pushing(self) -> tuple[Connection, Pushing, Request]:
        """
        A page with a push producer.
        """
        producer = Pushing()
        requests: list[Request] = []

        def page(request: Request) -> int:
            requests.append(request)
            request.registerProducer(producer, True)
            put(request)
            request.write(b"data")
            return NOT_DONE_YET

        browser = self.serve(page)
        self.world.store.hold("create")
        browser.send()
        return browser, producer, requests[0]

    def test_pausedWhileHeld(self) -> None:
        """
        A producer is paused while the output waits, and goes on after it.
        """
        browser, producer, request = self.pushing()
        self.assertEqual(producer.told, ["pause"])
        self.world.store.release()
        self.assertEqual(producer.told, ["pause", "resume"])
        request.unregisterProducer()
        request.finish()
        self.assertEqual(browser.answers()[0].body, b"data")

    def test_pausedTwice(self) -> None:
        """
        It goes on when both the store and the client are ready for it.
        """
        browser, producer, request = self.pushing()
        browser.protocol._channel.pauseProducing()
        self.world.store.release()
        self.assertEqual(producer.told, ["pause"])
        browser.protocol._channel.resumeProducing()
        self.assertEqual(producer.told, ["pause", "resume"])
        browser.protocol._channel.pauseProducing()
        self.assertEqual(producer.told, ["pause", "resume", "pause"])
        request.unregisterProducer()
        request.finish()

    def test_registeredWhileHeld(self) -> None:
        """
        One that begins while the output waits, waits too.
        """
        producer = Pushing()

        def page(request: Request) -> int:
            put(request)
            request.write(b"data")
            request.registerProducer(producer, True)
            return NOT_DONE_YET

        browser = self.serve(page)
        self.world.store.hold("create")
        browser.send()
        self.assertEqual(producer.told, ["pause"])
        self.world.store.release()
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_stopped(self) -> None:
        """
        It is stopped with the connection.
        """
        browser, producer, _ = self.pushing()
        browser.protocol._channel.stopProducing()
        self.assertEqual(producer.told, ["pause", "stop"])

    def test_file(self) -> None:
        """
        A file, which is asked for its data piece by piece, is asked for no
        more while the output waits.
        """
        content = b"0123456789" * 50_000
        path = FilePath(self.mktemp())
        path.setContent(content)
        file = File(path.path)

        class Visited(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> bytes | int:
                put(request)
                return file.render_GET(request)

        browser = self.serve(Visited())
        self.world.store.hold("create")
        browser.send()
        self.world.clock.pump([0] * 20)
        self.assertEqual(browser.wire.value(), b"")
        self.world.store.release()
        browser.protocol._channel.pauseProducing()
        self.world.clock.pump([0] * 20)
        self.assertLess(len(browser.wire.value()), len(content))
        browser.protocol._channel.resumeProducing()
        self.world.clock.pump([0] * 20)
        (answer,) = browser.answers()
        self.assertEqual((answer.body == content, answer.isWhole), (True, True))
        self.assertIsNotNone(answer.cookie())
        self.assertIdle()

    def test_failing(self) -> None:
        """
        A producer that raises ends the connection rather than keep the client
        waiting.
        """

        class Broken(Pushing):
            def resumeProducing(self) -> None:
                raise ZeroDivisionError

        def page(request: Request) -> int:
            request.registerProducer(Broken(), False)
            return NOT_DONE_YET

        browser = self.serve(page)
        browser.send()
        self.world.clock.advance(0)
        self.assertTrue(browser.wire.isAborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TreeTests(WebTestCase):
    """
    The wrapped tree.
    """

    def test_path(self) -> None:
        """
        Resources are found as if nothing were around them, wherever the tree
        is mounted, and twice wrapped is once.
        """
        seen: list[tuple[list[bytes] | None, list[bytes] | None]] = []

        def page(request: Request) -> bytes:
            seen.append((request.prepath, request.postpath))
            return put(request)

        pages, root = Resource(), Resource()
        pages.getChild = lambda name, request: notFound()
        inner = SessionedResource(View(page), self.world.manager)
        pages.putChild(b"a", inner)
        root.putChild(b"app", SessionedResource(pages, self.world.manager))
        browser = self.world.connect(root)
        browser.send("/app/a/b")
        browser.send("/app/c")
        found, missing = browser.answers()
        self.assertEqual((found.body, missing.code), (b"n is 1", 404))
        self.assertEqual(seen, [([b"app", b"a"], [b"b"])])
        self.assertIdle()

    def test_children(self) -> None:
        """
        Children are put into the tree, and looked up through it.
        """
        resource = SessionedResource(Resource(), self.world.manager)
        resource.putChild(b"a", View(put))
        browser = self.world.connect(resource)
        browser.send("/a")
        self.assertEqual(browser.answers()[0].body, b"n is 1")

    def test_handshake(self) -> None:
        """
        The handshake of a WebSocket passes through, without a session.
        """
        cookie, _ = self.login()
        del self.world.store.calls[:]

        def page(request: Request) -> bytes:
            with self.assertRaises(SessionError):
                sessionOf(request)
            self.assertIs(type(request.channel).__name__, "HTTPChannel")
            return b"passed"

        browser = self.serve(page)
        browser.send(cookie=cookie, Upgrade="h2c, WebSocket")
        self.assertEqual(browser.answers()[0].body, b"passed")
        self.assertEqual(self.world.store.calls, [])

    def test_methods(self) -> None:
        """
        HEAD has headers and no body, as with Twisted, also where it must
        pretend; other methods are refused.
        """

        class OnlyGet(Resource):
            isLeaf = True
            render_HEAD = None  # type: ignore[assignment]  # Not provided.

            def render_GET(self, request: Request) -> bytes:
                return put(request)

        for page in View(put), OnlyGet():
            browser = self.serve(page)
            browser.send(method="HEAD")
            (answer,) = browser.answers()
            self.assertEqual((answer.code, answer.body), (200, b""))
            self.assertEqual(answer.headers["content-length"], ["6"])
            self.assertIsNotNone(answer.cookie())
        browser = self.serve(OnlyGet())
        browser.send(method="POST")
        self.assertEqual(browser.answers()[0].code, 405)

    def test_pipelining(self) -> None:
        """
        Requests that were sent at once are answered in their order, each when
        the one before is.
        """
        cookie, _ = self.login()
        browser = self.serve(put)
        self.world.store.hold("replace")
        for method in "HEAD", "GET", "GET":
            browser.send(cookie=cookie, method=method)
        self.world.store.release()
        answers = [(answer.code, answer.body) for answer in browser.answers()]
        self.assertEqual(answers, [(200, b""), (200, b"n is 3"), (200, b"n is 4")])

    def test_notModified(self) -> None:
        """
        A page that did not change can set a cookie too.
        """

        def page(request: Request) -> bytes:
            put(request)
            request.setETag(b'"1"')
            return b""

        browser = self.serve(page)
        browser.send(If_None_Match='"1"')
        (answer,) = browser.answers()
        self.assertEqual(answer.code, 304)
        self.assertIsNotNone(answer.cookie())

    def test_encoded(self) -> None:
        """
        An encoder inside of the tree works as it does at its root.
        """
        wrapped = EncodingResourceWrapper(View(put), [GzipEncoderFactory()])
        browser = self.serve(wrapped)
        browser.send(Accept_Encoding="gzip")
        (answer,) = browser.answers()
        self.assertEqual(answer.headers["content-encoding"], ["gzip"])
        self.assertTrue(answer.body.startswith(b"\x1f\x8b"))

    def test_accessLog(self) -> None:
        """
        What is logged is what was sent.
        """
        logged: list[int] = []
        cookie, _ = self.login()
        for mode in (), ("replace",):
            browser = self.serve(put)
            factory = browser.protocol._channel.factory
            factory.log = lambda request: logged.append(request.code)
            if mode:
                self.world.store.fail(StoreUnavailable(), *mode)
            browser.send(cookie=cookie)
        self.assertEqual(logged, [200, 503])


class ClientScriptTests(WebTestCase):
    """
    Tests for L{ClientScript}.
    """

    def test_served(self) -> None:
        """
        It is JavaScript, asked for again each time, and sent only when it is
        another.
        """
        browser = self.world.connect(ClientScript())
        browser.send()
        (whole,) = browser.answers()
        self.assertEqual(whole.code, 200)
        self.assertIn(b"SessionSocket", whole.body)
        self.assertEqual(
            whole.headers["content-type"], ["text/javascript; charset=utf-8"]
        )
        self.assertEqual(whole.headers["cache-control"], ["no-cache"])
        (tag,) = whole.headers["etag"]
        again = self.world.connect(ClientScript())
        again.send(If_None_Match=tag)
        (same,) = again.answers()
        self.assertEqual((same.code, same.body), (304, b""))

    def test_head(self) -> None:
        """
        HEAD says how long it is.
        """
        browser = self.world.connect(ClientScript())
        browser.send(method="HEAD")
        (answer,) = browser.answers()
        self.assertGreater(int(answer.headers["content-length"][0]), 1000)
        self.assertEqual(answer.body, b"")
