"""
Pages and sockets of a Twisted Web site, with their sessions.
"""

from .page import PageSession
from .refusal import ServerEnding, refuse
from .requests import sessionOf
from .resource import SessionedResource
from .script import ClientScript
from .serving import openSession
from .site import BoundedSite
from .socket import SessionSocketResource
from .visits import VisitedSite


__all__ = [
    "BoundedSite",
    "ClientScript",
    "PageSession",
    "ServerEnding",
    "SessionSocketResource",
    "SessionedResource",
    "VisitedSite",
    "openSession",
    "refuse",
    "sessionOf",
]
