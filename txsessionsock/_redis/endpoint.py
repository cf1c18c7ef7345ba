# -*- test-case-name: tests.real.redis.test_redis_link -*-
"""
How a Redis is reached, and after what delay again: over TCP, TLS or a Unix
socket, at its address or where its sentinels say that the master is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import deferLater
from zope.interface import implementer

from txsessionsock._deferreds import backOff

from .address import RedisAddress
from .sentinel import Master, Sentinels
from .tls import Secure, security


__all__ = ["RedisEndpoint"]

_BACK_OFF = (0.1, 1.0)
"""
How many seconds to wait before a second attempt, and between later ones.
"""

_ATTEMPT_DELAY = 0.02
"""
After how many seconds to try another address of a host beside the first; the
endpoint waits that long even if there is none.
"""


@implementer(IStreamClientEndpoint)
class RedisEndpoint:
    """
    An endpoint that tries again until it is connected.  With sentinels, it
    connects to the server that is the master at that time.

    @ivar failures: How many attempts have failed in a row.  The user sets it
        to 0 when a connection turns out to be of use.
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
        self._secure: Secure = security(address)
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
                await deferLater(self._reactor, backOff(*_BACK_OFF, self.failures - 2))
            try:
                end = await self._end()
                return await end.connect(factory)
            except Exception as error:
                # Not each endpoint fails with CancelledError when it is cancelled.
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
        Have a function called when most sentinels say that another server is
        the master than the one that this led to.
        """
        if self._sentinels is not None:
            self._moved = moved
            self._sentinels.watch(self.check)

    def check(self) -> None:
        """
        Ask the sentinels whether the server that this led to still is the
        master.
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
        Leave the sentinels alone.  From now on, an attempt that is cancelled
        ends, whatever it fails with.
        """
        self._isClosed = True
        self._checking.cancel()
        return succeed(None) if self._sentinels is None else self._sentinels.close()
