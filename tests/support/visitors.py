"""
Who visits the servers of end-to-end tests: a browser without the browser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from tests.support.certificates import Certificates
from tests.support.secrets import SECRETS
from tests.support.servers import PATIENCE, Conditions, reactor


__all__ = ["Answer", "Refused", "Socket", "Trusting", "Visitor"]

_S = TypeVar("_S", bound="Socket")

_PATIENT = {
    "openHandshakeTimeout": PATIENCE,
    "closeHandshakeTimeout": PATIENCE,
    "serverConnectionDropTimeout": PATIENCE,
}
"""
Autobahn's clients leave after one to five seconds, which a server that is loaded,
or still starts, may need.
"""


class Refused(Exception):
    """
    A handshake was answered with something else than a WebSocket.
    """


@dataclass
class Answer:
    """
    What came for a request.
    """

    code: int
    headers: Headers
    body: bytes

    @property
    def value(self) -> Any:
        """
        The body, if it is JSON.
        """
        return json.loads(self.body)


class _Body(Protocol):
    """
    Twisted's readBody warns of what its own Agent gives it.
    """

    def __init__(self) -> None:
        self.data = b""
        self.done: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(None)


class Socket(WebSocketClientProtocol):
    """
    The client's end of a WebSocket.

    @ivar received: All messages that came, decoded.

    @ivar closed: The close code and reason, when it is.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.conditions = Conditions()
        self.until = self.conditions.until
        self.received: list[Any] = []
        self.isOpen = False
        self.closed: tuple[int, str] | None = None
        self._taken = 0

    def say(self, *values: Any) -> None:
        """
        Send messages.
        """
        for value in values:
            self.sendMessage(json.dumps(value).encode())

    async def next(self) -> Any:
        """
        The next message.
        """
        self._taken += 1
        wanted = self._taken
        await self.until(lambda: len(self.received) >= wanted or self.closed)
        assert len(self.received) >= wanted, f"closed with {self.closed}"
        return self.received[wanted - 1]

    async def ask(self, value: Any) -> Any:
        """
        Send a message.

        @return: The answer.
        """
        self.say(value)
        return await self.next()

    async def closes(self, patience: float = PATIENCE) -> tuple[int, str]:
        """
        Wait until it is closed.

        @return: The code and the reason.
        """
        result: tuple[int, str] = await self.until(
            lambda: self.closed, patience=patience
        )
        return result

    def onOpen(self) -> None:
        self.isOpen = True
        self.conditions.happened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.received.append(payload if isBinary else json.loads(payload))
        self.conditions.happened()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.closed = code or 0, reason or ""
        self.conditions.happened()


@implementer(IPolicyForHTTPS)
class Trusting:
    """
    Trusts the server of some certificates.
    """

    def __init__(self, certificates: Certificates) -> None:
        authority = Certificate.loadPEM(certificates.authority.read_bytes())
        self._root = trustRootFromCertificates([authority])

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        return optionsForClientTLS("localhost", trustRoot=self._root)


class Visitor:
    """
    Has cookies, makes requests and opens sockets.

    @ivar cookies: By name, as they stand in the header.

    @ivar site: Where it goes.
    """

    def __init__(
        self,
        port: int,
        cookie: str = "",
        name: str = "connect.sid",
        *,
        trusting: Trusting | None = None,
    ) -> None:
        """
        @param trusting: For TLS.
        """
        self.port = port
        self._trusting = trusting
        scheme = "http" if trusting is None else "https"
        self.site = f"{scheme}://127.0.0.1:{port}"
        self.cookies = {name: cookie} if cookie else {}
        self.setCookies: list[str] = []

    @property
    def cookie(self) -> str:
        """
        The cookies in a header.
        """
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def get(self, path: str, **headers: str) -> Answer:
        """
        Get a page.
        """
        return await self._ask(b"GET", path, headers)

    async def post(self, path: str, value: object = None, **headers: str) -> Answer:
        """
        Post something, as JSON.
        """
        return await self._ask(b"POST", path, headers, json.dumps(value).encode())

    async def send(self, path: str, body: bytes, **headers: str) -> Answer:
        """
        Post something as it is.
        """
        return await self._ask(b"POST", path, headers, body)

    async def _ask(
        self,
        method: bytes,
        path: str,
        more: Mapping[str, str],
        body: bytes = b"",
    ) -> Answer:
        headers = Headers()
        for name, value in more.items():
            headers.addRawHeader(name.replace("_", "-"), value)
        if self.cookies:
            headers.addRawHeader("cookie", self.cookie)
        policy = {} if self._trusting is None else {"contextFactory": self._trusting}
        agent: Any = Agent(reactor, connectTimeout=PATIENCE, **policy)
        answer = await agent.request(
            method,
            f"{self.site}{path}".encode(),
            headers,
            FileBodyProducer(BytesIO(body)) if body else None,
        ).addTimeout(PATIENCE, reactor)
        self.setCookies = [
            value.decode() for value in answer.headers.getRawHeaders(b"set-cookie", [])
        ]
        for line in self.setCookies:
            self._keep(line)
        content = _Body()
        answer.deliverBody(content)
        await content.done.addTimeout(PATIENCE, reactor)
        return Answer(answer.code, answer.headers, content.data)

    def _keep(self, line: str) -> None:
        # SimpleCookie knows neither Priority nor Partitioned.
        pair, *attributes = (part.strip() for part in line.split(";"))
        name, _, value = pair.partition("=")
        if value.strip('"') and "max-age=0" not in map(str.lower, attributes):
            SECRETS.made(value)
            self.cookies[name] = value
        else:
            self.cookies.pop(name, None)

    async def connect(
        self,
        path: str = "/ws",
        *,
        origin: str | None = None,
        protocols: Sequence[str] = (),
        **headers: str,
    ) -> Socket:
        """
        Open a socket.

        @param protocols: Subprotocols that it offers.

        @raise Refused: There was none; says why.
        """
        return await self.open(Socket, path, headers, origin, protocols)

    async def open(
        self,
        kind: type[_S],
        path: str,
        headers: Mapping[str, str] | None = None,
        origin: str | None = None,
        protocols: Sequence[str] = (),
    ) -> _S:
        """
        The same with another class.
        """
        given = (headers or {}).items()
        more = {name.replace("_", "-"): value for name, value in given}
        if self.cookies:
            more["Cookie"] = self.cookie
        url = f"{self.site}{path}".replace("http", "ws", 1)
        factory = WebSocketClientFactory(
            url,
            origin=origin,
            protocols=list(protocols),
            headers=more,
            reactor=reactor,
        )
        factory.setProtocolOptions(**_PATIENT)
        factory.protocol = kind
        factory.noisy = False
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        if self._trusting is not None:
            creator = self._trusting.creatorForNetloc(b"", self.port)
            endpoint = wrapClientTLS(creator, endpoint)
        socket: Any = await endpoint.connect(factory)
        await socket.until(lambda: socket.isOpen or socket.closed)
        if not socket.isOpen:
            raise Refused(socket.closed[1])
        opened: _S = socket
        return opened
