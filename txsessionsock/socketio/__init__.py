"""
Socket.IO: its official client, with sessions.
"""

from txsessionsock.messages import Event

from .packets import TEXT, Kind, Packet
from .recovery import Recovery
from .resource import SocketIOResource
from .server import Namespace, SocketIO, enable
from .socket import SocketIOSocket


__all__ = [
    "TEXT",
    "Event",
    "Kind",
    "Namespace",
    "Packet",
    "Recovery",
    "SocketIO",
    "SocketIOResource",
    "SocketIOSocket",
    "enable",
]
