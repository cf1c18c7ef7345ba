"""
Tests for L{tests.support.doors}.
"""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

from tests.support.doors import (
    DOORS,
    Door,
    cookieOf,
    frame,
    handshake,
    sessionFactory,
)
from tests.support.servers import inReactor, reactor
from txsessionsock.protocol import SessionSocketProtocol


class Counter(SessionSocketProtocol):
    """
    Counts its messages.
    """

    def sessionMessageReceived(self, message: Any, session: Any) -> None:
        session["n"] = session.get("n", 0) + 1
        self.send(session["n"])


class Echo(WebSocketServerProtocol):
    """
    Plain Autobahn.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


@pytest.mark.parametrize("door", DOORS, ids=str)
@inReactor
async def test_session(door: Door) -> None:
    """
    A client with a session is answered at each door.
    """
    factory = sessionFactory(Counter)
    cookie = await cookieOf(factory, n=4)
    async with door.open(factory) as entrance:
        visitor = await entrance.shake(f"Cookie: {cookie}")
        visitor.send(frame(b'"x"'))
        await visitor.until(lambda: visitor.received == b"\x81\x015")


@pytest.mark.parametrize("door", DOORS, ids=str)
@inReactor
async def test_autobahn(door: Door) -> None:
    """
    So is one of plain Autobahn, and it hears when it is refused.
    """
    factory: Any = WebSocketServerFactory(reactor=reactor)
    factory.protocol = Echo
    async with door.open(factory) as entrance:
        visitor = await entrance.shake()
        visitor.send(frame(b"x" * 200))
        await visitor.until(lambda: visitor.received == b"\x81\x7e\0\xc8" + b"x" * 200)
        other = await entrance.connect()
        other.send(handshake("Origin: ??"))
        assert await other.status() == 400
        await other.ended()
