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
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import alsoProvides

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import EndReason, SessionID
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import ADDRESS, FlakyStore
from txsessionsock.web import SessionedResource, sessionOf


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
    answers: list[Answer] = []
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
    protocol: Any

    def __init__(self) -> None:
        super().__init__(peerAddress=ADDRESS, lenient=True)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Does nothing; L{ISSLTransport} has it.
        """

    def getPeerCertificate(self) -> None:
        """
        Does nothing; L{ISSLTransport} has it.
        """

    def unregisterProducer(self) -> None:
        # Those of the reactor do not mind if there is none.
        self.producer = None

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
        host = headers.pop("Host", "example.com")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        if cookie is not None:
            lines.append(f"Cookie: {cookie}")
        lines += [f"{name.replace('_', '-')}: {v}" for name, v in headers.items()]
        self.heads += method == "HEAD"
        self.protocol.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def answers(self) -> list[Answer]:
        """
        @return: The answers that came until now.
        """
        return parse(self.wire.value(), self.heads)

    def leave(self) -> None:
        """
        Close the connection.
        """
        self.protocol.connectionLost(Failure(ConnectionDone()))


class View(Resource):
    """
    A page made by a function.
    """

    isLeaf = True

    def __init__(self, f: Callable[[Request], bytes | int]) -> None:
        super().__init__()
        self._f = f

    def render(self, request: Request) -> Any:
        return self._f(request)


@dataclass
class Socket:
    """
    Another holder of a session.
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

    def gaveUp(self, failure: Failure, *, isMine: bool) -> None:
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
        self.clock: Clock = Clock() if beside is None else beside.clock
        if beside is None:
            self.clock.advance(1_700_000_000)
        place = None if beside is None else beside.inner
        self.inner: MemoryStore = MemoryStore(self.clock, place)
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
        wire.protocol = protocol
        protocol.makeConnection(wire)
        return Connection(protocol, wire)


def put(request: Request) -> bytes:
    """
    A page that changes its session.
    """
    session = sessionOf(request)
    session["n"] = session.get("n", 0) + 1
    return b"n is %d" % (session["n"],)


def read(request: Request) -> bytes:
    """
    A page that changes nothing.
    """
    return b"n is %d" % (sessionOf(request).get("n", 0),)


def waiting(requests: list[Request]) -> Callable[[Request], int]:
    """
    @return: A page that is answered later, by the test.
    """

    def page(request: Request) -> int:
        requests.append(request)
        return NOT_DONE_YET

    return page


class WebTestCase(SynchronousTestCase):
    """
    A site with some pages.
    """

    options: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def setUp(self) -> None:
        self.world = World(**self.options)

    def serve(
        self, page: Callable[[Request], bytes | int] | IResource, **options: Any
    ) -> Connection:
        """
        Connect a browser to a site with one page.
        """
        isSecure = options.pop("isSecure", False)
        resource = page if IResource.providedBy(page) else View(page)
        sessioned = SessionedResource(resource, self.world.manager, **options)
        return self.world.connect(sessioned, isSecure=isSecure)

    def get(self, page: Any, cookie: str | None = None, **options: Any) -> Answer:
        """
        Get one page.
        """
        browser = self.serve(page, **options)
        browser.send(cookie=cookie)
        (answer,) = browser.answers()
        self.assertTrue(answer.isWhole)
        return answer

    def login(self, **data: Any) -> tuple[str, SessionID]:
        """
        @return: The cookie of a session that is stored, and its id.
        """
        holder = Socket()
        session = self.world.manager.create(holder)
        session.update(data or {"n": 1})
        self.successResultOf(self.world.manager.release(session, holder))
        return f"connect.sid={self.world.framework.cookieValue(session.id)}", session.id

    def stored(self, sessionID: SessionID) -> dict[str, Any] | None:
        """
        What is stored.
        """
        key = self.world.framework.key(sessionID)
        stored = self.successResultOf(self.world.inner.load(key))
        if stored is None:
            return None
        now = self.world.clock.seconds()
        return self.world.framework.loads(stored.raw, now).data

    def hold(self, sessionID: SessionID) -> tuple[Session, Socket]:
        """
        Hold a session, as a socket does.
        """
        socket = Socket()
        return self.successResultOf(self.world.manager.open(sessionID, socket)), socket

    def idIn(self, setCookie: str | None) -> SessionID:
        """
        @return: The session id in a C{Set-Cookie} header.
        """
        assert setCookie is not None
        value = setCookie.partition(";")[0].partition("=")[2]
        return self.world.framework.sessionID(value, self.world.clock.seconds())

    def assertIdle(self) -> None:
        """
        Assert that nobody holds a session any more.
        """
        self.assertEqual(self.world.manager.statistics().sessions, 0)
