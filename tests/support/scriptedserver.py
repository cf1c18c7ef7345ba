"""
A WebSocket server that does what a test tells it, in a process of its own.

C{POST /plan/NAME} with a JSON list says what happens to the connections to
C{/NAME}, one step each:

    - C{"say": value} sends it, C{"raw": text} sends that,
    - C{"close": [code, reason]} closes; 1006 drops the connection,
    - C{"refuse": true} answers the handshake with 403.

A client may send such a step too.  C{GET /log/NAME} tells what came.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from twisted.web.static import Data, File

import txsessionsock


STATIC = Path(txsessionsock.__file__).parent / "static"
PAGE = b'<!doctype html><base href="/"><script src="sessionsock.js"></script>'


class Scripted(WebSocketServerProtocol):
    plans: ClassVar[dict[str, list[dict[str, Any]]]] = {}
    logs: ClassVar[dict[str, list[dict[str, Any]]]] = {}

    def onConnect(self, request: ConnectionRequest) -> str | None:
        plan = self.plans.get(request.path[1:], [])
        self.step = plan.pop(0) if plan else {}
        self.seen: list[Any] = []
        log = self.logs.setdefault(request.path[1:], [])
        log.append(
            {
                "uri": self.http_request_uri,
                "messages": self.seen,
                "protocols": request.protocols,
            }
        )
        if self.step.get("refuse"):
            raise ConnectionDeny(403)
        return request.protocols[0] if request.protocols else None

    def onOpen(self) -> None:
        self.perform(self.step)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload)
        self.seen.append(message)
        if isinstance(message, dict):
            self.perform(message)

    def perform(self, step: dict[str, Any]) -> None:
        if "say" in step:
            self.sendMessage(json.dumps(step["say"]).encode())
        if "raw" in step:
            self.sendMessage(step["raw"].encode())
        match step.get("close"):
            case [1006, _]:
                cast(ITCPTransport, self.transport).abortConnection()
            case [code, reason]:
                self.sendCloseFrame(code=code, reasonUtf8=reason.encode())


class Plan(Resource):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        Scripted.plans[self.name] = json.load(request.content)
        return b""


class Log(Resource):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def render_GET(self, request: Request) -> bytes:
        return json.dumps(Scripted.logs.get(self.name, [])).encode()


class Named(Resource):
    def __init__(self, make: Callable[[str], Resource]) -> None:
        super().__init__()
        self.make = make

    def getChild(self, path: bytes, request: Request) -> Resource:
        return self.make(path.decode())


class Root(Resource):
    def __init__(self) -> None:
        super().__init__()
        factory = WebSocketServerFactory()
        factory.protocol = Scripted
        factory.setProtocolOptions(echoCloseCodeReason=True)
        factory.startFactory()
        self.sockets = WebSocketResource(factory)
        self.putChild(b"", Data(PAGE, "text/html"))
        self.putChild(b"sessionsock.js", File(str(STATIC / "sessionsock.js")))
        self.putChild(b"plan", Named(Plan))
        self.putChild(b"log", Named(Log))

    def getChild(self, path: bytes, request: Request) -> WebSocketResource:
        return self.sockets


class EndOfInput(Protocol):
    """
    Gone with the test that started it, however that ended.
    """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reactor.running:
            reactor.stop()


def main() -> None:
    endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
    listening = endpoint.listen(Site(Root()))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))
    StandardIO(EndOfInput())
    reactor.run()


if __name__ == "__main__":
    main()
