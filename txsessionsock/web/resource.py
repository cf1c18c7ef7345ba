# -*- test-case-name: tests.web.test_web -*-
"""
A tree of pages with sessions, which are those of the sockets of the same site::

    root = SessionedResource(pages, manager)
    pages.putChild(b"ws", SessionSocketResource(socketFactory))
    pages.putChild(b"sessionsock.js", ClientScript())
    site = BoundedSite(root)

and in a page::

    def render_POST(self, request):
        session = sessionOf(request)
        session["visits"] = session.get("visits", 0) + 1

This is for pages that are made in the reactor's thread.  A C{WSGIResource} makes
its pages in other threads, and they have sessions of their own.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import (
    EncodingResourceWrapper,
    IResource,
    getChildForRequest,
)
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock.forwarded import Proxies
from txsessionsock.manager import SessionManager

from .quiet import quietOf
from .refusal import refuse
from .requests import AnyResource, Pages, pageSessionOf, wantsSocket
from .serving import opening, pagesOf
from .socket import SessionSocketResource


__all__ = ["SessionedResource"]

_SOCKETS = (SessionSocketResource, WebSocketResource)


@checked
@implementer(IResource)
class SessionedResource(AnyResource):  # type: ignore[misc]  # It is Any.
    """
    A tree of resources whose pages have sessions.

    The session is loaded before the tree is asked for the page, for each
    request.  So put resources that need no session, such as files, beside this
    one and not into it.  The handshake of a WebSocket passes through without a
    session; the WebSocket opens it itself.  No C{getChild} on
    the way to it may ask for the session.
    """

    isLeaf = True

    def __init__(
        self,
        resource: Pages,
        manager: SessionManager,
        *,
        trustProxy: bool | Proxies = False,
    ) -> None:
        """
        @param resource: The root of the tree.

        @param trustProxy: Which proxies are believed: L{True} for one on this
            machine, or L{Proxies<txsessionsock.forwarded.Proxies>}.
        """
        self._resource = resource
        self._manager = manager
        self._trustProxy = trustProxy
        # Known to the manager now, since the first page may be asked for when
        # the server has begun to end.
        pagesOf(manager)

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        """
        Called only by code that does not look at C{isLeaf}.
        """
        child: IResource = self._resource.getChildWithDefault(name, request)
        return SessionedResource(child, self._manager, trustProxy=self._trustProxy)

    def putChild(self, path: bytes, child: IResource) -> None:
        self._resource.putChild(path, child)

    def render(self, request: Request) -> Any:
        outer = pageSessionOf(request)
        if outer is not None and outer.page.manager is self._manager:
            return self._find(request).render(request)
        socket = self._socketFor(request) if wantsSocket(request) else None
        if socket is not None:
            return socket.render(request)
        opened: Deferred[Any] = opening(request, self._manager, self._trustProxy)
        opened.addCallbacks(
            lambda _: self._make(request), lambda failure: refuse(failure, request)
        )
        opened.addErrback(_failed, request)
        return NOT_DONE_YET

    @property
    def children(self) -> Any:
        """
        What was put into the tree.
        """
        return getattr(self._resource, "children", {})

    def _socketFor(self, request: Any) -> Any:
        """
        @return: The WebSocket for which a request asks; L{None} if it asks a page
            that is none, to which C{Upgrade} means nothing.
        """
        before = list(request.prepath), list(request.postpath)
        try:
            found = getChildForRequest(self._resource, request)
        except Exception:
            # A getChild asked for the session.  The page is looked for again with one,
            # and fails then if it has to.
            found = None
        if isinstance(found, SessionedResource):
            found = found._socketFor(request)
        elif not isinstance(getattr(found, "original", found), _SOCKETS):
            found = None
        if found is None:
            request.prepath, request.postpath = before
        return found

    def _make(self, request: Request) -> None:
        try:
            request.render(self._find(request))
        except Exception:
            request.processingFailed(Failure())

    def _find(self, request: Request) -> Any:
        resource = getChildForRequest(self._resource, request)
        if isinstance(resource, EncodingResourceWrapper):
            # Twisted asks for the encoder of the outermost resource only.
            encoder = resource.getEncoder(request)
            request._encoder = encoder or request._encoder
        return resource


def _failed(failure: Failure, request: Request) -> None:
    quietOf(request).failure("a request could not be served", failure)
    request.loseConnection()
