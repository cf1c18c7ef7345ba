"""
The server that the protocols' suites want, as a program: C{python -m
tests.e2e.socketio.conformance PORT}.  C{tests/real/socketio/protocol} looks at it.

It says where it listens, and the cookie of a session.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource

from txsessionsock.frameworks.express import Express
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.socketio import (
    SocketIO,
    SocketIOResource,
    SocketIOSocket,
    enable,
)
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import putSession
from txsessionsock.web import BoundedSite


_LIMITS = Limits(
    pingInterval=0.3, pingTimeout=0.2, messageSize=1_000_000, handshakeTimeout=1.0
)


class _Echo(SocketIOSocket):
    def sessionConnected(self, session: Session) -> None:
        self.emit("auth", self.handshake.auth or {})

    def on_message(self, *args: Any) -> None:
        self.emit("message-back", *args)

    async def on_ask(self, *args: Any) -> None:
        answer = await self.call("question", *args, timeout=5)
        self.emit("answered", *(answer if isinstance(answer, tuple) else (answer,)))


def _serve(reactor: Any) -> tuple[BoundedSite, str]:
    """
    @return: A site, and a cookie.
    """
    store, framework = MemoryStore(reactor), Express("for tests")
    io = SocketIO(_Echo)
    enable(io, SessionManager(store, framework, reactor), limits=_LIMITS)
    for namespace in io, io.of("/custom", _Echo):
        namespace.on("message-with-ack", lambda socket, *args: args)
    root = Resource()
    root.putChild(b"socket.io", SocketIOResource(io))
    return BoundedSite(root, reactor=reactor), putSession(store, framework, reactor, {})


async def _main(reactor: Any, port: str = "0") -> None:
    site, cookie = _serve(reactor)
    endpoint = TCP4ServerEndpoint(reactor, int(port), interface="127.0.0.1")
    listening = await endpoint.listen(site)
    print(f"http://127.0.0.1:{listening.getHost().port} {cookie}", flush=True)
    await Deferred()


if __name__ == "__main__":
    observers = [textFileLogObserver(sys.stderr)]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    react(lambda *args: Deferred.fromCoroutine(_main(*args)), sys.argv[1:])
