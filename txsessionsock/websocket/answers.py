# -*- test-case-name: tests.websocket.test_frames_out -*-
"""
What goes out on a WebSocket: by a short way where it is ordinary, and in one
write what answers one read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Protocol

from autobahn.twisted.websocket import WebSocketServerProtocol

from txsessionsock.messages import Shared

from .compression import compressed, likeness, mayGrowTo
from .outflow import Outflow


__all__ = ["Answers"]

_JOINED: Final = 64 * 1024
"""
How many bytes may be held back to be written together.
"""

_ONE_BYTE: Final = 125
_TWO_BYTES: Final = 0xFFFF
"""
The largest payloads whose length fits into the head of a frame so.
"""

_TEXT: Final = 0x81
_BINARY: Final = 0x82
_PONG: Final = 0x8A

_COMPRESSED: Final = 0x40
"""
What is added to the first byte of a frame (RFC 7692, section 6).
"""

_HEADS: Final = {
    kind: [bytes((kind, size)) for size in range(_ONE_BYTE + 1)]
    for kind in (_TEXT, _BINARY, _PONG)
}

_OPEN: Final = WebSocketServerProtocol.STATE_OPEN


@lru_cache
def _isShort(kind: Any, ours: Any) -> tuple[bool, bool]:
    """
    @return: Whether nobody but Autobahn has the methods of which this takes the
        place; and whether nobody but us sees the bytes that go out.
    """
    behind: Any = super(ours, kind)
    theirs: Any = WebSocketServerProtocol
    isShort = (
        behind.sendMessage is theirs.sendMessage
        and behind.sendData is theirs.sendData
        and kind.sendFrame is theirs.sendFrame
    )
    return isShort, isShort and kind.sendData is ours.sendData


def _made(payload: bytes, isBinary: bool, compress: Any) -> tuple[bytes, int]:
    """
    @param compress: What compresses; L{None} if nothing does.

    @return: A frame, and how many bytes are in it.
    """
    first = _BINARY if isBinary else _TEXT
    if compress is not None:
        payload = compressed(compress, payload)
        first |= _COMPRESSED
    size = len(payload)
    if size <= _ONE_BYTE:
        return b"%c%c%b" % (first, size, payload), size
    if size <= _TWO_BYTES:
        return b"%c\x7e%b%b" % (first, size.to_bytes(2, "big"), payload), size
    return b"%c\x7f%b%b" % (first, size.to_bytes(8, "big"), payload), size


class _Line(Protocol):
    def out(self, data: bytes) -> None:
        """
        Send bytes.
        """


class _Nowhere:
    """
    Takes the place of the line of a connection that is gone.
    """

    def out(self, data: bytes) -> None:
        pass


_NOWHERE: Final = _Nowhere()


class Answers:
    """
    The frames that are sent to one client.

    @ivar isShort: Whether any of them may go by the short way.

    @ivar outflow: While it is held, nothing is held back here: what is sent to a
        client that does not read counts at once.
    """

    __slots__ = (
        "_isDirect",
        "_joined",
        "_line",
        "_mayJoin",
        "_protocol",
        "_size",
        "isShort",
        "outflow",
    )

    def __init__(self, line: _Line, protocol: Any, ours: Any, isShort: bool) -> None:
        """
        @param ours: The class of the methods that call this.

        @param isShort: Whether that is wanted.
        """
        self._protocol = protocol
        self._line = line
        self._joined: list[bytes] | None = None
        self._size = 0
        kind: Any = type(protocol)
        mayBeShort, isDirect = _isShort(kind, ours)
        self.isShort = isShort and mayBeShort
        # Whether messages need not go through sendData(), and whether that is so
        # while something that was read is handled.
        self._isDirect = isShort and isDirect
        self._mayJoin = False
        self.outflow: Outflow | None = None

    def opened(self, outflow: Outflow) -> None:
        """
        The handshake is done.
        """
        self.outflow = outflow
        if self._protocol.logOctets:
            self.isShort = self._isDirect = False

    # While something that was read is handled.

    def hold(self) -> None:
        """
        What is sent from now on is held back, up to a size.
        """
        self._joined = []
        self._mayJoin = self._isDirect and "sendData" not in vars(self._protocol)

    def release(self) -> None:
        """
        No longer.
        """
        if self._joined:
            self.flush()
        self._joined = None
        self._mayJoin = False

    def flush(self) -> None:
        """
        Send what is held back: before the connection is dropped, and before
        anything that goes out another way.
        """
        joined = self._joined
        if joined:
            self._joined, self._size = [], 0
            self._line.out(b"".join(joined))

    def end(self) -> None:
        """
        The connection is gone.
        """
        self._joined = self._protocol = self.outflow = None
        self._line, self.isShort, self._mayJoin = _NOWHERE, False, False

    # Frames.

    def message(
        self,
        payload: bytes,
        isBinary: bool = False,
        fragmentSize: int | None = None,
        sync: bool = False,
        doNotCompress: bool = False,
        *,
        shared: Shared | None = None,
    ) -> bool:
        """
        Send a message.  The other arguments are those of Autobahn's method.

        @param shared: The message, if many clients get it.

        @return: Whether it was sent.  Otherwise only Autobahn can.
        """
        protocol = self._protocol
        size = len(payload)
        if (
            not self.isShort
            or sync
            or fragmentSize is not None
            or protocol.state != _OPEN
            or 0 < protocol.maxMessagePayloadSize < size
            or protocol.autoFragmentSize
            or protocol.trackedTimings is not None
            or protocol.maskServerFrames
            or protocol.logFrames
            or type(payload) is not bytes
        ):
            return False
        kind = _BINARY if isBinary else _TEXT
        inFrame = size
        if shared is not None:
            made = self._frameOf(shared)
            if made is None:
                return False
            frame, inFrame = made
        elif size > _TWO_BYTES or protocol._perMessageCompress is not None:
            return False
        elif size <= _ONE_BYTE:
            frame = _HEADS[kind][size] + payload
        else:
            frame = b"%c\x7e%b%b" % (kind, size.to_bytes(2, "big"), payload)
        stats = protocol.trafficStats
        stats.outgoingWebSocketMessages += 1
        stats.outgoingWebSocketFrames += 1
        stats.outgoingOctetsAppLevel += size
        stats.outgoingOctetsWebSocketLevel += inFrame
        if self._mayJoin:
            self.put(frame)
        else:
            protocol.sendData(frame)
        return True

    def _frameOf(self, shared: Shared) -> tuple[bytes, int] | None:
        """
        The first client for whom a message is compressed alike, or not at all, makes
        the frame for all those.

        @return: See L{_made}; L{None} if only Autobahn can make it.
        """
        protocol = self._protocol
        compress, like = protocol._perMessageCompress, None
        if compress is not None:
            like = likeness(compress)
            most = protocol.maxMessagePayloadSize
            if like is None or 0 < most < mayGrowTo(len(shared[0])):
                return None
        frames = shared.frames
        if frames is None:
            return _made(*shared, compress)
        made = frames.get(like)
        if made is None:
            made = frames[like] = _made(*shared, compress)
        return made

    def pong(self, payload: bytes) -> None:
        """
        Answer a ping.
        """
        self._protocol.sendData(_HEADS[_PONG][len(payload)] + payload)

    def put(self, data: bytes) -> None:
        """
        Send bytes, behind all that was sent before, or hold them back.
        """
        protocol, size = self._protocol, len(data)
        if not self.isShort or protocol.state != _OPEN:
            self.flush()
        else:
            protocol.trafficStats.outgoingOctetsWireLevel += size
            outflow = self.outflow
            if self._joined is None or (outflow is not None and outflow.isHeld):
                self.flush()
            else:
                if self._size + size > _JOINED:
                    self.flush()
                self._joined.append(data)
                self._size += size
                return
        self._line.out(data)
