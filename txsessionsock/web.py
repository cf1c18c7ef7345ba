# -*- test-case-name: tests.test_web -*-
"""
The sessions of the sockets in the pages of a Twisted Web site::

    root = SessionedResource(pages, manager)
    pages.putChild(b"ws", SessionSocketResource(socketFactory))
    pages.putChild(b"sessionsock.js", ClientScript())
    site = Site(root)

and in a page::

    def render_POST(self, request):
        session = sessionOf(request)
        session["visits"] = session.get("visits", 0) + 1

In the reactor's thread only: what a C{WSGIResource} serves has sessions of
its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, cast

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import CACHED
from twisted.web.iweb import IRequest
from twisted.web.resource import (
    EncodingResourceWrapper,
    IResource,
    Resource,
    getChildForRequest,
)
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import Interface, implementer

from ._arguments import checked
from ._factory import SessionedFactory
from ._held import ENDING, HeldChannel, Refusal, isHTTP2
from ._page import Page, PageHolder, PageSession
from ._underway import UnderWay
from .cookies import cookieNamed, whichCookie
from .interfaces import (
    InvalidCredential,
    NoSuchSession,
    SessionError,
    SessionID,
)
from .manager import SessionManager
from .session import Session


__all__ = [
    "ClientScript",
    "PageSession",
    "SessionSocketResource",
    "SessionedResource",
    "sessionOf",
]


_ASKING = (b"HEAD", b"OPTIONS")
"""
Methods that ask about a page (RFC 9110, sections 9.3.2 and 9.3.7), as health checks
do every second.
"""
_PORT = re.compile(r":\d*\Z")

_Child: Any = cast(Any, object)
"""
To type checkers without a plugin no class provides L{IResource}, which is what
C{putChild} takes.
"""

_Pages = Annotated[IResource | Resource, IResource]
_Request = Annotated[IRequest | Request, IRequest]


class _IPageSession(Interface):
    """
    Under which a request has its session.
    """


@checked
def sessionOf(request: _Request) -> PageSession:
    """
    The session of a request, live.  HEAD and OPTIONS begin none: what they put
    into a new one is forgotten.

    A new one is not stored, and gets no cookie, until something is put into
    it.  What the page changes is stored before the first byte of its answer
    leaves, and what it changes after that before the byte that was written
    next, or before C{finish}.  A page whose changes cannot be stored is not
    sent: the client gets 503, or the connection is aborted if the answer had
    begun.  A page that changed a session which was logged out meanwhile is
    answered with 409: a session never comes back from the dead.

    @raise SessionError: The request did not come through a
        L{SessionedResource}, or is a WebSocket's handshake.
    """
    session = _given(request)
    if session is None:
        raise SessionError(
            "this request has no session: its resource is not inside of a"
            " SessionedResource, or it is the handshake of a WebSocket"
        )
    return session


def _given(request: Any) -> PageSession | None:
    session: PageSession | None = request.getComponent(_IPageSession)
    return session


def _isHandshake(request: Request) -> bool:
    """
    Whether a request wants to be a WebSocket.
    """
    upgrade = b",".join(request.requestHeaders.getRawHeaders(b"upgrade", []))
    return b"websocket" in [word.strip().lower() for word in upgrade.split(b",")]


@checked
@implementer(IResource)
class SessionedResource(_Child):  # type: ignore[misc]  # So that it is Any.
    """
    A tree of resources whose pages have sessions.

    The session is there, and fresh, before the tree is asked for the page, so
    every request costs what that costs: put what needs no session beside this
    resource rather than into it.  The handshake of a WebSocket is passed on
    as it is; the WebSocket has its own way to its session.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self, resource: _Pages, manager: SessionManager, *, trustProxy: bool = False
    ) -> None:
        """
        @param resource: The root of the tree.

        @param trustProxy: Whether there is a proxy in front that sets
            C{X-Forwarded-Proto} and C{X-Forwarded-Host}.
        """
        self._resource = resource
        self._manager = manager
        self._trustProxy = trustProxy
        self._newCookie = whichCookie(manager.cookieAttributes())
        self._underWay = UnderWay(manager.reactor)
        manager.join(self._underWay)

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        """
        Only asked by who does not care that this is a leaf.
        """
        child: IResource = self._resource.getChildWithDefault(name, request)
        return SessionedResource(child, self._manager, trustProxy=self._trustProxy)

    def putChild(self, path: bytes, child: IResource) -> None:
        self._resource.putChild(path, child)

    def render(self, request: Request) -> Any:
        outer = _given(request)
        isNested = outer is not None and outer.page.manager is self._manager
        if isNested or _isHandshake(request):
            return self._find(request).render(request)
        if self._manager.isStopping:
            self._answer(request, ENDING)
            return NOT_DONE_YET
        over = self._underWay.begin(request)
        left = request.notifyFinish()
        serving = Deferred.fromCoroutine(self._serve(request, over))
        left.addErrback(lambda _: serving.cancel())
        serving.addErrback(self._failed, request, over)
        return NOT_DONE_YET

    def _find(self, request: Request) -> Any:
        resource = getChildForRequest(self._resource, request)
        if isinstance(resource, EncodingResourceWrapper):
            # Twisted asks for the encoder of the outermost resource only.
            encoder = resource.getEncoder(request)
            request._encoder = encoder or request._encoder
        return resource

    async def _serve(self, request: Request, over: Callable[[], None]) -> None:
        holder = PageHolder()
        framework = self._manager.framework
        headers = request.requestHeaders.getRawHeaders(b"cookie", [])
        cookie = cookieNamed(
            [header.decode("latin-1") for header in headers],
            framework.cookieName,
            framework.firstCookieWins,
        )
        try:
            session, sentID = await self._open(cookie, holder)
        except SessionError:
            self._refuse(request, Failure())
            over()
            return
        if sentID is not None:
            self._lookAtCookie(session)
        page = Page(
            self._manager,
            session,
            holder,
            sentID=sentID,
            hasCookie=cookie is not None,
            isSecure=self._isSecure(request),
            isFleeting=sentID is None and request.method in _ASKING,
            host=self._host(request),
            gone=over,
        )
        request.setComponent(_IPageSession, page.begin())
        held = HeldChannel(request, page, self._manager.reactor)
        request.channel = held  # type: ignore[assignment]  # Passes for one.
        request.notifyFinish().addErrback(lambda _: page.clientLeft())
        try:
            request.render(self._find(request))
        except Exception:
            request.processingFailed(Failure())

    async def _open(
        self, cookie: str | None, holder: PageHolder
    ) -> tuple[Session, SessionID | None]:
        """
        @return: The session, and its id if that is the one of the cookie.
        """
        manager = self._manager
        if cookie is not None:
            try:
                now = manager.reactor.seconds()
                sessionID = manager.framework.sessionID(cookie, now)
                return await manager.open(sessionID, holder), sessionID
            except (InvalidCredential, NoSuchSession):
                pass
        return manager.create(holder), None

    def _lookAtCookie(self, session: Session) -> None:
        """
        Say so if a session that begins here would have a second cookie, beside
        that of the web application.
        """
        manager, ours = self._manager, self._newCookie
        theirs = whichCookie(manager.cookieAttributes(session))
        if theirs != ours and manager.isNews("cookie twice"):
            self._log.error(
                "the web application sets the session cookie {name} with {theirs}, and"
                " sessions that begin here have one with {ours}: a browser then has"
                " two, and nobody can log in. Give the framework cookie={theirs}"
                " (twistd: --framework-option cookie.NAME=VALUE).",
                name=manager.framework.cookieName,
                theirs=theirs,
                ours=ours,
            )

    def _isSecure(self, request: Request) -> bool:
        scheme = self._forwarded(request, b"x-forwarded-proto")
        return bool(request.isSecure()) if scheme is None else scheme == b"https"

    def _host(self, request: Request) -> str:
        host = self._forwarded(request, b"x-forwarded-host")
        if host is None:
            host = request.requestHeaders.getRawHeaders(b"host", [b""])[-1]
        return _PORT.sub("", host.decode("latin-1")).strip("[]")

    def _forwarded(self, request: Request, name: bytes) -> bytes | None:
        """
        What the nearest proxy says in a header; L{None} for nothing.
        """
        values = request.requestHeaders.getRawHeaders(name, [])
        if not (self._trustProxy and values):
            return None
        nearest: bytes = values[-1].rpartition(b",")[2]
        return nearest.strip().lower() or None

    def _refuse(self, request: Request, failure: Failure) -> None:
        refusal = Refusal.because(failure)
        refusal.report(self._log, failure)
        self._answer(request, refusal)

    def _answer(self, request: Request, refusal: Refusal) -> None:
        request.setResponseCode(refusal.code)
        for name, value in refusal.headers():
            request.setHeader(name, value)
        request.write(refusal.body)
        request.finish()

    def _failed(
        self, failure: Failure, request: Request, over: Callable[[], None]
    ) -> None:
        over()
        if not failure.check(CancelledError):
            self._log.failure("a request could not be served", failure)
            request.loseConnection()


