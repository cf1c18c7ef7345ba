# -*- test-case-name: tests.tap.test_tap -*-
"""
What was said to C{twistd} itself, before C{sessionsock}: for workers it counts too.

They inherit the user, the umask and the environment as processes do, and log to
their parent, which has the log, the PID file and the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.application.reactors import getReactorTypes
from twisted.python.util import spewer

from .options import refuse


__all__ = ["argumentsLike"]


def argumentsLike(said: Mapping[str, Any], reactor: object) -> list[str]:
    """
    @param said: The options of C{twistd} or C{twist}.

    @param reactor: The one that it has installed.

    @return: What to say to the C{twistd} of workers.

    @raise SystemExit: They cannot do as it was told; with one line that says why.
    """
    for option, why in _impossible(said):
        refuse(f"--workers: twistd's {option} {why}; right is --workers 1")
    arguments = [f"--reactor={_reactorName(said, reactor)}"]
    if "rundir" in said:
        arguments.append(f"--rundir={os.path.abspath(said['rundir'])}")
    return arguments


def _impossible(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for option in "profile", "debug":
        if said.get(option):
            yield f"--{option}", "is for one process"
    if sys.gettrace() is spewer:
        yield "--spew", "is for one process"
    if said.get("chroot"):
        yield "--chroot", "leaves no Python to start them with"


def _reactorName(said: Mapping[str, Any], reactor: object) -> str:
    """
    @return: The name of a reactor as C{--reactor} takes it.
    """
    name = said.get("reactorName") or said.get("reactor")
    if isinstance(name, str):
        return name
    # It may have been installed by others than twistd.
    kind = type(reactor)
    for each in getReactorTypes():
        if getattr(each, "moduleName", None) == kind.__module__:
            return str(each.shortName)
    refuse(
        f"--workers: they cannot be told to use {kind.__module__}.{kind.__qualname__};"
        " right is twistd --reactor NAME, see twistd --help-reactors"
    )
