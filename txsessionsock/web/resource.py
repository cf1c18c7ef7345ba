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
from typing import Annotated, Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import (
    EncodingResourceWrapper,
    IResource,
    Resource,
    getChildForRequest,
)
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock.cookies import cookieNamed, whichCookie
from txsessionsock.interfaces import (
    InvalidCredential,
    NoSuchSession,
    SessionError,
    SessionID,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session

from .answer import HeldChannel
from .page import Page, PageHolder, PageSession
from .refusal import ENDING, Refusal
from .requests import _given, _IPageSession, _isHandshake
from .underway import UnderWay


__all__ = ["PageSession", "SessionedResource"]


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
