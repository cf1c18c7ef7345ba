"""
What is asked of a request of Twisted Web.
"""

from __future__ import annotations

from typing import Annotated, Any

from twisted.web.iweb import IRequest
from twisted.web.server import Request
from zope.interface import Interface

from txsessionsock._arguments import checked
from txsessionsock.interfaces import SessionError

from .page import PageSession


__all__ = ["isHTTP2", "sessionOf"]


def isHTTP2(request: Request) -> bool:
    """
    Whether a request shares its connection with others at the same time.
    """
    return bool(request.clientproto == b"HTTP/2")


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
