"""
Autobahn's WebSocket, hardened.  This wing knows no sessions.
"""

from .options import AutobahnTimer, setLimits
from .outflow import Outflow
from .protocol import Autobahns, Hardened, Line
from .turns import Turns


__all__ = [
    "AutobahnTimer",
    "Autobahns",
    "Hardened",
    "Line",
    "Outflow",
    "Turns",
    "setLimits",
]
