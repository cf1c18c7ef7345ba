# -*- test-case-name: tests.real.twistd.test_web_sockets -*-
"""
A WebSocket as a resource of a site of Twisted Web.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from txsessionsock.interfaces import SessionError
from txsessionsock.protocol import SessionedFactory
from txsessionsock.websocket import KNOCKED, isKnock

from .handover import handOver, isEnding
from .requests import AnyResource, isHTTP2, pageSessionOf, wantsSocket
from .site import Bounds


__all__ = ["SessionSocketResource"]


@implementer(IResource)
class SessionSocketResource(AnyResource):  # type: ignore[misc]  # It is Any.
    """
    A WebSocket at a place in a site.

    It takes the connection over from Twisted Web: the transport, and all that was
    received.  What was asked is read once more, by the rules of a port of one's
    own.

    Serve it in a L{BoundedSite<txsessionsock.web.BoundedSite>}: another site does
    not bound what comes before.

    @cvar mostBody: How large the body of a request may be: there is none, so that
        one is refused before it comes.
    """

    _log = Logger()

    isLeaf = True
    mostBody = 0

    def __init__(self, factory: Any) -> None:
        """
        @param factory: A L{SessionSocketFactory
            <txsessionsock.protocol.SessionSocketFactory>}, or one that was
            given to L{enable<txsessionsock.protocol.enable>}.

        @raise TypeError: This factory gives no sessions.
        """
        if not isinstance(factory, SessionedFactory):
            raise TypeError(
                f"{factory!r} gives no sessions: right is a SessionSocketFactory, or"
                " enable(factory, manager) before"
            )
        self._factory = factory
        self._bounds = Bounds()

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        return self

    def putChild(self, path: bytes, child: IResource) -> None:
        raise ValueError("a WebSocket has no children")

    def render(self, request: Request) -> Any:
        # It says which version of Twisted this is.
        request.responseHeaders.removeHeader(b"server")
        if isHTTP2(request) or not wantsSocket(request):
            return self._tellToUpgrade(request)
        if isEnding(request):
            return NOT_DONE_YET
        if pageSessionOf(request) is not None:
            raise SessionError(
                "a page opened the session of this request, and handed it to a"
                " WebSocket, which opens it itself"
            )
        self._bounds.want(request)
        protocol = self._factory.buildProtocol(request.getClientAddress())
        if protocol is None:
            request.setResponseCode(500)
            return b""
        handOver(request, protocol)
        return NOT_DONE_YET

    def _tellToUpgrade(self, request: Request) -> bytes:
        if isKnock(request.args or {}):
            self._warn(KNOCKED)
        elif not wantsSocket(request):
            self._doubtProxy(request)
        request.setResponseCode(426)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        if not isHTTP2(request):
            request.setHeader(b"Upgrade", b"websocket")
            request.setHeader(b"Connection", b"Upgrade")
        return b"This is a WebSocket; connect to it with HTTP/1.1.\n"

    def _doubtProxy(self, request: Request) -> None:
        """
        Say in the log if a proxy has dropped the header by which a browser asked
        for a WebSocket.
        """
        if not request.requestHeaders.hasHeader(b"sec-websocket-key"):
            return
        self._warn(
            "a handshake came without Upgrade: websocket, which a proxy has dropped;"
            " right is to pass on Upgrade and Connection (nginx: proxy_http_version 1.1"
            " and proxy_set_header)"
        )

    def _warn(self, line: str) -> None:
        now = self._factory.reactor.seconds()
        self._factory._sessionsock.refusals.warn(self._log, line, now)
