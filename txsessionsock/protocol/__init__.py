"""
WebSockets with sessions, as protocols and factories of Autobahn.
"""

from .factory import SessionedFactory
from .protocol import SessionSocketFactory, SessionSocketProtocol, enable


__all__ = [
    "SessionSocketFactory",
    "SessionSocketProtocol",
    "SessionedFactory",
    "enable",
]
