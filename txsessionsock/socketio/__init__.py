"""
Socket.IO: its official client, with sessions.
"""

from txsessionsock.messages import Event

from .recovery import Recovery
from .resource import SocketIOResource
from .server import Namespace, SocketIO, enable
from .socket import SocketIOSocket


__all__ = [
    "Event",
    "Namespace",
    "Recovery",
    "SocketIO",
    "SocketIOResource",
    "SocketIOSocket",
    "enable",
]
