"""
Frames made by hand, right and wrong ones, and servers that get them: a hardened
one and, as the oracle, a plain one of Autobahn's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any
from zlib import Z_SYNC_FLUSH, compressobj

from autobahn.exception import PayloadExceededError
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOfferAccept
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.support.wires import ADDRESS
from txsessionsock._seldom import Seldom
from txsessionsock.limits import Limits
from txsessionsock.origins import Origins
from txsessionsock.testing import HOST
from txsessionsock.websocket import (
    Admission,
    AutobahnTimer,
    Hardened,
    Quiet,
    Turns,
    setLimits,
)


__all__ = [
    "BINARY",
    "CLOSE",
    "MORE",
    "PING",
    "PONG",
    "TEXT",
    "Eavesdropping",
    "Frames",
    "Rules",
    "Server",
    "Wire",
    "closeFrame",
    "factor",
    "frame",
    "parsed",
    "say",
    "unmasked",
]

MORE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

_HANDSHAKE = "\r\n".join(
    (
        "GET / HTTP/1.1",
        f"Host: {HOST}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "\r\n",
    )
).encode()
"""
Compression is used only where the server wants it.
"""


def factor() -> float:
    """
    How many times as long as usual to look for what nobody has thought of:
    C{make fuzz} sets it.
    """
    return float(os.environ.get("FUZZ", "1"))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    width: int | None = None,
    length: int | None = None,
) -> bytes:
    """
    Make a frame.

    @param mask: L{None} for a frame that is not masked.

    @param width: In how many bytes to say how long it is: 0, 2 or 8; as few as
        do unless given.

    @param length: How long it says that it is.
    """
    size = len(payload) if length is None else length
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    first = fin << 7 | rsv << 4 | opcode
    second = (mask is not None) << 7 | {0: size, 2: 126, 8: 127}[width]
    head = bytes((first, second)) + (size.to_bytes(width, "big") if width else b"")
    if mask is None:
        return head + payload
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return head + mask + masked


def closeFrame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """
    Make a close frame.
    """
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def unmasked(opcode: int, payload: bytes = b"") -> bytes:
    """
    Make a frame as a server sends it.
    """
    return frame(opcode, payload, mask=None)


def parsed(data: bytes) -> list[tuple[int, bytes]]:
    """
    Read frames of a server.

    @return: For each, the first byte, and the payload.
    """
    found = []
    while data:
        size, body = data[1] & 127, 2
        assert data[1] < 128, data
        if size > 125:
            body += 2 if size == 126 else 8
            size = int.from_bytes(data[2:body], "big")
        assert len(data) >= body + size, data
        found.append((data[0], data[body : body + size]))
        data = data[body + size :]
    return found


@dataclass(frozen=True)
class Rules:
    """
    What a factory of hardened protocols needs to have.
    """

    limits: Limits = Limits()  # noqa: RUF009 - frozen
    origins: Origins = field(default_factory=lambda: Origins([]))
    trustProxy: bool = False
    refusals: Seldom = field(default_factory=Seldom)
    shortFrames: bool = True
    turns: Turns = field(default_factory=Turns)
    takesSubprotocols: bool = False
    admission: Admission = field(default_factory=lambda: Admission(Limits()))
    clock: Clock = field(default_factory=Clock)

    def refused(self, kind: str) -> None:
        """
        Nobody counts.
        """

    @cached_property
    def quiet(self) -> Quiet:
        return Quiet(self.refusals, self.clock)


class Wire:
    """
    A transport that writes down what it is told.
    """

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.isPaused = self.isClosed = self.isAborted = False

    def write(self, data: bytes) -> None:
        if not self.isAborted:
            self.writes.append(data)

    def pauseProducing(self) -> None:
        self.isPaused = True

    def resumeProducing(self) -> None:
        self.isPaused = False

    def loseConnection(self) -> None:
        self.isClosed = True

    def abortConnection(self) -> None:
        self.isClosed = self.isAborted = True

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def getPeer(self) -> Any:
        return ADDRESS

    getHost = getPeer


class Eavesdropping(WebSocketServerProtocol):
    """
    Answers, and writes down what it is told.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        stats = self.trafficStats.__json__()
        self.factory.seen.append(("message", payload, isBinary, stats, self.state))
        self.factory.do(self, payload, isBinary)

    def onClose(self, wasClean: bool, code: Any, reason: Any) -> None:
        self.factory.seen.append(("close", wasClean, code, reason))


