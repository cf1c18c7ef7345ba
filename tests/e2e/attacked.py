"""
What is attacked: C{--protocol attacked.Target}, C{--protocol attacked.Events} with
C{--socketio}, and, as a program, the same without
a site, whose sessions are made at a second port.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.server import Site

from tests.e2e.verbs import Pages
from txsessionsock import (
    Express,
    MemoryStore,
    SessionedResource,
    SessionManager,
    SessionSocketFactory,
)
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.socketio import SocketIOSocket


class Target(SessionSocketProtocol):
    """
    Says what it is told, or as many bytes as are asked for.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        if isinstance(message, dict):
            self.send("x" * message["bytes"])
        else:
            self.send(message)


class Events(SocketIOSocket):
    """
    The same with Socket.IO: the answer is what the event has, or, with as many bytes
    as are asked for, an event.
    """

    def on_say(self, value: Any, *_: Any) -> Any:
        if isinstance(value, dict):
            self.emit("much", "x" * value["bytes"])
            return None
        return value


def main() -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    manager = SessionManager(MemoryStore(reactor), Express(["for tests"]), reactor)
    sockets = SessionSocketFactory(manager)
    sockets.protocol = Target
    ports = []
    for factory in sockets, Site(SessionedResource(Pages(), manager)):
        where = "tcp:0:interface=127.0.0.1:backlog=1024"
        ports.append(endpoints.serverFromString(reactor, where).listen(factory))
    manager.endWith(reactor, *ports)
    reactor.run()


if __name__ == "__main__":
    main()
