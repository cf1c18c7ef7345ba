"""
Autobahn's WebSocket, hardened.  This wing knows no sessions.
"""

from .admission import Admission, Overfull, Place
from .doors import acceptFew
from .knocks import KNOCKED, isKnock
from .letgo import forgetErrors
from .line import Line
from .options import AutobahnTimer, setLimits
from .outflow import Outflow
from .protocol import Hardened
from .quiet import Quiet
from .turns import Turns


__all__ = [
    "KNOCKED",
    "Admission",
    "AutobahnTimer",
    "Hardened",
    "Line",
    "Outflow",
    "Overfull",
    "Place",
    "Quiet",
    "Turns",
    "acceptFew",
    "forgetErrors",
    "isKnock",
    "setLimits",
]
