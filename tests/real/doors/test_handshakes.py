"""
Tests for the handshake of a WebSocket, at all of its doors: each hole of plain
Autobahn that is closed.
"""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
import txaio
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Server
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, capturedLogs, formatEvent, globalLogPublisher
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from tests.support.doors import (
    DOORS,
    KEY,
    Door,
    Entrance,
    cookieOf,
    frame,
    handshake,
    sessionFactory,
)
from tests.support.servers import inReactor, reactor
from txsessionsock.limits import Limits
from txsessionsock.protocol import SessionSocketProtocol, enable
from txsessionsock.web import BoundedSite, SessionSocketResource, VisitedSite


atAllDoors = pytest.mark.parametrize("door", DOORS, ids=str)

atSites = pytest.mark.parametrize(
    "door", [door for door in DOORS if door.isSite], ids=str
)

SHORT = Limits(handshakeTimeout=0.6, closeTimeout=0.3)


class Asked(SessionSocketProtocol):
    """
    Keeps what C{onConnect} is asked, and does with it what the factory says.
    """

    def onConnect(self, request: Any) -> Any:
        self.factory.asked.append(request)
        self.factory.protocols.append(self)
        return self.factory.do(request)

    def sessionConnected(self, session: Any) -> None:
        self.factory.opened += 1

    def sessionMessageReceived(self, message: Any, session: Any) -> None:
        self.send(message)


def asking(do: Callable[[Any], Any] = lambda request: None, **options: Any) -> Any:
    """
    Make a factory of L{Asked}.
    """
    factory = sessionFactory(Asked, **options)
    factory.asked, factory.protocols = [], []
    factory.opened = 0
    factory.do = do
    return factory


def raising(error: Exception) -> Callable[[Any], Any]:
    """
    @return: What raises.
    """

    def do(request: Any) -> Any:
        raise error

    return do


def bounded(root: Any) -> BoundedSite:
    """
    A site of ours, with little patience.
    """
    return BoundedSite(root, limits=SHORT, reactor=reactor)


def visited(root: Any) -> VisitedSite:
    """
    The site of C{twistd sessionsock}.
    """
    return VisitedSite(root, reactor)


async def statusOf(entrance: Entrance, request: bytes) -> int | None:
    """
    Send a request, and wait for the end of the connection.
    """
    visitor = await entrance.connect()
    visitor.send(request)
    status = await visitor.status()
    # A page that is none is an ordinary answer.
    if status not in (101, 404):
        await visitor.ended()
        assert b"HTTP" not in visitor.received
    return status


@atAllDoors
@inReactor
async def test_second(door: Door) -> None:
    """
    While C{onConnect} waits, what comes is kept for later, also if it looks like
    another handshake.  Autobahn would ask again, with another cookie.
    """
    gate: Deferred[None] = Deferred()
    factory = asking(lambda request: gate)
    cookie = await cookieOf(factory)
    async with door.open(factory) as entrance:
        visitor = await entrance.connect()
        visitor.send(handshake(f"Cookie: {cookie}"))
        await entrance.until(lambda: factory.asked)
        visitor.send(handshake("Cookie: connect.sid=another"))
        await entrance.until(lambda: _waits(factory, b"another"))
        gate.callback(None)
        assert await visitor.status() == 101
        # Read as frames, it breaks the rules.
        await visitor.ended()
        assert b"HTTP" not in visitor.received
        assert len(factory.asked) == 1


def _waits(factory: Any, data: bytes) -> bool:
    """
    Whether the bytes of some client wait.
    """
    return any(data in protocol.data for protocol in factory.protocols)


@atAllDoors
@inReactor
async def test_ghost(door: Door) -> None:
    """
    A client that leaves while C{onConnect} waits does not come back when that is
    done: nobody holds its session, and nothing has to be waited for.
    """
    gate: Deferred[None] = Deferred()
    factory = asking(lambda request: gate)
    cookie = await cookieOf(factory)
    async with door.open(factory) as entrance:
        visitor = await entrance.connect()
        visitor.send(handshake(f"Cookie: {cookie}"))
        await entrance.until(lambda: factory.asked)
        visitor.leave()
        await entrance.until(lambda: not factory.countConnections)
        gate.callback(None)
        assert factory.opened == 0
        assert len(factory.sockets) == 0
        assert factory.sockets.manager.statistics().sessions == 0


