"""
Tests for L{txsessionsock.web}: which session a request has, and the tree of
pages.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.pages import notFound
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request
from zope.interface.verify import verifyObject

from tests.support.pages import (
    View,
    WebTestCase,
    World,
    put,
    read,
)
from txsessionsock.interfaces import SessionError, SessionID, StoreUnavailable
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.web import (
    ClientScript,
    SessionedResource,
    SessionSocketResource,
    sessionOf,
)


class CookieTests(WebTestCase):
    """
    The session that a request has, and the cookie of its answer.
    """

    def test_interface(self) -> None:
        """
        The resources provide L{IResource}.
        """
        manager = self.world.manager
        verifyObject(IResource, SessionedResource(Resource(), manager))
        sockets = SessionSocketFactory(manager)
        verifyObject(IResource, SessionSocketResource(sockets))
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
        A page that has a C{Cache-Control} of its own keeps it.
        """

        def page(request: Request) -> bytes:
            request.setHeader(b"cache-control", b"no-store")
            return put(request)

        self.assertEqual(self.get(page).headers["cache-control"], ["no-store"])

    def test_secure(self) -> None:
        """
        The cookie of a page that comes by https is C{Secure}.
        """
        self.assertIn("Secure", str(self.get(put, isSecure=True).cookie()).split("; "))

    def test_proxy(self) -> None:
        """
        C{X-Forwarded-Proto} counts if the proxy is trusted, and then the last
        of its values.
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
        self.assertTrue(isSecure(True, "", isSecure=True))
        silent = self.get(put, trustProxy=True, isSecure=True)
        self.assertIn("Secure", str(silent.cookie()).split("; "))

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
        Repeated C{Cookie} headers are all read.  Odd bytes in other cookies do
        no harm.  Of two session cookies the first counts, as in Express.
        """
        (one, _), (two, _) = self.login(n=10), self.login(n=20)
        browser = self.serve(read)
        browser.send(cookie="\xc3\x85=\x85, b; c", Cookie=f"{one}; {two}")
        self.assertEqual(browser.answers()[0].body, b"n is 10")

    def test_outside(self) -> None:
        """
        The error outside of a L{SessionedResource} says what is missing.
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
        A page that changes nothing puts off the session's end.
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
        The C{repr} of a session does not show its id.
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
    Cookies that have a lifetime.
    """

    options = {"maxAge": 600}  # noqa: RUF012 - never changed

    def test_renewed(self) -> None:
        """
        A cookie with a lifetime is sent again when the session changed, as
        Express does, and only then.
        """
        setCookie = self.get(put).cookie()
        assert setCookie is not None
        self.assertIn("Max-Age=600", setCookie.split("; "))
        cookie = setCookie.partition(";")[0]
        self.assertIsNone(self.get(read, cookie).cookie())
        self.assertEqual(self.get(put, cookie).cookie(), setCookie)


