"""
Sending to sockets on all nodes: of a session, of an index, in a room.
"""

from .hub import Group, Hub, Reached, Room, hubOf


__all__ = ["Group", "Hub", "Reached", "Room", "hubOf"]
