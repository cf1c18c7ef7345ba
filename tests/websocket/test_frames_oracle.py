"""
Tests for L{txsessionsock.websocket.frames} beside plain Autobahn: of the same
bytes, however they are cut, both make the same messages, the same answers, the
same end and the same statistics.
"""

from __future__ import annotations

from random import Random
from typing import Any
from zlib import Z_SYNC_FLUSH, compressobj

import pytest
from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frames import (
    BINARY,
    MORE,
    PING,
    PONG,
    TEXT,
    Eavesdropping,
    Frames,
    Server,
    closeFrame,
    factor,
    frame,
    say,
)
from txsessionsock.limits import Limits


_UNBOUND = Limits(fragments=10**6)
"""
Autobahn has no limit to the number of frames.
"""


class Controls(Eavesdropping):
    """
    One that looks at control frames.
    """

    def onPing(self, payload: bytes) -> None:
        self.factory.seen.append(("ping", payload))
        super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        self.factory.seen.append(("pong", payload))


class Everything(Controls):
    """
    One that looks at each frame.
    """

    def onMessageBegin(self, isBinary: bool) -> None:
        self.factory.seen.append(("begin", isBinary))
        super().onMessageBegin(isBinary)

    def onMessageFrameData(self, payload: bytes) -> None:
        self.factory.seen.append(("data", payload))
        super().onMessageFrameData(payload)

    def sendFrame(self, *args: Any, **options: Any) -> None:
        self.factory.seen.append("sent")
        super().sendFrame(*args, **options)


def _moody(protocol: Any, payload: bytes, isBinary: bool) -> None:
    """
    Do what a payload says by its size.
    """
    if protocol.state != protocol.STATE_OPEN:
        return
    what = len(payload)
    if what == 3:
        protocol.sendClose(4000, "three")
    elif what == 5:
        say(protocol, payload, isBinary)
        say(protocol, payload * 30, isBinary, 20)
        protocol.sendMessage(payload * 50, isBinary)
        say(protocol, payload, not isBinary, None, False, True)
    elif what == 30:
        protocol.beginMessage(isBinary)
        protocol.sendMessageFrame(payload)
        protocol.endMessage()
    elif what == 124:
        protocol.sendPing(payload)
    elif what == 127:
        raise ZeroDivisionError
    elif what == 200:
        protocol.dropConnection(abort=False)
    elif what == 300:
        protocol.sendPreparedMessage(protocol.factory.prepareMessage(payload, isBinary))
    else:
        say(protocol, payload * 2, isBinary)


_OPTIONS: list[dict[str, Any]] = [
    {},
    {"utf8validateIncoming": False},
    {"maxMessagePayloadSize": 200, "maxFramePayloadSize": 0},
    {"maxMessagePayloadSize": 2000, "maxFramePayloadSize": 126},
    {"failByDrop": True},
    {"requireMaskedClientFrames": False},
    {"applyMask": False},
    {"logFrames": True, "logOctets": True},
    {"echoCloseCodeReason": True, "maskServerFrames": False},
    {"autoFragmentSize": 100},
    {"autoPingRestartOnAnyTraffic": False},
    {"isTimed": True},
]


