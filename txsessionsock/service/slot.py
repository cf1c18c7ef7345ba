# -*- test-case-name: tests.test_workers -*-
"""
The place of one worker: a process serves there, and when it ends another does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from .process import Overseer, WorkerProcess


__all__ = ["Boss", "Pace", "Slot"]

_log = Logger()


@dataclass(frozen=True)
class Pace:
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
    Who has the slots.
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
        pace: Pace,
    ) -> None:
        """
        @param drain: How many seconds a process has to end well.
        """
        self.number = number
        self._boss = boss
        self._reactor = reactor
        self._drain = drain
        self._pace = pace
        # All processes, with what is done when they take too long.
        self._alive: dict[WorkerProcess, IDelayedCall] = {}
        self._current: WorkerProcess | None = None
        self._successor: WorkerProcess | None = None
        self._replacing: Deferred[bool] | None = None
        self._waiting: IDelayedCall | None = None
        self._fastDeaths = 0
        self._allGone: Deferred[None] | None = None

    def start(self) -> None:
        """
        Have a process serve.
        """
        self._waiting = None
        try:
            self._current = self._spawn()
        except OSError as error:
            self._failed(f"worker {self.number} cannot be started: {error}")

    def _spawn(self) -> WorkerProcess:
        process = self._boss.spawn(self.number, self)
        limit = self._pace.start
        self._limit(process, limit, f"not ready after {limit:g} s")
        return process

    def _limit(self, process: WorkerProcess, seconds: float, why: str) -> None:
        """
        Kill a process, unless something happens first.
        """

        def tooSlow() -> None:
            _log.error("{process}: {why}: killed", process=process, why=why)
            process.kill()

        self._unlimit(process)
        self._alive[process] = self._reactor.callLater(seconds, tooSlow)

    def _unlimit(self, process: WorkerProcess) -> None:
        call = self._alive.get(process)
        if call is not None and call.active():
            call.cancel()

    def replace(self) -> Deferred[bool]:
        """
        Have another process serve.  The old one ends when the new one is
        ready, so there is always one.

        @return: A L{Deferred} that fires with whether there is a new one.
        """
        replacing = self._replacing = Deferred()
        if self._waiting is not None:
            self._waiting.cancel()
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
        if not process.isEnding:
            self._unlimit(process)
        if process is self._successor:
            old, self._current = self._current, process
            self._successor = None
            assert old is not None
            self._terminate(old)
        if process is self._current:
            _log.info("{process} is ready", process=process)
            if self._successor is None:
                self._replaced(True)

    def _terminate(self, process: WorkerProcess) -> None:
        process.terminate()
        limit = self._drain + 2
        self._limit(process, limit, f"still there {limit:g} s after SIGTERM")

    def ended(self, process: WorkerProcess) -> None:
        self._unlimit(process)
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
        if self._reactor.seconds() - process.began >= self._pace.fast:
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
        if self._fastDeaths >= self._pace.tries:
            self._boss.giveUp(f"{problem}, for the {self._fastDeaths}th time in a row")
            return
        delay = self._pace.first * 2 ** (self._fastDeaths - 1)
        delay = min(delay, self._pace.longest)
        _log.error("{problem}; again in {n:g} s", problem=problem, n=delay)
        self._waiting = self._reactor.callLater(delay, self.start)

    def stop(self) -> Deferred[None]:
        """
        Have all processes end.

        @return: A L{Deferred} that fires when they are gone.
        """
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        if not self._alive:
            return succeed(None)
        gone = self._allGone = Deferred()
        for process in list(self._alive):
            if not process.isEnding:
                self._terminate(process)
        return gone

    def forEach(self, f: Callable[[WorkerProcess], None]) -> None:
        """
        Call a function with each process.
        """
        for process in list(self._alive):
            f(process)
