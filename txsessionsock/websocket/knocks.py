# -*- test-case-name: tests.web.test_knocks -*-
"""
Clients of Socket.IO that come to what is no server of Socket.IO.  They are told
nothing that they understand, and try again for ever: so the log has to say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


__all__ = ["KNOCKED", "isKnock"]

KNOCKED = (
    "a client of Socket.IO came to a plain WebSocket, and neither understands the"
    " other; right is a SocketIOResource at /socket.io (twistd: --socketio) for io(),"
    ' or new SessionSocket("/ws") of sessionsock.js in the page'
)


def isKnock(parameters: Mapping[Any, object]) -> bool:
    """
    Whether a client of Socket.IO asks.

    @param parameters: Those of the address that it asks for.
    """
    # Its clients say in each request which version of Engine.IO they speak.
    return "EIO" in parameters or b"EIO" in parameters
