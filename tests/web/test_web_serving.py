"""
Tests for L{txsessionsock.web.openSession}: the session of a request, for pages that
are in no L{SessionedResource}.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.pages import Connection, View, WebTestCase, World, put, read, waiting
from tests.web import test_web, test_web_login, test_web_producers, test_web_stored
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionError,
    SessionReplaced,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.manager import SessionManager
from txsessionsock.web import (
    PageSession,
    ServerEnding,
    SessionedResource,
    openSession,
    refuse,
    sessionOf,
)


class Opening(Resource):
    """
    A page that opens its session itself.
    """

    isLeaf = True

    def __init__(
        self, page: IResource, manager: SessionManager, *, trustProxy: bool = False
    ) -> None:
        super().__init__()
        self.page = page
        self.manager = manager
        self.trustProxy = trustProxy

    def render(self, request: Request) -> int:
        opening = openSession(request, self.manager, trustProxy=self.trustProxy)
        opening.addCallback(lambda _: request.render(self.page))
        opening.addErrback(refuse, request)
        return NOT_DONE_YET


class OpeningCase(WebTestCase):
    """
    A site with L{Opening} pages, instead of a L{SessionedResource}.
    """

    def serve(
        self, page: Callable[[Request], bytes | int] | IResource, **options: Any
    ) -> Connection:
        isSecure = options.pop("isSecure", False)
        resource = page if IResource.providedBy(page) else View(page)
        opening = Opening(resource, self.world.manager, **options)
        return self.world.connect(opening, isSecure=isSecure)


class CookieTests(OpeningCase, test_web.CookieTests):
    """
    All of L{test_web.CookieTests}, with L{Opening} pages.
    """


class LifetimeTests(OpeningCase, test_web.LifetimeTests):
    """
    All of L{test_web.LifetimeTests}, with L{Opening} pages.
    """


class StoredFirstTests(OpeningCase, test_web_stored.StoredFirstTests):
    """
    All of L{test_web_stored.StoredFirstTests}, with L{Opening} pages.
    """


class OutageTests(OpeningCase, test_web_stored.OutageTests):
    """
    All of L{test_web_stored.OutageTests}, with L{Opening} pages.
    """


class ClientLeavesTests(OpeningCase, test_web_login.ClientLeavesTests):
    """
    All of L{test_web_login.ClientLeavesTests}, with L{Opening} pages.
    """


class ProducerTests(OpeningCase, test_web_producers.ProducerTests):
    """
    All of L{test_web_producers.ProducerTests}, with L{Opening} pages.
    """


class OpenSessionTests(WebTestCase):
    """
    L{openSession}, where a L{SessionedResource} does not show what it does.
    """

    def opened(
        self,
        cookie: str | None = None,
        method: str = "GET",
        before: Callable[[Request], object] | None = None,
        **headers: str,
    ) -> tuple[Connection, Request, Deferred[PageSession]]:
        """
        Ask for a page that opens its session and does nothing else.
        """
        requests: list[Request] = []
        openings: list[Deferred[PageSession]] = []

        def page(request: Request) -> int:
            requests.append(request)
            if before is not None:
                before(request)
            openings.append(openSession(request, self.world.manager))
            return NOT_DONE_YET

        browser = self.world.connect(View(page))
        browser.send(cookie=cookie, method=method, **headers)
        return browser, requests[0], openings[0]

    def test_held(self) -> None:
        """
        It fires with the session, which L{sessionOf} finds from then on, and what
        is written waits for the store.
        """
        cookie, sessionID = self.login()
        browser, request, opening = self.opened(cookie)
        session = self.successResultOf(opening)
        self.assertIs(sessionOf(request), session)
        self.world.store.hold("replace")
        session["n"] += 1
        request.write(b"body")
        request.finish()
        self.assertEqual(browser.wire.value(), b"")
        self.world.store.release()
        self.assertEqual(browser.answers()[0].body, b"body")
        self.assertEqual(self.stored(sessionID), {"n": 2})
        del session, request, opening
        gc.collect()
        self.assertIdle()

    def test_streaming(self) -> None:
        """
        A page that answers bit by bit has every bit wait for what it did before.
        """
        cookie, sessionID = self.login()
        browser, request, opening = self.opened(cookie)
        session = self.successResultOf(opening)
        request.write(b"a")
        self.assertEqual(browser.answers()[0].body, b"a")
        for n, bit in (2, b"b"), (3, b"c"):
            self.world.store.hold("replace")
            session["n"] = n
            request.write(bit)
            self.assertFalse(browser.answers()[0].body.endswith(bit))
            self.world.store.release()
            self.assertTrue(browser.answers()[0].body.endswith(bit))
            self.assertEqual(self.stored(sessionID), {"n": n})
        request.finish()
        self.assertTrue(browser.answers()[0].isWhole)

    def test_head(self) -> None:
        """
        HEAD begins no session.
        """
        browser, request, opening = self.opened(method="HEAD")
        self.successResultOf(opening)["n"] = 1
        request.finish()
        self.assertIsNone(browser.answers()[0].cookie())
        self.assertEqual(self.world.store.calls, [])
        self.assertEqual(self.world.manager.statistics().newSessions, 0)

    def test_again(self) -> None:
        """
        Further calls get the same session, also those of a page that is in a
        L{SessionedResource}.
        """
        _, request, opening = self.opened()
        session = self.successResultOf(opening)
        again = openSession(request, self.world.manager)
        self.assertIs(self.successResultOf(again), session)
        inner: list[PageSession] = []

        def page(request: Request) -> bytes:
            opening = openSession(request, self.world.manager)
            inner.append(self.successResultOf(opening))
            return put(request)

        sessioned = SessionedResource(View(page), self.world.manager)
        browser = self.serve(Opening(sessioned, self.world.manager))
        browser.send()
        (answer,) = browser.answers()
        self.assertEqual(answer.body, b"n is 1")
        self.assertEqual(inner[0].id, self.idIn(answer.cookie()))

    def test_twiceAtOnce(self) -> None:
        """
        A second call that does not wait for the first fails, be it for another
        manager; the first call gets its session.
        """
        cookie, _ = self.login()
        self.world.store.hold("load")
        _, request, opening = self.opened(cookie)
        failure = self.failureResultOf(
            openSession(request, self.world.manager), SessionError
        )
        self.assertIn("already", str(failure.value))
        self.failureResultOf(openSession(request, World().manager), SessionError)
        self.world.store.release()
        self.assertIs(self.successResultOf(opening), sessionOf(request))

    def test_tooLate(self) -> None:
        """
        It fails if the answer has begun, which could not be held.
        """
        for before in (
            lambda request: request.write(b"begun"),
            lambda request: request.registerProducer(object(), True),
        ):
            _, _, opening = self.opened(before=before)
            failure = self.failureResultOf(opening, SessionError)
            self.assertIn("has begun", str(failure.value))
        self.assertEqual(self.world.store.calls, [])
        self.assertIdle()

    def test_outage(self) -> None:
        """
        It fails as the store does, with nothing answered, and may be tried
        again.
        """
        cookie, sessionID = self.login()
        self.world.store.fail(StoreUnavailable(), "load")
        browser, request, opening = self.opened(cookie)
        self.failureResultOf(opening, StoreUnavailable)
        self.assertEqual(browser.wire.value(), b"")
        with self.assertRaises(SessionError):
            sessionOf(request)
        self.world.store.heal()
        again = openSession(request, self.world.manager)
        self.assertEqual(self.successResultOf(again).id, sessionID)

    def test_ending(self) -> None:
        """
        A server that ends waits for the page; when sessions are stored for the
        last time, none is opened.
        """
        browser, request, _ = self.opened()
        ended = self.world.manager.end()
        self.world.clock.advance(1)
        self.assertNoResult(ended)
        request.finish()
        browser.wire.disconnected = True
        self.world.clock.advance(1)
        self.successResultOf(ended)
        _, late, opening = self.opened()
        failure = self.failureResultOf(opening, ServerEnding)
        refuse(failure, late)
        self.assertEqual(late.code, 503)

    def test_left(self) -> None:
        """
        It fails if the client left before or meanwhile, and holds nothing.
        """
        cookie, _ = self.login()
        self.world.store.hold("load")
        browser, request, opening = self.opened(cookie)
        browser.wire.disconnected = True
        browser.leave()
        failure = self.failureResultOf(opening, CancelledError)
        refuse(failure, request)
        self.world.store.release()
        again = openSession(request, self.world.manager)
        self.failureResultOf(again, CancelledError)
        self.assertIdle()
        self.successResultOf(self.world.manager.end())

    def test_workGoesOn(self) -> None:
        """
        The work of a page that waited for its session is not cancelled when the
        client leaves.
        """
        cookie, sessionID = self.login()
        work: Deferred[None] = Deferred()
        browser, _, opening = self.opened(cookie)

        async def page(session: PageSession) -> None:
            await work
            session["late"] = True

        opening.addCallback(lambda session: Deferred.fromCoroutine(page(session)))
        browser.leave()
        work.callback(None)
        self.successResultOf(opening)
        self.world.clock.advance(2)
        self.assertEqual(self.stored(sessionID), {"n": 1, "late": True})

    def test_givenUp(self) -> None:
        """
        Cancelling the L{Deferred} gives up on the session, and nothing is held.
        """
        cookie, _ = self.login()
        self.world.store.hold("load")
        _, _, opening = self.opened(cookie)
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.world.store.release()
        self.assertIdle()

    def test_managers(self) -> None:
        """
        A request can have the sessions of two managers, one in the other.
        """
        other = World()
        cookie, _ = self.login(n=5)
        both = Opening(Opening(View(read), other.manager), self.world.manager)
        browser = self.world.connect(both)
        browser.send(cookie=cookie)
        self.assertEqual(browser.answers()[0].body, b"n is 0")

    def test_waitedForOnce(self) -> None:
        """
        All resources with sessions of one manager are one guest of its end.
        """
        manager = self.world.manager
        resource = SessionedResource(Resource(), manager)
        guests = len(manager._ending._guests)
        for _ in range(3):
            child = resource.getChildWithDefault(b"a", None)  # type: ignore[arg-type]  # It is not looked at.
            self.assertIsInstance(child, SessionedResource)
        self.assertEqual(len(manager._ending._guests), guests)


class RefuseTests(WebTestCase):
    """
    L{refuse}
    """

    def refused(self, error: Exception, *, begin: bool = False) -> tuple[Any, str]:
        """
        @return: The answer to a request that failed, and what is logged.
        """

        def page(request: Request) -> int:
            if begin:
                request.write(b"begun")
            failing: Deferred[None] = Deferred()
            failing.addErrback(refuse, request)
            failing.errback(error)
            return NOT_DONE_YET

        browser = self.world.connect(View(page))
        with capturedLogs() as logs:
            browser.send()
        return browser.answers()[0], "\n".join(map(str, map(formatEvent, logs)))

    def test_codes(self) -> None:
        """
        The answer says whether to come again, and the log says why.
        """
        for error, code, said in (
            (StoreUnavailable("gone"), 503, "the session store failed"),
            (StoreTimeout("slow"), 503, "the session store failed"),
            (NoSuchSession(), 409, ""),
            (SessionReplaced(), 409, ""),
            (ServerEnding("ends"), 503, ""),
            (SessionError("wrong"), 500, "because of its session"),
            (ZeroDivisionError(), 500, ""),
        ):
            answer, logged = self.refused(error)
            self.assertEqual((answer.code, answer.isWhole), (code, True), error)
            self.assertIn(said, logged)
        self.assertEqual(len(self.flushLoggedErrors()), 2)

    def test_begun(self) -> None:
        """
        An answer that has begun cannot become another one; it ends.
        """
        answer, _ = self.refused(NoSuchSession(), begin=True)
        self.assertEqual((answer.code, answer.isWhole), (200, True))
        self.assertTrue(answer.body.startswith(b"begun"))
        self.assertEqual(len(self.flushLoggedErrors(NoSuchSession)), 1)

    def test_nobody(self) -> None:
        """
        Nobody is answered when the client is gone; what went wrong is logged.
        """
        for error, count in (ZeroDivisionError(), 1), (NoSuchSession(), 0):
            requests: list[Request] = []
            browser = self.world.connect(View(waiting(requests)))
            browser.send()
            browser.leave()
            failing: Deferred[None] = Deferred()
            failing.addErrback(refuse, requests[0])
            failing.errback(error)
            self.assertIsNone(self.successResultOf(failing))
            self.assertEqual(len(self.flushLoggedErrors()), count)
