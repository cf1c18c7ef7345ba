# -*- test-case-name: tests.tap.test_tap_frameworks -*-
"""
Beside a web application: whether sessions are where it has them.
"""

from __future__ import annotations

from twisted.logger import Logger

from .options import Options


__all__ = ["doubtStore", "elsewhere"]

_TABLES = {"django": "--framework django-db", "flask-session": "--table NAME"}

_log = Logger()


def elsewhere(options: Options) -> str:
    """
    How the application's own table would be named, if it may have one.
    """
    right = _TABLES.get(options["framework"])
    return "" if right is None else f"; for the application's table, {right}"


def doubtStore(options: Options) -> None:
    """
    Say so if sessions are where no application has them.
    """
    framework = options["framework"]
    kind = options["store"].partition(":")[0]
    if framework != "express" and kind in ("memory", "sqlite"):
        _log.warn(
            "no {framework} application has its sessions in {kind}:, which is ours;"
            " right is --store redis://HOST{more}",
            framework=framework,
            kind=kind,
            more=elsewhere(options),
        )
    elif kind == "memory" and options["protocol"] and not options["class"]:
        _log.warn(
            "nothing begins a session in memory:, which no other process sees; right"
            " is the --store of the application, or --class for pages of this one"
        )
