"""
The clients of one server: each from its handshake to its last save, with its
messages in order.
"""

from .broadcast import Broadcast
from .carrier import SessionClient
from .client import Client
from .inbox import Waiting
from .life import Phase
from .listeners import (
    METHODS,
    Listener,
    Listeners,
    Once,
    doesNothing,
    listen,
    refuseUnknown,
    without,
)
from .sockets import SessionSockets
from .statistics import SocketStatistics


__all__ = [
    "METHODS",
    "Broadcast",
    "Client",
    "Listener",
    "Listeners",
    "Once",
    "Phase",
    "SessionClient",
    "SessionSockets",
    "SocketStatistics",
    "Waiting",
    "doesNothing",
    "listen",
    "refuseUnknown",
    "without",
]
