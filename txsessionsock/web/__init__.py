"""
Pages and sockets of a Twisted Web site, with their sessions.
"""

from .requests import sessionOf
from .resource import SessionedResource
from .script import ClientScript
from .socket import SessionSocketResource
from .visits import VisitedSite


__all__ = [
    "ClientScript",
    "SessionSocketResource",
    "SessionedResource",
    "VisitedSite",
    "sessionOf",
]
