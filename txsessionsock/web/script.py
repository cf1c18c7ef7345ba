# -*- test-case-name: tests.web.test_web -*-
"""
The script for browsers as a resource of a site of Twisted Web.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from twisted.web.http import CACHED
from twisted.web.resource import Resource
from twisted.web.server import Request

from txsessionsock._arguments import checked

from .requests import AnyResource


__all__ = ["ClientScript"]


@checked
class ClientScript(Resource, AnyResource):  # type: ignore[misc]  # It is Any.
    """
    The script C{sessionsock.js} for browsers.  It is the same for everyone.
    """

    isLeaf = True

    def __init__(self, *, types: bool = False) -> None:
        """
        @param types: Serve its types for TypeScript, C{sessionsock.d.ts},
            instead.
        """
        super().__init__()
        name = "sessionsock.d.ts" if types else "sessionsock.js"
        self._script = (files("txsessionsock") / "static" / name).read_bytes()
        # Not video/mp2t, by which MIME tables know files that end with .ts.
        self._kind = b"text/plain" if types else b"text/javascript"
        self._tag = b'"%s"' % (sha256(self._script).hexdigest()[:32].encode("ascii"),)

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", self._kind + b"; charset=utf-8")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        # Browsers ask each time, and get it only when this library was updated.
        request.setHeader(b"Cache-Control", b"no-cache")
        if request.setETag(self._tag) == CACHED:
            return b""
        request.setHeader(b"Content-Length", b"%d" % (len(self._script),))
        return b"" if request.method == b"HEAD" else self._script
