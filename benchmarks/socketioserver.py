"""
Our server of L{benchmarks.socketio}: it counts events in the session, and
acknowledges each with the count.

    python -m benchmarks.socketioserver connection     # or "message"
    python -m benchmarks.socketioserver message redis://127.0.0.1:6379 --profile

It prints where it listens.  C{POST /new} makes a session, C{GET /n} says its count,
C{POST /say} has all clients get an event, and C{GET /timers} says how many timers
there are.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.resource import Resource

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import ISessionStore
from txsessionsock.manager import SessionManager
from txsessionsock.socketio import SocketIO, SocketIOResource, SocketIOSocket, enable
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.web import BoundedSite, SessionedResource, sessionOf


reactor: Any = _reactor


class Counter(SocketIOSocket):
    """
    Counts, with as many digits each time.
    """

    def on_add(self, padding: str) -> str:
        session: Any = self.session
        session["n"] = count = session["n"] + 1
        return f"{count:010d}"


class Pages(Resource):
    """
    What the benchmark asks for beside.
    """

    isLeaf = True

    def __init__(self, io: SocketIO) -> None:
        super().__init__()
        self._io = io

    def render_GET(self, request: Any) -> bytes:
        if request.path == b"/timers":
            return b"%d" % len(reactor.getDelayedCalls())
        return b"%d" % sessionOf(request)["n"]

    def render_POST(self, request: Any) -> bytes:
        if request.path == b"/new":
            sessionOf(request)["n"] = 0
        else:
            self._io.emit("news", "x" * 100)
        return b""


class Root(Resource):
    """
    The pages, and Socket.IO, which needs no session of pages.
    """

    def __init__(self, pages: Any) -> None:
        super().__init__()
        self._pages = pages

    def getChild(self, path: bytes, request: Any) -> Any:
        request.postpath.insert(0, request.prepath.pop())
        return self._pages


def main(mode: str, *options: str) -> None:
    """
    Serve, and print the port.
    """
    places = [option for option in options if option != "--profile"]
    store: ISessionStore = MemoryStore(reactor)
    if places:
        store = RedisStore(places[0], reactor)
    manager = SessionManager(store, Express(secrets=["a secret"]), reactor)
    io = SocketIO()
    io.protocol = Counter
    enable(io, manager, perMessage=mode == "message")
    root = Root(SessionedResource(Pages(io), manager))
    root.putChild(b"socket.io", SocketIOResource(io))
    site = BoundedSite(root, reactor=reactor)
    port = reactor.listenTCP(0, site, backlog=1024, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    if "--profile" in options:
        profiler = cProfile.Profile()
        profiler.runcall(reactor.run)
        statistics = pstats.Stats(profiler, stream=sys.stderr)
        statistics.sort_stats("tottime").print_stats(70)
    else:
        reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
