# -*- test-case-name: tests.service.test_service -*-
"""
The server that C{twistd sessionsock} runs, as a service.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from signal import SIGHUP
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from txsessionsock._collector import spareProcess
from txsessionsock.clients import SessionSockets
from txsessionsock.manager import (
    SessionManager,
    endAtOnceFromNow,
    endAtOnceWhenAskedAgain,
)
from txsessionsock.web import VisitedSite

from .deadline import LATE, endBy
from .listening import Beside, CannotListen, listen
from .signals import endsWithTerminal, onSignals, report


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

    @ivar listening: Called when it listens.
    """

    listening: Callable[[], object] = staticmethod(lambda: None)

    def __init__(
        self,
        site: VisitedSite,
        endpoints: Sequence[tuple[str, IStreamServerEndpoint]],
        sockets: SessionSockets,
        *,
        drain: float = 10.0,
        reactor: Any = None,
        beside: Beside | None = None,
    ) -> None:
        """
        @param endpoints: Where to listen, and how the user called it.

        @param drain: How many seconds closing and storing may take together.

        @param reactor: Which has this process: its signals and its garbage
            collector.  Unless given, these are left as they are.

        @param beside: What tells how it goes, also while it ends.
        """
        self._beside = beside
        self._site = site
        self._endpoints = endpoints
        self._sockets = sockets
        self._drain = drain
        self._reactor = reactor
        self._isPrepared = False
        self._ports: list[IListeningPort] = []
        self._portsBeside: list[IListeningPort] = []
        self._manager.join(site)

    @property
    def _manager(self) -> SessionManager:
        return self._sockets.manager

    def privilegedStartService(self) -> None:
        """
        Listen, before privileges are shed.

        @raise CannotStart: It is not possible.
        """
        super().privilegedStartService()
        self._isPrepared = True
        try:
            self._ports = listen(self._endpoints, self._site)
            self._portsBeside = [] if self._beside is None else self._beside.listen()
        except CannotListen as error:
            report(str(error))
            raise CannotStart(str(error)) from None
        self.listening()

    def startService(self) -> None:
        if not self._isPrepared:
            # Runners such as twist shed no privileges.
            self.privilegedStartService()
        super().startService()
        if self._reactor is not None:
            # It would end this process at once, with no session stored.
            hungUp = endsWithTerminal(self._reactor.stop, self._hungUp)
            onSignals(self._reactor, {SIGHUP: hungUp})
            endAtOnceWhenAskedAgain(self._reactor)
            endBy(self._drain + LATE, self._reactor)
            self._reactor.callWhenRunning(spareProcess)

    def _hungUp(self) -> None:
        _log.warn("SIGHUP: nothing to do; with --workers, it replaces them one by one")

    def stopService(self) -> Deferred[None]:
        """
        End: no new connections, sockets closed, sessions stored.

        @return: A L{Deferred} that fires when that is done, or the time is up.
        """
        super().stopService()
        if self._reactor is not None:
            endAtOnceFromNow(self._reactor)
        listening, self._ports = self._ports, []
        ending = self._manager.end(*listening, drain=self._drain)
        return ending.addCallback(self._ended)

    def _ended(self, _: None) -> Deferred[None]:
        ports, self._portsBeside = self._portsBeside, []
        closing = DeferredList([maybeDeferred(port.stopListening) for port in ports])
        return closing.addCallback(lambda _: None)
