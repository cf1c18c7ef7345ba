# -*- test-case-name: tests.test_redis_link -*-
"""
The way to a Redis: over TCP, TLS or a Unix socket, straight or by the word of
its sentinels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer

from ._redisurl import RedisAddress
from .interfaces import StoreUnavailable


__all__ = ["Way", "encode"]

Secure = Callable[[str, IStreamClientEndpoint], IStreamClientEndpoint]

_BACK_OFF = (0.1, 1.0)
"""
How many seconds to wait before a second attempt, and between later ones.
"""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)


def encode(*arguments: bytes) -> bytes:
    """
    A command, as Redis takes it.
    """
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments]
    return b"".join(parts)


@implementer(IStreamClientEndpoint)
class Way:
    """
    An endpoint that does not give up, and whose master is the one that there
    is now.

    @ivar failures: How many attempts have failed in a row; whoever finds a
        connection to be of use sets it to 0.
    """

    def __init__(
        self,
        address: RedisAddress,
        reactor: Any,
        timeout: float,
        troubled: Callable[[BaseException], None],
    ) -> None:
        """
        @param timeout: How many seconds an attempt may take.

        @param troubled: Told why an attempt failed.

        @raise ValueError: A file that the address names is of no use.
        """
        self._address = address
        self._reactor = reactor
        self._timeout = timeout
        self._troubled = troubled
        self._secure: Secure = _security(address)
        self.failures = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._address}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        while True:
            self.failures += 1
            if self.failures > 1:
                first, most = _BACK_OFF
                delay = min(most, first * 2.0 ** min(self.failures - 2, 10))
                await deferLater(self._reactor, delay)
            try:
                end = await self._end()
                return await end.connect(factory)
            except CancelledError:
                raise
            except Exception as error:
                self._troubled(error)

    async def _end(self) -> IStreamClientEndpoint:
        address = self._address
        if address.path is not None:
            return UNIXClientEndpoint(self._reactor, address.path, self._timeout)
        host, port = address.hosts[0]
        if address.service is not None:
            host, port = await self._master()
        return self._to(host, port)

    def _to(self, host: str, port: int) -> IStreamClientEndpoint:
        end = HostnameEndpoint(self._reactor, host, port, timeout=self._timeout)
        return self._secure(host, end)

    async def _master(self) -> tuple[str, int]:
        """
        Ask all sentinels at once, and believe the first that knows.
        """
        found: Deferred[tuple[str, int]] = Deferred()

        def answered(master: tuple[str, int] | None) -> None:
            if master is not None and not found.called:
                found.callback(master)

        def allAnswered(_: object) -> None:
            if not found.called:
                problem = "no sentinel knows where the master is"
                found.errback(StoreUnavailable(problem))

        asking = [
            self._asked(self._to(host, port)) for host, port in self._address.hosts
        ]
        for each in asking:
            each.addCallbacks(answered, lambda _: None)
        DeferredList(asking).addCallback(allAnswered)
        try:
            return await found
        finally:
            for each in asking:
                each.cancel()

    def _asked(self, end: IStreamClientEndpoint) -> Deferred[tuple[str, int] | None]:
        async def ask() -> tuple[str, int] | None:
            connecting: Deferred[Any] = end.connect(Factory.forProtocol(_Question))
            question: _Question = await connecting
            try:
                return await question.ask(self._address)
            finally:
                question.leave()

        return Deferred.fromCoroutine(ask()).addTimeout(self._timeout, self._reactor)


class _Question(LineReceiver, Protocol):
    """
    Asks a sentinel where its master is.  The answer is a list of two strings,
    each on a line of its own after a line with its length.
    """

    def connectionMade(self) -> None:
        self._answer: Deferred[tuple[str, int] | None] = Deferred()
        self._host: str | None = None

    def ask(self, address: RedisAddress) -> Deferred[tuple[str, int] | None]:
        """
        @return: A L{Deferred} of host and port; L{None} if there is no master
            of that name, and another failure if it is no sentinel.
        """
        if address.sentinelPassword is not None:
            user = (address.sentinelUser or "default").encode()
            self._write(encode(b"AUTH", user, address.sentinelPassword.encode()))
        service = (address.service or "").encode()
        self._write(encode(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service))
        return self._answer

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def lineReceived(self, line: bytes) -> None:
        if line[:1] == b"+" or line[:1] == b"$" or line == b"*2":
            pass
        elif line[:1] == b"*":
            self._end(None)
        elif line[:1] == b"-":
            self._fail(line[1:].decode("utf-8", "replace"))
        else:
            text = line.decode("utf-8", "replace")
            if self._host is None:
                self._host = text
            else:
                self._end((self._host, int(text)) if text.isdigit() else None)

    def _end(self, master: tuple[str, int] | None) -> None:
        if not self._answer.called:
            self._answer.callback(master)

    def _fail(self, problem: str) -> None:
        if not self._answer.called:
            self._answer.errback(StoreUnavailable(problem))

    def connectionLost(self, reason: Any = None) -> None:
        self._fail("the sentinel closed the connection")

    def leave(self) -> None:
        """
        Close the connection.
        """
        self._answer.addErrback(lambda _: None)
        transport: Any = self.transport
        transport.abortConnection()


def _security(address: RedisAddress) -> Secure:
    """
    What makes an endpoint as secure as an address asks for.

    @raise ValueError: A file that it names is of no use.
    """
    if not address.isSecure:
        return lambda host, end: end
    try:
        from twisted.internet import ssl  # noqa: PLC0415  # It needs pyOpenSSL.
    except ImportError:
        raise ValueError("rediss: needs pip install txsessionsock[tls]") from None

    def authorities(path: str) -> Any:
        found = _PEM.findall(Path(path).read_bytes())
        if not found:
            raise ValueError("there is no certificate in it")
        return ssl.trustRootFromCertificates(
            [ssl.Certificate.loadPEM(p) for p in found]
        )

    def own(path: str) -> Any:
        certificate = ssl.Certificate.loadPEM(Path(path).read_bytes())
        key = ssl.KeyPair.load(Path(address.privateKey or "").read_bytes(), 1)
        return ssl.PrivateCertificate.fromCertificateAndKeyPair(certificate, key)

    trusted = _read(authorities, address.authorities) or ssl.platformTrust()
    client = _read(own, address.certificate)

    def secure(host: str, end: IStreamClientEndpoint) -> IStreamClientEndpoint:
        options = ssl.optionsForClientTLS(
            host, trustRoot=trusted, clientCertificate=client
        )
        return wrapClientTLS(options, end)

    return secure


def _read(make: Callable[[str], Any], path: str | None) -> Any:
    if path is None:
        return None
    try:
        return make(path)
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from None
    except Exception as error:  # OpenSSL has errors of its own.
        why = str(error) if isinstance(error, ValueError) else "no PEM that is of use"
        raise ValueError(f"{path}: {why}") from None
