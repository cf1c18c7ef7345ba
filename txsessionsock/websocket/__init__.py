"""
Autobahn's WebSocket, hardened.  This wing knows no sessions.
"""

from .admission import Admission
from .options import AutobahnTimer, setLimits
from .outflow import Outflow
from .protocol import Hardened, Line


__all__ = ["Admission", "AutobahnTimer", "Hardened", "Line", "Outflow", "setLimits"]
