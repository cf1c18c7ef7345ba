# -*- test-case-name: tests.real.twistd.test_web_sockets -*-
"""
A WebSocket as a resource of a site of Twisted Web.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txsessionsock.protocol import SessionedFactory

from .requests import AnyResource, isHTTP2, wantsSocket


__all__ = ["SessionSocketResource"]


@implementer(IResource)
class SessionSocketResource(AnyResource):  # type: ignore[misc]  # It is Any.
    """
    A WebSocket at a place in a site.

    It mends four faults of Autobahn's own L{WebSocketResource}, which joins two
    C{Cookie} headers with a comma, loses frames that came together with the
    handshake, leaves the channel as the transport's producer, and fails where
    it could answer.
    """

    _log = Logger()

    isLeaf = True

    def __init__(self, factory: Any) -> None:
        """
        @param factory: A L{SessionSocketFactory
            <txsessionsock.protocol.SessionSocketFactory>}, or one that was
            given to L{enable<txsessionsock.protocol.enable>}.

        @raise TypeError: This factory gives no sessions.
        """
        if not isinstance(factory, SessionedFactory):
            raise TypeError(
                f"{factory!r} gives no sessions: right is a SessionSocketFactory, or"
                " enable(factory, manager) before"
            )
        self._factory = factory

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        return self

    def putChild(self, path: bytes, child: IResource) -> None:
        raise ValueError("a WebSocket has no children")

    def render(self, request: Request) -> Any:
        if isHTTP2(request) or not wantsSocket(request):
            return self._tellToUpgrade(request)
        headers = request.requestHeaders
        cookies = headers.getRawHeaders(b"cookie", [])
        if cookies:
            headers.setRawHeaders(b"cookie", [b"; ".join(cookies)])
        builder = _Builder(self._factory, request.channel)
        channel = request.channel
        answer = WebSocketResource(builder).render(request)
        if channel.transport is None:
            # Nobody else will let go of its requests, which refer to it.
            channel.requests = []
        return answer

    def _tellToUpgrade(self, request: Request) -> bytes:
        if not wantsSocket(request):
            self._doubtProxy(request)
        request.setResponseCode(426)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        if not isHTTP2(request):
            request.setHeader(b"Upgrade", b"websocket")
            request.setHeader(b"Connection", b"Upgrade")
        return b"This is a WebSocket; connect to it with HTTP/1.1.\n"

    def _doubtProxy(self, request: Request) -> None:
        """
        Say in the log if a proxy has dropped the header by which a browser asked
        for a WebSocket.
        """
        if not request.requestHeaders.hasHeader(b"sec-websocket-key"):
            return
        self._factory._sessionsock.refusals.warn(
            self._log,
            "a handshake came without Upgrade: websocket, which a proxy has dropped;"
            " right is to pass on Upgrade and Connection (nginx: proxy_http_version 1.1"
            " and proxy_set_header)",
            self._factory.reactor.seconds(),
        )


class _Builder:
    """
    Builds the protocol of one connection, and has the channel pass on what it
    still receives.
    """

    def __init__(self, factory: Any, channel: Any) -> None:
        self._factory = factory
        self._channel = channel

    def buildProtocol(self, address: IAddress) -> IProtocol | None:
        protocol: IProtocol | None = self._factory.buildProtocol(address)
        if protocol is not None:
            # The channel has received the handshake, and perhaps frames behind
            # it.  When the handshake is passed on, it goes on with the frames.
            self._channel.rawDataReceived = protocol.dataReceived
        return protocol