class TreeTests(WebTestCase):
    """
    The tree of resources inside of a L{SessionedResource}.
    """

    def test_path(self) -> None:
        """
        C{prepath} and C{postpath} are as if there were no L{SessionedResource},
        wherever it is in the site.  A second one inside of it does nothing.
        """
        seen: list[tuple[list[bytes] | None, list[bytes] | None]] = []

        def page(request: Request) -> bytes:
            seen.append((request.prepath, request.postpath))
            return put(request)

        inner = SessionedResource(View(page), self.world.manager)

        class Pages(Resource):
            def getChild(self, path: bytes, request: Request) -> IResource:
                sessionOf(request)["path"] = path.decode()
                return inner if path == b"a" else notFound()

        pages, root = Pages(), Resource()
        root.putChild(b"app", SessionedResource(pages, self.world.manager))
        browser = self.world.connect(root)
        browser.send("/app/a/b")
        browser.send("/app/c")
        found, missing = browser.answers()
        self.assertEqual((found.body, missing.code), (b"n is 1", 404))
        newID = self.idIn(found.cookie())
        self.assertEqual(self.stored(newID), {"path": "a", "n": 1})
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

    def test_upgrade(self) -> None:
        """
        A page that is no WebSocket does not mind C{Upgrade}: it has its session,
        also where the way to it is looked for with that.
        """
        cookie, _ = self.login()

        class Looking(Resource):
            def getChild(self, name: bytes, request: Request) -> Resource:
                return View(read if "n" in sessionOf(request) else put)

        root = Resource()
        root.putChild(b"page", View(read))
        root.putChild(b"looking", Looking())
        inner = SessionedResource(View(read), self.world.manager)
        root.putChild(b"nested", inner)
        browser = self.serve(root)
        for path in "/page", "/looking/x", "/nested", "/nested/x":
            browser.send(path, cookie=cookie, Upgrade="h2c, WebSocket")
        browser.send("/none", cookie=cookie, Upgrade="websocket")
        *pages, none = browser.answers()
        self.assertEqual([page.body for page in pages], [b"n is 1"] * 4)
        self.assertEqual(none.code, 404)

    def test_methods(self) -> None:
        """
        An answer to HEAD has headers and no body, also if the page has only
        C{render_GET}.  Other methods are refused.
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
        browser = self.serve(OnlyGet())
        browser.send(method="POST")
        self.assertEqual(browser.answers()[0].code, 405)

    def test_asking(self) -> None:
        """
        HEAD and OPTIONS, which health checks send, begin no session, whatever
        the page does.  What they change in a session that exists is stored.
        """

        def login(request: Request) -> Any:
            session = sessionOf(request)

            async def answer() -> None:
                session["early"] = 1
                await session.save()
                await session.regenerate()
                await session.update(lambda data: data.update(late=1))
                request.finish()

            answering = Deferred.fromCoroutine(answer())
            answering.addErrback(request.processingFailed)
            return NOT_DONE_YET

        for method in "HEAD", "OPTIONS":
            for page in put, login:
                browser = self.serve(page)
                browser.send(method=method)
                (answer,) = browser.answers()
                self.assertEqual(answer.code, 200)
                self.assertIsNone(answer.cookie())
                self.world.clock.advance(5)
                self.assertEqual(self.world.manager.statistics().sessions, 0)
                self.assertEqual(self.world.manager.statistics().newSessions, 0)
                self.assertEqual(self.world.inner._place._sessions, {})
            cookie, sessionID = self.login()
            browser = self.serve(put)
            browser.send(method=method, cookie=cookie)
            self.assertEqual(self.stored(sessionID), {"n": 2})
            self.successResultOf(self.world.manager.stop())
            self.world = World()

    def test_askedAndGone(self) -> None:
        """
        HEAD begins no session either if the client leaves before the answer.
        """

        def page(request: Request) -> Any:
            put(request)
            return NOT_DONE_YET

        browser = self.serve(page)
        browser.send(method="HEAD")
        browser.leave()
        self.world.clock.advance(5)
        self.assertEqual(self.world.store.calls, [])
        self.assertEqual(self.world.manager.statistics().newSessions, 0)

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
        The access log has the status that was sent, also where a page was
        refused.
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
        The script is JavaScript.  Browsers ask for it each time, and it is sent
        only if it has changed.
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

    def test_types(self) -> None:
        """
        C{types=True} serves the types for TypeScript.
        """
        browser = self.world.connect(ClientScript(types=True))
        browser.send()
        (whole,) = browser.answers()
        self.assertEqual(whole.headers["content-type"], ["text/plain; charset=utf-8"])
        self.assertIn(b"declare class SessionSocket", whole.body)

    def test_head(self) -> None:
        """
        An answer to HEAD has the length of the script.
        """
        browser = self.world.connect(ClientScript())
        browser.send(method="HEAD")
        (answer,) = browser.answers()
        self.assertGreater(int(answer.headers["content-length"][0]), 1000)
        self.assertEqual(answer.body, b"")
