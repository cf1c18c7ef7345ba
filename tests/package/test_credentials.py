"""
Tests for L{txsessionsock.credentials}: how a client names its session.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.support.managing import raw
from tests.support.wires import Recording, SocketCase
from txsessionsock.credentials import Cookie, InBand
from txsessionsock.interfaces import InvalidCredential
from txsessionsock.limits import Limits
from txsessionsock.messages import Raw


class CookieTests(SocketCase):
    """
    The cookie of the handshake.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")
        self.serve()

    def assertInvalid(self, cookie: str | None, reason: str) -> None:
        """
        Assert that a client has no session for a certain reason, and is told.
        """
        self.seen.clear()
        self.do["sinvalid"] = lambda client, reason: client.send(["no", reason])
        browser = self.browse(cookie=cookie)
        self.assertEqual(browser.got, [["no", reason]])
        self.assertClosed(browser, 4401, f"session-{reason}")
        self.assertEqual(self.seen, [("sinvalid", reason)])
        self.assertNothingLeft()

    def test_valid(self) -> None:
        """
        A client that sends the cookie has its session.
        """
        for cookie in self.cookie(), f"a=b; {self.cookie()}; c=d", "":
            browser = self.browse(cookie=cookie)
            self.assertEqual(dict(browser.server.session), {"user": "al"})
        self.assertEqual(self.seen, [("sconnection",)] * 3)

    def test_quoted(self) -> None:
        """
        Quotes around a cookie are not part of it.
        """
        name, _, value = self.cookie().partition("=")
        self.browse(cookie=f'{name}="{value}"')
        self.assertEqual(self.seen, [("sconnection",)])

    def test_firstWins(self) -> None:
        """
        Of two cookies Express takes the first, whatever it is.
        """
        self.browse(cookie=f"{self.cookie()}; connect.sid=junk")
        self.assertEqual(self.seen, [("sconnection",)])
        self.assertInvalid(f"connect.sid=junk; {self.cookie()}", "bad-signature")

    def test_lastWins(self) -> None:
        """
        Other frameworks take the last.
        """
        self.manager.framework.firstCookieWins = False
        self.browse(cookie=f"connect.sid=junk; {self.cookie()}")
        self.assertEqual(self.seen, [("sconnection",)])

    def test_missing(self) -> None:
        """
        A client without a cookie has no session.
        """
        self.assertInvalid(None, "missing")
        self.assertInvalid("theme=dark", "missing")

    def test_malformed(self) -> None:
        """
        A cookie that is not one of the framework is told apart.
        """
        self.assertInvalid("connect.sid=", "malformed")
        self.assertInvalid("connect.sid=%zz", "malformed")

    def test_badSignature(self) -> None:
        """
        A cookie that was signed with another secret is told apart.
        """
        forged = self.cookie("other-id").rpartition(".")[2]
        head = self.cookie().rpartition(".")[0]
        self.assertInvalid(f"{head}.{forged}", "bad-signature")
        self.assertInvalid(self.cookie() + "x", "bad-signature")

    def test_unknown(self) -> None:
        """
        A session that does not exist is not made.
        """
        self.assertInvalid(self.cookie("nobody"), "unknown")
        self.assertIsNone(self.stored("sess:nobody"))

    def test_slowInvalid(self) -> None:
        """
        The handler of C{sinvalid} is waited for.  Messages that come meanwhile
        are dropped.
        """
        waiting: Deferred[None] = Deferred()

        async def refuse(client: Recording, reason: str) -> None:
            await waiting
            client.send("sorry")

        self.do["sinvalid"] = refuse
        browser = self.browse(cookie=None)
        browser.send(1, 2)
        self.assertIsNone(browser.closed)
        waiting.callback(None)
        self.assertEqual(browser.got, [])
        self.assertClosed(browser, 4401, "session-missing")
        self.assertEqual(browser.got, ["sorry"])
        self.assertEqual(self.seen, [("sinvalid", "missing")])

    def test_raisingInvalid(self) -> None:
        """
        A handler that raises changes nothing about that.
        """
        self.do["sinvalid"] = lambda client, reason: 1 / 0
        self.assertClosed(self.browse(cookie=None), 4401, "session-missing")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNothingLeft()

    def test_listeners(self) -> None:
        """
        Listeners get the client and the reason, before the method does.
        """

        @self.factory.on("sinvalid")  # type: ignore[untyped-decorator]  # Autobahn's on has no types.
        def refuse(client: Any, reason: str) -> None:
            self.seen.append(("listener", reason))
            client.send(reason)

        browser = self.browse(cookie=None)
        self.assertEqual(self.seen, [("listener", "missing"), ("sinvalid", "missing")])
        self.assertEqual(browser.got, ["missing"])