@pytest.mark.fuzz
class OracleTests(SynchronousTestCase):
    """
    Whatever a client sends.
    """

    def setUp(self) -> None:
        self.length = 0

    def both(
        self,
        chunks: list[bytes],
        protocol: type[WebSocketServerProtocol] = Eavesdropping,
        **options: Any,
    ) -> Server:
        """
        Have both servers read the same, and compare.
        """
        servers = [
            Server(protocol, isPlain=isPlain, limits=_UNBOUND, **options)
            for isPlain in (True, False)
        ]
        for server in servers:
            # A pong is waited for.
            ours = server.protocol
            ours.autoPingPendingCall.cancel()
            ours.autoPingPendingCall = None
            ours.autoPingPending = b"waited for"
            ours.autoPingTimeoutCall = server.factory._batched_timer.call_later(
                20.0, ours.onAutoPingTimeout
            )
            for chunk in chunks:
                server.receive(chunk)
        plain, hardened = (server.outcome() for server in servers)
        self.assertEqual(hardened, plain)
        for server in servers:
            server.cut()
        self.assertEqual(servers[1].seen, servers[0].seen)
        return servers[1]

    def test_everyCut(self) -> None:
        """
        The bytes may be cut anywhere.
        """
        sequences = [
            frame(TEXT, b"abc\xc3\xa4") + frame(BINARY, b"\xff" * 130) + frame(TEXT),
            frame(PING, b"p") + frame(PONG) + frame(PING) + frame(TEXT, b"x"),
            frame(TEXT, b"\xe2\x82", fin=False)
            + frame(PING, b"between")
            + frame(MORE, b"\xac")
            + frame(TEXT, b"next"),
            frame(TEXT, b"x") + frame(TEXT, b"\xc3") + closeFrame(),
            frame(TEXT, b"x") + frame(TEXT, b"y", rsv=2) + frame(TEXT, b"z"),
            frame(TEXT, b"x") + frame(TEXT, b"y", mask=None) + closeFrame(),
            frame(TEXT, b"x") + frame(TEXT, b"y", width=2) + closeFrame(),
            frame(TEXT, b"x") + frame(BINARY, b"y", width=8) + frame(TEXT, b"y"),
            frame(TEXT, b"last") + closeFrame(1001, b"bye") + frame(TEXT, b"late"),
            frame(TEXT, b"x") + frame(PING, b"p" * 126) + closeFrame(),
            frame(TEXT, b"x") + frame(PONG, b"p" * 130) + frame(TEXT, b"y"),
            frame(TEXT, b"x") + frame(3, b"abc") + frame(MORE, b"y") + closeFrame(),
        ]
        for data in sequences:
            self.both([data])
            self.both([data[i : i + 1] for i in range(len(data))])
            for cut in range(1, len(data)):
                self.both([data[:cut], data[cut:]])

    def test_bomb(self) -> None:
        """
        What is compressed too well, and what is behind it.
        """
        deflate = compressobj(wbits=-15)
        small = deflate.compress(b"x" * 5000) + deflate.flush(Z_SYNC_FLUSH)
        behind = frame(TEXT, b"x") + closeFrame(1009)
        for payload in small[:-4], b"\xff\xfe" * 10, small[:-4] + b"\xff" * 10:
            for cut in 1, len(behind), len(behind) + 2, len(behind) + 20:
                data = frame(TEXT, payload, rsv=4) + behind
                for more in [b""], [frame(PING)], [frame(PING), closeFrame(1009)]:
                    self.both(
                        [data[:-cut], data[-cut:], *filter(None, more)],
                        isCompressed=True,
                        maxMessagePayloadSize=1000,
                    )

    def test_random(self) -> None:
        """
        Whatever comes, by chance, cut by chance, with whatever options and
        whatever the application does.
        """
        for seed in range(round(700 * factor())):
            random = Random(seed)
            isCompressed = random.random() < 0.2
            frames = Frames(random, isCompressed)
            data = frames.some(
                random.randrange(1, 30), random.choice((0, 0, 0.03, 0.3))
            )
            chunks = _cut(random, data)
            options = dict(random.choice(_OPTIONS) if random.random() < 0.5 else {})
            if isCompressed:
                # Ours does not try whether compression makes a message short enough.
                options.pop("maxMessagePayloadSize", None)
            do = _moody if random.random() < 0.4 else None
            kind = random.choice((Eavesdropping,) * 4 + (Everything, Controls))
            options["isCompressed"] = isCompressed
            if isCompressed:
                # A hardened one does not compress what might grow beyond that.
                options.pop("maxMessagePayloadSize", None)
            options["isBefore"] = random.random() < 0.5
            try:
                self.both(chunks, kind, do=do, **options)
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise

    def test_many(self) -> None:
        """
        More than can be handled at once.
        """
        random = Random(0)
        for _ in range(round(3 * factor())):
            data = Frames(random).some(1000, 0)
            self.both([data])
            self.both(_cut(random, data))


def _cut(random: Random, data: bytes) -> list[bytes]:
    if random.random() < 0.2:
        return [data]
    longest = random.choice((1, 3, 50, 500, 5000, 65536))
    if longest < 50 and len(data) > 3000:
        longest = 1000
    chunks = []
    while data:
        size = random.randint(1, longest)
        chunks.append(data[:size])
        data = data[size:]
    return chunks
