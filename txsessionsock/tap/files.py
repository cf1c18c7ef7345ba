# -*- test-case-name: tests.tap.test_tap -*-
"""
Files that are written: the PID file and the log of C{twistd} itself, and the store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.logger import Logger


__all__ = ["prepareFiles", "whyNotWritable"]

_log = Logger()


def prepareFiles(said: Mapping[str, Any]) -> str | None:
    """
    Remove a PID file that names this very process: one before us, in the same
    container, had the same number and was killed.

    @param said: The options of C{twistd}; those of C{twist} name no files.

    @return: Why C{twistd} could not go on, where it would show a traceback;
        L{None} if it can.
    """
    pidfile = said.get("pidfile")
    if pidfile and not said.get("chroot"):
        # It is read here, and written there.
        path = os.path.normpath(os.path.join(said["rundir"], pidfile))
        problem = whyNotWritable(path)
        if problem is not None:
            return f"PID file {path}: {problem}; right is twistd --pidfile= for none"
        _forgetOurselves(Path(pidfile))
    log = said.get("logfile")
    if said.get("logger") or said.get("syslog") or log == "-":
        return None
    if log is None and not said.get("nodaemon"):
        log = "twistd.log" if pidfile is not None else None
    problem = None if log is None else whyNotWritable(log)
    return None if problem is None else f"log {log}: {problem}; right is twistd -n -l-"


def whyNotWritable(path: str) -> str | None:
    """
    @return: Why a file cannot be written; L{None} if it can.
    """
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        return f"there is no directory {directory}"
    isFile = os.path.isfile(path) or os.path.realpath(path) == os.devnull
    if os.path.exists(path) and not isFile:
        return "that is no file"
    where, mode = (path, os.R_OK) if os.path.exists(path) else (directory, os.X_OK)
    isEffective = os.access in os.supports_effective_ids
    isWritable = os.access(where, mode | os.W_OK, effective_ids=isEffective)
    return None if isWritable else "it cannot be written"


def _forgetOurselves(pidfile: Path) -> None:
    with suppress(OSError, ValueError):
        if int(pidfile.read_text()) == os.getpid():
            pidfile.unlink()
            _log.warn(
                "removed {pidfile}: it named this very process, so it was left by"
                " one that was killed",
                pidfile=str(pidfile),
            )
