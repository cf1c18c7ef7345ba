"""
The clients of one server: who they are, what they say and in which order.
"""

from .carrier import SessionClient
from .client import Client
from .listeners import METHODS, Listener, Once, listen, refuseUnknown, without
from .sockets import SessionSockets


__all__ = [
    "METHODS",
    "Client",
    "Listener",
    "Once",
    "SessionClient",
    "SessionSockets",
    "listen",
    "refuseUnknown",
    "without",
]
