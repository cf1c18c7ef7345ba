"""
Tests for L{txsessionsock.web}: a browser has one session cookie, that of the
web application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.pages import COOKIE, Answer, WebTestCase, put, read
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django, DjangoDatabase
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.frameworks.starlette import Starsessions
from txsessionsock.interfaces import IFramework
from txsessionsock.manager import SessionManager
from txsessionsock.web import sessionOf
from txsessionsock.web.page import PageSession


SECRET = "keyboard cat"

EVERYTHING: dict[str, object] = {
    **{"domain": "example.com", "path": "/shop", "secure": True, "httpOnly": False},
    **{"sameSite": "none", "partitioned": True, "priority": "high"},
}

SAME = (
    "Domain=example.com; Path=/shop; Secure; SameSite=None; Partitioned; Priority=High"
)

_AGE = re.compile(r"Max-Age=\d+; ")

FORWARDED = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "www.example.com"}

ENVELOPE = {"originalMaxAge": None, "expires": None, **EVERYTHING}


async def login(session: PageSession) -> None:
    """
    Log in.
    """
    await session.regenerate()
    session["user"] = "ann"


async def logout(session: PageSession) -> None:
    """
    Log out.
    """
    await session.destroy()


async def logoutAndSaySo(session: PageSession) -> None:
    """
    Log out, and put something into the new session.
    """
    await session.destroy()
    session["notice"] = "logged out"


def page(doing: Callable[[PageSession], Any]) -> Callable[[Request], int]:
    """
    A page that is a coroutine.
    """

    def render(request: Request) -> int:
        done = Deferred.fromCoroutine(doing(sessionOf(request)))
        done.addCallback(lambda _: request.finish())
        done.addErrback(request.processingFailed)
        return NOT_DONE_YET

    return render


def attributes(answer: Answer) -> str | None:
    """
    The attributes of a cookie, without its name and value.
    """
    cookie = answer.cookie()
    return None if cookie is None else cookie.partition("; ")[2]


class CookieCase(WebTestCase):
    """
    A browser that has the cookie of a web application.
    """

    def by(self, framework: IFramework) -> None:
        """
        Serve the sessions of another framework.
        """
        world = self.world
        world.framework = framework  # type: ignore[assignment]  # Any will do.
        self.successResultOf(world.manager.stop())
        world.manager = SessionManager(world.store, framework, world.clock)

    def express(self, cookie: dict[str, Any], **data: Any) -> str:
        """
        Store a session as Express does.

        @return: Its cookie.
        """
        framework = self.world.framework
        sessionID = framework.newSessionID()
        raw = json.dumps({"cookie": cookie, **data}).encode()
        made = self.world.inner.create(framework.key(sessionID), raw, 600.0)
        self.successResultOf(made)
        return f"{COOKIE}={framework.cookieValue(sessionID)}"

    def raw(self, answer: Answer) -> dict[str, Any]:
        """
        The stored bytes of the session whose cookie was set.
        """
        key = self.world.framework.key(self.idIn(answer.cookie()))
        stored = self.successResultOf(self.world.inner.load(key))
        assert stored is not None
        value: dict[str, Any] = json.loads(stored.raw)
        return value


class ExpressTests(CookieCase):
    """
    Express stores in each session the attributes of its cookie.
    """

    def test_renewed(self) -> None:
        """
        A cookie with a lifetime is renewed as Express renews it, and another
        one is left alone.
        """
        lasting = ENVELOPE | {"originalMaxAge": 600_000}
        self.assertEqual(
            attributes(self.get(put, self.express(lasting))),
            SAME.replace("; Secure", "; Max-Age=600; Secure"),
        )
        self.assertIsNone(self.get(put, self.express(ENVELOPE)).cookie())

    def test_updated(self) -> None:
        """
        C{update} renews the cookie, too.
        """

        async def update(session: PageSession) -> None:
            await session.update(lambda data: data.update(n=2))

        answer = self.get(page(update), self.express({"originalMaxAge": 600_000}))
        self.assertIn("; Max-Age=600;", str(answer.cookie()))
        self.assertEqual(self.raw(answer)["n"], 2)

    def test_regenerated(self) -> None:
        """
        A session with a new id has the cookie of the old one in the browser and
        in the store, with its lifetime, and with all that we do not know.
        """
        for maxAge, more in (None, ""), (600_000, "Max-Age=600; "):
            envelope = ENVELOPE | {"originalMaxAge": maxAge, "theirs": [1]}
            cookie = self.express(envelope, n=1)
            answer = self.get(page(login), cookie)
            self.assertEqual(
                attributes(answer), SAME.replace("Secure", f"{more}Secure")
            )
            stored = self.raw(answer)
            kept = {**stored["cookie"], "expires": None}
            self.assertEqual((kept, stored["user"]), (envelope, "ann"))
            self.assertEqual(bool(stored["cookie"]["expires"]), bool(maxAge))

    def test_loggedOut(self) -> None:
        """
        A logout drops the cookie of the browser.
        """
        answer = self.get(page(logout), self.express(ENVELOPE, user="ann"))
        self.assertEqual(
            attributes(answer), SAME.replace("; Secure", "; Max-Age=0; Secure")
        )

    def test_loggedOutTwice(self) -> None:
        """
        A logout after a login drops it, and so does a second logout.
        """

        async def twice(session: PageSession) -> None:
            await login(session)
            await session.destroy()
            await session.destroy()

        answer = self.get(page(twice), self.express(ENVELOPE, user="ann"))
        self.assertIn("Domain=example.com; Path=/shop; Max-Age=0", str(answer.cookie()))

    def test_afterLogout(self) -> None:
        """
        A session that begins after a logout has a cookie in the place of the
        old one, with the lifetime of new sessions.
        """
        cookie = self.express(ENVELOPE | {"originalMaxAge": 600_000}, user="ann")
        answer = self.get(page(logoutAndSaySo), cookie)
        self.assertEqual(attributes(answer), SAME)
        self.assertEqual(self.raw(answer), {"cookie": ENVELOPE, "notice": "logged out"})

    def test_begun(self) -> None:
        """
        The cookie of a session that begins here has the attributes of the
        options.  Without options it has those of Express, and is kept safe.
        """
        self.by(Express(SECRET, cookie=EVERYTHING))
        answer = self.get(put)
        self.assertEqual(attributes(answer), SAME)
        self.assertEqual(self.raw(answer)["cookie"], ENVELOPE)
        self.by(Express(SECRET, cookie={"secure": "auto"}))
        answer = self.get(put, isSecure=True)
        self.assertEqual(attributes(answer), "Path=/; Secure; HttpOnly; SameSite=Lax")
        self.assertNotIn("secure", self.raw(answer)["cookie"])

    def test_insecure(self) -> None:
        """
        A cookie that Express set without C{Secure} is sent without it.  Values
        that no cookie can have are not sent.
        """
        envelope = {"originalMaxAge": 1000, "secure": False, "path": "/\r\nX: y"}
        answer = self.get(put, self.express(envelope), isSecure=True)
        self.assertEqual(
            attributes(answer), "Path=/; Max-Age=1; HttpOnly; SameSite=Lax"
        )

    def test_rolling(self) -> None:
        """
        With C{rolling}, every answer renews a cookie that has a lifetime.
        """
        for rolling, maxAge, isRenewed in (
            (True, 600_000, True),
            (True, None, False),
            (False, 600_000, False),
        ):
            self.by(Express(SECRET, rolling=rolling))
            cookie = self.express({"originalMaxAge": maxAge}, n=1)
            answer = self.get(read, cookie)
            self.assertEqual(answer.cookie() is not None, isRenewed)
            self.assertEqual(answer.body, b"n is 1")


class OthersTests(CookieCase):
    """
    Other frameworks have the attributes of the cookie in their settings.
    """

    def test_settings(self) -> None:
        """
        Our pages set, renew and drop the cookie with the attributes of the
        settings.
        """
        for framework in (
            Aiohttp(cookieName=COOKIE, cookie=EVERYTHING),
            Django(cookieName=COOKIE, cookie=EVERYTHING),
            DjangoDatabase(SECRET, cookieName=COOKIE, cookie=EVERYTHING),
            FlaskSession(cookieName=COOKIE, cookie=EVERYTHING),
            PHP(cookieName=COOKIE, cookie=EVERYTHING),
            Starsessions(cookieName=COOKIE, cookie=EVERYTHING),
        ):
            self.by(framework)
            first = self.get(put).cookie()
            assert first is not None
            cookie, _, rest = first.partition("; ")
            self.assertEqual(_AGE.sub("", rest), SAME, framework)
            again = attributes(self.get(put, cookie))
            self.assertEqual(again, rest if _AGE.search(rest) else None, framework)
            answer = self.get(page(login), cookie)
            self.assertEqual(attributes(answer), rest, framework)
            cookie = str(answer.cookie()).partition(";")[0]
            gone = self.get(page(logout), cookie).cookie()
            self.assertEqual(
                gone, f"{COOKIE}=; " + SAME.replace("; Secure", "; Max-Age=0; Secure")
            )

    def test_rolling(self) -> None:
        """
        What the framework renews with each answer, so do we, and nothing else.
        """
        for isRolling in True, False:
            for framework in (
                Django(cookieName=COOKIE, saveEveryRequest=isRolling),
                DjangoDatabase(SECRET, cookieName=COOKIE, saveEveryRequest=isRolling),
                FlaskSession(cookieName=COOKIE, refreshEachRequest=isRolling),
                Starsessions(cookieName=COOKIE, lifetime=600, rolling=isRolling),
            ):
                self.by(framework)
                first = self.get(put).cookie()
                assert first is not None
                again = self.get(read, first.partition(";")[0]).cookie()
                self.assertEqual(again, first if isRolling else None, framework)

    def test_remaining(self) -> None:
        """
        A session of starsessions that ends at a certain time does so under a
        new id, too, and its cookie with it.
        """
        self.by(Starsessions(cookieName=COOKIE, lifetime=600))
        first = self.get(put).cookie()
        assert first is not None
        self.world.clock.advance(400)
        answer = self.get(page(login), first.partition(";")[0])
        self.assertIn("; Max-Age=200;", str(answer.cookie()))


class SaidTests(CookieCase):
    """
    The log says once why a cookie cannot work.
    """

    def said(
        self,
        cookie: str | None = None,
        asked: Callable[[Request], bytes | int] = put,
        headers: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> list[str]:
        """
        Ask for a page, twice.

        @return: What is logged.
        """
        with capturedLogs() as events:
            for _ in range(2):
                self.serve(asked, **options).send(cookie=cookie, **headers)
        return [formatEvent(event) for event in events]

    def test_second(self) -> None:
        """
        The log says so if a browser that has the application's cookie would get
        a second one when a session begins here, unless the options say which
        cookie the application sets.
        """
        theirs = self.express(ENVELOPE | {"secure": False, "partitioned": False})
        (line,) = self.said(theirs, asked=read)
        self.assertIn(
            "Give the framework cookie={'domain': 'example.com', 'path': '/shop',"
            " 'partitioned': False}",
            line,
        )
        self.assertIn("'domain': None, 'path': '/'", line)
        self.by(Express(SECRET, cookie={"domain": ".EXAMPLE.com", "path": "/shop"}))
        self.assertEqual(self.said(theirs, asked=read), [])

    def test_secure(self) -> None:
        """
        It says so if the browser drops the cookie because the page came by
        http.  On the server's own machine browsers keep it.  A page that came
        by https has a C{Secure} cookie.
        """
        self.by(Express(SECRET, cookie={"secure": True}))
        (line,) = self.said()
        self.assertIn("browsers drop the session cookie connect.sid", line)
        self.assertIn("say trustProxy=True (twistd: --trust-proxy, or", line)
        self.by(Express(SECRET, cookie={"secure": True}))
        self.assertEqual(self.said(isSecure=True), [])
        self.assertEqual(self.said(headers=FORWARDED, trustProxy=True), [])
        self.assertEqual(self.said(headers={"Host": "localhost:8080"}), [])
        self.assertEqual(self.said(headers={"Host": "[::1]:8080"}), [])

    def test_prefix(self) -> None:
        """
        A name that begins with C{__Host-} makes a cookie C{Secure}.
        """
        self.by(Express(SECRET, cookieName="__Host-sid"))
        with capturedLogs() as events:
            answer = self.get(put)
        self.assertEqual(len(events), 1)
        self.assertIn("__Host-sid", formatEvent(events[0]))
        (cookie,) = answer.headers["set-cookie"]
        self.assertIn("; Path=/; Secure;", cookie)

    def test_domain(self) -> None:
        """
        It says so if the page is not in the domain of the cookie.
        """
        self.by(Express(SECRET, cookie={"domain": "example.com"}))
        self.assertEqual(self.said(), [])
        self.assertEqual(self.said(headers={"Host": "www.EXAMPLE.com:80"}), [])
        (line,) = self.said(headers={"Host": "10.0.0.1:8080"})
        self.assertIn("its Domain is example.com, and the page came from '10.0", line)
        self.by(Express(SECRET, cookie={"domain": "example.com"}))
        proxied = {**FORWARDED, "Host": "10.0.0.1:8080"}
        self.assertEqual(self.said(headers=proxied, trustProxy=True), [])