@atAllDoors
@inReactor
async def test_lines(door: Door) -> None:
    """
    A header with an octet at which Autobahn would split it is refused, or is one
    header.
    """
    factory = asking()
    factory.setProtocolOptions(trustXForwardedFor=1)
    async with door.open(factory) as entrance:
        for octet in b"\x00\x0b\x0c\x1c\x1d\x1e\x7f\r\n":
            forged = f"X-A: a{octet:c}X-Forwarded-For: 6.6.6.6"
            status = await statusOf(entrance, handshake(forged))
            # Older versions of Twisted make blanks of these two.
            assert status == 400 or (door.isSite and octet in b"\r\n"), octet
        for forged in (
            "X-Forwarded-For : 6.6.6.6",
            "X-A: a\r\n : b",
            ": a",
            "\x85X: a",
            "X-\xc5: a",
        ):
            status = await statusOf(entrance, handshake(forged))
            # Twisted makes one line of two.
            assert status == 400 or (door.isSite and "\r\n :" in forged), forged
        assert all("6.6.6.6" not in request.peer for request in factory.asked)
        del factory.asked[:]
        await entrance.shake("X-A: a\x85X-Forwarded-For: 6.6.6.6", "X-B: \x85\xa0b")
        (request,) = factory.asked
        assert request.headers["x-a"] == "a\x85X-Forwarded-For: 6.6.6.6"
        assert request.headers["x-b"] == "\x85\xa0b"
        assert "x-forwarded-for" not in request.headers
        assert "6.6.6.6" not in request.peer


@atAllDoors
@inReactor
async def test_cookies(door: Door) -> None:
    """
    A cookie with an Å, which is C3 85, hides none behind it; two headers are one
    list, and other headers too.
    """
    factory = asking()
    cookie = await cookieOf(factory)
    sent = ("n=Å".encode().decode("iso-8859-1"), cookie)
    async with door.open(factory) as entrance:
        await entrance.shake(f"Cookie: {'; '.join(sent)}")
        await entrance.until(lambda: factory.opened == 1)
        headers = [f"Cookie: {each}" for each in sent]
        await entrance.shake(*headers, "X-A: a", "x-a: b")
        await entrance.until(lambda: factory.opened == 2)
        for request in factory.asked:
            assert request.headers["cookie"] == "; ".join(sent)
        assert request.headers["x-a"] == "a, b"


@atAllDoors
@inReactor
async def test_said(door: Door) -> None:
    """
    The client is told no text of an exception, and a reason only if it fits in a
    status line.
    """
    failing = "db password=hunter2\r\nSet-Cookie: pwn=1"
    for error, said in (
        (RuntimeError(failing), b"HTTP/1.1 500 Internal Server Error\r\n"),
        (ConnectionDeny(403, failing), b"HTTP/1.1 403 Forbidden\r\n"),
        (ConnectionDeny(402, "no credit"), b"HTTP/1.1 402 no credit\r\n"),
        (ConnectionDeny(499, None), b"HTTP/1.1 499 Refused\r\n"),
        (ConnectionDeny(101, "no"), b"HTTP/1.1 500 no\r\n"),
    ):
        factory = asking(raising(error))
        async with door.open(factory) as entrance:
            visitor = await entrance.connect()
            with capturedLogs() as logs:
                visitor.send(handshake())
                head = await visitor.head()
            await visitor.ended()
            assert head.startswith(said), head
            assert b"pwn" not in head + visitor.received
            isFailure = isinstance(error, RuntimeError)
            assert any("log_failure" in log for log in logs) == isFailure


@atAllDoors
@inReactor
async def test_endless(door: Door) -> None:
    """
    A head without end is answered with 431 when it is too large, whether it comes
    as one line or as many, in large pieces or in small ones.
    """
    factory = asking()
    for line in b"x" * 999, b"X-A: a\r\n" * 100:
        async with door.open(factory, site=bounded) as entrance:
            visitor = await entrance.connect()
            visitor.send(b"GET /ws HTTP/1.1\r\nX-B: ")
            sent = 0
            while not visitor.received and not visitor.isLost and sent < 100_000:
                visitor.send(line)
                sent += len(line)
                await entrance.turn()
            assert await visitor.status() == 431
            await visitor.ended()
            assert sent < 50_000
    async with door.open(factory, site=bounded) as entrance:
        assert await statusOf(entrance, handshake("X-A: " + "a" * 15_900)) == 101
        assert await statusOf(entrance, handshake("X-A: " + "a" * 16_384)) == 431


