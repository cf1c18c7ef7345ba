# -*- test-case-name: tests.service.test_workers -*-
"""
The server in a worker process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock._collector import spareProcess

from .deadline import LATE, endBy
from .handover import Handover
from .service import SessionSockService
from .signals import onSignals
from .telling import Figures, Telling


__all__ = ["WorkerService", "leaveToParent"]

_log = Logger()


def leaveToParent() -> None:
    """
    Ignore the signals that a terminal sends to all, and the parent answers.
    """
    for number in signal.SIGINT, signal.SIGHUP:
        # What this process starts does not inherit that, as it would SIG_IGN.
        signal.signal(number, lambda number, frame: None)


class WorkerService(SessionSockService):
    """
    Serves at sockets of its parent, and ends as soon as the parent has.
    """

    def __init__(
        self,
        *args: Any,
        handover: Handover,
        reactor: Any,
        figures: Figures | None = None,
        **more: Any,
    ) -> None:
        """
        @param reactor: It serves in.

        @param figures: Those that its parent is to be told.

        The other arguments are those of L{SessionSockService}.
        """
        super().__init__(*args, **more)
        self._handover = handover
        self._serving = reactor
        self._isEnding = False
        self._telling = None if figures is None else Telling(figures, handover.ready)
        for descriptor in handover.lifeline, handover.ready:
            os.set_inheritable(descriptor, False)

    def startService(self) -> None:
        super().startService()
        # SIGTERM may come twice: from our parent, and from a service manager
        # that sends it to all processes.
        onSignals(self._serving, {signal.SIGTERM: self._stop})
        endBy(self._drain + LATE, self._serving)
        self._serving.callWhenRunning(self._begin)

    def _begin(self) -> None:
        spareProcess()
        self._serving.addReader(_Lifeline(self._handover.lifeline, self._orphaned))
        os.write(self._handover.ready, b"\n")
        if self._telling is None:
            os.close(self._handover.ready)
        else:
            self._telling.start(self._serving)

    def stopService(self) -> Deferred[None]:
        ending = super().stopService()
        if self._telling is not None:
            ending.addCallback(self._telling.stop)
        return ending

    def _stop(self) -> None:
        if not self._isEnding:
            self._isEnding = True
            self._serving.stop()

    def _orphaned(self) -> None:
        if self.running:
            _log.warn("the parent process is gone; this one ends too")
            self._stop()


@implementer(IReadDescriptor)
class _Lifeline:
    """
    The end of a pipe that nobody writes to, and only the parent could.
    """

    def __init__(self, descriptor: int, cut: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._cut = cut

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> Any:
        return None if os.read(self._descriptor, 1) else CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:
        os.close(self._descriptor)
        self._cut()

    def logPrefix(self) -> str:
        return "parent"
