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

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import deferLater
from zope.interface import implementer

from .address import RedisAddress
from .sentinel import Master, Sentinels, encode


__all__ = ["Way", "encode"]

Secure = Callable[[str, IStreamClientEndpoint], IStreamClientEndpoint]

_BACK_OFF = (0.1, 1.0)
"""
How many seconds to wait before a second attempt, and between later ones.
"""

_ATTEMPT_DELAY = 0.02
"""
After how many seconds to try another address of a host beside the first; the
endpoint waits that long even if there is none.
"""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)


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
        self._sentinels: Sentinels | None = None
        if address.service is not None:
            self._sentinels = Sentinels(address, reactor, timeout, self._to)
        self._master: Master | None = None
        self._moved: Callable[[], object] = lambda: None
        self._checking: Deferred[Any] = succeed(None)
        self._isClosed = False
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
            except Exception as error:
                # Endpoints have several words for that they were cancelled.
                if self._isClosed or isinstance(error, CancelledError):
                    raise
                self._troubled(error)

    async def _end(self) -> IStreamClientEndpoint:
        address = self._address
        if address.path is not None:
            return UNIXClientEndpoint(self._reactor, address.path, self._timeout)
        if self._sentinels is None:
            return self._to(*address.hosts[0])
        self._master = None
        self._master = await self._sentinels.master()
        return self._to(*self._master)

    def _to(self, host: str, port: int) -> IStreamClientEndpoint:
        end = HostnameEndpoint(
            self._reactor,
            host,
            port,
            timeout=self._timeout,
            attemptDelay=_ATTEMPT_DELAY,
        )
        return self._secure(host, end)

    def watch(self, moved: Callable[[], object]) -> None:
        """
        Have a function called when most sentinels know another master than
        the one that this led to.
        """
        if self._sentinels is not None:
            self._moved = moved
            self._sentinels.watch(self.check)

    def check(self) -> None:
        """
        Look whether this still leads to the master.
        """
        if self._sentinels is not None and self._master is not None:
            self._checking.cancel()
            checking = self._check(self._sentinels, self._master)
            self._checking = Deferred.fromCoroutine(checking)
            self._checking.addErrback(lambda failure: failure.trap(CancelledError))

    async def _check(self, sentinels: Sentinels, master: Master) -> None:
        if await sentinels.deny(master) and master == self._master:
            self._moved()

    def close(self) -> Deferred[Any]:
        """
        Hear no more of sentinels, and give up when cancelled.
        """
        self._isClosed = True
        self._checking.cancel()
        return succeed(None) if self._sentinels is None else self._sentinels.close()


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
        pem = Path(address.privateKey or "").read_bytes()
        if b"ENCRYPTED" in pem:
            # OpenSSL would ask for it on the terminal.
            raise ValueError("the private key must not have a password")
        key = ssl.KeyPair.load(pem, 1)
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
