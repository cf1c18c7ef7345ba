# -*- test-case-name: tests.tap.test_tap_operating -*-
"""
C{--metrics} and C{--health}: what is served to those who watch over the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.web.resource import Resource

from txsessionsock.health import Health, HealthResource
from txsessionsock.manager import SessionManager
from txsessionsock.metrics import Exposed, Figures, Snapshot, Totals
from txsessionsock.service import Beside, Workers, endpointAt
from txsessionsock.web import BoundedSite

from .options import Options, attempt, refuse


__all__ = ["addHealth", "besideOf", "besideWorkers"]

_PORT = re.compile(r"(?:haproxy:)?(?:tcp6?|ssl|tls):(?:.*:)?(?:port=)?(\d+)(?::.*)?")

_ANY = 0
"""
The port that stands for any that is free.
"""

_TAKEN = (b"sessionsock", b"sessionsock.js", b"sessionsock.d.ts", b"socket.io")


def besideOf(options: Options, manager: SessionManager, reactor: Any) -> Beside | None:
    """
    @return: What tells how this process goes; L{None} if nobody wants to know.
    """
    if not options["metrics"]:
        return None
    figures = Figures(manager)
    return _beside(options, figures.now, figures.trouble, reactor)


def besideWorkers(
    options: Options, reactor: Any
) -> tuple[dict[str, Any], Callable[[Workers], None]]:
    """
    The same of worker processes.

    @return: Arguments of L{Workers}, and what is to be called with that.
    """
    made: list[Workers] = []
    if not options["metrics"]:
        return {}, made.append
    totals = Totals(reactor.seconds)

    def trouble() -> Deferred[Any]:
        if any(workers.isEnding for workers in made):
            return succeed("ending")
        return totals.trouble()

    beside = _beside(options, totals.now, trouble, reactor)
    return {"beside": beside, "reports": totals}, made.append


def _beside(
    options: Options,
    figures: Callable[[], Snapshot],
    trouble: Callable[[], Deferred[Any]],
    reactor: Any,
) -> Beside:
    where = options["metrics"]
    _refusePublic(where, options["listen"] or ["tcp:8080"])
    try:
        endpoint = endpointAt(where, reactor)
    except Exception as error:  # Each kind of endpoint has errors of its own.
        refuse(f"--metrics {where}: {error}; right is tcp:9100:interface=127.0.0.1")
    root = Health(trouble)
    root.putChild(b"metrics", attempt("metrics", Exposed, figures))
    return Beside(where, endpoint, BoundedSite(root, reactor=reactor))


def _refusePublic(where: str, public: list[str]) -> None:
    """
    Figures are for nobody but those who run the server.
    """
    ours = _portIn(where)
    for each in public:
        isSame = each == where or (ours is not None and _portIn(each) == ours)
        if isSame and ours != _ANY:
            refuse(
                f"--metrics {where} is where everybody is served (--listen {each});"
                " right is a port of its own, tcp:9100:interface=127.0.0.1"
            )


def _portIn(description: str) -> int | None:
    """
    @return: The port of an endpoint; L{None} if it has none.
    """
    found = _PORT.fullmatch(description)
    return None if found is None else int(found[1])


def addHealth(options: Options, root: Any, manager: SessionManager) -> None:
    """
    Put C{live} and C{ready} into the site.
    """
    path = options["health"]
    if path is None:
        return
    name = path.strip("/").encode("utf-8")
    sockets = options["socket-path"].strip("/").encode("utf-8").split(b"/")
    if not name or b"/" in name or name in (*_TAKEN, sockets[0]):
        refuse(
            f"--health {path}: right is the name of a place in the site that nothing"
            " else has, such as health"
        )
    if not isinstance(root, Resource):
        refuse("--health needs a site whose root is a Resource")
    root.putChild(name, HealthResource(manager))
