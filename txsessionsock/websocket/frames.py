# -*- test-case-name: tests.websocket.test_frames -*-
"""
What comes in on a WebSocket: in slices, and by a short way where it is ordinary.

Autobahn takes two turns, a masker of its own, eight methods and a Deferred for
each frame, and copies all that was read behind it twice.  Most frames need none
of that: they are whole, small, neither compressed nor a part of a message, and
nobody looks at frames.  These are read here, in one loop.  B{All others go to
Autobahn, with the very bytes that came}: what is wrong with a frame is its to
say.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.logger import Logger

from txsessionsock._collector import COLLECTIONS

from .answers import Answers
from .turns import Turns


__all__ = ["Frames"]

_log = Logger()

_SMALL: Final = 4096
"""
Up to which size the short way is the faster one.
"""

_MANY: Final = 64
"""
How many frames one connection may have handled before others come.
"""

_FEW: Final = 8
"""
As many, while others wait for their next turn, of one who sends little at once.
"""

_LITTLE: Final = 1024
"""
How many bytes that is.
"""

_SLICE: Final = 0.002
"""
For how many seconds frames of one connection are handled before others come.
"""

_PIECES: Final = 1024
"""
In how many pieces a frame may be kept that has not come whole.
"""

_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_LEAST: Final = 6
"""
The size of the smallest frame that a client may send.
"""

# The first byte of a frame that is whole: FIN, no extension, and what it is.
_TEXT: Final = 0x81
_BINARY: Final = 0x82
_PING: Final = 0x89
_PONG: Final = 0x8A
_KINDS: Final = frozenset((_TEXT, _BINARY, _PING, _PONG))

_WORDS: Final = _SMALL // 4 + 1
_FEW_WORDS: Final = _LENGTH // 4 + 2
_MOST_ONES: Final = int.from_bytes(b"\0\0\0\1" * _WORDS, "big")
_ONES: Final = [int.from_bytes(b"\0\0\0\1" * n, "big") for n in range(_FEW_WORDS)]
"""
Times these, a mask stands there over and over: in so many words of four bytes, its own
and those of a payload.
"""

_CONTROL: Final = 8
"""
The opcode from which on frames are no part of a message.
"""

_OPEN: Final = WebSocketServerProtocol.STATE_OPEN
_CLOSED: Final = WebSocketServerProtocol.STATE_CLOSED

_NOT_OPEN: Final = (WebSocketServerProtocol.STATE_CONNECTING, _CLOSED)

_RECEIVING: Final = ("dataReceived", "_dataReceived", "consumeData")
"""
Autobahn's methods for what was read.
"""

_HOOKS: Final = (
    "processData",
    "onFrameData",
    "onFrameEnd",
    "processControlFrame",
    "_onMessageBegin",
    "_onMessageFrameBegin",
    "_onMessageFrameData",
    "_onMessageFrameEnd",
    "_onMessageFrame",
    "_onMessageEnd",
    "onMessageBegin",
    "onMessageFrameBegin",
    "onMessageFrameData",
    "onMessageFrameEnd",
    "onMessageFrame",
    "onMessageEnd",
    "_cancelAutoPingTimeoutCall",
)
"""
Autobahn's methods for frames.  Whoever has one of their own sees each frame.
"""

_PINGED: Final = ("_onPing", "onPing", "sendPong")

_PONGED: Final = ("_onPong", "onPong", "onAutoPong")

_SEEN: Final = frozenset((*_HOOKS, "fire", *_PINGED, *_PONGED))


def _areAutobahns(kind: type, *names: str) -> bool:
    return all(
        getattr(kind, name) is getattr(WebSocketServerProtocol, name) for name in names
    )


@lru_cache
def _takes(kind: Any, ours: Any) -> tuple[bool, bool, bool, bool]:
    """
    Look at the class of a protocol.

    @param ours: The class that stands before Autobahn's, or before another one
        that stands before that.

    @return: Whether what was read may come here, and whether data, pings and
        pongs may be taken by the short way.
    """
    behind: Any = super(ours, kind)
    ofBoth = ("onFrameBegin", "fire")
    own = (*_RECEIVING, *ofBoth)
    reads = _areAutobahns(behind, *_RECEIVING)
    data = (
        reads
        and all(getattr(kind, name) is getattr(ours, name) for name in own)
        and _areAutobahns(behind, *ofBoth)
        and _areAutobahns(kind, *_HOOKS)
    )
    pings = data and _areAutobahns(kind, *_PINGED)
    return reads, data, pings, data and _areAutobahns(kind, *_PONGED)


class _Gone:
    """
    Takes the place of the line of a connection that is lost.
    """

    isHeld = False


_GONE: Final = _Gone()


class Frames:
    """
    The frames that one client sends.

    @ivar waits: Whether something was read that is not handled yet.
    """

    __slots__ = (
        "_answers",
        "_at",
        "_data",
        "_fragments",
        "_isHeld",
        "_isSettled",
        "_isShort",
        "_isWorking",
        "_lastName",
        "_line",
        "_lost",
        "_most",
        "_names",
        "_pings",
        "_pongs",
        "_protocol",
        "_reactor",
        "_reads",
        "_seconds",
        "_turns",
        "used",
    )

    def __init__(self, line: Any, protocol: Any, ours: Any, answers: Answers) -> None:
        """
        @param line: Says whether nothing is received for now, and what the rules
            are.

        @param ours: The class with the methods that call this.
        """
        self._line = line
        self._protocol = protocol
        self._answers = answers
        self._reactor = protocol.factory.reactor
        self._seconds = self._reactor.seconds
        self._turns: Turns = line.rules.turns
        self.used = 0.0
        self._most: int = line.rules.limits.fragments
        self._data = b""
        self._at = 0
        self._fragments = 0
        self._isHeld = self._isWorking = self._isSettled = False
        self._lost: Callable[[], object] | None = None
        # How many attributes the protocol itself had, and which came last.
        self._names, self._lastName = 0, ""
        kind: Any = type(protocol)
        reads, isShort, pings, pongs = _takes(kind, ours)
        isShort = isShort and line.rules.shortFrames
        self._reads = reads
        self._isShort = isShort
        # Without hooks for what is sent, either: they would see each pong.
        self._pings = isShort and pings and answers.isShort
        self._pongs = isShort and pongs

    @property
    def waits(self) -> bool:
        return self._at < len(self._data)

    @property
    def isBulk(self) -> bool:
        """
        See L{Turns}: it comes until something of it was handled, and goes when the
        connection is lost.
        """
        return not self._isSettled or self._lost is not None

    # What was read.

    def received(self, data: bytes) -> bool:
        """
        Something was read.

        @return: Whether it was taken.  Otherwise Autobahn has to look at it first,
            and then gives what it has to L{consume}.
        """
        protocol = self._protocol
        state = _CLOSED if protocol is None else protocol.state
        if state == _CLOSED:
            # Autobahn would look at nothing of it, and keep all.
            return True
        if not self._reads or state == WebSocketServerProtocol.STATE_CONNECTING:
            return False
        if state == _OPEN:
            protocol.trafficStats.incomingOctetsWireLevel += len(data)
        if protocol.logOctets:
            protocol.logRxOctets(data)
        if self._data:
            # It waits, and so does this.  TLS has more to give when it is paused.
            self._data = self._data[self._at :] + data
            self._at = 0
        else:
            self._take(data)
        return True

    def consume(self) -> None:
        """
        Autobahn has something that was read.
        """
        protocol = self._protocol
        if self._isWorking:
            return
        data, protocol.data = protocol.data, b""
        if self._data:
            self._data = self._data[self._at :] + data
            self._at = 0
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._data, self._at = data, 0
        turns = self._turns
        if not self._line.isHeld and turns.hasTimeFor(self):
            most = _MANY
            if turns.queue:
                # Of hundreds who send much at once, each has one.
                most = _FEW if len(data) <= _LITTLE else 1
            collected, began = COLLECTIONS.seconds, self._seconds()
            self._work(most, began)
            elapsed = self._seconds() - began - COLLECTIONS.seconds + collected
            turns.spent(self, elapsed if elapsed > 0.0 else 0.0, self._reactor)
        self._settle()

    def goOn(self) -> None:
        """
        It is this connection's turn.
        """
        if self._isWorking or self._protocol is None:
            return
        try:
            if self._data:
                self._work(_MANY, self._seconds())
        except Exception:
            # What a reactor does to a protocol that raises.
            _log.failure("a WebSocket failed")
            self._isHeld = False
            if self._protocol is not None:
                self._protocol.transport.abortConnection()
        self._settle()

    def resumed(self) -> None:
        """
        The line is held no longer.
        """
        if self._isHeld or self._lost is not None:
            # Not here: who resumes is in the midst of something else.
            self._turns.add(self, self._reactor)
        else:
            self._protocol.transport.resumeProducing()

    def lost(self, then: Callable[[], object]) -> bool:
        """
        The connection is lost.

        @param then: Called when all that was read before is handled, and it is the
            turn of this connection: thousands may be lost at once.

        @return: Whether it will be, or was; otherwise there is nothing to wait for.
        """
        self._isHeld = False
        isWithin = self._isWorking and not self.waits
        if self._protocol.state in _NOT_OPEN or isWithin:
            self._data, self._at = b"", 0
            return False
        self._lost = then
        if not self.waits:
            self._turns.offer(self, self._reactor)
            return True
        # The output cannot be full any more, so a line that is held only because of
        # that goes on.  A line that the inbox has paused waits until there is room.
        self._line.drop()
        if not self._line.isHeld:
            self._turns.add(self, self._reactor)
        return True

    def end(self) -> None:
        """
        The connection is gone.  Nothing here leads to the protocol any more.
        """
        self._data, self._at = b"", 0
        self._protocol, self._line, self._lost = None, _GONE, None

    def _settle(self) -> None:
        """
        Have the transport read no more while something waits here.
        """
        protocol = self._protocol
        if protocol is None:
            # The connection was lost meanwhile.
            return
        if self._data:
            if not self._isHeld and self._lost is None:
                self._isHeld = True
                protocol.transport.pauseProducing()
            if not self._line.isHeld:
                self._turns.add(self, self._reactor)
        elif self._lost is not None:
            then, self._lost = self._lost, None
            then()
        elif self._isHeld:
            self._isHeld = False
            if not self._line.isHeld:
                protocol.transport.resumeProducing()

    # One slice of it.

    def _work(self, most: int, now: float) -> None:
        """
        Handle some frames.
        """
        self._isWorking = True
        self._answers.hold()
        try:
            self._slice(most, now + _SLICE)
        except BaseException:
            self._data, self._at = b"", 0
            raise
        finally:
            self._isWorking, self._isSettled = False, True
            self._answers.release()

    def _slice(self, most: int, until: float) -> None:
        protocol, line = self._protocol, self._line
        own = vars(protocol)
        # A name that is new comes last: to look through all takes longer than to
        # read a frame.
        if len(own) != self._names or next(reversed(own)) != self._lastName:
            self._look(own)
        if protocol.data:
            # What Autobahn has looked at, and was to look at again: the beginning of
            # a frame, as a rule.
            self._data = protocol.data + self._data
            protocol.data = b""
        while True:
            if (
                protocol.state == _OPEN
                and protocol.current_frame is None
                and not protocol.inside_message
                and self._isOrdinary()
            ):
                most = self._shortWay(most, until)
            if protocol.state == _CLOSED or self._at >= len(self._data):
                break
            if most <= 0 or line.isHeld:
                return
            self._autobahnsWay()
            most = most - 1 if self._seconds() < until else 0
        self._data, self._at = b"", 0

    def _look(self, own: dict[str, Any]) -> None:
        """
        See whether the application has given this one protocol methods of its own.
        """
        self._names, self._lastName = len(own), next(reversed(own))
        if not own.keys().isdisjoint(_SEEN):
            self._isShort = self._pings = self._pongs = False

    def _isOrdinary(self) -> bool:
        """
        Whether nothing is asked for that only Autobahn does.  Each of these can
        be set at any time.
        """
        protocol = self._protocol
        return (
            self._isShort
            and protocol._perMessageCompress is None
            and protocol.trackedTimings is None
            and protocol._listeners is None
            and protocol.applyMask
            and not protocol.logFrames
        )

    def _shortWay(self, most: int, until: float) -> int:
        """
        Handle frames for as long as they are ordinary.

        @return: How many more may be handled.
        """
        protocol, line, seconds = self._protocol, self._line, self._seconds
        largest = _SMALL
        if 0 < protocol.maxMessagePayloadSize < largest:
            largest = protocol.maxMessagePayloadSize
        if 0 < protocol.maxFramePayloadSize < largest:
            largest = protocol.maxFramePayloadSize
        while most > 0 and not line.isHeld:
            found = _ordinary(self._data, self._at, largest)
            if found is None:
                break
            kind, payload, end = found
            if kind <= _BINARY:
                if not self._message(kind, payload, end):
                    break
                if protocol.state != _OPEN or protocol._listeners is not None:
                    break
            elif not self._control(kind, payload, end):
                break
            if self._at >= len(self._data):
                break
            most = most - 1 if seconds() < until else 0
        return most

    def _message(self, kind: int, payload: bytes, end: int) -> bool:
        """
        @return: Whether it was taken.
        """
        protocol = self._protocol
        if kind == _TEXT and protocol.utf8validateIncoming and not payload.isascii():
            try:
                payload.decode("utf-8")
            except UnicodeDecodeError:
                return False
        size = len(payload)
        stats = protocol.trafficStats
        stats.incomingOctetsWebSocketLevel += size
        stats.incomingOctetsAppLevel += size
        stats.incomingWebSocketFrames += 1
        stats.incomingWebSocketMessages += 1
        if protocol.autoPingTimeoutCall and protocol.autoPingRestartOnAnyTraffic:
            protocol._cancelAutoPingTimeoutCall()
        # Before the application is called, which may have more of it handled.
        self._at = end
        protocol._onMessage(payload, kind == _BINARY)
        return True

    def _control(self, kind: int, payload: bytes, end: int) -> bool:
        """
        @return: Whether it was taken.
        """
        if kind == _PING and self._pings:
            self._answers.pong(payload)
        elif (
            kind == _PING
            or not self._pongs
            or payload == self._protocol.autoPingPending
        ):
            return False
        # Another pong means nothing.  Autobahn would log a line for each.
        self._at = end
        return True

    # One frame, or what there is of it, for Autobahn.

    def _autobahnsWay(self) -> None:
        protocol = self._protocol
        data, at = self._data, self._at
        if protocol.current_frame is None:
            end = _endOf(data, at)
        else:
            masker = protocol.current_frame_masker
            end = at + protocol.current_frame.length - masker.pointer()
        isWhole = end <= len(data)
        self._at = min(end, len(data))
        protocol.data = data[at:end]
        while protocol.processData() and protocol.state != _CLOSED:
            pass
        if not isWhole:
            # Each piece is an object.  They would take forty times as much memory as
            # there are bytes in them, if a client sends bytes one by one.
            pieces = vars(protocol).get("frame_data")
            if pieces and len(pieces) > _PIECES:
                pieces[:] = [b"".join(pieces)]
        elif protocol.data or protocol.current_frame is not None:
            # It has found something wrong, and looks at nothing more until more
            # is read.  Then it begins with this.
            protocol.data += self._data[self._at :]
            self._at = len(self._data)

    def began(self) -> None:
        """
        Autobahn has read the head of a frame.
        """
        protocol = self._protocol
        opcode = protocol.current_frame.opcode
        if opcode >= _CONTROL:
            return
        self._fragments = self._fragments + 1 if opcode == 0 else 1
        most = self._most
        if self._fragments > most and not protocol.failedByMe:
            # Empty ones count against no size, and each costs as much as others.
            protocol.wasMaxMessagePayloadSizeExceeded = True
            protocol._max_message_size_exceeded(
                self._fragments,
                most,
                f"received a WebSocket message of more than {most} frames",
            )


def _ordinary(data: bytes, at: int, largest: int) -> tuple[int, bytes, int] | None:
    """
    Read the frame that begins there, if it is ordinary.

    @return: Its first byte, its payload, and where it ends.
    """
    whole = len(data)
    body = at + _LEAST
    if body > whole:
        return None
    kind, length = data[at], data[at + 1]
    if kind not in _KINDS or length < _MASKED:
        return None
    length -= _MASKED
    if length >= _TWO_BYTES:
        # A control frame of this size, and a length in more bytes than it needs,
        # are errors.
        if length == _EIGHT_BYTES or kind > _BINARY:
            return None
        length = data[at + 2] << 8 | data[at + 3]
        body += 2
        if length < _TWO_BYTES:
            return None
    end = body + length
    if end > whole or length > largest:
        return None
    # The mask and the payload behind it as one number.  Its exclusive or with the mask
    # over and over has no mask before it: the payload is what is left.
    masked = int.from_bytes(data[body - 4 : end], "big")
    mask = masked >> 8 * length
    words = length + 7 >> 2
    ones = _ONES[words] if words < _FEW_WORDS else _MOST_ONES >> 32 * (_WORDS - words)
    repeated = mask * ones >> 8 * (4 * words - 4 - length)
    return kind, (masked ^ repeated).to_bytes(length, "big"), end


def _endOf(data: bytes, at: int) -> int:
    """
    @return: Where the frame ends that begins there; the end of all, as long as
        that cannot be said.
    """
    whole = len(data)
    if at + 2 > whole:
        return whole
    length = data[at + 1] & _LENGTH
    body = at + 2
    if length >= _TWO_BYTES:
        body += 2 if length == _TWO_BYTES else 8
        length = int.from_bytes(data[at + 2 : body], "big")
    if data[at + 1] & _MASKED:
        body += 4
    return whole if body > whole else body + length
