"""
Socket.IO: its official client, with sessions.
"""

from txsessionsock.messages import Event

from .server import Namespace, SocketIO, enable
from .socket import SocketIOSocket


__all__ = ["Event", "Namespace", "SocketIO", "SocketIOSocket", "enable"]
