"""
How much one client may take of the server, and how many there may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._arguments import AboveZero, Size, checked


__all__ = ["Limits"]


@checked
@dataclass(frozen=True)
class Limits:
    """
    What one client may take, and all together.  Times are in seconds, sizes in
    bytes.

    @ivar messageSize: Of a message, and of a frame, in both directions.

    @ivar waitingMessages: How many messages may wait for a handler before no
        more are received, and C{waitingBytes}, of what size together.

    @ivar headerSize: Of the head of a request: its first line and its headers.

    @ivar bodySize: Of the body of a request to a page.  That of a socket has none.

    @ivar handshakeTimeout: From the connection to the credential.

    @ivar closeTimeout: For the answer to our close frame.

    @ivar pingInterval: Between pings; 0 for none.

    @ivar pingTimeout: For the answer to a ping.

    @ivar socketsPerSession: In this process.

    @ivar maxConnections: How many sockets this server may have, in this process,
        with those that are only about to open; L{None} for any number.

    @ivar perAddress: The same from one address, which behind a proxy is the
        client's.

    @ivar perNetwork: The same from one network of IPv6, whose first 64 bits are
        the same; C{perAddress} unless given.

    @ivar unsentBytes: What may be on its way to a slow reader, and for how
        long, C{unsentTimeout}, it may be more.
    """

    messageSize: Size = 1024 * 1024
    waitingMessages: Size = 64
    waitingBytes: Size = 1024 * 1024
    headerSize: Size = 16 * 1024
    bodySize: Size = 1024 * 1024
    handshakeTimeout: AboveZero = 10.0
    closeTimeout: AboveZero = 3.0
    pingInterval: float = 25.0
    pingTimeout: AboveZero = 20.0
    socketsPerSession: Size = 100
    maxConnections: Size | None = None
    perAddress: Size | None = None
    perNetwork: Size | None = None
    unsentBytes: Size = 1024 * 1024
    unsentTimeout: AboveZero = 10.0
