"""
Tests for L{txsessionsock.credentials}: tickets, bearer, and which credential counts.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.support.hubbing import OTHER
from tests.support.managing import SID, Recorder, raw
from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock import SessionSocketFactory
from txsessionsock.clients.life import Phase
from txsessionsock.credentials import (
    Auth,
    Bearer,
    Cookie,
    InBand,
    Ticket,
    refuseSecond,
)
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django, DjangoSignedCookies
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import Flask, FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.frameworks.starlette import Starlette, Starsessions
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import (
    NoSuchSession,
    SecondSession,
    SessionID,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.stores.memory import MemoryStore


def encoded(value: str) -> str:
    """
    A value in base64url, as a subprotocol has it.
    """
    return urlsafe_b64encode(value.encode()).decode().rstrip("=")


class NamedCase(SocketCase):
    """
    Two sessions: al's, which the cookie names, and ann's.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")
        ann = raw(user="ann")
        self.successResultOf(self.place.create(f"sess:{OTHER}", ann, 86400))

    def value(self, sessionID: str = SID) -> str:
        """
        What the signed cookie holds.
        """
        return self.cookie(sessionID).partition("=")[2]

    def ticket(self, sessionID: SessionID = SID) -> str:
        """
        A ticket for a session.
        """
        return self.successResultOf(self.manager.tickets().issue(sessionID))

    def come(
        self,
        *subprotocols: str,
        cookie: str | None = None,
        bearer: str | None = None,
        **options: Any,
    ) -> Browser:
        """
        Connect.

        @param subprotocols: Beside C{sessionsock}.
        """
        protocols = ["sessionsock", *subprotocols] if subprotocols else []
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        browser = self.browse(
            cookie=cookie, protocols=protocols, headers=headers, **options
        )
        self.wait()
        return browser

    def assertUser(self, browser: Browser, user: str) -> None:
        """
        A client has somebody's session.
        """
        self.assertIsNone(browser.closed)
        self.assertEqual(dict(browser.server.session), {"user": user})

    def assertInvalid(self, browser: Browser, reason: str) -> None:
        """
        A client has none, and was told why.
        """
        self.assertClosed(browser, 4401, f"session-{reason}")
        self.assertEqual(self.events("sconnection"), [])