@atAllDoors
@inReactor
async def test_bodies(door: Door) -> None:
    """
    A body is refused, and is not taken for frames.
    """
    factory = asking()
    cookie = f"Cookie: {await cookieOf(factory)}"
    body = frame(b'"smuggled"')
    length = f"Content-Length: {len(body)}"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for site in bounded, None:
        async with door.open(factory, site=site) as entrance:
            for header, content in (
                (length, body),
                ("Transfer-Encoding: chunked", chunked),
            ):
                status = await statusOf(entrance, handshake(cookie, header) + content)
                assert status == 400
            none = handshake(cookie, "Content-Length: 0")
            assert await statusOf(entrance, none) == 101
    assert len(factory.asked) == 2


@atAllDoors
@inReactor
async def test_framesBehind(door: Door) -> None:
    """
    Frames that come in one write with the handshake are answered, also those that
    come while C{onConnect} waits.
    """
    gates: list[Deferred[None]] = []

    def do(request: Any) -> Any:
        if not request.params:
            return None
        gates.append(Deferred())
        return gates[-1]

    factory = asking(do)
    cookie = f"Cookie: {await cookieOf(factory)}"
    async with door.open(factory) as entrance:
        visitor = await entrance.shake(cookie, more=frame(b"1") + frame(b"2")[:3])
        visitor.send(frame(b"2")[3:])
        await visitor.until(lambda: visitor.received == b"\x81\x011\x81\x012")
        visitor = await entrance.connect()
        visitor.send(handshake(cookie, path="/ws?slow=1") + frame(b"1"))
        await entrance.until(lambda: gates)
        visitor.send(frame(b"2"))
        await entrance.until(lambda: _waits(factory, frame(b"2")))
        gates[0].callback(None)
        assert await visitor.status() == 101
        await visitor.until(lambda: visitor.received == b"\x81\x011\x81\x012")


