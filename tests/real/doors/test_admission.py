"""
Who may connect, and how many, at each door.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.logger import capturedLogs, formatEvent

from tests.support.doors import (
    DOORS,
    Door,
    Entrance,
    Visitor,
    cookieOf,
    frame,
    handshake,
    sessionFactory,
)
from tests.support.servers import inReactor
from txsessionsock.forwarded import Proxies
from txsessionsock.limits import Limits
from txsessionsock.protocol import SessionSocketProtocol


EACH_DOOR = pytest.mark.parametrize("door", DOORS, ids=str)


async def ask(entrance: Entrance, *headers: str, host: str = "localhost") -> int | None:
    """
    Send a handshake.

    @return: The status of the answer.  If it is no WebSocket, the server has closed
        the connection.
    """
    visitor = await entrance.connect()
    visitor.send(handshake(*headers).replace(b"localhost", host.encode()))
    status = await visitor.status()
    if status != 101:
        await visitor.ended()
    visitor.leave()
    return status


@EACH_DOOR
@inReactor
async def test_inAll(door: Door) -> None:
    """
    One connection too many gets 503 and is told when to come again; when another
    has gone, there is room.  At a port, those count that say nothing.
    """
    factory = sessionFactory(limits=Limits(maxConnections=2))
    cookie = f"Cookie: {await cookieOf(factory, n=1)}"
    async with door.open(factory) as entrance:
        first = await entrance.shake(cookie)
        second = await (entrance.shake(cookie) if door.isSite else entrance.connect())
        await entrance.until(lambda: factory.countConnections == 2)
        third = await entrance.connect()
        third.send(handshake(cookie))
        head = await third.head()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in head.lower()
        await third.ended()
        first.leave()
        await entrance.until(lambda: factory.countConnections == 1)
        await entrance.shake(cookie)
        assert not second.isLost


@EACH_DOOR
@inReactor
async def test_address(door: Door) -> None:
    """
    One address has as many as it may, and behind a proxy that is the client's.
    """
    for trustProxy in False, True, Proxies(forwarded=True):
        limits = Limits(perAddress=2)
        factory = sessionFactory(limits=limits, trustProxy=trustProxy)
        cookie = f"Cookie: {await cookieOf(factory, n=1)}"
        isForwarded = isinstance(trustProxy, Proxies)
        name, key = ("Forwarded", "for=") if isForwarded else ("X-Forwarded-For", "")
        first = f"{name}: {key}192.0.2.1"
        async with door.open(factory) as entrance:
            await entrance.shake(cookie, first)
            await entrance.shake(cookie, first)
            assert await ask(entrance, cookie, first) == 429
            other = f"{name}: {key}192.0.2.1, {key}192.0.2.2"
            status = 101 if trustProxy else 429
            assert await ask(entrance, cookie, other) == status
            none = "X-Real-IP: 192.0.2.2", "Client-IP: 192.0.2.2"
            assert await ask(entrance, cookie, first, *none) == 429


@EACH_DOOR
@inReactor
async def test_origins(door: Door) -> None:
    """
    A page of exactly this server's origin may connect, and one that is listed.
    """
    factory = sessionFactory(origins=["http://[0:0:0:0:0:0:0:2]:3000"])
    cookie = f"Cookie: {await cookieOf(factory, n=1)}"
    own, other = ("https", "http") if door.isTLS else ("http", "https")
    port = 443 if door.isTLS else 80
    async with door.open(factory) as entrance:
        for host, origin, status in (
            ("a.example", f"{own}://a.example", 101),
            ("a.example", f"{own}://A.EXAMPLE:{port}", 101),
            (f"a.example:{port}", f"{own}://a.example", 101),
            ("a.example", f"{other}://a.example", 403),
            ("a.example", f"{own}://a.example:81", 403),
            ("a.example:81", f"{own}://a.example", 403),
            ("a.example", f"{own}://a.example.", 403),
            ("a.example", f"{own}://b.a.example", 403),
            ("a.example", f"{own}://a.example.evil", 403),
            ("a.example", f"{own}://a.example@evil", 403),
            ("[::1]:8080", f"{own}://[::1]:8080", 101),
            ("[::1]", f"{own}://[0:0:0:0:0:0:0:1]", 101),
            ("[0:0:0:0:0:0:0:1]", f"{own}://[::1]", 101),
            ("[::1]", f"{own}://[::1%25eth0]", 403),
            ("[::1]", f"{own}://::1", 403),
            ("[::1]", f"{own}://[::2]", 403),
            ("a.example", "http://[::2]:3000", 101),
            ("a.example", "https://[::2]:3000", 403),
            ("a.example", "null", 403),
            ("a.example", "file://", 403),
            ("a.example", "file://a.example", 403),
            ("a.example", "", 403),
        ):
            got = await ask(entrance, cookie, f"Origin: {origin}", host=host)
            assert got == status, (host, origin, got)


@EACH_DOOR
@inReactor
async def test_originsBehindProxy(door: Door) -> None:
    """
    Behind a proxy that is trusted, its word counts, and that of the other family,
    of a client and of somebody at another address never.
    """
    forwarded = 'Forwarded: for=192.0.2.1;proto={};host="a.example:444"'
    page = "Origin: https://a.example:444"
    told = ["X-Forwarded-Proto: https", "X-Forwarded-Host: a.example:444"]
    for trustProxy, headers, status in (
        (True, told, 101),
        (Proxies(["127.0.0.0/8"], local=False), told, 101),
        (Proxies(["10.0.0.0/8"], local=False), told, 403),
        (False, told, 403),
        (Proxies(forwarded=True), told, 403),
        (Proxies(forwarded=True), [forwarded.format("https")], 101),
        (Proxies(forwarded=True), [forwarded.format("https") + "x=1"], 403),
        (Proxies(forwarded=True), [forwarded.format("http")], 403),
        (True, [forwarded.format("https")], 403),
        (True, [*told, "X-Forwarded-Host: evil.example"], 403),
        (True, ["X-Forwarded-Host: evil.example", *told], 101),
        (True, [told[0], "X-Forwarded-Host: evil.example, a.example:444"], 101),
        (True, [told[0], "X-Forwarded-Host: a.example:444, evil.example"], 403),
        (True, ["X-Forwarded-Proto: http, https", told[1]], 101),
        (True, ["X-Forwarded-Proto: https, http", told[1]], 403),
        (True, ["X-Forwarded-Proto: gopher", told[1]], 403),
    ):
        factory = sessionFactory(trustProxy=trustProxy)
        cookie = f"Cookie: {await cookieOf(factory, n=1)}"
        async with door.open(factory) as entrance:
            got = await ask(entrance, cookie, page, *headers)
            assert got == status, (trustProxy, headers, got)


class Failing(SessionSocketProtocol):
    """
    Has an error in it.
    """

    def sessionMessageReceived(self, message: Any, session: Any) -> None:
        raise ValueError(message)


CROWD = 100
"""
How many clients of each kind there are; over TLS, fewer.
"""

_ROUND = 20
"""
How many of them come at once.
"""


async def _crowd(entrance: Entrance, do: Any) -> None:
    async def one(n: int) -> None:
        visitor = await entrance.connect()
        await do(visitor, n)
        visitor.leave()

    for first in range(0, CROWD // (3 if entrance.isTLS else 1), _ROUND):
        each = range(first, first + _ROUND)
        await gatherResults([ensureDeferred(one(n)) for n in each])


def _sending(data: Any) -> Any:
    async def do(visitor: Visitor, n: int) -> None:
        visitor.send(data(n))
        await visitor.ended()

    return do


@EACH_DOOR
@inReactor
async def test_logs(door: Door) -> None:
    """
    Whatever clients do, and however many they are, the log stays small.
    """
    factory = sessionFactory(Failing, limits=Limits(closeTimeout=0.1))
    cookie = f"Cookie: {await cookieOf(factory, n=1)}"
    long = "x" * 5000

    async def cut(visitor: Visitor, n: int) -> None:
        visitor.send(handshake(cookie)[: n * 3])

    async def failing(visitor: Visitor, n: int) -> None:
        visitor.send(handshake(cookie) + frame(b'"%d%s"' % (n, b"x" * 5000)) * 5)
        await visitor.head()

    async with door.open(factory) as entrance:
        for name, do in (
            ("origin", _sending(lambda n: handshake(f"Origin: http://{n}{long}"))),
            ("cookie", _sending(lambda n: handshake(f"Cookie: connect.sid={n}{long}"))),
            ("host", _sending(lambda n: handshake(f"Host: {n}{long}"))),
            ("no HTTP", _sending(lambda n: b"%d nonsense\r\n\r\n" % n)),
            ("frame", _sending(lambda n: handshake(cookie) + b"\xff\xff" * 20)),
            ("UTF-8", _sending(lambda n: handshake(cookie) + frame(b"\xff%d" % n))),
            ("cut", cut),
            ("handler", failing),
        ):
            with capturedLogs() as logs:
                await _crowd(entrance, do)
            # Those of the clients say when each begins.
            lines = [str(formatEvent(each)) for each in logs if "factory" not in each]
            # A minute after other tests, there are sums of those.
            lines = [line for line in lines if "left out" not in line]
            assert len(lines) < 10, (name, lines)
            assert max([0, *map(len, lines)]) < 1500, (name, lines)
            assert "x" * 201 not in "".join(lines), name
