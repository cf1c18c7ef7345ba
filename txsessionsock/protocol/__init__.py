"""
WebSockets with sessions, as protocols and factories of Autobahn.
"""

from .application import ApplicationMethods
from .aside import written
from .equipment import Equipment
from .factory import SessionedFactory
from .protocol import SessionSocketFactory, SessionSocketProtocol, enable


__all__ = [
    "ApplicationMethods",
    "Equipment",
    "SessionSocketFactory",
    "SessionSocketProtocol",
    "SessionedFactory",
    "enable",
    "written",
]
