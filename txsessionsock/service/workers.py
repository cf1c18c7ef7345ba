# -*- test-case-name: tests.service.test_workers -*-
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
from enum import Enum
from functools import partial
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from .handover import Handover
from .listening import Beside, CannotListen, Sharing, listen
from .process import Overseer, Reports, WorkerProcess
from .service import CannotStart
from .signals import dieOf, endsWithTerminal, exitWith, onSignals, report
from .slot import Patience, Slot


__all__ = ["WorkerCommand", "Workers"]

_TWISTD = (
    # Ctrl-C is for the parent, also before a worker can say so itself.
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    " from twisted.scripts.twistd import run; run()"
)

_log = Logger()


@dataclass(frozen=True)
class WorkerCommand:
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


class _WorkersState(Enum):
    NEW = "nothing is there yet"
    LISTENING = "the sockets are there, and no worker"
    SERVING = "the workers serve, or are started again"
    REPLACING = "they are replaced, one by one"
    REPLACING_AGAIN = "the same, and then all of them once more"
    ENDING = "they end"
    FAILED = "they end, because there is no point"


_NEXT = {
    _WorkersState.NEW: {_WorkersState.LISTENING},
    _WorkersState.LISTENING: {_WorkersState.SERVING, _WorkersState.ENDING},
    _WorkersState.SERVING: {
        _WorkersState.REPLACING,
        _WorkersState.ENDING,
        _WorkersState.FAILED,
    },
    _WorkersState.REPLACING: {
        _WorkersState.SERVING,
        _WorkersState.REPLACING_AGAIN,
        _WorkersState.ENDING,
        _WorkersState.FAILED,
    },
    _WorkersState.REPLACING_AGAIN: {
        _WorkersState.SERVING,
        _WorkersState.ENDING,
        _WorkersState.FAILED,
    },
    _WorkersState.ENDING: set(),
    _WorkersState.FAILED: set(),
}
"""
Which state may follow which.
"""


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
        command: WorkerCommand,
        reactor: Any,
        *,
        drain: float = 10.0,
        patience: Patience | None = None,
        beside: Beside | None = None,
        reports: Reports | None = None,
    ) -> None:
        """
        @param endpoints: Where to listen, and how the user called it; made with
            C{sharing} as their reactor.

        @param drain: How many seconds a worker has to end well.

        @param patience: L{Patience} as it is, unless given.

        @param beside: What tells how it goes, also while it ends.

        @param reports: Is told the figures of the workers.
        """
        self._beside = beside
        self._reports = reports
        self._portsBeside: list[Any] = []
        self._endpoints = endpoints
        self._sharing = sharing
        self._command = command
        self._reactor = reactor
        patience = Patience() if patience is None else patience
        self._slots = [
            Slot(number, self, reactor, drain=drain, patience=patience)
            for number in range(count)
        ]
        self._state = _WorkersState.NEW

    def _become(self, state: _WorkersState) -> None:
        if state not in _NEXT[self._state]:
            raise RuntimeError(
                f"workers: after {self._state.name} comes no {state.name}"
            )
        self._state = state

    @property
    def isEnding(self) -> bool:
        """
        Whether the workers end.
        """
        return self._isEnding

    @property
    def _isEnding(self) -> bool:
        return self._state in (_WorkersState.ENDING, _WorkersState.FAILED)

    def privilegedStartService(self) -> None:
        """
        Listen, before privileges are shed.

        @raise CannotStart: It is not possible.
        """
        super().privilegedStartService()
        try:
            listen(self._endpoints, Factory())
            self._portsBeside = [] if self._beside is None else self._beside.listen()
        except CannotListen as error:
            report(str(error))
            raise CannotStart(str(error)) from None
        self._become(_WorkersState.LISTENING)
        self.listening()

    def startService(self) -> None:
        if self._state is _WorkersState.NEW:
            # Runners such as twist shed no privileges.
            self.privilegedStartService()
        super().startService()
        self._nothing = os.open(os.devnull, os.O_RDONLY)
        # A pipe to which nobody writes.  The workers have its end to read from,
        # which is closed when we are gone, also when we are killed.
        self._lifeline, self._life = os.pipe()
        terminate, interrupt, end = (
            partial(self.end, number) for number in (SIGTERM, SIGINT, SIGHUP)
        )
        hungUp = endsWithTerminal(end, self.hangUp)
        onSignals(
            self._reactor, {SIGTERM: terminate, SIGINT: interrupt, SIGHUP: hungUp}
        )
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        if self._isEnding:
            return
        self._become(_WorkersState.SERVING)
        for slot in self._slots:
            slot.start()

    def spawn(self, number: int, overseer: Overseer) -> WorkerProcess:
        """
        See L{Boss<txsessionsock.service.slot.Boss>}.
        """
        sockets = self._sharing.socketsOf(number)
        plan = Handover.planned(number, len(sockets))
        process = WorkerProcess(
            number, plan.ready, overseer, self._reactor, self._reports
        )
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
        if not self._isEnding:
            report(problem)
            self._become(_WorkersState.FAILED)
            self._reactor.stop()

    def end(self, number: Signals) -> None:
        """
        End, and when that is said again, at once.

        @param number: The signal, of which this process dies if it cannot end well.
        """
        if self._isEnding:
            _log.warn("asked to end again: workers are killed")
            dieOf(number)
            for slot in self._slots:
                slot.kill()
        else:
            _log.info("the workers end")
            self._become(_WorkersState.ENDING)
            self._reactor.stop()

    def hangUp(self) -> None:
        """
        Replace all workers, one by one.  If they are being replaced, a worker
        may have started before what it is to see was changed: then all of them
        are replaced once more.
        """
        if self._state is _WorkersState.SERVING:
            self._become(_WorkersState.REPLACING)
            Deferred.fromCoroutine(self._replace()).addErrback(
                lambda failure: _log.failure("replacing the workers failed", failure)
            )
        elif self._state is _WorkersState.REPLACING:
            self._become(_WorkersState.REPLACING_AGAIN)

    async def _replace(self) -> None:
        _log.info("the workers are replaced, one by one")
        for slot in self._slots:
            if self._isEnding:
                return
            if not await slot.replace():
                _log.error("the other workers are not replaced")
                break
        if self._isEnding:
            return
        isAskedAgain = self._state is _WorkersState.REPLACING_AGAIN
        self._become(_WorkersState.SERVING)
        if isAskedAgain:
            self.hangUp()

    def stopService(self) -> Deferred[None]:
        """
        End all workers.

        @return: A L{Deferred} that fires when they are gone.
        """
        super().stopService()
        if not self._isEnding:
            self._become(_WorkersState.ENDING)
        stopping = gatherResults([slot.stop() for slot in self._slots])
        return stopping.addCallback(self._stopped)

    def _stopped(self, result: object) -> None:
        ports, self._portsBeside = self._portsBeside, []
        for port in ports:
            port.stopListening()
        self._sharing.close()
        for descriptor in self._nothing, self._lifeline, self._life:
            os.close(descriptor)
        if self._state is _WorkersState.FAILED:
            exitWith(1)
