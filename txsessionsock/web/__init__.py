"""
Pages and sockets of a Twisted Web site, with their sessions.
"""

from .handover import handOver, isEnding
from .page import PageSession
from .refusal import ServerEnding, refuse
from .requests import (
    AnyRequest,
    AnyResource,
    handshakeIn,
    isHTTP2,
    pageSessionOf,
    sessionOf,
    wantsSocket,
)
from .resource import SessionedResource
from .script import ClientScript
from .serving import openSession
from .site import BoundedSite, Bounds
from .socket import SessionSocketResource
from .tickets import TicketResource
from .visits import VisitedSite


__all__ = [
    "AnyRequest",
    "AnyResource",
    "BoundedSite",
    "Bounds",
    "ClientScript",
    "PageSession",
    "ServerEnding",
    "SessionSocketResource",
    "SessionedResource",
    "TicketResource",
    "VisitedSite",
    "handOver",
    "handshakeIn",
    "isEnding",
    "isHTTP2",
    "openSession",
    "pageSessionOf",
    "refuse",
    "sessionOf",
    "wantsSocket",
]
