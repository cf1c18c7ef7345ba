# -*- test-case-name: tests.tap.test_tap_socketio -*-
"""
Socket.IO, as the options ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txsessionsock.manager import SessionManager
from txsessionsock.socketio import Recovery, SocketIO, SocketIOResource, enable

from .options import Options, attempt


__all__ = ["NEEDS_CLASS", "PLACE", "WEBSOCKET_ONLY", "socketIO"]

PLACE = b"socket.io"
"""
Where its clients look for it.
"""

NEEDS_CLASS = (
    "needs its class; right is --protocol package.Class, a subclass of"
    " txsessionsock.socketio.SocketIOSocket"
)

WEBSOCKET_ONLY = (
    "with {count} workers, Socket.IO is served over WebSocket only: a connection by"
    " long-polling lives in one process, and each request may come to another; clients"
    ' need the option transports: ["websocket"]'
)


def socketIO(
    options: Options, kind: Any, manager: SessionManager, settings: Mapping[str, Any]
) -> SocketIOResource:
    """
    @param kind: The user's class of its sockets.

    @param settings: Those that plain sockets have, too.

    @return: What serves them.
    """
    seconds = options["recovery"]
    recovery = Recovery(seconds=seconds) if seconds else None
    io = attempt("protocol", SocketIO, kind, recovery=recovery)
    attempt("origin", enable, io, manager, **settings)
    isShared = options["workers"] > 1
    return attempt(
        "socketio-client",
        SocketIOResource,
        io,
        bundle=options["socketio-client"],
        transports=("websocket",) if isShared else ("polling", "websocket"),
    )
