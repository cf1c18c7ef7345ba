"""
Tests for L{txsessionsock.web.TicketResource}: who gets a ticket, and who does not.
"""

from __future__ import annotations

import gc
import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.web.resource import Resource

from tests.support.pages import Answer, Connection, Socket, WebTestCase, Wire, World
from tests.support.signedcookies import SECRET, flaskCookie, flaskPayload
from txsessionsock.credentials import Ticket
from txsessionsock.forwarded import Proxies
from txsessionsock.frameworks.flask import Flask
from txsessionsock.interfaces import SessionID, StoreTimeout, StoreUnavailable
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.testing import ADDRESS, Browser
from txsessionsock.web import BoundedSite, SessionedResource, TicketResource


OWN = "http://example.com"
SAID = "ticket"


class TicketResourceTests(WebTestCase):
    """
    Tests for L{TicketResource} in a site.
    """

    def setUp(self) -> None:
        super().setUp()
        self.root = Resource()
        self.resource = TicketResource(self.world.manager)
        self.root.putChild(b"ticket", self.resource)

    def connection(self) -> Connection:
        """
        Connect to a bounded site.
        """
        site = BoundedSite(self.root, reactor=self.world.clock, timeout=None)
        wire = Wire()
        protocol = site.buildProtocol(wire.getPeer())
        wire.protocol = protocol
        protocol.makeConnection(wire)
        return Connection(protocol, wire)

    def post(
        self,
        cookie: str | None = None,
        origin: str | None = OWN,
        said: str | None = SAID,
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        """
        Ask for a ticket.
        """
        browser = self.connection()
        if origin is not None:
            headers["Origin"] = origin
        if said is not None:
            headers["X_Sessionsock"] = said
        browser.send("/ticket", method, cookie, **headers)
        self.world.clock.pump([0.1] * 40)
        (answer,) = browser.answers()
        self.assertTrue(answer.isWhole)
        if answer.headers.get("connection") != ["close"]:
            self.assertEqual(answer.headers["cache-control"], ["no-store"])
        return answer

    def assertRefused(self, answer: Answer, code: int, reason: str) -> None:
        """
        There was no ticket in an answer.
        """
        self.assertEqual(answer.code, code)
        self.assertEqual(json.loads(answer.body), {"reason": reason})
        self.assertEqual(self.tickets(), [])

    def tickets(self) -> list[str]:
        """
        The keys of all tickets.
        """
        place: Any = self.world.inner
        return [key for key in place._place._sessions if "ticket" in key]

    def test_given(self) -> None:
        """
        A page of this site gets a ticket, with which a socket without a cookie has
        the page's session.
        """
        cookie, sessionID = self.login(user="al")
        answer = self.post(cookie)
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.headers["content-type"], ["application/json"])
        self.assertNotIn("set-cookie", answer.headers)
        given = json.loads(answer.body)
        self.assertEqual(given.keys(), {"ticket", "expires"})
        self.assertEqual(given["expires"], 30)
        factory = SessionSocketFactory(self.world.manager, credentials=[Ticket()])
        name = f"base64url.ticket.{given['ticket']}"
        browser = Browser(factory, protocols=["sessionsock", name])
        browser.flush()
        self.assertEqual(browser.server.session.id, sessionID)
        self.assertEqual(self.tickets(), [])
        browser.close()

    def test_otherNode(self) -> None:
        """
        It is good at another node.
        """
        cookie, sessionID = self.login()
        ticket = json.loads(self.post(cookie).body)["ticket"]
        other = World(self.world).manager.tickets()
        self.assertEqual(self.successResultOf(other.redeem(ticket)), sessionID)

    def test_noSession(self) -> None:
        """
        Without a session there is none, and none begins: 401, with the reason that a
        socket would be told.
        """
        framework = self.world.framework
        unknown = framework.cookieValue(SessionID("nobody"))
        for cookie, reason in (
            (None, "missing"),
            ("theme=dark", "missing"),
            ("connect.sid=junk", "bad-signature"),
            (f"connect.sid={unknown}", "unknown"),
        ):
            answer = self.post(cookie)
            self.assertRefused(answer, 401, reason)
            self.assertNotIn("set-cookie", answer.headers)
        place: Any = self.world.inner
        self.assertEqual(place._place._sessions, {})

    def test_origin(self) -> None:
        """
        A page of another origin gets none.  What sends no origin is no page, or an
        old browser, where the header suffices.
        """
        cookie, _ = self.login()
        with capturedLogs() as events:
            for origin in "https://evil.example", "https://example.com", "null", "":
                answer = self.post(cookie, origin)
                self.assertRefused(answer, 403, "forbidden")
            for site in "cross-site", "same-site":
                answer = self.post(cookie, None, Sec_Fetch_Site=site)
                self.assertRefused(answer, 403, "forbidden")
        self.assertIn("no ticket", repr(events))
        self.assertNotIn(cookie, repr(events))
        self.assertEqual(self.post(cookie, None).code, 200)
        self.assertEqual(self.post(cookie, Sec_Fetch_Site="same-origin").code, 200)

    def test_header(self) -> None:
        """
        Without the header there is none: a form of another site cannot send it.
        """
        cookie, _ = self.login()
        for said in None, "", "1", "tickets":
            self.assertRefused(self.post(cookie, said=said), 403, "forbidden")

    def test_proxy(self) -> None:
        """
        A trusted proxy's word counts for the origin.
        """
        proxies = Proxies([f"{ADDRESS.host}/32"])
        trusting = TicketResource(self.world.manager, trustProxy=proxies)
        cookie, _ = self.login()
        own = "https://shop.example"
        told = {"X_Forwarded_Host": "shop.example", "X_Forwarded_Proto": "https"}
        self.assertEqual(self.post(cookie, own, **told).code, 403)
        self.root.putChild(b"ticket", trusting)
        self.assertEqual(self.post(cookie, own, **told).code, 200)

    def test_methods(self) -> None:
        """
        It is a POST; OPTIONS is answered without a word of CORS.
        """
        cookie, _ = self.login()
        for method in "GET", "PUT", "DELETE", "BREW":
            answer = self.post(cookie, method=method)
            self.assertRefused(answer, 405, "method")
            self.assertEqual(answer.headers["allow"], ["POST, OPTIONS"])
        answer = self.post(cookie, method="HEAD")
        self.assertEqual((answer.code, answer.body), (405, b""))
        preflight = {
            "Access_Control_Request_Method": "POST",
            "Access_Control_Request_Headers": "x-sessionsock",
        }
        evil = "https://evil.example"
        answer = self.post(None, evil, None, "OPTIONS", **preflight)
        self.assertEqual((answer.code, answer.body), (204, b""))
        self.assertEqual(answer.headers["allow"], ["POST, OPTIONS"])
        self.assertFalse([name for name in answer.headers if "access-control" in name])
        self.assertEqual(self.tickets(), [])

    def test_body(self) -> None:
        """
        A body is refused before it comes.
        """
        cookie, _ = self.login()
        answer = self.post(cookie, Content_Length="5")
        self.assertEqual(answer.code, 400)
        self.assertEqual(self.post(cookie, Content_Length="0").code, 200)

    def test_outage(self) -> None:
        """
        A store that fails is 503, whatever it was asked; never 401.
        """
        cookie, _ = self.login()
        for method in "load", "create":
            for error in StoreUnavailable("gone"), StoreTimeout("late"):
                self.world.store.fail(error, method)
                answer = self.post(cookie)
                self.world.store.heal()
                self.assertEqual(answer.code, 503)
                self.assertIn("retry-after", answer.headers)
        self.world.store.hold("create")
        self.assertEqual(self.post(cookie).code, 503)
        self.flushLoggedErrors()

    def test_rate(self) -> None:
        """
        A session gets so many tickets in a while, and others have theirs.
        """
        cookie, _ = self.login()
        codes = [self.post(cookie).code for _ in range(5)]
        self.assertEqual(codes, [200] * 5)
        browser = self.connection()
        for _ in range(150):
            browser.send("/ticket", "POST", cookie, Origin=OWN, X_Sessionsock=SAID)
        self.world.clock.advance(0)
        answers = browser.answers()
        self.assertEqual({answer.code for answer in answers}, {200, 429})
        self.assertEqual(answers[-1].headers["retry-after"], ["1"])
        self.assertLess(len(self.tickets()), 110)
        other, _ = self.login()
        self.assertEqual(self.post(other).code, 200)
        self.world.clock.advance(30)
        self.assertEqual(self.post(cookie).code, 200)

    def test_newID(self) -> None:
        """
        A session with a new id has no new allowance.
        """
        cookie, sessionID = self.login()
        ration = self.world.manager.rations.of(("ticket", sessionID))
        self.assertEqual(self.post(cookie).code, 200)
        session, _ = self.hold(sessionID)
        moving = self.world.manager.regenerate(session, Socket())
        new, _ = self.successResultOf(moving)
        self.assertIs(self.world.manager.rations.of(("ticket", new.id)), ration)

    def test_inCookies(self) -> None:
        """
        With a store of their own there are tickets for sessions in cookies.
        """
        flask = Flask(secrets=[SECRET])
        manager = SessionManager(
            CookieStore(flask, self.world.clock), flask, self.world.clock
        )
        self.root.putChild(b"ticket", TicketResource(manager, self.world.inner))
        now = int(self.world.clock.seconds())
        value = flaskCookie(flaskPayload(b'{"user":"al"}'), now=now)
        answer = self.post(f"session={value}")
        self.assertEqual(answer.code, 200)
        factory = SessionSocketFactory(manager, credentials=[Ticket()])
        name = f"base64url.ticket.{json.loads(answer.body)['ticket']}"
        browser = Browser(factory, protocols=["sessionsock", name])
        browser.flush()
        self.assertEqual(dict(browser.server.session), {"user": "al"})
        browser.close()

    def test_left(self) -> None:
        """
        A client that leaves meanwhile gets nothing, and nothing fails.
        """
        cookie, _ = self.login()
        self.world.store.hold("create")
        browser = self.connection()
        browser.send("/ticket", "POST", cookie, Origin=OWN, X_Sessionsock=SAID)
        browser.leave()
        self.world.store.release()
        self.assertEqual(browser.wire.value(), b"")
        # Its request has the session as long as there is one.
        del browser
        gc.collect()
        self.world.clock.pump([0.5] * 20)
        self.assertEqual(self.world.manager.statistics().sessions, 0)

    def test_ending(self) -> None:
        """
        A server that is about to end gives none.
        """
        cookie, _ = self.login()
        ending: Deferred[None] = self.world.manager.stop()
        self.assertEqual(self.post(cookie).code, 503)
        self.successResultOf(ending)

    def test_inPages(self) -> None:
        """
        Within a L{SessionedResource}, its session is the one.
        """
        pages = Resource()
        pages.putChild(b"ticket", self.resource)
        self.root = SessionedResource(pages, self.world.manager)
        cookie, _ = self.login()
        self.assertEqual(self.post(cookie).code, 200)
        self.assertEqual(len(self.tickets()), 1)
        answer = self.post(None)
        self.assertEqual(answer.code, 401)

    def test_address(self) -> None:
        """
        It is not in a log, and the answer has no other header with it.
        """
        cookie, _ = self.login()
        with capturedLogs() as events:
            answer = self.post(cookie)
        ticket = json.loads(answer.body)["ticket"]
        self.assertNotIn(ticket, repr(events) + repr(answer.headers))

    def test_children(self) -> None:
        """
        There is nothing below it.
        """
        self.assertRaises(ValueError, self.resource.putChild, b"a", Resource())
        nobody: Any = None
        found: Any = self.resource.getChildWithDefault(b"a", nobody)
        self.assertIs(found, self.resource)
