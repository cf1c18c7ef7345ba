"""
What a small message costs the carrier: an echo of 64 bytes of JSON with a counter
in the session, 50 connections, one and sixteen messages in flight on each.

    python -m benchmarks.frames                      # this tree
    python -m benchmarks.frames --beside ../other    # and another one, in turns
    python -m benchmarks.frames --profile            # where the time goes

The server runs on one processor and what loads it on another, each in a process
of its own.  Beside how many messages came back in a second, it tells how much time
of its processor the server took for each, which says more where others work too.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median


CONNECTIONS = 50
DEPTHS = 1, 16
WARM_UP = 0.5

_ROOT = Path(__file__).resolve().parent.parent
_ECHO = _ROOT / "benchmarks" / "echo.py"
_MASK = b"\x37\xfa\x21\x3d"


class _Server:
    """
    One in a process of its own.
    """

    def __init__(self, tree: Path, profile: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_ECHO), str(CONNECTIONS), *["--profile"] * profile],
            env={**os.environ, "PYTHONPATH": str(tree)},
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, {min(os.sched_getaffinity(0))})
        assert self._process.stdout is not None
        self.port, self.cookies = json.loads(self._process.stdout.readline())

    @property
    def seconds(self) -> float:
        """
        How much time of a processor it has taken.
        """
        stat = Path(f"/proc/{self._process.pid}/stat").read_text("ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


# What loads it.


def _connect(port: int, cookie: str) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port), 10)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    lines = (
        "GET / HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Cookie: {cookie}",
        "\r\n",
    )
    found.sendall("\r\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += found.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head[:100]
    return found


def _message() -> bytes:
    message = {"n": "0" * 10, "pad": "x" * 37}
    payload = json.dumps(message, separators=(",", ":")).encode()
    assert len(payload) == 64, len(payload)  # noqa: PLR2004 - as the text has it
    return payload


def load(server: _Server, depth: int, seconds: float) -> tuple[float, float]:
    """
    Have so many messages on their way on each connection, for so long.

    @return: How many came back in a second, and how many microseconds of the
        server each took.
    """
    payload = _message()
    masked = bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))
    frame = bytes((0x81, 0x80 | len(payload))) + _MASK + masked
    size = 2 + len(payload)
    connections = [_connect(server.port, cookie) for cookie in server.cookies]
    waiting = {each.fileno(): each for each in connections}
    rest = dict.fromkeys(waiting, 0)
    poll = select.epoll()
    for descriptor in waiting:
        poll.register(descriptor, select.EPOLLIN)
    for each in connections:
        each.sendall(frame * depth)
    count, began, used = 0, 0.0, 0.0
    start = time.perf_counter()
    while True:
        now = time.perf_counter()
        if not began and now - start > WARM_UP:
            count, began, used = 0, now, server.seconds
        elif began and now - began > seconds:
            break
        for descriptor, _ in poll.poll(1):
            each = waiting[descriptor]
            came = rest[descriptor] + len(each.recv(65536))
            answered, rest[descriptor] = divmod(came, size)
            count += answered
            each.send(frame * answered)
    lasted, used = now - began, server.seconds - used
    for each in connections:
        each.close()
    return count / lasted, used / count * 1e6


def compare(trees: list[Path], rounds: int, seconds: float) -> None:
    """
    Load the servers of these trees, in turns, and print what is typical.
    """
    servers = [_Server(tree) for tree in trees]
    try:
        print(f"{'':24}  messages/s   µs of the server for each")
        for depth in DEPTHS:
            found: list[list[tuple[float, float]]] = [[] for _ in servers]
            for _ in range(rounds):
                for server, results in zip(servers, found, strict=True):
                    results.append(load(server, depth, seconds))
            for tree, results in zip(trees, found, strict=True):
                rates, times = zip(*results, strict=True)
                print(
                    f"{depth:3} in flight  {tree.name:10}"
                    f" {median(rates):10.0f} {median(times):10.1f}"
                )
            if len(trees) > 1:
                pairs = list(zip(*found, strict=True))
                rate = median(a[0] / b[0] for a, b in pairs)
                less = median(b[1] / a[1] for a, b in pairs)
                print(f"{depth:3} in flight  {'ratio':10} {rate:10.2f} {less:10.2f}")
    finally:
        for server in servers:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--beside", type=Path, help="another tree")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--depth", type=int, help="with --profile", default=16)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--quick", action="store_true", help="no figures")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    tree = _ROOT
    if options.profile:
        server = _Server(options.beside or tree, True)
        print(load(server, options.depth, options.seconds))
        server.stop()
        return
    others = [options.beside.resolve()] if options.beside else []
    if options.quick:
        options.rounds, options.seconds = 1, 0.5
    compare([tree, *others], options.rounds, options.seconds)


if __name__ == "__main__":
    main()
