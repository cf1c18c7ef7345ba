# -*- test-case-name: tests.web.test_web -*-
"""
What is asked of a request of Twisted Web: its session, its headers, whether it
is the handshake of a WebSocket.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from zope.interface import Interface

from txsessionsock._arguments import checked
from txsessionsock.forwarded import Proxies
from txsessionsock.handshake import Handshake, handshakeOf
from txsessionsock.interfaces import SessionError

from .page import PageSession


__all__ = [
    "AnyRequest",
    "AnyResource",
    "IPageSession",
    "Pages",
    "handshakeIn",
    "isHTTP2",
    "pageSessionOf",
    "sessionOf",
    "wantsSocket",
]

AnyRequest = Annotated[IRequest | Request, IRequest]

Pages = Annotated[IResource | Resource, IResource]

AnyResource: Any = cast(Any, object)
"""
To type checkers without a plugin no class provides L{IResource}, which is what
C{putChild} takes.
"""


def isHTTP2(request: Request) -> bool:
    """
    Whether a request came by HTTP/2, and so shares its connection with others.
    """
    return bool(request.clientproto == b"HTTP/2")


def handshakeIn(request: Request, trustProxy: bool | Proxies) -> Handshake:
    """
    Read a request, by the function that reads those of sockets.

    @param trustProxy: See L{handshakeOf}.
    """
    headers = request.requestHeaders.getAllRawHeaders()
    return handshakeOf(
        ((name, value) for name, values in headers for value in values),
        isTLS=bool(request.isSecure()),
        trustProxy=trustProxy,
        peer=request.getClientAddress(),
    )


class IPageSession(Interface):
    """
    The interface under which C{request.getComponent} finds the session.
    """


@checked
def sessionOf(request: AnyRequest) -> PageSession:
    """
    The session of a request.

    A new session is not stored, and gets no cookie, until something is put
    into it.  For HEAD and OPTIONS, a new session is forgotten whatever is put
    into it.

    What the page changes is stored before the first byte of its answer leaves.
    What it changes later is stored before the next byte that it writes, or
    before C{finish}.  A page whose changes cannot be stored is not sent: the
    client gets 503, or the connection is aborted if the answer had begun.  If
    the session was logged out meanwhile, a page that changed it is answered
    with 409: a session never comes back from the dead.

    @raise SessionError: The request did not come through a
        L{SessionedResource} and nobody opened its session with L{openSession}.
    """
    session = pageSessionOf(request)
    if session is None:
        raise SessionError(
            "this request has no session: its resource is not inside of a"
            " SessionedResource and has not called openSession"
        )
    return session


def pageSessionOf(request: Any) -> PageSession | None:
    """
    @return: The session of a request, L{None} if it has none.
    """
    session: PageSession | None = request.getComponent(IPageSession)
    return session


def wantsSocket(request: Request) -> bool:
    """
    Whether a request is the handshake of a WebSocket.
    """
    upgrade = b",".join(request.requestHeaders.getRawHeaders(b"upgrade", []))
    return b"websocket" in [word.strip().lower() for word in upgrade.split(b",")]
