"""
A server of L{benchmarks.growth} that tells when the garbage collector was at work, and
has it go through everything at a C{SIGUSR1}.

    python collected.py LOG SERVER ARGUMENT...

Each line of the log is of one collection that was full, or took more than a
millisecond: when it began, by the clock of all processes, and how many seconds of the
processor it took.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from time import monotonic, thread_time


_FULL = 2
_LONG = 0.001


class Log:
    """
    What there was to collect.

    @param path: Where it is written.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._began = self._used = 0.0

    def __call__(self, phase: str, details: Mapping[str, int]) -> None:
        if phase == "start":
            self._began, self._used = monotonic(), thread_time()
            return
        took = thread_time() - self._used
        if details["generation"] == _FULL or took > _LONG:
            line = f"{self._began} {took}\n"
            os.write(self._file, line.encode())


if __name__ == "__main__":
    path, server, *arguments = sys.argv[1:]
    gc.callbacks.append(Log(path))
    signal.signal(signal.SIGUSR1, lambda *_: gc.collect())
    sys.argv = [server, *arguments]
    runpy.run_path(server, run_name="__main__")
