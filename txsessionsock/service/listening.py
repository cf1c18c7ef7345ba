# -*- test-case-name: tests.real.twistd.test_listening -*-
"""
Ports that several processes listen at: the parent makes a socket for each of
them, and each adopts its own.

Both go through Twisted's endpoints, which are given what is below in place of a
reactor.  So C{ssl:} and C{tls:} wrap the factory in each worker as they would
without workers.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure


__all__ = ["Adopting", "Beside", "CannotListen", "Sharing", "endpointAt", "listen"]

_BACKLOG = 1024
"""
How many connections wait while this process is busy, or a worker is replaced.
Twisted's default is 50.  A client that finds no place tries again after a second,
after two more, and so on.
"""

_QUEUES = re.compile(r"((?:haproxy:)?(?:tcp6?|ssl|tls|unix):)(.*)", re.DOTALL)
"""
The kinds of endpoint that have a C{backlog}.
"""

_log = Logger()


@dataclass(frozen=True)
class Beside:
    """
    A site that is served beside the public one, and until all has ended.

    @ivar description: Where, as the user called it, and C{endpoint}, the same.
    """

    description: str
    endpoint: IStreamServerEndpoint
    site: IProtocolFactory

    def listen(self) -> list[Any]:
        """
        @raise CannotListen: It is not possible.
        """
        return listen([(self.description, self.endpoint)], self.site)


class CannotListen(Exception):
    """
    An endpoint cannot be listened at; the message says which, and why.
    """


def endpointAt(description: str, reactor: Any) -> IStreamServerEndpoint:
    """
    @return: What a description means, with our backlog unless it has another.
    """
    queue = _QUEUES.fullmatch(description)
    if queue is not None:
        # What comes later wins.  One without a name clashes.
        kind, rest = queue.groups()
        with suppress(TypeError):
            return _fromString(reactor, f"{kind}backlog={_BACKLOG}:{rest}")
    return _fromString(reactor, description)


def _fromString(reactor: Any, description: str) -> IStreamServerEndpoint:
    return IStreamServerEndpoint(serverFromString(reactor, description))


def listen(
    endpoints: Sequence[tuple[str, IStreamServerEndpoint]], factory: IProtocolFactory
) -> list[Any]:
    """
    @param endpoints: Where, and how the user called it.

    @return: What listens, one for each.

    @raise CannotListen: It is not possible.
    """
    ports: list[IListeningPort] = []
    for description, endpoint in endpoints:
        failures: list[Failure] = []
        endpoint.listen(factory).addCallbacks(ports.append, failures.append)
        if failures:
            why = _why(failures[0])
            raise CannotListen(f"cannot listen on {description}: {why}")
    return ports


def _why(failure: Failure) -> str:
    """
    The reason in words, without the address, which is said already.
    """
    error = failure.value
    if isinstance(error, CannotListenError):
        error = error.socketError
    return str(getattr(error, "strerror", None) or error)


class Sharing:
    """
    What makes the sockets of all workers, in the parent, which keeps them for
    ever: what waits in one for a worker that died is there for the next.
    """

    def __init__(self, count: int) -> None:
        """
        @param count: For how many workers.
        """
        self._count = count
        self.sockets: list[list[socket.socket]] = []

    def listenTCP(
        self, port: int, factory: object, backlog: int = 50, interface: str = ""
    ) -> int:
        """
        @return: The number of the port.
        """
        bind = _binding(port, interface)
        made = []
        if port:
            # Sockets that share a port would share it with those of another
            # instance, too.
            bind(port, shared=False, backlog=backlog).close()
        for _ in range(self._count):
            made.append(bind(port, shared=True, backlog=backlog))
            port = made[0].getsockname()[1]
        self.sockets.append(made)
        _log.info("Site starting on {port}", port=port)
        return port

    def listenSSL(
        self,
        port: int,
        factory: object,
        contextFactory: object,
        backlog: int = 50,
        interface: str = "",
    ) -> int:
        """
        @return: The number of the port.
        """
        return self.listenTCP(port, factory, backlog, interface)

    def socketsOf(self, number: int) -> list[int]:
        """
        @return: The file descriptors for one worker, in the order of the
            endpoints.
        """
        return [made[number].fileno() for made in self.sockets]

    def close(self) -> None:
        """
        No worker will need them.
        """
        for made in self.sockets:
            for each in made:
                each.close()
        self.sockets = []


def _binding(port: int, interface: str) -> Callable[..., socket.socket]:
    isV6 = isIPv6Address(interface)
    family = socket.AF_INET6 if isV6 else socket.AF_INET
    found = socket.getaddrinfo(
        interface or None, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
    )
    address: Any = found[0][4]

    def bind(port: int, *, shared: bool, backlog: int) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind((address[0], port, *address[2:]))
            made.listen(backlog)
        except BaseException:
            made.close()
            raise
        return made

    return bind


class Adopting:
    """
    What has a worker listen at the sockets that it was handed, in the order in
    which they were made.
    """

    def __init__(self, reactor: Any, sockets: Sequence[int]) -> None:
        """
        @param sockets: File descriptors.
        """
        self._reactor = reactor
        self._sockets = list(sockets)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Listen.
        """
        with closing(socket.socket(fileno=self._sockets.pop(0))) as handed:
            handed.set_inheritable(False)
            adopted: IListeningPort = self._reactor.adoptStreamPort(
                handed.fileno(), handed.family, factory
            )
        return adopted

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """
        Listen, and encrypt.
        """
        wrapped = TLSMemoryBIOFactory(contextFactory, False, factory)
        return self.listenTCP(port, wrapped, backlog, interface)
