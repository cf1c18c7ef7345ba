# -*- test-case-name: tests.service.test_workers -*-
"""
A worker process, as its parent sees it.
"""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer


__all__ = ["Overseer", "Reports", "WorkerProcess"]

_LINGER = 1.0
"""
For how many seconds a process that is gone may have left its output to others,
which it started.
"""

_STANDARD_ERROR = 2

_LONGEST_LINE = 64 * 1024

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\S+ ")

_log = Logger()


class Overseer(Protocol):
    """
    What a process reports to: a L{Slot<txsessionsock.service.slot.Slot>}.
    """

    def ready(self, process: WorkerProcess) -> None:
        """
        It listens.
        """

    def ended(self, process: WorkerProcess) -> None:
        """
        It is gone.
        """


class Reports(Protocol):
    """
    Is told how processes go: L{Totals<txsessionsock.metrics.Totals>}.
    """

    def told(self, who: object, line: bytes) -> None:
        """
        One has told its figures.
        """

    def gone(self, who: object) -> None:
        """
        It has ended.
        """


class _ProcessState(Enum):
    STARTING = "it does not listen yet"
    READY = "it listens"
    ENDING = "it was asked to end"
    GONE = "it has ended, and so has its output"


class WorkerProcess(ProcessProtocol):
    """
    One process.  What it logs goes to our log, with its number and pid.

    @ivar began: When it was started.

    @ivar how: How it ended, in words.

    @ivar lastError: The last line of its standard error.
    """

    transport: Any
    how = ""
    lastError = ""

    def __init__(
        self,
        number: int,
        readyDescriptor: int,
        overseer: Overseer,
        reactor: Any,
        reports: Reports | None = None,
    ) -> None:
        """
        @param readyDescriptor: Where it says that it is ready, and then its figures,
            if they are wanted.
        """
        self.number = number
        self._readyDescriptor = readyDescriptor
        self._overseer = overseer
        self._reports = reports
        self.began = reactor.seconds()
        self._unfinished: dict[int, bytes] = {}
        self._deadline = Timer(reactor)
        self._lingering = Timer(reactor)
        self._state = _ProcessState.STARTING

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"

    def connectionMade(self) -> None:
        self.pid = self.transport.pid

    @property
    def isEnding(self) -> bool:
        """
        Whether it was asked to end.
        """
        return self._state is _ProcessState.ENDING

    def expectReady(self, seconds: float) -> None:
        """
        Kill it, unless it is ready in time.
        """
        self._deadline.start(seconds, self._late, f"not ready after {seconds:g} s")

    def terminate(self, seconds: float) -> None:
        """
        Ask it to end well, and kill it unless it does in time.
        """
        self._state = _ProcessState.ENDING
        self._signal("TERM")
        why = f"still there {seconds:g} s after SIGTERM"
        self._deadline.start(seconds, self._late, why)

    def _late(self, why: str) -> None:
        _log.error("{process}: {why}: killed", process=self, why=why)
        self.kill()

    def kill(self) -> None:
        """
        End it.
        """
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == self._readyDescriptor and self._state is _ProcessState.STARTING:
            # One that was asked to end meanwhile is of no use any more.
            self._state = _ProcessState.READY
            self._deadline.stop()
            self._overseer.ready(self)
        *lines, rest = (self._unfinished.get(childFD, b"") + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        self._unfinished[childFD] = rest
        for line in lines:
            if childFD == self._readyDescriptor:
                self._report(line)
            else:
                self._relay(childFD, line)

    def _report(self, line: bytes) -> None:
        # The first line, which is empty, says only that it is ready.  What comes when
        # it counts as gone would count twice.
        isThere = self._state is not _ProcessState.GONE
        if line and isThere and self._reports is not None:
            self._reports.told(self, line)

    def childConnectionLost(self, childFD: int) -> None:
        rest = self._unfinished.pop(childFD, b"")
        # Figures that did not come whole are as good as none.
        if rest and childFD != self._readyDescriptor:
            self._relay(childFD, rest)

    def _relay(self, childFD: int, line: bytes) -> None:
        text = _TIME.sub("", line.decode("utf-8", "replace"), count=1).rstrip()
        if text and childFD == _STANDARD_ERROR:
            self.lastError = text.removeprefix("twistd sessionsock: ")
        _log.info("{text}", text=text, log_system=f"w{self.number} {self.pid}")

    def processExited(self, reason: Failure) -> None:
        self.how = _howIn(reason)
        self._lingering.start(_LINGER, self._gone)

    def processEnded(self, reason: Failure) -> None:
        self._gone()

    def _gone(self) -> None:
        if self._state is _ProcessState.GONE:
            return
        self._state = _ProcessState.GONE
        self._lingering.stop()
        self._deadline.stop()
        if self._reports is not None:
            self._reports.gone(self)
        self._overseer.ended(self)


def _howIn(reason: Failure) -> str:
    error: Any = reason.value
    if error.signal is not None:
        return signal.Signals(error.signal).name
    return f"exit code {error.exitCode}"
