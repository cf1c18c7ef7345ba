"""
How much one client may take of the server, and how many there may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._arguments import AboveZero, Size, checked


__all__ = ["Limits", "Rate"]


@checked
@dataclass(frozen=True)
class Rate:
    """
    How many a second.

    @ivar perSecond: In the long run.

    @ivar burst: How many at once, after a rest.
    """

    perSecond: AboveZero
    burst: Size


@checked
@dataclass(frozen=True)
class Limits:
    """
    What one client may take, and all together.  Times are in seconds, sizes in
    bytes.

    @ivar messageSize: Of a message, and of a frame, in both directions.

    @ivar fragments: In how many frames a message may come.

    @ivar messageValues: How many lists, objects, texts, numbers and so on a
        message in L{JSON<txsessionsock.messages.JSON>} may hold.

    @ivar waitingMessages: How many messages may wait for a handler before no
        more are received, and C{waitingBytes}, of what size together; lists
        and objects of large ones count 64 bytes more each.

    @ivar headerSize: Of the head of a request: its first line and its headers; and
        of C{auth}, which a client of Socket.IO sends along.

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

    @ivar sessionRate: How many messages of one session are handled a second,
        by all its sockets in this process together; L{None} for as many as come.

    @ivar userRate: The same for one user, by all sessions.

    @ivar unsentBytes: What may wait for a client that does not read, before it
        is not read either and its handlers wait; and for how long,
        C{unsentTimeout}, it may be more.  With C{messageSize} more than that,
        the client is cut off at once.

    @ivar lobbyBytes: What all clients of Socket.IO together may take that are in
        no namespace, or were let into one to name their session, and have not:
        those who have been for longest are dropped.
    """

    messageSize: Size = 1024 * 1024
    messageValues: Size = 100_000
    fragments: Size = 1024
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
    sessionRate: Rate | None = None
    userRate: Rate | None = None
    unsentBytes: Size = 1024 * 1024
    unsentTimeout: AboveZero = 10.0
    lobbyBytes: Size = 64 * 1024 * 1024