class BearerTests(NamedCase):
    """
    Tests for L{Bearer}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.serve(credentials=[Cookie(), Bearer()])

    def test_header(self) -> None:
        """
        The header has what the cookie would hold; the name of the scheme may be in
        capitals.
        """
        self.assertUser(self.come(bearer=self.value(OTHER)), "ann")
        headers = {"Authorization": f"bEARER  {self.value(OTHER)} "}
        self.assertUser(self.browse(cookie=None, headers=headers), "ann")

    def test_subprotocol(self) -> None:
        """
        A subprotocol has the same in base64url, and is not echoed.
        """
        name = f"base64url.bearer.{encoded(self.value(OTHER))}"
        browser = self.come(name)
        self.assertUser(browser, "ann")
        self.assertEqual(browser.client.websocket_protocol_in_use, "sessionsock")

    def test_bad(self) -> None:
        """
        What is not signed, or names no session, opens nothing: also not what the
        good cookie beside it would.
        """
        for value, reason in (
            (SID, "bad-signature"),
            (f"{self.value()}x", "bad-signature"),
            ("", "malformed"),
            (self.value("nobody"), "unknown"),
        ):
            for cookie in None, "":
                self.assertInvalid(self.come(bearer=value, cookie=cookie), reason)
                if value:
                    name = f"base64url.bearer.{encoded(value)}"
                    self.assertInvalid(self.come(name, cookie=cookie), reason)
        for junk in "", "x", "+", "_w", f"{encoded(self.value())}.x":
            browser = self.come(f"base64url.bearer.{junk}", cookie="")
            self.assertInvalid(browser, "malformed")

    def test_otherScheme(self) -> None:
        """
        Another scheme is not for us.
        """
        headers = {"Authorization": "Basic YWw6c2VjcmV0"}
        self.assertUser(self.browse(headers=headers), "al")

    def test_off(self) -> None:
        """
        It counts only where it is asked for.
        """
        self.serve()
        self.assertUser(self.come(bearer=self.value(OTHER), cookie=""), "al")
        self.assertInvalidAnew(self.come(bearer=self.value(OTHER)), "missing")

    def assertInvalidAnew(self, browser: Browser, reason: str) -> None:
        self.assertClosed(browser, 4401, f"session-{reason}")

    def test_address(self) -> None:
        """
        In an address it is nothing.
        """
        value = self.value()
        for query in f"bearer={value}", f"access_token={value}", f"__sid={value}":
            self.assertInvalid(self.come(query=query), "missing")


class SignedTests(SynchronousTestCase):
    """
    Tests for which frameworks L{Bearer} is.
    """

    def serve(self, framework: Any) -> None:
        """
        Set up a server.
        """
        manager = SessionManager(MemoryStore(), framework)
        SessionSocketFactory(manager, credentials=[Bearer()])

    def test_signed(self) -> None:
        """
        It is for those that sign ids, and for those whose sessions are signed.
        """
        for framework in (
            Express(secrets=["a"]),
            FlaskSession(secrets=["a"]),
            Flask(secrets=["a"]),
            Starlette(secrets=["a"]),
            DjangoSignedCookies(secrets=["a"]),
        ):
            self.serve(framework)

    def test_unsigned(self) -> None:
        """
        All others are refused when the server is made, with what is right.
        """
        for framework in Django(), FlaskSession(), Starsessions(), Aiohttp(), PHP():
            with self.assertRaisesRegex(ValueError, r"sign their ids.*Ticket\(\)"):
                self.serve(framework)


class TicketTests(NamedCase):
    """
    Tests for L{Ticket}, by a plain WebSocket.
    """

    def setUp(self) -> None:
        super().setUp()
        self.serve(credentials=[Cookie(), Ticket()])

    def show(self, ticket: str, **options: Any) -> Browser:
        """
        Connect with a ticket.
        """
        return self.come(f"base64url.ticket.{ticket}", **options)

    def test_shown(self) -> None:
        """
        A client without a cookie has the session of its ticket; the subprotocol with
        the ticket is not echoed.
        """
        browser = self.show(self.ticket(OTHER))
        self.assertUser(browser, "ann")
        self.assertEqual(browser.client.websocket_protocol_in_use, "sessionsock")
        browser.send("a")
        self.assertEqual(self.events("smessage"), ["a"])

    def test_replayed(self) -> None:
        """
        It is good once, whatever became of the client that showed it first.
        """
        ticket = self.ticket()
        browser = self.show(ticket)
        self.assertUser(browser, "al")
        browser.cut()
        self.seen.clear()
        self.assertInvalid(self.show(ticket), "unknown")
        self.assertInvalid(self.show(ticket, cookie=""), "unknown")

    def test_late(self) -> None:
        """
        It is good for 30 seconds.
        """
        ticket = self.ticket()
        self.wait(31)
        self.assertInvalid(self.show(ticket), "unknown")

    def test_otherSession(self) -> None:
        """
        It opens its own session, whatever the cookie beside it says.
        """
        self.assertUser(self.show(self.ticket(OTHER), cookie=""), "ann")

    def test_otherOrigin(self) -> None:
        """
        A page of another origin gets nothing, and the ticket is not spent on it.
        """
        ticket = self.ticket()
        browser = self.show(ticket, origin="https://evil.example")
        self.assertEqual(browser.status, 403)
        self.assertUser(self.show(ticket), "al")

    def test_address(self) -> None:
        """
        In an address it is nothing, and is not spent.
        """
        ticket = self.ticket()
        for query in f"ticket={ticket}", f"base64url.ticket.{ticket}":
            self.assertInvalid(self.come(query=query), "missing")
        self.assertUser(self.show(ticket), "al")

    def test_guessed(self) -> None:
        """
        What was never given out opens nothing, with a good cookie either.
        """
        for ticket, reason in ("A" * 32, "unknown"), ("x", "malformed"):
            self.assertInvalid(self.show(ticket, cookie=""), reason)

    def test_prefix(self) -> None:
        """
        A session's id is no ticket; a ticket's key is no id, also where bare ids are
        taken, or somebody signed it, and where keys of sessions have no prefix.
        """
        self.assertInvalid(self.show("an-id"), "malformed")
        self.ticket()
        place: Any = self.place
        (key,) = (each for each in place._place._sessions if "ticket" in each)
        self.manager.framework.key = lambda sessionID: sessionID  # type: ignore[method-assign]  # as prefix="" has it
        self.serve(credentials=[InBand(allowUnsigned=True)])
        for value, reason in (key, "bad-signature"), (self.value(key), "unknown"):
            browser = self.come()
            browser.send({"__sid": value, "connect": 1})
            self.assertInvalid(browser, reason)
        opening = self.manager.open(SessionID(key), Recorder())
        self.failureResultOf(opening, NoSuchSession)
        self.assertIsNotNone(self.successResultOf(self.place.load(key)))
        self.assertEqual(self.manager.statistics().sessions, 0)

    def test_destroyed(self) -> None:
        """
        If its session ended meanwhile, it is worth nothing.
        """
        ticket = self.ticket()
        self.successResultOf(self.place.destroy("sess:an-id"))
        self.assertInvalid(self.show(ticket), "unknown")

    def test_regenerated(self) -> None:
        """
        So it is if the session has a new id: whoever logs in asks for another.
        """
        holder, ticket = Recorder(), self.ticket()
        session = self.open(holder)
        moving = self.manager.regenerate(session, Recorder())
        new, tell = self.successResultOf(moving)
        self.assertEqual(dict(new), {"user": "al"})
        tell()
        self.assertInvalid(self.show(ticket), "unknown")
        self.assertUser(self.show(self.ticket(new.id)), "al")

    def test_outage(self) -> None:
        """
        A store that fails is no lack of a session: 1013, and never C{sinvalid}.
        """
        for method in "load", "destroy":
            for error in StoreUnavailable("gone"), StoreTimeout("late"):
                ticket = self.ticket()
                self.store.fail(error, method)
                browser = self.show(ticket)
                self.store.heal()
                self.assertClosed(browser, 1013, "store failed")
        self.assertEqual(self.events("sinvalid"), [])
        self.assertNothingLeft()

    def test_hangs(self) -> None:
        """
        The same for one that does not answer.
        """
        ticket = self.ticket()
        self.store.hold("destroy")
        browser = self.show(ticket)
        self.wait(5)
        self.assertClosed(browser, 1013, "store failed")
        self.assertEqual(self.events("sinvalid"), [])

    def test_raced(self) -> None:
        """
        If two show a ticket at once, one has the session.
        """
        self.store.hold("load")
        ticket = self.ticket()
        both = [self.show(ticket), self.show(ticket)]
        for browser in both:
            self.assertEqual(
                browser.server._sessionsock.client.life.phase, Phase.ASKING
            )
        self.store.release()
        self.wait()
        self.assertEqual(len(self.events("sconnection")), 1)
        self.assertEqual(
            [browser.closed for browser in both if browser.closed],
            [(4401, "session-unknown")],
        )

    def test_chosen(self) -> None:
        """
        An application may choose a subprotocol of its own.  It does not see the one
        with the ticket, and cannot choose it.
        """
        offered: list[Any] = []

        class Chooser(Recording):
            def onConnect(self, request: Any) -> Any:
                offered.append((request.protocols, request.headers))
                return choose(request)

        def choose(request: Any) -> Any:
            return "chat"

        self.serve(Chooser, credentials=[Ticket()])
        ticket = self.ticket()
        browser = self.come("chat", f"base64url.ticket.{ticket}")
        self.assertUser(browser, "al")
        self.assertEqual(browser.client.websocket_protocol_in_use, "chat")
        ((protocols, headers),) = offered
        self.assertEqual(protocols, ["sessionsock", "chat"])
        self.assertNotIn(ticket, repr(headers))
        name = f"base64url.ticket.{self.ticket()}"
        with capturedLogs() as events:
            Chooser.onConnect = lambda self, request: name  # type: ignore[method-assign]  # a faulty application
            self.assertEqual(self.come(name).status, 500)
        self.assertIn("one that is a credential", repr(events))
        self.assertNotIn(name, repr(events))

    def test_notOffered(self) -> None:
        """
        Where C{sessionsock} is not offered, nothing is chosen, as RFC 6455 has it, and
        the log says what is right.
        """
        name = f"base64url.ticket.{self.ticket()}"
        with capturedLogs() as events:
            browser = self.browse(cookie=None, protocols=[name])
        self.assertIn("beside a ticket or bearer, offer sessionsock", repr(events))
        self.assertUser(browser, "al")
        self.assertIsNone(browser.client.websocket_protocol_in_use)

    def test_secret(self) -> None:
        """
        Neither a ticket nor a bearer is in a log, a C{repr} or an exception.
        """
        credentials = [Bearer(), Ticket(), Cookie(), InBand()]
        self.serve(credentials=credentials, limits=Limits(socketsPerSession=1))
        good, other, spent = self.ticket(), self.ticket(), "A" * 32
        values = [self.value(OTHER), self.value(OTHER) + "x"]
        tickets = [good, other, spent, good]
        with capturedLogs() as events:
            shown = [self.show(ticket) for ticket in tickets]
            shown += [self.come(bearer=value) for value in values]
            shown += [self.come(f"base64url.bearer.{encoded(v)}") for v in values]
            self.store.fail(StoreUnavailable("gone"), "load")
            shown.append(self.show(self.ticket()))
            shown.append(self.show(good, bearer=values[0]))
        said = repr(events) + repr(self.seen) + repr([each.closed for each in shown])
        for browser in shown:
            server = browser.server
            said += repr([server, server._sessionsock, server.http_request_uri])
        said += repr([credentials, self.manager.tickets(), self.factory])
        for secret in *tickets, *values, *map(encoded, values):
            self.assertNotIn(secret, said)

    def test_managers(self) -> None:
        """
        A L{Ticket} serves one manager, and any number of its servers.
        """
        ticket = Ticket()
        SessionSocketFactory(self.manager, credentials=[ticket])
        SessionSocketFactory(self.manager, credentials=[ticket])
        with self.assertRaisesRegex(ValueError, "give each its own"):
            SessionSocketFactory(self.newManager(), credentials=[ticket])
        with self.assertRaisesRegex(RuntimeError, "to no server"):
            shown = Handshake({}, False, auth={"ticket": "A" * 32})
            Ticket().inHandshake(shown, self.manager.framework, 0.0)


class OrderTests(NamedCase):
    """
    Tests for which of several credentials counts.
    """

    def setUp(self) -> None:
        super().setUp()
        # The worst order: who lists them is not to have to know.
        self.all = [InBand(), Cookie(), Auth(), Ticket(), Bearer()]
        self.serve(credentials=self.all)

    def hello(self, sessionID: str = SID) -> dict[str, Any]:
        """
        The first message.
        """
        return {"__sid": self.value(sessionID), "connect": 1}

    def test_explicit(self) -> None:
        """
        A bearer or a ticket alone decides: the cookie does not count.
        """
        name = f"base64url.ticket.{self.ticket(OTHER)}"
        self.assertUser(self.come(name, cookie=""), "ann")
        self.assertUser(self.come(bearer=self.value(OTHER), cookie=""), "ann")

    def test_badExplicit(self) -> None:
        """
        A bad one is refused at once: neither the cookie counts, nor a message.
        """
        for options in {"bearer": "junk"}, {"bearer": self.value("nobody")}:
            browser = self.come(cookie="", **options)
            self.assertEqual(browser.closed and browser.closed[0], 4401)
        browser = self.come(f"base64url.ticket.{'A' * 32}", cookie="")
        self.assertClosed(browser, 4401, "session-unknown")
        self.assertEqual(self.events("sconnection"), [])

    def test_two(self) -> None:
        """
        Two of these in one handshake are refused, also if they are the same, or one
        is bad; and no ticket is spent.
        """
        ticket, value = self.ticket(), self.value()
        byTicket = f"base64url.ticket.{ticket}"
        byBearer = f"base64url.bearer.{encoded(value)}"
        for browser in (
            self.come(byTicket, bearer=value),
            self.come(byTicket, byBearer),
            self.come(byTicket, f"base64url.ticket.{'A' * 32}", cookie=""),
            self.come(byBearer, bearer=value),
            self.come(byTicket, bearer="junk"),
        ):
            self.assertClosed(browser, 4400, "session-second")
        self.assertEqual(self.seen, [])
        self.assertUser(self.come(byTicket), "al")
        twice = Handshake({"authorization": [f"Bearer {value}"] * 2}, False)
        self.assertRaises(SecondSession, refuseSecond, self.all, twice)

    def test_messageAfter(self) -> None:
        """
        After a session is found, whatever named it, another credential is 4400.
        """
        name = f"base64url.ticket.{self.ticket()}"
        for browser in (
            self.come(cookie=""),
            self.come(name),
            self.come(bearer=self.value()),
        ):
            self.assertUser(browser, "al")
            browser.send(self.hello())
            self.assertClosed(browser, 4400, "session-second")

    def test_badCookie(self) -> None:
        """
        A cookie that is missing, bad or stale is not the last word, if the first
        message may name a session.
        """
        for cookie in None, "connect.sid=junk", "connect.sid=", self.cookie("nobody"):
            browser = self.come(cookie=cookie)
            self.wait(2)
            phase = browser.server._sessionsock.client.life.phase
            self.assertEqual(phase, Phase.WAITING)
            browser.send(self.hello(OTHER), "a")
            self.wait()
            self.assertUser(browser, "ann")
        self.assertEqual(self.events("smessage"), ["a"] * 4)
        self.assertEqual(self.events("sinvalid"), [])
        self.assertNothingLeft()

    def test_slowCookie(self) -> None:
        """
        The same with a cookie that is asked by a coroutine.
        """

        class Slow(Cookie):
            async def inHandshake(  # type: ignore[override]  # as Credential has it
                self, *args: Any
            ) -> SessionID | None:
                return super().inHandshake(*args)

        self.serve(credentials=[Slow(), InBand()])
        for cookie in None, "connect.sid=junk", self.cookie("nobody"):
            browser = self.come(cookie=cookie)
            browser.send(self.hello(OTHER))
            self.wait()
            self.assertUser(browser, "ann")
        self.assertUser(self.come(cookie=""), "al")
        self.assertNothingLeft()

    def test_anotherKind(self) -> None:
        """
        What an application's own credential names is no guess: if that is not there,
        nothing else is waited for.
        """

        class Own:
            awaitsMessage = False

            def inHandshake(self, *args: Any) -> SessionID | None:
                return SessionID("nobody")

            def inMessage(self, *args: Any) -> SessionID | None:
                return None

        self.serve(credentials=[Cookie(), Own(), InBand()])
        self.assertInvalid(self.come(), "unknown")

    def test_badCookieAlone(self) -> None:
        """
        It is, where it may not.
        """
        self.serve(credentials=[Cookie(), Ticket()])
        self.assertInvalid(self.come(cookie="connect.sid=junk"), "bad-signature")
        self.assertInvalid(self.come(cookie=self.cookie("nobody")), "unknown")

    def test_tooLate(self) -> None:
        """
        It is waited for until the time limit.
        """
        for cookie in None, "connect.sid=junk", self.cookie("nobody"):
            browser = self.come(cookie=cookie)
            self.wait(9.5)
            self.assertIsNone(browser.closed)
            self.wait(1)
            self.assertClosed(browser, 4408, "session-timeout")
        self.assertNothingLeft()

    def test_noMessage(self) -> None:
        """
        A first message that names none ends it.
        """
        browser = self.come(cookie=self.cookie("nobody"))
        browser.send("a")
        self.assertInvalid(browser, "missing")

    def test_whileLoading(self) -> None:
        """
        What comes while the cookie's session is looked for waits for that.  If it is
        there, a credential in it is a second one; if not, it is the first.
        """
        for sessionID, closed in (SID, (4400, "session-second")), ("nobody", None):
            self.seen.clear()
            self.store.hold("load")
            browser = self.come(cookie=self.cookie(sessionID))
            browser.send(self.hello(OTHER), "a")
            self.wait(1)
            self.assertEqual(self.seen, [])
            self.assertIsNone(browser.closed)
            self.store.release()
            self.wait()
            self.assertEqual(browser.closed, closed)
        self.assertUser(browser, "ann")
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertNothingLeft()

    def test_inOrder(self) -> None:
        """
        Messages that waited so are handled in order, those that came later behind
        them, and a client that sends too many is paused.
        """
        self.serve(credentials=self.all, limits=Limits(waitingMessages=4))
        self.store.hold("load")
        browser = self.come(cookie="")
        for number in range(10):
            browser.send(number)
        self.assertTrue(browser.wire.isPaused)
        self.store.release()
        self.wait()
        self.assertEqual(self.events("smessage"), list(range(10)))
        self.assertFalse(browser.wire.isPaused)
        self.assertNothingLeft()

    def test_goneWhileLoading(self) -> None:
        """
        A client that goes meanwhile is gone.
        """
        for sessionID in SID, "nobody":
            self.store.hold("load")
            browser = self.come(cookie=self.cookie(sessionID))
            browser.send(self.hello(OTHER))
            browser.cut()
            self.wait()
            self.store.release()
            self.wait()
            self.assertEqual(self.seen, [])
            self.assertNothingLeft()

    def test_outage(self) -> None:
        """
        An outage is not a cookie that is stale: nothing else is waited for.
        """
        self.store.fail(StoreUnavailable("gone"), "load")
        self.assertClosed(self.come(cookie=""), 1013, "store failed")
        self.assertEqual(self.events("sinvalid"), [])
