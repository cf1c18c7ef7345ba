"""
How much one client may take of the server.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._arguments import AboveZero, Size, checked


__all__ = ["Limits"]


@checked
@dataclass(frozen=True)
class Limits:
    """
    What one client may take.  Times are in seconds, sizes in bytes.

    @ivar messageSize: Of a message, and of a frame, in both directions.

    @ivar fragments: In how many frames a message may come.

    @ivar waitingMessages: How many messages may wait for a handler before no
        more are received, and C{waitingBytes}, of what size together.

    @ivar handshakeTimeout: From the connection to the credential.

    @ivar closeTimeout: For the answer to our close frame.

    @ivar pingInterval: Between pings; 0 for none.

    @ivar pingTimeout: For the answer to a ping.

    @ivar socketsPerSession: In this process.

    @ivar unsentBytes: What may wait for a client that does not read, before it
        is not read either and its handlers wait; and for how long,
        C{unsentTimeout}, it may be more.  With C{messageSize} more than that,
        the client is cut off at once.
    """

    messageSize: Size = 1024 * 1024
    fragments: Size = 1024
    waitingMessages: Size = 64
    waitingBytes: Size = 1024 * 1024
    handshakeTimeout: AboveZero = 10.0
    closeTimeout: AboveZero = 3.0
    pingInterval: float = 25.0
    pingTimeout: AboveZero = 20.0
    socketsPerSession: Size = 100
    unsentBytes: Size = 1024 * 1024
    unsentTimeout: AboveZero = 10.0
