# -*- test-case-name: tests.test_tap_frameworks -*-
"""
Beside a web application: what is probably wrong, while no socket has found a
session.
"""

from __future__ import annotations

from twisted.logger import Logger, LogLevel

from txsessionsock.interfaces import (
    IFramework,
    InvalidReason,
    ISignedCookies,
    SessionID,
)
from txsessionsock.session import Session
from txsessionsock.sockets import SessionSockets

from .options import Options


__all__ = ["doubtStore", "explainRefusals"]

_TABLES = {"django": "--framework django-db", "flask-session": "--table NAME"}
_SIGNS = "flask-session"

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


def explainRefusals(
    sockets: SessionSockets, framework: IFramework, options: Options
) -> None:
    """
    Say once for each reason why sockets have no session, until the first has
    one: after that, it is what happens to visitors.
    """
    name, cookie = options["framework"], f"the cookie {framework.cookieName!r}"
    reasons: dict[InvalidReason, str] = {
        "missing": f"a socket came without {cookie}; if the page has it, is it of the"
        " same host, and is that its name (--cookie)?",
        "malformed": f"{cookie} of a socket is none of {name}; is that what the"
        " application is (--framework), and is it the application's (--cookie)?",
        "bad-signature": f"{cookie} of a socket is not signed by our secret; right"
        " is the application's (--secret-file)",
    }
    if not ISignedCookies.providedBy(framework):
        key = framework.key(SessionID("…"))
        isSigned = " or are ids signed there (signed=yes)?" if name == _SIGNS else ""
        reasons["unknown"] = (
            f"{cookie} of a socket names a session that is not in the store, where it"
            f" would be {key}: are --store and --framework-option right?{isSigned}"
        )

    def refused(client: object, reason: InvalidReason) -> None:
        why = reasons.pop(reason, None)
        if why is not None:
            # A visitor may have no session yet.
            isUsual = reason == "missing"
            _log.emit(LogLevel.info if isUsual else LogLevel.warn, "{why}", why=why)

    def connected(client: object, session: Session) -> None:
        sockets.off("sinvalid", refused)
        sockets.off("sconnection", connected)

    sockets.on("sinvalid", refused)
    sockets.on("sconnection", connected)
