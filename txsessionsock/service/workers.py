# -*- test-case-name: tests.test_workers -*-
"""
Several processes that serve at the same ports: C{twistd sessionsock --workers}.

The parent serves nothing itself.  It makes the sockets, starts the workers,
starts others for those that die, replaces them one by one on C{SIGHUP}, and
ends when all have ended well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from .handover import Handover
from .listening import CannotListen, Sharing, listen
from .process import Overseer, WorkerProcess
from .service import CannotStart
from .signals import endsWithTerminal, exitWith, onSignals, report
from .slot import Pace, Slot


__all__ = ["Command", "Workers"]

_TWISTD = (
    # Ctrl-C is for the parent, also before a worker can say so itself.
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    " from twisted.scripts.twistd import run; run()"
)

_log = Logger()


@dataclass(frozen=True)
class Command:
    """
    How a worker is started.

    @ivar arguments: Those of C{twistd sessionsock}.

    @ivar environment: All variables, but for what tells a worker from others.

    @ivar directory: The current directory.

    @ivar before: Arguments of C{twistd} itself.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    directory: str
    before: Sequence[str] = ()

    @property
    def line(self) -> list[str]:
        """
        The whole command.
        """
        twistd = [*self.before, "-n", "--pidfile=", "-l-", "sessionsock"]
        return [sys.executable, "-P", "-c", _TWISTD, *twistd, *self.arguments]


class Workers(Service):
    """
    The parent of worker processes.

    @ivar hasServed: Whether any was ever ready.

    @ivar listening: Called when it listens.
    """

    listening: Callable[[], object] = staticmethod(lambda: None)
    hasServed = False

    def __init__(
        self,
        count: int,
        endpoints: Sequence[tuple[str, IStreamServerEndpoint]],
        sharing: Sharing,
        command: Command,
        reactor: Any,
        *,
        drain: float = 10.0,
        pace: Pace | None = None,
    ) -> None:
        """
        @param endpoints: Where to listen, and how the user called it; made with
            C{sharing} as their reactor.

        @param drain: How many seconds a worker has to end well.

        @param pace: L{Pace} as it is, unless given.
        """
        self._endpoints = endpoints
        self._sharing = sharing
        self._command = command
        self._reactor = reactor
        pace = Pace() if pace is None else pace
        self._slots = [
            Slot(number, self, reactor, drain=drain, pace=pace)
            for number in range(count)
        ]
        self._isPrepared = False
        self._isEnding = False
        self._hasFailed = False
        self._isReplacing = False
        self._replaceAgain = False

    def privilegedStartService(self) -> None:
        """
        Listen, before privileges are shed.

        @raise CannotStart: It is not possible.
        """
        super().privilegedStartService()
        self._isPrepared = True
        try:
            listen(self._endpoints, Factory())
        except CannotListen as error:
            report(str(error))
            raise CannotStart(str(error)) from None
        self.listening()

    def startService(self) -> None:
        if not self._isPrepared:
            # Runners such as twist shed no privileges.
            self.privilegedStartService()
        super().startService()
        self._nothing = os.open(os.devnull, os.O_RDONLY)
        # The workers have the end to read from.  It says nothing but that we
        # are gone, which no other way does if we are killed.
        self._lifeline, self._life = os.pipe()
        hungUp = endsWithTerminal(self.interrupt, self.hangUp)
        onSignals(
            self._reactor,
            {SIGTERM: self.interrupt, SIGINT: self.interrupt, SIGHUP: hungUp},
        )
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        for slot in self._slots:
            slot.start()

    def spawn(self, number: int, overseer: Overseer) -> WorkerProcess:
        """
        See L{Boss<txsessionsock._slot.Boss>}.
        """
        sockets = self._sharing.socketsOf(number)
        plan = Handover.planned(number, len(sockets))
        process = WorkerProcess(number, plan.ready, overseer, self._reactor)
        line = self._command.line
        self._reactor.spawnProcess(
            process,
            line[0],
            line,
            env={**self._command.environment, **plan.environment()},
            path=self._command.directory,
            childFDs={
                0: self._nothing,
                1: "r",
                2: "r",
                **dict(zip(plan.sockets, sockets, strict=True)),
                plan.lifeline: self._lifeline,
                plan.ready: "r",
            },
        )
        return process

    def giveUp(self, problem: str) -> None:
        """
        End, with 1: there is nobody who serves.
        """
        if self._isEnding:
            return
        report(problem)
        self._hasFailed = True
        self._end()

    def interrupt(self) -> None:
        """
        End, and when that is said again, at once.
        """
        if self._isEnding:
            _log.warn("asked to end again: workers are killed")
            for slot in self._slots:
                slot.forEach(WorkerProcess.kill)
        else:
            _log.info("the workers end")
            self._end()

    def _end(self) -> None:
        self._isEnding = True
        self._reactor.stop()

    def hangUp(self) -> None:
        """
        Replace all workers, one by one.
        """
        if self._isReplacing:
            self._replaceAgain = True
            return
        self._isReplacing = True
        Deferred.fromCoroutine(self._replace()).addErrback(
            lambda failure: _log.failure("replacing the workers failed", failure)
        )

    async def _replace(self) -> None:
        _log.info("the workers are replaced, one by one")
        for slot in self._slots:
            if self._isEnding:
                break
            if not await slot.replace():
                _log.error("the other workers are not replaced")
                break
        self._isReplacing = False
        if self._replaceAgain and not self._isEnding:
            self._replaceAgain = False
            self.hangUp()

    def stopService(self) -> Deferred[None]:
        """
        End all workers.

        @return: A L{Deferred} that fires when they are gone.
        """
        super().stopService()
        self._isEnding = True
        stopping = gatherResults([slot.stop() for slot in self._slots])
        return stopping.addCallback(self._stopped)

    def _stopped(self, result: object) -> None:
        self._sharing.close()
        for descriptor in self._nothing, self._lifeline, self._life:
            os.close(descriptor)
        if self._hasFailed:
            exitWith(1)
