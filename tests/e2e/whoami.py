"""
A socket that says from where its client comes.  As a program, it serves without a
site at an endpoint that is given, and makes sessions at another.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.server import Site

from tests.e2e.verbs import Pages, Verbs
from txsessionsock import (
    Express,
    MemoryStore,
    SessionedResource,
    SessionManager,
    SessionSocketFactory,
)
from txsessionsock.session import Session


class Whoami(Verbs):
    """
    Says from where its client comes, and whether over TLS.
    """

    def onConnect(self, request: Any) -> Any:
        self._peer = request.peer
        return super().onConnect(request)

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        if message == "who":
            self.send([self._peer, self.peer])
        else:
            super().sessionMessageReceived(message, session)


def main(protocol: type[Verbs], *where: str) -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    manager = SessionManager(MemoryStore(), Express(secrets=["for tests"]))
    sockets = SessionSocketFactory(manager)
    sockets.protocol = protocol
    factories = sockets, Site(SessionedResource(Pages(), manager))
    for each, factory in zip(where, factories, strict=True):
        listening = endpoints.serverFromString(reactor, each).listen(factory)
        manager.endWith(reactor, listening) if factory is sockets else None
    reactor.run()


if __name__ == "__main__":
    main(Whoami, *sys.argv[1:])
