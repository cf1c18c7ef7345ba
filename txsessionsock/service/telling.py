# -*- test-case-name: tests.service.test_telling -*-
"""
A worker tells its parent how it goes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger


__all__ = ["Figures", "Telling"]

INTERVAL: Final = 1.0
"""
How many seconds are between two times: what a worker that is killed has counted
since the last one is lost.
"""

_log = Logger()


class _Snapshot(Protocol):
    def asJSON(self) -> bytes: ...


class Figures(Protocol):
    """
    What there is to tell: L{Figures<txsessionsock.metrics.Figures>}.
    """

    def trouble(self) -> Deferred[Any]:
        """
        Find out why this process cannot serve.
        """

    def now(self, trouble: str | None = None) -> _Snapshot:
        """
        @return: The figures of this moment.
        """


class Telling:
    """
    Writes all figures, each time in a line, to a pipe.  It waits for nobody.
    """

    def __init__(self, figures: Figures, pipe: int) -> None:
        self._figures = figures
        self._pipe = pipe
        self._rest = b""
        self._loop = LoopingCall(self._tell)

    def start(self, clock: IReactorTime) -> None:
        """
        Begin.
        """
        os.set_blocking(self._pipe, False)
        self._loop.clock = clock
        telling = self._loop.start(INTERVAL)
        telling.addErrback(lambda failure: _log.failure("no figures any more", failure))

    def stop(self, _: object = None) -> None:
        """
        Tell them for the last time.
        """
        if self._loop.running:
            self._loop.stop()
        self._write("ending")
        os.close(self._pipe)
        self._pipe = -1

    def _tell(self) -> Deferred[None]:
        # One at a time: the loop waits for it.
        return self._figures.trouble().addCallback(self._write)

    def _write(self, trouble: str | None) -> None:
        if self._pipe < 0:
            return
        if not self._rest:
            self._rest = self._figures.now(trouble).asJSON() + b"\n"
        # A parent that does not read is told later, what there is then.
        with suppress(BlockingIOError, BrokenPipeError):
            self._rest = self._rest[os.write(self._pipe, self._rest) :]