class Server:
    """
    A server with one connection, which is open.

    @ivar seen: What its protocol was told.

    @ivar wire: Its transport; nothing of the handshake is in there.
    """

    def __init__(
        self,
        protocol: type[WebSocketServerProtocol] = Eavesdropping,
        *,
        do: Any = None,
        limits: Limits | None = None,
        isPlain: bool = False,
        isBefore: bool = True,
        shortFrames: bool = True,
        isTimed: bool = False,
        isCompressed: bool = False,
        **options: Any,
    ) -> None:
        """
        @param do: Called with the protocol, for each message; an echo, unless
            given.

        @param isPlain: Whether it is Autobahn's own.

        @param isBefore: Whether the class of the protocol comes before the hardened
            one, as a subclass does, or after it.

        @param isCompressed: Whether messages may be compressed.

        @param isTimed: Whether to note when what happens.

        @param options: Autobahn's.
        """
        limits = limits or Limits()
        self.clock = Clock()
        factory: Any = WebSocketServerFactory(reactor=self.clock)
        self.factory = factory
        # Autobahn's answer to the handshake is as long as ours without its banner.
        self.factory.server = ""
        self.factory._batched_timer = AutobahnTimer(self.clock)
        self.factory._sessionsock = Rules(
            limits=limits, shortFrames=shortFrames, clock=self.clock
        )
        self.seen: list[Any] = []
        self.factory.seen = self.seen
        self.factory.do = do or _echo
        setLimits(self.factory, limits)
        if isCompressed:
            options["perMessageCompressionAccept"] = _accept
        for name, value in {"allowNullOrigin": True, **options}.items():
            setattr(self.factory, name, value)
        if not isPlain:
            bases = (protocol, Hardened) if isBefore else (Hardened, protocol)
            protocol = type(protocol.__name__, bases, {})
        self.factory.protocol = protocol
        self.protocol: Any = self.factory.buildProtocol(ADDRESS)
        self.wire: Any = Wire()
        self.protocol.makeConnection(self.wire)
        self.protocol.dataReceived(_HANDSHAKE)
        assert self.protocol.state == self.protocol.STATE_OPEN
        self.wire.writes.clear()
        # Of the handshake, too, nothing is compared.
        self.protocol.trafficStats.reset()
        if isTimed:
            self.protocol.setTrackTimings(True)

    @property
    def sent(self) -> bytes:
        """
        All that was sent.
        """
        return b"".join(self.wire.writes)

    def receive(self, data: bytes) -> None:
        """
        Read something, and handle all of it.

        @raise AssertionError: It did not end.
        """
        self.read(data)
        for _ in range(10000):
            if not self.wire.isPaused:
                return
            self.clock.advance(0)
        raise AssertionError("the transport is still paused")

    def read(self, data: bytes) -> None:
        """
        Read something, as the reactor has a protocol do it.
        """
        if self.wire.isAborted:
            return
        try:
            self.protocol.dataReceived(data)
        except (ArithmeticError, PayloadExceededError):
            # What the application raises here.
            self.seen.append("raised")
            self.wire.abortConnection()

    def turn(self) -> None:
        """
        Let the reactor do what is due, but nothing that comes of it.
        """
        clock = self.clock
        due = [each for each in clock.calls if each.getTime() <= clock.seconds()]
        for call in due:
            clock.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)

    def cut(self) -> None:
        """
        Lose the connection.
        """
        self.protocol.connectionLost(Failure(ConnectionLost()))

    def outcome(self) -> Any:
        """
        All that can be seen of it.
        """
        stats = self.protocol.trafficStats.__json__()
        wire = self.wire
        # Those of Autobahn, which are methods; ours are objects.
        times = sorted(
            (call.func.__name__, call.getTime())
            for call in self.clock.calls
            if hasattr(call.func, "__name__")
        )
        state = self.protocol.state
        return self.seen, self.sent, wire.isClosed, wire.isAborted, state, stats, times


def _accept(offers: list[Any]) -> PerMessageDeflateOfferAccept:
    # What a hardened one leaves as it is.
    return PerMessageDeflateOfferAccept(
        offers[0], window_bits=12, mem_level=5, max_message_size=2**20
    )


