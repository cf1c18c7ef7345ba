"""
Sending to sockets on all nodes: of a session, of an index, in a room.
"""

from .groups import Group, Many, Reached, Room
from .hub import Hub, hubOf
from .members import Label, namespaceLabel, roomLabel, sessionLabel, socketLabel
from .orders import Member


__all__ = [
    "Group",
    "Hub",
    "Label",
    "Many",
    "Member",
    "Reached",
    "Room",
    "hubOf",
    "namespaceLabel",
    "roomLabel",
    "sessionLabel",
    "socketLabel",
]
