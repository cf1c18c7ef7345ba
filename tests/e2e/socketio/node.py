"""
A node of a site with pages, plain sockets and Socket.IO, as a program: C{python -m
tests.e2e.socketio.node STORE BUS}.

It says where it listens.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.static import Data

from tests.e2e.socketio.chat import chatting
from tests.e2e.verbs import Pages, Verbs
from txsessionsock.bus import RedisBus
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Hub
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.socketio import Recovery, SocketIOResource, enable
from txsessionsock.stores.redis import RedisStore
from txsessionsock.web import BoundedSite, SessionedResource, SessionSocketResource


__all__ = ["SECRET", "Node"]

SECRET = "for tests"

_TIMEOUT, _LIFETIME = 1.0, 1.5
"""
Of the bus.
"""

_PAGE = b"""<!doctype html>
<title>Chat</title>
<script src="/socket.io/socket.io.js"></script>
"""


class Node:
    """
    A site of its own.

    @ivar store: Where its sessions are.

    @ivar io: Its Socket.IO.

    @ivar hub: Of that and of its plain sockets.

    @ivar port: Where it listens.
    """

    def __init__(
        self,
        reactor: Any,
        store: Any,
        bus: RedisBus | None = None,
        *,
        perMessage: bool = True,
        limits: Limits | None = None,
        bundle: str | None = None,
        recovery: Recovery | None = None,
        freshness: Literal["strict", "tracked"] = "strict",
        **settings: Any,
    ) -> None:
        self._reactor = reactor
        self.store = store
        self.manager = SessionManager(
            store, Express(SECRET), reactor, freshness=freshness
        )
        self._bus = bus
        self.io = chatting(recovery)
        clients = enable(
            self.io, self.manager, perMessage=perMessage, limits=limits, **settings
        )
        plain = SessionSocketFactory(self.manager, perMessage=True)
        plain.protocol = Verbs
        self._all = [clients, plain.sockets]
        self.hub = Hub(plain.sockets) if bus is None else Hub(plain.sockets, bus)
        self.hub.include(clients)
        self.hub.index("user", lambda session: session.get("user"))
        root = _Root(SessionedResource(Pages(), self.manager))
        root.putChild(b"ws", SessionSocketResource(plain))
        root.putChild(b"socket.io", SocketIOResource(self.io, bundle=bundle))
        root.putChild(b"chat", Data(_PAGE, "text/html"))
        self._site = BoundedSite(root, reactor=reactor)
        self.port = 0
        self._listening: Any = None

    async def listen(self) -> None:
        """
        Begin.
        """
        if self._bus is not None:
            await self._bus.ready()
        endpoint = TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1")
        self._listening = await endpoint.listen(self._site)
        self.port = self._listening.getHost().port

    async def end(self) -> None:
        """
        Have it end, as a service does.
        """
        await maybeDeferred(self._listening.stopListening)
        for clients in self._all:
            await clients.goAway()
        # Nobody writes any more, so nothing is guarded.
        await self.manager.stop(0)
        await self.hub.close()


class _Root(Resource):
    def __init__(self, pages: Any) -> None:
        super().__init__()
        self._pages = pages

    def getChild(self, path: bytes, request: Any) -> Any:
        request.postpath.insert(0, request.prepath.pop())
        return self._pages


async def _main(reactor: Any, store: str, bus: str) -> None:
    messages = RedisBus(bus, reactor, timeout=_TIMEOUT, lifetime=_LIFETIME)
    node = Node(reactor, RedisStore(store, reactor), messages)
    await node.listen()
    # As twistd says it.
    print(f"now [-] starting on {node.port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    react(lambda *args: Deferred.fromCoroutine(_main(*args)), sys.argv[1:])
