# -*- test-case-name: tests.service.test_workers -*-
"""
What C{twistd} does not offer: handlers of further signals, exit codes, and a
problem in one line.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger


__all__ = ["dieOf", "endsWithTerminal", "exitWith", "onSignals", "report"]

_log = Logger()


def onSignals(
    reactor: Any, handlers: Mapping[signal.Signals, Callable[[], object]]
) -> None:
    """
    Have functions called by signals, as soon as the reactor runs.

    @param handlers: By signal.  Called by the reactor, not in the middle of
        something else.
    """

    def handlerFor(f: Callable[[], object]) -> Callable[..., object]:
        return lambda number, frame: reactor.callFromThread(f)

    def install() -> None:
        for number, f in handlers.items():
            signal.signal(number, handlerFor(f))

    # Not before: the reactor takes SIGTERM when it begins to run.
    reactor.callWhenRunning(install)


def endsWithTerminal(
    end: Callable[[], object], otherwise: Callable[[], object]
) -> Callable[[], object]:
    """
    What to do on C{SIGHUP}: end, if that is because the terminal was closed
    from which this process was started.
    """
    hadTerminal = os.isatty(0)

    def hungUp() -> None:
        if hadTerminal and not os.isatty(0):
            end()
        else:
            otherwise()

    return hungUp


def exitWith(status: int) -> None:
    """
    Have this process end with an exit code, when it ends: C{twistd} would end
    with 0.
    """

    def leave() -> None:
        _flush()
        os._exit(status)

    atexit.register(leave)


def dieOf(number: signal.Signals) -> None:
    """
    Have this process die of a signal, when it ends.
    """

    def leave() -> None:
        _flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # The first process of a container does not die of a signal.
        os._exit(128 + number)

    atexit.register(leave)


def _flush() -> None:
    for stream in sys.__stdout__, sys.__stderr__:
        if stream is not None and not stream.closed:
            stream.flush()


def report(problem: str) -> None:
    """
    Say why it cannot go on, in the log and on standard error.
    """
    _log.critical("{problem}", problem=problem)
    # Twisted logs by now what goes to sys.stderr.
    print(f"twistd sessionsock: {problem}", file=sys.__stderr__)
