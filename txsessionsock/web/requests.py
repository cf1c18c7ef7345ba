# -*- test-case-name: tests.test_web -*-
"""
What is asked of a request of Twisted Web: its session, its headers, whether it
is the handshake of a WebSocket.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from twisted.web.iweb import IRequest
from twisted.web.server import Request
from zope.interface import Interface

from txsessionsock._arguments import checked
from txsessionsock.handshake import Handshake, handshakeOf
from txsessionsock.interfaces import SessionError

from .page import PageSession


__all__ = [
    "AnyRequest",
    "AnyResource",
    "IPageSession",
    "handshakeIn",
    "isHTTP2",
    "pageSessionOf",
    "sessionOf",
    "wantsSocket",
]

AnyRequest = Annotated[IRequest | Request, IRequest]

AnyResource: Any = cast(Any, object)
"""
To type checkers without a plugin no class provides L{IResource}, which is what
C{putChild} takes.
"""


def isHTTP2(request: Request) -> bool:
    """
    Whether a request shares its connection with others at the same time.
    """
    return bool(request.clientproto == b"HTTP/2")


def handshakeIn(request: Request, trustProxy: bool) -> Handshake:
    """
    Read a request, as those of sockets are read.

    @param trustProxy: See L{Handshake}.
    """
    headers = request.requestHeaders.getAllRawHeaders()
    return handshakeOf(
        ((name, value) for name, values in headers for value in values),
        isTLS=bool(request.isSecure()),
        trustProxy=trustProxy,
    )


class IPageSession(Interface):
    """
    The interface under which C{request.getComponent} finds the session.
    """


@checked
def sessionOf(request: AnyRequest) -> PageSession:
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
        L{SessionedResource} and nobody opened its session with L{openSession},
        or it is a WebSocket's handshake.
    """
    session = pageSessionOf(request)
    if session is None:
        raise SessionError(
            "this request has no session: its resource is not inside of a"
            " SessionedResource and has not called openSession, or it is the"
            " handshake of a WebSocket"
        )
    return session


def pageSessionOf(request: Any) -> PageSession | None:
    """
    The same; L{None} if there is none.
    """
    session: PageSession | None = request.getComponent(IPageSession)
    return session


def wantsSocket(request: Request) -> bool:
    """
    Whether a request wants to be a WebSocket.
    """
    upgrade = b",".join(request.requestHeaders.getRawHeaders(b"upgrade", []))
    return b"websocket" in [word.strip().lower() for word in upgrade.split(b",")]
