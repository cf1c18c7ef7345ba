"""
A node with a hub, as a program: C{python -m tests.e2e.hubserver STORE BUS TIMEOUT
LIFETIME}.

It says where it listens, and what it is called.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import react

from txsessionsock.bus import RedisBus
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Group, Hub, hubOf
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.stores.redis import RedisStore


__all__ = ["SECRET", "HubVerbs", "serve"]

SECRET = "for tests"


class HubVerbs(SessionSocketProtocol):
    """
    Joins rooms, logs in and sends messages to groups, as it is told.
    """

    factory: Any

    async def sessionMessageReceived(self, message: Any, session: Session) -> None:
        verb, *arguments = message
        hub = hubOf(self)
        if verb == "join":
            hub.room(*arguments).add(self)
        elif verb == "login":
            session["user"] = arguments[0]
        elif verb == "tell":
            kind, name, values = arguments
            group: Group = hub.room(name) if kind == "room" else hub.by(kind, name)
            for value in values:
                reaching = group.send(value)
            await reaching
        self.send(["done", verb])


async def serve(
    reactor: Any, store: str, bus: str, timeout: float, lifetime: float
) -> tuple[SessionSocketFactory, RedisStore, IListeningPort]:
    """
    Have a node.

    @param timeout: Of its bus, as C{lifetime} is.
    """
    sessions = RedisStore(store, reactor)
    manager = SessionManager(sessions, Express(SECRET), reactor)
    factory = SessionSocketFactory(manager, perMessage=True)
    factory.protocol = HubVerbs
    messages = RedisBus(bus, reactor, timeout=timeout, lifetime=lifetime)
    hub = Hub(factory.sockets, messages)
    hub.index("user", lambda session: session.get("user"))
    await messages.ready()
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    return factory, sessions, await endpoint.listen(factory)


async def _main(reactor: Any, store: str, bus: str, *times: str) -> None:
    factory, _, port = await serve(reactor, store, bus, *map(float, times))
    address: Any = port.getHost()
    print(f"node {hubOf(factory).node}")
    print(f"starting on {address.port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(lambda *args: Deferred.fromCoroutine(_main(*args)), sys.argv[1:])
