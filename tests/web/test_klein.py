"""
Tests for L{txsessionsock.klein}: Klein's pages with the sessions of the sockets, over
wires that are not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs, formatEvent
from zope.interface import Interface
from zope.interface.verify import verifyObject

from tests.support.pages import Answer, Connection, WebTestCase
from txsessionsock.interfaces import SessionError, StoreUnavailable
from txsessionsock.web import SessionedResource, refuse, sessionOf


pytest.importorskip("klein", reason="not installed here: klein")

from klein import (
    Authorization,
    Field,
    Form,
    Klein,
    Requirer,
    SessionProcurer,
)
from klein.interfaces import (
    ISession,
    ISessionProcurer,
    ISessionStore,
    NoSuchSession,
    SessionMechanism,
)

from txsessionsock.klein import ISessionData, KleinSessions


class IUser(Interface):
    """
    Who has logged in.
    """


def put(session: Any) -> str:
    session["n"] = session.get("n", 0) + 1
    return f"n is {session['n']}"


def read(session: Any) -> str:
    return f"n is {session.get('n', 0)}"


async def logIn(session: Any) -> str:
    await session.regenerate()
    session["user"] = "ann"
    return "in"


async def logOut(session: Any) -> str:
    await session.destroy()
    return "out"


def user(user: Any) -> str:
    return f"user is {user}"


class Pages:
    """
    A site of Klein.

    @ivar pages: How many have run.
    """

    def __init__(self, sessions: KleinSessions, procure: Any = None) -> None:
        self.app = Klein()
        self.requirer: Any = Requirer()
        self.requirer.prerequisite([ISession])(procure or sessions.procureSession)
        self.pages = 0
        session = Authorization(ISessionData)
        maybe = Authorization(IUser, required=False)
        self.add("/put", put, session=session)
        self.add("/read", read, session=session)
        self.add("/login", logIn, session=session)
        self.add("/logout", logOut, session=session)
        self.add("/user", user, user=Authorization(IUser))
        self.add("/maybe", user, user=maybe)

    def add(self, path: str, page: Callable[..., Any], **wanted: Any) -> None:
        def counted(**given: Any) -> Any:
            self.pages += 1
            return page(**given)

        # By this Klein tells routes apart.
        counted.__name__ = path.strip("/")
        route = self.app.route(path, methods=["GET", "HEAD", "POST"])
        self.requirer.require(route, **wanted)(counted)


class KleinCase(WebTestCase):
    """
    A site of Klein whose pages have sessions.
    """

    setCookieOnGET = False

    def setUp(self) -> None:
        super().setUp()
        self.sessions = self.newSessions()
        self.pages = Pages(self.sessions)

    def newSessions(self, **options: Any) -> KleinSessions:
        options.setdefault("setCookieOnGET", self.setCookieOnGET)
        return KleinSessions(self.world.manager, **options)

    def connectTo(self, pages: Pages, **options: Any) -> Connection:
        return self.world.connect(pages.app.resource(), **options)

    def ask(self, path: str, pages: Pages | None = None, **options: Any) -> Answer:
        """
        Get one page.
        """
        browser = self.connectTo(pages or self.pages)
        browser.send(path, **options)
        (answer,) = browser.answers()
        self.assertTrue(answer.isWhole)
        return answer


class SessionTests(KleinCase):
    """
    What is promised of pages holds for those of Klein.
    """

    def test_interfaces(self) -> None:
        """
        They are what Klein asks for.
        """
        verifyObject(ISessionProcurer, self.sessions)
        verified: list[bool] = []

        @self.pages.app.route("/plain")
        async def plain(request: Any) -> str:
            session = await self.sessions.procureSession(request)
            verified.append(verifyObject(ISession, session))
            verified.append(verifyObject(ISessionStore, self.sessions.store(request)))
            verified.append(ISessionData.providedBy(sessionOf(request)))
            return ""

        self.ask("/plain")
        self.assertEqual(verified, [True] * 3)

    def test_put(self) -> None:
        """
        A session begins, fresh at each request, with one cookie.
        """
        first = self.ask("/put")
        self.assertEqual((first.code, first.body), (200, b"n is 1"))
        self.assertEqual(len(first.headers["set-cookie"]), 1)
        self.assertIn("SameSite=Lax", first.cookie() or "")
        sessionID = self.idIn(first.cookie())
        self.assertEqual(self.stored(sessionID), {"n": 1})
        cookie, _ = self.login(n=5)
        second = self.ask("/put", cookie=cookie)
        self.assertEqual((second.body, second.cookie()), (b"n is 6", None))
        session, _ = self.hold(sessionID)
        self.assertEqual(session["n"], 1)

    def test_shared(self) -> None:
        """
        A page has what sockets hold, and they are told what it did.
        """
        cookie, sessionID = self.login(n=1)
        session, socket = self.hold(sessionID)
        session["n"] = 8
        self.assertEqual(self.ask("/put", cookie=cookie).body, b"n is 9")
        self.assertEqual((session["n"], socket.seen[-1:]), (9, [["n"]]))

    def test_unchanged(self) -> None:
        """
        A visitor who only reads gets no session.
        """
        answer = self.ask("/read")
        self.assertEqual((answer.body, answer.cookie()), (b"n is 0", None))
        self.assertEqual(self.world.store.calls, [])
        del answer
        self.assertIdle()

    def test_storedFirst(self) -> None:
        """
        The answer leaves when everything is stored.
        """
        cookie, sessionID = self.login(n=1)
        browser = self.connectTo(self.pages)
        self.world.store.hold("replace")
        browser.send("/put", cookie=cookie)
        self.assertEqual(browser.wire.value(), b"")
        self.world.store.release()
        self.assertEqual(browser.answers()[0].body, b"n is 2")
        self.assertEqual(self.stored(sessionID), {"n": 2})

    def test_login(self) -> None:
        """
        A login gets a new id, and its cookie.  Sockets of the old one hear it.
        """
        cookie, sessionID = self.login(n=1)
        _, socket = self.hold(sessionID)
        answer = self.ask("/login", method="POST", cookie=cookie)
        newID = self.idIn(answer.cookie())
        self.assertNotEqual(newID, sessionID)
        self.assertEqual(self.stored(newID), {"n": 1, "user": "ann"})
        self.assertIsNone(self.stored(sessionID))
        self.assertEqual(socket.seen[-1:], ["moved"])

    def test_loginFirst(self) -> None:
        """
        A login may be the first that a browser asks for.
        """
        answer = self.ask("/login", method="POST")
        self.assertEqual((answer.code, answer.body), (200, b"in"))
        self.assertEqual(self.stored(self.idIn(answer.cookie())), {"user": "ann"})

    def test_logout(self) -> None:
        """
        A logout ends the session, drops the cookie, and closes sockets.
        """
        cookie, sessionID = self.login(n=1)
        _, socket = self.hold(sessionID)
        answer = self.ask("/logout", method="POST", cookie=cookie)
        self.assertIn("Max-Age=0", answer.cookie() or "")
        self.assertIsNone(self.stored(sessionID))
        self.assertEqual(socket.seen[-1:], ["destroyed"])

    def test_head(self) -> None:
        """
        HEAD begins no session.
        """
        self.assertIsNone(self.ask("/put", method="HEAD").cookie())
        self.assertEqual(self.world.store.calls, [])

    def test_wrapped(self) -> None:
        """
        Inside of a L{SessionedResource}, it is the session that is there.
        """
        cookie, sessionID = self.login(n=1)
        resource = SessionedResource(self.pages.app.resource(), self.world.manager)
        browser = self.world.connect(resource)
        browser.send("/put", cookie=cookie)
        self.assertEqual(browser.answers()[0].body, b"n is 2")
        self.assertEqual(self.stored(sessionID), {"n": 2})

    def test_sessionOf(self) -> None:
        """
        C{sessionOf} finds it, too.
        """
        found: list[bool] = []

        @self.pages.app.route("/found")
        async def page(request: Any) -> str:
            session: Any = await self.sessions.procureSession(request)
            found.append(sessionOf(request) is session.data)
            found.append(await self.sessions.procureSession(request) is session)
            return ""

        self.ask("/found")
        self.assertEqual(found, [True, True])


class Others:
    """
    Others for whom a server waits when it ends.
    """

    kind = "others"

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def __len__(self) -> int:
        return int(not self.gone.called)

    def goAway(self) -> Deferred[None]:
        return self.gone

    def hurry(self) -> None:
        """
        They go when the test says so.
        """

    def awaited(self) -> list[str]:
        return []


class TroubleTests(KleinCase):
    """
    What visitors get when a session cannot be had, or stored.
    """

    def test_outage(self) -> None:
        """
        A store that fails is 503, and no logout: the page does not run.
        """
        cookie, _ = self.login(n=1)
        self.world.store.fail(StoreUnavailable("down"), "load")
        with capturedLogs() as logs:
            answer = self.ask("/put", cookie=cookie)
        self.assertEqual((answer.code, answer.cookie()), (503, None))
        self.assertEqual(self.pages.pages, 0)
        self.assertIn("session store failed", "".join(map(formatEvent, logs)))
        self.world.store.heal()
        self.assertEqual(self.ask("/put", cookie=cookie).body, b"n is 2")

    def test_notStored(self) -> None:
        """
        The same if it fails later.
        """
        cookie, _ = self.login(n=1)
        self.world.store.fail(StoreUnavailable("down"), "replace")
        with capturedLogs():
            answer = self.ask("/put", cookie=cookie)
        self.assertEqual((answer.code, answer.cookie()), (503, None))

    def test_handled(self) -> None:
        """
        What a page itself waits for is answered by a handler of errors that
        refuses.
        """
        cookie, sessionID = self.login(n=1)

        @self.pages.app.handle_errors(SessionError)
        def refused(request: Any, failure: Any) -> None:
            refuse(failure, request)

        self.world.store.fail(StoreUnavailable("down"), "create")
        with capturedLogs():
            answer = self.ask("/login", method="POST", cookie=cookie)
        self.assertEqual((answer.code, answer.cookie()), (503, None))
        self.assertEqual(self.stored(sessionID), {"n": 1})

    def test_unreadable(self) -> None:
        """
        A session that cannot be read is 500, and left as it is.
        """
        cookie, sessionID = self.login(n=1)
        key = self.world.framework.key(sessionID)
        stored: Any = self.successResultOf(self.world.inner.load(key))
        self.successResultOf(self.world.inner.replace(key, stored.raw, b"not JSON", 60))
        with capturedLogs() as logs:
            answer = self.ask("/put", cookie=cookie)
        self.assertEqual((answer.code, self.pages.pages), (500, 0))
        self.assertIn("cannot be read", "".join(map(formatEvent, logs)))

    def test_ending(self) -> None:
        """
        A server that is about to end says so.
        """
        browser = self.connectTo(self.pages)
        self.world.manager.stop(0)
        browser.send("/put")
        answer = browser.answers()[0]
        self.assertEqual((answer.code, self.pages.pages), (503, 0))

    def test_firstAtTheEnd(self) -> None:
        """
        A server that has begun to end waits for its first page, too.
        """
        gate: Deferred[None] = Deferred()

        async def slow(session: Any) -> str:
            await gate
            return put(session)

        self.pages.add("/slow", slow, session=Authorization(ISessionData))
        others = Others()
        self.world.manager.join(others)
        ended = self.world.manager.end()
        cookie, _ = self.login(n=1)
        browser = self.connectTo(self.pages)
        browser.send("/slow", cookie=cookie)
        others.gone.callback(None)
        self.world.clock.advance(1)
        self.assertNoResult(ended)
        gate.callback(None)
        self.assertEqual(browser.answers()[0].body, b"n is 2")
        browser.wire.disconnected = True
        browser.leave()
        self.world.clock.advance(1)
        self.successResultOf(ended)

    def test_left(self) -> None:
        """
        A client that leaves while its session is loaded is nobody's trouble.
        """
        cookie, _ = self.login(n=1)
        browser = self.connectTo(self.pages)
        self.world.store.hold("load")
        browser.send("/put", cookie=cookie)
        browser.leave()
        self.world.store.release()
        self.assertEqual(self.pages.pages, 0)
        self.assertIdle()

    def test_tooLate(self) -> None:
        """
        A page whose answer has begun gets no session.
        """
        found: list[Any] = []

        @self.pages.app.route("/late")
        def late(request: Any) -> str:
            request.write(b"begun")
            found.append(self.failureResultOf(self.sessions.procureSession(request)))
            return ""

        self.ask("/late")
        found[0].trap(SessionError)
        self.assertIn("its answer has begun", str(found[0].value))

    def test_wrongArguments(self) -> None:
        """
        Mistakes are refused when they are made.
        """
        wrong: Any = "not a manager"
        with self.assertRaises(TypeError):
            KleinSessions(wrong)
        with self.assertRaises(TypeError):
            self.newSessions(authorizers={IUser: "not a function"})
        with self.assertRaises(ValueError) as caught:
            self.newSessions(authorizers={ISessionData: lambda session: session})
        self.assertIn("an interface of your own", str(caught.exception))


class AuthorizationTests(KleinCase):
    """
    What routes ask for.
    """

    def served(self, authorizer: Callable[[Any], object]) -> Pages:
        return Pages(self.newSessions(authorizers={IUser: authorizer}))

    def test_denied(self) -> None:
        """
        Klein answers for who has no right.
        """
        self.assertEqual(self.ask("/user").code, 401)
        self.assertEqual(self.ask("/maybe").body, b"user is None")

    def test_granted(self) -> None:
        """
        An authorizer gets the session; it may be asynchronous.
        """
        cookie, _ = self.login(user="ann")

        async def later(session: Any) -> Any:
            return await succeed(session.get("user"))

        for authorizer in (lambda session: session.get("user"), later):
            pages = self.served(authorizer)
            self.assertEqual(
                self.ask("/user", pages, cookie=cookie).body, b"user is ann"
            )
            self.assertEqual(self.ask("/user", pages).code, 401)

    def test_absent(self) -> None:
        """
        What cannot be had is not in the answer.
        """
        sessions = self.newSessions(authorizers={IUser: lambda session: None})
        found: list[Any] = []

        @self.pages.app.route("/all")
        async def page(request: Any) -> str:
            session: Any = await sessions.procureSession(request)
            wanted = [IUser, ISessionData, Interface]
            found.append(
                await session.authorize(wanted) == {ISessionData: session.data}
            )
            return ""

        self.ask("/all")
        self.assertEqual(found, [True])

    def test_failed(self) -> None:
        """
        One that fails denies everybody.
        """
        pages = self.served(lambda session: session["user"].name)
        with capturedLogs():
            self.assertEqual(self.ask("/user", pages).code, 500)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class ConfidentialTests(KleinCase):
    """
    HTTPS.
    """

    def procured(
        self, sessions: KleinSessions, *, isSecure: bool, force: bool, **headers: str
    ) -> Any:
        procured: list[Deferred[Any]] = []
        pages = Pages(sessions)

        @pages.app.route("/")
        def home(request: Any) -> str:
            procured.append(sessions.procureSession(request, forceInsecure=force))
            return ""

        self.connectTo(pages, isSecure=isSecure).send("/", **headers)
        return procured[0]

    def test_confidential(self) -> None:
        """
        A session is confidential by TLS, and by that of a proxy that is trusted.
        """
        for trustProxy, isSecure, isConfidential in (
            (False, True, True),
            (False, False, False),
            (True, False, True),
        ):
            sessions = self.newSessions(trustProxy=trustProxy)
            session = self.successResultOf(
                self.procured(
                    sessions, isSecure=isSecure, force=False, X_Forwarded_Proto="https"
                )
            )
            self.assertIs(session.isConfidential, isConfidential)
            self.assertIs(session.authenticatedBy, SessionMechanism.Cookie)

    def test_forceInsecure(self) -> None:
        """
        There is one session for both; who asks for an insecure one gets none by
        HTTPS.
        """
        sessions = self.newSessions()
        failed = self.procured(sessions, isSecure=True, force=True)
        self.failureResultOf(failed, NoSuchSession)
        self.successResultOf(self.procured(sessions, isSecure=False, force=True))


def formed(pages: Pages) -> Pages:
    """
    Put a form of Klein into a site.
    """
    form: Any = Form
    requirer, app = pages.requirer, pages.app

    def handle(name: str, session: Any) -> str:
        session["name"] = name
        return f"hello {name}"

    requirer.require(
        app.route("/form", methods=["POST"]),
        session=Authorization(ISessionData),
        name=Field.text(),
    )(handle)
    requirer.require(
        app.route("/form", methods=["GET"]),
        form=form.rendererFor(handle, action="/form"),
    )(lambda form: form)
    return pages


class BegunTests(KleinCase):
    """
    Sessions that begin at a GET, as Klein's own do, for its forms.
    """

    setCookieOnGET = True

    def token(self, answer: Answer) -> str:
        found = re.search(rb"__csrf_protection__[^>]*value=.([0-9a-f]+)", answer.body)
        found = found or re.search(rb"value=.([0-9a-f]{64})", answer.body)
        assert found is not None, answer
        return found[1].decode()

    def post(
        self, pages: Pages, token: str, cookie: str | None, name: str = "ann"
    ) -> Answer:
        browser = self.connectTo(pages)
        body = f"name={name}&__csrf_protection__={token}"
        browser.send(
            "/form",
            "POST",
            cookie,
            Content_Type="application/x-www-form-urlencoded",
            Content_Length=str(len(body)),
        )
        browser.protocol.dataReceived(body.encode())
        return browser.answers()[0]

    def test_form(self) -> None:
        """
        A form of Klein works for who comes first, once that is stored.  What tells
        the session in it is neither its id nor its cookie.
        """
        pages = formed(self.pages)
        shown = self.ask("/form", pages)
        cookie = (shown.cookie() or "").partition(";")[0]
        sessionID = self.idIn(cookie)
        self.assertNotIn(sessionID.encode(), shown.body)
        answer = self.post(pages, self.token(shown), cookie)
        self.assertEqual((answer.code, answer.body), (200, b"hello ann"))
        self.assertEqual((self.stored(sessionID) or {})["name"], "ann")

    def test_forged(self) -> None:
        """
        A form of somebody else does not, nor one without a session; and that sets
        no cookie, which would log out who is logged in.
        """
        pages = formed(self.pages)
        token = self.token(self.ask("/form", pages))
        cookie, sessionID = self.login(n=1)
        self.assertEqual(self.post(pages, token, cookie).code, 403)
        self.assertEqual(self.stored(sessionID), {"n": 1})
        answer = self.post(pages, token, None)
        self.assertEqual((answer.code, answer.cookie()), (403, None))

    def test_begins(self) -> None:
        """
        Every GET begins a session for who has none; nothing else does.
        """
        answer = self.ask("/read")
        self.assertEqual(self.stored(self.idIn(answer.cookie())), {"_klein": True})
        self.assertIsNone(self.ask("/read", method="HEAD").cookie())
        self.assertIsNone(self.ask("/read", method="POST").cookie())
        cookie, sessionID = self.login(n=1)
        self.assertIsNone(self.ask("/read", cookie=cookie).cookie())
        self.assertEqual(self.stored(sessionID), {"n": 1})

    def test_begun(self) -> None:
        """
        A session that has begun gets no key of ours: one that is stored, and one that
        a page has put something into, even if that still waits for the store.
        """
        cookie, sessionID = self.login(n=1)
        session, _ = self.hold(sessionID)
        del session["n"]
        self.successResultOf(session.save())
        self.assertEqual(self.ask("/read", cookie=cookie).body, b"n is 0")
        self.assertEqual(self.stored(sessionID), {})
        seen: list[str] = []
        sessions = self.newSessions(setCookieOnGET=False)

        @self.pages.app.route("/twice")
        async def twice(request: Any) -> str:
            session: Any = await sessions.procureSession(request)
            session.data["n"] = 1
            seen.append(session.identifier)
            request.write(b"begun")
            seen.append(session.identifier)
            return ""

        self.world.store.hold("create")
        browser = self.connectTo(self.pages)
        browser.send("/twice")
        self.world.store.release()
        self.assertEqual(seen[0], seen[1])
        stored = self.stored(self.idIn(browser.answers()[0].cookie()))
        self.assertEqual(stored, {"n": 1})

    def test_late(self) -> None:
        """
        Without that, a form for who has no session is an error that says what to
        do.
        """
        pages = formed(Pages(self.newSessions(setCookieOnGET=False)))
        with capturedLogs():
            answer = self.ask("/form", pages)
        self.assertNotIn(b"__csrf_protection__", answer.body)
        (failure,) = self.flushLoggedErrors()
        self.assertIn("setCookieOnGET=True", str(failure.value))
        cookie, _ = self.login(n=1)
        self.token(self.ask("/form", pages, cookie=cookie))

    def test_loggedIn(self) -> None:
        """
        A form from before the login is not good after it: who planted the session
        knows it.
        """
        pages = formed(self.pages)
        shown = self.ask("/form", pages)
        cookie = (shown.cookie() or "").partition(";")[0]
        answer = self.ask("/login", pages, method="POST", cookie=cookie)
        cookie = (answer.cookie() or "").partition(";")[0]
        self.assertEqual(self.post(pages, self.token(shown), cookie).code, 403)
        again = self.ask("/form", pages, cookie=cookie)
        self.assertEqual(self.post(pages, self.token(again), cookie).code, 200)


class OwnProcurerTests(KleinCase):
    """
    Klein's own C{SessionProcurer}, on a store of ours.
    """

    def setUp(self) -> None:
        super().setUp()

        def procure(request: Any) -> Any:
            own: Any = SessionProcurer(self.sessions.store(request))
            return own.procureSession(request)

        self.pages = Pages(self.sessions, procure)

    def cookies(self, answer: Answer) -> dict[str, str]:
        """
        What a browser keeps.
        """
        lines = [c.partition(";")[0] for c in answer.headers.get("set-cookie", [])]
        return {name: value for name, _, value in (c.partition("=") for c in lines)}

    def test_used(self) -> None:
        """
        The session is that of our cookie, fresh and stored first.  Klein's cookie
        comes beside it, and is neither the id nor good for anything alone.
        """
        first = self.ask("/put")
        kept = self.cookies(first)
        self.assertEqual(sorted(kept), ["Klein-INSECURE-Session", "connect.sid"])
        sessionID = self.idIn(first.cookie())
        self.assertNotIn(sessionID, kept["Klein-INSECURE-Session"])
        sent = "; ".join(f"{name}={value}" for name, value in kept.items())
        second = self.ask("/put", cookie=sent)
        self.assertEqual((second.body, self.cookies(second)), (b"n is 2", {}))
        alone = f"Klein-INSECURE-Session={kept['Klein-INSECURE-Session']}"
        self.assertEqual(self.ask("/put", cookie=alone).body, b"n is 1")
        self.assertEqual((self.stored(sessionID) or {})["n"], 2)

    def test_login(self) -> None:
        """
        A login gets a new id.
        """
        sent = "; ".join(map("=".join, self.cookies(self.ask("/put")).items()))
        answer = self.ask("/login", method="POST", cookie=sent)
        self.assertEqual(answer.body, b"in")
        stored = self.stored(self.idIn(answer.cookie())) or {}
        self.assertEqual((stored["n"], stored["user"]), (1, "ann"))

    def test_header(self) -> None:
        """
        A token in a header opens nothing.
        """
        kept = self.cookies(self.ask("/put"))["Klein-INSECURE-Session"]
        with capturedLogs():
            answer = self.ask("/put", X_INSECURE_Auth_Token=kept)
        self.assertEqual(answer.code, 500)
        self.assertEqual(len(self.flushLoggedErrors(NoSuchSession)), 1)

    def test_outage(self) -> None:
        """
        An outage is 503.
        """
        cookie, _ = self.login(n=1)
        self.world.store.fail(StoreUnavailable("down"), "load")
        with capturedLogs():
            answer = self.ask("/put", cookie=f"{cookie}; Klein-INSECURE-Session=x")
        self.assertEqual((answer.code, answer.cookie()), (503, None))
