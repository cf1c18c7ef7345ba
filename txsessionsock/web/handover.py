# -*- test-case-name: tests.real.twistd.test_web_sockets -*-
"""
From a request of Twisted Web to a WebSocket: the connection changes hands.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols.policies import ProtocolWrapper
from twisted.web.server import Request


__all__ = ["handOver", "isEnding"]


def isEnding(request: Any) -> bool:
    """
    Whether an answer before this one closes the connection.
    """
    return bool(getattr(request.channel.transport, "disconnecting", False))


def _headOf(request: Request) -> bytes:
    """
    The head of a request, with each header in a line of its own: two that are
    joined could not be told from one.
    """
    lines = [b" ".join((request.method, request.uri, request.clientproto))]
    for name, values in request.requestHeaders.getAllRawHeaders():
        lines += [b"%s: %s" % (name, value) for value in values]
    return b"\r\n".join([*lines, b"", b""])


def handOver(request: Any, protocol: Any) -> None:
    """
    Have a protocol be the one to which a connection belongs: the transport, and
    all that was received.

    @param request: The handshake of a WebSocket.

    @param protocol: A L{Hardened<txsessionsock.websocket.Hardened>} one.
    """
    request.content.close()
    channel = request.channel
    transport, channel.transport = channel.transport, None
    if isinstance(transport, ProtocolWrapper):
        # TLS, or another protocol that is between us and the socket.
        transport.wrappedProtocol = protocol
    elif isinstance(transport.protocol, ProtocolWrapper):
        transport.protocol.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
    began = getattr(channel, "beganAt", None)
    if began is not None:
        protocol._sessionsock.began(began)
    # The channel stops reading when much comes behind a request.
    transport.resumeProducing()
    behind = b"".join(channel._dataBuffer)
    channel._dataBuffer = []
    # What the channel is just reading is handed to it when we are done.
    channel.rawDataReceived = protocol.dataReceived
    # Nobody else will call its requests; each refers to the channel.
    channel.requests = []
    protocol.dataReceived(_headOf(request) + behind)
