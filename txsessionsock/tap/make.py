# -*- test-case-name: tests.tap.test_tap -*-
"""
C{twistd sessionsock}: what is made of its options.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger

from txsessionsock.interfaces import ISessionStore, ISignedCookies
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.metrics import Figures
from txsessionsock.service import (
    Adopting,
    Handover,
    SessionSockService,
    Sharing,
    WorkerCommand,
    Workers,
    WorkerService,
    endpointAt,
    leaveToParent,
)
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.web import VisitedSite

from .framework import frameworkFor
from .hints import doubtStore, elsewhere
from .inherited import argumentsLike
from .operating import addHealth, besideOf, besideWorkers
from .options import CACHE, SECRET, STORE, TICKETS, Options, refuse
from .secret import secretsFor
from .site import joined, rootFor
from .socketio import WEBSOCKET_ONLY
from .store import busAt, isShared, storeAt
from .table import isTable, settingsFor, tableStoreAt


__all__ = ["Options", "makeService"]

_SHAREABLE = re.compile(r"(haproxy:)?(tcp|tcp6|ssl|tls):")

_log = Logger()


def makeService(options: Options) -> SessionSockService | Workers:
    """
    Make the server that the options ask for.

    @raise SystemExit: It cannot be made; with one line that says why.
    """
    from twisted.internet import reactor  # noqa: PLC0415  # Importing installs it.

    sys.path.insert(0, str(Path.cwd()))
    handover = Handover.takenFrom(os.environ)
    if handover is not None:
        leaveToParent()
        adopting = Adopting(reactor, handover.sockets)
        parts = _parts(options, secretsFor(options), adopting, reactor)
        figures = Figures(parts["sockets"].manager) if options["metrics"] else None
        parts = _withHub(parts, options, reactor)
        return WorkerService(
            **parts, handover=handover, reactor=reactor, figures=figures
        )
    service: SessionSockService | Workers
    if options["workers"] > 1:
        service = _workers(options, reactor)
    else:
        parts = _parts(options, secretsFor(options), reactor, reactor)
        beside = besideOf(options, parts["sockets"].manager, reactor)
        parts = _withHub(parts, options, reactor)
        service = SessionSockService(**parts, reactor=reactor, beside=beside)
    if not options["listen"] and not options["protocol"]:
        said = "the demo is at http://localhost:8080/"
        service.listening = lambda: _log.info(said)
    return service


def _workers(options: Options, reactor: Any) -> Workers:
    """
    Make the parent of workers.  All that they will need is made here too, and
    not used, so that what is wrong is said at once.
    """
    count = options["workers"]
    if not isShared(options["store"]):
        refuse(
            f"--workers {count}: memory: is of one process; right is --store"
            " sqlite:PATH, redis://HOST or postgresql://HOST/DATABASE"
        )
    if options["ticket-store"] and not isShared(options["ticket-store"]):
        refuse(
            f"--ticket-store: memory: is of one process, and there are {count}; right"
            " is redis://HOST, or sqlite:PATH"
        )
    for description in options["listen"]:
        if not _SHAREABLE.match(description):
            refuse(
                f"--listen {description}: {count} workers cannot share it; right is"
                " tcp:, tcp6:, ssl: or tls:, or --workers 1"
            )
    if options["socketio"]:
        _log.warn(WEBSOCKET_ONLY, count=count)
    sharing = Sharing(count)
    secrets = secretsFor(options)
    parts = _parts(options, secrets, sharing, reactor)
    environment = {**os.environ, STORE: options["store"]}
    for variable, option in (CACHE, "cache"), (TICKETS, "ticket-store"):
        if options[option]:
            environment[variable] = options[option]
    if secrets and not options["secret-file"]:
        # One that is made for this run is text.
        environment.setdefault(SECRET, str(secrets[0]))
    before = argumentsLike(options.parent or {}, reactor)
    command = WorkerCommand(options.asArguments, environment, str(Path.cwd()), before)
    more, made = besideWorkers(options, reactor)
    workers = Workers(
        count,
        parts["endpoints"],
        sharing,
        command,
        reactor,
        drain=options["drain"],
        **more,
    )
    made(workers)
    return workers


def _parts(
    options: Options, secrets: list[str | bytes], listener: Any, reactor: Any
) -> Mapping[str, Any]:
    """
    Make the parts of a server.

    @param listener: What its endpoints take for the reactor.
    """
    framework: Any = frameworkFor(
        options["framework"], settingsFor(options), options["cookie"], secrets
    )
    store: ISessionStore
    if ISignedCookies.providedBy(framework):
        store = CookieStore(framework, reactor)
    elif isTable(options):
        store = tableStoreAt(options, framework, reactor)
    else:
        if options["table-zone"] is not None:
            refuse("--table-zone is for sessions in the table of a web application")
        store = storeAt(options["store"], reactor, elsewhere(options))
        doubtStore(options)
    manager = SessionManager(store, framework, reactor, freshness=options["freshness"])
    served = rootFor(options, manager, reactor)
    addHealth(options, served.root, manager)
    limits = Limits(bodySize=options["body-size"])
    return {
        "site": VisitedSite(served.root, reactor, limits),
        "endpoints": [
            (description, _endpoint(description, listener))
            for description in options["listen"] or ["tcp:8080"]
        ],
        "sockets": served.sockets[0],
        "drain": options["drain"],
        "served": served,
    }


def _withHub(
    parts: Mapping[str, Any], options: Options, reactor: Any
) -> Mapping[str, Any]:
    """
    Have the sockets found by others: of a server that serves, not of the
    parent of workers.
    """
    place = options["cache"] or options["store"]
    joined(parts["served"], busAt(place, reactor))
    return {name: part for name, part in parts.items() if name != "served"}


def _endpoint(description: str, listener: Any) -> IStreamServerEndpoint:
    try:
        return endpointAt(description, listener)
    except Exception as error:  # Each kind of endpoint has errors of its own.
        refuse(
            f"--listen {description}: {error}; right is tcp:8080 or"
            " tcp:8080:interface=127.0.0.1"
        )
