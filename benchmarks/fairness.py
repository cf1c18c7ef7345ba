"""
How long a good client waits for its answers beside clients that send without end.

C{python -m benchmarks.fairness} in the top directory takes some seconds for each
kind of flood and mode; the names of kinds may be given, and C{--flooders=200}, and
C{--seconds=5}.  Server, flooders and the good client are one process each, so
three processors are right.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from tests.support.rawsocket import RawSocket
from tests.support.servers import twistd


_MANY = b"[" + b",".join([b"[]"] * 349_000) + b"]"

_SHORT = 125
"""
The longest payload whose length fits into the second byte of a frame.
"""

_FIRST = 0.03
"""
How many seconds the first turn of a flooder may take.
"""

KINDS: dict[str, list[bytes]] = {
    "none": [],
    "slow": [b'["work",0.02]'] * 64,
    "quick": [b'["work",0.0001]'] * 500,
    "tiny": [b"[1]"] * 5000,
    "wide": [_MANY],
    "almost too wide": [_MANY[: 3 * 49_990] + b"1]"],
}
"""
What a flooder sends again and again.
"""

MODES: dict[str, list[str]] = {"per connection": [], "per message": ["--per-message"]}


def framed(payloads: Iterable[bytes]) -> bytes:
    """
    Messages as frames, with a mask of zeros.
    """
    data = b""
    for payload in payloads:
        size = len(payload)
        if size <= _SHORT:
            head = bytes((0x80 + size,))
        elif size < 1 << 16:
            head = b"\xfe" + size.to_bytes(2, "big")
        else:
            head = b"\xff" + size.to_bytes(8, "big")
        data += b"\x81" + head + bytes(4) + payload
    return data


def session(port: int) -> str:
    """
    @return: The cookie of a new session.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/add?visits")
    cookie = connection.getresponse().headers["Set-Cookie"]
    return str(cookie.partition("=")[2].partition(";")[0])


@dataclass
class Flooder:
    """
    A client that sends without end, and comes again when it is thrown out.
    """

    port: int
    cookie: str
    data: bytes

    def __post_init__(self) -> None:
        self.sent = 0
        self.socket: socket.socket = RawSocket(self.port, self.cookie)._socket
        self.socket.setblocking(False)

    def send(self) -> None:
        """
        Send as much as goes out, and throw away what comes.
        """
        try:
            self.sent += self.socket.send(self.data[self.sent :])
        except BlockingIOError:
            return
        if self.sent == len(self.data):
            self.sent = 0


def flood(kind: str, port: int, count: int) -> None:
    """
    Be some flooders, until somebody ends this process.
    """
    data = framed(KINDS[kind])
    selector = selectors.DefaultSelector()

    def come(cookie: str) -> None:
        flooder = Flooder(port, cookie, data)
        selector.register(flooder.socket, selectors.EVENT_WRITE, flooder)

    for _ in range(count if data else 0):
        come(session(port))
    print("all are there", flush=True)
    while True:
        for key, _ in selector.select():
            try:
                key.data.send()
            except OSError:
                selector.unregister(key.fileobj)
                key.data.socket.close()
                come(key.data.cookie)


def answers(port: int, seconds: float, count: int) -> list[float]:
    """
    Ask fifty times a second at most.

    @return: How long each answer took.
    """
    # Each flooder is a newcomer once, and each newcomer has its first turn.
    time.sleep(count * _FIRST)
    good, took = RawSocket(port, session(port)), []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        good.ask("here")
        took.append(time.perf_counter() - began)
        time.sleep(0.02)
    good.close()
    return took


async def measure(kind: str, mode: str, count: int, seconds: float) -> list[float]:
    """
    @return: How long each answer took.
    """
    options = ("--protocol", "busy.Busy", "--class", "verbs.Pages", *MODES[mode])
    async with twistd(*options) as server:
        command = [sys.executable, "-m", "benchmarks.fairness", "--flood", kind]
        flooders = subprocess.Popen(
            [*command, str(server.port), str(count)], stdout=subprocess.PIPE
        )
        assert flooders.stdout is not None
        try:
            await deferToThread(flooders.stdout.readline)
            return await deferToThread(answers, server.port, seconds, count)
        finally:
            flooders.kill()
            flooders.wait()


async def main(reactor: object) -> None:
    given = dict(each[2:].split("=") for each in sys.argv[1:] if each[:2] == "--")
    kinds = [each for each in sys.argv[1:] if each[:2] != "--"] or [*KINDS]
    count, seconds = int(given.get("flooders", 2)), float(given.get("seconds", 5))
    for kind in kinds:
        for mode in MODES:
            took = await measure(kind, mode, count, seconds)
            points = quantiles(took, n=100) if len(took) > 1 else took * 99
            print(
                f"{kind}, {mode}: {len(took)} answers, half within"
                f" {1000 * points[49]:.1f} ms, 99 % within {1000 * points[98]:.1f} ms,"
                f" all within {1000 * max(took):.1f} ms",
                flush=True,
            )


def run(reactor: Any) -> Deferred[None]:
    return Deferred.fromCoroutine(main(reactor))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flood"]:
        flood(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        react(run)