@implementer(IResource)
class SessionSocketResource(_Child):  # type: ignore[misc]  # The same.
    """
    A WebSocket at a place in a site.

    What Autobahn's own L{WebSocketResource} gets wrong is made good here: two
    C{Cookie} headers joined with a comma, frames lost that came together with
    the handshake, the channel left as the transport's producer, and errors
    where an answer would do.
    """

    _log = Logger()

    isLeaf = True

    def __init__(self, factory: Any) -> None:
        """
        @param factory: A L{SessionSocketFactory
            <txsessionsock.protocol.SessionSocketFactory>}, or one that was
            given to L{enable<txsessionsock.protocol.enable>}.

        @raise TypeError: It gives no sessions.
        """
        if not isinstance(factory, SessionedFactory):
            raise TypeError(
                f"{factory!r} gives no sessions: right is a SessionSocketFactory, or"
                " enable(factory, manager) before"
            )
        self._factory = factory

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        return self

    def putChild(self, path: bytes, child: IResource) -> None:
        raise ValueError("a WebSocket has no children")

    def render(self, request: Request) -> Any:
        if isHTTP2(request) or not _isHandshake(request):
            return self._tellToUpgrade(request)
        headers = request.requestHeaders
        cookies = headers.getRawHeaders(b"cookie", [])
        if cookies:
            headers.setRawHeaders(b"cookie", [b"; ".join(cookies)])
        builder = _Builder(self._factory, request.channel)
        return WebSocketResource(builder).render(request)

    def _tellToUpgrade(self, request: Request) -> bytes:
        if not _isHandshake(request):
            self._doubtProxy(request)
        request.setResponseCode(426)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        if not isHTTP2(request):
            request.setHeader(b"Upgrade", b"websocket")
            request.setHeader(b"Connection", b"Upgrade")
        return b"This is a WebSocket; connect to it with HTTP/1.1.\n"

    def _doubtProxy(self, request: Request) -> None:
        """
        Say so if a browser has asked to upgrade, and we have not heard of it.
        """
        if not request.requestHeaders.hasHeader(b"sec-websocket-key"):
            return
        self._factory._sessionsock.refusals.warn(
            self._log,
            "a handshake came without Upgrade: websocket, which a proxy has dropped;"
            " right is to pass on Upgrade and Connection (nginx: proxy_http_version 1.1"
            " and proxy_set_header)",
            self._factory.reactor.seconds(),
        )


