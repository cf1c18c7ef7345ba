"""
Clients whose connections are cut at a certain stage of their life, and what the
server still has when they are gone.
"""

from __future__ import annotations

import gc
import os
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.tcp import Server

from tests.support.doors import frame, handshake
from tests.support.servers import reactor
from txsessionsock.clients import Phase
from txsessionsock.interfaces import SessionID
from txsessionsock.protocol import SessionSocketProtocol


__all__ = [
    "STAGES",
    "Cutting",
    "Slow",
    "Stage",
    "Staged",
    "accepted",
    "descriptors",
    "objects",
    "residentSize",
]

_LARGE = 300_000
"""
How many bytes the answer has that some clients do not read, and how often they
ask for it: more than the kernel takes.
"""
_OFTEN = 20

_OURS = ("autobahn.", "OpenSSL.", "twisted.internet.", "twisted.web.", "txsessionsock.")
_OURS_TOO = ("twisted.protocols.", "twisted.python.failure", f"{__name__}.Staged")


class Staged(SessionSocketProtocol):
    """
    A protocol that does what a client asks, and waits where it is told to.
    """

    factory: Any

    def onConnect(self, request: Any) -> Any:
        return self._wait() if request.path == "/ws/slow" else None

    def sessionMessageReceived(self, message: Any, session: Any) -> Any:
        return getattr(self, f"_{message}")(session)

    def _wait(self, _: object = None) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self.factory.waiting.append(waiting)
        return waiting

    def _hold(self, session: Any) -> None:
        session["n"] = session.get("n", 0) + 1
        self.send("x" * 1000)

    def _large(self, _: object) -> None:
        self.send("x" * _LARGE)

    def _end(self, _: object) -> None:
        self.close(4000)


class Slow:
    """
    A credential that takes its time, if the path says so.
    """

    awaitsMessage = False

    def __init__(self) -> None:
        self.asked = 0

    def inHandshake(self, request: Any, framework: Any, now: float) -> Any:
        if "slow" not in request.headers:
            return None
        self.asked += 1
        return Deferred[SessionID | None]()

    def inMessage(self, message: object, framework: Any, now: float) -> None:
        return None


class Cutting:
    """
    One client, with a socket that waits; for a thread.

    @ivar isTLS: Whether it speaks TLS.
    """

    def __init__(self, port: int, *, isTLS: bool) -> None:
        self._socket = socket.socket()
        # Little is to be on its way to a client that does not read.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(20.0)
        self._socket.connect(("127.0.0.1", port))
        self._isTLS = isTLS

    def secure(self) -> None:
        """
        Do as TLS has it, where it is TLS.
        """
        if self._isTLS:
            self._socket = _context().wrap_socket(self._socket)

    def send(self, data: bytes) -> None:
        """
        Send something.
        """
        self._socket.sendall(data)

    def shaken(self) -> None:
        """
        Read the answer to the handshake.
        """
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = self._socket.recv(1)
            assert more, head
            head += more
        assert head.startswith(b"HTTP/1.1 101 "), head

    def cut(self, *, isReset: bool) -> None:
        """
        Be gone, with a FIN or a RST.
        """
        if isReset:
            value = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)
        # Not close(), which would say good-bye as TLS has it.
        os.close(self._socket.detach())


@lru_cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Stage:
    """
    A stage in the life of a connection.

    @ivar first: What the client sends, unless that is nothing, which is before
        TLS.

    @ivar more: What it sends when the handshake was answered; L{None} if it
        is not.

    @ivar reached: How many connections of a factory are there.

    @ivar holds: The calls of the store that are not answered meanwhile.
    """

    name: str
    first: Callable[[str], bytes]
    more: bytes | None
    reached: Callable[[Any], int]
    holds: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def come(self, port: int, cookies: list[str], *, isTLS: bool) -> list[Cutting]:
        """
        Connect one client with each cookie; in a thread.
        """
        clients = []
        for cookie in cookies:
            client = Cutting(port, isTLS=isTLS)
            first = self.first(cookie)
            if first:
                client.secure()
                client.send(first)
            if self.more is not None:
                client.shaken()
                client.send(self.more)
            clients.append(client)
        return clients


def _shake(*headers: str, path: str = "/ws") -> Callable[[str], bytes]:
    return lambda cookie: handshake(f"Cookie: {cookie}", *headers, path=path)


def _any(factory: Any) -> int:
    # Nobody tells how much of the first bytes has been read.
    return -1


def _in(phase: Phase) -> Callable[[Any], int]:
    return lambda factory: factory.sockets.statistics().phases[phase]


def _unsent(factory: Any) -> int:
    carriers = [client.handlers.face._sessionsock for client in factory.sockets]
    return sum(carrier.unsent > 0 for carrier in carriers)


def _waiting(factory: Any) -> int:
    return len(factory.waiting)


def _held(factory: Any) -> int:
    return int(factory.sockets.statistics().heldMessages)


_open = _in(Phase.OPEN)

STAGES = (
    Stage("before the first byte", lambda _: b"", None, _any),
    Stage("in the head", lambda cookie: _shake()(cookie)[:-9], None, _any),
    Stage("onConnect waits", _shake(path="/ws/slow"), None, _waiting),
    Stage("a credential waits", _shake("Slow: 1"), b"", _in(Phase.ASKING)),
    Stage("loading", _shake(), b"", _in(Phase.OPENING), ("load", "fence")),
    Stage("idle", _shake(), b"", _open),
    Stage("in a frame", _shake(), frame(b"x" * 100)[:50], _open),
    Stage("in a message", _shake(), frame(b"x" * 9000, final=False), _open),
    Stage("a handler waits", _shake(), frame(b'"wait"') * 3, _waiting),
    Stage("held", _shake(), frame(b'"hold"'), _held, ("replace",)),
    Stage("not read", _shake(), frame(b'"large"') * _OFTEN, _unsent),
    Stage("our close", _shake(), frame(b'"end"'), _in(Phase.CLOSED)),
    Stage("their close", _shake(), frame(b"\x0f\xa1", 0x8), _any),
)


def descriptors() -> int:
    """
    How many descriptors this process has.
    """
    return len(os.listdir("/proc/self/fd"))


def accepted(port: int) -> int:
    """
    How many connections a port has accepted that are being read.
    """
    return sum(
        isinstance(each, Server) and each.getHost().port == port
        for each in reactor.getReaders()
    )


def residentSize() -> int:
    """
    How many bytes this process takes.
    """
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def objects(*more: list[Any]) -> Counter[str]:
    """
    Count all that could be left of a connection, by class.

    @param more: What else to count, such as C{gc.garbage}.
    """
    counts: Counter[str] = Counter()
    for each in chain(*more) if more else gc.get_objects():
        kind = type(each)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name.startswith(_OURS + _OURS_TOO):
            counts[name] += 1
    return counts
