"""
The clients of one server: who they are, what they say and in which order.
"""

from .broadcast import Broadcast
from .carrier import SessionClient
from .client import Client
from .life import Phase
from .listeners import METHODS, Listener, Once, listen, refuseUnknown, without
from .sockets import SessionSockets
from .statistics import SocketsStatistics


__all__ = [
    "METHODS",
    "Broadcast",
    "Client",
    "Listener",
    "Once",
    "Phase",
    "SessionClient",
    "SessionSockets",
    "SocketsStatistics",
    "listen",
    "refuseUnknown",
    "without",
]
