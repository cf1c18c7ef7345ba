# -*- test-case-name: tests.web.test_knocks -*-
"""
Clients of Socket.IO that ask a site for what it has not.
"""

from __future__ import annotations

from twisted.web.http import NOT_FOUND, OK
from twisted.web.server import Request

from txsessionsock.websocket import isKnock

from .quiet import quietOf


__all__ = ["noticeKnock"]


def noticeKnock(request: Request) -> None:
    """
    Say in the log that a client of Socket.IO was answered by somebody else.
    """
    if not isKnock(request.args or {}):
        return
    kind = request.responseHeaders.getRawHeaders(b"content-type", [b""])[-1]
    # A server of Socket.IO sends no HTML.  A site may have one page for all paths.
    isPage = request.code == OK and kind.startswith(b"text/html")
    if isPage or request.code == NOT_FOUND:
        quietOf(request).warn(
            f"a client of Socket.IO, io(), was answered with {request.code}; right is"
            " a SocketIOResource at /socket.io (twistd: --socketio), or in the page"
            ' new SessionSocket("/ws") of sessionsock.js'
        )
