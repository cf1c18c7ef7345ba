"""
C{twistd sessionsock}.  Every twistd command loads this file, so it imports
nothing of ours.
"""

from twisted.application.service import ServiceMaker


# Twisted caches plugins by the names of these variables.
sessionsock = ServiceMaker(
    "txsessionsock",
    "txsessionsock.tap",
    "Web sessions on WebSockets: a server with pages, sockets and their sessions.",
    "sessionsock",
)
