# -*- test-case-name: tests.service.test_workers -*-
"""
The place of one worker: a process serves there, and when it ends another does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txsessionsock._deferreds import Timer, backOff

from .process import Overseer, WorkerProcess


__all__ = ["Boss", "Patience", "Slot"]

_GRACE = 2.0
"""
How many seconds later than it should have ended a process is killed.
"""

_log = Logger()


@dataclass(frozen=True)
class Patience:
    """
    How patient a parent is with its workers.  Times are in seconds.

    @ivar first: Until a worker that died has a successor; doubled, up to
        C{longest}, each time that one lived for less than C{fast}.

    @ivar tries: After so many such deaths in a row there is no point.

    @ivar start: Until a worker has to be ready.
    """

    first: float = 0.2
    longest: float = 30.0
    fast: float = 5.0
    tries: int = 10
    start: float = 60.0


class Boss(Protocol):
    """
    The owner of the slots: L{Workers<txsessionsock.service.workers.Workers>}.
    """

    hasServed: bool
    """
    Whether any worker was ever ready.
    """

    def spawn(self, number: int, overseer: Overseer) -> WorkerProcess:
        """
        Start a process.

        @raise OSError: That is not possible.
        """

    def giveUp(self, problem: str) -> None:
        """
        End it all.
        """


class Slot:
    """
    The place of one worker.

    @ivar number: Which one.
    """

    def __init__(
        self,
        number: int,
        boss: Boss,
        reactor: IReactorTime,
        *,
        drain: float,
        patience: Patience,
    ) -> None:
        """
        @param drain: How many seconds a process has to end well.
        """
        self.number = number
        self._boss = boss
        self._reactor = reactor
        self._drain = drain
        self._patience = patience
        # The order in which they are told to end.
        self._alive: dict[WorkerProcess, None] = {}
        self._current: WorkerProcess | None = None
        self._successor: WorkerProcess | None = None
        self._replacing: Deferred[bool] | None = None
        # While nobody serves here: until another process is started.
        self._again = Timer(reactor)
        self._fastDeaths = 0
        self._allGone: Deferred[None] | None = None

    def start(self) -> None:
        """
        Have a process serve.
        """
        try:
            self._current = self._spawn()
        except OSError as error:
            self._failed(f"worker {self.number} cannot be started: {error}")

    def _spawn(self) -> WorkerProcess:
        process = self._boss.spawn(self.number, self)
        self._alive[process] = None
        process.expectReady(self._patience.start)
        return process

    def replace(self) -> Deferred[bool]:
        """
        Have another process serve.  The old one ends when the new one is
        ready, so there is always one.

        @return: A L{Deferred} that fires with whether there is a new one.
        """
        replacing = self._replacing = Deferred()
        if self._again.isRunning:
            self._again.stop()
            self._fastDeaths = 0
            self.start()
        else:
            try:
                self._successor = self._spawn()
            except OSError as error:
                _log.error("worker {n}: {why}", n=self.number, why=error)
                self._replaced(False)
        return replacing

    def _replaced(self, result: bool) -> None:
        replacing, self._replacing = self._replacing, None
        if replacing is not None:
            replacing.callback(result)

    def ready(self, process: WorkerProcess) -> None:
        self._boss.hasServed = True
        if process is self._successor:
            old, self._current = self._current, process
            self._successor = None
            assert old is not None
            old.terminate(self._drain + _GRACE)
        if process is self._current:
            _log.info("{process} is ready", process=process)
            if self._successor is None:
                self._replaced(True)

    def ended(self, process: WorkerProcess) -> None:
        del self._alive[process]
        if self._allGone is not None:
            if not self._alive:
                self._allGone.callback(None)
        elif process is self._successor:
            self._successor = None
            _log.error(
                "{process} died before it was ready ({how}); the old one goes on",
                process=process,
                how=process.how,
            )
            self._replaced(False)
        elif process is self._current:
            self._died(process)

    def _died(self, process: WorkerProcess) -> None:
        if not self._boss.hasServed:
            why = f": {process.lastError}" if process.lastError else ""
            self._boss.giveUp(f"{process} cannot start ({process.how}){why}")
            return
        self._current, self._successor = self._successor, None
        if self._reactor.seconds() - process.began >= self._patience.fast:
            self._fastDeaths = 0
        if self._current is None:
            self._failed(f"{process} died ({process.how})")
        else:
            _log.error("{process} died ({how})", process=process, how=process.how)

    def _failed(self, problem: str) -> None:
        """
        There is no process: there will be one, if that has a point.
        """
        self._current = None
        self._replaced(False)
        self._fastDeaths += 1
        if self._fastDeaths >= self._patience.tries:
            self._boss.giveUp(f"{problem}, for the {self._fastDeaths}th time in a row")
            return
        first, longest = self._patience.first, self._patience.longest
        delay = backOff(first, longest, self._fastDeaths - 1)
        _log.error("{problem}; again in {n:g} s", problem=problem, n=delay)
        self._again.start(delay, self.start)

    def stop(self) -> Deferred[None]:
        """
        Have all processes end.

        @return: A L{Deferred} that fires when they are gone.
        """
        self._again.stop()
        if not self._alive:
            return succeed(None)
        gone = self._allGone = Deferred()
        for process in list(self._alive):
            if not process.isEnding:
                process.terminate(self._drain + _GRACE)
        return gone

    def kill(self) -> None:
        """
        End all processes at once.
        """
        for process in list(self._alive):
            process.kill()
