"""
Autobahn's WebSocket, hardened.  This wing knows no sessions.
"""

from .admission import Admission
from .options import AutobahnTimer, setLimits
from .outflow import Outflow
from .protocol import Hardened, Line
from .quiet import Quiet


__all__ = [
    "Admission",
    "AutobahnTimer",
    "Hardened",
    "Line",
    "Outflow",
    "Quiet",
    "setLimits",
]
