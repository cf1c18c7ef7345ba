"""
A browser for tests: HTTP over wires that are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site
from zope.interface import alsoProvides

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import EndReason
from txsessionsock.manager import SessionManager
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore


COOKIE = "connect.sid"


@dataclass
class Answer:
    """
    What a browser got for one request.

    @ivar isWhole: Whether it got all of it.
    """

    code: int
    headers: dict[str, list[str]]
    body: bytes
    isWhole: bool

    def cookie(self) -> str | None:
        """
        The session cookie that it sets, with its attributes.
        """
        found = [c for c in self.headers.get("set-cookie", []) if c.startswith(COOKIE)]
        assert len(found) < 2, "set twice"
        return found[0] if found else None


def parse(data: bytes, heads: int = 0) -> list[Answer]:
    """
    Read answers.

    @param heads: How many of the first are to HEAD requests.
    """
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("ascii").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        code = int(status.split(" ")[1])
        body, isWhole = b"", True
        if code != 304 and heads <= len(answers):
            if "transfer-encoding" in headers:
                body, isWhole, data = _chunks(data)
            else:
                length = int(headers.get("content-length", ["0"])[0])
                isWhole = len(data) >= length
                body, data = data[:length], data[length:]
        answers.append(Answer(code, headers, body, isWhole))
    return answers


def _chunks(data: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
        if not length:
            return body, True, data
    return body, False, data


class Wire(StringTransport):
    """
    The server's end of a connection.
    """

    isAborted = False

    def __init__(self) -> None:
        super().__init__(lenient=True)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Only for the interface of those that have one.
        """

    def getPeerCertificate(self) -> None:
        """
        Only for the interface of those that have one.
        """

    def abortConnection(self) -> None:
        self.isAborted = True
        self.loseConnection()


@dataclass
class Connection:
    """
    One connection of a browser.
    """

    protocol: Any
    wire: Wire
    heads: int = 0

    def send(
        self,
        path: str = "/",
        method: str = "GET",
        cookie: str | None = None,
        **headers: str,
    ) -> None:
        """
        Ask for a page.
        """
        lines = [f"{method} {path} HTTP/1.1", "Host: example.com"]
        if cookie is not None:
            lines.append(f"Cookie: {cookie}")
        lines += [f"{name.replace('_', '-')}: {v}" for name, v in headers.items()]
        self.heads += method == "HEAD"
        self.protocol.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def answers(self) -> list[Answer]:
        """
        What came until now.
        """
        return parse(self.wire.value(), self.heads)

    def leave(self) -> None:
        """
        Hang up.
        """
        self.protocol.connectionLost(Failure(ConnectionDone()))


class View(Resource):
    """
    A page made by a function.
    """

    isLeaf = True

    def __init__(self, f: Callable[[Request], bytes | int]) -> None:
        super().__init__()
        self.render_GET = self.render_HEAD = self.render_POST = f


@dataclass
class Socket:
    """
    Another one who holds a session.
    """

    seen: list[object] = field(default_factory=list)

    def __hash__(self) -> int:
        return id(self)

    def changed(self, keys: Any) -> None:
        self.seen.append(list(keys))

    def stored(self, number: int) -> None:
        """
        Does not matter here.
        """

    def failed(self, failure: Failure) -> None:
        self.seen.append(failure.type)

    def ended(self, reason: EndReason) -> None:
        self.seen.append(reason)


class World:
    """
    A manager, its store and its clock.
    """

    def __init__(self, beside: World | None = None, **options: Any) -> None:
        """
        @param beside: Another process that uses the same sessions.
        """
        self.clock = Clock() if beside is None else beside.clock
        if beside is None:
            self.clock.advance(1_700_000_000)
        place = None if beside is None else beside.inner
        self.inner = MemoryStore(self.clock, place)
        self.store = FlakyStore(self.inner)
        self.framework = Express(secrets=["keyboard cat"], **options)
        self.manager = SessionManager(self.store, self.framework, self.clock)

    def connect(self, resource: IResource, *, isSecure: bool = False) -> Connection:
        """
        Connect a browser to a site.
        """
        site = Site(resource, reactor=self.clock, timeout=None)
        site.displayTracebacks = False
        wire = Wire()
        if isSecure:
            alsoProvides(wire, ISSLTransport)
        protocol = site.buildProtocol(wire.getPeer())
        protocol.makeConnection(wire)
        return Connection(protocol, wire)
