"""
WebSockets with sessions, as protocols and factories of Autobahn.
"""

from .equipment import Equipment
from .factory import SessionedFactory
from .protocol import SessionSocketFactory, SessionSocketProtocol, enable


__all__ = [
    "Equipment",
    "SessionSocketFactory",
    "SessionSocketProtocol",
    "SessionedFactory",
    "enable",
]