class _Builder:
    """
    A factory for one connection, which takes it away from its channel.
    """

    def __init__(self, factory: Any, channel: Any) -> None:
        self._factory = factory
        self._channel = channel

    def buildProtocol(self, address: IAddress) -> IProtocol | None:
        protocol: IProtocol | None = self._factory.buildProtocol(address)
        if protocol is not None:
            # The channel is still at work on what it received, and goes on
            # with the rest when the handshake was passed on.
            self._channel.rawDataReceived = protocol.dataReceived
        return protocol


@checked
class ClientScript(Resource, _Child):  # type: ignore[misc]  # The same.
    """
    The script C{sessionsock.js} for browsers.  It is the same for everyone.
    """

    isLeaf = True

    def __init__(self, *, types: bool = False) -> None:
        """
        @param types: Serve its types for TypeScript, C{sessionsock.d.ts},
            instead.
        """
        super().__init__()
        name = "sessionsock.d.ts" if types else "sessionsock.js"
        self._script = (Path(__file__).parent / "static" / name).read_bytes()
        # Browsers take what else TypeScript may be called for a video.
        self._kind = b"text/plain" if types else b"text/javascript"
        self._tag = b'"%s"' % (sha256(self._script).hexdigest()[:32].encode("ascii"),)

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", self._kind + b"; charset=utf-8")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        # Asked for each time, and sent only when this library was updated.
        request.setHeader(b"Cache-Control", b"no-cache")
        if request.setETag(self._tag) == CACHED:
            return b""
        request.setHeader(b"Content-Length", b"%d" % (len(self._script),))
        return b"" if request.method == b"HEAD" else self._script