def say(protocol: Any, *message: Any) -> None:
    """
    Send a message, as a plain protocol does it or as a hardened one.
    """
    if isinstance(protocol, Hardened):
        protocol._sessionsock.write(message)
    else:
        protocol.sendMessage(*message)


def _echo(protocol: Any, payload: bytes, isBinary: bool) -> None:
    if protocol.state == protocol.STATE_OPEN:
        say(protocol, payload, isBinary)


class Frames:
    """
    Frames by chance.
    """

    def __init__(self, random: Random, isCompressed: bool = False) -> None:
        """
        @param isCompressed: Whether some are compressed.
        """
        self._random = random
        self._isCompressed = isCompressed
        self._insideMessage = False

    def some(self, count: int, wrong: float) -> bytes:
        """
        @param wrong: How probable it is that something is wrong with one.
        """
        random = self._random
        return b"".join(
            self._wrong() if random.random() < wrong else self._right()
            for _ in range(count)
        )

    def _mask(self) -> bytes:
        return self._random.choice((self._random.randbytes(4), bytes(4)))

    def _payload(self, isText: bool) -> bytes:
        random = self._random
        size = random.choice((0, 1, 2, 3, 5, 30, 124, 125, 126, 127, 200, 300, 1000))
        if random.random() < 0.03:
            size = random.choice((2000, 4095, 4096, 4097, 5000, 65535, 65536, 70000))
        if not isText:
            return random.randbytes(size)
        alphabet = random.choice(
            ("ab", "aäß", "a€語", "😀a\0", "\u07ff\uffff\U0010ffff")
        )
        text = "".join(random.choice(alphabet) for _ in range(min(size, 300)))
        return (
            (text.encode() * (size // 300 + 1))[:size]
            .decode("utf-8", "ignore")
            .encode()
        )

    def _right(self) -> bytes:
        random = self._random
        what = random.random()
        if what < 0.15:
            opcode = random.choice((PING, PONG))
            payload = random.choice(
                (b"", b"waited for", random.randbytes(random.randrange(126)))
            )
            return frame(opcode, payload, mask=self._mask())
        if what < 0.17:
            return closeFrame(random.choice((1000, 1001, 3000, 4999, None)))
        if self._isCompressed and not self._insideMessage and random.random() < 0.5:
            return self._compressed()
        isText = random.random() < 0.7
        opcode = MORE if self._insideMessage else TEXT if isText else BINARY
        isLast = random.random() < (0.4 if self._insideMessage else 0.85)
        self._insideMessage = not isLast
        payload = self._payload(isText)
        return frame(opcode, payload, fin=isLast, mask=self._mask())

    def _compressed(self) -> bytes:
        random = self._random
        deflate = compressobj(wbits=-15)
        payload = deflate.compress(self._payload(True)) + deflate.flush(Z_SYNC_FLUSH)
        payload = payload[:-4]
        if random.random() < 0.1:
            payload = random.randbytes(20) + payload
        cut = random.randrange(len(payload)) if random.random() < 0.3 else None
        if cut is None:
            return frame(TEXT, payload, rsv=4)
        return frame(TEXT, payload[:cut], rsv=4, fin=False) + frame(MORE, payload[cut:])

    def _wrong(self) -> bytes:
        random = self._random
        payload = random.randbytes(random.choice((0, 1, 2, 10, 125, 126, 130, 300)))
        bad = random.choice(
            (
                b"\xff",
                b"ab\xc3",
                b"\xed\xa0\x80",
                b"\xc0\x80",
                b"\xf4\x90\x80\x80",
                b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
            )
        )
        kinds = TEXT, BINARY, MORE, CLOSE, PING, PONG
        kind = random.choice(kinds)
        make = random.choice(
            (
                lambda: frame(kind, payload, rsv=random.randrange(1, 8)),
                lambda: frame(random.choice((3, 7, 11, 15)), payload),
                lambda: frame(kind, payload, mask=None),
                lambda: frame(kind, payload, fin=False),
                lambda: frame(kind, payload, width=random.choice((2, 8))),
                lambda: frame(kind, payload),
                lambda: frame(TEXT, bad),
                lambda: frame(TEXT, bad, fin=False),
                lambda: frame(CLOSE, bad[:125]),
                lambda: frame(kind, payload, width=8, length=2**63 + 5),
                lambda: frame(kind, payload, width=8, length=2_000_000),
                lambda: random.randbytes(random.randrange(1, 20)),
            )
        )
        return make()
