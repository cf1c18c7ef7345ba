# -*- test-case-name: tests.test_service -*-
"""
The server that C{twistd sessionsock} runs, as a service.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from .manager import SessionManager
from .sockets import SessionSockets


__all__ = ["CannotStart", "SessionSockService"]

_log = Logger()


class CannotStart(SystemExit, Exception):
    """
    The server cannot do what it was told to.

    As a L{SystemExit} it makes one line of output, as an L{Exception} it is
    reported to the process that waits for a daemon to start, which would wait
    for ever otherwise.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.code = 1


class SessionSockService(Service):
    """
    Serves a site with session sockets in it, and ends well: on C{SIGTERM} it
    closes every socket with 1001 and stores every session.
    """

    def __init__(
        self,
        site: Site,
        endpoints: Sequence[tuple[str, IStreamServerEndpoint]],
        sockets: SessionSockets,
        *,
        drain: float = 10.0,
        closeStore: Callable[[], Deferred[None]] | None = None,
    ) -> None:
        """
        @param endpoints: Where to listen, and how the user called it.

        @param drain: How many seconds closing and storing may take together.

        @param closeStore: Called at the very end.
        """
        self._site = site
        self._endpoints = endpoints
        self._sockets = sockets
        self._drain = drain
        self._closeStore = closeStore
        self._ports: list[IListeningPort] = []

    @property
    def _manager(self) -> SessionManager:
        return self._sockets.manager

    def privilegedStartService(self) -> None:
        """
        Listen, before privileges are shed.

        @raise CannotStart: It is not possible.
        """
        for description, endpoint in self._endpoints:
            failures: list[Failure] = []
            endpoint.listen(self._site).addCallbacks(
                self._ports.append, failures.append
            )
            if failures:
                _refuse(f"cannot listen on {description}: {_why(failures[0])}")

    async def _end(self) -> None:
        listening, self._ports = self._ports, []
        for port in listening:
            await maybeDeferred(port.stopListening)
        # Sockets that do not answer are cut, but their sessions are stored.
        await self._within(0.7, self._sockets.goAway())
        await self._within(0.2, self._manager.stop())
        if self._closeStore is not None:
            await self._within(0.1, self._closeStore())

    async def _within(self, share: float, work: Deferred[None]) -> None:
        """
        Wait for something, for a share of the time there is.
        """

        def ended(result: object) -> None:
            if isinstance(result, Failure):
                _log.failure("did not end well", result)

        waiting: Deferred[object] = Deferred()
        work.addBoth(ended).addBoth(waiting.callback)
        seconds = share * self._drain
        try:
            await waiting.addTimeout(seconds, self._manager.reactor)
        except TimeoutError:
            _log.warn(
                "gave up after {seconds:g} s, with {count} sockets left",
                seconds=seconds,
                count=len(self._sockets),
            )

    def stopService(self) -> Deferred[None]:
        """
        End: no new connections, sockets closed, sessions stored.

        @return: A L{Deferred} that fires when that is done, or the time is up.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._end())


def _refuse(problem: str) -> NoReturn:
    _log.critical("{problem}", problem=problem)
    # Twisted logs by now what goes to sys.stderr.
    print(f"twistd sessionsock: {problem}", file=sys.__stderr__)
    raise CannotStart(problem)


def _why(failure: Failure) -> str:
    """
    The reason in words, without the address, which is said already.
    """
    error = failure.value
    if isinstance(error, CannotListenError):
        error = error.socketError
    return str(getattr(error, "strerror", None) or error)
