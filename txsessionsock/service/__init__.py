"""
The server as a service of Twisted, in one process or in several.
"""

from .handover import Handover
from .listening import Adopting, Beside, Sharing, endpointAt
from .service import SessionSockService
from .worker import WorkerService, leaveToParent
from .workers import WorkerCommand, Workers


__all__ = [
    "Adopting",
    "Beside",
    "Handover",
    "SessionSockService",
    "Sharing",
    "WorkerCommand",
    "WorkerService",
    "Workers",
    "endpointAt",
    "leaveToParent",
]