class InBandTests(SocketCase):
    """
    The credential in the first message.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()

    def hello(self, sid: str = "an-id", signed: bool = True) -> dict[str, Any]:
        """
        The first message.
        """
        value = self.cookie(sid).partition("=")[2] if signed else sid
        return {"__sid": value, "connect": 1}

    def serveInBand(self, *more: Any, **options: Any) -> None:
        self.serve(credentials=[*more, InBand(**options)])

    def test_optIn(self) -> None:
        """
        It is no credential unless asked for.
        """
        self.serve()
        browser = self.browse()
        browser.send(self.hello())
        self.assertEqual(self.seen, [("sconnection",), ("smessage", self.hello())])

    def test_first(self) -> None:
        """
        No handler is called before the credential came, and then that of
        C{sconnection} is.
        """
        self.serveInBand()
        browser = self.browse(cookie=None)
        self.assertEqual(self.seen, [])
        browser.send(self.hello(), "a")
        self.assertEqual(self.seen, [("sconnection",), ("smessage", "a")])
        self.wait(30)
        self.assertIsNone(browser.closed)

    def test_raw(self) -> None:
        """
        The credential may be text or bytes.
        """

        class Plain(Recording):
            messages = Raw()

        for isBinary in False, True:
            self.serve(Plain, credentials=[InBand()])
            browser = self.browse(cookie=None)
            browser.send(self.hello(), isBinary=isBinary)
            self.assertEqual(self.seen.pop(), ("sconnection",))

    def test_unsigned(self) -> None:
        """
        A bare session id will do only where that is allowed.
        """
        self.serveInBand()
        browser = self.browse(cookie=None)
        browser.send(self.hello(signed=False))
        self.assertClosed(browser, 4401, "session-bad-signature")
        self.serveInBand(allowUnsigned=True)
        for signed in True, False:
            self.browse(cookie=None).send(self.hello(signed=signed))
        self.assertEqual(len(self.events("sconnection")), 2)

    def test_chosen(self) -> None:
        """
        An application may choose any text for an id.
        """
        self.serveInBand(allowUnsigned=True)
        for own in "user:1/é 100%", "s", "x" * 4096:
            self.successResultOf(self.place.create(f"sess:{own}", raw(), 60))
            self.browse(cookie=None).send(self.hello(own, signed=False))
        self.assertEqual(len(self.events("sconnection")), 3)

    def test_forged(self) -> None:
        """
        A signature that is there must be right, also where none is needed.
        """
        for allowUnsigned in True, False:
            self.serveInBand(allowUnsigned=allowUnsigned)
            browser = self.browse(cookie=None)
            hello = self.hello()
            browser.send({**hello, "__sid": hello["__sid"] + "x"})
            self.assertClosed(browser, 4401, "session-bad-signature")

    def test_unknown(self) -> None:
        """
        An id that a client has chosen makes no session.
        """
        self.serveInBand(allowUnsigned=True)
        browser = self.browse(cookie=None)
        browser.send(self.hello("chosen", signed=False))
        self.assertClosed(browser, 4401, "session-unknown")
        self.assertIsNone(self.stored("sess:chosen"))

    def test_malformed(self) -> None:
        """
        A message that looks like a credential and is none is malformed.  Any
        other message is no credential.
        """
        for message, reason in (
            ({"__sid": "x"}, "malformed"),
            ({"__sid": "x", "connect": 0}, "malformed"),
            ({"__sid": 1, "connect": 1}, "malformed"),
            ({"__sid": {"a": 1}, "connect": 1}, "malformed"),
            ({"__sid": "../x" * 1999, "connect": 1}, "malformed"),
            ({"__sid": "", "connect": 1}, "malformed"),
            ({"__sid": "a\nb", "connect": 1}, "bad-signature"),
            ({"__sid": "\ud800", "connect": 1}, "bad-signature"),
            ({"connect": 1}, "missing"),
            ("__sid", "missing"),
            (["__sid"], "missing"),
            (None, "missing"),
        ):
            self.seen.clear()
            self.serveInBand(allowUnsigned=True)
            browser = self.browse(cookie=None)
            browser.send(message, "more")
            self.assertClosed(browser, 4401, f"session-{reason}")
            self.assertEqual(self.seen, [("sinvalid", reason)], message)
        self.assertNothingLeft()

    def test_second(self) -> None:
        """
        A second credential is an error, also for the same session, beside the
        cookie, or while the session is loaded.  The cookie's has to be there first.
        """
        for isCookie in True, False:
            for isHeld in True, False:
                self.seen.clear()
                self.serveInBand(Cookie())
                if isHeld:
                    self.store.hold("load", "fence")
                browser = self.browse(cookie="" if isCookie else None)
                browser.send(*[self.hello()] * (1 if isCookie else 2), "more")
                if isHeld and isCookie:
                    self.wait(1)
                    self.assertIsNone(browser.closed)
                    self.store.release()
                self.assertClosed(browser, 4400, "session-second")
                self.store.heal()
                self.assertNothingLeft()
                isOpen = isCookie or not isHeld
                expected = [("sconnection",), ("disconnect", 4400)] if isOpen else []
                self.assertEqual(self.seen, expected)

    def test_secondAfterRefusal(self) -> None:
        """
        A client that was refused is not heard again.
        """
        self.do["sinvalid"] = lambda client, reason: Deferred()
        self.serveInBand()
        browser = self.browse(cookie=None)
        browser.send("nothing", self.hello(), self.hello())
        self.assertEqual(self.seen, [("sinvalid", "missing")])
        self.assertIsNone(browser.closed)

    def test_badSecond(self) -> None:
        """
        A second credential is an error also if it is invalid.
        """
        self.serveInBand(Cookie())
        browser = self.browse()
        browser.send({"__sid": "junk"})
        self.assertClosed(browser, 4400, "session-second")

    def test_timeout(self) -> None:
        """
        The credential has to come in time, counted from the connection.  Pings
        do not prolong that.
        """
        self.do["sinvalid"] = lambda client, reason: client.send(reason)
        self.serve(credentials=[InBand()], limits=Limits(handshakeTimeout=10.0))
        connecting: Deferred[None] = Deferred()

        class Slow(Recording):
            def onConnect(self, request: Any) -> Any:
                return connecting

        self.factory.protocol = Slow
        browser = self.browse(cookie=None)
        self.wait(4)
        connecting.callback(None)
        browser.flush()
        self.wait(4)
        browser.client.sendPing()
        self.wait(1.75)
        self.assertEqual(self.seen, [])
        self.assertIsNone(browser.closed)
        self.wait(0.5)
        self.assertEqual(self.seen, [("sinvalid", "timeout")])
        self.assertClosed(browser, 4408, "session-timeout")
        self.assertEqual(browser.got, ["timeout"])
        self.assertNothingLeft()

    def test_goneBefore(self) -> None:
        """
        If a client leaves without a credential, the application is not told.
        """
        self.serveInBand()
        self.browse(cookie=None).close()
        self.wait(30)
        self.assertEqual(self.seen, [])
        self.assertNothingLeft()

    def test_closedBefore(self) -> None:
        """
        When the server goes away before the credential came, its time-out does
        not count any more.
        """
        self.serveInBand()
        browser: Any = self.browse(cookie=None)
        browser.pump.flush = lambda: None
        self.factory.sockets.goAway()
        self.wait(30)
        self.assertEqual(self.seen, [])


class ReachTests(SocketCase):
    """
    Frameworks whose credentials expire by themselves.
    """

    def test_expired(self) -> None:
        """
        The client gets the reason that the framework gave.
        """

        def sessionID(value: str, now: float) -> Any:
            raise InvalidCredential("expired")

        framework: Any = self.manager.framework
        framework.sessionID = sessionID
        self.serve()
        self.assertClosed(self.browse(), 4401, "session-expired")
        self.assertEqual(self.seen, [("sinvalid", "expired")])
