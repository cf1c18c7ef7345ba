"""
Autobahn's WebSocket, hardened.  Knows no sessions.
"""

from .options import Timer
from .outflow import Outflow


__all__ = ["Outflow", "Timer"]
