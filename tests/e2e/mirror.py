"""
A page that shows in what circumstances its process runs.
"""

from __future__ import annotations

import json
import os

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Request


class Mirror(Resource):
    """
    C{GET} shows the reactor, the current directory and the umask.
    """

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        os.umask(umask := os.umask(0))
        seen = [type(reactor).__name__, os.getcwd(), umask]
        return json.dumps(seen).encode()