class Slow(Resource):
    """
    A page that is answered when a test says so.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def render_GET(self, request: Request) -> int:
        self.requests.append(request)
        return NOT_DONE_YET


@atSites
@pytest.mark.parametrize(
    "kind", [None, bounded, visited], ids=["plain", "bounded", "visited"]
)
@inReactor
async def test_pipelined(door: Door, kind: Any) -> None:
    """
    A handshake and frames may come behind a request whose answer takes its time;
    each is answered in its turn, and nobody but the socket has the connection.
    """
    factory = asking()
    cookie = f"Cookie: {await cookieOf(factory)}"
    page = Slow()
    pages: dict[bytes, IResource] = {b"page": page}
    async with door.open(factory, site=kind, pages=pages) as entrance:
        visitor = await entrance.connect()
        get = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"
        visitor.send(get + handshake(cookie) + frame(b"1"))
        await entrance.until(lambda: page.requests)
        visitor.send(frame(b"2"))
        await entrance.turn()
        assert not factory.asked
        answered = ref(page.requests[0])
        page.requests.pop().finish()
        assert await visitor.status() == 200
        assert visitor.received.startswith(b"0\r\n\r\n")
        visitor.received = visitor.received[5:]
        assert await visitor.status() == 101
        await visitor.until(lambda: visitor.received == b"\x81\x011\x81\x012")
        if entrance.site is not None and isinstance(entrance.site, VisitedSite):
            assert len(entrance.site) == 0
        # Nothing of the request is kept for the socket.
        assert answered() is None


@atSites
@inReactor
async def test_late(door: Door) -> None:
    """
    A page may hand a request to a WebSocket later, when much has come behind it;
    but not when the connection is being closed.
    """
    factory = asking()
    cookie = f"Cookie: {await cookieOf(factory)}"
    page, socket = Slow(), SessionSocketResource(factory)
    text = b'"%s"' % (b"x" * 50_000,)
    async with door.open(factory, pages={b"page": page}) as entrance:
        visitor = await entrance.connect()
        visitor.send(handshake(cookie, path="/page"))
        for _ in range(3):
            visitor.send(frame(text))
            await entrance.turn()
        socket.render(page.requests.pop())
        assert await visitor.status() == 101
        await visitor.until(lambda: visitor.received.count(text) == 3)
        gone = await entrance.connect()
        gone.send(handshake(cookie, path="/page"))
        await entrance.until(lambda: page.requests)
        page.requests[0].loseConnection()
        socket.render(page.requests.pop())
        await gone.ended()
        assert not gone.received
        assert len(factory.asked) == 1


@atSites
@inReactor
async def test_channel(door: Door) -> None:
    """
    What spoke HTTP is let go of when the socket has the connection, without the
    garbage collector.
    """
    factory = asking()
    channels: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        async with door.open(factory, site=visited) as entrance:
            build = entrance.site.buildProtocol

            def building(address: Any) -> Any:
                visit = build(address)
                channels.extend([ref(visit), ref(visit._channel._channel)])
                return visit

            entrance.site.buildProtocol = building
            visitor = await entrance.shake()
            await entrance.until(lambda: not any(each() for each in channels))
            assert len(channels) == 2
            assert not visitor.isLost
    finally:
        gc.enable()


@atAllDoors
@inReactor
async def test_unfit(door: Door) -> None:
    """
    What is no handshake of today's is refused.
    """
    factory = asking()
    good = handshake()
    host, key = b"Host: localhost\r\n", f"Sec-WebSocket-Key: {KEY}\r\n".encode()
    version, upgrade = b"Sec-WebSocket-Version: 13\r\n", b"Upgrade: websocket\r\n"
    async with door.open(factory) as entrance:
        for old, new, status in (
            (b"HTTP/1.1", b"HTTP/1.0", 505),
            (b"GET", b"POST", 405),
            (b"/ws", b"/ws#a", 404 if door.isSite else 400),
            (b"/ws", b"/w\xc3\x85", 400),
            (b"/ws ", b"/ws  ", 400),
            (host, b"", 400),
            (host, host + b"Host: other\r\n", 400),
            (host, host + host, 400),
            (host, b"Host: localhost:x\r\n", 400),
            (key, b"", 400),
            (key, key + key, 400),
            (key, key.replace(b"==", b"=!"), 400),
            (version, b"", 400),
            (version, version + version, 400),
            (version, b"Sec-WebSocket-Version: 1_3\r\n", 400),
            (version, b"Sec-WebSocket-Version: 7\r\n", 426),
            (host, host + b"Origin: http://localhost\r\n" * 2, 400),
            (host, host + b"Origin: http://evil.example\r\n", 403),
            (b"keep-alive, Upgrade", b"keep-alive", 400),
            (host, host + b"Sec-WebSocket-Protocol: a, a\r\n", 400),
            (host, host + b"Sec-WebSocket-Extensions: permessage-deflate; x\r\n", 400),
        ):
            assert old in good
            request = good.replace(old, new)
            assert await statusOf(entrance, request) == status, request
        # That is an ordinary request to a site, which keeps the connection.
        for new in b"", b"Upgrade: h2c\r\n":
            visitor = await entrance.connect()
            visitor.send(good.replace(upgrade, new))
            head = await visitor.head()
            assert head.startswith(b"HTTP/1.1 426 ") and b"Upgrade: websocket" in head
    assert factory.opened == 0


@atAllDoors
@inReactor
async def test_subprotocol(door: Door) -> None:
    """
    A subprotocol that the client did not offer is the server's mistake: it says so
    at once, to the client and in the log.
    """
    factory = asking(lambda request: "chat")
    async with door.open(factory) as entrance:
        with capturedLogs() as logs:
            request = handshake("Sec-WebSocket-Protocol: a, b")
            assert await statusOf(entrance, request) == 500
        said = [log.get("line", "") for log in logs]
        assert any("'chat', a subprotocol that the client" in line for line in said)
        visitor = await entrance.connect()
        visitor.send(handshake("Sec-WebSocket-Protocol: a, chat"))
        head = await visitor.head()
        assert b"\r\nSec-WebSocket-Protocol: chat\r\n" in head


@atAllDoors
@inReactor
async def test_headers(door: Door) -> None:
    """
    C{onConnect} adds headers, and not what would be others.
    """
    factory = asking(lambda request: (None, {"X-A": ["a", "b"], "X-C": 3}))
    async with door.open(factory) as entrance:
        visitor = await entrance.connect()
        visitor.send(handshake())
        head = await visitor.head()
        assert b"\r\nX-A: a\r\nX-A: b\r\nX-C: 3\r\n" in head
        for unfit in {"X-A": "a\r\nSet-Cookie: pwn=1"}, {"X A": "a"}, "nonsense":
            factory.do = lambda request, unfit=unfit: (None, unfit)
            with capturedLogs() as logs:
                assert await statusOf(entrance, handshake()) == 500
            assert any("log_failure" in log for log in logs)


@atAllDoors
@inReactor
async def test_banner(door: Door) -> None:
    """
    No page is served, least of all one that redirects elsewhere, and no version is
    told.
    """
    factory = asking()
    async with door.open(factory, site=bounded) as entrance:
        for query in "", "?redirect=http://evil.example", "?redirect=x&after=3":
            visitor = await entrance.connect()
            visitor.send(f"GET /ws{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            head = await visitor.head()
            assert head.startswith(b"HTTP/1.1 426 "), head
            said = head + visitor.received
            for word in b"evil", b"Server", b"Autobahn", b"Twisted", b"Location":
                assert word not in said
        visitor = await entrance.connect()
        visitor.send(handshake())
        assert b"Server" not in await visitor.head()
    factory.server = "mine"
    async with door.open(factory) as entrance:
        visitor = await entrance.connect()
        visitor.send(handshake())
        assert b"\r\nServer: mine\r\n" in await visitor.head()


@atAllDoors
@inReactor
async def test_halfOpen(door: Door) -> None:
    """
    A handshake that is not there in time is cut off, whatever the client does
    meanwhile, and so is one whose C{onConnect} takes too long.
    """
    limits = Limits(handshakeTimeout=0.8)
    factory = asking(lambda request: Deferred(), limits=limits)

    def site(root: Any) -> BoundedSite:
        return BoundedSite(root, limits=limits, reactor=reactor)

    async with door.open(factory, site=site) as entrance:
        silent, slow, busy = [await entrance.connect() for _ in range(3)]
        began = reactor.seconds()
        slow.send(b"GET /ws HTTP/1.1\r\n")
        busy.send(handshake()[:-4])
        half = False
        while not (silent.isLost and slow.isLost and busy.isLost):
            slow.send(b"X-A: a\r\n")
            if not half and reactor.seconds() - began > 0.55:
                half = True
                busy.send(b"\r\n\r\n")
            await entrance.turn()
            # From the connection, not from its last byte.
            assert reactor.seconds() - began < 1.2
        assert reactor.seconds() - began > 0.7
        assert not silent.received and not slow.received and not busy.received
        assert len(factory.asked) == 1


@atAllDoors
@inReactor
async def test_notClosing(door: Door) -> None:
    """
    A client that was refused and does not agree to the end is cut off.  Over TLS,
    Twisted would wait for it.
    """
    factory = asking(limits=SHORT)

    def refused(port: int) -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", port), 10)
        if door.isTLS:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            wire = context.wrap_socket(wire)
        wire.sendall(handshake("Sec-WebSocket-Version: 13"))
        assert wire.recv(1000).startswith(b"HTTP/1.1 400 ")
        return wire

    async with door.open(factory, site=bounded) as entrance:
        wire = await deferToThread(refused, entrance.port)
        # It reads no more, and so says nothing to what ends TLS.
        await entrance.until(lambda: not _connections(entrance))
        wire.close()


def _connections(entrance: Entrance) -> int:
    """
    How many connections the server has.
    """
    theirs = [each for each in reactor.getReaders() if isinstance(each, Server)]
    return sum(each.getHost().port == entrance.port for each in theirs)


@atAllDoors
@inReactor
async def test_secrets(door: Door) -> None:
    """
    Nothing that may be a secret gets into a log, at any level: neither a cookie,
    nor a token, in whatever way it is sent, nor one that we set.
    """
    secret = "hunter2"
    logged: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        logged.append(str({k: v for k, v in event.items() if k != "log_logger"}))
        if event.get("log_format"):
            logged.append(formatEvent(event))

    class Careless(WebSocketServerProtocol):
        def onConnect(self, request: Any) -> Any:
            super().onConnect(request)
            return None, {"Set-Cookie": f"a={secret}"}

    factory: Any = WebSocketServerFactory(reactor=reactor)
    factory.protocol = Careless
    donor = sessionFactory()
    enable(factory, donor.sockets.manager)
    secrets = (
        f"Cookie: connect.sid={secret}",
        f"Authorization: Bearer {secret}",
        f"Sec-WebSocket-Protocol: a, base64url.bearer.{secret}",
    )
    good = handshake(*secrets, path=f"/ws?token={secret}")
    globalLogPublisher.addObserver(observe)
    logging: Any = txaio
    level = logging.get_global_log_level()
    logging.set_global_log_level("trace")
    try:
        async with door.open(factory, site=bounded) as entrance:
            assert await statusOf(entrance, good) == 101
            for old, new in (
                (b"HTTP/1.1", b"HTTP/1.0"),
                (KEY.encode(), secret.encode()),
                (b"Host: localhost", f"Host: localhost:{secret}".encode()),
                (b"Version: 13", f"Version: {secret}".encode()),
                (b"Host", f"Origin: http://{secret}x/\r\nHost".encode()),
                (b"Upgrade: w", b"Upgrade: x"),
                (b"Host", f"a\x0b{secret}\r\nHost".encode()),
            ):
                visitor = await entrance.connect()
                visitor.send(good.replace(old, new))
                assert await visitor.status() != 101
    finally:
        logging.set_global_log_level(level)
        globalLogPublisher.removeObserver(observe)
    assert logged
    # An origin is no secret, and the log says which one was refused.
    found = [line for line in logged if secret in line.replace(f"{secret}x", "")]
    assert not found
